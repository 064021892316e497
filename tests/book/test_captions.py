"""Protects: every figure has a number and a caption, and the text leads to it.

A figure is an image in the text, or what a code cell draws, in however many pictures.
"""

import re
from collections.abc import Callable, Iterator
from itertools import pairwise

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from d2lutil.pages import sections
from tests.book.reading import IMAGE, prose, read

Book = dict[str, NotebookNode]

# A paragraph such as "**图 8.2** 三个网络。", and 图 8.2 wherever it is written.
CAPTION = re.compile(r"\*\*图 (A?\d+\.\d+)\*\* \S.*。")
MENTION = re.compile(r"图 (A?\d+\.\d+)")


@pytest.fixture
def book() -> Book:
    return {name: read(sections.path(name)) for name in sections.notebook_names()}


def sections_of(book: Book) -> Iterator[tuple[str, NotebookNode]]:
    """Yield the name and the notebook of each section."""
    return ((name, book[name]) for name in sections.section_names() if name in book)


def paragraphs(markdown: str) -> list[str]:
    return re.split(r"\n\n+", markdown.strip())


def draws(cell: NotebookNode) -> bool:
    """Tell whether a code cell shows a picture."""
    outputs = cell.get("outputs", [])
    return any(kind.startswith("image/") for o in outputs for kind in o.get("data", {}))


def below_figures(notebook: NotebookNode) -> Iterator[str]:
    """Yield the paragraph that directly follows each figure, "" if none does."""
    for cell, following in pairwise([*notebook.cells, NotebookNode(cell_type="raw")]):
        if cell.cell_type == "markdown":
            for paragraph, below in pairwise([*paragraphs(cell.source), ""]):
                yield from [below] * len(IMAGE.findall(paragraph))
        elif draws(cell):
            is_text = following.cell_type == "markdown"
            yield paragraphs(following.source)[0] if is_text else ""


def captions(notebook: NotebookNode) -> list[str]:
    """Return the captions, wherever they stand."""
    return [p for p in paragraphs(prose(notebook)) if CAPTION.fullmatch(p)]


def numbers(notebook: NotebookNode) -> list[str]:
    """Return the numbers of the captions, such as "8.2"."""
    return [MENTION.findall(caption)[0] for caption in captions(notebook)]


def test_every_figure_has_its_caption_below(book):
    for name, notebook in sections_of(book):
        assert list(below_figures(notebook)) == captions(notebook), name


def test_figures_are_numbered_in_order(book):
    for name, notebook in sections_of(book):
        section = name.partition("-")[0].removeprefix("0").upper()
        found = numbers(notebook)
        assert found == [f"{section}.{i + 1}" for i in range(len(found))], name


def test_text_refers_to_every_figure(book):
    for name, notebook in sections_of(book):
        own_captions = captions(notebook)
        text = [p for p in paragraphs(prose(notebook)) if p not in own_captions]
        mentioned = MENTION.findall("\n".join(text))
        assert set(numbers(notebook)) <= set(mentioned), name


def test_every_mention_leads_to_a_figure(book):
    there = {
        number for _, notebook in sections_of(book) for number in numbers(notebook)
    }
    for name, notebook in book.items():
        assert set(MENTION.findall(prose(notebook))) <= there, name


# Each rule finds what it looks for.


def good_book() -> Book:
    """Return a small book that follows every rule."""
    picture = new_output("display_data", {"image/png": "aGVsbG8="})
    drawing = [picture, new_output("stream", text="two\n", name="stdout"), picture]
    nin = new_notebook(
        cells=[
            new_markdown_cell(
                "# NiN\n\n见图 8.1。\n\n![点](dot.svg)\n\n**图 8.1** 点。"
            ),
            new_code_cell("draw()", outputs=drawing),
            new_markdown_cell("**图 8.2** 两条线。\n\n图 8.2 的左边是直线。"),
        ]
    )
    solution = new_notebook(cells=[new_markdown_cell("# NiN\n\n重画图 8.2。")])
    return {"08-nin": nin, "solutions/08-nin": solution}


def replaces(
    old: str, new: str, cell: int = 0, name: str = "08-nin"
) -> Callable[[Book], None]:
    """Return what replaces a text in a markdown cell."""

    def spoil(book: Book) -> None:
        source = book[name].cells[cell].source
        assert old in source
        book[name].cells[cell].source = source.replace(old, new)

    return spoil


def moves(cell: int, to: int) -> Callable[[Book], None]:
    """Return what moves a cell."""

    def spoil(book: Book) -> None:
        cells = book["08-nin"].cells
        cells.insert(to, cells.pop(cell))

    return spoil


BELOW = test_every_figure_has_its_caption_below
IN_ORDER = test_figures_are_numbered_in_order
REFERRED_TO = test_text_refers_to_every_figure
LEADS = test_every_mention_leads_to_a_figure

BAD = [
    (BELOW, replaces("\n\n**图 8.1** 点。", "")),
    (BELOW, replaces("**图 8.1** 点。", "图 8.1 点。")),
    (BELOW, replaces("**图 8.1** 点。", "**图 8.1**")),
    (BELOW, replaces("**图 8.1** 点。", "**图 8.1** 点")),
    (BELOW, replaces("\n\n**图 8.1** 点。", "\n**图 8.1** 点。")),
    (BELOW, replaces("**图 8.1** 点。", "一个点。\n\n**图 8.1** 点。")),
    (BELOW, replaces("![点](dot.svg)", "一个点。")),
    (BELOW, replaces("![点](dot.svg)", "![点](dot.svg) ![点](dot.svg)")),
    (BELOW, replaces("**图 8.2** 两条线。\n\n", "", cell=2)),
    (BELOW, replaces("**图 8.2**", "两条线。\n\n**图 8.2**", cell=2)),
    (BELOW, moves(2, to=0)),
    (BELOW, lambda book: book["08-nin"].cells.insert(2, new_code_cell("draw()"))),
    (BELOW, lambda book: book["08-nin"].cells[1].update(outputs=[])),
    (IN_ORDER, replaces("**图 8.1**", "**图 8.2**")),
    (IN_ORDER, replaces("**图 8.2**", "**图 8.3**", cell=2)),
    (IN_ORDER, replaces("**图 8.1**", "**图 7.1**")),
    (IN_ORDER, replaces("**图 8.1**", "**图 A8.1**")),
    (REFERRED_TO, replaces("见图 8.1。", "见下图。")),
    (REFERRED_TO, replaces("图 8.2 的左边", "左边", cell=2)),
    (LEADS, replaces("见图 8.1。", "见图 8.3。")),
    (LEADS, replaces("两条线。", "图 8.3 的两条线。", cell=2)),
    (LEADS, replaces("图 8.2", "图 A8.2", name="solutions/08-nin")),
]


@pytest.mark.parametrize("rule, spoil", BAD)
def test_rule_finds_a_bad_book(rule, spoil):
    book = good_book()
    rule(book)
    spoil(book)
    with pytest.raises(AssertionError):
        rule(book)


def test_an_appendix_is_numbered_with_its_letter():
    appendix = new_notebook(
        cells=[new_markdown_cell("![点](dot.svg)\n\n**图 A1.1** 点。")]
    )
    IN_ORDER({"a1-dropout": appendix})
