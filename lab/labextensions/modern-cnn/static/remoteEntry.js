// A prebuilt extension of JupyterLab, written by hand: it has no build step.

// JupyterLab puts the first line of a folded output in its place, and so gives away what
// a reader is to predict. Cells that the source document does not have get a stripe, as
// in the reading edition.
const STYLE = `
.jp-OutputPlaceholder .jp-PlaceholderText {
  font-size: 0;
}

.jp-OutputPlaceholder .jp-PlaceholderText::before {
  content: "猜好了？点开输出";
  font-size: var(--jp-ui-font-size1);
}

.modern-cnn-added .jp-InputArea-editor {
  border-left: 3px solid var(--jp-brand-color1);
}
`;

// The tags of such cells.
const ADDED = ["extra", "figure"];

function mark(cell) {
  const tags = cell.model.getMetadata("tags") ?? [];
  cell.node.classList.toggle("modern-cnn-added", ADDED.some((tag) => tags.includes(tag)));
}

// Marks the cells of a notebook, now and whenever it changes.
function watch(notebook) {
  const markAll = () => notebook.widgets.forEach(mark);
  notebook.modelContentChanged.connect(markAll);
  markAll();
}

// Watches every notebook that is opened.
function watchAll(shell) {
  const watched = new WeakSet();
  const look = () => {
    for (const { content } of shell.widgets("main")) {
      if (!content?.modelContentChanged || watched.has(content)) continue;
      watched.add(content);
      watch(content);
    }
  };
  shell.layoutModified.connect(look);
  look();
}

const plugin = {
  id: "modern-cnn:look",
  autoStart: true,
  activate({ shell }) {
    const style = document.createElement("style");
    style.textContent = STYLE;
    document.head.append(style);
    watchAll(shell);
  },
};

window._JUPYTERLAB = window._JUPYTERLAB ?? {};
window._JUPYTERLAB["modern-cnn"] = {
  init() {},
  // Without __esModule, JupyterLab does not start.
  get: async () => () => ({ __esModule: true, default: plugin }),
};
