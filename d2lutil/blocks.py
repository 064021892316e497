"""Blocks that the book builds in one section and uses again in later ones."""

from mxnet import nd
from mxnet.gluon import nn


class Residual(nn.Block):
    """Two 3 x 3 convolutions whose output is added to their input.

    Source: He, Zhang, Ren and Sun (2016), "Deep residual learning for image
    recognition". Mirrors `gluonbook.Residual`.

    Args:
        num_channels: Number of output channels.
        use_1x1conv: Whether a 1 x 1 convolution gives the input the output's shape;
            needed where `strides` or the number of channels changes it.
        strides: Strides of the first convolution, and of the 1 x 1 convolution.
        **kwargs: Passed on to `nn.Block`.

    Example:
        >>> block = Residual(6, use_1x1conv=True, strides=2)
        >>> block.initialize()
        >>> block(nd.ones((4, 3, 6, 6))).shape
        (4, 6, 3, 3)
    """

    def __init__(
        self, num_channels: int, use_1x1conv: bool = False, strides: int = 1, **kwargs
    ) -> None:
        super().__init__(**kwargs)
        self.conv1 = nn.Conv2D(num_channels, kernel_size=3, padding=1, strides=strides)
        self.conv2 = nn.Conv2D(num_channels, kernel_size=3, padding=1)

        if use_1x1conv:
            self.conv3 = nn.Conv2D(num_channels, kernel_size=1, strides=strides)
        else:
            self.conv3 = None

        self.bn1 = nn.BatchNorm()
        self.bn2 = nn.BatchNorm()

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        """Map (batch, channels, height, width) to (batch, num_channels, ...)."""
        Y = nd.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3:
            X = self.conv3(X)
        return nd.relu(Y + X)


def resnet18(num_classes: int) -> nn.Sequential:
    """Return ResNet-18 for small images: it starts with a 3 x 3 convolution.

    Source: He, Zhang, Ren and Sun (2016), "Deep residual learning for image
    recognition". Mirrors `gluonbook.resnet18`.

    Args:
        num_classes: Number of outputs.

    Returns:
        Network for features (batch, channels, height, width), not yet initialised.

    Example:
        >>> net = resnet18(10)
        >>> net.initialize()
        >>> net(nd.ones((2, 1, 32, 32))).shape
        (2, 10)
    """
    net = nn.Sequential()
    net.add(
        nn.Conv2D(64, kernel_size=3, strides=1, padding=1),
        nn.BatchNorm(),
        nn.Activation("relu"),
        _resnet_block(64, strides=1),
        _resnet_block(128, strides=2),
        _resnet_block(256, strides=2),
        _resnet_block(512, strides=2),
        nn.GlobalAvgPool2D(),
        nn.Dense(num_classes),
    )
    return net


def _resnet_block(num_channels: int, strides: int) -> nn.Sequential:
    """Return two residual blocks, of which the first may halve height and width."""
    block = nn.Sequential()
    block.add(
        Residual(num_channels, use_1x1conv=strides > 1, strides=strides),
        Residual(num_channels),
    )
    return block


def corr2d(X: nd.NDArray, K: nd.NDArray) -> nd.NDArray:
    """Return the two-dimensional cross-correlation of an array with a kernel.

    Mirrors `gluonbook.corr2d`.

    Args:
        X: Input (height, width), of float32: whole numbers of 8 bits would wrap.
        K: Kernel (kernel_height, kernel_width), of the same type.

    Returns:
        Array (height - kernel_height + 1, width - kernel_width + 1).

    Example:
        >>> corr2d(nd.array([[0, 1, 2], [3, 4, 5]]), nd.array([[1, -1]])).asnumpy()
        array([[-1., -1.],
               [-1., -1.]], dtype=float32)
    """
    kernel_height, kernel_width = K.shape
    height, width = X.shape
    Y = nd.zeros((height - kernel_height + 1, width - kernel_width + 1))

    for i in range(Y.shape[0]):
        for j in range(Y.shape[1]):
            window = X[i : i + kernel_height, j : j + kernel_width]
            Y[i, j] = (window * K).sum()

    return Y
