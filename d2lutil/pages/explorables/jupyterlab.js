// Shows the figures in JupyterLab: a prebuilt extension, written by hand.

const MIME = "application/vnd.d2lutil.explorable+json";
const HERE = new URL(".", document.currentScript.src);

let sharedScope;

// Returns a module of JupyterLab's own, in the version that it has.
async function shared(name) {
  const [version] = Object.values(sharedScope[name]);
  const factory = await version.get();
  return factory();
}

async function load(name) {
  const module = await import(new URL(`${name}.js`, HERE));
  return module.default;
}

async function show(node, { figure: name, state }) {
  if (!/^[a-z-]+$/.test(name)) throw new Error("A figure has a name of small letters.");
  const [parts, figure] = await Promise.all([load("parts"), load(name)]);
  if (!Object.hasOwn(figure.states, state)) throw new Error(`${name} has no such state.`);

  const file = parts.dataOf(name, state, figure), data = {};
  if (file) data[file] = await (await fetch(new URL(`${file}.json`, HERE))).json();
  parts.mount(node, { name, state, figure, data });
}

// The picture stays where the book has no such figure (any more).
function showPicture(node, png) {
  const picture = document.createElement("img");
  picture.src = `data:image/png;base64,${png}`;
  node.replaceChildren(picture);
}

function rendererOf(Widget) {
  return class extends Widget {
    async renderModel(model) {
      const { data } = model;
      this.node.classList.add("d2lutil-explorable");
      this.node.dataset.figure = data[MIME].figure;
      try {
        await show(this.node, data[MIME]);
      } catch (error) {
        console.error(error);
        showPicture(this.node, data["image/png"]);
      }
    }
  };
}

async function mimeExtension() {
  const { Widget } = await shared("@lumino/widgets");
  const Renderer = rendererOf(Widget);
  return {
    id: "explorables:renderer",
    rank: 0,
    dataType: "json",
    rendererFactory: {
      safe: true,
      mimeTypes: [MIME],
      createRenderer: () => new Renderer(),
    },
  };
}

window._JUPYTERLAB = window._JUPYTERLAB ?? {};
window._JUPYTERLAB.explorables = {
  init: (scope) => { sharedScope = scope; },
  // Without __esModule, JupyterLab does not start.
  get: async () => {
    const extension = await mimeExtension();
    return () => ({ __esModule: true, default: extension });
  },
};
