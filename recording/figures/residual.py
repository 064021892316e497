"""Measure what the figure residual.js shows: sizes of signals and gradients.

The networks are narrow ones of section 11, with a single module of blocks of the same
shape, as they are when they have just been initialised.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, NamedTuple

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

from d2lutil.blocks import Residual
from d2lutil.data.files import BOOK_FOLDER, read
from d2lutil.data.loader import BatchLoader
from recording.degradation import load_training

SKIPS = [i / 10 for i in range(11)]
# With a convolution at the beginning and a dense layer at the end, 6 to 34 layers. In
# much deeper plain networks, rounding alone changes the gradients visibly.
DEPTHS = [2, 4, 8, 16]
NORMS = {"with": True, "without": False}
NUM_CHANNELS = 32
NUM_IMAGES = 64
SEEDS = (1, 2, 3)


class Sizes(NamedTuple):
    """Sizes at the input of the first block, and at the output of each block.

    Attributes:
        signal: Mean standard deviation between images, as sections 05 and 10 measure
            it, relative to that at the input of the first block.
        gradient: Root mean square of the gradient of the loss, relative to that at the
            output of the last block.
    """

    signal: list[float]
    gradient: list[float]


class WeightedResidual(Residual):
    """The book's residual block, with a weight for its skip connection.

    Args:
        num_channels: Number of input and output channels.
        skip: Weight of the skip connection; 0 makes the block a plain one.
        has_norm: Whether batch normalisation follows the convolutions.
        **kwargs: Passed on to `Residual`.
    """

    def __init__(
        self, num_channels: int, skip: float, has_norm: bool, **kwargs
    ) -> None:
        super().__init__(num_channels, **kwargs)
        self.skip = skip
        self.has_norm = has_norm

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        """Map (batch, num_channels, height, width) to the same shape."""
        Y = self.conv1(X)
        if self.has_norm:
            Y = self.bn1(Y)
        Y = self.conv2(nd.relu(Y))
        if self.has_norm:
            Y = self.bn2(Y)
        return nd.relu(Y + self.skip * X)


def residual_data() -> dict[str, Any]:
    """Return what residual.json holds: `sizes` for all weights and depths.

    There is one list of signals for each weight: it is the deepest network's, since a
    shallower one begins with the same blocks. Of gradients there is one for each depth.
    """
    small_net = load_training().small_net
    X, y = first_images()
    data: dict[str, Any] = {"skips": SKIPS, "depths": DEPTHS}

    for name, has_norm in NORMS.items():
        measured = {
            (skip, depth): sizes(small_net, skip, depth, has_norm, X, y)
            for skip, depth in product(SKIPS, DEPTHS)
        }
        data[name] = {
            "signal": [measured[skip, DEPTHS[-1]].signal for skip in SKIPS],
            "gradient": [
                [measured[skip, depth].gradient for depth in DEPTHS] for skip in SKIPS
            ],
        }
    return data


def first_images() -> tuple[nd.NDArray, nd.NDArray]:
    """Return the first test images and their labels, at every scale the same."""
    data = read(BOOK_FOLDER)
    loader = BatchLoader(
        data.test_images[:NUM_IMAGES], data.test_labels[:NUM_IMAGES], NUM_IMAGES
    )
    return next(iter(loader))


def sizes(
    small_net: Callable[..., nn.Sequential],
    skip: float,
    depth: int,
    has_norm: bool,
    X: nd.NDArray,
    y: nd.NDArray,
) -> Sizes:
    """Return the geometric mean of what the networks of all seeds show.

    Args:
        small_net: The section's function that builds a narrow network.
        skip: Weight of the skip connections.
        depth: Number of blocks.
        has_norm: Whether batch normalisation follows the convolutions of the blocks.
        X: Images.
        y: Their labels.

    Raises:
        ValueError: A size is 0, or not finite, and has no logarithm to be drawn.
    """
    measured = []
    for seed in SEEDS:
        mx.random.seed(seed)
        block = partial(WeightedResidual, skip=skip, has_norm=has_norm)
        net = small_net(block, (depth,), NUM_CHANNELS)
        net.initialize(init.Xavier())
        measured.append(_measure(net, depth, X, y))

    logarithms = np.log(measured)
    if not np.isfinite(logarithms).all():
        raise ValueError(f"{depth} blocks with a weight of {skip} give no sizes.")
    means = np.exp(logarithms.mean(axis=0))
    return Sizes(*([float(f"{x:.3g}") for x in kind] for kind in means))


def _measure(net: nn.Sequential, depth: int, X: nd.NDArray, y: nd.NDArray) -> Sizes:
    """Return the sizes in one network that has its first numbers."""
    layers = list(net)
    # The last two are the pooling and the dense layer.
    stem, blocks, head = layers[: -depth - 2], layers[-depth - 2 : -2], layers[-2:]
    signals, zeros = [], []

    def tap(X: nd.NDArray) -> nd.NDArray:
        """Return the same numbers; a 0 that is added gets their gradient."""
        signals.append(X.asnumpy().std(axis=0).mean())
        zeros.append(nd.zeros(X.shape))
        zeros[-1].attach_grad()
        return X + zeros[-1]

    with autograd.record():
        for layer in stem:
            X = layer(X)
        X = tap(X)
        for block in blocks:
            X = tap(block(X))
        for layer in head:
            X = layer(X)
        losses = gluon.loss.SoftmaxCrossEntropyLoss()(X, y)
    losses.backward()

    gradients = [zero.grad.square().mean().sqrt().asscalar() for zero in zeros]
    return Sizes(
        [signal / signals[0] for signal in signals],
        [gradient / gradients[-1] for gradient in gradients],
    )
