// Shows what the channels of a trained network answer to test images: for one image all
// layers at once, and for one channel all images, with what its strongest cell sees.

const label = "看见网络：训练过的网络的特征图，一层一层、一个通道一个通道地看。";

const CLASSES = ["T 恤", "裤子", "套头衫", "连衣裙", "外套", "凉鞋", "衬衫", "运动鞋",
  "包", "短靴"];

// The picture: names on the left; images and their maps in wide columns, then a row of
// channels for each layer, then a bar for each class.
const LEFT = 98;
const IMAGE = { size: 64, pitch: 70 };
const TILE = { size: 38, pitch: 42 };
const NAMES_TOP = 84;
const MAPS_TOP = 92;
const ANSWERS_TOP = 173;
const LAYERS_TOP = 186;
const BAR = 40;

function whole(value, most) {
  return Math.min(most, Math.max(0, Math.round(Number(value)) || 0));
}

function softmax(scores) {
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const sum = powers.reduce((total, power) => total + power, 0);
  return powers.map((power) => power / sum);
}

function indexOfMost(numbers) {
  return numbers.indexOf(Math.max(...numbers));
}

// The part of the image that a cell of a layer sees: no padding, and not the last rows
// and columns of the image either, where a stride leaves them over.
function windowOf({ start, strides, field, end }, cell, edge) {
  const from = (i) => Math.max(0, start + i * strides);
  const to = (i) => Math.min(end, start + i * strides + field);
  const [i, j] = [Math.floor(cell / edge), cell % edge];
  return { top: from(i), left: from(j), height: to(i) - from(i),
    width: to(j) - from(j) };
}

// What is shown: the numbers of the chosen channel for each image, and of the chosen
// image for each class.
function compute(values, data) {
  const network = data[values.network];
  const isTrained = values.trained || !network.untrained;
  const run = isTrained ? network.trained : network.untrained;

  const image = whole(values.image, network.images.length - 1);
  const layer = whole(values.layer, network.layers.length - 1);
  const { name, shape, channels } = network.layers[layer];
  const column = whole(values.channel, channels.length - 1);
  const channel = channels[column];

  // The channels of a layer that ends in a score for each class are the classes.
  const isOfClasses = shape[0] === CLASSES.length;
  const { strongest, at } = run.layers[layer];
  const most = strongest.map((channelsOfImage) => channelsOfImage[column]);
  const answers = isOfClasses ? run.scores.map((scores) => scores[channel]) : most;

  // A channel that does not answer an image has no strongest cell.
  const windows = most.map((answer, i) => answer > 0
    ? windowOf(network.layers[layer], at[i][column], shape[2]) : null);

  const probabilities = softmax(run.scores[image]);
  return { isTrained, image, layer, column, channel, name, isOfClasses, answers,
    windows, best: Math.max(...most) > 0 ? indexOfMost(answers) : null,
    probabilities, guess: indexOfMost(probabilities),
    truth: network.images[image].label };
}

// A map that is cut out of a picture, in which those of all channels lie side by side.
function cutout(x, y, size, { svg }) {
  const picture = svg("image", { preserveAspectRatio: "none" });
  const view = svg("svg", { x, y, width: size, height: size,
    preserveAspectRatio: "none", "aria-hidden": true }, picture);

  function show(png, column, count, [height, width]) {
    view.setAttribute("viewBox", `${column * width} 0 ${width} ${height}`);
    picture.setAttribute("width", count * width);
    picture.setAttribute("height", height);
    // Cells are squares with sharp edges as long as there is room for them.
    picture.style.imageRendering = width < size ? "pixelated" : "auto";
    // The same picture is not decoded again.
    const address = `data:image/png;base64,${png}`;
    if (picture.getAttribute("href") !== address) picture.setAttribute("href", address);
  }

  return { view, show };
}

// What is clicked on, and outlined when it is chosen. On the way to an image, the mouse
// crosses channels: they must not answer it.
function button(x, y, size, name, { svg }) {
  const frame = svg("rect", { x: x - 1, y: y - 1, width: size + 2, height: size + 2,
    fill: "transparent", stroke: "currentColor", role: "button", "aria-label": name,
    style: "cursor: pointer" });

  const choose = (isChosen) => {
    frame.setAttribute("aria-pressed", isChosen);
    frame.setAttribute("stroke-width", isChosen ? 3 : 0);
  };
  return { frame, choose };
}

// A box on an image, to be seen on black and on white.
function box({ svg }) {
  const lines = [["#000", 4], ["#ffd166", 2]].map(([stroke, width]) => svg("rect", {
    fill: "none", stroke, "stroke-width": width, "pointer-events": "none" }));

  function show(part, x, y, scale) {
    for (const line of lines) {
      line.setAttribute("visibility", part ? "visible" : "hidden");
      if (!part) continue;
      line.setAttribute("x", x + scale * part.left);
      line.setAttribute("y", y + scale * part.top);
      line.setAttribute("width", scale * part.width);
      line.setAttribute("height", scale * part.height);
    }
  }

  return { lines, show };
}

// Draws the images, below each the map of the chosen channel and its answer.
function drawImages(network, parts) {
  const { svg } = parts;
  return network.images.map(({ label: truth, png }, i) => {
    const x = LEFT + i * IMAGE.pitch;
    const center = { x: x + IMAGE.size / 2, "text-anchor": "middle" };
    const photo = svg("image", { x, y: 4, width: IMAGE.size, height: IMAGE.size,
      "aria-hidden": true, href: `data:image/png;base64,${png}` });
    const name = svg("text", { ...center, y: NAMES_TOP }, CLASSES[truth]);
    const map = cutout(x, MAPS_TOP, IMAGE.size, parts);
    const answer = svg("text", { ...center, y: ANSWERS_TOP,
      "data-value": `answer-${i}` });
    const chosen = button(x, 4, IMAGE.size, `图像：${CLASSES[truth]}`, parts);
    const seen = box(parts);
    return { x, map, answer, chosen, seen,
      nodes: [photo, name, map.view, answer, ...seen.lines, chosen.frame] };
  });
}

// Draws the layers, a row each: name and shape, and the map of each stored channel.
function drawLayers(network, parts) {
  const { svg } = parts;
  return network.layers.map(({ name, shape, channels }, row) => {
    const y = LAYERS_TOP + row * TILE.pitch;
    const title = svg("text", { x: 2, y: y + 15 }, name);
    const size = svg("text", { x: 2, y: y + 32, "data-value": `shape-${row}` },
      `(${shape.join(", ")})`);

    const maps = channels.map((channel, column) => {
      const x = LEFT + column * TILE.pitch;
      const map = cutout(x, y, TILE.size, parts);
      const chosen = button(x, y, TILE.size, `${name}，通道 ${channel}`, parts);
      return { map, chosen };
    });
    const nodes = maps.flatMap(({ map, chosen }) => [map.view, chosen.frame]);
    return { maps, nodes: [title, size, ...nodes] };
  });
}

// Draws a bar for the probability of each class, in the columns of the channels.
function drawClasses(top, parts) {
  const { svg } = parts;
  const base = top + 20 + BAR;
  const title = svg("text", { x: 2, y: base }, "概率");

  const bars = CLASSES.map((name, k) => {
    const x = LEFT + k * TILE.pitch;
    const center = { x: x + TILE.size / 2, "text-anchor": "middle" };
    const bar = svg("rect", { x: x + 6, width: TILE.size - 12,
      fill: "var(--d2lx-blue)" });
    const shown = svg("text", { ...center, "data-value": `probability-${k}` });
    // Names of three characters are too wide for their column: every other is lower.
    const text = svg("text", { ...center, y: base + 16 + 16 * (k % 2) }, name);

    const show = (probability, isTrue) => {
      const height = BAR * probability;
      bar.setAttribute("y", base - height);
      bar.setAttribute("height", height);
      shown.setAttribute("y", base - height - 4);
      shown.textContent = parts.number(probability, 2);
      text.setAttribute("font-weight", isTrue ? 700 : 400);
      text.setAttribute("text-decoration", isTrue ? "underline" : "none");
    };
    return { show, nodes: [bar, shown, text] };
  });
  return { show: (shown) => bars.forEach(({ show }, k) =>
    show(shown.probabilities[k], k === shown.truth)),
  nodes: [title, ...bars.flatMap(({ nodes }) => nodes)] };
}

function render({ model, el, parts, data }) {
  const { svg, html } = parts;
  const network = data[model.get("network")];
  const { pixels } = network;
  const state = () => compute(Object.fromEntries(["network", "image", "layer",
    "channel", "trained"].map((name) => [name, model.get(name)])), data);
  const value = (name, text) => html("span", { "data-value": name }, text);
  // Before training, the numbers of the last layers are small.
  const numberOf = (x) => parts.number(x, x !== 0 && Math.abs(x) < 0.1 ? 4 : 2);

  const images = drawImages(network, parts);
  const layers = drawLayers(network, parts);
  const bottom = LAYERS_TOP + layers.length * TILE.pitch;
  const classes = drawClasses(bottom, parts);

  const layerName = svg("text", { x: 2, y: MAPS_TOP + 26 });
  const channelName = svg("text", { x: 2, y: MAPS_TOP + 44 });
  const answerName = svg("text", { x: 2, y: ANSWERS_TOP });
  const picture = parts.picture(520, bottom + BAR + 58, label);
  picture.append(svg("text", { x: 2, y: 40 }, "图像"),
    ...images.flatMap(({ nodes }) => nodes), layerName, channelName, answerName,
    ...layers.flatMap(({ nodes }) => nodes), ...classes.nodes);

  parts.grid([images.map(({ chosen }) => chosen.frame)],
    (_, image) => model.set({ image }), [0, model.get("image")], false);
  parts.grid(layers.map(({ maps }) => maps.map(({ chosen }) => chosen.frame)),
    (layer, channel) => model.set({ layer, channel }),
    [model.get("layer"), model.get("channel")], false);

  const when = parts.choice({ label: "网络", options: [["after", "训练之后"],
    ["before", "训练之前"]], value: model.get("trained") ? "after" : "before",
  change: (key) => model.set({ trained: key === "after" }) });
  const [ofChannel, ofImage] = [parts.say(), parts.say()];
  const source = html("p", {}, `特征图取自 ${network.scale} 规模的训练：`,
    value("pixels", `${pixels}×${pixels}`), " 的图像，测试准确率 ",
    value("test-acc", parts.number(network.testAcc, 3)),
    "。每一层画出其中 10 个通道：黑是 0，白是这个通道在六张图像上的最大值",
    network.layers.some(({ shape }) => shape[0] === CLASSES.length)
      ? "，十个类别的通道用同一个刻度。" : "。");
  el.append(...network.untrained ? [parts.row(when)] : [], picture, ofChannel, ofImage,
    source);

  function updateImages(shown, run) {
    const { maps } = run.layers[shown.layer];
    const { shape, channels } = network.layers[shown.layer];
    images.forEach(({ x, map, answer, chosen, seen }, i) => {
      map.show(maps[i], shown.column, channels.length, shape.slice(1));
      answer.textContent = numberOf(shown.answers[i]);
      seen.show(shown.windows[i], x, 4, IMAGE.size / pixels);
      chosen.choose(i === shown.image);
    });

    layerName.textContent = shown.name;
    channelName.textContent = `通道 ${shown.channel}`;
    answerName.textContent = shown.isOfClasses ? "得分" : "最大值";
  }

  function updateLayers(shown, run) {
    layers.forEach(({ maps }, row) => {
      const { shape, channels } = network.layers[row];
      maps.forEach(({ map, chosen }, column) => {
        map.show(run.layers[row].maps[shown.image], column, channels.length,
          shape.slice(1));
        chosen.choose(row === shown.layer && column === shown.column);
      });
    });
  }

  function tell(shown) {
    const meaning = shown.isOfClasses ? `（${CLASSES[shown.channel]}）` : "";
    const part = shown.windows[shown.image];
    const best = shown.best === null ? ["对这些图像都没有响应"] : ["对“",
      value("best", CLASSES[network.images[shown.best].label]), "”的响应最强"];
    ofChannel.tell(`${shown.name}，通道 `, value("channel", shown.channel),
      `${meaning}：`, ...best, ...part ? ["；在选中的图像上，最强的一格看到 ",
        value("window", `${part.height}×${part.width}`), " 像素（方框）。"] : ["。"]);

    ofImage.tell("网络猜选中的图像是“", value("guess", CLASSES[shown.guess]),
      "”，真实的类别是“", value("truth", CLASSES[shown.truth]), "”。");
  }

  function update() {
    const shown = state();
    const run = shown.isTrained ? network.trained : network.untrained;
    updateImages(shown, run);
    updateLayers(shown, run);
    classes.show(shown);
    tell(shown);
  }

  model.changed(update);
  update();
}

export default {
  label,
  measured: "state",
  states: {
    alexnet: { network: "alexnet", image: 5, layer: 0, channel: 0, trained: true },
    nin: { network: "nin", image: 5, layer: 3, channel: 9, trained: true },
    googlenet: { network: "googlenet", image: 5, layer: 3, channel: 0, trained: true },
  },
  render,
};
