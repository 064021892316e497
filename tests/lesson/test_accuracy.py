"""Protects: at scale lesson, every network learns what it learned with three seeds.

`make test-lesson`, for a nightly run: the sections' own cells, in half an hour on two
cores.
"""

import contextlib
import io

import pytest

from benchmarks.measure_lesson import train
from d2lutil.history import History
from d2lutil.settings import num_threads, run_scale

SEED = 0

# Accuracy on the test images after the last epoch: the lowest and the highest of three
# seeds (0, 1, 2; one thread of an AMD EPYC, 2026-11-30). Other numbers of threads round
# in another way: with two, NiN's loss stays at ln 10 for seed 0.
SEEDS = {
    "05-lenet": (0.523, 0.651),
    "06-alexnet": (0.563, 0.621),
    "07-vgg": (0.840, 0.848),
    "08-nin": (0.585, 0.756),
    "09-googlenet": (0.804, 0.815),
    "10-batch-norm": (0.808, 0.834),
    "11-resnet": (0.885, 0.892),
    "12-densenet": (0.870, 0.884),
}
# How far another seed or processor may be from these.
MARGIN = 0.05


def trained(section: str) -> History:
    """Train the network of a section; return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        train(section, SEED)
    return History.parse(printed.getvalue())


@pytest.mark.parametrize("name", SEEDS)
def test_network_learns_what_it_learned_with_three_seeds(name):
    assert run_scale().name == "lesson", "make test-lesson sets the scale"
    assert num_threads() == 1, "make test-lesson sets the number of threads"
    history = trained(name)

    lowest, highest = SEEDS[name]
    assert lowest - MARGIN <= history.test_acc[-1] <= highest + MARGIN
    *_, first, _, _, _, last = history.loss  # Some sections train before, too.
    assert last < 0.75 * first
