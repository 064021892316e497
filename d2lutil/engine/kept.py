"""What autograd keeps of a forward pass until the backward pass has used it."""

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

import mxnet as mx
from mxnet import autograd, gluon, nd

# What an operator's gradient is computed from, besides the gradient of its output: that
# is what MXNet's own reads, as a test confirms. Of an operator that is not here, inputs
# and output count.
NEEDS = {
    "Activation relu": ["output"],
    "BatchNorm": ["inputs"],
    "Concat": ["inputs"],
    "Convolution": ["inputs"],
    "Dropout": [],  # A mask, in training mode only.
    "Flatten": [],
    "FullyConnected": ["inputs"],
    "Reshape": [],
    "broadcast_add": [],
    "broadcast_mul": ["inputs"],
    "broadcast_sub": [],
    "elemwise_add": [],
    "elemwise_mul": ["inputs"],
    "relu": ["output"],
    "sigmoid": ["output"],
    "transpose": [],
}

Shape = tuple[int, ...]


def kept_elements(
    output: nd.NDArray, X: nd.NDArray, parameters: Iterable[gluon.Parameter]
) -> int | None:
    """Return how many numbers must stay in memory for the gradient of an output.

    Args:
        output: What was computed from X while autograd recorded.
        X: The input.
        parameters: Parameters, which are in memory anyway: they do not count.

    Returns:
        The number; None if the graph does not tell the size of an array, because it
        was computed from others while autograd paused.
    """
    shapes = {}
    for parameter in parameters:
        # One that was not used has no place in the graph.
        with suppress(mx.MXNetError):
            shapes[_name(parameter.data())] = parameter.shape
    weights = set(shapes)
    shapes[_name(X)] = X.shape

    symbol = autograd.get_symbol(output)
    sizes = _sizes(symbol, shapes)
    nodes = json.loads(symbol.tojson())["nodes"]
    needed = {entry for i, node in enumerate(nodes) for entry in _needed(i, node)}
    arrays = [(nodes[i]["name"], k) for i, k in needed]
    kept = [sizes[name][k] for name, k in arrays if name not in weights]
    return None if 0 in kept else sum(kept)


def _name(array: nd.NDArray) -> str:
    """Return how the graph calls an array that was not computed from others."""
    return autograd.get_symbol(array).name


def _sizes(symbol: mx.sym.Symbol, shapes: Mapping[str, Shape]) -> dict[str, list[int]]:
    """Return how large the outputs of each node are, 0 where that is not known."""
    outputs = symbol.get_internals()
    known = {name: shapes[name] for name in symbol.list_inputs() if name in shapes}
    _, inferred, _ = outputs.infer_shape_partial(**known)

    sizes: dict[str, list[int]] = {}
    for part, shape in zip(outputs, inferred, strict=True):
        sizes.setdefault(part.name, []).append(math.prod(shape) if shape else 0)
    return sizes


def _needed(i: int, node: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """Yield what the gradient of a node reads: nodes, and which of their outputs."""
    if node["op"] == "null":
        return
    kind = f"{node['op']} {node.get('attrs', {}).get('act_type', '')}".rstrip()
    needs = NEEDS.get(kind, ["inputs", "output"])
    if "inputs" in needs:
        yield from ((source, k) for source, k, *_ in node["inputs"])
    if "output" in needs:
        yield i, 0
