"""What several tests read: the notebooks and figures of the book, and their texts."""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import nbformat
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
NOTEBOOKS = ROOT / "notebooks"
PATHS = sorted(
    path
    for path in NOTEBOOKS.rglob("*.ipynb")
    if ".ipynb_checkpoints" not in path.parts
)
FIGURES = sorted((NOTEBOOKS / "img").glob("*.svg"))
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)


def name_of(path: Path) -> str:
    """Return the name by which pytest calls the test of a file of the book."""
    return str(path.relative_to(ROOT))


def read(path: Path) -> NotebookNode:
    """Read a notebook."""
    return nbformat.read(path, as_version=4)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook: NotebookNode) -> str:
    """Return the markdown cells, a blank line between two."""
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def without_code(markdown: str) -> str:
    """Return markdown without fenced code and inline code."""
    return re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL)


def svg_texts(path: Path) -> list[str]:
    """Return the text elements of a figure."""
    elements = ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in elements]
