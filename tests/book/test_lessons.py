"""Protects: where a lesson takes smaller images, the reader sees and can change it."""

import re
from itertools import pairwise

import pytest

import d2lutil as gb
from d2lutil.pages import sections
from d2lutil.settings import Images

LOADS = re.compile(r"load_data_fashion_mnist\([^)]*resize=(\d+)")
LESSON = re.compile(r"gb\.lesson\(num_train=([\d_]+), pixels=(\d+)\)")

# A source cell asks for more pixels than a lesson can bear.
LARGE = [
    "06-alexnet",
    "07-vgg",
    "08-nin",
    "09-googlenet",
    "11-resnet",
    "12-densenet",
]


def test_these_are_all_that_load_large_images():
    assert LARGE == [
        name
        for name in sections.section_names()
        if any(LOADS.search(code) for code in codes(name))
    ]


def codes(name: str) -> list[str]:
    return [sections.source(cell) for cell in sections.code_cells(sections.read(name))]


@pytest.mark.parametrize("name", LARGE)
def test_added_cell_right_before_lowers_the_pixels_and_stored_lesson_has_them(name):
    cells = sections.code_cells(sections.read(name))
    before, loading = next(
        pair for pair in pairwise(cells) if LOADS.search(sections.source(pair[1]))
    )
    num_train, pixels = map(int, LESSON.fullmatch(sections.source(before)).groups())
    assert before["metadata"]["tags"] == ["extra"]
    assert num_train == 60_000
    assert 28 < pixels < int(LOADS.search(sections.source(loading))[1])

    used = gb.recorded_history(name).images
    assert used == Images(num_train, num_test=10_000, height=pixels, width=pixels)


@pytest.mark.parametrize("name", sections.notebook_names())
def test_large_images_are_never_loaded_without_a_word_on_lessons(name):
    source = "\n".join(codes(name))
    if (loads := LOADS.search(source)) and int(loads[1]) > 56:
        assert "gb.lesson(" in source[: loads.start()]
