// Shows which weights meet which channel: a kernel for each pair of an output channel
// (row) and an input channel (column). 1 × 1, they are a dense layer for each pixel.

const label = "多个通道：每一对输出通道和输入通道有一个卷积核";

// The first two channels, their kernels and the first output are those of 图 3.2.
const PIXELS = [["1021", "3102", "0210", "1302"], ["0112", "2010", "1301", "0213"],
  ["2013", "1120", "0311", "2102"]];
// For windows smaller than 3 × 3, the lower right corner.
const WEIGHTS = [
  [[1, 0, -1, 0, 1, 2, 1, 0, 1], [0, 1, 0, 2, 0, 1, -1, 1, -1],
    [1, 0, -1, 0, 1, 0, 1, -1, 2]],
  [[0, 1, 0, 1, -1, 0, 0, 1, 2], [1, 0, 1, 0, 2, -1, 0, 1, 1],
    [0, -1, 0, -1, 1, 0, 0, 0, -1]],
  [[1, 1, 0, 0, 0, 1, 1, -1, -1], [0, 1, 0, 2, 0, -1, 0, 1, 0],
    [1, 0, 0, 0, 1, -1, 0, 0, 1]],
];
const BIASES = [0, 1, -1];

const states = {
  two: { inChannels: 2, outChannels: 2, k: 2, n: 3, channel: 0, row: 0, column: 0 },
  dense: { inChannels: 3, outChannels: 2, k: 1, n: 3, channel: 0, row: 0, column: 2 },
};

const list = (length, at) => Array.from({ length }, (_, i) => at(i));
const square = (size, at) => list(size, (i) => list(size, (j) => at(i, j)));
const sum = (numbers) => numbers.flat().reduce((total, x) => total + x, 0);
const within = (i, length) => Math.max(0, Math.min(i, length - 1));

function compute(values) {
  const { inChannels, outChannels, k, n } = values;
  const size = Math.max(0, n - k + 1);
  const input = list(inChannels, (j) => square(n, (a, b) => Number(PIXELS[j][a][b])));
  const kernels = list(outChannels, (m) => list(inChannels, (j) =>
    square(k, (a, b) => WEIGHTS[m][j][3 * (3 - k + a) + 3 - k + b])));
  const biases = BIASES.slice(0, outChannels);

  // What each input channel adds to an output.
  const termsAt = (m, i, j) => kernels[m].map((kernel, source) =>
    sum(square(k, (a, b) => kernel[a][b] * input[source][i + a][j + b])));
  const output = list(outChannels, (m) => square(size, (i, j) =>
    sum(termsAt(m, i, j)) + biases[m]));

  const channel = within(values.channel, outChannels);
  const row = within(values.row, size);
  const column = within(values.column, size);
  const weights = outChannels * inChannels * k * k;
  return { input, kernels, biases, output, size, channel, row, column,
    terms: size ? termsAt(channel, row, column) : [], weights,
    parameters: weights + outChannels, positions: size * size,
    multiplyAdds: weights * size * size };
}

// In units of the picture. A column is PITCH wide and an input in it BOX; the cells of
// outputs are larger than those of kernels, because they are touched.
const [LEFT, TOP, PITCH, BOX] = [36, 24, 92, 76];
const [KERNEL, OUTPUT] = [24, 34];

// Draws a square of numbers, as rows of cells.
function drawMap(name, numbers, x, y, cell, { svg, number, diverging }) {
  const most = Math.max(...numbers.flat().map(Math.abs), 1);
  return numbers.map((line, i) => line.map((z, j) => svg("g", {
    transform: `translate(${x + j * cell} ${y + i * cell})` },
  svg("rect", { width: cell, height: cell, stroke: "var(--d2lx-line)",
    fill: diverging(z, 1.8 * most) }),
  svg("text", { x: cell / 2, y: cell / 2, "text-anchor": "middle",
    "dominant-baseline": "central", "data-value": `${name}-${i}-${j}` }, number(z)))));
}

// Draws the dense layer of a pixel; the lines to the chosen output are thick.
function drawDense({ input, kernels, biases, output, channel, row, column }, parts) {
  const { svg, number } = parts;
  const height = 48 * Math.max(input.length, output.length);
  const yOf = (i, length) => height * (i + 0.5) / length;
  const text = (x, y, content, attributes) => svg("text", { x, y,
    "dominant-baseline": "central", ...attributes }, ...[content].flat());
  const node = (x, y, name, z) => [svg("circle", { cx: x, cy: y, r: 18,
    fill: "var(--d2lx-soft)", stroke: "currentColor" }),
  text(x, y, number(z), { "text-anchor": "middle", "data-value": name })];

  const view = parts.picture(520, height, "这个像素的全连接层");
  kernels.forEach((line, m) => line.forEach(([[weight]], j) => {
    const [from, to] = [yOf(j, input.length), yOf(m, output.length)];
    const isChosen = m === channel;
    view.append(svg("line", { x1: 138, y1: from, x2: 322, y2: to,
      stroke: isChosen ? "var(--d2lx-blue)" : "var(--d2lx-line)",
      "stroke-width": isChosen ? 3 : 1 }));
    if (isChosen) {
      // Near the input, where no line of another output crosses it.
      view.append(text(168, from + 0.16 * (to - from) - 12, number(weight),
        { "text-anchor": "middle", "data-value": `dense-weight-${j}`,
          style: "font-weight: 600" }));
    }
  }));
  input.forEach((map, j) => view.append(
    text(12, yOf(j, input.length), `输入通道 ${j}`),
    ...node(120, yOf(j, input.length), `dense-input-${j}`, map[row][column])));
  output.forEach((map, m) => view.append(
    ...node(340, yOf(m, output.length), `dense-output-${m}`, map[row][column]),
    text(366, yOf(m, output.length), [`输出通道 ${m}，偏差 `,
      svg("tspan", { "data-value": `dense-bias-${m}` }, number(biases[m]))])));
  return view;
}

function render({ model, el, parts }) {
  const { svg, html, number } = parts;
  const names = Object.keys(states.two);
  const read = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const value = (name, x) => html("span", { "data-value": name }, String(x));
  const text = (x, y, ...content) => svg("text", { x, y, "text-anchor": "middle",
    "dominant-baseline": "central" }, ...content);
  const signed = (x, node) => (x < 0 ? ["(", node, ")"] : [node]);
  const frame = (attributes) => svg("rect", { fill: "none", stroke: "var(--d2lx-blue)",
    "stroke-width": 3, "pointer-events": "none", ...attributes });
  const move = (node, attributes) => Object.entries(attributes).forEach(
    ([name, x]) => node.setAttribute(name, x));

  const slider = (name, title, min, max) => parts.slider({ label: title, min, max,
    value: model.get(name), change: (x) => model.set({ [name]: x }) });
  const controls = { inChannels: slider("inChannels", "输入通道", 1, 3),
    outChannels: slider("outChannels", "输出通道", 1, 3),
    k: slider("k", "窗口的高和宽", 1, 3), n: slider("n", "图像的高和宽", 2, 4) };
  const [maps, dense, parameters, products] = [1, 2, 3, 4].map(() => html("div"));
  const said = parts.say();
  el.append(parts.row(...Object.values(controls)), maps, said, parameters, products,
    dense);

  let drawn;
  let marks;

  // Draws inputs above the columns of their kernels, and outputs right of the rows.
  function draw({ k, n }, result) {
    const { input, kernels, biases, output, size, channel, row, column } = result;
    // In the middle, however many columns there are.
    const xOf = (j) => LEFT + (j + (3 - input.length) / 2) * PITCH;
    const kernelX = (j) => xOf(j) + (BOX - k * KERNEL) / 2;
    const height = 34 + Math.max(OUTPUT * size, KERNEL * k + 22);
    const yOf = (m) => TOP + BOX + 36 + m * height;
    const right = xOf(input.length) + 56;
    const view = parts.picture(520, yOf(kernels.length) - 22, label);

    input.forEach((map, j) => view.append(text(xOf(j) + BOX / 2, 10, `输入通道 ${j}`),
      ...drawMap(`input-${j}`, map, xOf(j), TOP, BOX / n, parts).flat()));
    kernels.forEach((line, m) => {
      const [y, middle] = [yOf(m), yOf(m) + k * KERNEL / 2];
      line.forEach((kernel, j) => view.append(
        ...drawMap(`kernel-${m}-${j}`, kernel, kernelX(j), y, KERNEL, parts).flat(),
        text(xOf(j) - 8, middle, j ? "+" : "")));
      const bias = svg("tspan", { "data-value": `bias-${m}` }, number(biases[m]));
      view.append(text(right - 34, middle, "+ ", ...signed(biases[m], bias), " ="),
        text(right + 40, y - 11, `输出通道 ${m}`));
    });

    const cells = output.flatMap((map, m) =>
      drawMap(`output-${m}`, map, right, yOf(m), OUTPUT, parts));
    cells.forEach((line, i) => line.forEach((cell, j) => {
      cell.setAttribute("role", "gridcell");
      cell.setAttribute("aria-label", `输出通道 ${Math.floor(i / size)}，`
        + `第 ${i % size} 行第 ${j} 列：${cell.textContent}`);
    }));
    parts.grid(cells, (i, j) => model.set(
      { channel: Math.floor(i / size), row: i % size, column: j }),
    [channel * size + row, column]);

    const rows = cells.map((line) => svg("g", { role: "row" }, ...line));
    const terms = input.map((_, j) => svg("tspan", { "data-value": `term-${j}` }));
    marks = { xOf, yOf, right, terms, windows: input.map(() => frame()),
      kernels: frame({ "stroke-dasharray": "6 4" }), output: frame(),
      notes: terms.map((term) => text(0, 0, "得 ", term)) };
    if (size) {
      view.append(svg("g", { role: "grid", "aria-label": "输出" }, ...rows),
        ...marks.windows, marks.kernels, marks.output, ...marks.notes);
    }
    maps.replaceChildren(view);
  }

  // Marks what the chosen output is made of.
  function mark({ k, n }, { channel, row, column, terms }) {
    const { xOf, yOf, right } = marks;
    const [cell, y] = [BOX / n, yOf(channel)];
    marks.windows.forEach((window, j) => move(window, { x: xOf(j) + column * cell,
      y: TOP + row * cell, width: k * cell, height: k * cell }));
    move(marks.kernels, { x: xOf(0) - 6, y: y - 6, width: PITCH * terms.length - 4,
      height: k * KERNEL + 12 });
    move(marks.output, { x: right + column * OUTPUT, y: y + row * OUTPUT,
      width: OUTPUT, height: OUTPUT });
    terms.forEach((term, j) => {
      marks.terms[j].textContent = number(term);
      move(marks.notes[j], { x: xOf(j) + BOX / 2, y: y + k * KERNEL + 18 });
    });
  }

  function sentence({ channel, row, column, terms, biases, output }) {
    return ["输出通道 ", value("channel", channel), " 第 ", value("row", row), " 行第 ",
      value("column", column), " 列：",
      ...terms.flatMap((term, j) =>
        [...signed(term, value(`said-term-${j}`, number(term))), " + "]), "偏差 ",
      value("said-bias", number(biases[channel])), " = ",
      value("sum", number(output[channel][row][column])), "。"];
  }

  function update() {
    const values = read();
    const result = compute(values);
    const { inChannels, outChannels, k, n } = values;
    const { size, weights, positions } = result;
    const shape = [inChannels, outChannels, k, n].join();
    if (shape !== drawn) draw(values, result);
    drawn = shape;
    Object.entries(controls).forEach(([name, control]) => control.set(values[name]));
    if (size) mark(values, result);

    const product = `${outChannels}×${inChannels}×${k}×${k}`;
    parameters.replaceChildren("参数：", value("parameters-formula",
      `${product} + ${outChannels}`), " = ", value("parameters", result.parameters));
    products.replaceChildren("乘法：", value("weights", weights), " 个权重 × ",
      value("positions", positions), " 个位置 = ",
      value("multiply-adds", result.multiplyAdds));
    said.tell(...(size ? sentence(result)
      : [`图像只有 ${n}×${n}，放不下 ${k}×${k} 的窗口。`]));
    dense.replaceChildren(...(k === 1 ? ["窗口只有一个像素，这个像素的所有通道：",
      drawDense(result, parts)] : []));
  }

  model.changed(update);
  update();
}

export default { label, states, render };
