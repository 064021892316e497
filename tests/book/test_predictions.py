"""Protects: a reader is asked before the answer is seen, and sees it folded."""

from collections.abc import Iterator

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from d2lutil.pages import sections
from tests.book.reading import PATHS, name_of, read

ASKS = "**先猜一猜**："
# How many questions a section asks.
FEWEST, MOST = 2, 4


def asks(cell: NotebookNode) -> bool:
    """Tell whether a text ends with a question to predict."""
    is_text = cell.cell_type == "markdown"
    return is_text and cell.source.rpartition("\n\n")[2].startswith(ASKS)


def answers(cell: NotebookNode) -> bool:
    """Tell whether a cell answers a question: run, or used, as a figure is."""
    return sections.is_predicted(cell) or sections.is_figure(cell)


def wrong_predictions(notebook: NotebookNode) -> Iterator[str]:
    """Yield questions without an answer to come, and answers without a question."""
    num_asked = sum(cell.source.count(ASKS) for cell in notebook.cells)
    pairs = list(zip(notebook.cells, notebook.cells[1:], strict=False))
    num_answered = sum(answers(cell) for text, cell in pairs if asks(text))
    if num_asked != num_answered:
        yield f"{num_asked} questions, {num_answered} with the answer in the next cell"

    for text, cell in pairs:
        if answers(cell) and not asks(text):
            yield f"{cell.id} is not asked about"
        is_folded = cell.metadata.get("jupyter", {}).get("outputs_hidden", False)
        if is_folded != sections.is_predicted(cell):
            yield f"{cell.id} is {'folded' if is_folded else 'open'}"


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_questions_stand_right_before_their_folded_answers(path):
    assert not list(wrong_predictions(read(path)))


@pytest.mark.parametrize("name", sections.section_names())
def test_section_asks_two_to_four_questions(name):
    section = read(sections.path(name))
    num_asked = sum(cell.source.count(ASKS) for cell in section.cells)
    assert FEWEST <= num_asked <= MOST


# Controls.


def section(question: str, tags: list[str], is_folded: bool) -> NotebookNode:
    view = {"jupyter": {"outputs_hidden": True}} if is_folded else {}
    answer = new_code_cell("1 + 1", metadata={"tags": tags, **view})
    return new_notebook(cells=[new_markdown_cell(question), answer])


def test_right_prediction_passes():
    asked = section(f"An idea.\n\n{ASKS}几？", ["predict"], is_folded=True)
    assert not list(wrong_predictions(asked))
    assert not list(wrong_predictions(section("An idea.", ["extra"], is_folded=False)))


def test_figure_answers_and_is_not_folded():
    used = section(f"{ASKS}几？", ["figure"], is_folded=False)
    assert not list(wrong_predictions(used))


@pytest.mark.parametrize(
    "wrong",
    [
        section(f"{ASKS}几？", [], is_folded=False),
        section(f"{ASKS}几？\n\n是 2。", ["predict"], is_folded=True),
        section("An idea.", ["predict"], is_folded=True),
        section(f"{ASKS}几？", ["predict"], is_folded=False),
        section("An idea.", ["figure"], is_folded=False),
        section(f"{ASKS}几？", ["figure"], is_folded=True),
        section("An idea.", ["extra"], is_folded=True),
    ],
    ids=[
        *("no answer", "told at once", "not asked", "open"),
        *("figure not asked", "figure folded", "folded for nothing"),
    ],
)
def test_wrong_prediction_is_found(wrong):
    assert list(wrong_predictions(wrong))
