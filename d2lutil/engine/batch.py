"""One batch on one or several devices: shared, run, and what its results add up to."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from d2lutil import checks
from d2lutil.engine.diagnosis import explained
from d2lutil.engine.static_graph import compiled_if_asked

Batches: TypeAlias = Iterable[tuple[nd.NDArray, nd.NDArray]]
Contexts: TypeAlias = mx.Context | Sequence[mx.Context]
Network: TypeAlias = Callable[[nd.NDArray], nd.NDArray]
Loss: TypeAlias = Callable[[nd.NDArray, nd.NDArray], nd.NDArray]

# Features and labels for each device.
Batch: TypeAlias = Sequence[tuple[nd.NDArray, nd.NDArray]]


@dataclass
class Sums:
    """What the batches of an epoch add up to.

    Attributes:
        by_label: Whether the sum of the losses is divided by the number of labels, or
            else by the number of losses.
        batch_losses: Mean of the losses of each batch.
    """

    by_label: bool = True
    batch_losses: list[float] = field(default_factory=list)
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
        loss_sum = sum(part.sum().asscalar() for part in losses)
        num_losses = sum(part.size for part in losses)
        self.loss_sum += loss_sum
        self.num_losses += num_losses
        if losses:
            num_labels = sum(y.size for _, y in batch)
            count = num_labels if self.by_label else num_losses
            self.batch_losses.append(float(loss_sum / count))

        for y_hat, (_, y) in zip(y_hats, batch, strict=True):
            is_correct = y_hat.argmax(axis=1) == _classes(y, y_hat)
            self.num_correct += float(is_correct.sum().asscalar())
            self.num_labels += is_correct.size

    @property
    def loss(self) -> float:
        """The mean of the losses."""
        return self.loss_sum / (self.num_labels if self.by_label else self.num_losses)

    @property
    def accuracy(self) -> float:
        """The share of labels that were predicted."""
        return self.num_correct / self.num_labels


def accuracy(
    data_iter: Batches,
    net: Network,
    devices: Sequence[mx.Context],
    name: str,
    loss: Loss | None = None,
) -> float:
    """Return the share of labels that a network predicts.

    Args:
        data_iter: Batches of features (batch, ...) and labels (batch, ...).
        net: Network, made by `as_run`.
        devices: Devices that share each batch.
        name: What the caller's argument `data_iter` is called.
        loss: Loss that the network is trained with, if there is one.
    """
    sums = Sums()
    for X, y in data_iter:
        batch = split_batch(X, y, devices)
        y_hats = [net(X) for X, _ in batch]
        checks.check_labels(y_hats, batch, loss)
        sums.add(y_hats, batch)

    checks.check_not_empty(sums.num_labels, name)
    return sums.accuracy


def as_run(net: Network) -> Network:
    """Return what runs for a network: compiled where asked for, its errors explained.

    It is compiled when the first batch is there, which shows what the network is given.
    """
    running: list[Network] = []

    def run(X: nd.NDArray) -> nd.NDArray:
        if not running:
            checks.check_features(X)
            with autograd.pause(train_mode=autograd.is_training()):
                running.append(compiled_if_asked(net, X))
        return running[0](X)

    return explained(run, net)


def as_list(ctx: Contexts) -> Sequence[mx.Context]:
    """Return the devices, also where there is one."""
    return [ctx] if isinstance(ctx, mx.Context) else ctx


def split_batch(
    X: nd.NDArray,
    y: nd.NDArray,
    devices: Sequence[mx.Context],
    same_type: bool = False,
) -> Batch:
    """Share a batch among the devices.

    Args:
        X: Features (batch, ...).
        y: Labels (batch, ...).
        devices: Devices.
        same_type: Whether labels get the type of features that are real, since a loss
            may calculate with both. In a type of whole numbers, labels would wrap.
    """
    checks.check_batch(X, y, len(devices))
    if same_type and np.issubdtype(X.dtype, np.floating):
        y = y.astype(X.dtype, copy=False)

    X_parts, y_parts = (
        gluon.utils.split_and_load(array, devices, even_split=False) for array in (X, y)
    )
    return list(zip(X_parts, y_parts, strict=True))


def _classes(y: nd.NDArray, y_hat: nd.NDArray) -> nd.NDArray:
    """Return labels in the form of predictions, also those for losses of other forms.

    Args:
        y: Labels: (batch, ...), with an axis of 1, or one number for each output.
        y_hat: Outputs (batch, num_classes, ...).
    """
    y = y.astype(y_hat.dtype, copy=False)
    if y.shape == y_hat.shape and y_hat.shape[1] > 1:
        return y.argmax(axis=1)
    return y.reshape((y_hat.shape[0], *y_hat.shape[2:]))


def parameters_are_finite(trainer: Any) -> bool:
    """Look at the parameters too: layers may turn NaN into 0 on a CPU."""
    return all(
        nd.contrib.isfinite(parameter.list_data()[0]).min().asscalar()
        for parameter in getattr(trainer, "_params", [])
        if parameter._data is not None
    )
