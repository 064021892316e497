// Shifts an image by pixels: maximum and average pooling answer the same while every
// response stays in its windows, and something else when one leaves.

const label = "池化与平移：长方形向右平移时，边缘的最大池化、平均池化和全局平均池化的输出";

const NAMES = { max: "最大池化", average: "平均池化", global: "全局平均池化" };

const POOLS = [[2, 2], [3, 3], [4, 4], [3, 2]]
  .map(([poolSize, strides]) => ({ poolSize, strides }));

// One row of a black image with a white rectangle, which never leaves the image.
const PIXELS = 17;
const LEFT = 3;
const MOST = 6;

const states = { rectangle: { shift: 1, width: 6, poolSize: 2, strides: 2 } };

function between(x, low, high) {
  return Math.min(high, Math.max(low, Math.round(x)));
}

function list(length, at) {
  return Array.from({ length }, (_, index) => at(index));
}

function indexOf({ poolSize, strides }) {
  return Math.max(0, POOLS.findIndex((setting) =>
    setting.poolSize === poolSize && setting.strides === strides));
}

function imageOf(shift, width) {
  const left = LEFT + shift;
  return list(PIXELS, (j) => Number(j >= left && j < left + width));
}

// "Right minus left", as the kernel [-1, 1] gives it, and its absolute value.
function edgesOf(image) {
  return list(image.length - 1, (j) => Math.abs(image[j + 1] - image[j]));
}

const max = (numbers) => Math.max(...numbers);
const average = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

// What the kinds of pooling answer to a shift; the global one has a single window.
function answersTo(shift, width, { poolSize, strides }) {
  const edges = edgesOf(imageOf(shift, width));
  const length = Math.floor((edges.length - poolSize) / strides) + 1;
  const windows = list(length, (i) => edges.slice(i * strides, i * strides + poolSize));
  return { max: windows.map(max), average: windows.map(average),
    global: [average(edges)] };
}

function countDifferent(before, after) {
  return after.filter((x, index) => x !== before[index]).length;
}

function compute(values) {
  const shift = between(values.shift, 0, MOST);
  const width = between(values.width, 1, MOST);
  const setting = POOLS[indexOf(values)];
  const all = list(MOST + 1, (t) => answersTo(t, width, setting));

  // For each kind, how many outputs each of the moves by one pixel changes.
  const changed = {};
  const unchanged = {};
  for (const kind of Object.keys(NAMES)) {
    changed[kind] = list(MOST, (t) => countDifferent(all[t][kind], all[t + 1][kind]));
    unchanged[kind] = changed[kind].filter((count) => count === 0).length;
  }

  const image = imageOf(shift, width);
  return { ...setting, shift, width, image, edges: edgesOf(image), ...all[shift],
    before: all[Math.max(0, shift - 1)], changed, unchanged };
}

const CELL = 30;
const Y = { image: 22, edges: 80, windows: 112, max: 148, average: 204, moves: 266 };

// Draws a row of squares with numbers; `middle` gives where each of them is centred.
function drawRow(kind, length, middle, width, { svg }) {
  const cells = list(length, (j) => ({
    square: svg("rect", { x: middle(j) - width / 2, y: Y[kind], width, height: 28 }),
    text: svg("text", { x: middle(j), y: Y[kind] + 19, "text-anchor": "middle",
      "data-value": `${kind}-${j}` }) }));
  const nodes = cells.flatMap(({ square, text }) => [square, text]);
  return { cells, group: svg("g", {}, ...nodes) };
}

// Shows numbers as shades of grey; what the last move has changed is outlined.
function show(cells, numbers, before, parts) {
  cells.forEach(({ square, text }, j) => {
    const x = numbers[j];
    const outline = x === before[j] ? "stroke: #888" :
      "stroke: var(--d2lx-red); stroke-width: 5";
    square.setAttribute("style", `fill: ${parts.gray(x)}; ${outline}`);
    text.setAttribute("style", `fill: ${x < 0.45 ? "#fff" : "#000"}`);
    text.textContent = parts.number(x, Number.isInteger(x) ? 0 : 2);
  });
}

// Draws a line for each kind of pooling that tells which moves change its output.
function drawMoves({ svg }) {
  const steps = list(MOST, (t) => 176 + 40 * t);
  const middle = { "text-anchor": "middle" };
  const group = svg("g", {}, svg("text", { x: 2, y: Y.moves }, "平移的像素"),
    ...steps.map((x, t) => svg("text", { x, y: Y.moves, ...middle }, `${t}→${t + 1}`)));

  const lines = Object.entries(NAMES).map(([kind, name], index) => {
    const y = Y.moves + 27 * (index + 1);
    const squares = steps.map((x) => svg("rect", { x: x - 18, y: y - 17, width: 36,
      height: 23, stroke: "currentColor" }));
    const texts = steps.map((x, t) => svg("text", { x, y, ...middle,
      "data-value": `move-${kind}-${t + 1}` }));
    const number = svg("tspan", { "data-value": kind === "global" ? kind : null });
    const count = svg("tspan", { "data-value": `unchanged-${kind}` });
    group.append(svg("text", { x: 2, y }, `${name} `, number), ...squares, ...texts,
      svg("text", { x: 404, y }, "不变 ", count, ` / ${MOST} 次`));
    return { kind, squares, texts, number, count };
  });
  return { group, lines };
}

// Shows for each move whether it changes anything, the last move with a thick outline.
function showMoves({ kind, squares, texts, count }, { changed, unchanged, shift }) {
  changed[kind].forEach((number, t) => {
    texts[t].textContent = number ? "变" : "同";
    squares[t].setAttribute("fill", number ? "var(--d2lx-soft)" : "none");
    squares[t].setAttribute("stroke-width", t === shift - 1 ? 3 : 0.5);
  });
  count.textContent = unchanged[kind];
}

// Calls `move` with the shift that the image has been dragged to.
function drag(image, shift, move) {
  let from = null;
  image.addEventListener("pointerdown", (event) => {
    from = { x: event.clientX, shift: shift() };
    image.setPointerCapture(event.pointerId);
  });
  image.addEventListener("pointermove", (event) => {
    const pixel = image.getBoundingClientRect().width / PIXELS;
    if (from) move(from.shift + Math.round((event.clientX - from.x) / pixel));
  });
  image.addEventListener("lostpointercapture", () => { from = null; });
}

function render({ model, el, parts }) {
  const { svg } = parts;
  const shown = () => compute(Object.fromEntries(
    Object.keys(states.rectangle).map((name) => [name, model.get(name)])));
  const setShift = (shift) => model.set({ shift: between(shift, 0, MOST) });

  const start = shown();
  const shift = parts.slider({ label: "向右平移", min: 0, max: MOST,
    value: start.shift, change: setShift });
  const width = parts.slider({ label: "长方形的宽", min: 1, max: MOST,
    value: start.width, change: (value) => model.set({ width: value }) });
  const pooling = parts.choice({ label: "池化窗口", value: String(indexOf(start)),
    options: POOLS.map(({ poolSize, strides }, index) =>
      [String(index), `宽 ${poolSize}，步幅 ${strides}`]),
    change: (index) => model.set(POOLS[index] ?? POOLS[0]) });

  // An edge lies between two pixels.
  const image = drawRow("image", PIXELS, (j) => 5 + CELL * (j + 0.5), CELL, parts);
  const edges = drawRow("edges", PIXELS - 1, (j) => 5 + CELL * (j + 1), CELL, parts);
  image.group.setAttribute("style", "cursor: ew-resize; user-select: none");
  drag(image.group, () => model.get("shift"), setShift);
  const brackets = svg("path", { fill: "none", stroke: "currentColor" });
  const outputs = svg("g", {});
  const moves = drawMoves(parts);
  const titles = Object.entries({ ...NAMES, image: "图像的一行（可以左右拖动）",
    edges: "边缘（绝对值）" }).filter(([kind]) => kind in Y);
  const view = parts.picture(520, 356, label);
  view.append(
    ...titles.map(([kind, text]) => svg("text", { x: 5, y: Y[kind] - 7 }, text)),
    image.group, edges.group, brackets, outputs, moves.group);
  const said = parts.say();
  el.append(parts.row(shift, width, pooling), view, said);

  const rows = {};
  let drawn = null;

  // The windows, and below each of them its outputs; windows that overlap alternate.
  function drawOutputs({ poolSize, strides, max: { length } }) {
    const middle = (i) => 5 + CELL * (0.5 + i * strides + poolSize / 2);
    for (const kind of ["max", "average"]) {
      rows[kind] = drawRow(kind, length, middle, strides * CELL - 6, parts);
    }
    outputs.replaceChildren(rows.max.group, rows.average.group);
    brackets.setAttribute("d", list(length, (i) => {
      const down = poolSize > strides && i % 2 ? 12 : 6;
      return `M${middle(i) - poolSize * CELL / 2 + 2} ${Y.windows}` +
        `v${down}h${poolSize * CELL - 4}v${-down}`;
    }).join(""));
  }

  function update() {
    const now = shown();
    const setting = indexOf(now);
    if (setting !== drawn) drawOutputs(now);
    drawn = setting;

    shift.set(now.shift);
    show(image.cells, now.image, now.image, parts);
    show(edges.cells, now.edges, now.edges, parts);
    for (const kind of ["max", "average"]) {
      show(rows[kind].cells, now[kind], now.before[kind], parts);
    }
    moves.lines.forEach((line) => showMoves(line, now));
    moves.lines[2].number.textContent = parts.number(now.global[0], 3);
    const last = now.shift - 1;
    const count = (kind) => parts.html("span", { "data-value": `changed-${kind}` },
      String(now.changed[kind][last]));
    said.tell(...last < 0 ? ["还没有平移。"] :
      [`从平移 ${last} 到 ${last + 1} 个像素：最大池化有 `, count("max"),
        " 个输出变了，平均池化有 ", count("average"), " 个。"]);
  }

  model.changed(update);
  update();
}

export default { label, states, render };
