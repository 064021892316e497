"""A learner's mistake in one sentence, before or instead of MXNet's own message.

Every check looks at what the training has in hand: no further batch is drawn, nothing
is computed twice, and no random number is used.  Which layer of a network failed is
found in `engine/diagnosis.py`.
"""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import gluon, nd

NEEDS_TRAINER = "train_ch3 needs a trainer, or params and lr for gb.sgd."
IS_EMPTY = (
    "{name} gave no batch: it is empty, or a generator that was used up; give a list "
    "or a data loader, which can be gone through again."
)
TRACE = "The whole trace: import traceback; traceback.print_last()"


class ShortTraceback:
    """Lets a notebook show an error as its sentence, not as a wall of frames."""

    def _render_traceback_(self) -> list[str]:
        """Return what IPython shows."""
        name = type(self).__name__
        return [f"\x1b[31m{name}\x1b[0m: {self}", "", TRACE]


class MistakeError(ShortTraceback, ValueError):
    """A training or evaluation cannot do what it was asked for, and why."""


class TrainingInterrupted(ShortTraceback, KeyboardInterrupt):
    """The reader stopped a training; the network keeps what it has learned."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


def check_arguments(function: Callable, arguments: dict[str, Any]) -> None:
    """Check that each argument of a function is of its kind.

    Args:
        function: The function that was called.
        arguments: Its arguments by name.

    Raises:
        MistakeError: One is not; they may be in another order.
    """
    parameters = inspect.signature(function).parameters
    order = ", ".join(parameters)

    for name in filter(_KINDS.get, parameters):
        is_right, kind = _KINDS[name]
        if not is_right(arguments[name]):
            raise MistakeError(
                f"{name} is {_short(arguments[name])}; it has to be {kind}. The order "
                f"is {function.__name__}({order})."
            )

    if "train_iter" in arguments:
        _tell_if_exchanged(arguments["train_iter"], arguments["test_iter"])


def check_batch(X: nd.NDArray, y: nd.NDArray, num_devices: int) -> None:
    """Check that a loader gave features and labels, equally many.

    Args:
        X: Features (batch, ...).
        y: Labels (batch, ...).
        num_devices: Number of devices that share the batch.

    Raises:
        MistakeError: It did not.
    """
    for array, what in ((X, "features"), (y, "labels")):
        if not isinstance(array, nd.NDArray) or isinstance(array, mx.np.ndarray):
            raise MistakeError(
                f"The {what} of a batch are {_short(array)}; they have to be an "
                "NDArray: nd.array(...)."
            )

    if len(X) != len(y):
        raise MistakeError(
            f"A batch has {len(X)} examples and {len(y)} labels; there has to be one "
            "label, or one row of labels, for each example."
        )

    if len(y) < num_devices:
        raise MistakeError(
            f"A batch of {len(y)} cannot be shared among {num_devices} devices; "
            "choose a batch size with a larger last batch, or use fewer devices."
        )


def check_features(X: nd.NDArray) -> None:
    """Check that features are finite numbers.

    Args:
        X: Features (batch, ...).

    Raises:
        MistakeError: They are not.
    """
    if not np.isfinite(X.asnumpy()).all():
        raise MistakeError(
            "The features of a batch hold numbers that are not finite (NaN or "
            "infinity); look where the data were prepared."
        )


def check_labels(
    y_hats: Sequence[nd.NDArray],
    batch: Sequence[tuple[nd.NDArray, nd.NDArray]],
    loss: Callable | None = None,
) -> None:
    """Check labels against the outputs of a network, part by part of a batch.

    Args:
        y_hats: Outputs (batch, num_classes, ...).
        batch: Features, and labels (batch, ...), from 0 to num_classes - 1.
        loss: Loss; only with SoftmaxCrossEntropyLoss, or none, are labels certain to
            be numbers of classes.

    Raises:
        MistakeError: Labels have another shape, are no whole numbers, or there are more
            classes than outputs.
    """
    for y_hat, (_, y) in zip(y_hats, batch, strict=True):
        if not isinstance(y_hat, nd.NDArray):
            raise MistakeError(
                f"The network returns {_short(y_hat)}; it has to return one array."
            )
        if _takes_classes(loss):
            _check_shapes(y_hat, y)
            _check_classes(y.asnumpy(), num_classes=y_hat.shape[1])


def check_not_empty(num_examples: int, name: str) -> None:
    """Refuse a loader that gave nothing.

    Raises:
        MistakeError: It is empty or used up.
    """
    if not num_examples:
        raise MistakeError(IS_EMPTY.format(name=name))


def _tell_if_exchanged(train_iter: Iterable, test_iter: Iterable) -> None:
    """Tell where only the test data are shuffled, which is unusual but may be meant."""
    if _is_shuffled(train_iter) is False and _is_shuffled(test_iter) is True:
        print(
            "The test data are shuffled and the training data are not: train_iter and "
            "test_iter look exchanged; load_data_fashion_mnist returns the training "
            "data first."
        )


def _check_shapes(y_hat: nd.NDArray, y: nd.NDArray) -> None:
    if y_hat.ndim < 2:
        raise MistakeError(
            f"The network's output has the shape {y_hat.shape}; it has to be "
            "(batch_size, num_classes)."
        )

    expected = (y_hat.shape[0], *y_hat.shape[2:])
    if y.shape != expected:
        raise MistakeError(
            f"The labels have the shape {y.shape}; for outputs of the shape "
            f"{y_hat.shape} it has to be {expected}: labels.reshape({expected})."
        )


def _check_classes(labels: np.ndarray, num_classes: int) -> None:
    wrong = labels[~((labels >= 0) & (labels % 1 == 0))]
    if wrong.size:
        raise MistakeError(
            f"A label is {wrong.flat[0]:g}; labels have to be whole numbers from 0 to "
            f"{num_classes - 1}, one for each output of the network."
        )

    if labels.max() >= num_classes:
        raise MistakeError(
            f"A label is {labels.max():g}, but the network has {num_classes} outputs, "
            f"for the labels 0 to {num_classes - 1}; give its last layer one output "
            "for each class."
        )


def _takes_classes(loss: Callable | None) -> bool:
    """Tell whether labels are certain to be numbers of classes."""
    if isinstance(loss, gluon.loss.SoftmaxCrossEntropyLoss):
        return loss._sparse_label
    return loss is None


def not_finite(trainer: Any) -> str:
    """Return the sentence on a training that has diverged."""
    rate = getattr(trainer, "learning_rate", None)
    than = f" than {rate:g}" if rate else ""
    return (
        "The loss or a parameter is no longer a finite number; train a newly "
        f"initialised network with a smaller learning rate{than}."
    )


# How an argument is recognised, and what it has to be.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "net": (callable, "a network"),
    "train_iter": (
        lambda value: (
            any(hasattr(value, name) for name in ("__iter__", "__getitem__"))
            and not isinstance(value, type | gluon.Block)
        ),
        "batches of features and labels, such as a data loader",
    ),
    "loss": (callable, "a loss function, such as gluon.loss.SoftmaxCrossEntropyLoss()"),
    "trainer": (lambda value: hasattr(value, "step"), "a gluon.Trainer"),
    "ctx": (
        lambda value: (
            isinstance(value, mx.Context)
            or (
                isinstance(value, Sequence)
                and len(value) > 0
                and all(isinstance(device, mx.Context) for device in value)
            )
        ),
        "a device, such as gb.try_gpu(), or a list of devices",
    ),
    "batch_size": (
        lambda value: _is_number(value) and value > 0,
        "the number of examples in a batch",
    ),
    "num_epochs": (
        lambda value: _is_number(value) and isinstance(value, int | np.integer),
        "a whole number of epochs",
    ),
}
_KINDS["test_iter"] = _KINDS["data_iter"] = _KINDS["train_iter"]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)


def _short(value: Any) -> str:
    """Describe a value in a few words."""
    text = repr(value)
    is_short = len(text) <= 40 and "\n" not in text
    return text if is_short else f"an object of the type {type(value).__name__}"


def _is_shuffled(data_iter: Iterable) -> bool | None:
    """Tell whether a loader shuffles, None where it does not say."""
    if hasattr(data_iter, "shuffle"):
        return data_iter.shuffle
    sampler = getattr(getattr(data_iter, "_batch_sampler", None), "_sampler", None)
    if isinstance(sampler, gluon.data.RandomSampler):
        return True
    return False if isinstance(sampler, gluon.data.SequentialSampler) else None
