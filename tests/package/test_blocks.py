"""Protects: the saved blocks have the layers and compute the numbers of the book."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn

import d2lutil as gb


def random_input(*shape: int) -> nd.NDArray:
    mx.random.seed(0)
    return nd.random.normal(shape=shape)


def test_corr2d_equals_the_convolution_of_gluon():
    X, K = random_input(5, 6), random_input(2, 3)
    conv = nn.Conv2D(1, kernel_size=(2, 3), use_bias=False)
    conv.initialize()
    conv(X.reshape((1, 1, 5, 6)))
    conv.weight.set_data(K.reshape((1, 1, 2, 3)))
    expected = conv(X.reshape((1, 1, 5, 6)))[0, 0]
    assert np.allclose(gb.corr2d(X, K).asnumpy(), expected.asnumpy(), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "shape"),
    [
        ({"num_channels": 3}, (4, 3, 6, 6)),
        ({"num_channels": 6, "use_1x1conv": True}, (4, 6, 6, 6)),
        ({"num_channels": 6, "use_1x1conv": True, "strides": 2}, (4, 6, 3, 3)),
    ],
)
def test_residual_has_the_shape_of_the_book(arguments, shape):
    blk = gb.Residual(**arguments)
    blk.initialize()
    assert blk(random_input(4, 3, 6, 6)).shape == shape


def test_residual_adds_its_input():
    blk = gb.Residual(3)
    blk.initialize()
    X = random_input(4, 3, 6, 6)
    blk(X)
    # Without the two convolutions only the input is left for the last activation.
    for conv in (blk.conv1, blk.conv2):
        conv.weight.set_data(conv.weight.data() * 0)
    assert np.array_equal(blk(X).asnumpy(), nd.relu(X).asnumpy())


def test_resnet18_halves_height_and_width_three_times():
    net = gb.resnet18(10)
    net.initialize()
    X = random_input(1, 3, 32, 32)
    shapes = []
    for layer in net:
        X = layer(X)
        shapes.append(X.shape[1:])
    assert shapes[2:] == [
        (64, 32, 32),
        (64, 32, 32),
        (128, 16, 16),
        (256, 8, 8),
        (512, 4, 4),
        (512, 1, 1),
        (10,),
    ]


def test_resnet18_has_18_layers_with_weights():
    net = gb.resnet18(10)
    weights = net.collect_params(".*(conv|dense).*weight").keys()
    # The three 1 x 1 convolutions beside the residual blocks are not counted.
    assert len(weights) - 3 == 18
