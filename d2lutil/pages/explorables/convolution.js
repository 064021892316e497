// Shows what an output element is made of, a window times the kernel, and what padding
// and stride do to the size of the output.

const label = "二维互相关：选一个输出元素，看它的窗口怎样与卷积核相乘再相加";

// A picture of 1 (+) and −1: all windows have the same sum of squares, so the output is
// largest where the window is what the kernel is.
const SIGNS = ["+-+-++-+", "-+--+---", "+-+-++-+", "----++++",
  "-+--+-+-", "+++-++-+", "-+--+-+-", "----++++"];

// The inputs, each with its size and its pixels; those of the pullover are measured.
const INPUTS = {
  band: { text: "竖带", n: 8, at: (i, j) => Number(j >= 3 && j < 6) },
  signs: { text: "1 和 −1 的图案", n: 8, at: (i, j) => (SIGNS[i][j] === "+" ? 1 : -1) },
  pullover: { text: "套头衫", n: 14, at: (i, j, image) => (image?.[i][j] ?? 0) / 100 },
  ones: { at: () => 1 },
};

const rightLeft = (a, b, k) => Number(b === k - 1) - Number(b === 0);
const KERNELS = {
  "right-left": { text: "右边减左边", at: rightLeft },
  "below-above": { text: "下边减上边", at: (a, b, k) => rightLeft(b, a, k) },
  mean: { text: "取平均", at: (a, b, k) => 1 / (k * k) },
  own: { text: "自己改的", at: (a, b, k, own) => own[a]?.[b] ?? 0 },
  ones: { at: () => 1 },
};

// Section 01 asks what a kernel finds, section 02 what becomes of the size: there all
// numbers are 1, so that an output counts the pixels in its window.
const finding = { about: "finding", input: "signs", n: 8, k: 3, p: 0, s: 1,
  kernel: "right-left", own: [], row: 0, column: 0 };
const sizing = { ...finding, about: "sizing", input: "ones", n: 5, kernel: "ones" };
const states = {
  signs: { ...finding },
  strided: { ...sizing, s: 2, column: 1 },
};

const square = (size, at) => Array.from({ length: size }, (_, i) =>
  Array.from({ length: size }, (_, j) => at(i, j)));
const sum = (rows) => rows.flat().reduce((total, x) => total + x, 0);
const within = (i, size) => Math.max(0, Math.min(i, size - 1));

function compute(values, data) {
  const { n, k, p, s } = values;
  const pixel = (i, j) => INPUTS[values.input].at(i, j, data?.[values.input]);
  const isInside = (i) => i >= p && i < n + p;
  const padded = square(n + 2 * p, (i, j) =>
    (isInside(i) && isInside(j) ? pixel(i - p, j - p) : 0));
  const kernel = square(k, (a, b) => KERNELS[values.kernel].at(a, b, k, values.own));

  const size = Math.max(0, Math.floor((n - k + 2 * p) / s) + 1);
  const productsAt = (i, j) => square(k, (a, b) =>
    padded[i * s + a][j * s + b] * kernel[a][b]);
  const output = square(size, (i, j) => sum(productsAt(i, j)));
  const row = within(values.row, size);
  const column = within(values.column, size);
  const products = size ? productsAt(row, column) : [];

  // How many windows an element is in: those on its row times those on its column.
  const starts = Array.from({ length: size }, (_, t) => t * s);
  const numOn = (i) => starts.filter((start) => i >= start && i < start + k).length;
  const windows = square(n + 2 * p, (i, j) => numOn(i) * numOn(j));
  const unused = sum(square(n, (i, j) => Number(windows[i + p][j + p] === 0)));

  // Sums of fractions differ in their last digits.
  const largest = Math.max(...output.flat());
  const smallest = Math.min(...output.flat());
  const numLargest = output.flat().filter((x) => largest - x < 1e-9).length;
  return { padded, kernel, size, output, row, column, products, windows, unused,
    largest, numLargest, smallest };
}

// Two grids of at most 14 cells fit side by side, or below each other on a narrow page.
const WIDTH = 340;
const CELL = 42;

// What stands around the grids; the names between bars become numbers.
const TEXTS = {
  finding: { input: "输入 |input-size|", output: "输出 |output-size|",
    kernel: "卷积核：点一下加 1", product: "与窗口的乘积",
    formula: "输出的高和宽：n − k + 1 = |formula| = |size|",
    said: "第 |row| 行第 |column| 列（从 0 数起）：乘积的和是 |sum|。最大的输出是 |largest|，"
      + "有 |num-largest| 处；最小的是 |smallest|。" },
  sizing: { input: "输入 |input-size|：出现在几个窗口里",
    output: "输出 |output-size|：窗口里有几个像素",
    formula: "输出的高和宽：⌊(n − k + 2p) / s⌋ + 1 = |formula| = |size|",
    said: "第 |row| 行第 |column| 列（从 0 数起）的窗口里有 |sum| 个像素；"
      + "有 |unused| 个像素不在任何窗口里。" },
};
const REFUSED = "填充后的输入只有 |padded-size|，放不下 |kernel-size| 的窗口。";

const digitsOf = (rows) => (rows.flat().every(Number.isInteger) ? 0 : 2);

// Draws a square of cells, each with its box and its text, and a frame around some.
function drawGrid(name, size, cell, width, { svg, picture }) {
  const cells = square(size, (i, j) => {
    const box = svg("rect", { width: cell, height: cell, stroke: "var(--d2lx-line)" });
    const text = svg("text", { x: cell / 2, y: cell / 2, "text-anchor": "middle",
      "dominant-baseline": "central" });
    const transform = `translate(${2 + j * cell} ${2 + i * cell})`;
    return Object.assign(svg("g", { transform, role: "gridcell" }, box, text),
      { box, text });
  });
  const lines = cells.map((line) => svg("g", { role: "row" }, ...line));
  const frame = svg("rect", { fill: "none", stroke: "var(--d2lx-blue)",
    "stroke-width": 4, "pointer-events": "none" });

  const view = picture(width + 4, size * cell + 4, name);
  const grid = svg("g", { role: "grid", "aria-label": name }, ...lines);
  if (size) view.append(grid, frame);
  return { view, cells, frame, cell };
}

function mark({ frame, cell }, i, j, length) {
  const place = { x: 2 + j * cell, y: 2 + i * cell, width: length * cell,
    height: length * cell };
  Object.entries(place).forEach(([key, value]) => frame.setAttribute(key, value));
}

// Writes numbers on tints, or shows pixels as greys: 0 is in the middle where some are
// below it.
function paint({ cells }, name, rows, { isImage, isBold }, parts) {
  const { number, gray, diverging } = parts;
  const most = Math.max(...rows.flat().map(Math.abs), 1e-9);
  const isSigned = rows.flat().some((x) => x < 0);
  const shade = (x) => gray(isSigned ? (x / most + 1) / 2 : x / most);
  const digits = digitsOf(rows);

  cells.forEach((line, i) => line.forEach((cell, j) => {
    const x = rows[i][j];
    cell.setAttribute("aria-label", `第 ${i} 行第 ${j} 列：${number(x, digits)}`);
    cell.box.setAttribute("fill", isImage ? shade(x) : diverging(x, 1.8 * most));
    cell.text.textContent = number(x, digits);
    cell.text.setAttribute("data-value", `${name}-${i}-${j}`);
    cell.text.setAttribute("font-weight", isBold?.(x) ? 700 : 400);
    cell.text.setAttribute("visibility", isImage ? "hidden" : "visible");
  }));
}

function render({ model, el, parts, data }) {
  const { html, number, row } = parts;
  const about = model.get("about");
  const isSize = about === "sizing";
  const names = Object.keys(states.signs);
  const read = () => Object.fromEntries(names.map((name) => [name, model.get(name)]));
  const shown = () => compute(read(), data);

  const slider = (name, text, min, max) => parts.slider({ label: text, min, max,
    value: model.get(name), change: (x) => model.set({ [name]: x }) });
  const choice = (name, text, table, also) => parts.choice({ label: text,
    options: Object.entries(table).filter(([, entry]) => entry.text)
      .map(([key, entry]) => [key, entry.text]),
    value: model.get(name),
    change: (key) => model.set({ [name]: key, ...also(key) }) });
  const controls = isSize
    ? { n: slider("n", "输入 n", 3, 8), k: slider("k", "窗口 k", 1, 5),
      p: slider("p", "填充 p", 0, 2), s: slider("s", "步幅 s", 1, 3) }
    : { input: choice("input", "输入", INPUTS, (key) => ({ n: INPUTS[key].n })),
      kernel: choice("kernel", "卷积核", KERNELS, () => ({ own: shown().kernel })),
      k: slider("k", "窗口 k", 2, 4) };

  // Adds 1 to a weight; after 2 comes −2.
  function step(a, b) {
    const own = shown().kernel;
    own[a][b] = Math.round(own[a][b]) >= 2 ? -2 : Math.round(own[a][b]) + 1;
    model.set({ kernel: "own", own });
  }

  function copyWindow() {
    const { padded, kernel, row: i, column: j } = shown();
    model.set({ kernel: "own", own: kernel.map((line, a) =>
      line.map((_, b) => padded[i + a][j + b])) });
  }

  const texts = Object.fromEntries(Object.keys(TEXTS[about]).map((name) =>
    [name, name === "said" ? parts.say() : html("div")]));
  const places = {};
  const place = (name, flex) => html("div",
    { style: `flex: ${flex}; align-self: flex-start` }, texts[name],
    places[name] = html("div"));
  el.append(row(...Object.values(controls)));
  if (!isSize) {
    el.append(row(place("kernel", "0 1 172px"), place("product", "0 1 172px"),
      parts.button("把蓝框里的窗口抄成卷积核", copyWindow)));
  }
  el.append(row(place("input", "1 1 300px"), place("output", "1 1 300px")),
    texts.formula, texts.said);

  // Draws anew what the sizes change; padding is dashed and has no number.
  const grids = {};
  let drawn;
  function draw({ n, k, p }, { size, row, column }) {
    const cell = Math.min(CELL, WIDTH / Math.max(n + 2 * p, size));
    grids.input = drawGrid("输入", n + 2 * p, cell, WIDTH, parts);
    grids.input.cells.forEach((line, i) => line.forEach(({ box, text }, j) => {
      if (Math.min(i, j) >= p && Math.max(i, j) < n + p) return;
      box.setAttribute("stroke-dasharray", "4 4");
      box.setAttribute("fill-opacity", 0);
      text.setAttribute("display", "none");
    }));
    grids.output = drawGrid("输出", size, cell, WIDTH, parts);
    parts.grid(grids.output.cells, (i, j) => model.set({ row: i, column: j }),
      [row, column]);
    if (!isSize) drawKernel(k);
    Object.keys(places).forEach((name) =>
      places[name].replaceChildren(grids[name].view));
  }

  function drawKernel(k) {
    grids.product = drawGrid("乘积", k, CELL, 4 * CELL, parts);
    grids.kernel = drawGrid("卷积核，按空格加 1", k, CELL, 4 * CELL, parts);
    parts.grid(grids.kernel.cells, () => {});
    grids.kernel.cells.forEach((line, a) => line.forEach((cell, b) => {
      cell.setAttribute("style", "cursor: pointer; user-select: none");
      cell.addEventListener("click", () => step(a, b));
      cell.addEventListener("keydown", (event) => {
        if (event.key !== " ") return;
        event.preventDefault();
        step(a, b);
      });
    }));
  }

  function update() {
    const values = read();
    const result = shown();
    const { n, k, p, s } = values;
    const { size, output, row: i, column: j, largest } = result;
    const shape = [n, k, p, size].join();
    if (shape !== drawn) draw(values, result);
    drawn = shape;
    Object.entries(controls).forEach(([name, control]) => control.set(values[name]));

    const isImage = values.input === "pullover";
    if (isSize) {
      paint(grids.input, "windows", result.windows, { isBold: (x) => x === 0 }, parts);
    } else {
      paint(grids.input, "padded", result.padded, { isImage }, parts);
      paint(grids.kernel, "kernel", result.kernel, {}, parts);
      paint(grids.product, "product", result.products, {}, parts);
    }
    const isBold = (x) => !isSize && largest - x < 1e-9;
    paint(grids.output, "output", output, { isImage, isBold }, parts);
    mark(grids.input, i * s, j * s, size ? k : 0);
    mark(grids.output, i, j, 1);

    const digits = digitsOf(output);
    const numbers = { "input-size": `${n}×${n}`, "output-size": `${size}×${size}`,
      "padded-size": `${n + 2 * p}×${n + 2 * p}`, "kernel-size": `${k}×${k}`, row: i,
      column: j, size: size || "放不下", unused: result.unused,
      formula: isSize ? `⌊(${n} − ${k} + 2×${p}) / ${s}⌋ + 1` : `${n} − ${k} + 1`,
      sum: size && number(output[i][j], digits), largest: number(largest, digits),
      "num-largest": result.numLargest, smallest: number(result.smallest, digits) };
    const write = (text) => text.split("|").map((part, index) =>
      (index % 2 ? html("span", { "data-value": part }, String(numbers[part])) : part));
    for (const [name, text] of Object.entries(TEXTS[about])) {
      if (name === "said") texts[name].tell(...write(size ? text : REFUSED));
      else texts[name].replaceChildren(...write(text));
    }
  }

  model.changed(update);
  update();
}

export default { label, measured: "figure", states, render };
