"""Protects: what the figures of single layers show is what Gluon computes.

Chromium opens a figure in a page of its own and uses its controls, in all settings if
they are some hundreds. All numbers shown are compared.
"""

import copy
import itertools
import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn

import d2lutil as gb
from d2lutil.pages import explorable
from recording.figures.features import googlenet_ways, shapes
from tests.site.figures import (
    Page,
    Shown,
    Step,
    differences,
    number_of,
    read_table,
    says,
    steps_of,
    table,
)

pytestmark = pytest.mark.usefixtures("without_garbage")
# How Gluon says that a window does not fit.
REFUSALS = (mx.MXNetError, ValueError)


def test_wrong_text_is_found():
    right = [
        ("3", 3),
        ("−0.25", -0.25),
        ("0.33", 1 / 3),
        ("0.13", 0.125),
        ("3×3", "3×3"),
    ]
    assert all(itertools.starmap(says, right))

    wrong = [("3", 3.2), ("-0.25", -0.25), ("0.34", 1 / 3), ("−0.00", -0.001), ("", 0)]
    wrong += [("NaN", 3), ("3×3", "3×4"), ("134515", 134514), (None, 3), ("3", None)]
    assert not any(itertools.starmap(says, wrong))


# --------------------------------------------------------------------- convolution


def convolve(X: Any, kernels: Any, biases: Any = None, groups: int = 1) -> np.ndarray:
    """Return what `nn.Conv2D` makes of one input.

    Args:
        X: Input (in_channels, height, width).
        kernels: Weights (out_channels, in_channels / groups, height, width).
        biases: Biases (out_channels), if it has any.
        groups: In how many groups of channels it works.
    """
    X, kernels = nd.array(X), nd.array(kernels)
    num_outputs, _, *window = kernels.shape
    settings = {"in_channels": len(X), "groups": groups, "use_bias": biases is not None}
    conv = nn.Conv2D(num_outputs, window, **settings)
    conv.initialize()
    conv.weight.set_data(kernels)
    if biases is not None:
        conv.bias.set_data(nd.array(biases))
    return conv(X.expand_dims(0))[0].asnumpy()


def of_ones(n: int, k: int, p: int, s: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the output of a convolution of ones; in how many windows a pixel is."""
    conv = nn.Conv2D(1, k, strides=s, padding=p, use_bias=False)
    conv.initialize(mx.init.One())
    X = nd.ones((1, 1, n, n))
    X.attach_grad()
    with autograd.record():
        Y = conv(X)
    Y.backward()
    return Y[0, 0].asnumpy(), X.grad[0, 0].asnumpy()


def expected_size(n: int, k: int, p: int, s: int) -> Shown:
    """Return what is shown of a size, when the first output is chosen."""
    square = "{0}×{0}".format
    formula = f"⌊({n} − {k} + 2×{p}) / {s}⌋ + 1"
    expected: Shown = {"input-size": square(n), "formula": formula}
    try:
        Y, counts = of_ones(n, k, p, s)
    except REFUSALS:
        expected |= {"size": "放不下", "output-size": square(0)}
        expected |= {"padded-size": square(n + 2 * p), "kernel-size": square(k)}
        return expected | table("windows", np.zeros((n, n)), first=p)

    expected |= {"size": len(Y), "output-size": square(len(Y)), "row": 0, "column": 0}
    expected |= {"sum": Y[0, 0], "unused": np.sum(counts == 0)}
    return expected | table("output", Y) | table("windows", counts, first=p)


def test_sizes_are_those_of_convolutions_of_ones(show):
    settings = [*itertools.product(range(3, 9), range(1, 6), range(3), range(1, 4))]
    expected = [*itertools.starmap(expected_size, settings)]
    assert 0 < sum(numbers["size"] == "放不下" for numbers in expected) < 60
    steps = steps_of("输入 n,窗口 k,填充 p,步幅 s", settings)
    page = show("convolution.strided")
    page.use("输出", [0, 0])
    page.check(steps, expected)


def right_left(k: int) -> np.ndarray:
    kernel = np.zeros((k, k))
    kernel[:, 0], kernel[:, -1] = -1, 1
    return kernel


KERNELS: dict[str, Callable[[int], np.ndarray]] = {
    "right-left": right_left,
    "below-above": lambda k: right_left(k).T,
    "mean": lambda k: np.full((k, k), 1 / k**2),
}


def expected_found(X: np.ndarray, K: np.ndarray, i: int, j: int) -> Shown:
    """Return what is shown of a kernel on an input, when an output is chosen."""
    Y, n, k = convolve(X[None], K[None, None])[0], len(X), len(K)
    size = n - k + 1
    i, j = min(i, size - 1), min(j, size - 1)
    expected = table("padded", X) | table("kernel", K) | table("output", Y)
    expected |= table("product", X[i : i + k, j : j + k] * K)
    expected |= {
        "input-size": f"{n}×{n}",
        "output-size": f"{size}×{size}",
        "size": size,
    }
    expected |= {"formula": f"{n} − {k} + 1", "row": i, "column": j, "sum": Y[i, j]}
    expected |= {"largest": Y.max(), "num-largest": np.sum(Y > Y.max() - 1e-4)}
    return expected | {"smallest": Y.min()}


@pytest.mark.parametrize("name", ["band", "signs", "pullover"])
def test_kernels_find_what_convolutions_find(show, name):
    page = show("convolution.signs")
    [start] = page.shown_after([{"输入": name, "输出": [3, 2]}])
    X = read_table(start, "padded")
    if name == "pullover":
        file = explorable.FOLDER / "convolution.json"
        pixels = json.loads(file.read_text(encoding="utf-8"))[name]
        np.testing.assert_allclose(X, np.array(pixels) / 100)

    settings = [*itertools.product(KERNELS, (2, 3, 4))]
    expected = (expected_found(X, KERNELS[kernel](k), 3, 2) for kernel, k in settings)
    page.check(steps_of("卷积核,窗口 k", settings), expected)


@pytest.mark.parametrize("name", ["signs", "pullover"])
def test_every_output_is_the_sum_of_its_products(show, name):
    page = show("convolution.signs")
    [start] = page.shown_after([{"输入": name}])
    X, K = read_table(start, "padded"), read_table(start, "kernel")
    places = [*np.ndindex(read_table(start, "output").shape)]
    steps = [{"输出": [*place, "over"]} for place in places]
    page.check(steps, (expected_found(X, K, *place) for place in places))


EDITED = "卷积核，按空格加 1"


def test_kernel_can_be_edited(show):
    """Pressing a cell counts up to 2 and on from −2, in every size of the kernel."""
    page = show("convolution.signs")
    X, K = read_table(page.shown(), "padded"), right_left(3)
    rng = np.random.default_rng(1)
    for k in (3, 4, 2):
        K = np.pad(K, (0, max(0, k - len(K))))[:k, :k]
        page.check([{"窗口 k": k}], [expected_found(X, K, 0, 0)])
        cells = rng.integers(k, size=(25, 2)).tolist()
        expected = []
        for a, b in cells:
            K[a, b] = -2 if K[a, b] == 2 else K[a, b] + 1
            expected.append(expected_found(X, K, 0, 0))
        page.check([{EDITED: cell} for cell in cells], expected)


def test_window_that_was_pressed_is_copied(show):
    """On the way from the pressed output to the button, the mouse crosses others."""
    page = show("convolution.signs")
    X = read_table(page.shown(), "padded")
    page.point("输出", [2, 3]).click().perform()
    for row, column in [(1, 3), (0, 4)]:
        page.point("输出", [row, column]).perform()
        shown = page.shown()
        assert (shown["row"], shown["column"]) == (str(row), str(column))

    page.point("把蓝框里的窗口抄成卷积核").click().perform()
    expected = expected_found(X, X[2:5, 3:6], 2, 3)
    assert differences(page.shown(), expected) == {}
    assert expected["sum"] == expected["largest"] == 9


# ------------------------------------------------------------------------ channels


def expected_layer(X: np.ndarray, K: np.ndarray, biases: np.ndarray) -> Shown:
    """Return what is shown of a layer.

    Args:
        X: Input (in_channels, n, n).
        K: Kernels (out_channels, in_channels, k, k).
        biases: Biases (out_channels).
    """
    (c_o, c_i, k, _), n = K.shape, X.shape[-1]
    conv = nn.Conv2D(c_o, k, in_channels=c_i)
    num_parameters = sum(np.prod(p.shape) for p in conv.collect_params().values())
    expected = table("input", X) | table("kernel", K) | table("bias", biases)
    expected |= {"parameters-formula": f"{c_o}×{c_i}×{k}×{k} + {c_o}"}
    expected |= {"parameters": num_parameters, "weights": np.prod(conv.weight.shape)}
    if k > n:
        with pytest.raises(REFUSALS):
            convolve(X, K, biases)
        return expected | {"positions": 0, "multiply-adds": 0}

    Y, cost = convolve(X, K, biases), gb.network_cost(conv, (1, c_i, n, n))
    assert cost.num_parameters == num_parameters
    expected |= {"positions": Y[0].size, "multiply-adds": cost.multiply_adds}
    return expected | table("output", Y)


def expected_sums(X: np.ndarray, K: np.ndarray, biases: np.ndarray) -> Iterator[Shown]:
    """Yield what is shown of the sum that each output of a layer is."""
    Y = convolve(X, K, biases)
    terms = [convolve(X, kernel[:, None], groups=len(X)) for kernel in K]
    is_dense = K.shape[-1] == 1
    answers = dense_layer(X, K[..., 0, 0], biases)

    for m, i, j in np.ndindex(Y.shape):
        of_sum = terms[m][:, i, j]
        expected = table("term", of_sum) | table("said-term", of_sum)
        expected |= {"channel": m, "row": i, "column": j}
        expected |= {"said-bias": biases[m], "sum": Y[m, i, j]}
        if is_dense:
            expected |= table("dense-input", X[:, i, j]) | table("dense-bias", biases)
            expected |= table("dense-weight", K[m, :, 0, 0])
            expected |= table("dense-output", answers[i, j])
        yield expected


def dense_layer(X: np.ndarray, weights: np.ndarray, biases: np.ndarray) -> np.ndarray:
    """Return what `nn.Dense` makes of each pixel (height, width, outputs)."""
    dense = nn.Dense(len(biases), in_units=len(X), flatten=False)
    dense.initialize()
    dense.weight.set_data(nd.array(weights))
    dense.bias.set_data(nd.array(biases))
    return dense(nd.array(X.transpose(1, 2, 0))).asnumpy()


@pytest.mark.parametrize("k", [1, 2, 3])
def test_channels_are_those_of_a_convolution(show, k):
    page = show("channels.two")
    page.use("窗口的高和宽", k)
    settings = itertools.product((1, 2, 3), (1, 2, 3), (2, 3, 4))
    for step in steps_of("输入通道,输出通道,图像的高和宽", settings):
        [start] = page.shown_after([step])
        numbers = [read_table(start, name) for name in ("input", "kernel", "bias")]
        expected = expected_layer(*numbers)
        if k > step["图像的高和宽"]:
            assert differences(start, expected) == {}
            continue

        _, *rows, num_columns = read_table(start, "output").shape
        cells = np.ndindex((step["输出通道"] * rows[0], num_columns))
        sums = (expected | of_sum for of_sum in expected_sums(*numbers))
        page.check([{"输出": at} for at in cells], sums)


# ------------------------------------------------------------------------- pooling

MOVES = range(1, 7)


@cache
def pooled(shift: int, width: int, pool_size: int, strides: int) -> Shown:
    """Return a row with a rectangle, its edges, and what kinds of pooling answer."""
    image = np.zeros((1, 1, 17))
    image[..., 3 + shift : 3 + shift + width] = 1
    edges = nd.array(abs(convolve(image, [[[[-1, 1]]]]))).expand_dims(0)
    window = {"pool_size": (1, pool_size), "strides": (1, strides)}
    layers = {
        "max": nn.MaxPool2D(**window),
        "average": nn.AvgPool2D(**window),
        "global": nn.GlobalAvgPool2D(),
    }
    answers = {kind: layer(edges).asnumpy().ravel() for kind, layer in layers.items()}
    return {"image": image.ravel(), "edges": edges.asnumpy().ravel()} | answers


def expected_pooling(shift: int, *setting: int) -> Shown:
    """Return what is shown of a shift, and of a width and a window."""
    now = pooled(shift, *setting)
    expected: Shown = {"global": now["global"][0]}
    for kind in ("image", "edges", "max", "average"):
        expected |= table(kind, now[kind])

    for kind in ("max", "average", "global"):
        answers = [pooled(t, *setting)[kind] for t in (0, *MOVES)]
        changed = [np.sum(~np.isclose(*pair)) for pair in itertools.pairwise(answers)]
        expected[f"unchanged-{kind}"] = changed.count(0)
        for t in MOVES:
            expected[f"move-{kind}-{t}"] = "变" if changed[t - 1] else "同"
        if shift and kind != "global":
            expected[f"changed-{kind}"] = changed[shift - 1]
    return expected


def test_pooling_answers_as_gluon_does(show):
    page = show("pooling.rectangle")
    texts = dict(page.options("池化窗口"))
    windows = {key: map(int, re.findall(r"\d+", texts[key])) for key in texts}
    of_key = {key: (*numbers,) for key, numbers in windows.items()}
    settings = [*itertools.product(range(7), range(1, 7), of_key)]
    expected = (expected_pooling(*sizes, *of_key[key]) for *sizes, key in settings)
    page.check(steps_of("向右平移,长方形的宽,池化窗口", settings), expected)


# ----------------------------------------------------------------- receptive field

# Kernel, strides and padding of each layer.
Layers = tuple[tuple[int, int, int], ...]

POOL = (2, 2, 0)
ADD3, ADD5, ADD_POOL = "加 3×3 卷积", "加 5×5 卷积", "加 2×2 池化，步幅 2"
REMOVE = "去掉最后一层"


def convs(*kernels: int) -> Layers:
    """Return convolutions without padding."""
    return tuple((kernel, 1, 0) for kernel in kernels)


STACKS: dict[str, dict[str, Layers]] = {
    "convolutions": {
        "三个卷积层": convs(3, 3, 3),
        "卷积、池化交替": (*convs(3), POOL, *convs(3), POOL, *convs(3)),
    },
    "windows": {
        "一个 5×5": convs(5),
        "两个 3×3": convs(3, 3),
        "一个 7×7": convs(7),
        "三个 3×3": convs(3, 3, 3),
        "一个 11×11": convs(11),
    },
}


def inception_stacks() -> dict[str, Layers]:
    """Return the layers on the paths of the first Inception block, from the image."""
    ways = googlenet_ways(gb.load_section("09-googlenet").net)
    return {name: tuple(shapes(ways[name])) for name in ways if "线路" in name}


def responses(layers: Layers, pixels: int) -> tuple[nd.NDArray, nd.NDArray]:
    """Return a row of pixels, and the row that convolutions of ones make of it."""
    net = nn.Sequential()
    for kernel, strides, padding in layers:
        window = {"strides": (1, strides), "padding": (0, padding)}
        net.add(nn.Conv2D(1, (1, kernel), use_bias=False, **window))
    net.initialize(mx.init.One())
    X = nd.ones((1, 1, 1, pixels))
    X.attach_grad()
    with autograd.record():
        Y = net(X)[0, 0, 0]
    return X, Y


def num_outputs(layers: Layers, pixels: int) -> int:
    return len(responses(layers, pixels)[1])


def paths(layers: Layers, pixels: int, output: int) -> np.ndarray:
    """Return on how many paths each pixel reaches an output: its gradient."""
    X, Y = responses(layers, pixels)
    Y.backward(nd.one_hot(nd.array([output]), len(Y))[0])
    return X.grad[0, 0, 0].asnumpy()


@cache
def field(layers: Layers) -> tuple[int, int]:
    """Return how many pixels an output sees, and how far on those of the next lie."""
    middle = num_outputs(layers, 512) // 2
    first, second = (np.flatnonzero(paths(layers, 512, middle + i)) for i in (0, 1))
    return len(first), second[0] - first[0]


def check_field(shown: Shown, layers: Layers, pixels: int) -> None:
    """Compare what is shown of layers, and of the output that is chosen."""
    output = int(shown["output"])
    counts = paths(layers, pixels, output)
    seen = np.flatnonzero(counts)
    expected = {"pixels": pixels, "output": output, "most": counts.max()}
    expected |= {"first": seen[0], "last": seen[-1], "visible": len(seen)}
    for i in range(len(layers) + 1):
        expected[f"r-{i}"], expected[f"d-{i}"] = field(layers[:i])
    if num_padded := field(layers)[0] - len(seen):
        expected["padded"] = num_padded
    if "weights" in shown:
        expected["weights"] = sum(k**2 for k, strides, _ in layers if strides == 1)

    # The number stands at each bar where there is room.
    of_bars = {f"paths-{j}": counts[j] for j in seen}
    has_room = pixels <= 30 and counts.max() < 10
    if has_room or of_bars.keys() & shown.keys():
        expected |= of_bars
    assert differences(shown, expected) == {}, layers


@pytest.mark.parametrize("state", ["convolutions", "windows", "inception"])
def test_outputs_see_what_has_a_gradient(show, state):
    page = show(f"receptive-field.{state}")
    pixels = int(page.shown()["pixels"])
    assert ("weights" in page.shown()) == (state == "windows")
    stacks = STACKS.get(state) or inception_stacks()
    assert [name for name, _ in page.options("网络")] == [*stacks, ""]
    for name, layers in stacks.items():
        outputs = range(num_outputs(layers, pixels))
        page.use("网络", name)
        for output, shown in zip(
            outputs, page.shown_after({"输出元素": i} for i in outputs), strict=True
        ):
            assert shown["output"] == str(output)
            check_field(shown, layers, pixels)


@pytest.mark.parametrize(
    ("state", "padding"), [("windows", 0), ("convolutions", 0), ("inception", 1)]
)
def test_layers_can_be_stacked(show, state, padding):
    page = show(f"receptive-field.{state}")
    pixels = int(page.shown()["pixels"])
    *_, empty = page.shown_after([{REMOVE: None}] * 8)
    check_field(empty, (), pixels)

    added = {ADD3: (3, 1, padding), ADD_POOL: POOL, ADD5: (5, 1, 2 * padding)}
    layers = ()
    for name, layer in added.items():
        layers = (*layers, layer)
        for shown in page.shown_after([{name: None}, {"输出元素": 0}]):
            check_field(shown, layers, pixels)


def test_no_more_than_eight_layers_are_stacked(show):
    page = show("receptive-field.inception")
    *_, before, refused = page.shown_after([{ADD3: None}] * 2)
    assert "r-8" in before
    assert refused.items() < before.items()
    assert page.ask("said") == ["最多叠 8 层。"]


def test_window_that_does_not_fit_is_refused(show):
    page = show("receptive-field.windows")
    layers = (*convs(3, 3, 3), POOL, POOL)
    page.use("网络", "三个 3×3")
    *_, before = page.shown_after([{ADD_POOL: None}] * 2)
    check_field(before, layers, 15)
    with pytest.raises(REFUSALS):
        num_outputs((*layers, (3, 1, 0)), 15)

    [refused] = page.shown_after([{ADD3: None}])
    assert refused.items() < before.items()
    width = num_outputs(layers, 15)
    assert page.ask("said") == [f"3×3 卷积：窗口放不下，宽只剩 {width}。"]


# ---------------------------------------------------------------------- batch norm

KEYS: dict[str, Callable[[float], float]] = {
    "ArrowLeft": lambda x: x - 0.5,
    "ArrowDown": lambda x: x - 0.5,
    "ArrowRight": lambda x: x + 0.5,
    "ArrowUp": lambda x: x + 0.5,
    "Home": lambda x: 0,
    "End": lambda x: 10,
}
MODES = {True: "训练模式", False: "预测模式"}
NUM_SAMPLES = "样本数 n"


class Norm:
    """A layer of batch normalisation of Gluon's, and the samples of the figure.

    Attributes:
        x: All samples; the first n are the batch.
        start: The samples before one is moved.
        trains: Whether the layer is in training mode.
        passes: How often the batch has passed through it, in all and in training mode.
    """

    def __init__(self, page: Page) -> None:
        shown = page.shown()
        self.n = len(read_table(shown, "x"))
        all_shown, _ = page.shown_after([{NUM_SAMPLES: 8}, {NUM_SAMPLES: self.n}])
        self.start = read_table(all_shown, "x")
        self.x = self.start.copy()
        self.trains, self.passes = True, np.zeros(2, int)

        self.layer = nn.BatchNorm(in_channels=1)
        self.layer.initialize()
        moving = [number_of(shown[f"moving-{name}"]) for name in ("mean", "variance")]
        self.layer.running_mean.set_data(nd.array(moving[:1]))
        self.layer.running_var.set_data(nd.array(moving[1:]))
        assert differences(shown, self.expected()) == {}

    def normalized(self, x: np.ndarray) -> np.ndarray:
        """Return the output, and leave the layer as it is."""
        with autograd.train_mode() if self.trains else autograd.predict_mode():
            output = copy.deepcopy(self.layer)(nd.array(x[: self.n, None]))
        return output.asnumpy().ravel()

    def let_pass(self) -> None:
        X = nd.array(self.x[: self.n, None])
        with autograd.record(train_mode=self.trains):
            output = self.layer(X)
        output.backward()
        self.passes += (1, self.trains)

    def expected(self) -> Shown:
        x, now = self.x[: self.n], self.normalized(self.x)
        running = self.layer.running_mean, self.layer.running_var
        moving = [parameter.data().asscalar() for parameter in running]
        moved = abs(now - self.normalized(self.start)) >= 0.005

        expected = table("x", x) | table("normalized", now)
        expected |= {"mean": x.mean(), "variance": x.var()}
        expected |= {"moving-mean": moving[0], "moving-variance": moving[1]}
        expected |= {"passes": self.passes[0], "updates": self.passes[1]}
        expected |= {"moved-inputs": np.sum(x != self.start[: self.n])}
        return expected | {"moved-outputs": np.sum(moved)}

    def next_step(self, rng: np.random.Generator) -> Step:
        """Do what a reader may do next, and return it."""
        kind = rng.integers(8)
        if kind == 0:
            self.n = int(rng.integers(1, 9))
            return {NUM_SAMPLES: self.n}
        if kind == 1:
            self.trains = not self.trains
            return {MODES[self.trains]: None}
        if kind < 4:
            self.let_pass()
            return {"让小批量通过一次": None}
        i, key = rng.integers(self.n), str(rng.choice([*KEYS]))
        self.x[i] = np.clip(KEYS[key](self.x[i]), 0, 10)
        return {f"样本 {i + 1} 的 x": key}


def test_batch_is_normalized_as_gluon_does(show):
    """Three hundred steps of a reader."""
    page = show("batch-norm.training")
    norm = Norm(page)
    rng = np.random.default_rng(1)
    steps, expected = [], []
    for _ in range(300):
        steps.append(norm.next_step(rng))
        expected.append(norm.expected())
    page.check(steps, expected)
    assert norm.passes[0] > norm.passes[1] > 0


# ----------------------------------------------------------------- what is dragged


@pytest.mark.parametrize("by_finger", [False, True])
@pytest.mark.parametrize("trains", [True, False])
def test_sample_can_be_dragged(show, trains, by_finger):
    page = show("batch-norm.training")
    norm = Norm(page)
    norm.trains = trains
    page.use(MODES[trains])
    page.drag("样本 4 的 x", 3 * 15, by_finger)
    norm.x[3] += 3
    expected = norm.expected()
    assert differences(page.shown(), expected) == {}
    moved = expected["moved-inputs"], expected["moved-outputs"]
    assert moved == (1, 4 if trains else 1)


@pytest.mark.parametrize("by_finger", [False, True])
def test_image_can_be_dragged(show, by_finger):
    page = show("pooling.rectangle")
    page.use("向右平移", 1)
    page.drag("image-6", 3 * 30, by_finger)
    assert differences(page.shown(), expected_pooling(4, 6, 2, 2)) == {}
