"""Protects: what a section says of its network beside an earlier one is measured."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

import d2lutil as gb
from d2lutil.pages import sections
from tests.book.reading import prose, read
from tests.book.test_quoted_numbers import quotes

# The networks with the pixels of their images at scale full.
PIXELS = {
    "05-lenet": 28,
    "06-alexnet": 224,
    "07-vgg": 224,
    "08-nin": 224,
    "09-googlenet": 96,
    "10-batch-norm": 28,
    "11-resnet": 96,
    "12-densenet": 96,
}
# Each section with the one that it is compared with: the one before, but for two.
COMPARED = {name: before for before, name in pairwise(PIXELS)} | {
    "10-batch-norm": "05-lenet",
    "11-resnet": "09-googlenet",
}
# What a text may count parameters and multiply-adds in: 1, 万, 亿.
UNITS = (1, 10**4, 10**8)


def comparison(name: str) -> str:
    """Return the last paragraph before the summary that compares networks."""
    text = prose(read(sections.path(name))).partition("\n\n## 小结")[0]
    return [p for p in text.split("\n\n") if "相比" in p][-1]


def counts(name: str) -> tuple[int, int]:
    """Return the numbers of parameters and of multiply-adds of a section's network."""
    pixels = PIXELS[name]
    cost = gb.network_cost(gb.load_section(name).net, (1, 1, pixels, pixels))
    return cost.num_parameters, cost.multiply_adds


def tells(text: str, count: int) -> bool:
    """Tell whether a text has a count in one of the units."""
    return any(quotes(text, count / unit) for unit in UNITS)


def missing(text: str, name: str, before: str) -> Iterator[float]:
    """Yield the numbers of two networks that a text does not have.

    Of counts it may have their ratio; of accuracies, at scale full, it has both.
    """
    for this, other in zip(counts(name), counts(before), strict=True):
        ratio = max(this, other) / min(this, other)
        if not quotes(text, ratio):
            yield from (count for count in (this, other) if not tells(text, count))

    for section in (name, before):
        accuracy = gb.recorded_history(section, "full").test_acc[-1]
        if not quotes(text, accuracy):
            yield accuracy


@pytest.mark.parametrize("name", COMPARED)
def test_section_ends_with_a_comparison(name):
    assert not list(missing(comparison(name), name, COMPARED[name]))


@pytest.mark.parametrize("part", ["98 万", "1.35 亿", "0.899", "0.913"])
def test_another_number_is_found(part):
    right = comparison("12-densenet")
    assert part in right
    wrong = right.replace(part, "7 万")
    assert list(missing(wrong, "12-densenet", "11-resnet"))
