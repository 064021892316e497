// Shows that batch normalisation ties the samples of a batch together in training mode,
// and that each sample is on its own in prediction mode.

const label = "批量归一化：移动一个样本，看其他样本标准化之后的数值变不变。";

// As `nn.BatchNorm` has them.
const [EPSILON, MOMENTUM] = [1e-5, 0.9];

// One feature of the samples, before the reader moves any: the first four are those of
// the section's example.
const START = [1, 2, 3, 4, 2.5, 1.5, 3.5, 0.5];
const [LOWEST, HIGHEST, STEP] = [0, 10, 0.5];

// The axis of x leaves room for the mean, less and more a standard deviation. That of
// x̂ holds all that training mode can give: with n samples it is at most √(n − 1).
const X_AXIS = { from: -2, to: 12, start: 84, unit: 15, ticks: [0, 5, 10] };
const HAT_AXIS = { from: -3, to: 3, start: 316, unit: 25, ticks: [-3, 0, 3] };
const [WIDTH, TOP, ROW] = [520, 48, 32];

const clamp = (x, low, high) => Math.min(high, Math.max(low, x));
const end = ({ from, to, start, unit }) => start + unit * (to - from);
const place = (axis, x) =>
  axis.start + axis.unit * (clamp(x, axis.from, axis.to) - axis.from);

// Mean and variance of numbers, both divided by their count.
function statistics(x) {
  const mean = x.reduce((sum, value) => sum + value, 0) / x.length;
  const variance = x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / x.length;
  return { mean, variance };
}

// By the batch's own statistics in training mode, else by the moving averages.
function normalize(x, { mode, movingMean, movingVariance }) {
  const { mean, variance } = mode === "training" ? statistics(x)
    : { mean: movingMean, variance: movingVariance };
  return x.map((value) => (value - mean) / Math.sqrt(variance + EPSILON));
}

// What the state is after the batch has gone through once more.
function nextState(batch, values) {
  const isUpdated = values.mode === "training";
  const kept = isUpdated ? MOMENTUM : 1;
  const average = (old, now) => kept * old + (1 - kept) * now;
  return {
    movingMean: average(values.movingMean, batch.mean),
    movingVariance: average(values.movingVariance, batch.variance),
    passes: values.passes + 1,
    updates: values.updates + Number(isUpdated),
  };
}

function compute(values) {
  const n = clamp(Math.round(values.n), 1, START.length);
  const x = values.x.slice(0, n);
  const batch = statistics(x);
  const normalized = normalize(x, values);
  const before = normalize(START.slice(0, n), values);
  // Two digits are shown: what they do not show has not changed.
  const changed = (a, b) => a.filter((value, i) => Math.abs(value - b[i]) >= 0.005);

  return { n, x, ...batch, normalized, before, next: nextState(batch, values),
    movedInputs: changed(x, START).length,
    movedOutputs: changed(normalized, before).length };
}

// A disc; at the end of an axis, a triangle that points to where the number lies.
function marker(axis, x, y) {
  const center = place(axis, x);
  if (x < axis.from) return `M${center - 7} ${y}l12 -7v14z`;
  if (x > axis.to) return `M${center + 7} ${y}l-12 -7v14z`;
  return `M${center - 6} ${y}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0z`;
}

function render({ model, el, parts }) {
  const { svg, html, number } = parts;
  const text = (x, y, content, attributes = {}) =>
    svg("text", { x, y, "text-anchor": "middle", ...attributes }, content);
  const put = (node, attributes) => Object.entries(attributes).forEach(
    ([name, content]) => node.setAttribute(name, content));
  const value = (name, x, digits = 0) =>
    html("span", { "data-value": name }, number(x, digits));

  const state = () => Object.fromEntries(
    Object.keys(FIRST).map((name) => [name, model.get(name)]));

  function move(i, to) {
    const x = [...model.get("x")];
    x[i] = clamp(Math.round(to / STEP) * STEP, LOWEST, HIGHEST);
    model.set({ x });
  }

  // A sample follows the pointer from where it was taken, and does not jump to it.
  function followPointer(handle, i) {
    let [taken, from] = [0, 0];
    handle.addEventListener("pointerdown", (event) => {
      handle.setPointerCapture(event.pointerId);
      [taken, from] = [event.clientX, model.get("x")[i]];
    });
    handle.addEventListener("pointermove", (event) => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const unit = X_AXIS.unit * picture.getBoundingClientRect().width / WIDTH;
      move(i, from + (event.clientX - taken) / unit);
    });
  }

  function followKeys(handle, i) {
    handle.addEventListener("keydown", (event) => {
      const x = model.get("x")[i];
      const to = { ArrowLeft: x - STEP, ArrowDown: x - STEP, ArrowRight: x + STEP,
        ArrowUp: x + STEP, Home: LOWEST, End: HIGHEST }[event.key];
      if (to === undefined) return;
      event.preventDefault();
      move(i, to);
    });
  }

  function drawRow(i) {
    const y = TOP + (i + 0.5) * ROW;
    const lines = [X_AXIS, HAT_AXIS].map((axis) => `M${axis.start} ${y}H${end(axis)}`);
    const handle = svg("g", { role: "slider", tabindex: 0, style: "cursor: ew-resize",
      "aria-label": `样本 ${i + 1} 的 x`, "aria-valuemin": LOWEST,
      "aria-valuemax": HIGHEST },
      // Larger than the disc: a finger has to meet it.
      svg("rect", { x: -18, y: y - 16, width: 36, height: 32, fill: "transparent" }),
      svg("circle", { cy: y, r: 8, fill: "var(--d2lx-blue)" }));
    followPointer(handle, i);
    followKeys(handle, i);

    const x = text(72, y + 5, "", { "text-anchor": "end", "data-value": `x-${i}` });
    const hat = text(518, y + 5, "", { "text-anchor": "end",
      "data-value": `normalized-${i}` });
    const ghost = svg("path", { fill: "none", stroke: "currentColor",
      "stroke-dasharray": "2 2" });
    const disc = svg("path", { fill: "var(--d2lx-red)", stroke: "var(--d2lx-red)" });
    const drawn = svg("g", {}, text(16, y + 5, number(i + 1)), x,
      svg("path", { d: lines.join(""), stroke: "var(--d2lx-line)" }),
      handle, ghost, disc, hat);
    return { y, drawn, handle, x, hat, ghost, disc };
  }

  function showRow({ y, drawn, handle, x, hat, ghost, disc }, i, shown) {
    put(drawn, { display: i < shown.n ? "inline" : "none" });
    if (i >= shown.n) return;
    const [now, before] = [shown.normalized[i], shown.before[i]];
    x.textContent = number(shown.x[i], 1);
    hat.textContent = number(now, 2);
    put(handle, { transform: `translate(${place(X_AXIS, shown.x[i])} 0)`,
      "aria-valuenow": shown.x[i],
      "aria-valuetext": `${x.textContent}，x̂ 是 ${hat.textContent}` });
    put(disc, { d: marker(HAT_AXIS, now, y) });
    // Where it was, and the way from there.
    const way = `M${place(HAT_AXIS, before)} ${y}H${place(HAT_AXIS, now)}`;
    put(ghost, { d: marker(HAT_AXIS, before, y) + way });
  }

  const drawBand = (color, dashes) => svg("path", { fill: color, stroke: color,
    "stroke-width": 2, "stroke-dasharray": dashes });

  // A band is a ruler: its middle becomes 0 in x̂, its edges become −1 and 1.
  function showBand(band, axis, mean, variance, n, isUsed = true) {
    const deviation = Math.sqrt(variance + EPSILON);
    const [left, middle, right] = [mean - deviation, mean, mean + deviation].map(
      (x) => place(axis, x));
    const bottom = TOP + ROW * n;
    // A dashed band is a little taller, to be seen where it lies on another.
    const over = band.hasAttribute("stroke-dasharray") ? 3 : 0;
    const [top, end] = [TOP - over, bottom + over];
    put(band, { "fill-opacity": isUsed ? 0.2 : 0,
      d: `M${left} ${top}H${right}V${end}H${left}ZM${middle} ${top}V${end}` });
  }

  function update() {
    const values = state();
    const shown = compute(values);
    const trains = values.mode === "training";
    const { n, mean, variance } = shown;
    const { movingMean, movingVariance } = values;
    put(picture, { viewBox: `0 0 ${WIDTH} ${TOP + ROW * n + 4}` });
    rows.forEach((row, i) => showRow(row, i, shown));
    showBand(batchBand, X_AXIS, mean, variance, n, trains);
    showBand(movingBand, X_AXIS, movingMean, movingVariance, n, !trains);
    showBand(hatBand, HAT_AXIS, 0, 1, n);
    modes.forEach(([mode, control]) =>
      put(control, { "aria-pressed": mode === values.mode }));

    const now = "，x̂ 用的是它";
    batchLine.replaceChildren("小批量（实线框）：均值 ", value("mean", mean, 2),
      "，方差 ", value("variance", variance, 2), trains ? now : "", "。");
    movingLine.tell("移动平均（虚线框）：均值 ",
      value("moving-mean", movingMean, 2), "，方差 ",
      value("moving-variance", movingVariance, 2), trains ? "" : now,
      "；通过 ", value("passes", values.passes), " 次，更新 ",
      value("updates", values.updates), " 次。");
    say.tell(value("moved-inputs", shown.movedInputs), " 个样本的 x 变了，",
      value("moved-outputs", shown.movedOutputs), " 个样本的 x̂ 变了。");
  }

  const picture = parts.picture(WIDTH, TOP, "每行一个样本，左边是 x，右边是 x̂");
  const modes = [["training", "训练模式"], ["prediction", "预测模式"]].map(
    ([mode, name]) => [mode, parts.button(name, () => model.set({ mode }), false)]);
  const size = parts.slider({ label: "样本数 n", min: 1, max: START.length,
    value: model.get("n"), change: (n) => model.set({ n }) });
  const pass = parts.button("让小批量通过一次", () => model.set(compute(state()).next));

  const batchBand = drawBand("var(--d2lx-blue)");
  const movingBand = drawBand("var(--d2lx-violet)", "5 4");
  const hatBand = drawBand("var(--d2lx-line)");
  const rows = START.map((_, i) => drawRow(i));
  const ticks = [X_AXIS, HAT_AXIS].flatMap((axis) =>
    axis.ticks.map((x) => text(place(axis, x), TOP - 6, number(x))));
  picture.append(text(16, 18, "样本"), text(189, 18, "x：拖动圆点，或用方向键"),
    text(391, 18, "标准化之后的 x̂"), ...ticks,
    batchBand, movingBand, hatBand, ...rows.map(({ drawn }) => drawn));

  const batchLine = html("p", { class: "d2lx-say" });
  const [movingLine, say] = [parts.say(), parts.say()];
  el.append(parts.row(...modes.map(([, control]) => control), size, pass), picture, say,
    batchLine, movingLine);
  model.changed(update);
  update();
}

// Moving averages that have followed the four samples for long.
const FIRST = { x: START, n: 4, mode: "training", movingMean: 2.5, movingVariance: 1.25,
  passes: 0, updates: 0 };

export default { label, states: { training: FIRST }, render };
