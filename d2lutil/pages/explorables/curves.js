// Shows the learning curves of two recorded trainings of the book among all others, by
// epochs or by the multiply-adds that they have used.

const label = "训练曲线：从全书存储的训练里选两次，比较损失、准确率和用掉的乘加。";

const MEASURES = ["loss", "train_acc", "test_acc"];
const AXES = [["epochs", "迭代周期"], ["multiply-adds", "用掉的乘加"]];
// What is listed below the curves: a name, what it is called, and its decimal places.
const ROWS = [["num-train", "训练图像（张）", 0], ["pixels", "图像的高和宽（像素）", 0],
  ["multiply-adds", "每张图像的乘加（百万）", 2], ["spent", "用掉的乘加（万亿）", 2],
  ["loss", "损失", 4], ["train-acc", "训练准确率", 3], ["test-acc", "测试准确率", 3],
  ["gap", "训练准确率减测试准确率", 3]];
// A training step needs about three times the multiply-adds of the forward pass.
const PASSES = 3;

const [LEFT, RIGHT] = [40, 498];
const LOSS = { name: "损失", top: 26, bottom: 126, least: 0, most: 2.5, ticks: [0, 1, 2] };
const ACCURACY = { name: "准确率", top: 160, bottom: 340, most: 1 };

function idOf(run) {
  return `${run.network}, ${run.scale}`;
}

// Returns how many multiply-adds a training has used after some epochs, in 10¹².
function spentAfter(run, epoch) {
  return PASSES * run.multiply_adds * run.images.num_train * epoch / 1e12;
}

// Returns what a training had measured and used after an epoch, or null for none.
function reading(run, epoch) {
  if (!run) return null;
  const at = Math.min(epoch, run.loss.length);
  return { "num-train": run.images.num_train, pixels: run.images.height,
    "multiply-adds": run.multiply_adds / 1e6, spent: spentAfter(run, at),
    loss: run.loss[at - 1], "train-acc": run.train_acc[at - 1],
    "test-acc": run.test_acc[at - 1], gap: run.train_acc[at - 1] - run.test_acc[at - 1] };
}

function clamp(x, low, high) {
  return Math.min(high, Math.max(low, x));
}

function compute(values, data) {
  const find = (id) => data.runs.find((run) => idOf(run) === id);
  const runs = [find(values.first) ?? data.runs[0], find(values.second) ?? null];
  const mostEpochs = Math.max(...data.runs.map((run) => run.loss.length));
  const epoch = clamp(Math.round(Number(values.epoch)) || 1, 1, mostEpochs);

  const [first, second] = runs.map((run) => reading(run, epoch));
  const shown = { runs, mostEpochs, epoch, first, second };
  if (!second) return shown;
  return { ...shown, difference: second["test-acc"] - first["test-acc"],
    ratio: second.spent / first.spent };
}

// Returns the places of epochs on the horizontal axis, and the numbers beside it.
function horizontal(axis, data, mostEpochs) {
  const width = RIGHT - LEFT;
  if (axis === "epochs") {
    const place = (epoch) => LEFT + width * (epoch - 0.7) / (mostEpochs - 0.4);
    const epochs = Array.from({ length: mostEpochs }, (_, i) => i + 1);
    return { ticks: epochs.map((epoch) => [place(epoch), epoch, 0]),
      place: (run, epoch) => place(epoch), title: "迭代周期" };
  }

  const ends = data.runs.flatMap((run) => [1, run.loss.length].map(
    (epoch) => Math.log10(spentAfter(run, epoch))));
  const [low, high] = [Math.floor(Math.min(...ends)), Math.ceil(Math.max(...ends))];
  const place = (power) => LEFT + width * (power - low) / (high - low);
  const powers = Array.from({ length: high - low + 1 }, (_, i) => low + i);
  const ticks = powers.map((power) => [place(power), 10 ** power, Math.max(0, -power)]);
  return { ticks, place: (run, epoch) => place(Math.log10(spentAfter(run, epoch))),
    title: "用掉的乘加（万亿次，对数刻度）" };
}

function render({ model, el, parts, data }) {
  const { svg, html, number } = parts;
  const looks = [{ color: "var(--d2lx-blue)", sign: "● 甲" },
    { color: "var(--d2lx-red)", sign: "◆ 乙" }];
  const text = (x, y, content, anchor = "middle") =>
    svg("text", { x, y, "text-anchor": anchor }, content);
  const line = (x1, y1, x2, y2, attributes = {}) => svg("line", { x1, y1, x2, y2,
    stroke: "var(--d2lx-line)", ...attributes });
  const height = (panel, x) => panel.bottom - (panel.bottom - panel.top)
    * clamp((x - panel.least) / (panel.most - panel.least), 0, 1);
  // Low accuracies are left out where the others are compared closely.
  const least = model.get("from");
  const accuracy = { ...ACCURACY, least,
    ticks: least ? [0.7, 0.8, 0.9, 1] : [0, 0.2, 0.4, 0.6, 0.8, 1] };

  function curve(panel, axis, run, measure, attributes) {
    const points = run[measure].flatMap((x, i) => (x < panel.least ? []
      : `${axis.place(run, i + 1).toFixed(1)},${height(panel, x).toFixed(1)}`));
    return svg("polyline", { points: points.join(" "), fill: "none", ...attributes });
  }

  // Circles for the first training, diamonds for the second; large at the chosen epoch.
  function marks(panel, axis, run, measure, which, epoch) {
    return run[measure].flatMap((x, i) => {
      if (x < panel.least) return [];
      const [r, color] = [i + 1 === epoch ? 7 : 3.5, looks[which].color];
      const [cx, cy] = [axis.place(run, i + 1), height(panel, x)];
      const look = { fill: color, stroke: "currentColor",
        "stroke-width": i + 1 === epoch ? 2 : 0 };
      if (which === 0) return svg("circle", { cx, cy, r, ...look });
      return svg("path", { ...look,
        d: `M${cx - r} ${cy} L${cx} ${cy - r} L${cx + r} ${cy} L${cx} ${cy + r} Z` });
    });
  }

  function frame(panel, axis) {
    return [text(LEFT, panel.top - 10, panel.name, "start"),
      ...panel.ticks.flatMap((tick) => [
        line(LEFT, height(panel, tick), RIGHT, height(panel, tick)),
        text(LEFT - 6, height(panel, tick) + 5, number(tick, panel.most > 1 ? 0 : 1),
          "end")]),
      ...axis.ticks.map(([x]) => line(x, panel.bottom, x, panel.bottom + 5))];
  }

  function draw(shown) {
    const axis = horizontal(model.get("axis"), data, shown.mostEpochs);
    const faint = { stroke: "currentColor", "stroke-width": 1, opacity: 0.25 };
    const guessing = height(LOSS, Math.log(10));
    const drawn = [...frame(LOSS, axis), ...frame(accuracy, axis),
      text(RIGHT, LOSS.top - 10, "点线：ln 10，灰线：其余的训练", "end"),
      text(RIGHT, ACCURACY.top - 10, "实线：训练，虚线：测试（灰线：测试）", "end"),
      line(LEFT, guessing, RIGHT, guessing,
        { stroke: "currentColor", "stroke-dasharray": "1 4" }),
      ...axis.ticks.map(([x, tick, digits]) =>
        text(x, ACCURACY.bottom + 22, number(tick, digits))),
      text((LEFT + RIGHT) / 2, ACCURACY.bottom + 42, axis.title)];

    for (const run of data.runs) {
      drawn.push(curve(LOSS, axis, run, "loss", faint),
        curve(accuracy, axis, run, "test_acc", faint));
    }
    shown.runs.forEach((run, which) => {
      if (!run) return;
      const at = Math.min(shown.epoch, run.loss.length);
      for (const measure of MEASURES) {
        const panel = measure === "loss" ? LOSS : accuracy;
        const dashes = measure === "test_acc" ? "6 4" : null;
        drawn.push(curve(panel, axis, run, measure, { stroke: looks[which].color,
          "stroke-width": 2, "stroke-dasharray": dashes }),
        ...marks(panel, axis, run, measure, which, at));
      }
    });
    picture.replaceChildren(...drawn);
  }

  const value = (name, x, digits) =>
    html("span", { "data-value": name }, number(x, digits));

  function tell({ epoch, second, difference, ratio }) {
    const start = ["第 ", value("epoch", epoch, 0), " 个迭代周期之后"];
    if (!second) {
      say.tell(...start, "：");
      return;
    }
    say.tell(...start, "，乙的测试准确率减去甲的是 ",
      value("difference", difference, 3),
      ratio < 1 ? "；甲用掉的乘加是乙的 " : "；乙用掉的乘加是甲的 ",
      value("ratio", Math.max(ratio, 1 / ratio), 1), " 倍。");
  }

  function update() {
    const shown = compute({ first: model.get("first"), second: model.get("second"),
      epoch: model.get("epoch") }, data);
    draw(shown);
    tell(shown);
    for (const [name, , digits] of ROWS) {
      ["first", "second"].forEach((which) => {
        const read = shown[which];
        cells[`${which}-${name}`].textContent = read ? number(read[name], digits) : "–";
      });
    }
  }

  const cells = {};
  const cell = (name) => {
    cells[name] = html("td", { "data-value": name,
      style: "text-align: right; padding: 0 0 0 1.5rem" });
    return cells[name];
  };
  const head = (content, scope, color = "inherit") => html("th", { scope,
    style: `text-align: ${scope === "row" ? "left" : "right"}; font-weight: inherit; `
      + `color: ${color}; padding: 0 0 0 ${scope === "row" ? 0 : "1.5rem"}` }, content);
  const table = html("table", {},
    html("thead", {}, html("tr", {}, html("td", {}),
      ...looks.map(({ sign, color }) => head(sign, "col", color)))),
    html("tbody", {}, ...ROWS.map(([name, title]) => html("tr", {}, head(title, "row"),
      cell(`first-${name}`), cell(`second-${name}`)))));

  const options = data.runs.map((run) => [idOf(run), idOf(run)]);
  const choice = (name, title, all) => parts.choice({ label: title, options: all,
    value: model.get(name), change: (key) => model.set({ [name]: key }) });
  const slider = parts.slider({ label: "迭代周期", min: 1, value: model.get("epoch"),
    max: Math.max(...data.runs.map((run) => run.loss.length)),
    change: (epoch) => model.set({ epoch }) });
  const picture = parts.picture(520, 390, "上图是损失，下图是准确率；横轴可以选择");
  const say = parts.say();
  el.append(
    parts.row(choice("first", "● 训练甲", options),
      choice("second", "◆ 训练乙", [["", "（不比较）"], ...options])),
    parts.row(choice("axis", "横轴", AXES), slider), picture, say, table);
  model.changed(update);
  update();
}

export default { label, measured: "figure",
  states: {
    lenet: { first: "LeNet, full", second: "", axis: "epochs", epoch: 1, from: 0 },
    cost: { first: "LeNet + BN, lesson", second: "", axis: "multiply-adds", epoch: 5,
      from: 0.7 },
  },
  render,
};
