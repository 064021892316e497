// Shows how signals and gradients change from block to block, by the weight of the skip
// connections: what MXNet measured on networks that have just been initialised.

const label = "跨层连接的权重：信号和梯度经过一个个块，大小怎样变。";

const NORMS = [["with", "有批量归一化"], ["without", "块里没有批量归一化"]];

// Two panels with the network between them. Position 0 is the input of the first block,
// position l the output of block l; a deeper network reaches farther to the right.
const [WIDTH, HEIGHT, LEFT, RIGHT, TALL] = [520, 334, 60, 508, 110];
const PANELS = {
  signal: { top: 26, color: "var(--d2lx-blue)", mark: "a4 4 0 1 0 8 0a4 4 0 1 0-8 0z" },
  gradient: { top: 218, color: "var(--d2lx-red)", mark: "l4-5l4 5l-4 5z" },
};
const WIRE = 176;

const nearest = (list, x) => list.reduce((best, candidate, i) =>
  Math.abs(candidate - x) < Math.abs(list[best] - x) ? i : best, 0);

function compute(values, data) {
  const i = nearest(data.skips, values.skip);
  const k = nearest(data.depths, values.blocks);
  const [skip, blocks] = [data.skips[i], data.depths[k]];
  const measured = values.norm === "without" ? data.without : data.with;
  const signal = measured.signal[i].slice(0, blocks + 1);
  const gradient = measured.gradient[i][k];

  // Signals are those of the first block's input to 1, gradients those of the last
  // block's output, because they come from there.
  const [signalFactor, gradientFactor] = [signal[blocks], gradient[0]];
  return { skip, blocks, layers: 2 * blocks + 2, signal, gradient, signalFactor,
    gradientFactor, signalPerBlock: signalFactor ** (1 / blocks),
    gradientPerBlock: gradientFactor ** (1 / blocks) };
}

// The powers of ten that hold all that was measured with or without normalisation.
function decades({ signal, gradient }) {
  const all = [signal, gradient].flat(3).map(Math.log10);
  return { low: Math.floor(Math.min(...all)), high: Math.ceil(Math.max(...all)) };
}

function power(exponent) {
  const raised = (sign) => sign === "-" ? "⁻" : "⁰¹²³⁴⁵⁶⁷⁸⁹"[sign];
  return exponent ? `10${[...String(exponent)].map(raised).join("")}` : "1";
}

function render({ model, el, parts, data }) {
  const { svg, html, number } = parts;
  const deepest = Math.max(...data.depths);
  const ranges = { with: decades(data.with), without: decades(data.without) };
  const state = () => Object.fromEntries(
    ["skip", "blocks", "norm"].map((name) => [name, model.get(name)]));

  const place = (position) => LEFT + (RIGHT - LEFT) * position / deepest;
  const height = (top, { low, high }, x) =>
    top + TALL * (high - Math.log10(x)) / (high - low);

  // Three digits, as they are stored.
  function factor(x) {
    const exponent = Math.floor(Math.log10(x));
    if (exponent < -2 || exponent > 3) {
      return `${number(x / 10 ** exponent, 2)}×${power(exponent)}`;
    }
    return number(x, Math.max(0, 2 - exponent));
  }

  const value = (name, content) => svg("tspan", { "data-value": name }, content);
  const told = (name, content) => html("span", { "data-value": name }, content);

  // Lines for some powers of ten; the one for "unchanged" stands out.
  function drawGrid({ top }, { low, high }) {
    const step = Math.ceil((high - low) / 4);
    const exponents = Array.from({ length: high - low + 1 }, (_, i) => low + i);
    return exponents.filter((exponent) => exponent % step === 0).flatMap((exponent) => {
      const y = height(top, { low, high }, 10 ** exponent);
      return [
        svg("line", { x1: LEFT, x2: RIGHT, y1: y, y2: y,
          stroke: exponent ? "var(--d2lx-soft)" : "currentColor" }),
        svg("text", { x: LEFT - 8, y: y + 5, "text-anchor": "end" }, power(exponent)),
      ];
    });
  }

  function drawPanel(name) {
    const { color } = PANELS[name];
    const grids = NORMS.map(([norm]) => [norm,
      svg("g", {}, ...drawGrid(PANELS[name], ranges[norm]))]);
    const line = svg("path", { fill: "none", stroke: color, "stroke-width": 2 });
    const marks = svg("path", { fill: color });
    const title = svg("text", { x: LEFT, y: PANELS[name].top - 10 });
    picture.append(...grids.map(([, grid]) => grid), line, marks, title);
    return { grids, line, marks, title };
  }

  function showPanel(name, { grids, line, marks }, numbers, norm) {
    const { top, mark } = PANELS[name];
    const points = numbers.map((x, i) => [place(i), height(top, ranges[norm], x)]);
    line.setAttribute("d", `M${points.map((point) => point.join(" ")).join("L")}`);
    marks.setAttribute("d", points.map(([x, y]) => `M${x - 4} ${y}${mark}`).join(""));
    grids.forEach(([key, grid]) =>
      grid.setAttribute("display", key === norm ? "inline" : "none"));
  }

  function drawBlock(i) {
    const [start, stop] = [place(i), place(i + 1)];
    const middle = (start + stop) / 2;
    const skip = svg("path", { fill: "none", stroke: "var(--d2lx-green)",
      d: `M${start} ${WIRE}Q${middle} ${WIRE - 52} ${stop} ${WIRE}` });
    const block = svg("g", {},
      svg("path", { d: `M${start} ${WIRE}h4M${stop - 4} ${WIRE}h4`,
        stroke: "currentColor" }), skip,
      svg("rect", { x: start + 4, y: WIRE - 10, width: stop - start - 8, height: 20,
        fill: "var(--d2lx-soft)", stroke: "currentColor" }),
      svg("text", { x: middle, y: WIRE + 5, "text-anchor": "middle" }, number(i + 1)));
    picture.append(block);
    return { block, skip };
  }

  function showBlock({ block, skip }, i, shown) {
    block.setAttribute("display", i < shown.blocks ? "inline" : "none");
    // A weight of 0 is no connection.
    skip.setAttribute("display", shown.skip ? "inline" : "none");
    skip.setAttribute("stroke-width", 0.5 + 3 * shown.skip);
  }

  function update() {
    const shown = compute(state(), data);
    const norm = model.get("norm");
    blocks.forEach((block, i) => showBlock(block, i, shown));
    showPanel("signal", signal, shown.signal, norm);
    showPanel("gradient", gradient, shown.gradient, norm);
    signal.title.replaceChildren("信号 →：最后一个块的输出是第一个块输入的 ",
      value("signal", factor(shown.signalFactor)), " 倍");
    gradient.title.replaceChildren("← 梯度：第一个块的输入处是最后一个块输出处的 ",
      value("gradient", factor(shown.gradientFactor)), " 倍");

    norms.forEach(([key, control]) =>
      control.setAttribute("aria-pressed", key === norm));
    formula.replaceChildren("每个块：y = ReLU(", told("skip", number(shown.skip, 1)),
      "·x + g(x))，框里是 g，框上的弧线是跨层连接。两种网络的纵轴刻度不同。");
    say.tell(told("blocks", number(shown.blocks)), " 个块（",
      told("layers", number(shown.layers)), " 层）：平均每经过一个块，信号乘 ",
      told("signal-per-block", number(shown.signalPerBlock, 2)), "，梯度乘 ",
      told("gradient-per-block", number(shown.gradientPerBlock, 2)), "。");
  }

  const start = compute(state(), data);
  const weight = parts.slider({ label: "跨层连接的权重", min: 0, max: 1, step: 0.1,
    value: start.skip, text: (x) => number(x, 1),
    change: (skip) => model.set({ skip }) });
  const depth = parts.slider({ label: "深度", min: 0, max: data.depths.length - 1,
    value: data.depths.indexOf(start.blocks), text: (k) => `${data.depths[k]} 块`,
    change: (k) => model.set({ blocks: data.depths[k] }) });
  const norms = NORMS.map(([norm, text]) =>
    [norm, parts.button(text, () => model.set({ norm }), false)]);

  const picture = parts.picture(WIDTH, HEIGHT, "从上到下：信号的大小、一个个块、梯度的大小");
  const signal = drawPanel("signal");
  const gradient = drawPanel("gradient");
  const blocks = Array.from({ length: deepest }, (_, i) => drawBlock(i));
  const formula = html("p", { class: "d2lx-say" });
  const say = parts.say();
  el.append(parts.row(weight, depth, ...norms.map(([, control]) => control)), formula,
    picture, say);
  model.changed(update);
  update();
}

export default { label, measured: "figure",
  states: { residual: { skip: 1, blocks: 16, norm: "with" } },
  render,
};
