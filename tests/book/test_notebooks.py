"""Protects: every notebook reads well before anything is run.

That is: outputs stored from one run in order, without warnings or paths of a machine;
links and images that exist, images described; definitions said to be saved in d2lutil
that are the ones saved there.
"""

import ast
import inspect
import re
import textwrap
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode

import d2lutil as gb
from d2lutil.pages.sections import NOTEBOOKS, code_cells
from tests.book.reading import IMAGE, PATHS, prose, read, without_code

SECTIONS = [path for path in PATHS if path.parent == NOTEBOOKS]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
SECTION = re.compile(r"\[([^\]]+)\]\((\w[\w-]+\.ipynb)\)")
ABSOLUTE_PATH = re.compile(r"(?<![\w<:/.])/[\w.-]+/[\w.-]|\b[A-Z]:\\")
SAVED = "已保存在 d2lutil 包中"
# LeNet's section writes these out shorter; test_saved_functions.py runs both forms.
COMPARED_BY_RUNNING = {"evaluate_accuracy", "train_ch5"}


@pytest.fixture(params=PATHS, ids=lambda path: str(path.relative_to(NOTEBOOKS)))
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def notebook(path: Path) -> NotebookNode:
    return read(path)


def output_texts(notebook: NotebookNode) -> list[str]:
    """Return what the stored outputs say, without images."""
    texts = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            texts.append(output.get("text", ""))
            texts += [
                text
                for kind, text in output.get("data", {}).items()
                if not kind.startswith("image/") and isinstance(text, str)
            ]
    return texts


def test_notebook_is_valid_and_starts_with_a_title(notebook):
    nbformat.validate(notebook)
    assert notebook.cells[0].source.startswith("# ")


def test_headings_suit_a_table_of_contents(notebook):
    headings = re.findall(r"^(#+) (.+)$", prose(notebook), re.M)
    levels = [len(marks) for marks, _ in headings]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    # JupyterLab's panel shows formulas and code as they are written.
    assert not [text for _, text in headings if re.search(r"[$`\\[]", text)]


def test_kernel_is_python3(notebook):
    assert notebook.metadata.kernelspec.name == "python3"


def test_no_cell_is_empty(notebook):
    assert all(cell.source.strip() for cell in notebook.cells)


def test_cells_were_executed_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))


def test_no_cell_says_when_it_was_executed(notebook):
    # JupyterLab notes the times that it shows when a notebook is saved there;
    # `make execute` stores a notebook without them.
    assert not [cell for cell in notebook.cells if "execution" in cell.metadata]


def test_outputs_are_stored(notebook):
    # nbval has nothing to compare in a notebook without outputs.
    cells = code_cells(notebook)
    assert not cells or any(cell.outputs for cell in cells)


def test_outputs_hold_no_error_and_no_warning(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert not [t for t in output_texts(notebook) if re.search(r"Warning\b", t)]


def test_outputs_hold_no_absolute_path(notebook):
    assert not [t for t in output_texts(notebook) if ABSOLUTE_PATH.search(t)]


def test_links_and_images_exist(notebook, path):
    targets = LINK.findall(prose(notebook))
    targets += [target for _, target in IMAGE.findall(prose(notebook))]
    local = [target for target in targets if not re.match(r"https?://", target)]
    missing = [t for t in local if not (path.parent / t.partition("#")[0]).exists()]
    assert not missing


def test_images_are_described(notebook):
    assert not [target for text, target in IMAGE.findall(prose(notebook)) if not text]
    for tag in re.findall(r"<img[^>]*>", prose(notebook)):
        assert re.search(r'alt="[^"]+"', tag), tag


def test_references_are_numbered_in_order_of_citation(notebook):
    text, _, references = without_code(prose(notebook)).partition("## 参考文献")
    cited = [int(number) for number in re.findall(r"\[(\d+)\](?!\()", text)]
    listed = [int(number) for number in re.findall(r"^\[(\d+)\]", references, re.M)]
    assert list(dict.fromkeys(cited)) == listed == list(range(1, len(listed) + 1))


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
        # A cell may hold IPython's own syntax; those with a definition do not.
        if re.search(r"^(def|class) ", cell.source, re.M):
            lines = cell.source.splitlines()
            for node in ast.parse(cell.source).body:
                if isinstance(node, ast.FunctionDef | ast.ClassDef):
                    found[node.name] = node, lines[node.lineno - 1]
    return found


def test_definitions_said_to_be_saved_are_those_of_d2lutil(notebook):
    for name, (definition, first_line) in definitions(notebook).items():
        if SAVED in first_line:
            source = textwrap.dedent(inspect.getsource(getattr(gb, name)))
            assert essence(definition) == essence(ast.parse(source).body[0])


@pytest.mark.parametrize("path", SECTIONS, ids=lambda path: path.name)
def test_definitions_with_a_name_of_d2lutil_are_said_to_be_saved(notebook):
    lines = {
        n: line for n, (_, line) in definitions(notebook).items() if n in gb.__all__
    }
    unmarked = [name for name, line in lines.items() if SAVED not in line]
    assert set(unmarked) <= COMPARED_BY_RUNNING
    # The words stand where they are looked for: on the first line of a definition.
    marks = sum(cell.source.count(SAVED) for cell in notebook.cells)
    assert marks == len(lines) - len(unmarked)


def title(notebook: NotebookNode) -> str:
    return notebook.cells[0].source.splitlines()[0].removeprefix("# ")


def test_index_lists_every_section_under_its_title():
    index = read(NOTEBOOKS / "index.ipynb")
    listed = [(target, text) for text, target in SECTION.findall(prose(index))]
    sections = [path for path in SECTIONS if path.name != "index.ipynb"]
    titles = [title(read(path)) for path in sections]
    assert listed == list(zip([p.name for p in sections], titles, strict=True))


def test_sections_are_one_chain():
    index = read(NOTEBOOKS / "index.ipynb")
    order = SECTION.findall(prose(index))
    for i, (_, name) in enumerate(order):
        last_cell = read(NOTEBOOKS / name).cells[-1].source
        neighbours = {
            "上一节": order[i - 1] if i > 0 else None,
            "下一节": order[i + 1] if i + 1 < len(order) else None,
        }
        links = [
            f"{word}：[{section[0]}]({section[1]})"
            for word, section in neighbours.items()
            if section
        ]
        links.insert(1 if i > 0 else 0, "[目录](index.ipynb)")
        assert last_cell.endswith(" · ".join(links)), name
