// Stacks layers one by one and shows which columns of the input an output sees, and on
// how many paths each of them reaches it.

const label = "感受野：一层一层地叠，看一个输出取决于输入的哪些列，各有几条路通向它";

const conv = (window, strides = 1, padding = 0) =>
  ({ kind: "卷积", window, strides, padding });
const pool = (window, strides, padding = 0) =>
  ({ kind: "池化", window, strides, padding });

// The first two modules of GoogLeNet, which its first Inception block stands on.
const STEM = [conv(7, 2, 3), pool(3, 2, 1), conv(1), conv(3, 1, 1), pool(3, 2, 1)];

const NETWORKS = {
  pooling: {
    "三个卷积层": [conv(3), conv(3), conv(3)],
    "卷积、池化交替": [conv(3), pool(2, 2), conv(3), pool(2, 2), conv(3)],
  },
  windows: {
    "一个 5×5": [conv(5)],
    "两个 3×3": [conv(3), conv(3)],
    "一个 7×7": [conv(7)],
    "三个 3×3": [conv(3), conv(3), conv(3)],
    "一个 11×11": [conv(11)],
  },
  paths: {
    "线路 1": [...STEM, conv(1)],
    "线路 2": [...STEM, conv(1), conv(3, 1, 1)],
    "线路 3": [...STEM, conv(1), conv(5, 1, 2)],
    "线路 4": [...STEM, pool(3, 1, 1), conv(1)],
  },
};

// What to choose from, what is chosen, and whether a layer that the reader adds is
// padded to keep the width.
function state(family, network, pixels, output, pads = false) {
  return { family, network, layers: NETWORKS[family][network], pixels, output, pads };
}

const states = {
  convolutions: state("pooling", "三个卷积层", 30, 12),
  windows: state("windows", "两个 3×3", 15, 5),
  inception: state("paths", "线路 3", 96, 6, true),
};

const MOST_LAYERS = 8;

// Returns size, receptive field r and spacing d after each layer, and where the first
// element is centred, in columns of the input; ends before a window that does not fit.
function rowsOf(pixels, layers) {
  const rows = [{ size: pixels, r: 1, d: 1, center: 0.5 }];
  for (const { window, strides, padding } of layers) {
    const { size, r, d, center } = rows.at(-1);
    const next = Math.floor((size - window + 2 * padding) / strides) + 1;
    if (next < 1) break;
    rows.push({ size: next, r: r + (window - 1) * d, d: d * strides,
      center: center + d * ((window - 1) / 2 - padding) });
  }
  return rows;
}

// Counts the paths on from each element before a layer; in the padding there are none.
function pathsBefore(paths, { window, strides, padding }, size) {
  const before = Array(size).fill(0);
  paths.forEach((count, i) => {
    for (let tap = 0; tap < window; tap += 1) {
      const j = i * strides - padding + tap;
      if (j >= 0 && j < size) before[j] += count;
    }
  });
  return before;
}

// The element nearest to a column of the input.
function nearest({ size, center, d }, column) {
  return Math.min(size - 1, Math.max(0, Math.round((column - center) / d)));
}

function compute({ pixels, layers, output }) {
  const rows = rowsOf(pixels, layers);
  const end = rows.at(-1);
  const chosen = Math.min(end.size - 1, Math.max(0, Math.round(output)));

  // From the chosen output back to the input.
  end.paths = Array.from({ length: end.size }, (_, i) => Number(i === chosen));
  for (let index = rows.length - 2; index >= 0; index -= 1) {
    rows[index].paths =
      pathsBefore(rows[index + 1].paths, layers[index], rows[index].size);
  }
  rows.forEach((row) => {
    row.first = row.paths.findIndex((count) => count > 0);
    row.last = row.paths.findLastIndex((count) => count > 0);
  });

  const visible = rows[0].last - rows[0].first + 1;
  const weights = layers.filter(({ kind }) => kind === "卷积")
    .reduce((sum, { window }) => sum + window ** 2, 0);
  return { rows, chosen, visible, padded: end.r - visible, weights,
    most: Math.max(...rows[0].paths), fits: rows.length === layers.length + 1 };
}

// Columns lie from LEFT to LEFT + WIDTH, text right of them; the rows of elements start
// at INPUT, and above them stand the bars of the paths.
const [LEFT, WIDTH, TEXT] = [16, 372, 398];
const [BARS, INPUT, PITCH, HEIGHT] = [36, 62, 48, 18];

const topOf = (index) => INPUT + PITCH * index;

// The left edge of element i of a row.
const edge = ({ center, d }, i, unit) => LEFT + (center + (i - 0.5) * d) * unit;

function nameOf({ kind, window, strides }) {
  return `${window}×${window} ${kind}${strides > 1 ? `，步幅 ${strides}` : ""}`;
}

// Draws the elements after each layer, its name and numbers, and what joins it to the
// elements before.
function drawRows(rows, layers, unit, { svg }) {
  const value = (name, number) => svg("tspan", { "data-value": name }, String(number));
  return rows.map((row, index) => {
    const gap = Math.min(2, 0.2 * row.d * unit);
    const squares = row.paths.map((_, i) => svg("rect", { y: topOf(index),
      x: edge(row, i, unit) + gap / 2, width: row.d * unit - gap, height: HEIGHT,
      stroke: "currentColor", "stroke-width": gap / 2 }));
    const name = index ? [nameOf(layers[index - 1])] :
      ["输入，宽 ", value("pixels", row.size)];
    const texts = [svg("text", { x: TEXT, y: topOf(index) + 6 }, ...name),
      svg("text", { x: TEXT, y: topOf(index) + 24 }, "r = ", value(`r-${index}`, row.r),
        "，d = ", value(`d-${index}`, row.d))];
    const cone = svg("polygon", { fill: "var(--d2lx-soft)",
      stroke: "var(--d2lx-blue)" });
    return { squares, cone, nodes: [cone, ...squares, ...texts] };
  });
}

// Marks in each row what the chosen output sees.
function showRows(drawn, rows, unit) {
  rows.forEach((row, index) => {
    drawn[index].squares.forEach((square, i) =>
      square.setAttribute("fill", row.paths[i] ? "var(--d2lx-blue)" : "none"));
    if (index === 0) return;

    const above = rows[index - 1];
    const [upper, lower] = [topOf(index - 1) + HEIGHT, topOf(index)];
    drawn[index].cone.setAttribute("points", [
      edge(above, above.first, unit), upper, edge(above, above.last + 1, unit), upper,
      edge(row, row.last + 1, unit), lower, edge(row, row.first, unit), lower,
    ].join(" "));
  });
}

// Draws above each column a bar as high as its paths are many, with their number where
// there is room for it.
function drawBars({ rows: [{ paths }], most }, unit, { svg }) {
  const hasRoom = 8 * String(most).length + 3 < unit;
  return paths.flatMap((count, j) => {
    if (count === 0) return [];
    const [x, height] = [LEFT + j * unit, BARS * count / most];
    const bar = svg("rect", { x: x + 0.1 * unit, y: INPUT - 4 - height,
      width: 0.8 * unit, height, fill: "var(--d2lx-green)" });
    const text = svg("text", { x: x + unit / 2, y: INPUT - 8 - height,
      "text-anchor": "middle", "data-value": `paths-${j}` }, String(count));
    return hasRoom ? [bar, text] : [bar];
  });
}

function render({ model, el, parts }) {
  const { svg, html } = parts;
  const networks = NETWORKS[model.get("family")];
  const unit = WIDTH / model.get("pixels");
  const shown = (layers = model.get("layers")) =>
    compute({ pixels: model.get("pixels"), layers, output: model.get("output") });

  // Stacks other layers, and chooses of their outputs the one at the same place.
  function stack(layers, network = "") {
    const now = shown();
    const next = shown(layers);
    const { center, d } = now.rows.at(-1);
    const end = next.rows.at(-1);
    if (!next.fits) {
      said.tell(`${nameOf(layers.at(-1))}：窗口放不下，宽只剩 ${end.size}。`);
    } else if (layers.length > MOST_LAYERS) {
      said.tell(`最多叠 ${MOST_LAYERS} 层。`);
    } else {
      model.set({ layers, network, output: nearest(end, center + now.chosen * d) });
    }
  }

  const add = (layer) => parts.button(`加 ${nameOf(layer)}`,
    () => stack([...model.get("layers"), layer]));
  const padding = (window) => model.get("pads") ? (window - 1) / 2 : 0;
  const addConv = (window) => add(conv(window, 1, padding(window)));
  const remove = parts.button("去掉最后一层",
    () => stack(model.get("layers").slice(0, -1)));
  const network = parts.choice({ label: "网络", value: model.get("network"),
    options: [...Object.keys(networks).map((name) => [name, name]), ["", "自己搭的"]],
    change: (name) => stack(networks[name] ?? model.get("layers"), name) });
  const output = parts.slider({ label: "输出元素", min: 0, max: model.get("pixels") - 1,
    value: model.get("output"), change: (value) => model.set({ output: value }) });

  // Pointing anywhere chooses the output at that place: some are too small to hit.
  const view = parts.picture(520, INPUT, label);
  const point = (event) => {
    if (event.type === "pointermove" && !event.buttons) return;
    const { left, width } = view.getBoundingClientRect();
    const column = ((event.clientX - left) / width * 520 - LEFT) / unit;
    model.set({ output: nearest(shown().rows.at(-1), column) });
  };
  view.addEventListener("pointerdown", point);
  view.addEventListener("pointermove", point);

  const said = parts.say();
  const most = svg("tspan", { "data-value": "most" });
  const bars = svg("g", {});
  const rows = svg("g", {});
  view.append(svg("text", { x: TEXT, y: INPUT - 22 }, "通路最多 ", most, " 条"), bars,
    rows);
  el.append(parts.row(network, addConv(3), addConv(5), add(pool(2, 2)), remove),
    parts.row(output), said, view);
  let drawn = null;
  let drawnLayers = null;

  function update() {
    const now = shown();
    const layers = model.get("layers");
    if (layers !== drawnLayers) {
      drawn = drawRows(now.rows, layers, unit, parts);
      rows.replaceChildren(...drawn.flatMap(({ nodes }) => nodes));
      view.setAttribute("viewBox", `0 0 520 ${topOf(layers.length) + 30}`);
      output.input.max = now.rows.at(-1).size - 1;
    }
    drawnLayers = layers;

    showRows(drawn, now.rows, unit);
    bars.replaceChildren(...drawBars(now, unit, parts));
    most.textContent = parts.number(now.most);
    network.set(model.get("network"));
    output.set(now.chosen);

    const value = (name, number) =>
      html("span", { "data-value": name }, parts.number(number));
    const [{ first, last }] = now.rows;
    said.tell("输出元素 ", value("output", now.chosen), " 看到输入的第 ",
      value("first", first), " 列到第 ", value("last", last), " 列，共 ",
      value("visible", now.visible), " 列",
      ...(now.padded ? ["，另有 ", value("padded", now.padded), " 列在填充里"] : []), "。",
      ...(model.get("family") === "windows" ?
        ["每一对输入、输出通道有 ", value("weights", now.weights), " 个权重。"] : []));
  }

  model.changed(update);
  update();
}

export default { label, states, render };
