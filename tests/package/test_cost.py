"""Protects: a network costs what one counts by hand, and what papers publish."""

import os
import re
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, init, nd
from mxnet.gluon import nn
from mxnet.gluon.model_zoo import vision

import d2lutil as gb
from d2lutil.engine import kept


def sequential(*layers: nn.Block) -> nn.Sequential:
    net = nn.Sequential()
    net.add(*layers)
    return net


# Layers, against counts by hand.


@pytest.mark.parametrize(
    ("layer", "input_shape", "num_parameters", "multiply_adds"),
    [
        # 4 x 3 kernels of 3 x 3 and 4 biases; the output has 6 x 6 positions.
        (nn.Conv2D(4, 3), (1, 3, 8, 8), 4 * 3 * 9 + 4, 6 * 6 * 4 * 3 * 9),
        (nn.Conv2D(4, 3, use_bias=False), (1, 3, 8, 8), 4 * 3 * 9, 6 * 6 * 4 * 3 * 9),
        (nn.Conv2D(4, 3, activation="relu"), (1, 3, 8, 8), 112, 6 * 6 * 4 * 3 * 9),
        # (8 - 3 + 2) / 2 + 1 is 4 without its fraction.
        (nn.Conv2D(4, 3, 2, 1), (1, 3, 8, 8), 112, 4 * 4 * 4 * 3 * 9),
        (nn.Conv2D(4, (1, 5)), (1, 3, 8, 8), 4 * 3 * 5 + 4, 8 * 4 * 4 * 3 * 5),
        # A kernel sees only the 3 channels of its group.
        (nn.Conv2D(4, 3, groups=2), (1, 6, 8, 8), 112, 6 * 6 * 4 * 3 * 9),
        # The depthwise convolution.
        (nn.Conv2D(6, 3, groups=6), (1, 6, 8, 8), 6 * 9 + 6, 6 * 6 * 6 * 9),
        (nn.Dense(7), (1, 5), 5 * 7 + 7, 5 * 7),
        (nn.Dense(7, use_bias=False), (1, 5), 5 * 7, 5 * 7),
        (nn.Dense(7), (1, 3, 5, 2), 30 * 7 + 7, 30 * 7),
        # The same 5 inputs and 7 outputs for each of 3 positions.
        (nn.Dense(7, flatten=False), (1, 3, 5), 5 * 7 + 7, 3 * 5 * 7),
        # Scale and shift are learned; running mean and variance are not.
        (nn.BatchNorm(), (1, 6, 8, 8), 6 + 6, 0),
        (nn.MaxPool2D(), (1, 6, 8, 8), 0, 0),
        (nn.Dropout(0.5), (1, 6), 0, 0),
    ],
)
def test_layer_costs_what_is_counted_by_hand(
    layer, input_shape, num_parameters, multiply_adds
):
    (cost,) = gb.network_cost(sequential(layer), input_shape).layers
    assert cost.kind == type(layer).__name__
    assert (cost.num_parameters, cost.multiply_adds) == (num_parameters, multiply_adds)


def test_multiply_adds_are_per_example():
    costs = [gb.network_cost(nn.Conv2D(4, 3), (n, 3, 8, 8)) for n in (1, 5)]
    assert costs[0].multiply_adds == costs[1].multiply_adds
    assert costs[0].activation_bytes == costs[1].activation_bytes


# Networks.


def test_layers_are_named_by_their_place_and_listed_as_they_run():
    net = sequential(
        nn.Conv2D(3, 1), gb.Residual(6, use_1x1conv=True, strides=2), nn.Dense(10)
    )
    cost = gb.network_cost(net, (2, 1, 8, 8))
    assert [(layer.name, layer.output_shape) for layer in cost.layers] == [
        ("0", (2, 3, 8, 8)),
        ("1.conv1", (2, 6, 4, 4)),
        ("1.bn1", (2, 6, 4, 4)),
        ("1.conv2", (2, 6, 4, 4)),
        ("1.bn2", (2, 6, 4, 4)),
        ("1.conv3", (2, 6, 4, 4)),
        ("2", (2, 10)),
    ]
    assert cost.num_parameters == sum(c.num_parameters for c in cost.layers)
    assert cost.multiply_adds == sum(c.multiply_adds for c in cost.layers)
    # The way through conv1 and conv2 is longer than the way through conv3.
    assert cost.depth == 4


def test_parameters_of_a_layer_that_runs_twice_count_once():
    layer = nn.Dense(4)
    same_weights = nn.Dense(4, params=layer.params)
    cost = gb.network_cost(sequential(layer, layer, same_weights), (1, 4))
    assert [c.num_parameters for c in cost.layers] == [20, 0, 0]
    assert [c.multiply_adds for c in cost.layers] == [16, 16, 16]
    assert [c.name for c in cost.layers] == ["0", "0", "2"]
    assert cost.depth == 3


class Joined(nn.Block):
    """Joins its input to the output of a convolution, as dense blocks do."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(2, kernel_size=1)
        self.pool = nn.GlobalAvgPool2D()

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        return self.pool(nd.concat(X, self.conv(X), dim=1))


def test_activations_are_the_arrays_that_layers_read_or_return():
    # X with 3 channels, which two layers read; 2 from the convolution; both joined; 5
    # numbers from the pooling.
    cost = gb.network_cost(Joined(), (1, 3, 4, 4))
    assert cost.activation_bytes == 4 * (3 * 16 + 2 * 16 + 5 * 16 + 5)


# What training keeps until the backward pass.


@pytest.mark.parametrize(
    ("net", "num_kept"),
    [
        # The input of the convolution, and the output of ReLU: not what is between.
        (sequential(nn.Conv2D(4, 3), nn.Activation("relu")), 3 * 64 + 4 * 36),
        (sequential(nn.Conv2D(4, 3, activation="relu")), 3 * 64 + 4 * 36),
        # Both inputs, that of the convolution and that of the normalisation.
        (sequential(nn.Conv2D(4, 3), nn.BatchNorm()), 3 * 64 + 4 * 36),
        (sequential(nn.MaxPool2D()), 3 * 64 + 3 * 16),
        # The input of the second is the output of the first.
        (sequential(nn.Dense(5), nn.Dense(4)), 3 * 64 + 5),
        (sequential(nn.Dense(5, activation="relu"), nn.Dense(4)), 3 * 64 + 5),
        # The mask is drawn in training only, and does not count.
        (sequential(nn.Conv2D(3, 1), nn.Dropout(0.5), nn.Dense(4)), 3 * 64 + 3 * 64),
        # Inputs of two convolutions, two normalisations, and the outputs of two ReLU.
        (gb.Residual(3), 5 * 3 * 64),
        # What is joined, beside the whole.
        (Joined(), 3 * 64 + 2 * 64 + 5 * 64 + 5),
    ],
)
def test_training_keeps_what_gradients_read(net, num_kept):
    assert gb.network_cost(net, (1, 3, 8, 8)).kept_bytes == 4 * num_kept
    assert gb.network_cost(net, (4, 3, 8, 8)).kept_bytes == 4 * num_kept


def needed_by_mxnet(operator: mx.sym.Symbol) -> list[str]:
    """Return what MXNet's own gradient of an operator reads."""
    shapes = {name: (2, 4, 8, 8) for name in operator.list_inputs() if len(name) == 1}
    graph = operator.simple_bind(mx.cpu(), grad_req="write", **shapes).debug_str()
    _, gradient = (
        graph.split("Op:_backward", 1) if "Op:_backward" in graph else ("", "")
    )
    read = set(re.findall(r"\]=(\w+)\((\d)\)", gradient))
    return [
        kind
        for kind, arrays in {
            "inputs": {("x", "0"), ("y", "0")},
            "output": {("operator", "0")},
        }.items()
        if arrays & read
    ]


x, y = mx.sym.var("x"), mx.sym.var("y")
OPERATORS = {
    "Activation relu": mx.sym.Activation(x, act_type="relu", name="operator"),
    "BatchNorm": mx.sym.BatchNorm(x, name="operator"),
    "Concat": mx.sym.Concat(x, y, dim=1, name="operator"),
    "Convolution": mx.sym.Convolution(x, kernel=(3, 3), num_filter=4, name="operator"),
    "Dropout": mx.sym.Dropout(x, name="operator"),
    "Flatten": mx.sym.Flatten(x, name="operator"),
    "FullyConnected": mx.sym.FullyConnected(x, num_hidden=4, name="operator"),
    "Reshape": mx.sym.Reshape(x, shape=(2, -1), name="operator"),
    "broadcast_add": mx.sym.broadcast_add(x, y, name="operator"),
    "broadcast_mul": mx.sym.broadcast_mul(x, y, name="operator"),
    "broadcast_sub": mx.sym.broadcast_sub(x, y, name="operator"),
    "elemwise_add": mx.sym.elemwise_add(x, y, name="operator"),
    "elemwise_mul": mx.sym.elemwise_mul(x, y, name="operator"),
    "relu": mx.sym.relu(x, name="operator"),
    "sigmoid": mx.sym.sigmoid(x, name="operator"),
    "transpose": mx.sym.transpose(x, name="operator"),
}


def test_every_operator_with_a_rule_is_looked_at():
    assert OPERATORS.keys() == kept.NEEDS.keys()


@pytest.mark.parametrize("kind", OPERATORS)
def test_rule_is_what_the_gradient_of_mxnet_reads(kind):
    assert needed_by_mxnet(OPERATORS[kind]) == kept.NEEDS[kind]


HOLD = """
import sys
import d2lutil as gb
from mxnet import autograd, init, nd

def memory():
    nd.waitall()
    with open("/proc/self/status") as status:
        return int(status.read().split("VmRSS:")[1].split()[0]) * 1024

net = gb.load_section(sys.argv[1]).net
net.initialize(init=init.Xavier())
outputs = []
for _ in range(4):  # Only the first ones allocate what computing needs.
    before = memory()
    X = nd.ones((64, 1, 96, 96))
    with autograd.record():
        outputs.append(net(X))
held = memory() - before
print(held / (64 * gb.network_cost(net, (1, 1, 96, 96)).kept_bytes))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads Linux's /proc")
@pytest.mark.parametrize("section", ["08-nin", "11-resnet", "12-densenet"])
def test_process_holds_as_much_as_is_counted(section):
    # What is freed goes back at once, so that it is not counted.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "65536"}
    child = subprocess.run(
        [sys.executable, "-c", HOLD, section],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(child.stdout) == pytest.approx(1, abs=0.1)


def test_size_that_the_graph_does_not_tell_is_no_number():
    # Its own batch normalisation computes with a variance of its own making.
    cost = gb.network_cost(gb.load_section("10-batch-norm").net, (1, 1, 28, 28))
    assert cost.kept_bytes is None
    assert cost.num_parameters


@pytest.mark.parametrize(
    ("network", "num_parameters", "multiply_adds", "depth"),
    [
        # He et al. (2016), "Deep residual learning for image recognition", table 1,
        # whose FLOPs are multiply-adds. Parameters: torchvision's list of models.
        (vision.resnet18_v1, 11_689_512, pytest.approx(1.8e9, abs=5e7), 18),
        # Simonyan and Zisserman (2015), "Very deep convolutional networks for
        # large-scale image recognition", tables 1 and 2, configuration A.
        # Multiply-adds: torchvision's list of models.
        (
            vision.vgg11,
            pytest.approx(133e6, abs=5e5),
            pytest.approx(7.61e9, abs=5e6),
            11,
        ),
        # Howard et al. (2017), "MobileNets", section 3.2 and table 8.
        (
            vision.mobilenet1_0,
            pytest.approx(4.2e6, abs=5e4),
            pytest.approx(569e6, abs=5e5),
            28,
        ),
    ],
)
def test_known_networks_cost_what_is_published(
    network, num_parameters, multiply_adds, depth
):
    cost = gb.network_cost(network(), (1, 3, 224, 224))
    assert cost.num_parameters == num_parameters
    assert cost.multiply_adds == multiply_adds
    assert cost.depth == depth


# What counting leaves alone.


def test_network_that_is_not_initialised_stays_so():
    net = sequential(nn.Dense(3), nn.Dense(2))
    gb.network_cost(net, (1, 4))
    assert net[0].weight.shape == (3, 0)
    # The same network can be built for another size of image afterwards.
    net.initialize()
    assert net(nd.zeros((1, 9))).shape == (1, 2)


def test_layer_with_an_initialiser_of_its_own_draws_no_random_numbers():
    net = sequential(nn.Dense(3, weight_initializer=init.Normal()))
    mx.random.seed(0)
    expected = nd.random.uniform(shape=3).asnumpy()
    mx.random.seed(0)
    gb.network_cost(net, (1, 5))
    assert np.array_equal(nd.random.uniform(shape=3).asnumpy(), expected)


def test_trained_network_keeps_its_parameters_and_random_numbers_their_order():
    net = sequential(nn.Conv2D(3, 3), nn.BatchNorm(), nn.Dropout(0.5))
    mx.random.seed(0)
    net.initialize()
    with autograd.record():
        net(nd.ones((2, 1, 8, 8)))
    before = [p.data().asnumpy() for p in net.collect_params().values()]
    mx.random.seed(0)
    expected = nd.random.uniform(shape=3).asnumpy()
    mx.random.seed(0)
    gb.network_cost(net, (1, 1, 16, 16))
    assert np.array_equal(nd.random.uniform(shape=3).asnumpy(), expected)
    after = [p.data().asnumpy() for p in net.collect_params().values()]
    assert all(map(np.array_equal, before, after))
    # No hook is left behind.
    assert not net[0]._forward_hooks


def test_hybridized_network_is_an_error_that_says_what_to_do():
    part = nn.HybridSequential()
    part.add(nn.Dense(3))
    part.hybridize()
    net = sequential(part)
    with pytest.raises(ValueError, match=r"net\.hybridize\(active=False\)"):
        gb.network_cost(net, (1, 4))
    part.hybridize(active=False)
    assert gb.network_cost(net, (1, 4)).num_parameters == 15
