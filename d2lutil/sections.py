"""What the book's notebooks define, and what their training reached."""

import ast
import builtins
import json
from pathlib import Path
from types import ModuleType

from d2lutil.history import History

# The package is installed in editable form: the notebooks lie beside it.
NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

_DEFINITION = ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef
_NAMES_TO_BUILD_WITH = {"nn", *dir(builtins)}


def load_section(name: str) -> ModuleType:
    """Execute the definitions of a section's notebook and return them as a module.

    Definitions are imports, functions, classes, and the statements that build
    something from `nn`, Python's own functions and other definitions: networks and
    their settings. Nothing is initialised, trained, printed or drawn, and cells with
    the tag `extra` are left out. Every call builds new networks; a name defined twice
    has its last value.

    Args:
        name: Name of the notebook without its ending: "08-nin".

    Raises:
        ValueError: There is no such section.
    """
    module = ModuleType(name)
    known = set(_NAMES_TO_BUILD_WITH)
    for cell in _notebook(name)["cells"]:
        is_extra = "extra" in cell["metadata"].get("tags", [])
        if cell["cell_type"] != "code" or is_extra:
            continue
        for statement in ast.parse("".join(cell["source"])).body:
            if _is_definition(statement, known):
                known |= _defined_names(statement)
                code = ast.Module([statement], type_ignores=[])
                exec(compile(code, f"{name}.ipynb", "exec"), module.__dict__)
    return module


def recorded_history(name: str, scale: str = "lesson") -> History:
    """Return what a section's own training printed when its notebook was stored.

    Args:
        name: Name of the notebook without its ending: "08-nin".
        scale: Run scale of the training, lesson or full.

    Raises:
        ValueError: There is no such section, or no such run was stored in it.
    """
    noted = _notebook(name)["metadata"].get("d2lutil", {}).get("histories", {})
    if scale not in noted:
        command = "make record" if scale == "full" else "make execute"
        raise ValueError(
            f"{name}.ipynb holds no training at scale {scale}; "
            f"run it and store its outputs with `{command} NB={name}`."
        )
    return History(**noted[scale])


def _notebook(name: str) -> dict:
    """Return a section's notebook, as its file holds it."""
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.exists():
        sections = ", ".join(sorted(path.stem for path in NOTEBOOKS.glob("*-*.ipynb")))
        raise ValueError(f"There is no section {name!r}; choose one of {sections}.")
    return json.loads(path.read_text(encoding="utf-8"))


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
