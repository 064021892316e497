"""A learner's mistake in one sentence, before or instead of MXNet's own message.

Every check looks at what the training has in hand: no further batch is drawn, nothing
is computed twice, and no random number is used.  Only where a network failed, it is run
once more to find the layer.
"""

import inspect
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from d2lutil.settings import FULL, run_scale

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
        MistakeError: One is not (they may be in another order), or the training and
            the test data look exchanged.
    """
    order = ", ".join(inspect.signature(function).parameters)
    for name in arguments.keys() & _KINDS.keys():
        is_right, kind = _KINDS[name]
        if not is_right(arguments[name]):
            raise MistakeError(
                f"{name} is {_short(arguments[name])}; it has to be {kind}. The order "
                f"is {function.__name__}({order})."
            )
    if "train_iter" in arguments:
        _check_not_exchanged(arguments["train_iter"], arguments["test_iter"])


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
        if not isinstance(array, nd.NDArray):
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
        loss: Loss; gluon's losses of other labels may have any numbers.

    Raises:
        MistakeError: Labels have another shape, are no whole numbers, or there are more
            classes than outputs.
    """
    for y_hat, (_, y) in zip(y_hats, batch, strict=True):
        _check_shapes(y_hat, y)
        if _takes_classes(loss):
            _check_classes(y.asnumpy(), num_classes=y_hat.shape[1])


def check_not_empty(num_examples: int, name: str) -> None:
    """Refuse a loader that gave nothing.

    Raises:
        MistakeError: It is empty or used up.
    """
    if not num_examples:
        raise MistakeError(
            f"{name} gave no batch: it is empty, or a generator that was used up; give "
            "a list or a data loader, which can be gone through again."
        )


def explained(run: Callable, net: Callable) -> Callable:
    """Return a function that calls `run` and says, if it fails, which layer failed.

    Args:
        run: What runs in place of the network; it takes features (batch, ...).
        net: Network.
    """

    def call(X: nd.NDArray) -> Any:
        try:
            return run(X)
        except Exception as error:
            mistake = _explain(error, net, X)
            if mistake is None:
                raise
            raise mistake from error

    return call


def _explain(error: Exception, net: Callable, X: nd.NDArray) -> MistakeError | None:
    """Return the sentence for an error of MXNet; the reader's own errors have none."""
    if not isinstance(net, gluon.Block) or not _is_of_mxnet(error):
        return None
    if layer := _uninitialised_layer(net):
        return MistakeError(
            f"{layer} is not initialised; call net.initialize(init.Xavier(), ctx=ctx) "
            "before the training."
        )
    failed = _failing_layer(net, X)
    if failed is None:
        return None
    name, layer, shape = failed
    reason = _reason(layer, shape) or _last_words(error)
    return MistakeError(
        f"{name}, {_kind(layer)}, cannot take an input of the shape {shape}: {reason}."
        f"{_scale_hint(X)}"
    )


def _check_not_exchanged(train_iter: Iterable, test_iter: Iterable) -> None:
    """Refuse data of which only the test data are shuffled."""
    if _is_shuffled(train_iter) is False and _is_shuffled(test_iter) is True:
        raise MistakeError(
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
    """Tell whether a loss takes the numbers of classes: any but gluon's others."""
    if isinstance(loss, gluon.loss.SoftmaxCrossEntropyLoss):
        return loss._sparse_label
    return not isinstance(loss, gluon.loss.Loss)


# How an argument is recognised, and what it has to be.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "net": (callable, "a network"),
    "train_iter": (
        lambda value: isinstance(value, Iterable) and not callable(value),
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
        lambda value: _is_number(value) and value == int(value) >= 0,
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


def _is_of_mxnet(error: Exception) -> bool:
    """Tell whether an error arose in MXNet, not in the reader's own code."""
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    module = trace.tb_frame.f_globals.get("__name__", "") if trace else ""
    return isinstance(error, mx.MXNetError) or module.startswith("mxnet.")


def _named_layers(block: gluon.Block, name: str = "net") -> Iterator[tuple[str, Any]]:
    """Yield each block inside a network with the code that leads to it."""
    yield name, block
    for key, child in block._children.items():
        place = f"{name}[{key}]" if key.isdigit() else f"{name}.{key}"
        yield from _named_layers(child, place)


def _uninitialised_layer(net: gluon.Block) -> str | None:
    for name, block in _named_layers(net):
        for parameter in block.params.values():
            if parameter._data is None and not parameter._deferred_init:
                return f"{name}, {_kind(block)},"
    return None


def _failing_layer(net: gluon.Block, X: nd.NDArray) -> tuple[str, Any, tuple] | None:
    """Run the network once more; return the innermost layer that did not finish.

    Returns:
        Its name, the layer, and the shape of its input.
    """
    running: list[tuple[str, Any, tuple]] = []
    names = {block: name for name, block in _named_layers(net)}
    hooks = [
        hook
        for block in names
        for hook in (
            block.register_forward_pre_hook(
                lambda block, inputs: running.append(
                    (names[block], block, getattr(inputs[0], "shape", ()))
                )
            ),
            block.register_forward_hook(lambda *_: running.pop()),
        )
    ]
    try:
        with autograd.pause(train_mode=False):
            net(X)
            nd.waitall()
    except Exception:
        return running[-1] if running else None
    finally:
        for hook in hooks:
            hook.detach()
    return None


def _kind(layer: gluon.Block) -> str:
    name = type(layer).__name__
    return f"a{'n' if name[0] in 'AEIO' else ''} {name}"


def _reason(layer: gluon.Block, shape: tuple[int, ...]) -> str | None:
    """Say why a layer cannot take an input, where the shapes tell."""
    weight = getattr(layer, "weight", None)
    if isinstance(layer, nn.Dense) and weight is not None:
        num_inputs, known = math.prod(shape[1:]), weight.shape[1]
        if known not in (0, num_inputs):
            return (
                f"it has {known} weights for each output, and gets {num_inputs} numbers"
            )
    window = getattr(layer, "_kwargs", {}).get("kernel")
    if window is None:
        return None
    if len(shape) != 2 + len(window):
        return (
            f"it needs (batch, channels, height, width), {2 + len(window)} dimensions"
        )
    if weight is not None and weight.shape[1] not in (0, shape[1]):
        return f"it has weights for {weight.shape[1]} channels, and gets {shape[1]}"
    padding = layer._kwargs["pad"]
    edges = [edge + 2 * p for edge, p in zip(shape[2:], padding, strict=True)]
    if any(edge < size for edge, size in zip(edges, window, strict=True)):
        return f"its window {tuple(window)} is larger than the padded image"
    return None


def _last_words(error: Exception) -> str:
    """Return the part of MXNet's message that says what was wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    if not lines:
        return type(error).__name__
    told = [line for line in lines if "Check failed" in line or "Error in" in line]
    text = (told or lines)[-1]
    return text.partition("Check failed: ")[2].rstrip(" .:") or text.rstrip(" .:")


def _scale_hint(X: nd.NDArray) -> str:
    """Name the run scale where it may be why images are smaller than expected."""
    scale = run_scale()
    asked = {small: edge for edge, small in scale.pixels.items()}
    if scale == FULL or X.ndim != 4 or X.shape[-1] not in asked:
        return ""
    edge = X.shape[-1]
    return (
        f" At scale {scale.name} the images have {edge} x {edge} pixels where a cell "
        f"asks for {asked[edge]}: give the network that size before the training, or "
        "use D2LUTIL_SCALE=full."
    )
