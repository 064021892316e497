"""Protects: shapes, channels and windows that the prose states are the network's.

Each number is looked up in the networks that the section builds, in those that are
named in the same paragraph, and in the shapes that the section's cells hold.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import pairwise

import mxnet as mx
import pytest
from mxnet import nd
from mxnet.gluon import nn
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell, new_notebook

from d2lutil.pages.sections import NOTEBOOKS, code_cells, load_section
from tests.book.reading import IMAGE, MATH, prose, read, svg_texts, without_code

# The networks by the names that the prose uses: section, how it builds them, and the
# sizes of images at which shapes are stated.
NETWORKS: dict[str, tuple[str, Callable, list[int]]] = {
    "LeNet": ("05-lenet", lambda s: [s.net], [28]),
    "AlexNet": ("06-alexnet", lambda s: [s.alexnet()], [224, 72]),
    "VGG": ("07-vgg", lambda s: [s.vgg(s.conv_arch), s.net], [224, 72]),
    "NiN": ("08-nin", lambda s: [s.net], [224, 72]),
    "GoogLeNet": ("09-googlenet", lambda s: [s.net], [224, 96, 48]),
    "BatchNorm": ("10-batch-norm", lambda s: [s.net], [28]),
    "ResNet": ("11-resnet", lambda s: [s.net], [224, 96, 48]),
    "DenseNet": ("12-densenet", lambda s: [s.net], [96, 48]),
}
SHAPE = re.compile(r"\((\d+(?:, \d+)+),?\)|(\d+×\d+×\d+)(?! =)")
LIST = r"\d+(?:(?:、| (?:和|或|变成|变为|增到|减到|增加到|减少到) )\d+)*"
CHANNELS = re.compile(
    rf"({LIST}) 个(?:输入|输出)?通道|通道(?:数|总数)[^，。；\d$]{{0,9}}({LIST})(?! 倍)"
)
WINDOW = re.compile(r"(\d+)(?:×|\\times ?)(\d+)\$? ?的?(?:卷积|窗口|最大池化|平均池化)")
CHANNEL_SUM = re.compile(r"^((?:\d{2,}\+)+\d{2,})=(\d+)$")
ARROWS = re.compile(r"\d+(?:\s*\\to\s*\d+)+")
FLATTENED = re.compile(r"\b(\d+)\\times (\d+)\\times \2=\d+$")
DENSE_PARAMETERS = re.compile(r"^(\d+)\\times (\d+)\+\2\b")
# What is stated of something else than a network of the book.
ELSEWHERE = {
    "VGG": {"5 x 5 window", "1 x 1 window"},  # What 3 x 3 replaces; VGG-16's form C.
    "NiN": {"shape 256, 5, 5"},  # AlexNet's, named in the paragraph before.
    "BatchNorm": {"4 channels"},  # A small example in a figure.
    # A later variant averages on the shortcut; the networks of a figure are narrower.
    "ResNet": {"2 x 2 window", "32 channels"},
}


@dataclass
class Facts:
    """What layers have: shapes without the batch; pairs lead from input to output."""

    shapes: set[tuple[int, ...]] = field(default_factory=set)
    windows: set[tuple[int, int]] = field(default_factory=set)
    edges: set[tuple[int, int]] = field(default_factory=set)
    channels: set[tuple[int, int]] = field(default_factory=set)
    # Of each block that has several: the channels that its convolutions give, its own.
    paths: list[tuple[Counter[int], int]] = field(default_factory=list)

    def update(self, other: "Facts") -> None:
        self.shapes |= other.shapes
        self.windows |= other.windows
        self.edges |= other.edges
        self.channels |= other.channels
        self.paths += other.paths

    def has_shape(self, shape: tuple[int, ...]) -> bool:
        """Tell whether a shape is one of these, with or without what leads it."""
        return any(known[-len(shape) :] == shape for known in self.shapes)

    def has_channels(self, number: int) -> bool:
        return any(number in pair for pair in self.channels) or any(
            number == shape[0] for shape in self.shapes
        )

    def add_layer(
        self, layer: nn.Block, inputs: list[nd.NDArray], Y: nd.NDArray
    ) -> None:
        """Note what a layer does to shapes, as a forward hook."""
        X = inputs[0]
        self.shapes |= {X.shape[1:], Y.shape[1:]}
        num_inputs = X[0].size if isinstance(layer, nn.Dense) else X.shape[1]
        self.channels.add((num_inputs, Y.shape[1]))
        if X.ndim == Y.ndim == 4:
            self.edges.add((X.shape[2], Y.shape[2]))
            if hasattr(layer, "_kwargs") and "kernel" in layer._kwargs:
                self.windows.add(layer._kwargs["kernel"])
        convs = [b for b in layer._children.values() if isinstance(b, nn.Conv2D)]
        self.paths.append((Counter(conv._channels for conv in convs), Y.shape[1]))


@cache
def facts(name: str) -> Facts:
    """Run a network of the book on one image of each size and note what happens."""
    section, build, sizes = NETWORKS[name]
    noted = Facts()
    for size in sizes:
        for net in build(load_section(section)):
            X = nd.zeros((1, 1, size, size))
            net.initialize(mx.init.Zero())
            net(X)  # Gives the parameters their shapes, by runs of their own.
            net.apply(lambda layer: layer.register_forward_hook(noted.add_layer))
            net(X)
    return noted


def cell_facts(notebook: NotebookNode) -> Facts:
    """Return the shapes that the cells hold or print, with and without a batch."""
    found = set()
    for cell in code_cells(notebook):
        printed = [str(o.get("text", o.get("data", ""))) for o in cell.outputs]
        for stated in SHAPE.findall("\n".join([cell.source, *printed])):
            shape = tuple(numbers(" ".join(stated)))
            found |= {shape, shape[1:]}
    return Facts(shapes=found - {()})


def paragraphs(notebook: NotebookNode) -> Iterator[str]:
    """Yield what a section states, figures included.

    Exercises are left out: they speak of networks that the reader is to build.
    """
    text = prose(notebook).partition("## 练习")[0]
    for _, target in IMAGE.findall(text):
        yield "\n".join(svg_texts(NOTEBOOKS / target))
    yield from without_code(text).split("\n\n")


def numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", text)]


def unknown(text: str, known: Facts) -> Iterator[str]:
    """Yield what a text states and no network and no cell has."""
    for shape in SHAPE.findall(text):
        if not known.has_shape(tuple(numbers(" ".join(shape)))):
            yield "shape " + "".join(shape)
    for lists in CHANNELS.findall(text):
        for n in numbers("".join(lists)):
            if not known.has_channels(n):
                yield f"{n} channels"
    for window in WINDOW.findall(text):
        if tuple(map(int, window)) not in known.windows:
            yield f"{window[0]} x {window[1]} window"
    for displayed, inline in MATH.findall(text):
        yield from unknown_in_formula((displayed or inline).strip(" ."), known)


def unknown_in_formula(formula: str, known: Facts) -> Iterator[str]:
    if r"\lfloor" in formula and "=" in formula:
        # The formula starts with the input's edge and ends with the output's.
        edges = numbers(formula)[0], numbers(formula)[-1]
        if edges not in known.edges:
            yield f"a layer from {edges[0]} to {edges[1]} pixels"
    for arrows in ARROWS.findall(formula):
        pairs = set(pairwise(numbers(arrows)))
        if not (pairs <= known.edges or pairs <= known.channels):
            yield f"layers {arrows}"
    for terms, total in CHANNEL_SUM.findall(formula):
        terms = numbers(terms)
        if len(terms) > 2:
            if not any(Counter(terms) <= c and n == int(total) for c, n in known.paths):
                yield f"paths {formula}"
        elif not all(map(known.has_channels, [*terms, int(total)])):
            yield f"channels {formula}"
    for c, edge in FLATTENED.findall(formula):
        if not known.has_shape((int(c), int(edge), int(edge))):
            yield f"shape ({c}, {edge}, {edge})"
    for pair in DENSE_PARAMETERS.findall(formula):
        sizes = tuple(map(int, pair))
        if sizes not in known.channels:
            yield f"a dense layer of {sizes}"


@pytest.mark.parametrize("name", NETWORKS)
def test_section_states_what_its_network_has(name):
    notebook = read(NOTEBOOKS / f"{NETWORKS[name][0]}.ipynb")
    in_cells = cell_facts(notebook)
    found = set()
    for paragraph in paragraphs(notebook):
        known = Facts()
        known.update(in_cells)
        for network in NETWORKS:
            if network == name or network in paragraph:
                known.update(facts(network))
        found |= set(unknown(paragraph, known))
    assert found == ELSEWHERE.get(name, set())


# Each rule finds what it looks for, by a network with these facts.

KNOWN = Facts(
    shapes={(6, 24, 24), (16, 4, 4), (120,)},
    windows={(5, 5)},
    edges={(28, 24), (24, 12)},
    channels={(1, 6), (6, 16), (256, 120)},
    paths=[(Counter([64, 128, 32, 32]), 256)],
)


@pytest.mark.parametrize(
    "text",
    [
        "输出的形状是 (6, 24, 24)，也就是 6×24×24",
        "4×4×3 = 48 个数",
        "有 6 个输出通道，通道数从 6 变成 16",
        r"$5\times 5$ 的卷积层和 5×5 窗口",
        r"$\lfloor(28-5)/1\rfloor+1=24$",
        r"$28\to 24\to 12$",
        r"$1\to 6\to 16$",
        "$64+128+32+32=256$",
        "$6+120=256$",
        r"$16\times 4\times 4=256$",
        r"$256\times 120+120=30840$",
    ],
)
def test_what_the_network_has_passes(text):
    assert not list(unknown(text, KNOWN))


@pytest.mark.parametrize(
    "text, fault",
    [
        ("形状是 (6, 24, 25)", "shape 6, 24, 25"),
        ("形状是 6×25×24", "shape 6×25×24"),
        ("有 7 个输出通道", "7 channels"),
        ("有 6 和 7 个通道", "7 channels"),
        ("通道数从 6 变成 17", "17 channels"),
        (r"$5\times 3$ 的卷积层", "5 x 3 window"),
        ("3×3 最大池化层", "3 x 3 window"),
        (r"$\lfloor(29-5)/1\rfloor+1=24$", "a layer from 29 to 24 pixels"),
        (r"$\lfloor(28-5)/1\rfloor+1=25$", "a layer from 28 to 25 pixels"),
        (r"$28\to 12$", r"layers 28\to 12"),
        (r"$6\to 16\to 24$", r"layers 6\to 16\to 24"),
        ("$64+128+32+16=240$", "paths 64+128+32+16=240"),
        ("$64+128+32+32=257$", "paths 64+128+32+32=257"),
        ("$16+121=256$", "channels 16+121=256"),
        (r"$16\times 5\times 5=400$", "shape (16, 5, 5)"),
        (r"$256\times 84+84=21588$", "a dense layer of (256, 84)"),
    ],
)
def test_what_the_network_has_not_is_found(text, fault):
    assert list(unknown(text, KNOWN)) == [fault]


def test_figures_are_read_and_exercises_are_not():
    text = "正文 `(1, 2)`\n\n![NiN 块](img/nin-block.svg)\n\n## 练习\n\n9 个通道"
    read_texts = "\n".join(paragraphs(new_notebook(cells=[new_markdown_cell(text)])))
    assert "正文" in read_texts and "1×1 卷积层" in read_texts
    assert "(1, 2)" not in read_texts and "9 个通道" not in read_texts
