"""The networks of six sections in PyTorch, to compare speed with.

Papers: Krizhevsky, Sutskever and Hinton (2012), AlexNet; Simonyan and Zisserman (2015),
VGG; Lin, Chen and Yan (2014), NiN; Szegedy et al. (2015), GoogLeNet; He et al. (2016),
ResNet; Huang et al. (2017), DenseNet. Sizes are those of the sections.
"""

import torch
from torch import nn
from torch.nn.functional import relu

from benchmarks.steps import NUM_CLASSES, TASKS


def network(section: str) -> nn.Module:
    """Return the network of a section, initialised.

    Args:
        section: Name of the section, one of `TASKS`.
    """
    net = _NETWORKS[section]()
    pixels = TASKS[section].pixels
    # Layers learn their number of inputs from a first batch.
    net(torch.zeros(2, 1, pixels, pixels))
    return net


def _conv(channels: int, kernel_size: int, **kwargs) -> nn.Sequential:
    """Return a convolution followed by ReLU."""
    return nn.Sequential(nn.LazyConv2d(channels, kernel_size, **kwargs), nn.ReLU())


def _dense_classifier() -> list[nn.Module]:
    """Return the dense layers that AlexNet and VGG end with."""
    layers = [nn.Flatten()]
    for _ in range(2):
        layers += [nn.LazyLinear(4096), nn.ReLU(), nn.Dropout(0.5)]
    return [*layers, nn.LazyLinear(NUM_CLASSES)]


def _pooled_classifier() -> list[nn.Module]:
    """Return the layers that GoogLeNet, ResNet and DenseNet end with."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LazyLinear(NUM_CLASSES)]


def _alexnet() -> nn.Sequential:
    return nn.Sequential(
        _conv(96, 11, stride=4),
        nn.MaxPool2d(3, stride=2),
        _conv(256, 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        _conv(384, 3, padding=1),
        _conv(384, 3, padding=1),
        _conv(256, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
        *_dense_classifier(),
    )


def _vgg() -> nn.Sequential:
    """Return VGG-11 with a quarter of the channels."""
    layers = []
    for num_convs, channels in [(1, 16), (1, 32), (2, 64), (2, 128), (2, 128)]:
        layers += [_conv(channels, 3, padding=1) for _ in range(num_convs)]
        layers.append(nn.MaxPool2d(2))
    return nn.Sequential(*layers, *_dense_classifier())


def _nin() -> nn.Sequential:
    def block(channels: int, kernel_size: int, **kwargs) -> nn.Sequential:
        return nn.Sequential(
            _conv(channels, kernel_size, **kwargs),
            _conv(channels, 1),
            _conv(channels, 1),
        )

    return nn.Sequential(
        block(96, 11, stride=4),
        nn.MaxPool2d(3, stride=2),
        block(256, 5, padding=2),
        nn.MaxPool2d(3, stride=2),
        block(384, 3, padding=1),
        nn.MaxPool2d(3, stride=2),
        nn.Dropout(0.5),
        block(NUM_CLASSES, 3, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
    )


class _Inception(nn.Module):
    """Four paths side by side, whose outputs are joined as channels."""

    def __init__(self, c1: int, c2: tuple, c3: tuple, c4: int) -> None:
        super().__init__()
        pool = nn.MaxPool2d(3, stride=1, padding=1)
        self.paths = nn.ModuleList(
            [
                _conv(c1, 1),
                nn.Sequential(_conv(c2[0], 1), _conv(c2[1], 3, padding=1)),
                nn.Sequential(_conv(c3[0], 1), _conv(c3[1], 5, padding=2)),
                nn.Sequential(pool, _conv(c4, 1)),
            ]
        )

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return torch.cat([path(X) for path in self.paths], dim=1)


def _googlenet() -> nn.Sequential:
    def pool() -> nn.MaxPool2d:
        return nn.MaxPool2d(3, stride=2, padding=1)

    return nn.Sequential(
        _conv(64, 7, stride=2, padding=3),
        pool(),
        nn.LazyConv2d(64, 1),
        nn.LazyConv2d(192, 3, padding=1),
        pool(),
        _Inception(64, (96, 128), (16, 32), 32),
        _Inception(128, (128, 192), (32, 96), 64),
        pool(),
        _Inception(192, (96, 208), (16, 48), 64),
        _Inception(160, (112, 224), (24, 64), 64),
        _Inception(128, (128, 256), (24, 64), 64),
        _Inception(112, (144, 288), (32, 64), 64),
        _Inception(256, (160, 320), (32, 128), 128),
        pool(),
        _Inception(256, (160, 320), (32, 128), 128),
        _Inception(384, (192, 384), (48, 128), 128),
        *_pooled_classifier(),
    )


def _stem() -> list[nn.Module]:
    """Return the layers that ResNet and DenseNet start with."""
    return [
        nn.LazyConv2d(64, 7, stride=2, padding=3),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    ]


class _Residual(nn.Module):
    """Two convolutions whose output is added to their input."""

    def __init__(self, channels: int, halve: bool) -> None:
        super().__init__()
        stride = 2 if halve else 1
        self.convs = nn.Sequential(
            nn.LazyConv2d(channels, 3, stride=stride, padding=1),
            nn.LazyBatchNorm2d(),
            nn.ReLU(),
            nn.LazyConv2d(channels, 3, padding=1),
            nn.LazyBatchNorm2d(),
        )
        self.skip = nn.LazyConv2d(channels, 1, stride=2) if halve else nn.Identity()

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        return relu(self.convs(X) + self.skip(X))


def _resnet() -> nn.Sequential:
    residuals = []
    for channels in (64, 128, 256, 512):
        residuals += [_Residual(channels, halve=channels > 64)]
        residuals += [_Residual(channels, halve=False)]
    return nn.Sequential(*_stem(), *residuals, *_pooled_classifier())


def _norm_relu_conv(channels: int, kernel_size: int, **kwargs) -> nn.Sequential:
    return nn.Sequential(
        nn.LazyBatchNorm2d(), nn.ReLU(), nn.LazyConv2d(channels, kernel_size, **kwargs)
    )


class _DenseBlock(nn.Module):
    """Four convolutions, each of which reads the outputs of all earlier ones."""

    def __init__(self, growth_rate: int) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            [_norm_relu_conv(growth_rate, 3, padding=1) for _ in range(4)]
        )

    def forward(self, X: torch.Tensor) -> torch.Tensor:
        for conv in self.convs:
            X = torch.cat([X, conv(X)], dim=1)
        return X


def _densenet() -> nn.Sequential:
    layers = _stem()
    for channels in (96, 160, 224):
        layers += [_DenseBlock(32), _norm_relu_conv(channels, 1), nn.AvgPool2d(2)]
    return nn.Sequential(
        *layers,
        _DenseBlock(32),
        nn.LazyBatchNorm2d(),
        nn.ReLU(),
        *_pooled_classifier(),
    )


_NETWORKS = {
    "06-alexnet": _alexnet,
    "07-vgg": _vgg,
    "08-nin": _nin,
    "09-googlenet": _googlenet,
    "11-resnet": _resnet,
    "12-densenet": _densenet,
}
