"""Protects: figures of measurements show what was measured, and draw it to scale.

That the numbers are those of the recordings, tests/book/test_explorables.py says.
"""

import itertools
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np
import pytest
from mxnet import nd

import d2lutil as gb
from d2lutil.pages import explorable
from recording.degradation import load_training
from tests.site.figures import FEATURES, Page, Shown, differences, table


def stored(name: str) -> dict[str, Any]:
    """Return the numbers that were measured for a figure."""
    return json.loads((explorable.FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def points_of(curve: str) -> np.ndarray:
    """Return the points of a curve (num_points, 2)."""
    return np.array(re.findall(r"-?[\d.]+", curve), float).reshape(-1, 2)


def check_scale(places: Any, numbers: Any, sign: int) -> None:
    """Compare places in a picture with numbers: equal differences are equally long."""
    slope, start = np.polyfit(numbers, places, 1)
    assert np.sign(slope) == sign
    np.testing.assert_allclose(places, slope * np.array(numbers) + start, atol=0.2)


# ------------------------------------------------------------------------ residual

EXPONENT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
NORMS = {"with": "有批量归一化", "without": "块里没有批量归一化"}


def check_factor(text: str, expected: float) -> None:
    """Compare a number of three digits: 1.23, 0.123 or 1.23×10⁻⁵."""
    digits, _, power = text.partition("×10")
    assert len(digits.replace(".", "").lstrip("0")) == 3
    value = float(digits) * 10.0 ** int(power.translate(EXPONENT) or 0)
    assert value == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("norm", NORMS)
def test_signals_and_gradients_are_the_measured_ones(show, norm):
    data, page = stored("residual"), show("residual.residual")
    page.use(NORMS[norm])
    places = itertools.product(enumerate(data["skips"]), enumerate(data["depths"]))
    for (i, skip), (k, num_blocks) in places:
        signal = data[norm]["signal"][i][: num_blocks + 1]
        gradient = data[norm]["gradient"][i][k]
        [shown] = page.shown_after([{"跨层连接的权重": f"{skip:g}", "深度": k}])
        check_factor(shown.pop("signal"), signal[-1])
        check_factor(shown.pop("gradient"), gradient[0])

        expected = {"skip": skip, "blocks": num_blocks, "layers": depth(num_blocks)}
        expected["signal-per-block"] = signal[-1] ** (1 / num_blocks)
        expected["gradient-per-block"] = gradient[0] ** (1 / num_blocks)
        assert differences(shown, expected) == {}
        if skip != 0.5:  # its connections are as thick as the curves
            check_curves(page, signal, gradient)


def check_curves(page: Page, *measured: list[float]) -> None:
    for curve, numbers in zip(page.ask("curves"), measured, strict=True):
        x, y = points_of(curve).T
        check_scale(x, range(len(numbers)), 1)
        check_scale(y, np.log10(numbers), -1)


@cache
def depth(num_blocks: int) -> int:
    """Return how many layers with weights the measured networks have."""
    net = training().small_net(gb.Residual, (num_blocks,))
    return gb.network_cost(net, (1, 1, 28, 28)).depth


training = cache(load_training)

# -------------------------------------------------------------------------- curves

MEASURED = ("loss", "train_acc", "test_acc")


def reading(which: str, run: dict[str, Any] | None, epoch: int) -> Shown:
    """Return what is listed of a training after an epoch."""
    names = "num-train pixels multiply-adds spent loss train-acc test-acc gap".split()
    if run is None:
        return {f"{which}-{name}": "–" for name in names}
    at = min(epoch, len(run["loss"]))
    loss, train_acc, test_acc = (run[name][at - 1] for name in MEASURED)
    # A training step needs three times the multiply-adds of a prediction.
    num_train, multiply_adds = run["images"]["num_train"], run["multiply_adds"]
    spent = 3 * multiply_adds * num_train * at / 1e12

    numbers = [num_train, run["images"]["height"], multiply_adds / 1e6, spent]
    numbers += [loss, train_acc, test_acc, train_acc - test_acc]
    return {f"{which}-{name}": x for name, x in zip(names, numbers, strict=True)}


def expected_curves(first: dict[str, Any], second: Any, epoch: int) -> Shown:
    """Return what is shown of a training, beside a second one if there is one."""
    expected = reading("first", first, epoch) | reading("second", second, epoch)
    expected |= {"epoch": epoch}
    if second is None:
        return expected
    spent = sorted(expected[f"{which}-spent"] for which in ("first", "second"))
    difference = expected["second-test-acc"] - expected["first-test-acc"]
    return expected | {"difference": difference, "ratio": spent[1] / spent[0]}


def pairs_of(runs: list[dict[str, Any]]) -> Iterator[tuple[Any, Any]]:
    """Yield each training alone, and beside the next one."""
    for i, run in enumerate(runs):
        yield run, None
        yield run, runs[(i + 1) % len(runs)]


@pytest.mark.parametrize("axis", ["epochs", "multiply-adds"])
@pytest.mark.parametrize(("state", "least"), [("lenet", 0), ("cost", 0.7)])
def test_curves_are_the_recorded_ones(show, state, least, axis):
    page, runs = show(f"curves.{state}"), stored("curves")["runs"]
    called = {id(run): f"{run['network']}, {run['scale']}" for run in runs}
    assert [key for key, _ in page.options("● 训练甲")] == [*called.values()]
    page.use("横轴", axis)

    epochs = range(1, 1 + max(len(run["loss"]) for run in runs))
    for first, second in pairs_of(runs):
        choices = {
            "● 训练甲": called[id(first)],
            "◆ 训练乙": called.get(id(second), ""),
        }
        steps = [choices | {"迭代周期": epoch} for epoch in epochs]
        page.check(steps, (expected_curves(first, second, epoch) for epoch in epochs))
        check_panels(page, [first, second] if second else [first], axis, least)


def check_panels(
    page: Page, runs: list[dict[str, Any]], axis: str, least: float
) -> None:
    """Compare the curves of trainings with their numbers.

    Args:
        page: Shows them.
        runs: The trainings.
        axis: What they are drawn by.
        least: The lowest accuracy that is drawn.
    """
    curves = iter(map(points_of, page.ask("curves")))
    across, losses, accuracies = [], [], []
    for run, name in itertools.product(runs, MEASURED):
        points, panel = next(curves), losses if name == "loss" else accuracies
        shown = [
            (i, x)
            for i, x in enumerate(run[name], start=1)
            if name == "loss" or x >= least
        ]
        assert len(points) == len(shown)
        cost = run["multiply_adds"] * run["images"]["num_train"]
        for (x, y), (epoch, number) in zip(points, shown, strict=True):
            across.append((x, epoch if axis == "epochs" else np.log10(cost * epoch)))
            panel.append((y, min(number, 2.5)))
    check_scale(*zip(*across, strict=True), 1)
    check_scale(*zip(*losses, strict=True), -1)
    if len(accuracies) > 2:
        check_scale(*zip(*accuracies, strict=True), -1)
    assert next(curves, None) is None


# ------------------------------------------------------------------------ features

CLASSES = "T 恤,裤子,套头衫,连衣裙,外套,凉鞋,衬衫,运动鞋,包,短靴".split(",")


def expected_features(
    network: dict[str, Any], when: str, image: int, layer: int, column: int
) -> Shown:
    """Return what is shown of a channel and of an image.

    Args:
        network: What is stored.
        when: The key of the answers before or after the training.
        image: Which of the images is chosen.
        layer: Which of the layers is chosen.
        column: Which of the layer's channels is chosen.
    """
    of_layer, answers = network["layers"][layer], network[when]["layers"][layer]
    channel, scores = of_layer["channels"][column], np.array(network[when]["scores"])
    strongest = np.array(answers["strongest"])[:, column]
    is_of_classes = of_layer["shape"][0] == len(CLASSES)
    probabilities = nd.softmax(nd.array(scores[image])).asnumpy()

    expected = table("answer", scores[:, channel] if is_of_classes else strongest)
    expected |= table("probability", probabilities)
    expected |= {"channel": channel, "guess": CLASSES[probabilities.argmax()]}
    labels = [CLASSES[image["label"]] for image in network["images"]]
    expected |= {"truth": labels[image]}
    if strongest.max() > 0:
        numbers = scores[:, channel] if is_of_classes else strongest
        expected |= {"best": labels[numbers.argmax()]}
    for i, one in enumerate(network["layers"]):
        expected[f"shape-{i}"] = f"({', '.join(map(str, one['shape']))})"
    pixels = network["pixels"]
    expected |= {"pixels": f"{pixels}×{pixels}", "test-acc": network["testAcc"]}

    if strongest[image] > 0:
        cell = divmod(answers["at"][image][column], of_layer["shape"][2])
        expected["window"] = "×".join(str(num_seen(of_layer, i)) for i in cell)
    return expected


def num_seen(layer: dict[str, int], i: int) -> int:
    """Return how many rows of the image the cells in row i of a layer see."""
    start = layer["start"] + i * layer["strides"]
    return len(set(range(start, start + layer["field"])) & set(range(layer["end"])))


@pytest.mark.parametrize("name", FEATURES)
def test_features_are_the_stored_ones(show, name):
    page, network = show(f"features.{name}"), stored(f"features.{name}")[name]
    images = [f"图像：{CLASSES[image['label']]}" for image in network["images"]]
    for when, key in {"trained": "after", "untrained": "before"}.items():
        if when not in network:
            continue
        if "untrained" in network:
            page.use("网络", key)
        for layer, of_layer in enumerate(network["layers"]):
            channels = [f"{of_layer['name']}，通道 {c}" for c in of_layer["channels"]]
            pressed = itertools.product(images, channels)
            places = np.ndindex((len(images), len(channels)))
            page.check(
                [{image: None, channel: None} for image, channel in pressed],
                (expected_features(network, when, i, layer, c) for i, c in places),
            )
        check_pictures(page, network, when)


def check_pictures(page: Page, network: dict[str, Any], when: str) -> None:
    """Compare the pictures, where the last image, layer and channel are chosen.

    Each is told by its address and, if it is a map cut out of a row of maps, by what is
    cut out: left edge, top, width and height.
    """
    layers = network[when]["layers"]
    *_, last = network["layers"]
    expected = []
    for image, maps in zip(network["images"], layers[-1]["maps"], strict=True):
        expected += [[image["png"], None], [maps, cut(last, len(last["channels"]) - 1)]]
    for layer, answers in zip(network["layers"], layers, strict=True):
        maps = answers["maps"][-1]
        expected += [[maps, cut(layer, i)] for i in range(len(layer["channels"]))]
    prefix = "data:image/png;base64,"
    assert page.ask("pictures") == [[f"{prefix}{x}", box] for x, box in expected]


def cut(layer: dict[str, Any], column: int) -> str:
    """Return which part of a row of maps is a column of it."""
    _, height, width = layer["shape"]
    return f"{column * width} 0 {width} {height}"
