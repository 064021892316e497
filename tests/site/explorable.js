// Lets a test use figures as a reader does, by their controls, and tells what they show.
// Where a control or a number is looked up by its name, the page shows one figure.
const reader = (() => {
  const all = (selector) => [...document.querySelectorAll(selector)];
  const isShown = (node) => !node.closest('[display="none"]');
  const nameOf = (node) => node.getAttribute("aria-label") ?? node.textContent;

  // A control, by the name that a screen reader says; or a grid.
  const CONTROLS = "input, select, button, [role=slider], [role=button]";
  const GRIDS = "[role=grid]:has([tabindex])";
  function named(name, selector = CONTROLS) {
    const found = all(selector).filter((node) => isShown(node) && nameOf(node) === name);
    if (found.length !== 1) throw new Error(`${found.length} controls are called ${name}.`);
    return found[0];
  }

  function cell(grid, [row, column]) {
    const line = named(grid, GRIDS).querySelectorAll(":scope > [role=row]")[row];
    return line.querySelectorAll("[role=gridcell]")[column];
  }

  function set(control, value) {
    control.value = value;
    if (control.disabled || control.value !== String(value)) {
      throw new Error(`${nameOf(control)} cannot be ${value}.`);
    }
    const event = control.localName === "select" ? "change" : "input";
    control.dispatchEvent(new Event(event, { bubbles: true }));
  }

  const point = (node, ...types) => types.forEach((type) =>
    node.dispatchEvent(new PointerEvent(type, { bubbles: type !== "pointerenter" })));
  const press = (node) =>
    point(node, "pointerenter", "pointerdown", "pointerup", "click");
  const strike = (node, key) =>
    node.dispatchEvent(new KeyboardEvent("keydown", { bubbles: true, ...key }));

  // Sets a slider or a list to a value, presses a button, strikes a key on what is
  // dragged, or presses a cell; [row, column, "over"] points at the cell only.
  function use(name, value) {
    if (Array.isArray(value)) {
      const node = cell(name, value);
      return value[2] === "over" ? point(node, "pointerenter") : press(node);
    }
    const node = named(name);
    if (node.matches("input, select")) return set(node, value);
    return value ? strike(node, { key: value }) : press(node);
  }

  // The texts that show a value, each behind its name; and its number, where it is given.
  function values() {
    const shown = new Map();
    for (const node of all("[data-value]").filter(isShown)) {
      const { value: name, number } = node.dataset;
      if (shown.has(name)) throw new Error(`${name} is there twice.`);
      shown.set(name, node.textContent);
      if (number) shown.set(`${name} number`, Number(number));
    }
    return [...shown];
  }

  // Takes steps one after another, and returns what is shown after each: a step has the
  // names of controls, and how they are used. Lists, because WebDriver sorts objects.
  function read(steps) {
    return steps.map((step) => {
      step.forEach(([name, value]) => use(name, value));
      return values();
    });
  }

  const options = (name) => [...named(name).options].map((option) =>
    [option.value, option.textContent]);

  // What the Tab key should reach, in the order of the page: of the cells of a grid one,
  // of pictures that are pressed the chosen one.
  const stops = () => all("input, select, button, [role=slider],"
    + ` svg [role=button][aria-pressed=true], ${GRIDS}`).filter((node) =>
    isShown(node) && !node.disabled);

  function focused() {
    const node = document.activeElement;
    if (node === document.body) return null;
    if (getComputedStyle(node).outlineStyle === "none") return "not to be seen";
    return nameOf(node.closest("[role=grid]") ?? node);
  }

  // Which row and column of a grid has the focus, and what a screen reader says of it.
  function focusedCell() {
    const { activeElement: node } = document;
    const line = node.closest("[role=row]");
    return [[...line.parentNode.children].indexOf(line),
      [...line.children].indexOf(node), nameOf(node)];
  }

  const tabStop = (grid) => named(grid, GRIDS).querySelector('[tabindex="0"]');

  // Strikes keys on each control, and returns those that the page gets to know.
  function escaping(keys) {
    const seen = [];
    const listen = ({ key }) => seen.push(key);
    document.body.addEventListener("keydown", listen);
    for (const index of stops().keys()) {
      for (const key of keys) {
        const node = stops()[index];
        const inside = node.matches("[role=grid]") ? tabStop(nameOf(node)) : node;
        strike(inside, key);
      }
    }
    document.body.removeEventListener("keydown", listen);
    return seen;
  }

  // The middle of what shows a value, of a cell, or of a control.
  function middle(name, at) {
    const shown = document.querySelector(`[data-value="${name}"]`);
    const node = at ? cell(name, at) : shown ?? named(name);
    node.scrollIntoView({ block: "nearest" });
    const { x, y, width, height } = node.getBoundingClientRect();
    return { x: x + width / 2, y: y + height / 2 };
  }

  // How many pixels a unit of a picture is wide.
  const unit = () => {
    const picture = document.querySelector(".d2lutil-explorable svg");
    return picture.getBoundingClientRect().width / picture.viewBox.baseVal.width;
  };

  // The points of the curves that are drawn in full.
  const curves = () => all('[fill=none][stroke-width="2"]')
    .map((curve) => curve.getAttribute("points") ?? curve.getAttribute("d"))
    .filter((path) => path && !/[aqv]/i.test(path));

  // The pictures in a picture, each with the part of it that is shown.
  const pictures = () => all("image").map((image) => [image.getAttribute("href"),
    image.parentNode.closest("svg svg")?.getAttribute("viewBox") ?? null]);

  // What the edge of its picture cuts off; a line of text is taller than its characters.
  function cutOff() {
    const box = (node) => node.getBoundingClientRect();
    const drawn = ":is(text, path, polyline, rect, circle):not([fill=transparent])";
    return all(`.d2lutil-explorable svg ${drawn}`).filter((node) => {
      const [inner, outer] = [box(node), box(node.ownerSVGElement)];
      const spare = node.localName === "text" ? inner.height / 4 : 1;
      return inner.width && (inner.left < outer.left - 1 || inner.right > outer.right + 1
        || inner.top < outer.top - spare || inner.bottom > outer.bottom + spare);
    }).map((node) => node.outerHTML);
  }

  // Shows a figure with a text in the place of each of its state's values; it may refuse.
  // Returns for how many of them it shows something.
  function mountWith(text, name, state) {
    const { figures, data, parts } = window.d2lutil;
    const values = figures[name].states[state];
    let shown = 0;
    for (const key of Object.keys(values)) {
      const el = document.createElement("div");
      document.querySelector("main").append(el);
      const states = { [state]: { ...values, [key]: text } };
      try {
        parts.mount(el, { name, state, figure: { ...figures[name], states }, data });
        shown += 1;
      } catch { /* Refused. */ }
    }
    return shown;
  }

  // Returns how bright the last of some colours is that are painted one over another.
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  function luminance(colors) {
    for (const [color, opacity] of colors) {
      pixel.globalAlpha = opacity;
      pixel.fillStyle = color;
      pixel.fillRect(0, 0, 1, 1);
    }
    const linear = [...pixel.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map((x) => x / 255)
      .map((x) => (x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  }

  // The colours that lie under the middle of a text of a picture.
  function colorsUnder(text) {
    const { x, y, width, height } = text.getBoundingClientRect();
    const middle = new DOMPoint(x + width / 2, y + height / 2);
    const shapes = text.ownerSVGElement.querySelectorAll("rect, circle, path, polygon");
    return [...shapes].filter((shape) => isShown(shape)
      && shape.compareDocumentPosition(text) & Node.DOCUMENT_POSITION_FOLLOWING
      && shape.isPointInFill(middle.matrixTransform(shape.getScreenCTM().inverse())))
      .map((shape) => getComputedStyle(shape))
      .filter(({ fill, visibility }) => fill !== "none" && visibility === "visible")
      .map(({ fill, fillOpacity }) => [fill, Number(fillOpacity)]);
  }

  // The texts of pictures, at which axe does not look, that stand out too little.
  function faintTexts() {
    const page = [getComputedStyle(document.documentElement).backgroundColor, 1];
    return all(".d2lutil-explorable svg text").filter((text) => {
      const { fill, visibility } = getComputedStyle(text);
      if (!text.textContent || visibility === "hidden" || !isShown(text)) return false;
      const under = [page, ...colorsUnder(text)];
      const [dark, bright] =
        [luminance(under), luminance([...under, [fill, 1]])].sort((a, b) => a - b);
      return (bright + 0.05) / (dark + 0.05) < 4.5;
    }).map((text) => text.outerHTML);
  }

  const count = (selector) => all(selector).length;
  const said = () => all(".d2lx-say").map((line) => line.textContent);

  return { count, curves, cutOff, escaping, faintTexts, focused, focusedCell, middle, mountWith,
    options, pictures, read, said, stops: () => stops().map(nameOf), tabStop, unit, use,
    values };
})();
