"""Protects: every notebook reads well before anything is run, and hides nothing.

That is: outputs stored from one run in order, without warnings or paths of a machine,
and not changed since; images described; nothing that tests or readers are kept from.
"""

import ast
import re
from collections.abc import Callable
from itertools import pairwise

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from d2lutil.pages import sections
from d2lutil.pages.sections import ADDED, NOTEBOOKS, PREDICTED, code_cells
from tests.book.reading import IMAGE, PATHS, prose, read, without_code

ABSOLUTE_PATH = re.compile(r"(?<![\w<:/.])/[\w.-]+/[\w.-]|\b[A-Z]:\\")
# What nbval takes for an order, and what it says of an output that it cannot see.
NBVAL_COMMENT = re.compile(r"#\s*(NBVAL|PYTEST_VALIDATE)_")
SAVED_IN_JUPYTERLAB = (
    "it was run and saved in JupyterLab; `make execute NB=…`, with the name of the "
    "notebook, stores it from a fresh kernel"
)
CHANGED_BY_HAND = (
    "its code cells or outputs are not those of a run; `make execute NB=…` (or "
    "`make record NB=…`, for a long training) stores them from a fresh kernel"
)


@pytest.fixture(params=PATHS, ids=lambda path: str(path.relative_to(NOTEBOOKS)))
def notebook(request: pytest.FixtureRequest) -> NotebookNode:
    return read(request.param)


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


# Form.


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


def test_code_is_plain_python(notebook):
    # `%%capture` would hide outputs, and other tests could not read the code.
    for cell in code_cells(notebook):
        ast.parse(cell.source)


def test_images_are_described(notebook):
    assert not [target for text, target in IMAGE.findall(prose(notebook)) if not text]
    for tag in re.findall(r"<img[^>]*>", prose(notebook)):
        assert re.search(r'alt="[^"]+"', tag), tag


def test_references_are_numbered_in_order_of_citation(notebook):
    text, _, references = without_code(prose(notebook)).partition("## 参考文献")
    cited = [int(number) for number in re.findall(r"\[(\d+)\](?!\()", text)]
    listed = [int(number) for number in re.findall(r"^\[(\d+)\]", references, re.M)]
    assert list(dict.fromkeys(cited)) == listed == list(range(1, len(listed) + 1))


# Nothing is hidden.


def test_no_cell_is_hidden_from_tests_or_readers(notebook):
    # Tags such as nbval-skip hide a cell from the tests, tags such as remove-cell from
    # the HTML edition, other metadata (source_hidden, collapsed) from readers. The
    # times of "execution" hide nothing, and outputs that a reader predicts are folded:
    # tests of their own find both.
    for cell in notebook.cells:
        assert cell.cell_type in {"code", "markdown"}
        assert set(cell.metadata) <= {"tags", "execution", "jupyter"}, cell.source
        assert set(cell.metadata.get("jupyter", {})) <= {"outputs_hidden"}, cell.source
        assert set(cell.metadata.get("tags", [])) <= {*ADDED, PREDICTED}, cell.source
        assert not NBVAL_COMMENT.search(cell.source), cell.source


def test_notebook_has_no_further_metadata(notebook):
    assert set(notebook.metadata) <= {"d2lutil", "kernelspec", "language_info"}
    assert set(notebook.metadata.get("d2lutil", {})) <= {"histories", "outputs"}


# Outputs.


def test_cells_were_executed_in_order(notebook):
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1)), SAVED_IN_JUPYTERLAB


def test_no_cell_says_when_it_was_executed(notebook):
    # JupyterLab notes the times that it shows.
    timed = [cell for cell in notebook.cells if "execution" in cell.metadata]
    assert not timed, SAVED_IN_JUPYTERLAB


def test_outputs_are_stored(notebook):
    # nbval has nothing to compare in a notebook without outputs.
    cells = code_cells(notebook)
    assert not cells or any(cell.outputs for cell in cells)


def test_outputs_are_those_that_were_stored(notebook):
    # nbval compares neither pictures nor the digits of a training.
    if code_cells(notebook):
        signed = notebook.metadata.get("d2lutil", {}).get("outputs")
        assert sections.outputs_digest(notebook) == signed, CHANGED_BY_HAND


def test_outputs_hold_no_error_and_no_warning(notebook):
    outputs = [output for cell in code_cells(notebook) for output in cell.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    assert not [t for t in output_texts(notebook) if re.search(r"Warning\b", t)]


def test_outputs_hold_no_absolute_path(notebook):
    assert not [t for t in output_texts(notebook) if ABSOLUTE_PATH.search(t)]


# Each rule finds what it looks for.


def good_notebook() -> NotebookNode:
    """Return a small notebook that follows every rule."""
    cells = [
        new_markdown_cell("# 标题\n\n## 正文\n\n![一个点](dot.svg) [1]"),
        new_code_cell("1 + 1", execution_count=1),
        new_code_cell("print('two')", execution_count=2),
        new_markdown_cell("## 参考文献\n\n[1] One."),
    ]
    result = {"text/plain": "2", "image/png": "aGVsbG8="}
    size = {"image/png": {"width": 700}}
    cells[1].outputs = [new_output("execute_result", result, metadata=size)]
    cells[2].outputs = [new_output("stream", text="two\n", name="stdout")]
    notebook = new_notebook(cells=cells)
    notebook.metadata.kernelspec = NotebookNode(name="python3", display_name="Python")
    notebook.metadata.d2lutil = NotebookNode(histories={"lesson": {"loss": [2.0]}})
    notebook.metadata.d2lutil.outputs = sections.outputs_digest(notebook)
    return notebook


def says(text: str, cell: int = 0) -> Callable[[NotebookNode], None]:
    """Return what gives a cell another source."""
    return lambda notebook: notebook.cells[cell].update(source=text)


def holds(metadata: dict, cell: int = 1) -> Callable[[NotebookNode], None]:
    """Return what adds metadata to a cell."""
    return lambda notebook: notebook.cells[cell].metadata.update(metadata)


def prints(text: str, **stream: str) -> Callable[[NotebookNode], None]:
    """Return what replaces the output of a cell."""
    return lambda notebook: notebook.cells[2].outputs[0].update(text=text, **stream)


def error(notebook: NotebookNode) -> None:
    notebook.cells[2].outputs = [
        new_output("error", ename="E", evalue="", traceback=[])
    ]


def no_outputs(notebook: NotebookNode) -> None:
    for cell in code_cells(notebook):
        cell.outputs = []


def shows(n: int, **changes: object) -> Callable[[NotebookNode], None]:
    """Return what changes the first output of a code cell."""
    return lambda notebook: code_cells(notebook)[n].outputs[0].update(changes)


def exchanged(notebook: NotebookNode) -> None:
    first, second = code_cells(notebook)
    first.outputs, second.outputs = second.outputs, first.outputs


BAD = [
    (test_notebook_is_valid_and_starts_with_a_title, says("标题")),
    (
        test_notebook_is_valid_and_starts_with_a_title,
        lambda notebook: notebook.cells[1].pop("outputs"),
    ),
    (test_headings_suit_a_table_of_contents, says("# 标题\n\n# 标题")),
    (test_headings_suit_a_table_of_contents, says("# 标题\n\n### 正文")),
    (test_headings_suit_a_table_of_contents, says("# 标题\n\n## 层数 $n$")),
    (
        test_kernel_is_python3,
        lambda notebook: notebook.metadata.kernelspec.update(name="python311"),
    ),
    (test_no_cell_is_empty, says(" \n", cell=1)),
    (test_code_is_plain_python, says("%%capture\nprint('two')", cell=2)),
    (test_images_are_described, says("# 标题\n\n![](dot.svg)")),
    (test_images_are_described, says('# 标题\n\n<img src="dot.svg" alt="">')),
    (test_references_are_numbered_in_order_of_citation, says("# 标题\n\n见 [2]")),
    (test_references_are_numbered_in_order_of_citation, says("# 标题")),
    (test_no_cell_is_hidden_from_tests_or_readers, holds({"tags": ["nbval-skip"]})),
    (test_no_cell_is_hidden_from_tests_or_readers, holds({"tags": ["remove-cell"]})),
    (test_no_cell_is_hidden_from_tests_or_readers, holds({"collapsed": True})),
    (
        test_no_cell_is_hidden_from_tests_or_readers,
        holds({"jupyter": {"source_hidden": True}}, cell=0),
    ),
    (
        test_no_cell_is_hidden_from_tests_or_readers,
        says("#  NBVAL_IGNORE_OUTPUT\n1 + 1", cell=1),
    ),
    (
        test_no_cell_is_hidden_from_tests_or_readers,
        lambda notebook: notebook.cells[3].update(cell_type="raw"),
    ),
    (
        test_notebook_has_no_further_metadata,
        lambda notebook: notebook.metadata.update(widgets={}),
    ),
    (
        test_notebook_has_no_further_metadata,
        lambda notebook: notebook.metadata.d2lutil.update(skip=True),
    ),
    (test_cells_were_executed_in_order, lambda n: n.cells[2].update(execution_count=5)),
    (test_no_cell_says_when_it_was_executed, holds({"execution": {}})),
    (test_outputs_are_stored, no_outputs),
    (test_outputs_are_those_that_were_stored, prints("three\n")),
    (test_outputs_are_those_that_were_stored, no_outputs),
    (test_outputs_are_those_that_were_stored, exchanged),
    (test_outputs_are_those_that_were_stored, shows(0, data={"text/plain": "2"})),
    (test_outputs_are_those_that_were_stored, shows(0, metadata={})),
    (test_outputs_are_those_that_were_stored, lambda notebook: notebook.cells.pop(2)),
    (
        test_outputs_are_those_that_were_stored,
        lambda notebook: notebook.metadata.d2lutil.histories.update(lesson={}),
    ),
    (
        test_outputs_are_those_that_were_stored,
        lambda notebook: notebook.metadata.pop("d2lutil"),
    ),
    (test_outputs_hold_no_error_and_no_warning, error),
    (test_outputs_hold_no_error_and_no_warning, prints("two\n", name="stderr")),
    (test_outputs_hold_no_error_and_no_warning, prints("a UserWarning: two\n")),
    (test_outputs_hold_no_absolute_path, prints("in /home/someone\n")),
    (test_outputs_hold_no_absolute_path, prints("in C:\\Users\n")),
]


@pytest.mark.parametrize("rule, spoil", BAD)
def test_rule_finds_a_bad_notebook(rule, spoil):
    notebook = good_notebook()
    rule(notebook)
    spoil(notebook)
    with pytest.raises((AssertionError, SyntaxError, nbformat.ValidationError)):
        rule(notebook)
