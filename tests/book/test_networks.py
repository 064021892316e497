"""Protects: networks that the source does not list, and their training, are the book's.

A test training is too short to tell sigmoid from ReLU; here each layer and each
setting is compared with what papers and the executed book of 2019 have.
"""

import ast
import re
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest
from mxnet.gluon import nn

from d2lutil.pages import sections
from d2lutil.pages.sections import load_section

LENET = """
    conv 6, window 5, stride 1, padding 0, sigmoid
    max pool, window 2, stride 2, padding 0
    conv 16, window 5, stride 1, padding 0, sigmoid
    max pool, window 2, stride 2, padding 0
    dense 120, sigmoid
    dense 84, sigmoid
    dense 10
"""
ALEXNET = """
    conv 96, window 11, stride 4, padding 0, relu
    max pool, window 3, stride 2, padding 0
    conv 256, window 5, stride 1, padding 2, relu
    max pool, window 3, stride 2, padding 0
    conv 384, window 3, stride 1, padding 1, relu
    conv 384, window 3, stride 1, padding 1, relu
    conv 256, window 3, stride 1, padding 1, relu
    max pool, window 3, stride 2, padding 0
    dense 4096, relu
    dropout 0.5
    dense 4096, relu
    dropout 0.5
    dense 10
"""
VGG_11 = """
    conv 64, window 3, stride 1, padding 1, relu
    max pool, window 2, stride 2, padding 0
    conv 128, window 3, stride 1, padding 1, relu
    max pool, window 2, stride 2, padding 0
    conv 256, window 3, stride 1, padding 1, relu
    conv 256, window 3, stride 1, padding 1, relu
    max pool, window 2, stride 2, padding 0
    conv 512, window 3, stride 1, padding 1, relu
    conv 512, window 3, stride 1, padding 1, relu
    max pool, window 2, stride 2, padding 0
    conv 512, window 3, stride 1, padding 1, relu
    conv 512, window 3, stride 1, padding 1, relu
    max pool, window 2, stride 2, padding 0
    dense 4096, relu
    dropout 0.5
    dense 4096, relu
    dropout 0.5
    dense 10
"""
# The section trains it with a quarter of the channels.
VGG_11_TRAINED = re.sub(r"conv (\d+)", lambda m: f"conv {int(m[1]) // 4}", VGG_11)
LENET_NORMALIZED = """
    conv 6, window 5, stride 1, padding 0
    batch norm, epsilon 1e-05, momentum 0.9
    sigmoid
    max pool, window 2, stride 2, padding 0
    conv 16, window 5, stride 1, padding 0
    batch norm, epsilon 1e-05, momentum 0.9
    sigmoid
    max pool, window 2, stride 2, padding 0
    dense 120
    batch norm, epsilon 1e-05, momentum 0.9
    sigmoid
    dense 84
    batch norm, epsilon 1e-05, momentum 0.9
    sigmoid
    dense 10
"""
MLP = """
    dense 512, relu
    dropout {0}
    dense 512, relu
    dropout {0}
    dense 10
"""

NETWORKS: dict[tuple[str, str], tuple[Callable[[ModuleType], nn.Block], str]] = {
    ("05-lenet", "net"): (lambda s: s.net, LENET),
    ("06-alexnet", "alexnet"): (lambda s: s.alexnet(), ALEXNET),
    ("07-vgg", "vgg"): (lambda s: s.vgg(s.conv_arch), VGG_11),
    ("07-vgg", "net"): (lambda s: s.net, VGG_11_TRAINED),
    ("10-batch-norm", "net"): (lambda s: s.net, LENET_NORMALIZED),
    ("10-batch-norm", "concise_net"): (lambda s: s.concise_net, LENET_NORMALIZED),
    ("a1-dropout", "net"): (lambda s: s.net, MLP.format(0.5)),
    ("a1-dropout", "mlp"): (lambda s: s.mlp(0.2), MLP.format(0.2)),
    ("a1-dropout", "concise_mlp"): (lambda s: s.concise_mlp(0.2), MLP.format(0.2)),
}


@pytest.mark.parametrize("name, net", NETWORKS)
def test_network_has_the_layers_of_the_book(name, net):
    build, expected = NETWORKS[name, net]
    assert list(layers(build(load_section(name)))) == stripped(expected)


def layers(net: nn.Block) -> Iterator[str]:
    """Yield each layer of a network in words."""
    if isinstance(net, nn.Sequential):
        for child in net:
            yield from layers(child)
    else:
        yield ", ".join(words(net))


def words(layer: nn.Block) -> Iterator[str]:
    """Yield what a layer is, with all that the book chooses for it."""
    match layer:
        case nn.Conv2D():
            yield f"conv {layer._channels}"
            yield from window(layer)
        case nn.MaxPool2D():
            yield "max pool"
            yield from window(layer)
        case nn.Dense():
            yield f"dense {layer._units}"
        case nn.Dropout():
            yield f"dropout {layer._rate}"
        case nn.Activation():
            yield layer._act_type
        case nn.BatchNorm():
            yield "batch norm"
            yield f"epsilon {layer._kwargs['eps']}"
            yield f"momentum {layer._kwargs['momentum']}"
        case _ if type(layer).__name__ == "BatchNorm":  # Written out in section 10.
            yield f"batch norm, epsilon {layer.eps}, momentum {layer.momentum}"
        case _ if type(layer).__name__ == "Dropout":  # Written out in appendix A1.
            yield f"dropout {layer.drop_prob}"
        case _:
            yield type(layer).__name__
    if getattr(layer, "act", None):
        yield layer.act._act_type


def window(layer: nn.Block) -> Iterator[str]:
    """Yield window, stride and padding of a layer: square, or both numbers."""
    for name, key in [("window", "kernel"), ("stride", "stride"), ("padding", "pad")]:
        height, width = layer._kwargs[key]
        yield f"{name} {height if height == width else (height, width)}"


def stripped(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


# What a training is told, wherever a cell says it: a variable, a keyword, a default, an
# entry of the optimizer's dictionary, or the only argument of a function.
NAMES = {"lr", "learning_rate", "num_epochs", "batch_size", "resize", "init"}
NAMES |= {"eps", "momentum", "seed", "optimizer", "mlp", "concise_mlp", "Dropout"}

# A line for each cell that says something.
SETTINGS = {
    "05-lenet": """
        batch_size 256
        init init.Xavier(), optimizer 'sgd', learning_rate 0.9
        seed 1, init init.Xavier()
        seed 1, seed 1
        lr 0.9, num_epochs 5, init init.Xavier(), optimizer 'sgd', learning_rate lr
        seed 1, seed 1, init init.Xavier(), optimizer 'sgd', learning_rate lr, \
num_epochs 2
    """,
    "06-alexnet": """
        batch_size 256
        seed 1, seed 1, init init.Xavier(), optimizer 'sgd', learning_rate lr, \
num_epochs 5, lr 0.3, lr 1
        Dropout 0.5, Dropout 0.5
        seed 1, init init.Xavier()
        seed 1, seed 1
        lr 0.01, num_epochs 5, batch_size 128, init init.Xavier(), optimizer 'sgd', \
learning_rate lr, resize 224
        seed 1, init init.Xavier()
    """,
    "07-vgg": """
        Dropout 0.5, Dropout 0.5
        seed 1, seed 1
        lr 0.05, num_epochs 5, batch_size 128, init init.Xavier(), optimizer 'sgd', \
learning_rate lr, resize 224
    """,
    "10-batch-norm": """
        eps 1e-05, momentum 0.9
        eps 1e-05, momentum 0.9, init init.One(), init init.Zero(), init init.Zero(), \
init init.One()
        seed 1, seed 1
        lr 1.0, num_epochs 5, batch_size 256, init init.Xavier(), optimizer 'sgd', \
learning_rate lr
        seed 1, seed 1
        init init.Xavier(), optimizer 'sgd', learning_rate lr
        seed 1, init init.Xavier()
        seed 1, seed 1, init init.Xavier(), optimizer 'sgd', learning_rate lr
        seed 1, seed 1, init init.Xavier(), optimizer 'sgd', learning_rate lr
        eps 1e-05, momentum 0.9
    """,
    "a1-dropout": """
        Dropout 0.5
        Dropout 0.5
        mlp 0.5
        batch_size 128, seed 1
        seed 1, seed 1, init init.Xavier(), optimizer 'sgd', learning_rate 0.1, \
mlp 0, num_epochs 12
        mlp 0.5, num_epochs 12
        mlp 0, mlp 0.5, num_epochs 8, num_epochs 8
        Dropout 0.5, Dropout 0.2
        concise_mlp 0, num_epochs 5
        concise_mlp 0.5, num_epochs 5
    """,
}


@pytest.mark.parametrize("name", SETTINGS)
def test_training_has_the_settings_of_the_book(name):
    cells = sections.code_cells(sections.read(name))
    said = [", ".join(settings(sections.source(cell))) for cell in cells]
    assert list(filter(None, said)) == stripped(SETTINGS[name])


def settings(code: str) -> list[str]:
    """Return what code says about a training, in its order."""
    found = [pair for node in ast.walk(ast.parse(code)) for pair in pairs(node)]
    found.sort(key=lambda pair: (pair[1].lineno, pair[1].col_offset))
    return [f"{name} {ast.unparse(value)}" for name, value in found if name in NAMES]


def pairs(node: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield the names that a node gives values to, each with its value."""
    match node:
        case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
            yield from zip(map(ast.unparse, targets), values, strict=True)
        case ast.Assign([target], value):
            yield ast.unparse(target), value
        case ast.keyword(str(name), value):
            yield name, value
        case ast.arguments(args=args, defaults=defaults) if defaults:
            names = [arg.arg for arg in args[-len(defaults) :]]
            yield from zip(names, defaults, strict=True)
        case ast.Dict([ast.Constant(str(name))], [value]):
            yield name, value
        case ast.Call(function, [ast.Constant() as value]):
            yield ast.unparse(function).rpartition(".")[2], value
        case ast.Call(ast.Attribute(attr="Trainer"), [_, value, *_]):
            yield "optimizer", value


@pytest.mark.parametrize(
    "code, expected",
    [
        ("lr, ctx = 0.1, cpu()", ["lr 0.1"]),
        ("lr = 2 * 0.1", ["lr 2 * 0.1"]),
        ("def f(X, eps=1e-5): pass", ["eps 1e-05"]),
        ("load(size, resize=224)", ["resize 224"]),
        ("mx.random.seed(1)", ["seed 1"]),
        (
            "gluon.Trainer(params, 'adam', {'learning_rate': lr})",
            ["optimizer 'adam'", "learning_rate lr"],
        ),
    ],
)
def test_settings_are_read_from_code(code, expected):
    assert settings(code) == expected
