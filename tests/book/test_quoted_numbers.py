"""Protects: the text quotes the numbers that its figures show.

A cell that draws keeps such numbers in the metadata of its output (`gb.show`).
"""

import re
from collections.abc import Iterator

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from tests.book.reading import PATHS, name_of, read

# 0.871, 17, 26%, 2,345 and 1.3 倍, but not the 8.3 of 图 8.3 or the 1 of [1].
NUMBER = re.compile(r"(?<![\w.\[])(?<!图 )(-?\d+(?:,\d{3})*(?:\.\d+)?)(%)?(?![\w\]])")


def kept_numbers(cell: NotebookNode) -> dict[str, float]:
    """Return the numbers that a cell keeps with its figures."""
    kept: dict[str, float] = {}
    for output in cell.outputs:
        kept |= output.get("metadata", {}).get("d2lutil", {})
    return kept


def quotes(text: str, value: float) -> bool:
    """Tell whether a text has a number that the value is rounded to."""
    for digits, percent in NUMBER.findall(text):
        number = digits.replace(",", "")
        decimals = len(number.partition(".")[2])
        written, half = float(number), 0.5 * 10**-decimals
        if abs(value * (100 if percent else 1) - written) <= half * 1.000001:
            return True
    return False


def unquoted_numbers(notebook: NotebookNode) -> Iterator[str]:
    """Yield each kept number that the text after its figure does not have."""
    for i, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        # Up to the next cell that keeps numbers, the text may speak of these.
        below = []
        for later in notebook.cells[i + 1 :]:
            if later.cell_type == "code" and kept_numbers(later):
                break
            below.append(later.source if later.cell_type == "markdown" else "")
        for name, value in kept_numbers(cell).items():
            if not quotes("\n".join(below), value):
                yield f"{cell.id}: {name} is {value:.6g}"


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_text_quotes_the_numbers_of_its_figures(path):
    assert not list(unquoted_numbers(read(path)))


# Controls.


def test_rounded_numbers_are_quoted():
    assert quotes("准确率是 0.87。", 0.8712)
    assert quotes("约 26%，", 0.2633)
    assert quotes("共 2,345 次", 2345)
    assert quotes("只剩 $1/186$", 186.2)


@pytest.mark.parametrize(
    "text", ["准确率是 0.88。", "约 27%", "如图 0.87", "见 [0.87]", "10.87", "0.871"]
)
def test_another_number_is_no_quotation(text):
    assert not quotes(text, 0.8672)


def test_number_that_changed_is_found():
    output = new_output("display_data", metadata={"d2lutil": {"accuracy": 0.71}})
    drawing = new_code_cell("gb.show(accuracy=accuracy)", outputs=[output])
    told = new_notebook(cells=[drawing, new_markdown_cell("准确率 0.71。")])
    other = new_notebook(cells=[drawing, new_markdown_cell("准确率 0.73。")])
    assert not list(unquoted_numbers(told))
    assert len(list(unquoted_numbers(other))) == 1
