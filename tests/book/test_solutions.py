"""Protects: every exercise has a solution with a check; section and solutions link."""

import re
from pathlib import Path

import pytest
from nbformat import NotebookNode

from d2lutil.pages.sections import NOTEBOOKS
from tests.book.reading import PATHS, prose, read

EXERCISES = "## 练习\n"
SECTIONS = [
    path
    for path in PATHS
    if path.parent == NOTEBOOKS and EXERCISES in prose(read(path))
]


@pytest.fixture(params=SECTIONS, ids=lambda path: path.name)
def section(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def solution(section: Path) -> NotebookNode:
    return read(NOTEBOOKS / "solutions" / section.name)


def exercises(section: Path) -> str:
    return prose(read(section)).partition(EXERCISES)[2].partition("## 参考文献")[0]


def solved(solution: NotebookNode) -> dict[int, str]:
    """Return the cells, text and code, under the heading of each exercise."""
    text = "\n".join(cell.source for cell in solution.cells)
    _, *parts = re.split(r"^## 练习 (\d+)：", text, flags=re.M)
    numbers = map(int, parts[::2])
    return dict(zip(numbers, parts[1::2], strict=True))


def test_there_are_sections_with_exercises():
    assert len(SECTIONS) > 10


def test_section_and_solutions_link_to_each_other(section, solution):
    assert f"(solutions/{section.name})" in exercises(section)
    first, last = solution.cells[0].source, solution.cells[-1].source
    title = read(section).cells[0].source.splitlines()[0]
    assert first.splitlines()[0] == f"{title}：练习解答"
    assert f"(../{section.name})" in first
    assert last.endswith(f"[回到本节](../{section.name}) · [目录](../index.ipynb)")


def test_every_exercise_is_solved_in_order(section, solution):
    numbers = re.findall(r"^(\d+)\. ", exercises(section), re.M)
    assert list(solved(solution)) == list(map(int, numbers))


def test_every_solution_has_question_hint_answer_and_check(solution):
    for number, text in solved(solution).items():
        for part in ("**题目**：", "**提示**：", "**解答**："):
            assert part in text, (number, part)
        assert re.search(r"^\s*assert ", text, re.M), number
