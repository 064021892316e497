"""What several tests read: the notebooks and figures of the book, and their texts.

Which notebooks there are and which cells are added, d2lutil.pages.sections says.
"""

import re
import xml.etree.ElementTree as ET
from functools import cache
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from d2lutil.pages import sections
from d2lutil.pages.sections import NOTEBOOKS

ROOT = NOTEBOOKS.parent
PATHS = [sections.path(name) for name in sections.notebook_names()]
FIGURES = sorted((NOTEBOOKS / "img").glob("*.svg"))
IMAGE = re.compile(r"!\[([^\]]*)\]\(([^)\s]+)\)")
EXERCISE_SOLVED = re.compile(r"^## 练习 (\d+)：", re.MULTILINE)
MATH = re.compile(r"\$\$(.+?)\$\$|\$(.+?)\$", re.DOTALL)


def name_of(path: Path) -> str:
    """Return the name by which pytest calls the test of a file of the book."""
    return str(path.relative_to(ROOT))


@cache
def read(path: Path) -> NotebookNode:
    """Read a notebook, once for all tests: none may change it."""
    return nbformat.read(path, as_version=4)


def prose(notebook: NotebookNode) -> str:
    """Return the markdown cells, a blank line between two."""
    return "\n\n".join(c.source for c in notebook.cells if c.cell_type == "markdown")


def solved(solution: NotebookNode) -> dict[int, list[NotebookNode]]:
    """Return the cells of each exercise, from the one with its heading on."""
    found: dict[int, list[NotebookNode]] = {}
    own: list[NotebookNode] = []
    for cell in solution.cells:
        if heading := EXERCISE_SOLVED.search(cell.source):
            own = found[int(heading[1])] = []
        own.append(cell)
    return found


def without_code(markdown: str) -> str:
    """Return markdown without fenced code and inline code."""
    return re.sub(r"```.*?```|`[^`]*`", "", markdown, flags=re.DOTALL)


def svg_texts(path: Path) -> list[str]:
    """Return the text elements of a figure."""
    elements = ET.parse(path).iter("{http://www.w3.org/2000/svg}text")
    return ["".join(element.itertext()) for element in elements]
