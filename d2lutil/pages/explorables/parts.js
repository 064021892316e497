// What the interactive figures share: elements, controls, colours, and the way in.

const SVG = "http://www.w3.org/2000/svg";

// Every class is prefixed, because a page has styles of its own. The colours of the two
// themes of JupyterLab and of the site differ; the text takes the page's.
const STYLE = `
.d2lutil-explorable {
  --d2lx-blue: #2f6299; --d2lx-red: #b4503f; --d2lx-green: #1c7c6a;
  --d2lx-violet: #6b4fa0; --d2lx-soft: #8882; --d2lx-line: #8889; --d2lx-mark: #e0a000;
  max-width: 46rem; margin: 0.5rem 0; line-height: 1.5; color: inherit;
}
[data-theme="dark"] .d2lutil-explorable, [data-jp-theme-light="false"] .d2lutil-explorable {
  --d2lx-blue: #7fb2e5; --d2lx-red: #e39c8f; --d2lx-green: #6cc7b3;
  --d2lx-violet: #b9a3e3; --d2lx-mark: #ffd166;
}
.d2lutil-explorable svg:not(svg svg) { display: block; width: 100%; height: auto; touch-action: pan-y; }
.d2lutil-explorable svg text { fill: currentColor; font-size: 14px; }
.d2lutil-explorable svg [tabindex]:focus { outline: none; }
.d2lutil-explorable svg [tabindex]:focus-visible { outline: 2px solid var(--d2lx-mark); }
.d2lx-row { display: flex; flex-wrap: wrap; gap: 0.25rem 1.25rem; align-items: center; }
.d2lx-control { display: inline-flex; gap: 0.5rem; align-items: center; }
.d2lx-control input[type="range"] { width: 8rem; accent-color: var(--d2lx-blue); }
.d2lx-control output { min-width: 2.5em; font-variant-numeric: tabular-nums; }
.d2lx-button, .d2lx-control select {
  font: inherit; color: inherit; background: var(--d2lx-soft);
  border: 1px solid var(--d2lx-line); border-radius: 4px; padding: 0.1em 0.6em;
  min-height: 28px; cursor: pointer;
}
.d2lx-control select option { color: #222; background: #fff; }
.d2lx-button[aria-pressed="true"] { border-color: var(--d2lx-blue); font-weight: 600; }
.d2lx-say { min-height: 1.6em; margin: 0.3rem 0; font-variant-numeric: tabular-nums; }
`;

// Keys that JupyterLab takes for its cells; it may have them with Ctrl, Cmd or Alt.
const OWN_KEYS = /^(Arrow|Home$|End$|Page|Delete$|Backspace$|Escape$|Enter$|.$)/;

// Returns an element with attributes; one that is undefined or null is left out.
function element(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === undefined || value === null) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function svg(name, attributes, ...children) {
  return element(document.createElementNS(SVG, name), attributes, children);
}

function html(name, attributes, ...children) {
  return element(document.createElement(name), attributes, children);
}

// An SVG that is as wide as there is room, up to a fifth more than its own width; label
// tells what it shows.
function picture(width, height, label) {
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "group",
    "aria-label": label, style: `max-width: ${1.2 * width}px` });
}

// A slider with its name and number; `change` gets the number.
function slider({ label, min, max, step = 1, value, text = String, change }) {
  const shown = html("output", {}, text(value));
  const input = html("input", { type: "range", min, max, step, value,
    "aria-label": label, "aria-valuetext": text(value) });
  const set = (number) => {
    input.value = number;
    shown.textContent = text(Number(input.value));
    input.setAttribute("aria-valuetext", shown.textContent);
  };
  input.addEventListener("input", () => {
    set(input.value);
    change(Number(input.value));
  });
  return Object.assign(html("label", { class: "d2lx-control" }, label, input, shown),
    { set, input });
}

// A list to choose one of; options are pairs of a value and its text.
function choice({ label, options, value, change }) {
  const select = html("select", { "aria-label": label,
    onchange: () => change(select.value) },
    ...options.map(([key, text]) => html("option", { value: key }, text)));
  select.value = value;
  return Object.assign(html("label", { class: "d2lx-control" }, label, select),
    { set: (key) => { select.value = key; }, select });
}

// A button; `pressed` is true or false where it is one of several to choose from.
function button(text, press, pressed) {
  return html("button", { type: "button", class: "d2lx-button", onclick: press,
    "aria-pressed": pressed }, text);
}

// A line of text that a screen reader says when it changes, and only then.
function say() {
  const line = html("p", { class: "d2lx-say", "aria-live": "polite" });
  const tell = (...content) => {
    const told = html("span", {}, ...content);
    if (told.textContent !== line.textContent) line.replaceChildren(told);
  };
  return Object.assign(line, { tell });
}

function row(...children) {
  return html("div", { class: "d2lx-row" }, ...children);
}

// Lets one element of a grid have the focus, and arrows move it: `cells` is a list of
// rows of SVG elements, `at` row and column of the one that is chosen. `choose` gets
// those of the next one, when it is focused or pressed, and of one that a pointer is
// over, for as long as it is, unless this is too much to draw: `hovers` is false then.
function grid(cells, choose, at = [0, 0], hovers = true) {
  let kept = cells[at[0]]?.[at[1]] ? at : [0, 0];
  const reach = (i, j) => cells.forEach((line, row) => line.forEach((cell, column) =>
    cell.setAttribute("tabindex", row === i && column === j ? 0 : -1)));
  const keep = (i, j) => {
    kept = [i, j];
    reach(i, j);
    choose(i, j);
  };
  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1],
    ArrowRight: [0, 1] };
  reach(...kept);
  cells.forEach((line, i) => line.forEach((cell, j) => {
    if (hovers) {
      cell.addEventListener("pointerenter", () => choose(i, j));
      cell.addEventListener("pointerleave", () => choose(...kept));
    }
    cell.addEventListener("pointerdown", () => keep(i, j));
    cell.addEventListener("focus", () => keep(i, j));
    cell.addEventListener("keydown", (event) => {
      const step = steps[event.key];
      if (!step) return;
      event.preventDefault();
      cells[i + step[0]]?.[j + step[1]]?.focus();
    });
  }));
}

// Returns a number with a fixed count of digits and a minus sign as in print.
function number(x, digits = 0) {
  const text = x.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "−");
}

function clamp(x, low, high) {
  return Math.min(high, Math.max(low, x));
}

// A colour for a number: blue below 0, red above, none at 0; as strong as it is large.
function diverging(x, most) {
  const strength = most ? clamp(Math.abs(x) / most, 0, 1) : 0;
  const color = x < 0 ? "var(--d2lx-blue)" : "var(--d2lx-red)";
  return `color-mix(in srgb, ${color} ${Math.round(80 * strength)}%, transparent)`;
}

// A grey for a number between 0 (black) and 1 (white).
function gray(x) {
  const level = Math.round(255 * clamp(x, 0, 1));
  return `rgb(${level} ${level} ${level})`;
}

// The name of the file with the numbers that were measured for a figure, or for one of
// its states; undefined if none were.
function dataOf(name, state, { measured }) {
  return { figure: name, state: `${name}.${state}` }[measured];
}

// Shows a figure in one of its named states inside an element of the page, which keeps
// what it has if the figure fails. `data` holds what was measured, by the files' names.
function mount(el, { name, state, figure, data }) {
  if (!document.getElementById("d2lx-style")) {
    document.head.append(html("style", { id: "d2lx-style" }, STYLE));
  }

  // What a figure reads, changes and follows: the values of its state.
  const values = structuredClone(figure.states[state]);
  const listeners = [];
  const model = {
    get: (name) => values[name],
    set: (changes) => {
      Object.assign(values, changes);
      listeners.forEach((listener) => listener());
    },
    changed: (listener) => listeners.push(listener),
  };
  const inner = html("div", { role: "group", "aria-label": figure.label });
  figure.render({ model, el: inner, parts, data: data[dataOf(name, state, figure)] });
  inner.addEventListener("keydown", (event) => {
    const isCommand = event.ctrlKey || event.metaKey || event.altKey;
    const runsCell = event.key === "Enter" && event.shiftKey;
    if (OWN_KEYS.test(event.key) && !isCommand && !runsCell) event.stopPropagation();
  });
  el.replaceChildren(inner);
}

const parts = { svg, html, picture, slider, choice, button, say, row, grid, number,
  diverging, gray, dataOf, mount };
export default parts;
