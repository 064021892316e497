"""Protects: code written for gluonbook prints and learns the same with d2lutil.

Each piece runs with both packages and the same seeds. Where gluonbook is wrong, or says
nothing, d2lutil differs on purpose; that is in test_mistakes.py.
"""

import inspect
import re
from collections.abc import Callable
from types import ModuleType

import d2lutil as gb  # before gluonbook, which loads MXNet

# isort: split
import gluonbook
import matplotlib
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

CPU = mx.cpu()
TIME = re.compile(r"time \d+\.\d+ sec")


@pytest.fixture(autouse=True)
def no_window(monkeypatch) -> None:
    matplotlib.use("agg")
    # gluonbook draws SVG with a function that IPython no longer has.
    monkeypatch.setattr(gluonbook.utils, "use_svg_display", lambda: None)


def batches(dtype: str = "float32", sizes=(8, 8, 5)) -> list:
    rng = np.random.default_rng(0)
    result = []
    for size in sizes:
        y = rng.integers(0, 10, size)
        X = rng.uniform(0, 9, (size, 1, 12, 12)) + y[:, None, None, None]
        result.append((nd.array(X, dtype=dtype), nd.array(y, dtype="int32")))
    return result


def new_net(ctx=CPU) -> nn.Sequential:
    net = nn.Sequential()
    net.add(nn.Conv2D(4, 3, activation="relu"), nn.Dropout(0.5), nn.Dense(10))
    net.initialize(init.Xavier(), ctx=ctx)
    return net


def new_trainer(net: nn.Block) -> gluon.Trainer:
    return gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05})


def parameters(net: nn.Block) -> list:
    return [p.list_data()[0].asnumpy() for p in net.collect_params().values()]


def train_ch5(book: ModuleType) -> object:
    net = new_net()
    book.train_ch5(net, batches(), batches(), 8, new_trainer(net), CPU, 2)
    return parameters(net)


def train_a_function(book: ModuleType) -> object:
    net = new_net()
    data = batches()
    book.train_ch5(lambda X: net(X / 255), data, data, 8, new_trainer(net), CPU, 2)
    return parameters(net)


def train(book: ModuleType, loss: Callable) -> object:
    net = new_net()
    book.train(batches(), batches(), net, loss, new_trainer(net), CPU, 2)
    return parameters(net)


def train_on_two_devices(book: ModuleType) -> object:
    ctx = [mx.cpu(0), mx.cpu(1)]
    net = new_net(ctx)
    # gluonbook splits a batch into parts of equal size only.
    data = batches(sizes=(8, 8, 4))
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    book.train(data, data, net, loss, new_trainer(net), ctx, 2)
    return parameters(net)


def cross_entropy(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
    return -nd.pick(nd.log_softmax(y_hat), y)


def train_ch3_from_scratch(book: ModuleType) -> object:
    W, b = nd.random.normal(scale=0.01, shape=(144, 10)), nd.zeros(10)
    for parameter in (W, b):
        parameter.attach_grad()

    def net(X: nd.NDArray) -> nd.NDArray:
        return nd.dot(X.reshape((-1, 144)), W) + b

    data = batches()
    book.train_ch3(net, data, data, cross_entropy, 3, 8, [W, b], 0.01)
    return [W.asnumpy(), b.asnumpy()]


def train_ch3_with_a_trainer(book: ModuleType) -> object:
    net = new_net()
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    book.train_ch3(net, batches(), batches(), loss, 2, 8, None, None, new_trainer(net))
    return parameters(net)


def linear_regression(book: ModuleType) -> object:
    X, y = nd.random.normal(shape=(16, 2)), nd.random.normal(shape=16)
    w, b = nd.zeros((2, 1)), nd.zeros(1)
    for parameter in (w, b):
        parameter.attach_grad()
    for _ in range(3):
        with autograd.record():
            loss = book.squared_loss(book.linreg(X, w, b), y)
        loss.backward()
        book.sgd([w, b], 0.1, 16)
    return [w.asnumpy(), b.asnumpy(), loss.asnumpy()]


def linear_regression_in_a_loop(book: ModuleType) -> object:
    X, y = nd.random.normal(shape=(16, 2)), nd.random.normal(shape=16)
    w, b = nd.zeros((2, 1)), nd.zeros(1)
    for parameter in (w, b):
        parameter.attach_grad()
    data = [(X[:8], y[:8]), (X[8:], y[8:])]
    book.train_ch3(
        lambda X: book.linreg(X, w, b), data, data, book.squared_loss, 2, 8, [w, b], 0.1
    )
    return [w.asnumpy(), b.asnumpy()]


def whole_numbers(book: ModuleType) -> object:
    """Use labels as indices, which gluonbook leaves as they are."""
    net = new_net()

    def loss(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
        return -(nd.log_softmax(y_hat) * nd.array(np.eye(10)[y.asnumpy()])).sum(axis=1)

    book.train_ch3(net, batches(), batches(), loss, 1, 8, None, None, new_trainer(net))
    return parameters(net)


def mean_in_ch3(book: ModuleType) -> object:
    net = new_net()

    def loss(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
        return cross_entropy(y_hat, y).mean()

    book.train_ch3(net, batches(), batches(), loss, 1, 8, None, None, new_trainer(net))
    return parameters(net)


def curves(book: ModuleType) -> object:
    book.plt.close("all")
    book.semilogy(range(1, 4), [3, 2, 1], "epoch", "loss", range(1, 4), [4, 3, 2],
                  ["train", "test"])  # fmt: skip
    [axes] = book.plt.gcf().axes
    figure_size = list(book.plt.gcf().get_size_inches())
    lines = [(list(line.get_ydata()), line.get_linestyle()) for line in axes.lines]
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    labels = axes.get_xlabel(), axes.get_ylabel(), axes.get_yscale()
    return str((lines, texts, labels, figure_size))


def accuracies(book: ModuleType) -> object:
    net = new_net()
    return [book.evaluate_accuracy(batches(), net, ctx) for ctx in (CPU, [CPU])]


def accuracy_of_uint8(book: ModuleType) -> object:
    """Return the accuracy for labels beyond what uint8 can hold."""
    data = [(nd.zeros((2, 3), dtype="uint8"), nd.array([300, 300]))]

    def net(X: nd.NDArray) -> nd.NDArray:
        return nd.one_hot(nd.array([300, 300]), 400)

    trainer = type("Trainer", (), {"step": lambda self, batch_size: None})()
    W = nd.zeros(1)
    W.attach_grad()
    book.train_ch5(lambda X: net(X) * (1 + W), data, data, 2, trainer, CPU, 1)
    return None


PIECES = {
    "train_ch5": train_ch5,
    "train_ch5 with a function": train_a_function,
    "train": lambda book: train(book, gluon.loss.SoftmaxCrossEntropyLoss()),
    "train with a mean": lambda book: train(
        book, lambda y_hat, y: cross_entropy(y_hat, y).mean()
    ),
    "train with a loss per element": lambda book: train(
        book, lambda y_hat, y: (y_hat - nd.one_hot(y, 10)) ** 2
    ),
    "train on two devices": train_on_two_devices,
    "train_ch3 from scratch": train_ch3_from_scratch,
    "train_ch3 with a trainer": train_ch3_with_a_trainer,
    "train_ch3 with labels as indices": whole_numbers,
    "train_ch3 with a mean": mean_in_ch3,
    "linear regression": linear_regression,
    "linear regression with train_ch3": linear_regression_in_a_loop,
    "semilogy": curves,
    "evaluate_accuracy": accuracies,
}


@pytest.mark.parametrize("name", PIECES)
def test_piece_gives_the_same(name, capsys):
    results = []
    for book in (gluonbook, gb):
        mx.random.seed(1)
        np.random.seed(1)
        result = PIECES[name](book)
        results.append((result, TIME.sub("time", capsys.readouterr().out)))
    (theirs, their_text), (ours, our_text) = results
    assert our_text == their_text
    assert type(ours) is type(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a, b)


def test_labels_above_255_count_beside_images_of_uint8(capsys):
    accuracy_of_uint8(gb)
    assert "train acc 1.000, test acc 1.000" in capsys.readouterr().out


def test_height_and_width_may_differ():
    train_iter, _ = gb.load_data_fashion_mnist(4, resize=(32, 40))
    X, _ = next(iter(train_iter))
    # gluonbook hands (width, height) to gluon's Resize.
    assert X.shape == (4, 1, 40, 32)


@pytest.mark.parametrize(
    "name", [name for name in gb.__all__ if hasattr(gluonbook, name) and name != "plt"]
)
def test_arguments_have_the_names_order_and_defaults_of_gluonbook(name):
    ours, theirs = (
        inspect.signature(getattr(book, name)).parameters.values()
        for book in (gb, gluonbook)
    )
    assert [(p.name, p.default) for p in ours] == [(p.name, p.default) for p in theirs]


def test_every_name_of_gluonbook_is_here_or_belongs_to_a_chapter():
    others = {
        "collections",
        "math",
        "os",
        "random",
        "sys",
        "tarfile",
        "time",
        "zipfile",
    }
    for name in vars(gluonbook.utils).keys() - others:
        value = getattr(gluonbook.utils, name)
        is_own = getattr(value, "__module__", None) == "gluonbook.utils"
        if name.startswith("_") or not (is_own or name.isupper() or name == "plt"):
            continue
        if name not in gb.__all__:
            with pytest.raises(AttributeError, match="belongs to gluonbook's chapter"):
                getattr(gb, name)
