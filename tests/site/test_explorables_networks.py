"""Protects: what the figures of networks show is what Gluon and `network_cost` count.

Every layer's shape, parameters and multiply-adds, and what training keeps: for images
of twenty sizes, for changed networks, and where Gluon refuses an image.
"""

import copy
import itertools
import re
from collections.abc import Callable, Iterator
from decimal import ROUND_HALF_UP, Context
from functools import cache, reduce
from types import ModuleType

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, nd
from mxnet.gluon import nn

import d2lutil as gb
from d2lutil.cost import NetworkCost
from tests.site.figures import Page, Shown, Step, differences, table

pytestmark = pytest.mark.usefixtures("without_garbage")
section: Callable[[str], ModuleType] = cache(gb.load_section)


# -------------------------------------------------------------------------- shapes

PLACE, SIZE = "改一层", "图像的高和宽"
# Around those that a network refuses, with odd edges on the way, and the book's own.
SIZES = [8, 15, 16, 27, 28, 29, 31, 32, 40, 48]
SIZES += [63, 66, 67, 72, 96, 97, 128, 160, 224, 256]

NETWORKS: dict[str, Callable[[], nn.Sequential]] = {
    "lenet": lambda: section("05-lenet").net,
    "lenet-bn": lambda: section("10-batch-norm").concise_net,
    "alexnet": lambda: section("06-alexnet").alexnet(),
    "vgg-11": lambda: section("07-vgg").vgg(section("07-vgg").conv_arch),
    "vgg-11-quarter": lambda: section("07-vgg").net,
    "nin": lambda: section("08-nin").net,
    "googlenet": lambda: section("09-googlenet").net,
    "resnet-18": lambda: section("11-resnet").net,
    "densenet": lambda: section("12-densenet").net,
}


def block_at(net: nn.Sequential, place: str) -> gluon.Block:
    """Return a part of a network: "2.1" is net[2][1]."""
    return reduce(lambda block, i: block[int(i)], place.split("."), net)


def places_of(page: Page) -> list[str]:
    return [place for place, _ in page.options(PLACE)]


def read_whole(page: Page, steps: list[Step]) -> Iterator[Shown]:
    """Yield all that is shown after each step, with every block opened."""
    shown, places = page.shown(), places_of(page)
    blocks = [place for place in places if shown[f"part-{place}-title"][0] in "▸▾"]
    views = [{PLACE: place} for place in blocks or places[:1]]
    opened = iter(page.shown_after(step | view for step in steps for view in views))
    for _ in steps:
        yield reduce(lambda whole, _: whole | next(opened), views, {})


def rows_of(shown: Shown, place: str) -> list[str]:
    """Return the names of the rows of a part's layers; a layer is its own row."""
    if shown[f"part-{place}-shape"] == "已去掉":
        return []
    found = (re.fullmatch(rf"(layer-{place}\..+)-shape", name) for name in shown)
    return [match[1] for match in found if match] or [f"part-{place}"]


def shape_text(shape: tuple[int, ...]) -> str:
    return f"({', '.join(map(str, shape))})"


def check_cost(shown: Shown, places: list[str], cost: NetworkCost) -> None:
    """Compare what is shown of a network with what Gluon counts."""
    names = ("shape", "parameters number", "multiply-adds number")
    rows = [row for place in places for row in rows_of(shown, place)]
    of_rows = [tuple(shown[f"{row}-{name}"] for name in names) for row in rows]
    assert of_rows == [
        (shape_text(layer.output_shape[1:]), layer.num_parameters, layer.multiply_adds)
        for layer in cost.layers
    ]

    # With what is computed between layers, and the image.
    parts = [f"part-{place}-kept-bytes number" for place in ("input", *places)]
    assert sum(shown.get(part, 0) for part in parts) == cost.kept_bytes
    totals = {"parameters": cost.num_parameters, "multiply-adds": cost.multiply_adds}
    totals["kept-bytes"] = cost.kept_bytes / 1e6
    assert differences({name: shown.get(name) for name in totals}, totals) == {}
    assert "refusal" not in shown


def check_blocks(shown: Shown, places: list[str]) -> None:
    """Compare the numbers of blocks with the sums over what is in them."""
    for place in places:
        for key in ("parameters", "multiply-adds", "kept-bytes"):
            inside = rf"(layer-{place}\..+|step-{place}-\d+)-{key} number"
            numbers = [x for name, x in shown.items() if re.fullmatch(inside, name)]
            assert not numbers or sum(numbers) == shown[f"part-{place}-{key} number"]


FOUR_DIGITS = Context(prec=4, rounding=ROUND_HALF_UP)
COMPACT = re.compile(r"(?P<digits>\d{1,4}(?:\.\d+)?)(?P<unit>[万亿]?)")
UNITS = {"": 1, "万": 10**4, "亿": 10**8}


def check_texts(shown: Shown) -> None:
    """Compare the texts of large numbers with the numbers: 2622万 is 26218496."""
    names = [name for name in shown if name.endswith(" number")]
    assert names
    for name in names:
        text = COMPACT.fullmatch(shown[name.removesuffix(" number")])
        assert text, name
        number = shown[name] / (1e6 if "kept-bytes" in name else 1)
        rounded = FOUR_DIGITS.create_decimal(repr(number))
        value = float(text["digits"]) * UNITS[text["unit"]]
        assert value == pytest.approx(float(rounded), rel=1e-9), name


def check_refusal(
    shown: Shown, places: list[str], net: nn.Sequential, size: int
) -> None:
    """Compare up to which part the network runs."""
    assert "Gluon 在这里报错" in shown["refusal"]
    if window := re.search(r"窗口 (\d+) 大于.+的边长 (\d+)", shown["refusal"]):
        assert int(window[1]) > int(window[2])
    assert not {"parameters", "multiply-adds", "kept-bytes"} & shown.keys()
    texts = [shown[f"part-{place}-shape"] for place in places]
    expected = [*map(shape_text, shapes_of_parts(net, places, size))]
    refused, *rest = texts[len(expected) :]
    assert texts[: len(expected)] == expected
    assert refused.startswith("✕ ") and set(rest) <= {"—"}


REFUSALS = (mx.MXNetError, ValueError)


def shapes_of_parts(
    net: nn.Sequential, places: list[str], size: int
) -> Iterator[tuple[int, ...]]:
    """Yield the shape of each part's output, until one refuses its input."""
    net, X = copy.deepcopy(net), nd.zeros((1, 1, size, size))
    net.initialize(mx.init.Zero())
    for place in places:
        try:
            X = block_at(net, place)(X)
        except REFUSALS:
            return
        yield X.shape[1:]


def check_network(
    shown: Shown, places: list[str], net: nn.Sequential, size: int
) -> None:
    """Compare all that is shown of a network with what Gluon says."""
    check_texts(shown)
    try:
        cost = gb.network_cost(net, (1, 1, size, size))
    except REFUSALS:
        check_refusal(shown, places, net, size)
        return
    check_cost(shown, places, cost)
    check_blocks(shown, places)


def test_all_networks_are_compared(show):
    assert [key for key, _ in show("shapes.nin").options("网络")] == [*NETWORKS]


@pytest.mark.parametrize("name", NETWORKS)
def test_shapes_and_costs_are_those_of_gluon(show, name):
    page, net = show("shapes.alexnet"), NETWORKS[name]()
    page.use("网络", name)
    places = places_of(page)
    whole = read_whole(page, [{SIZE: size} for size in SIZES])
    for size, shown in zip(SIZES, whole, strict=True):
        check_network(shown, places, net, size)

    names = [row.partition("-")[2] for place in places for row in rows_of(shown, place)]
    cost = gb.network_cost(net, (1, 1, size, size))
    assert names == [layer.name for layer in cost.layers]


def changed(net: nn.Sequential, place: str, block: gluon.Block | None) -> nn.Sequential:
    """Return a network with another block at a place, or without one there."""
    first, _, rest = place.partition(".")
    new = nn.Sequential()
    for key, child in net._children.items():
        if key == first:
            child = changed(child, rest, block) if rest else block
        if child is not None:
            new.add(child)
    return new


REMOVED = {"去掉": None}
CHANGES = {
    "lenet 28 0": (
        {"填充": 2, "步幅": 2},
        lambda: nn.Conv2D(6, 5, strides=2, padding=2, activation="sigmoid"),
    ),
    # Then an activation function is the last, and only its own gradient reads it.
    "lenet 28 6": (REMOVED, lambda: None),
    "lenet-bn 28 1": (REMOVED, lambda: None),
    "alexnet 72 7": (REMOVED, lambda: None),
    "alexnet 224 8": ({"输出个数": 1024}, lambda: nn.Dense(1024, activation="relu")),
    "vgg-11 28 4": (REMOVED, lambda: None),
    "vgg-11-quarter 64 2": (
        {"卷积层个数": 3, "输出通道数": 48},
        lambda: section("07-vgg").vgg_block(3, 48),
    ),
    "nin 128 0": (
        {"窗口": 7, "步幅": 2},
        lambda: section("08-nin").nin_block(96, 7, 2, 0),
    ),
    "googlenet 96 2.1": (
        {"线路 1": 100, "线路 2 先减到": 50, "线路 4": 10},
        lambda: section("09-googlenet").Inception(100, (50, 192), (32, 96), 10),
    ),
    "resnet-18 96 5.0": (
        {"跨层连接的 1×1 卷积层": 0},
        lambda: gb.Residual(128, strides=2),
    ),
    "resnet-18 96 4.1": ({"步幅": 2}, lambda: gb.Residual(64, strides=2)),
    # MXNet stretches a single pixel instead of refusing it.
    "resnet-18 8 4.1": ({"步幅": 2}, lambda: gb.Residual(64, strides=2)),
    "resnet-18 8 6.0": (
        {"步幅": 3, "输出通道数": 300},
        lambda: gb.Residual(300, use_1x1conv=True, strides=3),
    ),
    "densenet 96 5": (REMOVED, lambda: None),
    "densenet 48 6": (
        {"卷积层个数": 2, "增长率": 40},
        lambda: section("12-densenet").DenseBlock(2, 40),
    ),
}


@pytest.mark.parametrize("which", CHANGES)
def test_changed_network_is_that_of_gluon(show, which):
    """A network, for a size, with a change at a place."""
    name, size, place = which.split()
    change, block = CHANGES[which]
    page = show("shapes.alexnet")
    page.use("网络", name)
    own, places = page.shown(), places_of(page)
    [before] = page.shown_after([{SIZE: int(size), PLACE: place}])

    page.shown_after([change])
    [shown] = read_whole(page, [{}])
    net = changed(NETWORKS[name](), place, block())
    check_network(shown, places, net, int(size))
    check_ratios(own, shown)
    assert page.shown_after([{"全部恢复": None, PLACE: place}]) == [before]


def check_ratios(before: Shown, now: Shown) -> None:
    """Compare how many times those of the section's network the numbers are."""
    totals, own = totals_of(now), totals_of(before)
    ratios = {name: text for name, text in now.items() if name.endswith("-ratio")}
    expected = {f"{name}-ratio": x / own[name] for name, x in totals.items()}
    if "refusal" in now:
        expected = {}
    assert differences(ratios, {k: x for k, x in expected.items() if x != 1}) == {}


def totals_of(shown: Shown) -> dict[str, int]:
    """Return the sums of the numbers of all parts."""
    endings = ("parameters", "multiply-adds", "kept-bytes")
    parts = {name: x for name, x in shown.items() if re.match("part-.* number", name)}
    return {
        ending: sum(
            x for name, x in parts.items() if name.endswith(f"-{ending} number")
        )
        for ending in endings
    }


# --------------------------------------------------------------------------- dense


def dense_network(growth: int, num_convs: int, transition: str) -> nn.Sequential:
    """Return section 12's network with other numbers, or without transitions."""
    blocks = section("12-densenet")
    net = nn.Sequential()
    net.add(*list(blocks.net)[:4])
    num_channels = 64
    for i in range(4):
        net.add(blocks.DenseBlock(num_convs, growth))
        num_channels += num_convs * growth
        if i < 3 and transition == "book":
            net.add(blocks.transition_block(num_channels // 2))
    net.add(*list(blocks.net)[-4:])
    return net


class DenseCost:
    """What the figure should show of a network with dense blocks.

    Attributes:
        cost: What the network costs.
        layers: The cost of each layer, by its name.
        blocks: The places of the dense blocks in the network.
        outputs: The shapes of the outputs of all blocks and layers in the network.
    """

    def __init__(self, net: nn.Sequential) -> None:
        self.cost = gb.network_cost(net, (1, 1, 96, 96))
        self.layers = {layer.name: layer for layer in self.cost.layers}
        self.blocks = [i for i in range(len(net)) if f"{i}.net.0.0" in self.layers]

        # What follows a block begins with a normalisation, of the same shape.
        first: dict[int, tuple[int, ...]] = {}
        last: dict[int, tuple[int, ...]] = {}
        for layer in self.cost.layers:
            place, shape = int(layer.name.split(".")[0]), layer.output_shape[1:]
            first.setdefault(place, shape)
            last[place] = shape
        self.outputs = last | {i: first[i + 1] for i in self.blocks}

    def expected_path(self) -> Shown:
        path = [self.outputs[i] for i in range(3, self.blocks[-1] + 1)]
        expected = table("path", [channels for channels, *_ in path])
        expected |= {f"edge-{i}": f"{h}×{w}" for i, (_, h, w) in enumerate(path)}
        expected |= {"parameters": self.cost.num_parameters}
        return expected | {"multiply-adds": self.cost.multiply_adds}

    def expected_conv(self, num_convs: int, block: int, conv: int) -> Shown:
        """Return what is shown of a convolution in a block; both are counted from 1."""
        at = self.blocks[block - 1]
        inputs = [self.layers[f"{at}.net.{i}.0"] for i in range(num_convs)]
        reads = [layer.output_shape[1] for layer in inputs]
        totals = [*reads, self.outputs[at][0]]
        chosen = self.layers[f"{at}.net.{conv - 1}.2"]
        _, growth, height, width = chosen.output_shape
        added = nn.Conv2D(reads[0], 3, in_channels=reads[0])

        expected = table("channels", totals)
        expected |= table("sum-channels", [reads[0]] * len(totals))
        expected |= {"block": block, "conv": conv, "reads": reads[conv - 1]}
        expected |= {"adds": growth, "added": f"+{growth}", "sum-outputs": reads[0]}
        expected |= {"weights": chosen.multiply_adds // (height * width)}
        return expected | {"sum-weights": np.prod(added.weight.shape)}


@pytest.mark.parametrize("transition", ["book", "none"])
def test_dense_blocks_cost_what_gluon_counts(show, transition):
    page = show("dense.book")
    page.use("过渡层", transition)
    for growth, num_convs in itertools.product(range(8, 49, 8), range(1, 7)):
        dense = DenseCost(dense_network(growth, num_convs, transition))
        path = dense.expected_path()
        chosen = [*itertools.product(range(1, 5), range(1, num_convs + 1))]
        expected = (path | dense.expected_conv(num_convs, *place) for place in chosen)
        page.shown_after([{"增长率": growth, "每块的卷积层": num_convs}])
        page.check([{"卷积层": i} for i in range(1, len(chosen) + 1)], expected)
