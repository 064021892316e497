"""Protects: notebooks use of d2lutil what is public, and show what is saved there.

A definition that is said to be saved in d2lutil is the one saved there.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterator

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook

import d2lutil as gb
from d2lutil.pages.sections import NOTEBOOKS, code_cells
from tests.book.reading import PATHS, name_of, read

SECTIONS = [path for path in PATHS if path.parent == NOTEBOOKS]
SAVED = "已保存在 d2lutil 包中"
# LeNet's section writes these out shorter; test_saved_functions.py runs both forms.
COMPARED_BY_RUNNING = {"evaluate_accuracy", "train_ch5"}


class Essence(ast.NodeTransformer):
    """Removes what may differ: docstrings, type hints and the long form of super()."""

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self.without_docstring(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self.without_docstring(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "super":
            node.args = []
        return node

    def without_docstring(self, node: ast.FunctionDef | ast.ClassDef) -> ast.AST:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:]
        return self.generic_visit(node)


def essence(definition: ast.AST) -> str:
    return ast.unparse(Essence().visit(definition))


def definitions(notebook: NotebookNode) -> dict[str, tuple[ast.AST, str]]:
    """Return the functions and classes of a notebook, each with its first line."""
    found = {}
    for cell in code_cells(notebook):
        lines = cell.source.splitlines()
        for node in ast.parse(cell.source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found[node.name] = node, lines[node.lineno - 1]
    return found


def differing(notebook: NotebookNode) -> Iterator[str]:
    """Yield the names said to be saved in d2lutil that mean something else there."""
    for name, (definition, first_line) in definitions(notebook).items():
        if SAVED in first_line:
            saved = textwrap.dedent(inspect.getsource(getattr(gb, name)))
            if essence(definition) != essence(ast.parse(saved).body[0]):
                yield name


def unmarked(notebook: NotebookNode) -> Iterator[str]:
    """Yield what has a name of d2lutil, or such words, but not both in one line."""
    lines = definitions(notebook)
    of_d2lutil = [name for name in lines if name in gb.__all__]
    yield from (name for name in of_d2lutil if SAVED not in lines[name][1])
    for cell in notebook.cells:
        for line in cell.source.splitlines():
            if SAVED in line and line not in [lines[name][1] for name in of_d2lutil]:
                yield line


def private_uses(code: str) -> Iterator[str]:
    """Yield what code takes from d2lutil besides its public names."""
    for node in ast.walk(ast.parse(code)):
        match node:
            case ast.ImportFrom(module=str(module)):
                is_public = module.partition(".")[0] != "d2lutil"
            case ast.Import([ast.alias("d2lutil", "gb")]):
                is_public = True
            case ast.Import(names):
                is_public = all(n.name.partition(".")[0] != "d2lutil" for n in names)
            case ast.Attribute(ast.Name("gb"), name):
                is_public = name in gb.__all__
            case _:
                is_public = True
        if not is_public:
            yield ast.unparse(node)


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_definitions_said_to_be_saved_are_those_of_d2lutil(path):
    assert not list(differing(read(path)))


@pytest.mark.parametrize("path", SECTIONS, ids=name_of)
def test_definitions_with_a_name_of_d2lutil_are_said_to_be_saved(path):
    assert set(unmarked(read(path))) <= COMPARED_BY_RUNNING


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_notebooks_use_the_public_names_of_d2lutil(path):
    used = [cell.source for cell in code_cells(read(path))]
    assert not [use for code in used for use in private_uses(code)]


# Each rule finds what it looks for.

SAVED_CODE = essence(ast.parse(inspect.getsource(gb.corr2d)).body[0]).replace(
    ":\n", f":  # 本函数{SAVED}方便以后使用。\n", 1
)


def notebook_of(code: str) -> NotebookNode:
    return new_notebook(cells=[new_code_cell(code)])


def test_saved_definition_may_have_another_form():
    assert not list(differing(notebook_of(SAVED_CODE)))
    assert not list(unmarked(notebook_of(SAVED_CODE)))


def test_other_definition_is_found():
    code = f"{SAVED_CODE}\n    return 0"
    assert list(differing(notebook_of(code))) == ["corr2d"]


def test_missing_words_are_found():
    code = SAVED_CODE.replace(SAVED, "")
    assert list(unmarked(notebook_of(code))) == ["corr2d"]


def test_words_at_another_place_are_found():
    code = f"{SAVED_CODE}  # {SAVED}"
    assert list(unmarked(notebook_of(code))) == [code.splitlines()[-1]]


@pytest.mark.parametrize(
    "code", ["import d2lutil as gb\ngb.train_ch5(net)", "from mxnet import nd, gluon"]
)
def test_public_use_passes(code):
    assert not list(private_uses(code))


@pytest.mark.parametrize(
    "code",
    [
        "import d2lutil",
        "import d2lutil.training",
        "import os, d2lutil.training as t",
        "from d2lutil.training import train_ch5",
        "from d2lutil import training",
        "gb.training.train_ch5(net)",
    ],
)
def test_private_use_is_found(code):
    assert list(private_uses(code))
