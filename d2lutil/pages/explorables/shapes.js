// Shapes, parameters, multiply-adds and memory of the book's networks, layer by layer.

const label = "形状计算器：选一个网络和图像的大小，看每一层输出的形状、参数、乘加和激活值";

// Layers, other steps, and blocks: the name, and the numbers that describe one.
const KINDS = {
  conv: ["卷积层", "channels kernel strides padding"], dense: ["全连接层", "outputs"],
  max: ["最大池化层", "kernel strides padding"], global: ["全局平均池化层"],
  average: ["平均池化层", "kernel strides padding"], norm: ["批量归一化层"],
  dropout: ["丢弃法"], flatten: ["压平"], relu: ["ReLU"], sigmoid: ["sigmoid"],
  add: ["相加"], concat: ["连结"], vgg: ["VGG 块", "convs channels"],
  nin: ["NiN 块", "channels kernel strides padding"],
  inception: ["Inception 块", "path1 reduce2 path2 reduce3 path3 path4"],
  residual: ["残差块", "channels strides skip"],
  denseBlock: ["稠密块", "convs growth"], transition: ["过渡层", "channels"],
};

// Semicolons are between the parts of a network, commas between those of an
// `nn.Sequential` in it. A layer may have its activation function behind its numbers.
const HEAD = "dense 4096 relu; dropout; dense 4096 relu; dropout; dense 10";
const STEM = "conv 64 7 2 3; norm; relu; max 3 2 1";
const LENET = `conv 6 5 1 0 sigmoid; max 2 2 0; conv 16 5 1 0 sigmoid; max 2 2 0;
  dense 120 sigmoid; dense 84 sigmoid; dense 10`;
const NETWORKS = {
  lenet: ["LeNet", LENET],
  "lenet-bn": ["LeNet（批量归一化）", LENET.replaceAll(" sigmoid", "; norm; sigmoid")],
  alexnet: ["AlexNet", `conv 96 11 4 0 relu; max 3 2 0; conv 256 5 1 2 relu; max 3 2 0;
    conv 384 3 1 1 relu; conv 384 3 1 1 relu; conv 256 3 1 1 relu; max 3 2 0; ${HEAD}`],
  "vgg-11": ["VGG-11", `vgg 1 64; vgg 1 128; vgg 2 256; vgg 2 512; vgg 2 512; ${HEAD}`],
  "vgg-11-quarter": ["VGG-11 (1/4)", `vgg 1 16; vgg 1 32; vgg 2 64; vgg 2 128;
    vgg 2 128; ${HEAD}`],
  nin: ["NiN", `nin 96 11 4 0; max 3 2 0; nin 256 5 1 2; max 3 2 0; nin 384 3 1 1;
    max 3 2 0; dropout; nin 10 3 1 1; global; flatten`],
  googlenet: ["GoogLeNet", `conv 64 7 2 3 relu, max 3 2 1;
    conv 64 1 1 0, conv 192 3 1 1, max 3 2 1;
    inception 64 96 128 16 32 32, inception 128 128 192 32 96 64, max 3 2 1;
    inception 192 96 208 16 48 64, inception 160 112 224 24 64 64,
    inception 128 128 256 24 64 64, inception 112 144 288 32 64 64,
    inception 256 160 320 32 128 128, max 3 2 1; inception 256 160 320 32 128 128,
    inception 384 192 384 48 128 128, global; dense 10`],
  "resnet-18": ["ResNet-18", `${STEM}; residual 64 1 0, residual 64 1 0;
    residual 128 2 1, residual 128 1 0; residual 256 2 1, residual 256 1 0;
    residual 512 2 1, residual 512 1 0; global; dense 10`],
  densenet: ["DenseNet", `${STEM}; denseBlock 4 32; transition 96; denseBlock 4 32;
    transition 160; denseBlock 4 32; transition 224; denseBlock 4 32; norm; relu;
    global; dense 10`],
};

// What a reader may change; from 1 to twice as much if nothing is said.
const FIELDS = {
  channels: ["输出通道数"], outputs: ["输出个数"], kernel: ["窗口", 1, 11],
  strides: ["步幅", 1, 4], padding: ["填充", 0, 5], convs: ["卷积层个数", 1, 4],
  growth: ["增长率"], skip: ["跨层连接的 1×1 卷积层", 0, 1], path1: ["线路 1"],
  reduce2: ["线路 2 先减到"], path2: ["线路 2"], reduce3: ["线路 3 先减到"],
  path3: ["线路 3"], path4: ["线路 4"],
};
const limits = (field, n) => [FIELDS[field][1] ?? 1, FIELDS[field][2] ?? 2 * n];
const within = (x, [low, high]) => Math.min(high, Math.max(low, Math.round(x) || 0));
const fieldsOf = (kind) => KINDS[kind][1]?.split(" ") ?? [];

// Returns the description of a layer or block, "max 3 2 0", as an object.
function parse(text) {
  const [kind, ...words] = text.split(" ");
  const numbers = fieldsOf(kind).map((field, i) => [field, Number(words[i])]);
  return { kind, activation: words[numbers.length], ...Object.fromEntries(numbers) };
}

// Returns the parts of a network, with what the reader changed, and their places.
function partsOf(network, changes) {
  const list = NETWORKS[network][1].split(/;\s+/).flatMap((texts, i) =>
    texts.split(/,\s+/).map((text, j, { length }) =>
      ({ place: length > 1 ? `${i}.${j}` : `${i}`, original: parse(text) })));

  return list.map(({ place, original }) => {
    const spec = { ...original };
    for (const field of fieldsOf(spec.kind)) {
      const wanted = changes[place]?.[field] ?? spec[field];
      spec[field] = within(wanted, limits(field, spec[field]));
    }
    // MXNet's pooling refuses a window that lies on nothing but padding.
    if (spec.kernel) spec.padding = Math.min(spec.padding, spec.kernel - 1);

    const alike = list.filter((part) => part.original.kind === spec.kind);
    const number = 1 + alike.findIndex((part) => part.place === place);
    const name = KINDS[spec.kind][0] + (alike.length > 1 ? ` ${number}` : "");
    return { place, name, original, spec, removed: changes[place] === null };
  });
}

const shapeText = (shape) => `(${shape.join(", ")})`;
const sizeOf = (shape) => shape.reduce((product, n) => product * n, 1);

// Returns how many positions a window has along the height, or the width.
function positions(edge, { kernel, strides, padding }) {
  const room = edge + 2 * padding, what = padding ? "填充之后" : "输入";
  if (kernel > room) throw new RangeError(`窗口 ${kernel} 大于${what}的边长 ${room}，放不下`);
  return Math.floor((room - kernel) / strides) + 1;
}

// MXNet's rule, and NumPy's: sizes are equal, or one of them is 1.
function sumShape(A, B) {
  if (A.some((n, i) => n !== B[i] && n !== 1 && B[i] !== 1)) {
    throw new RangeError(`两路的形状 ${shapeText(A)} 和 ${shapeText(B)}，不能相加`);
  }
  return A.map((n, i) => Math.max(n, B[i]));
}

// The cost of outputs with `each` weights and a bias, which are used `times` times.
const weighted = (outputs, each, times) =>
  ({ parameters: outputs * (each + 1), multiplyAdds: outputs * each * times });

// Returns the shape of a step's output and what it costs, as `gb.network_cost` counts.
function cost({ kind, channels, outputs, ...window }, shape, ...others) {
  const size = sizeOf(shape), all = others.reduce((sum, [n]) => sum + n, shape[0]);
  if (kind === "dense") return { shape: [outputs], ...weighted(outputs, size, 1) };
  if (kind === "norm") return { shape, parameters: 2 * shape[0] };  // gamma and beta
  if (kind === "global") return { shape: [shape[0], 1, 1] };
  if (kind === "flatten") return { shape: [size] };
  if (kind === "add") return { shape: sumShape(shape, ...others) };
  if (kind === "concat") return { shape: [all, ...shape.slice(1)] };
  if (!window.kernel) return { shape };

  const n = positions(shape[1], window), each = shape[0] * window.kernel ** 2;
  if (kind !== "conv") return { shape: [shape[0], n, n] };
  return { shape: [channels, n, n], ...weighted(channels, each, n * n) };
}

// How blocks compute: `run(key, text, X)` runs a layer, without a key another step.
const same = (channels, kernel) => `conv ${channels} ${kernel} 1 ${(kernel - 1) / 2}`;
const active = (channels, kernel) => `${same(channels, kernel)} relu`;
const chain = (texts, prefix = "") => (X, run) =>
  texts.reduce((Y, text, i) => run(`${prefix}${i}`, text, Y), X);

const BLOCKS = {
  vgg: (b) => chain([...Array(b.convs).fill(active(b.channels, 3)), "max 2 2 0"]),
  nin: (b) => chain([`conv ${b.channels} ${b.kernel} ${b.strides} ${b.padding} relu`,
    active(b.channels, 1), active(b.channels, 1)]),
  transition: (b) => chain(["norm", "relu", same(b.channels, 1), "average 2 2 0"]),
  inception: (b) => (X, run) => run(null, "concat", run("p1_1", active(b.path1, 1), X),
    run("p2_2", active(b.path2, 3), run("p2_1", active(b.reduce2, 1), X)),
    run("p3_2", active(b.path3, 5), run("p3_1", active(b.reduce3, 1), X)),
    run("p4_2", active(b.path4, 1), run("p4_1", "max 3 1 1", X))),
  residual: ({ channels, strides, skip }) => (X, run) => {
    let Y = run("bn1", "norm", run("conv1", `conv ${channels} 3 ${strides} 1`, X));
    Y = run("bn2", "norm", run("conv2", same(channels, 3), run(null, "relu", Y)));
    const shortcut = skip ? run("conv3", `conv ${channels} 1 ${strides} 0`, X) : X;
    return run(null, "relu", run(null, "add", Y, shortcut));
  },
  denseBlock: ({ convs, growth }) => (X, run) => [...Array(convs).keys()].reduce(
    (all, i) => run(null, "concat", all,
      chain(["norm", "relu", same(growth, 3)], `net.${i}.`)(all, run)), X),
};

// What a gradient reads, as in d2lutil/engine/kept.py; other steps' read nothing.
const READS_INPUT = /conv|dense|norm|max|average|global|sigmoid|concat/;
const READS_OUTPUT = /max|average|global|relu|sigmoid/;

// Returns the array that a step computes, and marks what training has to keep.
function computed(kind, inputs, shape) {
  if (READS_INPUT.test(kind)) inputs.forEach((X) => { X.kept = true; });
  return { shape, kept: READS_OUTPUT.test(kind) };
}

// Returns a part's output, and adds to `steps` what runs; a refused one is the last.
function forward({ spec, place }, input, steps) {
  const run = (key, text, ...inputs) => {
    const layer = text ? parse(text) : spec;
    const { kind, activation, kernel } = layer;
    const way = key === "conv3" ? "跨层：" : key?.[0] === "p" ? `线路 ${key[1]}：` : "";
    const title = way + (kernel ? `${kernel}×${kernel} ` : "") + KINDS[kind][0];
    const name = key === null ? null : place + (key && `.${key}`);
    const step = { name, title, parameters: 0, multiplyAdds: 0, arrays: [] };
    steps.push(step);
    const { shape } = Object.assign(step, cost(layer, ...inputs.map((X) => X.shape)));
    const Y = computed(kind, inputs, shape);
    step.arrays = activation ? [Y, computed(activation, [Y], shape)] : [Y];
    return step.arrays.at(-1);
  };
  return spec.kind in BLOCKS ? BLOCKS[spec.kind](spec)(input, run) : run("", "", input);
}

const sums = (steps) => Object.fromEntries(["parameters", "multiplyAdds", "keptBytes"]
  .map((key) => [key, steps.reduce((sum, step) => sum + step[key], 0)]));

// Returns the parts with their steps, and the whole as `gb.network_cost` counts it. Where
// Gluon refuses, `refusal` tells why: no whole then.
function compute({ network, size, changes }) {
  const edge = within(size, [1, 1024]);
  let X = { shape: [1, edge, edge], kept: false }, refusal = null;
  const image = { name: null, parameters: 0, multiplyAdds: 0, arrays: [X] };
  const parts = [{ place: "input", name: "输入", shape: X.shape, steps: [image] }];

  for (const part of partsOf(network, changes)) {
    parts.push(Object.assign(part, { steps: [] }));
    if (part.removed || refusal) continue;
    try {
      X = forward(part, X, part.steps);
      part.shape = X.shape;
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
      const last = part.steps.at(-1);
      const where = part.name + (last.name === part.place ? "" : `，${last.title}`);
      part.refused = last.refused = error.message.split("，").at(-1);
      refusal = { where, message: error.message };
    }
  }

  // Only now is it known what training keeps: what later steps read, too.
  const steps = parts.flatMap((part) => part.steps);
  for (const step of steps) {
    const sizes = step.arrays.map((array) => (array.kept ? sizeOf(array.shape) : 0));
    step.keptBytes = refusal ? NaN : 4 * sizes.reduce((sum, size) => sum + size, 0);
    delete step.arrays;
  }
  parts.forEach((part) => Object.assign(part, sums(part.steps)));
  return { parts, refusal, ...(refusal ? {} : sums(steps)) };
}

// Key, name of its values, title, where it ends, colour and unit of each column.
const COLUMNS = [["parameters", "parameters", "参数", 338, "blue", 1],
  ["multiplyAdds", "multiply-adds", "乘加", 428, "red", 1],
  ["keptBytes", "kept-bytes", "激活值 MB", 518, "green", 1e6]];
// As Chinese counts: 26218496 is 2622万.
const SHORT = Intl.NumberFormat("zh",
  { notation: "compact", maximumSignificantDigits: 4 });

// Returns what the table shows: the parts, and the steps inside the selected one.
function rowsOf(parts, selected) {
  const row = (item, more) => ({ ...item, ...more, edge: item.shape?.[1],
    channels: item.shape?.[1] && item.shape[0] });
  return parts.flatMap((part) => {
    const { place, name, spec, steps } = part;
    const open = place === selected, mark = steps.length < 2 ? "" : open ? "▾ " : "▸ ";
    const title = mark + name + (spec?.kernel ? `：${spec.kernel}×${spec.kernel}` : "");
    const inside = steps.map((step, i) => row(step, { place, indent: 18,
      id: step.name ? `layer-${step.name}` : `step-${place}-${i}` }));
    return [row(part, { title, id: `part-${place}`, indent: 4, chosen: open }),
      ...(open && mark ? inside : [])];
  });
}

// Draws a row; `share` tells how large a number is beside the largest of the table.
function drawRow({ svg }, row, y, share, onclick) {
  const words = (x, name, text, more) => svg("text",
    { x, y: y + 15, "data-value": `${row.id}-${name}`, ...more }, text);
  const bar = (x, top, key, color) => svg("rect", { x, y: y + top, height: 4,
    width: 80 * share(row, key), fill: `var(--d2lx-${color})` });
  const missing = row.removed ? "已去掉" : row.refused ? `✕ ${row.refused}` : "—";

  return svg("g", { onclick, style: "cursor: pointer" },
    svg("rect", { x: 1, y: y + 1, width: 518, height: 30, "stroke-dasharray": "5 3",
      fill: row.chosen ? "var(--d2lx-soft)" : "transparent", "stroke-width": 2,
      stroke: row.refused ? "var(--d2lx-red)" : "none" }),
    words(row.indent, "title", row.title),
    words(152, "shape", row.shape ? shapeText(row.shape) : missing),
    bar(152, 19, "edge", "violet"), bar(152, 24, "channels", "mark"),
    ...COLUMNS.flatMap(([key, name, , end, color, unit]) => {
      const x = row.shape && !Number.isNaN(row[key]) ? row[key] : null;
      const text = x === null ? "—" : SHORT.format(x / unit);
      return [words(end, name, text, { "text-anchor": "end", "data-number": x }),
        bar(end - 80, 20, key, color)];
    }));
}

// The height and width of the images that a section trains its network with.
const SIZES = { lenet: 28, "lenet-bn": 28, googlenet: 96, "resnet-18": 96, densenet: 96 };
const ownSize = (network) => SIZES[network] ?? 224;
const state = (network, selected) =>
  ({ network, size: ownSize(network), selected, changes: {} });
export default {
  label,
  states: {
    alexnet: state("alexnet", "0"), vgg: state("vgg-11", "4"),
    nin: state("nin", "0"),
    googlenet: state("googlenet", "0.0"), "batch-norm": state("lenet-bn", "1"),
    resnet: state("resnet-18", "5.0"), densenet: state("densenet", "5"),
  },

  render({ model, el, parts }) {
    const { html, svg, number } = parts;
    const change = (what) => model.set({ changes:
      { ...model.get("changes"), [chosen.place]: what } });
    const network = parts.choice({ label: "网络", value: model.get("network"),
      options: Object.entries(NETWORKS).map(([key, [name]]) => [key, name]),
      change: (key) => model.set({ network: key, changes: {},
        size: hasOwnSize ? model.get("size") : ownSize(key),
        selected: partsOf(key, {})[0].place }) });
    const sizeSlider = parts.slider({ label: "图像的高和宽", min: 8, max: 256,
      value: model.get("size"), change: (n) => {
        hasOwnSize = true;
        model.set({ size: n });
      } });
    sizeSlider.input.style.width = "14rem";  // about a pixel for each size
    const picker = parts.choice({ label: "改一层", options: [],
      change: (selected) => model.set({ selected }) });
    const remove = parts.button("", () => change(chosen.removed ? {} : null));
    const reset = parts.button("全部恢复", () => model.set({ changes: {} }));
    const edits = parts.row(picker, remove, reset), fields = parts.row();
    const said = parts.say(), table = html("div");
    el.append(parts.row(network, sizeSlider), said, edits, fields, table);

    // hasOwnSize: the reader has moved the slider, so another network keeps its size.
    let chosen, sliders, built, hasOwnSize = false;
    // Only for another network or part: a control in use keeps the focus.
    const buildControls = (list) => {
      const { place, original } = chosen;
      picker.select.replaceChildren(...list.map((part) =>
        html("option", { value: part.place }, part.name)));
      sliders = fieldsOf(original.kind).map((field) => {
        const [low, max] = limits(field, original[field]), step = max > 2048 ? 128 : 1;
        return [field, parts.slider({ label: FIELDS[field][0], max, step,
          min: step > 1 ? step : low, value: original[field],
          text: (n) => (field === "skip" ? ["没有", "有"][n] : `${n}`),
          change: (n) => change({ ...model.get("changes")[place], [field]: n }) })];
      });
      fields.replaceChildren(...sliders.map(([, slider]) => slider));
    };

    const drawTable = (list) => {
      const rows = rowsOf(list, chosen.place);
      const share = (row, key) =>
        (row.shape && row[key] || 0) / Math.max(1, ...rows.map((one) => one[key] || 0));
      const head = (x, text, more) => svg("text", { x, y: 14, ...more }, text);
      const picture = parts.picture(520, 40 + 32 * rows.length, label);
      picture.append(head(4, "层"), head(152, "输出的形状"),
        head(152, "高宽 / 通道", { y: 32 }),
        ...COLUMNS.map(([, , title, x]) => head(x, title, { "text-anchor": "end" })),
        ...rows.map((row, i) => drawRow(parts, row, 40 + 32 * i, share, () =>
          row.place !== "input" && model.set({ selected: row.place }))));
      table.replaceChildren(picture);
    };

    const update = () => {
      const [network, size, selected, changes] =
        ["network", "size", "selected", "changes"].map(model.get);
      const { refusal, ...result } = compute({ network, size, changes });
      const list = result.parts.slice(1);  // the input cannot be changed
      chosen = list.find(({ place }) => place === selected) ?? list[0];
      if (built !== network + chosen.place) buildControls(list);
      built = network + chosen.place;
      sizeSlider.set(size);
      picker.set(chosen.place);
      remove.textContent = chosen.removed ? "放回" : "去掉";
      for (const [field, slider] of sliders) {
        slider.set(chosen.spec[field]);
        slider.input.disabled = chosen.removed;
      }
      drawTable(result.parts);
      const fact = (name, text) => html("span", { "data-value": name }, text);
      // Beside a total, how many times that of the network as its section has it.
      const before = compute({ network, size: ownSize(network), changes: {} });
      const total = (key, name, unit, digits) => {
        const ratio = result[key] / before[key];
        return [fact(name, number(result[key] / unit, digits)),
          ...(ratio && ratio !== 1
            ? ["（", fact(`${name}-ratio`, number(ratio, 2)), " 倍）"] : [])];
      };
      said.tell(...(refusal
        ? [fact("refusal", `${refusal.where}：${refusal.message}。Gluon 在这里报错。`)]
        : [...total("parameters", "parameters", 1, 0), " 个参数，",
          ...total("multiplyAdds", "multiply-adds", 1, 0), " 次乘加，训练时每张图像留 ",
          ...total("keptBytes", "kept-bytes", 1e6, result.keptBytes < 1e6 ? 4 : 2),
          " MB 的激活值。"]));
    };
    model.changed(update);
    update();
  },
};
