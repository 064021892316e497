"""Protects: a learner's mistake gets one sentence that names the layer or the argument.

The table holds typical mistakes, and what the sentence has to say.
"""

import contextlib
import os

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

import d2lutil as gb
from d2lutil.checks import MistakeError

CPU = mx.cpu()
BATCH_SIZE = 4


def data(labels=(0, 1, 2, 9), edge: int = 28, num_channels: int = 1) -> list:
    """Return one batch of images."""
    X = nd.random.uniform(shape=(len(labels), num_channels, edge, edge))
    return [(X, nd.array(labels))]


def lenet(num_outputs: int = 10, activation: str = "sigmoid") -> nn.Sequential:
    net = nn.Sequential()
    net.add(
        nn.Conv2D(6, kernel_size=5, activation=activation),
        nn.MaxPool2D(pool_size=2, strides=2),
        nn.Dense(num_outputs),
    )
    return net


def initialized(net: nn.Block) -> nn.Block:
    net.initialize(init.Xavier())
    return net


def fit(net=None, train_iter=None, test_iter=None, **other) -> None:
    """Call train_ch5 with what is right but for the arguments given."""
    net = initialized(lenet()) if net is None else net
    arguments = {
        "net": net,
        "train_iter": data() if train_iter is None else train_iter,
        "test_iter": data() if test_iter is None else test_iter,
        "batch_size": BATCH_SIZE,
        "trainer": None if "trainer" in other else trainer_of(net),
        "ctx": CPU,
        "num_epochs": 1,
    }
    gb.train_ch5(**arguments | other)


def trainer_of(net: object) -> gluon.Trainer:
    block = net if isinstance(net, nn.Block) else initialized(lenet())
    return gluon.Trainer(block.collect_params(), "sgd", {"learning_rate": 0.1})


class OnlyStep:
    def step(self, batch_size):
        pass


def seen(net: nn.Block, edge: int) -> nn.Block:
    """Return a network that has seen images of a size."""
    initialized(net)(nd.zeros((1, 1, edge, edge)))
    return net


def hybridized() -> nn.Block:
    net = nn.HybridSequential()
    net.add(nn.Conv2D(6, kernel_size=5), nn.Dense(10))
    net.hybridize()
    return initialized(net)


def seen_dense() -> nn.Block:
    net = initialized(nn.Dense(2, flatten=False))
    net(nd.ones((4, 3, 4)))
    return net


def pretend_first(label: float) -> list:
    return data(labels=(label, 1, 2, 3))


def reshaped(*shape: int) -> list:
    [(X, y)] = data()
    return [(X, y.reshape(shape))]


def not_finite() -> list:
    [(X, y)] = data()
    X[0, 0, 3, 3] = np.nan
    return [(X, y)]


def shuffled(shuffle: bool) -> gluon.data.DataLoader:
    dataset = gluon.data.ArrayDataset(nd.ones((8, 1, 28, 28)), nd.zeros(8))
    return gluon.data.DataLoader(dataset, BATCH_SIZE, shuffle=shuffle)


def book_loader(shuffle: bool) -> gb.BatchLoader:
    images = np.zeros((8, 28, 28, 1), np.uint8)
    return gb.BatchLoader(images, np.zeros(8, int), BATCH_SIZE, shuffle=shuffle)


def used_up() -> object:
    batches = iter(data())
    list(batches)
    return batches


def residual() -> nn.Block:
    return initialized(gb.Residual(3))  # 3 channels do not fit those of its input.


def evaluate(net=None, data_iter=None) -> None:
    net = initialized(lenet()) if net is None else net
    gb.evaluate_accuracy(data() if data_iter is None else data_iter, net)


def train_ch3(**changed) -> None:
    net = initialized(nn.Dense(10))
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    arguments = dict(
        net=net, train_iter=data(), test_iter=data(), loss=loss, num_epochs=1,
        batch_size=BATCH_SIZE, trainer=trainer_of(net),
    )  # fmt: skip
    gb.train_ch3(**arguments | changed)


def train(**changed) -> None:
    net = initialized(lenet())
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    arguments = dict(
        train_iter=data(), test_iter=data(), net=net, loss=loss,
        trainer=trainer_of(net), ctx=CPU, num_epochs=1,
    )  # fmt: skip
    gb.train(**arguments | changed)


# Shapes, with a layer's name.
NINE_OUTPUTS = r"label is 9, but the network has 9 outputs, for the labels 0 to 8"
MISTAKES = {
    "kernel larger than image": (
        lambda: fit(train_iter=data(edge=4)),
        r"net\[0\], a Conv2D, .* \(4, 1, 4, 4\): its window \(5, 5\) is larger",
    ),
    "pooling larger than image": (
        lambda: fit(train_iter=data(edge=5)),
        r"net\[1\], a MaxPool2D, .* \(4, 6, 1, 1\): its window \(2, 2\) is larger",
    ),
    "other size than the network has seen": (
        lambda: fit(seen(lenet(), 32)),
        r"net\[2\], a Dense, .*: it has 1176 weights for each output, and gets 864",
    ),
    "other channels than the network has seen": (
        lambda: fit(seen(lenet(), 28), data(num_channels=3)),
        r"net\[0\], a Conv2D, .*: it has weights for 1 channels, and gets 3",
    ),
    "flat images": (
        lambda: fit(train_iter=[(nd.ones((4, 784)), nd.zeros(4))]),
        r"net\[0\], a Conv2D, .* \(4, 784\): it needs \(batch, channels, height, wid",
    ),
    "channels of a sum": (
        lambda: fit(residual(), data(num_channels=2)),
        r"net, a Residual, fails for an input of the shape \(4, 2, 28, 28\)",
    ),
    "misspelt activation": (
        lambda: fit(initialized(lenet(activation="rleu"))),
        r"net\[0\].*, an? \w+, .*'rleu'.*relu",
    ),
    "not initialised": (
        lambda: fit(lenet(), trainer=OnlyStep()),
        r"net\[0\], a Conv2D, is not initialised; call net\.initialize",
    ),
    "not initialised, evaluated": (
        lambda: evaluate(lenet()),
        r"net\[0\], a Conv2D, is not initialised",
    ),
    "one layer added later": (
        lambda: fit(with_new_layer(), trainer=OnlyStep()),
        r"net\[3\], a Dense, is not initialised",
    ),
    "evaluated at another size": (
        lambda: evaluate(seen(lenet(), 32)),
        r"net\[2\], a Dense, .* 1176 weights",
    ),
    "hybridized": (
        lambda: fit(hybridized(), data(edge=4)),
        r"net\[0\], a Conv2D, .* its window \(5, 5\) is larger",
    ),
    "whole numbers": (
        lambda: evaluate(
            seen(lenet(), 28), [(nd.ones((4, 1, 28, 28), dtype="int32"), nd.zeros(4))]
        ),
        r"net\[0\], a Conv2D, .* its numbers are float32, those of the input int32",
    ),
    "dense layer on the last axis": (
        lambda: evaluate(seen_dense(), [(nd.ones((4, 3, 6)), nd.zeros((4, 3)))]),
        r"net, a Dense, .* it has 4 weights for each output, and gets 6 numbers",
    ),
    "network of two outputs": (
        lambda: fit(lambda X: (X, X), trainer=OnlyStep()),
        r"The network returns .* tuple; it has to return one array",
    ),
    # Labels.
    "nine outputs": (lambda: fit(initialized(lenet(9))), NINE_OUTPUTS),
    "nine outputs, train": (
        lambda: train(net=initialized(lenet(9))),
        NINE_OUTPUTS,
    ),
    "nine outputs, train_ch3": (
        lambda: train_ch3(net=initialized(nn.Dense(9))),
        NINE_OUTPUTS,
    ),
    "nine outputs, evaluated": (
        lambda: evaluate(initialized(lenet(9))),
        NINE_OUTPUTS,
    ),
    "label -1": (
        lambda: fit(train_iter=pretend_first(-1)),
        r"A label is -1; .* 0 to 9",
    ),
    "label 2.5": (lambda: fit(train_iter=pretend_first(2.5)), r"A label is 2\.5; "),
    "label NaN": (lambda: fit(train_iter=pretend_first(np.nan)), r"A label is nan; "),
    "label 1e9": (
        lambda: fit(train_iter=pretend_first(1e9)),
        r"A label is 1e\+09, but",
    ),
    "test label -1": (lambda: fit(test_iter=pretend_first(-1)), r"A label is -1; "),
    "labels in a column": (
        lambda: fit(train_iter=reshaped(4, 1)),
        r"labels have the shape \(4, 1\); .* has to be \(4,\): labels\.reshape",
    ),
    "labels in a column, evaluated": (
        lambda: evaluate(data_iter=reshaped(4, 1)),
        r"labels have the shape \(4, 1\)",
    ),
    "fewer labels than images": (
        lambda: fit(train_iter=[(nd.ones((4, 1, 28, 28)), nd.zeros(3))]),
        r"4 examples and 3 labels",
    ),
    # Data.
    "images with NaN": (
        lambda: fit(train_iter=not_finite()),
        r"features .* not finite",
    ),
    "arrays of NumPy": (
        lambda: fit(train_iter=[(np.ones((4, 1, 28, 28)), np.zeros(4))]),
        r"features of a batch are .*; they have to be an NDArray",
    ),
    "empty training data": (lambda: fit(train_iter=[]), r"train_iter gave no batch"),
    "empty test data": (lambda: fit(test_iter=[]), r"test_iter gave no batch"),
    "used-up generator": (
        lambda: fit(test_iter=used_up()),
        r"test_iter gave no batch: .* a generator that was used up",
    ),
    "empty data, evaluated": (
        lambda: evaluate(data_iter=[]),
        r"data_iter gave no batch",
    ),
    # Arguments.
    "order of train for train_ch5": (
        lambda: gb.train_ch5(data(), data(), lenet(), BATCH_SIZE, None, CPU, 1),
        r"net is .* list; it has to be a network.* train_ch5\(net, train_iter, ",
    ),
    "order of train_ch5 for train": (
        lambda: gb.train(lenet(), data(), data(), BATCH_SIZE, None, CPU, 1),
        r"train_iter is .* Sequential; .* order is train\(train_iter, test_iter, ",
    ),
    "epochs and device exchanged": (
        lambda: fit(ctx=5, num_epochs=CPU),
        r"ctx is 5; it has to be a device",
    ),
    "learning rate for trainer": (
        lambda: fit(trainer=0.1),
        r"trainer is 0\.1; it has to be a gluon\.Trainer",
    ),
    "loader function for its data": (
        lambda: fit(train_iter=gb.load_data_fashion_mnist),
        r"train_iter is .*; it has to be batches",
    ),
    "batch size 0": (lambda: fit(batch_size=0), r"batch_size is 0"),
    "half an epoch": (lambda: fit(num_epochs=0.5), r"num_epochs is 0\.5"),
    "epochs as a float": (lambda: fit(num_epochs=3.0), r"num_epochs is 3\.0"),
    "no learning rate": (
        lambda: train_ch3(trainer=None, params=[]),
        r"train_ch3 needs a trainer, or params and lr",
    ),
}


def with_new_layer() -> nn.Sequential:
    net = seen(lenet(), 28)
    net.add(nn.Dense(10))
    return net


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_told_in_one_sentence(name):
    make, sentence = MISTAKES[name]
    with pytest.raises(MistakeError, match=sentence) as caught:
        make()
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".") and len(message) < 400


def test_there_are_thirty_mistakes():
    assert len(MISTAKES) >= 30


@pytest.fixture
def lowered():
    gb.lesson(pixels=72)
    yield
    gb.lesson()


@pytest.mark.parametrize("scale", ["lesson", "smoke"])
def test_sentence_names_the_lesson_where_it_may_be_the_cause(
    monkeypatch, lowered, scale
):
    monkeypatch.setenv("D2LUTIL_SCALE", scale)
    sentence = rf"pixels=72\) .* 72 pixels .* scale {scale}"
    with pytest.raises(MistakeError, match=sentence):
        fit(seen(lenet(), 224), data(edge=72))

    monkeypatch.setenv("D2LUTIL_SCALE", "full")
    with pytest.raises(MistakeError) as caught:
        fit(seen(lenet(), 224), data(edge=72))
    assert "scale" not in str(caught.value)


# What is no mistake.


class Broken(nn.Block):
    def forward(self, X):
        return X.no_such_method()


def test_error_in_the_readers_own_code_stays():
    net = Broken()
    with pytest.raises(AttributeError, match="no_such_method"):
        fit(net, trainer=OnlyStep())


class WithTypo(nn.HybridBlock):
    def __init__(self):
        super().__init__()
        self.dense = nn.Dense(2)

    def hybrid_forward(self, F, X):
        return self.dense(X) + oops  # noqa: F821


def test_error_in_the_readers_hybrid_forward_stays():
    with pytest.raises(Exception, match="oops") as caught:
        evaluate(initialized(WithTypo()))
    assert not isinstance(caught.value, MistakeError)


@pytest.mark.parametrize("loader", [book_loader, shuffled])
def test_data_that_look_exchanged_are_told_once(capsys, loader):
    fit(train_iter=loader(False), test_iter=loader(True))
    assert capsys.readouterr().out.count("train_iter and test_iter look exchanged") == 1
    fit(train_iter=loader(True), test_iter=loader(False))
    assert "exchanged" not in capsys.readouterr().out


class OnlyItems:
    """Batches by number, as old loaders have them."""

    def __len__(self):
        """Return the number of batches."""
        return 1

    def __getitem__(self, i):
        """Return a batch."""
        return data()[i]


def test_batches_need_no_iterator():
    fit(train_iter=OnlyItems(), test_iter=OnlyItems())


def logistic(y_hat: nd.NDArray, y: nd.NDArray) -> nd.NDArray:
    return gluon.loss.SigmoidBCELoss()(y_hat, y)


@pytest.mark.parametrize(
    ("loss", "labels", "num_outputs"),
    [
        (logistic, [0, 1, 1, 0], 1),
        (lambda y_hat, y: nd.relu(1 - y_hat * y.reshape((-1, 1))), [-1, 1, 1, -1], 1),
        (gb.squared_loss, [1.3, 0.2, -2.5, 7.1], 1),
        (gluon.loss.L2Loss(), [[1.3], [0.2], [-2.5], [7.1]], 1),
        (
            gluon.loss.SoftmaxCrossEntropyLoss(sparse_label=False),
            [[1, 0, 0], [0, 0, 1], [0, 1, 0], [0.5, 0.5, 0]],
            3,
        ),
    ],
)
def test_labels_of_other_losses_may_be_any_numbers(loss, labels, num_outputs):
    net = initialized(nn.Dense(num_outputs))
    batches = [(nd.ones((4, 2)), nd.array(labels))]
    history = gb.train(batches, batches, net, loss, trainer_of(net), CPU, 1)
    assert 0 <= history.train_acc[0] <= 1


def test_function_may_stand_for_a_network():
    net = initialized(lenet())
    fit(lambda X: net(X / 255), trainer=trainer_of(net))


def test_trainer_needs_only_a_step(capsys):
    net = seen(lenet(), 28)
    net[2].weight.set_data(net[2].weight.data() * np.nan)
    fit(net, trainer=OnlyStep())
    assert "no longer a finite number" in capsys.readouterr().out


def test_loss_of_gluon_may_take_other_labels():
    net = initialized(nn.Dense(1))
    batches = [(nd.ones((4, 2)), nd.array([-1, 2.5, 3, 0]))]
    loss = gluon.loss.L2Loss()
    gb.train(batches, batches, net, loss, trainer_of(net), CPU, 1)


def test_checks_draw_no_random_number_and_no_batch():
    drawn = []

    class Counting(list):
        def __iter__(self):
            drawn.append(1)
            return super().__iter__()

    mx.random.seed(1)
    np.random.seed(1)
    net = seen(lenet(), 28)
    expected = nd.random.uniform().asscalar(), np.random.uniform()
    mx.random.seed(1)
    np.random.seed(1)
    net = seen(lenet(), 28)
    fit(net, train_iter=Counting(data_without_random_numbers()), test_iter=CONSTANT)
    assert (nd.random.uniform().asscalar(), np.random.uniform()) == expected
    assert len(drawn) == 1


def data_without_random_numbers() -> list:
    return [(nd.ones((4, 1, 28, 28)), nd.array([0, 1, 2, 9]))]


CONSTANT = data_without_random_numbers()


def test_failed_network_is_left_as_it_was():
    net = seen(lenet(), 32)
    with contextlib.suppress(MistakeError):
        fit(net)
    assert not net[0]._forward_hooks and not net[0]._forward_pre_hooks
    assert not autograd.is_recording()
    net(nd.ones((1, 1, 32, 32)))


# In a notebook.


def test_notebook_shows_at_most_twelve_lines():
    from nbclient import NotebookClient
    from nbformat.v4 import new_code_cell, new_notebook

    code = (
        "import d2lutil as gb\nfrom mxnet import nd\nfrom mxnet.gluon import nn\n"
        "gb.evaluate_accuracy([(nd.ones((2, 3)), nd.zeros(2))], nn.Dense(2))"
    )
    trace = "import traceback; traceback.print_last()"
    notebook = new_notebook(cells=[new_code_cell(code), new_code_cell(trace)])
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    NotebookClient(notebook, allow_errors=True).execute(env=env)
    [error] = notebook.cells[0].outputs
    assert "net, a Dense, is not initialised" in error.evalue
    shown = "\n".join(error.traceback).splitlines()
    assert len(shown) <= 12
    assert any(trace in line for line in shown)
    assert "in evaluate_accuracy" in "".join(o.text for o in notebook.cells[1].outputs)
