"""Protects: training as the LeNet section writes it out is training as d2lutil does it.

The section says that its `evaluate_accuracy` and `train_ch5` are saved in d2lutil,
whose versions do more around the same computation. Both must give the same results.
"""

import re
from collections.abc import Callable
from types import ModuleType

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, init, nd
from mxnet.gluon import nn

import d2lutil as gb

BATCH_SIZE = 8
TIME = re.compile(r"time \d+\.\d sec$", re.MULTILINE)


@pytest.fixture(scope="module")
def written_out() -> ModuleType:
    """Return what the notebook defines; nothing else of it is run."""
    return gb.load_section("05-lenet")


def batches() -> gluon.data.DataLoader:
    """Return images of three classes; the last batch is smaller."""
    rng = np.random.default_rng(0)
    y = np.arange(20) % 3
    X = rng.normal(size=(20, 1, 6, 6)) + y[:, None, None, None]
    dataset = gluon.data.ArrayDataset(X.astype(np.float32), y.astype(np.int32))
    return gluon.data.DataLoader(dataset, BATCH_SIZE)


def new_net() -> nn.Sequential:
    mx.random.seed(0)
    net = nn.Sequential()
    net.add(nn.Conv2D(2, kernel_size=3, activation="sigmoid"), nn.Dense(3))
    net.initialize(init.Xavier())
    net(nd.zeros((1, 1, 6, 6)))  # Gives the parameters their shapes.
    return net


def trained(train_ch5: Callable) -> nn.Sequential:
    net = new_net()
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.5})
    train_ch5(net, batches(), batches(), BATCH_SIZE, trainer, mx.cpu(), 3)
    return net


def parameters(net: nn.Sequential) -> list[np.ndarray]:
    return [parameter.data().asnumpy() for parameter in net.collect_params().values()]


def test_training_gives_the_same_parameters_and_lines(written_out, capsys):
    ours = trained(written_out.train_ch5)
    our_lines = capsys.readouterr().out
    saved = trained(gb.train_ch5)
    saved_lines = capsys.readouterr().out
    assert our_lines.count("\n") == 4
    assert TIME.sub("", our_lines) == TIME.sub("", saved_lines)
    start = new_net()
    for a, b, before in zip(*map(parameters, (ours, saved, start)), strict=True):
        assert np.array_equal(a, b)
        assert not np.array_equal(a, before)


def test_accuracy_is_the_same(written_out):
    net = trained(gb.train_ch5)
    ours = written_out.evaluate_accuracy(batches(), net, mx.cpu())
    assert ours == gb.evaluate_accuracy(batches(), net, mx.cpu())
    assert 1 / 3 < ours < 1
