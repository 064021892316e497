"""What the pages of the reading edition have beside what the notebooks say.

Numbers after the files' names, a mark on the cells that the source document does not
have, outputs folded where a reader predicts them, captions, descriptions of pictures;
and on the first page, how to use the site instead of how to use JupyterLab.
"""

import json
import re
import shutil
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment

from d2lutil.pages import explorable, sections

HERE = Path(__file__).parent
HOW_TO_USE = re.compile(r"(?<=^## 怎样使用\n).*?(?=^## )", re.MULTILINE | re.DOTALL)

ADDED_CLASSES = {f"tag_{tag}" for tag in sections.ADDED}
ADDED_MARK = (
    '<div class="added-mark" title="补充：原书没有这个单元">'
    '<span class="visually-hidden">补充的单元：</span></div>'
)
FIGURE_LABEL = re.compile(r"图 \w+\.\d+")
# Two lines with a gap between two words.
COLUMNS = re.compile(r"\S(?: {2,}|\t)\S.*\n(?:.*\n)*?.*\S(?: {2,}|\t)\S")
# What the theme brings and no page loads.
UNUSED = ["_static/**/*.map", "_static/locales", "_static/images"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the steps with Sphinx."""
    app.connect("source-read", tell_how_to_use_the_site)
    app.connect("source-read", fold_predicted_outputs)
    app.connect("source-read", show_figures)
    for step in (mark_added_cells, mark_captions, describe_pictures, mark_columns):
        app.connect("doctree-read", step)
    app.connect("env-check-consistency", number_by_name)
    app.connect("build-finished", remove_unused_files)
    return {"parallel_read_safe": True}


def tell_how_to_use_the_site(app: Sphinx, name: str, content: list[str]) -> None:
    """On the first page, put how-to-use.md in the place of the hints for JupyterLab."""
    if name != "index":
        return
    index = json.loads(content[0])
    cells = [c for c in index["cells"] if HOW_TO_USE.search(sections.source(c))]
    if len(cells) != 1:
        raise ValueError(
            "The index has no section 怎样使用 that how-to-use.md replaces."
        )

    text = (HERE / "how-to-use.md").read_text(encoding="utf-8")
    cells[0]["source"] = HOW_TO_USE.sub(f"\n{text}\n", sections.source(cells[0]))
    content[0] = json.dumps(index)


def fold_predicted_outputs(app: Sphinx, name: str, content: list[str]) -> None:
    """Fold what a reader predicts, by the tag that MyST-NB folds outputs by."""
    if f"{name}.ipynb" not in app.config.include_patterns:
        return
    notebook = json.loads(content[0])
    for cell in filter(sections.is_predicted, sections.code_cells(notebook)):
        cell["metadata"]["tags"].append("hide-output")
    content[0] = json.dumps(notebook)


def show_figures(app: Sphinx, name: str, content: list[str]) -> None:
    """Put the interactive figures of a notebook into its page, with their scripts."""
    if f"{name}.ipynb" not in app.config.include_patterns:
        return
    notebook = json.loads(content[0])
    explorable.bring_to_life(notebook)
    content[0] = json.dumps(notebook)


def mark_added_cells(app: Sphinx, page: nodes.document) -> None:
    """Put a mark into the cells that the source document does not have."""
    for cell in page.findall(nodes.container):
        if not ADDED_CLASSES.isdisjoint(cell["classes"]):
            cell["classes"].append("added")
            cell.insert(0, nodes.raw("", ADDED_MARK, format="html"))


def mark_captions(app: Sphinx, page: nodes.document) -> None:
    """Give a class to the paragraphs that start with the number of a figure."""
    for paragraph in page.findall(nodes.paragraph):
        if figure_label(paragraph):
            paragraph["classes"].append("book-caption")


def figure_label(node: nodes.Node) -> str | None:
    """Return "图 8.2" if the node is the paragraph below that figure."""
    if isinstance(node, nodes.paragraph):
        first = next((child for child in node.children if child.astext()), None)
        if isinstance(first, nodes.strong) and FIGURE_LABEL.fullmatch(first.astext()):
            return first.astext()
    return None


def describe_pictures(app: Sphinx, page: nodes.document) -> None:
    """Name the pictures that cells draw, for readers who do not see them.

    A picture is named by the number of the caption that follows it, or else by the
    heading above it.
    """
    pictures, heading = [], ""
    for node in page.findall():
        if isinstance(node, nodes.image) and "alt" not in node:
            node["alt"] = f"“{heading}”里画的图"
            pictures.append(node)
        elif isinstance(node, nodes.title):
            pictures, heading = [], node.astext()
        elif label := figure_label(node):
            for picture in pictures:
                picture["alt"] = f"{label}，说明在图下"
            pictures = []


def mark_columns(app: Sphinx, page: nodes.document) -> None:
    """Give a class to printed tables: their lines must not be broken."""
    for output in page.findall(nodes.literal_block):
        if "output" in output["classes"] and COLUMNS.search(output.astext()):
            output["classes"].append("columns")


def number_by_name(app: Sphinx, env: BuildEnvironment) -> None:
    """Number a page by its file: 8 for "08-nin" and its solutions, A1 for an appendix.

    The exercises in the solutions keep the numbers that they have in their headings.
    """
    for name, numbers in env.toc_secnumbers.items():
        file = name.rpartition("/")[2]
        number = file.partition("-")[0].lstrip("0").upper()
        for anchor, (_, *rest) in numbers.items():
            counts = not rest or file == name
            numbers[anchor] = (number, *rest) if counts else ()

        env.titles[name]["secnumber"] = numbers[""]
        for link in env.tocs[name].findall(nodes.reference):
            link["secnumber"] = numbers[link["anchorname"]]


def remove_unused_files(app: Sphinx, error: Exception | None) -> None:
    """Remove what the theme copies and no page loads."""
    for pattern in UNUSED:
        for path in list(Path(app.outdir).glob(pattern)):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
