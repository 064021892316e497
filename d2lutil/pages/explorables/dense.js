// Shows how channels grow in dense blocks and shrink between them; beside it, how an
// addition keeps their number but no longer tells the layers apart.

const label = "稠密连接：稠密块里的通道怎样增加，过渡层怎样减少它们，与相加比较。";

// The network of the section, for images of 96 × 96.
const [STEM, STEM_EDGE, BLOCK_EDGE, NUM_BLOCKS, NUM_CLASSES] = [64, 48, 24, 4, 10];
const MOST_LAYERS = 6;
const LIMITS = { growth: [8, 48], layers: [1, MOST_LAYERS], block: [1, NUM_BLOCKS],
  conv: [1, MOST_LAYERS] };
const TRANSITIONS = [["book", "照本节的代码"], ["none", "不要过渡层"]];

// The drawing of a block: two panels, each of a column for the input and each layer.
const [PANEL, WIDEST, BASE, TALLEST] = [262, 48, 166, 118];
// The drawing of the network: a bar for the beginning, each block and each transition.
const [STEP, BROAD, FLOOR, HIGHEST] = [64, 34, 130, 104];

const NEW = "color-mix(in srgb, var(--d2lx-blue) 45%, transparent)";
const CHOSEN = "color-mix(in srgb, var(--d2lx-red) 75%, transparent)";
const TRACE = "color-mix(in srgb, var(--d2lx-red) 18%, transparent)";

function whole(values, name) {
  const [low, high] = LIMITS[name];
  return Math.min(high, Math.max(low, Math.round(Number(values[name])) || low));
}

function compute(values) {
  const [growth, layers] = [whole(values, "growth"), whole(values, "layers")];
  const transition = values.transition;

  // A convolution has a bias for each output, a normalisation two numbers a channel.
  let parameters = STEM * 7 * 7 + STEM + 2 * STEM;
  let multiplyAdds = STEM * 7 * 7 * STEM_EDGE ** 2;
  let [channels, edge] = [STEM, BLOCK_EDGE];
  // The number of channels that the section's loop has noted.
  let noted = STEM;
  const path = [{ name: "开头", channels, edge, block: 0, added: 0 }];
  const blocks = [];  // the channels before and after each layer, by block

  for (let block = 1; block <= NUM_BLOCKS; block++) {
    const totals = [channels];
    for (let conv = 1; conv <= layers; conv++) {
      parameters += 2 * channels + channels * growth * 3 * 3 + growth;
      multiplyAdds += channels * growth * 3 * 3 * edge ** 2;
      channels += growth;
      totals.push(channels);
    }
    noted += layers * growth;
    blocks.push(totals);
    path.push({ name: `块 ${block}`, channels, edge, block, added: layers * growth });
    if (block === NUM_BLOCKS || transition === "none") continue;

    const outputs = Math.floor(noted / 2);
    parameters += 2 * channels + channels * outputs + outputs;
    // The 1 × 1 convolution comes before the pooling: it works on the large maps.
    multiplyAdds += channels * outputs * edge ** 2;
    channels = outputs;
    edge /= 2;
    path.push({ name: "过渡", channels, edge, block: 0, added: 0 });
  }

  parameters += 2 * channels + channels * NUM_CLASSES + NUM_CLASSES;
  multiplyAdds += channels * NUM_CLASSES;

  const block = whole(values, "block");
  const conv = Math.min(layers, whole(values, "conv"));
  const totals = blocks[block - 1];
  const [input, reads] = [totals[0], totals[conv - 1]];
  return { growth, layers, path, parameters, multiplyAdds, block, conv, totals,
    input, reads, weights: reads * growth * 3 * 3, sumWeights: input * input * 3 * 3 };
}

function render({ model, el, parts }) {
  const { svg, html, number } = parts;
  const value = (name, x) => html("span", { "data-value": name }, number(x));
  const text = (x, y, content, attributes = {}) => svg("text",
    { x, y, "text-anchor": "middle", ...attributes }, content);
  const rect = (x, y, width, height, fill, attributes = {}) => svg("rect", { x, y,
    width, height, fill, stroke: "currentColor", "stroke-width": 0.75, ...attributes });
  const marked = { stroke: "currentColor", "stroke-width": 2 };
  const state = () => compute({ growth: model.get("growth"),
    layers: model.get("layers"), transition: model.get("transition"),
    block: model.get("block"), conv: model.get("conv") });

  // Concatenated, the layers lie one on another: each keeps channels of its own.
  function bandOnTop(shown, scale, x, source) {
    const below = source ? shown.totals[source - 1] : 0;
    const top = shown.totals[source];
    return [x, BASE - top * scale, shown.bar, (top - below) * scale];
  }

  // Added, they lie side by side in the same channels: each of these holds them all.
  function bandBeside(shown, scale, x, source, count) {
    const width = shown.bar / (count + 1);
    return [x + source * width, BASE - shown.input * scale, width, shown.input * scale];
  }

  // A column has a band for the input and one for each layer up to here.
  function bands(shown, scale, x, count, place) {
    return Array.from({ length: count + 1 }, (_, source) => {
      const chosen = source === shown.conv;
      const fill = chosen ? CHOSEN : source ? NEW : "var(--d2lx-soft)";
      return rect(...place(shown, scale, x, source, count), fill, chosen ? marked : {});
    });
  }

  function panel(shown, scale, left, [title, verb, name, place], totals) {
    const { pitch, bar } = shown;
    const drawn = [text(left + 4, 16, title, { "text-anchor": "start" })];
    totals.forEach((channels, count) => {
      const x = left + 4 + count * pitch;
      const center = x + bar / 2;
      drawn.push(svg("g", { style: "cursor: pointer",
        onclick: () => model.set({ conv: Math.max(1, count) }) },
        // All of the column can be touched, also where nothing is drawn.
        svg("rect", { x: x - 6, y: 24, width: pitch, height: 184,
          fill: "transparent" }),
        ...bands(shown, scale, x, count, place),
        text(center, BASE + 18, number(channels),
          { "data-value": `${name}-${count}` })));
      if (count === shown.conv - 1) {
        drawn.push(rect(x - 3, BASE - channels * scale - 3, bar + 6,
          channels * scale + 6, "none", { ...marked, "stroke-dasharray": "4 3" }));
        drawn.push(text(center, BASE + 36, "读取"));
      }
      if (count === shown.conv) drawn.push(text(center, BASE + 36, verb));
    });
    return drawn;
  }

  function drawBlock(numbers) {
    const { conv, layers, totals, input, reads, growth } = numbers;
    const pitch = Math.min(WIDEST, (PANEL - 10) / (layers + 1));
    const shown = { ...numbers, pitch, bar: 0.66 * pitch };
    const scale = TALLEST / totals[layers];
    const x = 4 + conv * pitch;
    // What a layer has added stays where it is, up to the end of the block.
    const trace = svg("rect", { x, y: BASE - totals[conv] * scale, fill: TRACE,
      width: (layers - conv) * pitch + shown.bar, height: growth * scale });
    blockPicture.replaceChildren(trace,
      ...panel(shown, scale, 0,
        ["连结：各占各的通道", "添上", "channels", bandOnTop], totals),
      ...panel(shown, scale, PANEL,
        ["相加：都在同样的通道里", "加上", "sum-channels", bandBeside],
        totals.map(() => input)),
      text(x + shown.bar / 2, BASE - totals[conv] * scale - 6, `+${number(growth)}`,
        { "data-value": "added" }));
    say.tell("第 ", value("block", shown.block), " 个稠密块的第 ",
      value("conv", conv), " 个卷积层：读取 ", value("reads", reads),
      " 个通道，添上 ", value("adds", growth), " 个，权重有 ",
      value("weights", shown.weights), " 个；换成相加，它要输出 ",
      value("sum-outputs", input), " 个通道，权重有 ",
      value("sum-weights", shown.sumWeights), " 个。");
  }

  function drawPath(shown) {
    const scale = HIGHEST / Math.max(...shown.path.map(({ channels }) => channels));
    const bars = shown.path.map(({ name, channels, edge, block, added }, i) => {
      const x = 4 + i * STEP + (STEP - BROAD) / 2;
      const center = x + BROAD / 2;
      const top = FLOOR - channels * scale;
      return svg("g", block ? { style: "cursor: pointer",
        onclick: () => model.set({ block }) } : {},
        rect(x, top + added * scale, BROAD, (channels - added) * scale,
          "var(--d2lx-soft)", { "stroke-dasharray": block ? null : "4 3" }),
        added ? rect(x, top, BROAD, added * scale, NEW) : "",
        rect(x, top, BROAD, channels * scale, "none",
          block === shown.block ? marked : { stroke: "none" }),
        text(center, top - 6, number(channels), { "data-value": `path-${i}` }),
        text(center, FLOOR + 18, name),
        text(center, FLOOR + 36, `${edge}×${edge}`, { "data-value": `edge-${i}` }));
    });
    pathPicture.replaceChildren(...bars);
    total.replaceChildren("整个网络：", value("parameters", shown.parameters),
      " 个参数；每张 96×96 的图像 ", value("multiply-adds", shown.multiplyAdds),
      " 次乘加。");
  }

  function update() {
    const shown = state();
    drawBlock(shown);
    drawPath(shown);
    chosen.input.max = NUM_BLOCKS * shown.layers;
    chosen.set((shown.block - 1) * shown.layers + shown.conv);
  }

  // Counts the convolutions of all blocks from 1; tells the block, and which one in it.
  const position = (count) => {
    const { layers } = state();
    const block = Math.ceil(count / layers);
    return { block, conv: count - (block - 1) * layers };
  };
  const slider = (name, title, step) => parts.slider({ label: title, step,
    min: LIMITS[name][0], max: LIMITS[name][1], value: model.get(name),
    change: (x) => model.set({ [name]: x }) });
  const chosen = parts.slider({ label: "卷积层", min: 1, value: 1,
    max: NUM_BLOCKS * MOST_LAYERS,
    text: (count) => `块 ${position(count).block} 层 ${position(count).conv}`,
    change: (count) => model.set(position(count)) });

  const blockPicture = parts.picture(520, 210,
    "一个稠密块：每一列是到这一步的全部通道，下方是通道数");
  const pathPicture = parts.picture(520, 176,
    "整个网络：每一条的高度是通道数，下方是高和宽");
  const [say, total] = [parts.say(), html("p", {})];
  el.append(
    parts.row(slider("growth", "增长率", 8), slider("layers", "每块的卷积层", 1),
      parts.choice({ label: "过渡层", options: TRANSITIONS,
        value: model.get("transition"),
        change: (transition) => model.set({ transition }) })),
    pathPicture, total, parts.row(chosen), blockPicture, say);
  model.changed(update);
  update();
}

export default {
  label,
  states: {
    book: { growth: 32, layers: 4, transition: "book", block: 1, conv: 2 },
  },
  render,
};
