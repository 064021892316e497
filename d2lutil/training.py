"""Train a network and measure its accuracy.

`_train` is the loop that the section on LeNet writes out, with what a reader should not
have to write: several devices, a progress bar, errors that say what was wrong, and
`D2LUTIL_CHECKPOINT=<folder>`, which lets a training be stopped and started again (see
`engine/checkpoint.py`).
"""

import math
import time
from collections.abc import Sequence
from functools import partial
from types import SimpleNamespace
from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

from d2lutil import checks
from d2lutil.basics import sgd
from d2lutil.engine.batch import (
    Batches,
    Contexts,
    Loss,
    Network,
    Sums,
    accuracy,
    as_list,
    as_run,
    parameters_are_finite,
    split_batch,
)
from d2lutil.engine.checkpoint import open_checkpoint
from d2lutil.engine.notebook import interruption_told
from d2lutil.history import History
from d2lutil.progress import Progress


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
    return accuracy(data_iter, as_run(net), as_list(ctx), "data_iter")


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

    Example:
        >>> W = nd.zeros((2, 2))
        >>> W.attach_grad()
        >>> data = [(nd.array([[0, 1], [1, 0]]), nd.array([0, 1]))] * 4
        >>> loss = SoftmaxCrossEntropyLoss()
        >>> net = lambda X: nd.dot(X, W)
        >>> history = train_ch3(net, data, data, loss, 2, 2, [W], lr=1.0)
        epoch 1, loss 0.4462, train acc 0.875, test acc 1.000
        epoch 2, loss 0.1741, train acc 1.000, test acc 1.000
    """
    if trainer is None:
        if params is None or lr is None:
            raise checks.MistakeError(checks.NEEDS_TRAINER)
        trainer = SimpleNamespace(step=partial(sgd, params, lr), learning_rate=lr)

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

    Example:
        >>> net = gluon.nn.Dense(2)
        >>> net.initialize()
        >>> trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
        >>> data = [(nd.array([[0, 1], [1, 0]]), nd.array([0, 1]))] * 4
        >>> train_ch5(net, data, data, 2, trainer, mx.cpu(), num_epochs=2)
        ... # doctest: +ELLIPSIS
        training on cpu(0)
        epoch 1, loss ..., train acc ..., test acc ..., time ... sec
        epoch 2, loss ..., train acc ..., test acc ..., time ... sec
        History(num_epochs=2)
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

    Example:
        >>> ctx = [mx.cpu(0), mx.cpu(1)]
        >>> net = gluon.nn.Dense(2)
        >>> net.initialize(ctx=ctx)
        >>> trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
        >>> data = [(nd.array([[0, 1], [1, 0]]), nd.array([0, 1]))] * 4
        >>> loss = SoftmaxCrossEntropyLoss()
        >>> train(data, data, net, loss, trainer, ctx, num_epochs=1)
        ... # doctest: +ELLIPSIS
        training on [cpu(0), cpu(1)]
        epoch 1, loss ..., train acc ..., test acc ..., time ... sec
        History(num_epochs=1)
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
    devices = as_list(ctx)
    checkpoint = open_checkpoint(
        net, trainer, loss, train_iter, test_iter, devices, num_epochs, batch_size
    )
    history, lines = checkpoint.resume() if checkpoint else (History(), [])
    net = as_run(net)

    bar = Progress(train_iter, num_epochs, history.num_epochs, lines)
    with interruption_told(history), bar:
        for epoch in range(history.num_epochs + 1, num_epochs + 1):
            if checkpoint:
                checkpoint.seed(epoch)
            start, sums = time.perf_counter(), Sums(by_label=batch_size is not None)

            for X, y in bar.batches(train_iter, epoch):
                batch = split_batch(X, y, devices, same_type=batch_size is None)
                with autograd.record():
                    y_hats = [net(X) for X, _ in batch]
                    checks.check_labels(y_hats, batch, loss)
                    losses = list(map(loss, y_hats, [y for _, y in batch]))
                autograd.backward(losses)
                trainer.step(batch_size or len(y))
                sums.add(y_hats, batch, losses)
                bar.show_loss(sums.loss)

            checks.check_not_empty(sums.num_labels, "train_iter")
            if isinstance(loss, SoftmaxCrossEntropyLoss):
                history.num_classes = y_hats[0].shape[1]
            test_acc = accuracy(test_iter, net, devices, "test_iter", loss)
            seconds = time.perf_counter() - start
            history.add(sums.loss, sums.accuracy, test_acc, seconds, sums.batch_losses)
            bar.print(history.line(epoch, with_time))
            if not (math.isfinite(sums.loss) and parameters_are_finite(trainer)):
                bar.print_once(checks.not_finite(trainer))
            if checkpoint:
                checkpoint.save(history, bar.lines)

    return history
