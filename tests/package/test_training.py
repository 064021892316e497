"""Protects: training computes, prints and returns what the book says it does."""

import re

import mxnet as mx
import numpy as np
import pytest
from jupyter_client.manager import start_new_kernel
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

import d2lutil as gb
from d2lutil.history import History

BATCH_SIZE = 8
EPOCH = re.compile(
    r"epoch (\d+), loss (nan|\d+\.\d{4}), train acc (\d\.\d{3}), "
    r"test acc (\d\.\d{3}), time \d+\.\d sec"
)


def batches(num_examples: int = 20) -> gluon.data.DataLoader:
    """Return separable examples of two classes; the last batch is smaller."""
    rng = np.random.default_rng(0)
    y = np.arange(num_examples) % 2
    X = rng.normal(size=(num_examples, 3)) + 4 * y[:, None]
    dataset = gluon.data.ArrayDataset(X.astype(np.float32), y.astype(np.int32))
    return gluon.data.DataLoader(dataset, BATCH_SIZE)


def new_net(ctx: mx.Context | list[mx.Context] | None = None) -> nn.Sequential:
    mx.random.seed(0)
    net = nn.Sequential()
    net.add(nn.Dense(4, activation="relu"), nn.Dense(2))
    net.initialize(init.Xavier(), ctx=ctx)
    return net


def new_trainer(net: nn.Sequential, lr: float = 0.1) -> gluon.Trainer:
    return gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": lr})


def train_ch5(net: nn.Sequential, num_epochs: int = 2, lr: float = 0.1) -> History:
    trainer = new_trainer(net, lr)
    return gb.train_ch5(
        net, batches(), batches(), BATCH_SIZE, trainer, mx.cpu(), num_epochs
    )


def parameters(net: nn.Sequential) -> list[np.ndarray]:
    return [p.list_data()[0].asnumpy() for p in net.collect_params().values()]


# What is computed.


def test_train_ch5_does_the_steps_of_the_book():
    expected = new_net()
    trainer = new_trainer(expected)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    loss_sums, num_correct, updates = [], [], []
    for _ in range(2):
        loss_sums.append(0)
        num_correct.append(0)
        for X, y in batches():
            with autograd.record():
                y_hat = expected(X)
                batch_loss = loss(y_hat, y).sum()
            batch_loss.backward()
            trainer.step(BATCH_SIZE)
            loss_sums[-1] += batch_loss.asscalar()
            updates.append(batch_loss.asscalar() / len(y))
            num_correct[-1] += (y_hat.asnumpy().argmax(axis=1) == y.asnumpy()).sum()
    net = new_net()
    history = train_ch5(net)
    for ours, theirs in zip(parameters(net), parameters(expected), strict=True):
        assert np.array_equal(ours, theirs)
    assert history.loss == pytest.approx(np.divide(loss_sums, 20))
    assert history.train_acc == pytest.approx(np.divide(num_correct, 20))
    assert history.test_acc[-1] == gb.evaluate_accuracy(batches(), expected)
    assert len(history.test_acc) == len(history.seconds) == 2
    assert history.updates == pytest.approx(updates)
    assert history.num_classes == 2


def test_only_cross_entropy_has_the_loss_of_guessing():
    net = new_net()
    trainer = new_trainer(net)

    def loss(y_hat, y):
        return (y_hat[:, 0] - y.astype("float32")) ** 2

    history = gb.train(batches(), batches(), net, loss, trainer, mx.cpu(), 1)
    assert history.num_classes is None
    assert len(history.updates) == len(batches())


def test_train_on_two_devices_gives_the_parameters_of_one():
    results = []
    for ctx in (mx.cpu(0), [mx.cpu(0), mx.cpu(1)]):
        net = new_net(ctx)
        loss = gluon.loss.SoftmaxCrossEntropyLoss()
        history = gb.train(batches(), batches(), net, loss, new_trainer(net), ctx, 2)
        results.append([history.loss, history.test_acc, *parameters(net)])
    for one, two in zip(*results, strict=True):
        assert np.allclose(one, two, atol=1e-6)


def test_training_learns():
    history = train_ch5(new_net(), num_epochs=10)
    assert history.loss[-1] < history.loss[0] / 2
    assert history.test_acc[-1] == 1


# evaluate_accuracy.


class FirstClass(nn.Block):
    """Says class 0 for every example."""

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        return nd.array([[1, 0]], ctx=X.ctx).broadcast_to((len(X), 2))


@pytest.mark.parametrize("ctx", [mx.cpu(), [mx.cpu()], [mx.cpu(0), mx.cpu(1)]])
def test_accuracy_is_the_share_of_right_answers(ctx):
    data = [(nd.zeros((3, 1)), nd.array([0, 1, 1], dtype=np.int32))] * 2
    accuracy = gb.evaluate_accuracy(data, FirstClass(), ctx)
    assert type(accuracy) is float
    assert accuracy == pytest.approx(1 / 3)


def test_accuracy_without_a_device_is_measured_on_the_cpu():
    data = [(nd.zeros((2, 1)), nd.array([0, 0]))]
    assert gb.evaluate_accuracy(data, FirstClass()) == 1.0


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float64"])
def test_accuracy_does_not_depend_on_the_type_of_the_features(dtype):
    data = [(nd.zeros((3, 1), dtype=dtype), nd.array([0, 1, 0]))]
    assert gb.evaluate_accuracy(data, FirstClass()) == pytest.approx(2 / 3)


def test_examples_with_several_labels_count_by_their_share():
    net = nn.Conv2D(2, kernel_size=1)
    net.initialize(init.Zero())
    # It says class 0 everywhere, which is right in 2 of 3 places.
    data = [(nd.ones((2, 1, 1, 3)), nd.array([[[0, 0, 1]], [[1, 0, 0]]]))]
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0})
    loss = gluon.loss.SoftmaxCrossEntropyLoss(axis=1)
    history = gb.train(data, data, net, loss, trainer, mx.cpu(), num_epochs=1)
    assert history.train_acc == history.test_acc == [pytest.approx(2 / 3)]


def test_batch_smaller_than_the_number_of_devices_is_an_error():
    data = [(nd.zeros((1, 1)), nd.zeros(1))]
    with pytest.raises(ValueError, match=r"batch of 1 .* 2 devices; choose"):
        gb.evaluate_accuracy(data, FirstClass(), [mx.cpu(0), mx.cpu(1)])


# What is printed.


def test_lines_are_those_of_the_book(capsys):
    history = train_ch5(new_net())
    first, *epochs = capsys.readouterr().out.splitlines()
    assert first == "training on cpu(0)"
    assert len(epochs) == 2
    for i, line in enumerate(epochs):
        match = EPOCH.fullmatch(line)
        assert match, line
        assert match.groups() == (
            str(i + 1),
            f"{history.loss[i]:.4f}",
            f"{history.train_acc[i]:.3f}",
            f"{history.test_acc[i]:.3f}",
        )


def test_train_names_its_devices(capsys):
    ctx = [mx.cpu(0), mx.cpu(1)]
    net = new_net(ctx)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    gb.train(batches(), batches(), net, loss, new_trainer(net), ctx, 1)
    first, epoch = capsys.readouterr().out.splitlines()
    assert first == "training on [cpu(0), cpu(1)]"
    assert EPOCH.fullmatch(epoch)


def test_no_progress_bar_in_a_log(capsys):
    train_ch5(new_net())
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("hidden", [False, True], ids=["in the loss", "by the layers"])
def test_numbers_that_are_not_finite_are_reported_once(capsys, hidden):
    net = new_net()
    net(nd.zeros((1, 3)))
    # relu turns NaN into 0, so that the loss stays finite.
    weight = (net[0] if hidden else net[1]).weight
    weight.set_data(weight.data() * np.nan)
    train_ch5(net, lr=0.5)
    lines = capsys.readouterr().out.splitlines()
    assert [bool(EPOCH.fullmatch(line)) for line in lines] == [False, True, False, True]
    assert "no longer a finite number" in lines[2]
    assert "smaller learning rate than 0.5" in lines[2]


class WithUnusedLayer(nn.Block):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Dense(2), nn.Dense(2)

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        return self.used(X)


def test_layer_that_never_runs_has_no_numbers_to_report(capsys):
    net = WithUnusedLayer()
    net.initialize()
    trainer = new_trainer(net.used)
    gb.train_ch5(net, batches(), batches(), BATCH_SIZE, trainer, mx.cpu(), 1)
    assert "no longer a finite number" not in capsys.readouterr().out


def test_finite_numbers_are_not_reported(capsys):
    train_ch5(new_net())
    assert "finite" not in capsys.readouterr().out


# In a notebook.


@pytest.fixture
def kernel():
    manager, client = start_new_kernel()
    yield manager, client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def messages_until_idle(client) -> list[dict]:
    """Return what the kernel has shown and not yet been asked for."""
    contents = []
    while not contents or contents[-1].get("execution_state") != "idle":
        contents.append(client.get_iopub_msg(timeout=10)["content"])
    return contents


SET_UP = """
import os, sys
os.environ["TQDM_MININTERVAL"] = "0"
sys.path.insert(0, "tests/package")
from test_training import *
net = new_net()
"""


def test_notebook_shows_the_curve_and_an_empty_progress_bar(kernel):
    _, client = kernel
    client.execute_interactive(SET_UP, output_hook=lambda _: None)
    seen = []
    reply = client.execute_interactive("train_ch5(net)", output_hook=seen.append)
    assert reply["content"]["status"] == "ok"
    kinds = [message["msg_type"] for message in seen]
    bar = [
        message["content"]["data"]["text/html"]
        for message in seen
        if message["msg_type"] in ("display_data", "update_display_data")
    ]
    assert kinds.count("display_data") == 1
    # The finished line stands above the bar, until both become text.
    assert any(re.search(r"epoch 1, loss .*\nepoch 2/2: .*loss=", h) for h in bar)
    assert bar[0] == bar[-1] == ""
    text = "".join(m["content"]["text"] for m in seen if m["msg_type"] == "stream")
    assert [line[:7] for line in text.splitlines()] == ["trainin", "epoch 1", "epoch 2"]
    curve = seen[kinds.index("execute_result")]["content"]["data"]
    assert curve["text/plain"] == "History(num_epochs=2)"
    assert "image/png" in curve
    assert not any(message["content"].get("name") == "stderr" for message in seen)


def test_interrupted_training_stops_and_the_network_stays_usable(kernel):
    manager, client = kernel
    client.execute_interactive(SET_UP, output_hook=lambda _: None)
    # After an error the kernel would drop the requests that reach it at once.
    client.execute("train_ch5(net, num_epochs=1_000_000)", stop_on_error=False)
    while "epoch 2, loss" not in str(client.get_iopub_msg(timeout=60)["content"]):
        pass
    manager.interrupt_kernel()
    reply = client.get_shell_msg(timeout=10)["content"]
    assert (reply["status"], reply["ename"]) == ("error", "TrainingInterrupted")
    assert re.fullmatch(
        r"Interrupted in epoch \d+; the network keeps what it has learned\.",
        "\n".join(reply["traceback"]),
    )
    shown = messages_until_idle(client)
    assert any("image/png" in content.get("data", {}) for content in shown)
    text = "".join(content.get("text", "") for content in shown)
    assert text.startswith("epoch 1, loss")
    reply = client.execute_interactive("train_ch5(net)", output_hook=lambda _: None)
    assert reply["content"]["status"] == "ok", reply["content"]
