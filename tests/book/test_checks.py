"""Protects: every exercise has a check, and a check fails when the answer is wrong.

No test knows whether an assert is strict enough; these find the ones that never fail.
"""

import ast
import builtins
from collections.abc import Iterator

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from d2lutil.pages.sections import NOTEBOOKS, code_cells
from tests.book.reading import PATHS, read, solved

SOLUTIONS = [path for path in PATHS if path.parent == NOTEBOOKS / "solutions"]
LEAVES = ast.Return | ast.Raise | ast.Continue | ast.Break
CATCHES = {"AssertionError", "Exception", "BaseException"}


def cannot_fail(test: ast.expr) -> bool:
    """Tell whether a condition holds whatever was computed before it."""
    match test:
        case ast.Tuple() | ast.List() | ast.Set() | ast.Dict():
            return True  # assert (x == y, "a message")
        case ast.Lambda() | ast.GeneratorExp() | ast.ListComp() | ast.JoinedStr():
            return True
        case ast.BoolOp(ast.Or(), values):
            return any(map(cannot_fail, values))
        case ast.BoolOp(ast.And(), values):
            return all(map(cannot_fail, values))
        case ast.Compare(left, [ast.Eq() | ast.Is() | ast.LtE() | ast.GtE()], [right]):
            if ast.dump(left) == ast.dump(right):
                return True
    names = {node.id for node in ast.walk(test) if isinstance(node, ast.Name)}
    return names <= set(dir(builtins))  # Nothing computed before is in it.


def catches_asserts(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    names = (node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name))
    return not CATCHES.isdisjoint(names)


def never_failing(node: ast.AST) -> Iterator[ast.stmt]:
    """Yield the statements in a node that are never run, or whose failure is caught."""
    blocks = [block for _, block in ast.iter_fields(node) if isinstance(block, list)]
    for block in blocks:
        ends = [i for i, statement in enumerate(block) if isinstance(statement, LEAVES)]
        yield from block[ends[0] + 1 :] if ends else []
    match node:
        case ast.If(ast.Constant(value), body) | ast.While(ast.Constant(value), body):
            yield from body if not value else []
        case ast.Try(body, handlers) if any(map(catches_asserts, handlers)):
            yield from body
        case ast.With(items, body) if "suppress(" in "".join(map(ast.unparse, items)):
            yield from body


def uncalled(tree: ast.Module) -> Iterator[ast.stmt]:
    """Yield the functions whose name is never used."""
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name not in used:
            yield node


def asserts(node: ast.AST) -> set[ast.Assert]:
    return {child for child in ast.walk(node) if isinstance(child, ast.Assert)}


def idle_asserts(tree: ast.Module) -> set[ast.Assert]:
    """Return the asserts of some code that can never fail."""
    idle = {node for node in asserts(tree) if cannot_fail(node.test)}
    for node in ast.walk(tree):
        for statement in never_failing(node):
            idle |= asserts(statement)
    for function in uncalled(tree):
        idle |= asserts(function)
    return idle


def faults_of_checks(solution: NotebookNode) -> Iterator[str]:
    """Yield each assert that cannot fail, and each exercise without one that can."""
    code = [cell.source for cell in code_cells(solution)]
    idle = {ast.unparse(node) for node in idle_asserts(ast.parse("\n".join(code)))}
    yield from idle
    for number, cells in solved(solution).items():
        own = "\n".join(cell.source for cell in cells if cell.cell_type == "code")
        if not {ast.unparse(node) for node in asserts(ast.parse(own))} - idle:
            yield f"exercise {number} has no check"


@pytest.mark.parametrize("path", SOLUTIONS, ids=lambda path: path.name)
def test_every_exercise_has_a_check_that_can_fail(path):
    assert not list(faults_of_checks(read(path)))


def solution_of(code: str) -> NotebookNode:
    """Return the solution of one exercise, with that code."""
    cells = [new_markdown_cell("## 练习 1：一题"), new_code_cell(code)]
    return new_notebook(cells=cells)


@pytest.mark.parametrize(
    "code",
    [
        "assert x == 2",
        "assert abs(x - 2) < 0.1, 'a message'",
        "for x in range(3):\n    if x:\n        continue\n    assert f(x)",
        "def check(x):\n    assert x\n    return x\ncheck(2)",
        "try:\n    f()\nexcept ValueError:\n    assert x",
        "with suppress(KeyError):\n    f()\nassert x",
    ],
)
def test_good_check_passes(code):
    assert not list(faults_of_checks(solution_of(code)))


@pytest.mark.parametrize(
    "code",
    [
        "print(x)",
        "# assert x",
        "assert True",
        "assert x == 2\nassert True",
        "assert 1 == 1.0",
        "assert 'right'",
        "assert all([])",
        "assert (x == 2, 'a message')",
        "assert [y == 2 for y in x]",
        "assert (y == 2 for y in x)",
        "assert x == x",
        "assert x == 2 or True",
        "if False:\n    assert x",
        "while 0:\n    assert x",
        "def check(x):\n    return x\n    assert x\ncheck(2)",
        "def check(x):\n    assert x",
        "for x in range(3):\n    continue\n    assert x",
        "for x in range(3):\n    if x:\n        break\n        assert x",
        "for x in range(3):\n    f()\nelse:\n    raise ValueError\n    assert x",
        "try:\n    assert x\nexcept AssertionError:\n    pass",
        "try:\n    assert x\nexcept:\n    pass",
        "try:\n    assert x\nexcept (KeyError, Exception):\n    pass",
        "with suppress(AssertionError):\n    assert x",
    ],
)
def test_bad_check_is_found(code):
    assert list(faults_of_checks(solution_of(code)))
