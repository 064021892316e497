"""Which layer of a network failed, and why, in one sentence."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from d2lutil.checks import MistakeError
from d2lutil.engine.static_graph import hybrid_blocks_inactive
from d2lutil.settings import highest_edge, run_scale


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
    if "not been initialized" in str(error) and (layer := _uninitialised_layer(net)):
        return MistakeError(
            f"{layer} is not initialised; call net.initialize(init.Xavier(), ctx=ctx) "
            "before the training."
        )

    failed = _failing_layer(net, X)
    if failed is None:
        return None

    name, layer, inputs = failed
    reason = _reason(layer, inputs) or _last_words(error)
    return MistakeError(
        f"{name}, {_kind(layer)}, fails for an input of the shape "
        f"{getattr(inputs, 'shape', ())}: {reason}.{_scale_hint(X)}"
    )


def _is_of_mxnet(error: BaseException) -> bool:
    """Tell whether an error arose in MXNet, not in the reader's own code."""
    # MXNet turns errors of a forward that it calls to find shapes into one of its own.
    while error.__context__:
        error = error.__context__
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


def _failing_layer(net: gluon.Block, X: nd.NDArray) -> tuple[str, Any, Any] | None:
    """Run the network once more; return the innermost layer that did not finish.

    Returns:
        Its name, the layer, and its input.
    """
    running: list[tuple[str, Any, Any]] = []
    names = {block: name for name, block in _named_layers(net)}
    hooks = [
        hook
        for block in names
        for hook in (
            block.register_forward_pre_hook(
                lambda block, inputs: running.append((names[block], block, inputs[0]))
            ),
            block.register_forward_hook(lambda *_: running.pop()),
        )
    ]

    try:
        # A hybridized network would hide its layers.
        with hybrid_blocks_inactive(net), autograd.pause(train_mode=False):
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


def _reason(layer: gluon.Block, X: Any) -> str | None:
    """Say why a layer cannot take an input, where types and shapes tell."""
    weight = getattr(layer, "weight", None)
    if (weight is None and not hasattr(layer, "_kwargs")) or not hasattr(X, "shape"):
        return None
    if weight is not None and np.dtype(weight.dtype) != X.dtype:
        dtype = np.dtype(weight.dtype).name
        return f"its numbers are {dtype}, those of the input {X.dtype.__name__}"
    if isinstance(layer, nn.Dense) and weight is not None:
        num_inputs = math.prod(X.shape[1:]) if layer._flatten else X.shape[-1]
        known = weight.shape[1]
        return (
            f"it has {known} weights for each output, and gets {num_inputs} numbers"
            if known not in (0, num_inputs)
            else None
        )
    return _reason_of_window(layer, X.shape, weight)


def _reason_of_window(
    layer: gluon.Block, shape: tuple[int, ...], weight: gluon.Parameter | None
) -> str | None:
    """Say why a convolution or a pooling cannot take an input of that shape."""
    window = getattr(layer, "_kwargs", {}).get("kernel")
    if window is None:
        return None
    if len(shape) != 2 + len(window):
        edges = {1: "width", 2: "height, width", 3: "depth, height, width"}[len(window)]
        return f"it needs (batch, channels, {edges})"
    if weight is not None and weight.shape[1] not in (0, shape[1]):
        return f"it has weights for {weight.shape[1]} channels, and gets {shape[1]}"

    padding = layer._kwargs["pad"]
    padded = [edge + 2 * p for edge, p in zip(shape[2:], padding, strict=True)]
    if any(edge < size for edge, size in zip(padded, window, strict=True)):
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
    """Name `lesson` where it may be why images are smaller than expected."""
    highest = highest_edge()
    if highest is None or X.ndim != 4 or highest not in X.shape[2:]:
        return ""
    return (
        f" gb.lesson(pixels={highest}) makes larger images {highest} pixels high and "
        f"wide at scale {run_scale().name}, and a network keeps the size that it first "
        "saw: build it anew, then train, or leave pixels out of gb.lesson."
    )
