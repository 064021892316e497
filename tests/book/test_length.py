"""Protects: a section that gains something gives something up.

What counts is the running text: without the head cell, captions, descriptions of
pictures, questions to predict, exercises and references.
"""

import re

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from d2lutil.pages import sections
from tests.book.reading import IMAGE, read

# Characters in version 0.1.0.
BEFORE = {
    "05-lenet": 6310,
    "06-alexnet": 6304,
    "07-vgg": 5093,
    "08-nin": 3979,
    "09-googlenet": 5279,
    "10-batch-norm": 5516,
    "11-resnet": 6216,
    "12-densenet": 4974,
    "13-comparison": 5550,
    "14-performance": 6520,
}
MOST_GROWTH = 1.1
LEFT_OUT = ("**图 ", "**先猜一猜**", "---")


def num_characters(section: NotebookNode) -> int:
    """Return how many characters the running text of a section has."""
    texts = [cell.source for cell in section.cells[1:] if cell.cell_type == "markdown"]
    text = re.split(r"^## 练习$", "\n\n".join(texts), flags=re.MULTILINE)[0]
    paragraphs = IMAGE.sub("", text).split("\n\n")
    running = [p for p in paragraphs if not p.startswith(LEFT_OUT)]
    return len(re.sub(r"\s", "", "".join(running)))


@pytest.mark.parametrize("name", BEFORE)
def test_section_has_not_grown_by_more_than_a_tenth(name):
    length = num_characters(read(sections.path(name)))
    growth = f"{name} has {length} characters, {length / BEFORE[name]:.2f} × before"
    assert length <= MOST_GROWTH * BEFORE[name], growth


def test_only_running_text_counts():
    head = new_markdown_cell("# 标题\n\n很长的开头")
    text = "正文五个字\n\n![图](a.svg)\n\n**图 1.1** 说明\n\n**先猜一猜**：几？"
    rest = "两字\n\n## 练习\n\n1. 不算\n\n## 参考文献\n\n也不算"
    cells = [head, new_markdown_cell(text), new_markdown_cell(rest)]
    assert num_characters(new_notebook(cells=cells)) == 7
