"""Train a network and measure its accuracy.

`_train` is the loop that the section on LeNet writes out, with what a reader should not
have to write: several devices, a progress bar, errors that say what was wrong, and
`D2LUTIL_CHECKPOINT=<folder>`, which lets a training be stopped and started again (see
`engine/checkpoint.py`).
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import mxnet as mx
import numpy as np
from IPython import get_ipython
from IPython.display import display
from mxnet import autograd, gluon, nd
from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

from d2lutil import checks
from d2lutil.basics import sgd
from d2lutil.engine.checkpoint import open_checkpoint
from d2lutil.engine.static_graph import compiled_if_asked
from d2lutil.history import History
from d2lutil.progress import Progress

Batches: TypeAlias = Iterable[tuple[nd.NDArray, nd.NDArray]]
Contexts: TypeAlias = mx.Context | Sequence[mx.Context]
Network: TypeAlias = Callable[[nd.NDArray], nd.NDArray]
Loss: TypeAlias = Callable[[nd.NDArray, nd.NDArray], nd.NDArray]

# Features and labels for each device.
Batch: TypeAlias = Sequence[tuple[nd.NDArray, nd.NDArray]]

NOT_FINITE = (
    "The loss or a parameter is no longer a finite number; train a newly initialised "
    "network with a smaller learning rate"
)


def evaluate_accuracy(
    data_iter: Batches,
    net: Network,
    ctx: Contexts = [mx.cpu()],  # noqa: B006, B008
) -> float:
    """Return the share of examples that the network classifies correctly.

    Mirrors `gluonbook.evaluate_accuracy`.

    Args:
        data_iter: Batches of features (batch, ...) and labels (batch,).
        net: Network with one output per class, initialised on `ctx`.
        ctx: One device, or several that share each batch.

    Raises:
        MistakeError: An argument is of another kind, `data_iter` is empty, or a label
            is not the number of an output.

    Example:
        >>> data_iter = [(nd.array([[0, 1], [2, 0]]), nd.array([1, 1]))]
        >>> evaluate_accuracy(data_iter, net=lambda X: X)
        0.5
    """
    checks.check_arguments(evaluate_accuracy, locals())
    return _accuracy(data_iter, net, None, _as_list(ctx), "data_iter")


def train_ch3(
    net: Network,
    train_iter: Batches,
    test_iter: Batches,
    loss: Loss,
    num_epochs: int,
    batch_size: int,
    params: Sequence[nd.NDArray] | None = None,
    lr: float | None = None,
    trainer: gluon.Trainer | None = None,
) -> History:
    """Train a classifier on the CPU, with `sgd` or a trainer; print a line per epoch.

    Mirrors `gluonbook.train_ch3`.

    Args:
        net: Network with one output per class.
        train_iter: Training batches of features (batch, ...) and labels (batch,).
        test_iter: Test batches of the same form.
        loss: Loss that gives one number per example.
        num_epochs: Number of passes over the training batches.
        batch_size: Number of examples per batch, by which gradients are divided.
        params: Parameters, with gradients attached; without a trainer.
        lr: Learning rate; without a trainer.
        trainer: Optimiser of the network's parameters.

    Returns:
        The measurements; in Jupyter they show as the learning curve.

    Raises:
        MistakeError: What is given cannot be trained; the message says why.
        CheckpointError: As for `train_ch5`.
    """
    if trainer is None:
        trainer = _SGD(params, lr)
    checks.check_arguments(train_ch3, locals())
    ctx = mx.cpu()
    return _train(
        net, train_iter, test_iter, loss, trainer, ctx, num_epochs, batch_size, False
    )


def train_ch5(
    net: Network,
    train_iter: Batches,
    test_iter: Batches,
    batch_size: int,
    trainer: gluon.Trainer,
    ctx: mx.Context,
    num_epochs: int,
) -> History:
    """Train a classifier with the cross-entropy loss; print a line per epoch.

    Mirrors `gluonbook.train_ch5`.

    Args:
        net: Network with one output per class, initialised on `ctx`.
        train_iter: Training batches of features (batch, ...) and labels (batch,).
        test_iter: Test batches of the same form.
        batch_size: Number of examples per batch, by which gradients are divided.
        trainer: Optimiser of the network's parameters.
        ctx: Device to train on.
        num_epochs: Number of passes over the training batches.

    Returns:
        The measurements; in Jupyter they show as the learning curve.

    Raises:
        MistakeError: What is given cannot be trained; the message says why.
        TrainingInterrupted: The reader stopped it; the network keeps what it learned.
        CheckpointError: `D2LUTIL_CHECKPOINT` is set, and the training cannot be saved
            there or cannot go on from what was saved.
    """
    checks.check_arguments(train_ch5, locals())
    print("training on", ctx)
    loss = SoftmaxCrossEntropyLoss()
    return _train(
        net, train_iter, test_iter, loss, trainer, ctx, num_epochs, batch_size
    )


def train(
    train_iter: Batches,
    test_iter: Batches,
    net: Network,
    loss: Loss,
    trainer: gluon.Trainer,
    ctx: Contexts,
    num_epochs: int,
) -> History:
    """Train a classifier on one or several devices; print a line per epoch.

    Mirrors `gluonbook.train`.

    Args:
        train_iter: Training batches of features (batch, ...) and labels (batch,).
        test_iter: Test batches of the same form.
        net: Network with one output per class, initialised on `ctx`.
        loss: Loss that gives an array; the mean of its elements is printed.
        trainer: Optimiser of the network's parameters.
        ctx: One device, or several that share each batch.
        num_epochs: Number of passes over the training batches.

    Returns:
        The measurements; in Jupyter they show as the learning curve.

    Raises:
        MistakeError: What is given cannot be trained; the message says why.
        TrainingInterrupted: The reader stopped it; the network keeps what it learned.
        CheckpointError: As for `train_ch5`.
    """
    checks.check_arguments(train, locals())
    print("training on", ctx)
    return _train(net, train_iter, test_iter, loss, trainer, ctx, num_epochs)


def _train(
    net: Network,
    train_iter: Batches,
    test_iter: Batches,
    loss: Loss,
    trainer: Any,
    ctx: Contexts,
    num_epochs: int,
    batch_size: int | None = None,
    with_time: bool = True,
) -> History:
    """Train; gradients are divided by `batch_size`, or by each batch's own size."""
    devices, run = _as_list(ctx), None
    checkpoint = open_checkpoint(
        net, trainer, loss, train_iter, test_iter, devices, num_epochs, batch_size
    )
    history, lines = History(), []
    if checkpoint:
        # What draws random numbers comes before the epochs, which begin with a seed.
        batch = _split_batch(*checkpoint.first_batch, devices)
        run = _runner(net, batch, train_mode=True)
        history, lines = checkpoint.resume()

    bar = Progress(train_iter, num_epochs, history.num_epochs, lines)
    with _interruption_told(history), bar:
        for epoch in range(history.num_epochs + 1, num_epochs + 1):
            if checkpoint:
                checkpoint.seed(epoch)
            start, sums = time.perf_counter(), _Sums()
            for X, y in bar.batches(train_iter, epoch):
                batch = _split_batch(X, y, devices)
                run = run or _runner(net, batch, train_mode=True)
                with autograd.record():
                    y_hats = [run(X) for X, _ in batch]
                    checks.check_labels(y_hats, batch, loss)
                    losses = list(map(loss, y_hats, [y for _, y in batch]))
                autograd.backward(losses)
                trainer.step(batch_size or len(y))
                sums.add(y_hats, batch, losses)
                bar.show_loss(sums.loss)

            checks.check_not_empty(sums.num_labels, "train_iter")
            test_acc = _accuracy(test_iter, net, run, devices, "test_iter", loss)
            seconds = time.perf_counter() - start
            history.add(sums.loss, sums.accuracy, test_acc, seconds)
            bar.print(history.line(epoch, with_time))
            _tell_if_not_finite(history, trainer, bar)
            if checkpoint:
                checkpoint.save(history, bar.lines)
    return history


@dataclass
class _Sums:
    """What the batches of an epoch add up to."""

    loss_sum: float = 0.0
    num_losses: int = 0
    num_correct: float = 0.0
    num_labels: int = 0

    def add(
        self,
        y_hats: Sequence[nd.NDArray],
        batch: Batch,
        losses: Sequence[nd.NDArray] = (),
    ) -> None:
        """Count a batch: outputs, features and labels, losses, by device."""
        self.loss_sum += sum(part.sum().asscalar() for part in losses)
        self.num_losses += sum(part.size for part in losses)
        self.num_correct += sum(map(_num_correct, y_hats, batch))
        self.num_labels += sum(y.size for _, y in batch)

    @property
    def loss(self) -> float:
        """The mean of the losses."""
        return self.loss_sum / self.num_losses

    @property
    def accuracy(self) -> float:
        """The share of labels that were predicted."""
        return self.num_correct / self.num_labels


def _accuracy(
    data_iter: Batches,
    net: Network,
    run: Network | None,
    devices: Sequence[mx.Context],
    name: str,
    loss: Loss | None = None,
) -> float:
    """Evaluate a network, by what already runs in its place if there is such."""
    sums = _Sums()
    for X, y in data_iter:
        batch = _split_batch(X, y, devices)
        run = run or _runner(net, batch, train_mode=False)
        y_hats = [run(X) for X, _ in batch]
        checks.check_labels(y_hats, batch, loss)
        sums.add(y_hats, batch)
    checks.check_not_empty(sums.num_labels, name)
    return sums.accuracy


def _runner(net: Network, batch: Batch, train_mode: bool) -> Network:
    """Return what runs for a network: compiled where asked for, its errors explained.

    It is made when the first batch is there, which shows what the network is given.
    """
    X = batch[0][0]
    checks.check_features(X)
    compile_for = checks.explained(lambda X: compiled_if_asked(net, X), net)
    with autograd.train_mode() if train_mode else autograd.predict_mode():
        return checks.explained(compile_for(X), net)


def _as_list(ctx: Contexts) -> Sequence[mx.Context]:
    return [ctx] if isinstance(ctx, mx.Context) else ctx


def _split_batch(X: nd.NDArray, y: nd.NDArray, devices: Sequence[mx.Context]) -> Batch:
    """Share a batch among the devices; labels get the type of features that are real.

    A loss may calculate with both.  In a type of whole numbers, labels would wrap.
    """
    checks.check_batch(X, y, len(devices))
    if np.issubdtype(X.dtype, np.floating):
        y = y.astype(X.dtype, copy=False)
    X_parts, y_parts = (
        gluon.utils.split_and_load(array, devices, even_split=False) for array in (X, y)
    )
    return list(zip(X_parts, y_parts, strict=True))


def _num_correct(y_hat: nd.NDArray, part: tuple[nd.NDArray, nd.NDArray]) -> float:
    is_correct = y_hat.argmax(axis=1) == part[1].astype(y_hat.dtype, copy=False)
    return float(is_correct.sum().asscalar())


def _tell_if_not_finite(history: History, trainer: Any, bar: Progress) -> None:
    """Say once that a training has diverged."""
    if math.isfinite(history.loss[-1]) and _parameters_are_finite(trainer):
        return
    if not any(line.startswith(NOT_FINITE) for line in bar.lines):
        rate = getattr(trainer, "learning_rate", None)
        bar.print(NOT_FINITE + (f" than {rate:g}." if rate else "."))


def _parameters_are_finite(trainer: Any) -> bool:
    """Look at the parameters too: layers may turn NaN into 0 on a CPU."""
    return all(
        nd.contrib.isfinite(parameter.list_data()[0]).min().asscalar()
        for parameter in getattr(trainer, "_params", [])
        if parameter._data is not None
    )


@contextmanager
def _interruption_told(history: History) -> Iterator[None]:
    """Show the curve so far and one line where the reader stops a training."""
    try:
        yield
    except KeyboardInterrupt:
        if history.loss and get_ipython():
            display(history)
        raise checks.TrainingInterrupted(
            f"Interrupted in epoch {history.num_epochs + 1}; the network keeps what it "
            "has learned."
        ) from None


class _SGD:
    """A trainer of arrays that gradients are attached to.

    Args:
        params: Parameters.
        lr: Learning rate.
    """

    def __init__(self, params: Sequence[nd.NDArray] | None, lr: float | None) -> None:
        if params is None or lr is None:
            raise checks.MistakeError(
                "train_ch3 needs a trainer, or params and lr for gb.sgd."
            )
        self.params, self.learning_rate = params, lr

    def step(self, batch_size: int) -> None:
        """Update the parameters."""
        sgd(self.params, self.learning_rate, batch_size)
