"""Protects: at scale lesson, every network learns what it learned with three seeds.

`make test-lesson`, for a nightly run: the sections' own cells, in half an hour on two
cores.
"""

import contextlib
import io
from itertools import pairwise

import mxnet as mx
import numpy as np
import pytest

from d2lutil.history import History
from d2lutil.pages import sections
from d2lutil.settings import run_scale

SEED = 0
NUM_EPOCHS = 5

# Accuracy on the test images after the last epoch: the lowest and the highest of three
# seeds (0, 1, 2; one thread of an AMD EPYC, 2026-11-30).
SEEDS = {}
# How far another seed, number of threads or processor may be from these.
MARGIN = 0.04


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


def last(measured: list[float]) -> list[float]:
    """Return the epochs of the last training: some sections have several."""
    return measured[-NUM_EPOCHS:]


def test_accuracy_is_that_of_the_three_seeds(trained):
    name, history = trained
    lowest, highest = SEEDS[name]
    assert lowest - MARGIN <= history.test_acc[-1] <= highest + MARGIN


def test_loss_falls_from_epoch_to_epoch(trained):
    _, history = trained
    assert len(history.loss) >= NUM_EPOCHS
    assert all(after < before for before, after in pairwise(last(history.loss)))
