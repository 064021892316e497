"""Protects: a network costs what one counts by hand, and what papers publish."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, init, nd
from mxnet.gluon import nn
from mxnet.gluon.model_zoo import vision

import d2lutil as gb


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
