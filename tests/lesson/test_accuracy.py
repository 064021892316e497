"""Protects: at scale lesson, every network learns what it learned with three seeds.

`make test-lesson`, for a nightly run: the sections' own cells, in half an hour on two
cores.
"""

import contextlib
import io

import mxnet as mx
import numpy as np
import pytest

from d2lutil.history import History
from d2lutil.pages import sections
from d2lutil.settings import run_scale

SEED = 0

# Accuracy on the test images after the last epoch: the lowest and the highest of three
# seeds (0, 1, 2; one thread of an AMD EPYC, 2026-11-30).
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
# How far another seed, number of threads or processor may be from these.
MARGIN = 0.05


@pytest.fixture(scope="module", params=SEEDS)
def trained(request: pytest.FixtureRequest) -> tuple[str, History]:
    """Train the network of a section, as a reader does who runs it from the top."""
    assert run_scale().name == "lesson", "make test-lesson sets the scale"
    mx.random.seed(SEED)
    np.random.seed(SEED)
    printed, namespace = io.StringIO(), {}
    with contextlib.redirect_stdout(printed):
        for cell in sections.code_cells(sections.read(request.param)):
            if not sections.is_added(cell):
                exec(sections.source(cell), namespace)
    return request.param, History.parse(printed.getvalue())


def test_accuracy_is_that_of_the_three_seeds(trained):
    name, history = trained
    lowest, highest = SEEDS[name]
    assert lowest - MARGIN <= history.test_acc[-1] <= highest + MARGIN


def test_loss_falls(trained):
    _, history = trained
    *_, first, _, _, _, last = history.loss  # Some sections train before, too.
    assert last < 0.75 * first
