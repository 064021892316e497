"""Protects: every exercise has a solution that asks the same; section and it link."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from d2lutil.pages.sections import NOTEBOOKS
from tests.book.reading import PATHS, prose, read, solved

EXERCISES = "## 练习\n"
SECTIONS = [
    path
    for path in PATHS
    if path.parent == NOTEBOOKS and EXERCISES in prose(read(path))
]
QUESTION = re.compile(r"^\*\*题目\*\*：(.+)$", re.MULTILINE)


@pytest.fixture(params=SECTIONS, ids=lambda path: path.name)
def section(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def solution(section: Path) -> NotebookNode:
    return read(NOTEBOOKS / "solutions" / section.name)


def exercises(section: NotebookNode) -> str:
    text = prose(section).partition(EXERCISES)[2]
    return re.split(r"^(?:## 参考文献|---)$", text, flags=re.MULTILINE)[0]


def exercise_texts(section: NotebookNode) -> dict[int, str]:
    """Return the exercises of a section by their numbers."""
    _, *parts = re.split(r"^(\d+)\. ", exercises(section), flags=re.MULTILINE)
    return dict(zip(map(int, parts[::2]), parts[1::2], strict=True))


def test_there_are_sections_with_exercises():
    assert len(SECTIONS) > 10


def test_section_and_solutions_link_to_each_other(section, solution):
    assert f"(solutions/{section.name})" in exercises(read(section))
    first, last = solution.cells[0].source, solution.cells[-1].source
    title = read(section).cells[0].source.splitlines()[0]
    assert first.splitlines()[0] == f"{title}：练习解答"
    assert f"(../{section.name})" in first
    assert last.endswith(f"[回到本节](../{section.name}) · [目录](../index.ipynb)")


def test_every_exercise_is_solved_in_order(section, solution):
    assert list(solved(solution)) == list(exercise_texts(read(section)))


def test_every_solution_has_question_hint_and_answer(solution):
    for number, cells in solved(solution).items():
        text = "\n".join(cell.source for cell in cells)
        for part in ("**题目**：", "**提示**：", "**解答**："):
            assert part in text, (number, part)


# The question.


def plain(text: str, notebook: NotebookNode) -> str:
    """Return a text without links and emphasis, what it cites spelt out."""
    listed = prose(notebook).partition("## 参考文献")[2]
    references = dict(re.findall(r"^\[(\d+)\] (.+)$", listed, re.MULTILINE))
    text = re.sub(r"(?<!!)\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"\[(\d+)\]", lambda match: f"[{references[match[1]]}]", text)
    return re.sub(r"\s|\*\*", "", text)


def changed_questions(section: NotebookNode, solution: NotebookNode) -> Iterator[int]:
    """Yield the numbers of the exercises that the solutions ask in other words."""
    for number, cells in solved(solution).items():
        asked = QUESTION.findall("\n".join(cell.source for cell in cells))
        exercise = exercise_texts(section)[number]
        if [plain(q, solution) for q in asked] != [plain(exercise, section)]:
            yield number


def test_question_is_the_exercise(section, solution):
    assert not list(changed_questions(read(section), solution))


def section_of(exercise: str) -> NotebookNode:
    text = f"{EXERCISES}\n1. {exercise}\n\n## 参考文献\n\n[1] One.\n\n[2] Two."
    return new_notebook(cells=[new_markdown_cell(text)])


def solution_of(question: str) -> NotebookNode:
    text = f"## 练习 1：一题\n\n**题目**：{question}\n\n## 参考文献\n\n[1] Two."
    return new_notebook(cells=[new_markdown_cell(text)])


@pytest.mark.parametrize(
    "question, is_same",
    [
        ("训练 5 个迭代周期，见 VGG [1]。", True),
        ("训练 **5** 个迭代周期，见 [VGG](../07-vgg.ipynb) [1]。", True),
        ("训练 6 个迭代周期，见 VGG [1]。", False),
        ("训练 5 个迭代周期，见 VGG。", False),
        ("训练 5 个迭代周期。", False),
    ],
)
def test_changed_question_is_found(question, is_same):
    section = section_of("训练 5 个**迭代周期**，见 [VGG](07-vgg.ipynb) [2]。")
    found = list(changed_questions(section, solution_of(question)))
    assert found == ([] if is_same else [1])
