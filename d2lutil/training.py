"""Train a network and measure its accuracy.

`D2LUTIL_CHECKPOINT=<folder>` lets a training be stopped and started again, see
`checkpoint.py`.
"""

import math
import time
from collections.abc import Callable, Iterable, Sequence
from operator import length_hint
from typing import TypeAlias

import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.gluon.loss import SoftmaxCrossEntropyLoss

from d2lutil.engine.checkpoint import (
    Checkpoint,
    NoCheckpoint,
    data_settings,
    describe,
    environment_settings,
    first_batch,
    network_settings,
)
from d2lutil.engine.static_graph import compiled_if_asked
from d2lutil.history import History, Progress
from d2lutil.progress import progress_bar, progress_output
from d2lutil.settings import checkpoint_folder

Batches = Iterable[tuple[nd.NDArray, nd.NDArray]]
Contexts: TypeAlias = mx.Context | Sequence[mx.Context]
Loss = Callable[[nd.NDArray, nd.NDArray], nd.NDArray]

# Features and labels for each device.
Batch = Sequence[tuple[nd.NDArray, nd.NDArray]]


def evaluate_accuracy(
    data_iter: Batches,
    net: gluon.Block,
    ctx: Contexts = [mx.cpu()],  # noqa: B006, B008
) -> float:
    """Return the share of examples that the network classifies correctly.

    Mirrors `gluonbook.evaluate_accuracy`.

    Args:
        data_iter: Batches of features (batch, ...) and labels (batch,).
        net: Network with one output per class, initialised on `ctx`.
        ctx: One device, or several that share each batch.
    """
    return _accuracy(data_iter, None, net, ctx)


def train_ch5(
    net: gluon.Block,
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
        CheckpointError: `D2LUTIL_CHECKPOINT` is set, and the training cannot be saved
            there or cannot go on from what was saved.
    """
    loss = SoftmaxCrossEntropyLoss()
    return _train(
        train_iter, test_iter, net, loss, trainer, ctx, num_epochs, batch_size
    )


def train(
    train_iter: Batches,
    test_iter: Batches,
    net: gluon.Block,
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
        loss: Loss that gives one number per example.
        trainer: Optimiser of the network's parameters.
        ctx: One device, or several that share each batch.
        num_epochs: Number of passes over the training batches.

    Returns:
        The measurements; in Jupyter they show as the learning curve.

    Raises:
        CheckpointError: `D2LUTIL_CHECKPOINT` is set, and the training cannot be saved
            there or cannot go on from what was saved.
    """
    return _train(train_iter, test_iter, net, loss, trainer, ctx, num_epochs)


def _train(
    train_iter: Batches,
    test_iter: Batches,
    net: gluon.Block,
    loss: Loss,
    trainer: gluon.Trainer,
    ctx: Contexts,
    num_epochs: int,
    batch_size: int | None = None,
) -> History:
    """Train; gradients are divided by `batch_size`, or by each batch's own size."""
    # The bar's place comes first, so that the printed lines stay together.
    output = progress_output()
    print("training on", ctx)
    devices = _as_list(ctx)
    checkpoint: Checkpoint | NoCheckpoint = NoCheckpoint()
    running = None
    if folder := checkpoint_folder():
        batch = _split_batch(*first_batch(train_iter), devices)
        settings = {
            **network_settings(net, batch[0][0]),
            **data_settings(train_iter, batch),
            "optimizer": describe(trainer.optimizer),
            "loss": describe(loss),
            "batch size": batch_size,
            "number of epochs": num_epochs,
            **environment_settings(),
        }
        running = _running(net, batch)
        checkpoint = Checkpoint(folder, settings, net, trainer)
    progress = checkpoint.resume()
    for line in progress.lines:
        print(line)
    while progress.epoch <= num_epochs:
        remaining = checkpoint.remaining(train_iter, progress)
        start = time.time() - progress.seconds
        with progress_bar(
            remaining,
            f"epoch {progress.epoch}",
            output,
            total=length_hint(train_iter) or None,
            done=progress.num_batches,
        ) as batches:
            for X, y in batches:
                batch = _split_batch(X, y, devices)
                if running is None:
                    running = _running(net, batch)
                progress.add_batch(
                    *_step(running, loss, trainer, batch, batch_size or len(y)), len(y)
                )
                progress.seconds = time.time() - start
                batches.set_postfix(loss=f"{progress.mean_loss:.4f}", refresh=False)
                checkpoint.after_batch(progress)
        test_acc = _accuracy(test_iter, running, net, ctx)
        progress.seconds = time.time() - start
        progress.end_epoch(test_acc)
        for line in _lines_of_epoch(progress, net, trainer):
            print(line)
            progress.lines.append(line)
        checkpoint.after_epoch(progress)
    checkpoint.finish()
    return progress.history


def _running(net: gluon.Block, batch: Batch) -> gluon.Block:
    """Return what is trained in place of the network, which may be the network."""
    with autograd.train_mode():
        return compiled_if_asked(net, batch[0][0])


def _step(
    net: gluon.Block, loss: Loss, trainer: gluon.Trainer, batch: Batch, batch_size: int
) -> tuple[float, float]:
    """Update the parameters; return the sum of losses and how many were correct."""
    y_hats, losses = _forward_backward(net, loss, batch)
    trainer.step(batch_size)
    loss_sum = sum(part.sum().asscalar() for part in losses)
    num_correct = sum(
        _num_correct(y_hat, y) for y_hat, (_, y) in zip(y_hats, batch, strict=True)
    )
    return loss_sum, num_correct


def _accuracy(
    data_iter: Batches, running: gluon.Block | None, net: gluon.Block, ctx: Contexts
) -> float:
    """Evaluate the network, or what already runs in its place."""
    num_correct, num_examples = 0.0, 0
    for X, y in data_iter:
        parts = _split_batch(X, y, _as_list(ctx))
        if running is None:
            running = compiled_if_asked(net, parts[0][0])
        for X_part, y_part in parts:
            num_correct += _num_correct(running(X_part), y_part)
            num_examples += len(y_part)
    return num_correct / num_examples


def _forward_backward(
    net: gluon.Block, loss: Loss, parts: Batch
) -> tuple[list[nd.NDArray], list[nd.NDArray]]:
    """Compute the gradients of all parts; return their outputs and their losses."""
    with autograd.record():
        y_hats = [net(X) for X, _ in parts]
        losses = [loss(y_hat, y) for y_hat, (_, y) in zip(y_hats, parts, strict=True)]
    autograd.backward(losses)
    return y_hats, losses


def _as_list(ctx: Contexts) -> Sequence[mx.Context]:
    return [ctx] if isinstance(ctx, mx.Context) else ctx


def _split_batch(X: nd.NDArray, y: nd.NDArray, devices: Sequence[mx.Context]) -> Batch:
    """Share a batch among the devices; labels get the type of the features."""
    if len(y) < len(devices):
        raise ValueError(
            f"A batch of {len(y)} cannot be shared among {len(devices)} devices; "
            "choose a batch size with a larger last batch, or use fewer devices."
        )
    y = y.astype(X.dtype, copy=False)
    X_parts, y_parts = (
        gluon.utils.split_and_load(array, devices, even_split=False) for array in (X, y)
    )
    return list(zip(X_parts, y_parts, strict=True))


def _num_correct(y_hat: nd.NDArray, y: nd.NDArray) -> float:
    """Count correct examples; one with several labels counts by their share."""
    is_correct = y_hat.argmax(axis=1) == y.astype(y_hat.dtype, copy=False)
    return float(is_correct.sum().asscalar()) * len(y) / y.size


def _is_finite(net: gluon.Block) -> bool:
    """Tell whether all parameters are finite; layers may turn NaN into 0 on a CPU."""
    return all(
        nd.contrib.isfinite(parameter.list_data()[0]).min().asscalar()
        for parameter in net.collect_params().values()
        if parameter._data is not None
    )


def _lines_of_epoch(
    progress: Progress, net: gluon.Block, trainer: gluon.Trainer
) -> list[str]:
    """Return what is to be printed for the epoch that just ended."""
    history = progress.history
    lines = [history.line(len(history.loss))]
    if progress.is_finite and not (math.isfinite(history.loss[-1]) and _is_finite(net)):
        progress.is_finite = False
        lines.append(
            "The loss or a parameter is no longer a finite number; train a newly "
            "initialised network with a learning rate smaller than "
            f"{trainer.learning_rate:g}."
        )
    return lines
