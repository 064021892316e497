"""Protects: a rewritten graph trains as its network, with the kernels it is for."""

import os
import subprocess
import sys
from collections.abc import Callable

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

from d2lutil.engine import static_graph

NUM_PIXELS = 9


def sequential(*layers: gluon.Block) -> nn.Sequential:
    net = nn.Sequential()
    net.add(*layers)
    return net


def normalised(norm: gluon.Block, activation: str = "relu") -> nn.Sequential:
    return sequential(
        nn.Conv2D(20, 3), norm, nn.Activation(activation), nn.Conv2D(20, 3), nn.Dense(3)
    )


class UsedTwice(nn.Block):
    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.dense = nn.Conv2D(4, 3), nn.BatchNorm(), nn.Dense(3)

    def forward(self, X):
        Y = self.norm(self.conv(X))
        return self.dense(nd.relu(Y) + Y)


# How to build a network, and how many of its normalisations are fused with a ReLU.
NETWORKS: dict[str, tuple[Callable[[], gluon.Block], int]] = {
    "usual": (lambda: normalised(nn.BatchNorm()), 1),
    "without scale and centre": (
        lambda: normalised(nn.BatchNorm(scale=False, center=False)),
        1,
    ),
    "first": (
        lambda: sequential(nn.BatchNorm(), nn.Activation("relu"), nn.Dense(3)),
        1,
    ),
    "last": (
        lambda: sequential(nn.Conv2D(4, 3), nn.BatchNorm(), nn.Activation("relu")),
        1,
    ),
    "another activation": (lambda: normalised(nn.BatchNorm(), "sigmoid"), 0),
    "global statistics": (lambda: normalised(nn.BatchNorm(use_global_stats=True)), 0),
    "last axis": (lambda: normalised(nn.BatchNorm(axis=-1)), 0),
    "axis of the height": (lambda: normalised(nn.BatchNorm(axis=2)), 0),
    "no image": (
        lambda: sequential(nn.Dense(4), nn.BatchNorm(), nn.Activation("relu")),
        0,
    ),
    "used twice": (UsedTwice, 0),
}


def trained(
    build: Callable[[], gluon.Block], compiles: bool, train_mode: bool
) -> tuple[list[np.ndarray], int]:
    """Train a network; return its prediction and parameters, and what was fused."""
    mx.random.seed(1)
    net = build()
    net.initialize(init=init.Xavier())
    X = nd.random.normal(1, 2, shape=(8, 1, NUM_PIXELS, NUM_PIXELS))
    net(X)
    run = static_graph.compile_network(net, X) if compiles else net

    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
    for _ in range(3):
        with autograd.record(train_mode):
            y = run(X)
        y.backward(nd.cos(nd.arange(y.size)).reshape(y.shape))
        trainer.step(len(X))

    arrays = [run(X), *(p.data() for p in net.collect_params().values())]
    graph = run._graph._cached_graph[1].tojson() if compiles else ""
    num_fused = graph.count("_contrib_BatchNormWithReLU")
    return [array.asnumpy() for array in arrays], num_fused


@pytest.mark.parametrize("train_mode", [True, False])
@pytest.mark.parametrize("name", NETWORKS)
def test_network_trains_as_it_does_without_being_rewritten(name, train_mode):
    build, expected_num_fused = NETWORKS[name]
    expected, _ = trained(build, False, train_mode)
    actual, num_fused = trained(build, True, train_mode)
    for a, b in zip(expected, actual, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
    assert num_fused == expected_num_fused


KERNELS = """
import sys
from mxnet import autograd, init, nd
import d2lutil as gb
from d2lutil.engine import rewrites, static_graph

if "no head" in sys.argv:
    rewrites.keep_head_in_float32 = lambda *_: []
net = gb.load_section(sys.argv[1]).net
net.initialize(init=init.Xavier())
X = nd.random.uniform(shape=(4, 1, 48, 48))
compiled = static_graph.compile_network(net, X, sys.argv[2])
nd.waitall()
print("trained", flush=True)
with autograd.record():
    y = compiled(X)
y.backward()
nd.waitall()
"""


def normalisations(*arguments: str) -> list[str]:
    """Return oneDNN's lines on the batch normalisations of one step of training."""
    log = subprocess.run(
        [sys.executable, "-c", KERNELS, *arguments],
        env=os.environ | {"DNNL_VERBOSE": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    lines = log.partition("trained\n")[2].splitlines()
    return [line for line in lines if "batch_normalization" in line]


needs_bfloat16 = pytest.mark.skipif(
    not static_graph.has_bfloat16(), reason="needs instructions for bfloat16"
)


@needs_bfloat16
@pytest.mark.parametrize(
    ("section", "in_float32"), [("11-resnet", 1), ("12-densenet", 2)]
)
def test_no_batch_normalisation_meets_the_plain_layout(section, in_float32):
    lines = normalisations(section, "bfloat16")
    assert not [line for line in lines if "blocked:abcd" in line]
    assert sum("data_f32" in line for line in lines) == 2 * in_float32
    assert any("data_bf16" in line for line in lines)


@needs_bfloat16
def test_without_the_head_in_float32_it_would():
    lines = normalisations("12-densenet", "bfloat16", "no head")
    assert [line for line in lines if "blocked:abcd" in line]


def test_all_normalisations_of_densenet_apply_the_relu_themselves():
    lines = normalisations("12-densenet", "float32")
    assert len(lines) == 2 * 21
    assert all("flags:SR" in line for line in lines)
