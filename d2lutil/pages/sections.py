"""The one door to the notebooks: which there are, what they hold, and their networks.

Only the standard library is used, so that what is made from the notebooks, such as the
HTML edition, can use it in an environment without MXNet.  A notebook and its cells are
dictionaries, as JSON holds them.
"""

import ast
import builtins
import hashlib
import json
import linecache
import os
import re
from pathlib import Path
from types import ModuleType
from typing import Any

# The package is used from its checkout: the notebooks lie beside it.
NOTEBOOKS = Path(__file__).parents[2] / "notebooks"

Notebook = dict[str, Any]
Cell = dict[str, Any]

# Tags of cells that the source document does not have.
ADDED = {"extra", "figure"}
# The tag of a cell whose result a reader predicts before looking at it.
PREDICTED = "predict"

# Sections have a number, 01 or a1.
_SECTION_LINK = re.compile(r"\]\((\w\d-[\w-]+)\.ipynb\)")
_DEFINITION = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
_NAMES_TO_BUILD_WITH = {"nn", *dir(builtins)}


def section_names() -> list[str]:
    """Return the names of the sections, such as "08-nin", in the order of the index."""
    index = read("index")
    return _SECTION_LINK.findall("\n".join(map(source, index["cells"])))


def notebook_names() -> list[str]:
    """Return the names of all notebooks of the book; others in the folder are none.

    They are the index, the sections, the list of words, and the sections' solutions,
    such as "solutions/08-nin".
    """
    sections = section_names()
    others = ["words", *(f"solutions/{name}" for name in sections)]
    return ["index", *sections, *(name for name in others if path(name).exists())]


def path(name: str) -> Path:
    """Return the path of the notebook with that name."""
    return NOTEBOOKS / f"{name}.ipynb"


def read(name: str) -> Notebook:
    """Return the notebook with that name, as its file holds it.

    Raises:
        ValueError: There is no such notebook.
    """
    if not os.path.exists(path(name)):  # False also for a name that is too long
        raise ValueError(
            f"There is no section {name!r}; choose one of {', '.join(section_names())}."
        )
    return json.loads(path(name).read_text(encoding="utf-8"))


def source(cell: Cell) -> str:
    """Return what a cell says, which a file may hold line by line."""
    return "".join(cell["source"])


def code_cells(notebook: Notebook) -> list[Cell]:
    """Return the code cells of a notebook."""
    return [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]


def is_added(cell: Cell) -> bool:
    """Tell whether a cell is not one of the source document's."""
    return not ADDED.isdisjoint(cell["metadata"].get("tags", []))


def is_figure(cell: Cell) -> bool:
    """Tell whether a cell shows an interactive figure."""
    return "figure" in cell["metadata"].get("tags", [])


def is_predicted(cell: Cell) -> bool:
    """Tell whether a reader predicts what a cell shows: its output is folded."""
    return PREDICTED in cell["metadata"].get("tags", [])


def printed(cell: Cell) -> str:
    """Return what a code cell printed, stored in one output or in several."""
    streams = (o for o in cell["outputs"] if o.get("name") == "stdout")
    return "".join("".join(stream["text"]) for stream in streams)


def outputs_digest(notebook: Notebook) -> str:
    """Return a digest of what the code cells show: texts, pictures, and their order.

    What metadata say of outputs is part of it: the size of a picture, and the trainings
    at every scale that were noted when they were stored.
    """
    shown = [
        [_content(output) for output in cell["outputs"]]
        for cell in code_cells(notebook)
    ]

    histories = notebook["metadata"].get("d2lutil", {}).get("histories", {})
    content = json.dumps([shown, histories], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _content(output: dict[str, Any]) -> dict[str, Any]:
    """Return what an output shows; a file may hold texts line by line."""
    content = output.get("data", {}) | {
        "text": output.get("text", ""),
        "metadata": output.get("metadata", {}),
    }

    return {
        kind: value if isinstance(value, dict) else "".join(value).strip()
        for kind, value in content.items()
    }


def load_section(name: str) -> ModuleType:
    """Execute the definitions of a section's notebook and return them as a module.

    Definitions are imports, functions, classes, and the statements that build
    something from `nn`, Python's own functions and other definitions: networks and
    their settings. Nothing is initialised, trained, printed or drawn, and cells that
    the source document does not have are left out. Every call builds new networks; a
    name defined twice has its last value.

    Args:
        name: Name of the notebook without its ending: "08-nin".

    Raises:
        ValueError: There is no such section.

    Example:
        >>> section = load_section("08-nin")
        >>> len(section.net), section.nin_block.__name__
        (10, 'nin_block')
    """
    module = ModuleType(name)
    known = set(_NAMES_TO_BUILD_WITH)

    for i, cell in enumerate(read(name)["cells"]):
        if cell["cell_type"] != "code" or is_added(cell):
            continue
        file = _register_source(f"<{name}, cell {i}>", source(cell))

        for statement in ast.parse(source(cell)).body:
            if _is_definition(statement, known):
                known |= _defined_names(statement)
                code = ast.Module([statement], type_ignores=[])
                exec(compile(code, file, "exec"), module.__dict__)

    return module


def _register_source(file: str, code: str) -> str:
    """Let tracebacks show the lines of a cell; return the name that they call it by."""
    linecache.cache[file] = (len(code), None, code.splitlines(keepends=True), file)
    return file


def _is_definition(statement: ast.stmt, known: set[str]) -> bool:
    if isinstance(statement, _DEFINITION):
        return True
    used = _names(statement, ast.Load) - _names(statement, ast.Store)
    return used <= known and all(map(_only_builds, ast.walk(statement)))


def _only_builds(node: ast.AST) -> bool:
    """Tell whether a node of a statement computes nothing: `add` adds layers."""
    match node:
        case ast.Attribute(attr="add") | ast.Attribute(value=ast.Name("nn")):
            return True
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="add"))):
            return True
        case ast.Attribute() | ast.Expr():
            return False
    return True


def _defined_names(statement: ast.stmt) -> set[str]:
    """Return the names that later definitions may build with."""
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return {statement.name}
    return _names(statement, ast.Store)


def _names(statement: ast.stmt, context: type[ast.expr_context]) -> set[str]:
    return {
        node.id
        for node in ast.walk(statement)
        if isinstance(node, ast.Name) and isinstance(node.ctx, context)
    }
