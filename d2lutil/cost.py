"""What a network costs: parameters, multiply-adds, memory and depth."""

import copy
import gc
import json
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import mxnet as mx
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

from d2lutil.engine.kept import kept_elements


@dataclass(frozen=True)
class LayerCost:
    """What one run of one layer costs.

    A layer is a block with parameters of its own, or without blocks inside: the
    activation function that a convolution was given belongs to the convolution.

    Attributes:
        name: Where the network holds the layer: `net[4][0].conv1` is "4.0.conv1".
        kind: Name of the layer's class, such as "Conv2D".
        output_shape: Shape of the output, the batch first.
        num_parameters: Number of learnable parameters that no earlier layer has; the
            running mean and variance of batch normalisation are not learnable.
        multiply_adds: Multiplications, each with its addition, per example. They are
            those with the weights of `nn.Conv2D` and `nn.Dense`; adding the bias is
            none, and all other layers count as 0.
    """

    name: str
    kind: str
    output_shape: tuple[int, ...]
    num_parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class NetworkCost:
    """What a network costs, in total and layer by layer.

    Attributes:
        layers: Layers in the order in which they run; a layer that runs twice is
            there twice, its parameters in the first place only.
        depth: Number of convolutions and dense layers on the longest way from the
            input to the output.
        activation_bytes: Memory in bytes, per example and in float32, of all arrays
            that layers read or return.
        kept_bytes: Memory in bytes, per example and in float32, of the arrays that
            training keeps until the backward pass has read them; without parameters,
            and the masks of dropout. None where a layer hides the size of one.
    """

    layers: list[LayerCost]
    depth: int
    activation_bytes: int
    kept_bytes: int | None

    @property
    def num_parameters(self) -> int:
        """Number of learnable parameters."""
        return sum(layer.num_parameters for layer in self.layers)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds per example, as `LayerCost` counts them."""
        return sum(layer.multiply_adds for layer in self.layers)


def network_cost(net: gluon.Block, input_shape: tuple[int, ...]) -> NetworkCost:
    """Count what a network costs for inputs of a shape.

    A copy of the network is run once, in prediction mode, on the CPU. The network
    itself stays as it is, whether it is initialised or not.

    Args:
        net: Network of one input and one output.
        input_shape: Shape of the input, the batch first: (1, 3, 224, 224).

    Returns:
        What each layer costs, and the whole: multiply-adds and bytes per example.

    Raises:
        ValueError: A part of the network is hybridized, which hides its layers.

    Example:
        >>> cost = network_cost(nn.Conv2D(6, kernel_size=5), (1, 1, 28, 28))
        >>> cost.num_parameters, cost.multiply_adds
        (156, 86400)
    """
    if any(getattr(block, "_active", False) for block in _blocks(net)):
        raise ValueError(
            "A hybridized network hides its layers; "
            "call net.hybridize(active=False) before counting."
        )

    # Blocks refer to themselves: only this frees the copies of earlier calls.
    gc.collect()
    net = copy.deepcopy(net)

    # Zeros, because drawing random numbers would change the caller's training.
    for parameter in net.collect_params().values():
        parameter.init = None
    net.initialize(init.Zero(), ctx=mx.cpu(), force_reinit=True)

    runs = []
    for layer, name in _layers(net).items():
        layer.register_forward_hook(
            lambda *run, name=name: runs.append(_Run(name, *run))
        )

    X = nd.zeros(input_shape)
    X.attach_grad()
    with autograd.record(train_mode=False):
        output = net(X)
    # A copy that is still being computed would stay in memory beside the next one.
    nd.waitall()

    num_elements = sum(array.size for array in _arrays(runs))
    num_kept = kept_elements(output, X, net.collect_params().values())
    return NetworkCost(
        _layer_costs(runs),
        _depth(output),
        activation_bytes=4 * num_elements // input_shape[0],
        kept_bytes=num_kept and 4 * num_kept // input_shape[0],
    )


class _Run(NamedTuple):
    """One run of a layer, as a forward hook sees it."""

    name: str
    layer: gluon.Block
    inputs: tuple[nd.NDArray, ...]
    output: nd.NDArray


def _blocks(block: gluon.Block) -> Iterator[gluon.Block]:
    yield block
    for child in block._children.values():
        yield from _blocks(child)


def _layers(block: gluon.Block, name: str = "") -> dict[gluon.Block, str]:
    """Return the layers inside a block and where it first holds them."""
    if block.params.keys() or not block._children:
        return {block: name}
    layers: dict[gluon.Block, str] = {}

    for key, child in block._children.items():
        for layer, place in _layers(child, f"{name}.{key}" if name else key).items():
            layers.setdefault(layer, place)
    return layers


def _layer_costs(runs: list[_Run]) -> list[LayerCost]:
    costs: list[LayerCost] = []
    counted: set[gluon.Parameter] = set()

    for name, layer, _, output in runs:
        learnable = {p for p in layer.params.values() if p.grad_req != "null"}
        num_parameters = sum(math.prod(p.shape) for p in learnable - counted)
        counted |= learnable
        kind, multiply_adds = type(layer).__name__, _multiply_adds(layer, output)
        costs.append(LayerCost(name, kind, output.shape, num_parameters, multiply_adds))
    return costs


def _arrays(runs: list[_Run]) -> Collection[nd.NDArray]:
    """Return what the layers read and return, each array once."""
    arrays = (array for run in runs for array in (*run.inputs, run.output))
    return {id(array): array for array in arrays}.values()


def _multiply_adds(layer: gluon.Block, output: nd.NDArray) -> int:
    if not isinstance(layer, nn.Conv2D | nn.Dense):
        return 0
    # Each weight is used once at each position of its output channel.
    inputs_per_output = layer.weight.shape[1:]
    return math.prod(output.shape[1:]) * math.prod(inputs_per_output)


def _depth(output: nd.NDArray) -> int:
    """Return the number of weighted layers on the longest way that was recorded."""
    depths: list[int] = []
    # A node comes after the nodes that it reads.
    for node in json.loads(autograd.get_symbol(output).tojson())["nodes"]:
        before = max((depths[i] for i, *_ in node["inputs"]), default=0)
        depths.append(before + (node["op"] in ("Convolution", "FullyConnected")))
    return depths[-1]
