"""An opt-in fast path: an imperative Gluon block as one static graph.

`D2LUTIL_COMPILE=1` lets `train_ch5`, `train` and `evaluate_accuracy` run a network as
one graph that plans its memory once; `D2LUTIL_DTYPE=bfloat16` lets that graph compute
its convolutions and dense layers in bfloat16. It may change the speed, never what a
network computes: what is not certain runs imperatively, and a line says why.

What is certain:

* A forward is refused if it reads numbers from arrays or fills arrays with them, draws
  random numbers from Python or NumPy or by an operator other than dropout, asks for
  training mode or changes it, prints, changes attributes of a block, or uses an array
  that is neither its input nor a parameter.
* The graph was compared with the network: predictions, and outputs and gradients in
  training mode, for all of a batch and, if it serves others, for few examples before
  and after. Dropout is off meanwhile, so that training is then compared with the
  operators as they were recorded. In bfloat16 the graph is only seen to run.
* Parameters, running statistics, accumulated gradients (`grad_req="add"`), attributes
  of blocks and all random numbers are as before. So a training goes on as one that is
  not compiled, exactly if the network is refused, and but for rounding if not. Dropout
  drops the same units, unless it is in parallel branches: they may draw in another
  order, which depends on the seed alone.

One exception: parameters of unknown shape get their values from one more forward in
the mode of the caller. In training mode, dropout draws there too, so that the initial
values are those of a run that is not compiled, while the random numbers after them are
others; they depend on the seed all the same.

What is not noticed: a forward that depends on what changes elsewhere, such as the
clock, a list, a global variable, another thread, or an attribute that is set later; a
hook that is registered later; lists and files that the one more forward writes.
"""

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.contrib import amp

from d2lutil.engine import rewrites, runtime
from d2lutil.engine.rewrites import Graph
from d2lutil.engine.watch import Watch
from d2lutil.settings import compiles_networks, compute_dtype

# What a recording leaves out: it depends on the machine and on how a run is made.
RUNS_IMPERATIVELY = "The network runs imperatively, not compiled: {reason}."
USES_FLOAT32 = "This processor has no bfloat16 instructions; float32 is used."
OTHER_BATCH = "A batch of {actual} runs imperatively: the graph is for {expected}."

_DATA = "data"
_DTYPE = np.dtype("float32")
_DTYPE_CODE = "0"  # as MXNet writes it

_IGNORES_INPUT = "its output does not depend on its input"

# Operators that draw random numbers, at least with such an argument. Dropout is not
# among them: it can be switched off.
_MAY_DRAW = re.compile("random|sample_|shuffle|_npi_|RNN|Custom")
_MAY_DRAW_WITH = {"always", "rrelu"}

Network = Callable[[nd.NDArray], nd.NDArray]
Shape = tuple[int, ...]


class CannotCompileError(Exception):
    """The reason why a network runs imperatively, as the end of a sentence."""


def compiled_if_asked(net: gluon.Block, X: nd.NDArray) -> Network:
    """Return what runs in place of the network: itself, unless the user opted in.

    A network that cannot be compiled with certainty runs as it is; one printed
    sentence says why.

    Args:
        net: Network, initialised on the device of `X`.
        X: Batch of features (batch, ...), as the network will see them.

    Raises:
        ValueError: `D2LUTIL_COMPILE` or `D2LUTIL_DTYPE` has an unknown value.
    """
    dtype = compute_dtype()
    if not compiles_networks():
        return net
    if dtype == "bfloat16" and not has_bfloat16():
        print(USES_FLOAT32)
        dtype = "float32"

    nd.waitall()  # An earlier error is not taken for one of the graph.
    try:
        compiled = compile_network(net, X, dtype)
    except CannotCompileError as error:
        reason = str(error)
    except mx.MXNetError:
        reason = "MXNet cannot run its graph"
    else:
        nd.waitall()  # What checking the graph took is free by now.
        runtime.keep_buffers_of_any_size()
        return compiled
    print(RUNS_IMPERATIVELY.format(reason=reason))
    return net


class CompiledNetwork:
    """A network whose batches run as one graph, if the graph was made for such ones.

    All others run imperatively; the first one of them makes it print a line.

    Args:
        net: The network.
        graph: Block that computes the same for batches like `X`, in and out of
            training mode.
        X: Batch (batch, ...) that the graph was made from.
        any_size: Whether the graph serves batches of any number of examples.
    """

    def __init__(
        self, net: gluon.Block, graph: gluon.Block, X: nd.NDArray, any_size: bool
    ) -> None:
        self._net = net
        self._graph = graph
        self._first_axis = 1 if any_size else 0
        self._served = self._kind(X)
        self._has_told = False

    def __call__(self, X: nd.NDArray) -> nd.NDArray:
        """Return the output (batch, ...) of the network for a batch (batch, ...)."""
        if self._kind(X) != self._served:
            self._tell(X)
            return self._net(X)
        # The graph's gradients are those of training, whatever the mode.
        if autograd.is_recording() and not autograd.is_training():
            return self._net(X)
        return self._graph(X)

    def _kind(self, X: nd.NDArray) -> tuple[Shape, type]:
        """Return in what batches have to agree."""
        return X.shape[self._first_axis :], X.dtype

    def _tell(self, X: nd.NDArray) -> None:
        if not self._has_told:
            self._has_told = True
            shape, dtype = self._served
            print(
                OTHER_BATCH.format(
                    actual=_described(X.shape, X.dtype),
                    expected=_described(("any",) * self._first_axis + shape, dtype),
                )
            )


def _described(shape: tuple[int | str, ...], dtype: type) -> str:
    return f"{' × '.join(map(str, shape))} in {dtype.__name__}"


def compile_network(
    net: gluon.Block, X: nd.NDArray, dtype: str = "float32"
) -> CompiledNetwork:
    """Compile a network into a graph that shares its parameters.

    The network runs once on `X`, in prediction mode, while autograd records it and a
    `Watch` observes it. The recorded graph serves batches of the type and the shape of
    `X`, of any number of examples if `X` has more than one and no shape was read.

    Args:
        net: Network of one input and one output, initialised on the device of `X`.
        X: Batch of features (batch, ...) in float32.
        dtype: Type that convolutions and dense layers compute in, float32 or bfloat16.
            Parameters, their gradients and the output are float32 in any case.

    Raises:
        CannotCompileError: The graph may not always do what the network does.
        mxnet.MXNetError: MXNet cannot run the graph, or not the network with `X`.

    Example:
        >>> net = gluon.nn.Dense(3)
        >>> net.initialize()
        >>> compiled = compile_network(net, nd.ones((8, 5)))
        >>> compiled(nd.ones((2, 5))).shape
        (2, 3)
    """
    _refuse_without_running(net, X)
    _initialize_deferred(net, X)

    with _state_kept(net), hybrid_blocks_inactive(net):
        graph, sees_shape = _trace(net, X)
        quiet = _without_dropout(graph)
        any_size = not sees_shape and _takes_other_sizes(graph, net, X.shape)
        # A graph may fail when it runs again: with a transposed input, the convolution
        # had left its array in the layout of oneDNN.
        few = X[: min(2, len(X) - 1)]
        batches = [few, X, few] if any_size else [X, X]

        reference = net if quiet == graph else _symbol_block(_load(quiet), net)
        _check(_static_block(quiet, net, X.shape), net, reference, batches)
        if dtype == "bfloat16":
            _see_running(_static_block(quiet, net, X.shape, dtype), net, batches)
    return CompiledNetwork(net, _static_block(graph, net, X.shape, dtype), X, any_size)


def has_bfloat16() -> bool:
    """Tell whether Linux lists instructions for bfloat16 (x86-64 or Arm)."""
    cpu = Path("/proc/cpuinfo")
    words = cpu.read_text().split() if cpu.exists() else []
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)


def _refuse_without_running(net: gluon.Block, X: nd.NDArray) -> None:
    """Raise an error for a network that is never compiled."""
    if not isinstance(net, gluon.Block):
        raise CannotCompileError("it is not a Gluon block")
    parameters = net.collect_params().values()
    if not parameters:
        raise CannotCompileError("it has no parameters")
    if any(len(p.list_ctx()) > 1 for p in parameters):
        # There, a static graph was seen to lose updates of running statistics.
        raise CannotCompileError("it trains on several devices")
    if type(X) is not nd.NDArray or {_DTYPE} != {
        np.dtype(array.dtype) for array in (X, *parameters)
    }:
        raise CannotCompileError("its input or a parameter is not an array of float32")
    if _has_hooks(net):
        raise CannotCompileError("a hook is registered, which would not be called")
    if sys.getprofile():
        raise CannotCompileError("a profiler observes it")


def _initialize_deferred(net: gluon.Block, X: nd.NDArray) -> None:
    """Give parameters the values that the same first batch gives them without this."""
    if any(p._deferred_init for p in net.collect_params().values()):
        with Watch(net), autograd.pause(train_mode=autograd.is_training()):
            net(X)


def _trace(net: gluon.Block, X: nd.NDArray) -> tuple[Graph, bool]:
    """Run the network once; return its graph and whether it reads shapes."""
    X = X.detach()
    X.attach_grad()  # A marked array has a name of its own in the graph.
    try:
        with autograd.record(train_mode=False), Watch(net) as watch:
            y = net(X)
    except Exception as error:
        # Whatever it is, the network raises it again as it runs imperatively, if it is
        # not for the recording.
        raise CannotCompileError("its forward fails while it is recorded") from error

    if watch.acts:
        raise CannotCompileError(f"its forward {watch.acts[0]}")
    if type(y) is not nd.NDArray:
        raise CannotCompileError("it does not return one array")
    return _named_graph(y, _names(net, X.context) | {_name(X): _DATA}), watch.sees_shape


def _named_graph(y: nd.NDArray, names: dict[str, str]) -> Graph:
    """Return the recorded graph of an output, with parameters named as they are."""
    try:
        graph = json.loads(autograd.get_symbol(y).tojson())
    except mx.MXNetError as error:
        raise CannotCompileError(_IGNORES_INPUT) from error

    for i, node in enumerate(graph["nodes"]):
        if node["op"] != "null":
            node["name"] = f"{node['op'].lower()}{i}"
        elif node["name"] in names:
            node |= {"name": names[node["name"]], "attrs": {"__dtype__": _DTYPE_CODE}}
        else:
            raise CannotCompileError(
                "its forward uses an array that is neither its input nor a parameter"
            )
    if not any(node["name"] == _DATA for node in graph["nodes"]):
        raise CannotCompileError(_IGNORES_INPUT)
    return graph


def _names(net: gluon.Block, ctx: mx.Context) -> dict[str, str]:
    """Map the names that autograd gave to the parameters' arrays to their own."""
    names = {}
    for name, parameter in net.collect_params().items():
        # A frozen one that the forward did not use has no name.
        with suppress(mx.MXNetError):
            if parameter._data is not None:
                names[_name(parameter.data(ctx))] = name
    return names


def _name(array: nd.NDArray) -> str:
    return autograd.get_symbol(array).list_outputs()[0]


def _without_dropout(graph: Graph) -> Graph:
    """Return the graph with dropout switched off; nothing else may draw numbers."""
    graph = copy.deepcopy(graph)
    for node in graph["nodes"]:
        options = node.get("attrs", {})
        if _MAY_DRAW.search(node["op"]) or not _MAY_DRAW_WITH.isdisjoint(
            options.values()
        ):
            raise CannotCompileError(
                f"its operator {node['op']} may draw random numbers"
            )
        if node["op"] == "Dropout":
            options["p"] = "0"

    return graph


def _load(graph: Graph) -> mx.sym.Symbol:
    try:
        return mx.sym.load_json(json.dumps(graph))
    except mx.MXNetError as error:
        raise CannotCompileError(
            "its forward calls an operator that is not part of MXNet"
        ) from error


def _takes_other_sizes(graph: Graph, net: gluon.Block, shape: Shape) -> bool:
    """Tell whether the graph takes batches of another number of examples.

    A batch of one does not tell: its arrays have the shape of what is broadcast to
    larger ones.
    """
    num_examples, *others = shape
    symbol = _load(graph)
    inputs = _input_shapes(symbol, net, (num_examples + 1, *others))
    with suppress(mx.MXNetError):
        _, (output,), _ = symbol.infer_shape_partial(**inputs)
        return num_examples > 1 and output[:1] == (num_examples + 1,)
    return False


def _shapes(symbol: mx.sym.Symbol, net: gluon.Block, shape: Shape) -> dict[str, Shape]:
    """Map the names of inputs and of operators with one output to their shapes."""
    internals = symbol.get_internals()
    _, shapes, _ = internals.infer_shape(**_input_shapes(symbol, net, shape))
    names = (name.removesuffix("_output") for name in internals.list_outputs())
    return dict(zip(names, shapes, strict=True))


def _input_shapes(
    symbol: mx.sym.Symbol, net: gluon.Block, shape: Shape
) -> dict[str, Shape]:
    parameters = net.collect_params()
    return {
        name: shape if name == _DATA else parameters[name].shape
        for name in symbol.list_inputs()
    }


def _static_block(
    graph: Graph, net: gluon.Block, shape: Shape, dtype: str = "float32"
) -> gluon.SymbolBlock:
    """Turn a graph into a block that runs it fast."""
    symbol = _load(graph)
    shapes = _shapes(symbol, net, shape)
    graph = json.loads(symbol.tojson())
    rewrites.use_onednn_operators(graph, shapes)
    rewrites.fuse_batch_norm_with_relu(graph, shapes)

    if dtype == "bfloat16":
        in_float32 = rewrites.keep_head_in_float32(graph, _DATA, shapes)
        symbol = _in_bfloat16(_load(graph), in_float32)
    else:
        symbol = _load(graph)
    block = _symbol_block(symbol, net)
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def _symbol_block(symbol: mx.sym.Symbol, net: gluon.Block) -> gluon.SymbolBlock:
    """Turn a graph into a block that uses the parameters of the network."""
    data = mx.sym.var(_DATA, dtype="float32")
    return gluon.SymbolBlock([symbol], [data], params=net.collect_params())


def _in_bfloat16(symbol: mx.sym.Symbol, in_float32: list[str]) -> mx.sym.Symbol:
    """Let convolutions and dense layers compute in bfloat16; the output is float32.

    Args:
        symbol: Symbol.
        in_float32: Names of convolutions that do not.
    """
    converted = amp.convert_symbol(
        symbol,
        target_dtype="bfloat16",
        data_names=[_DATA],
        excluded_sym_names=in_float32,
    )
    return mx.sym.amp_cast(converted, dtype="float32")


def _check(
    block: gluon.Block,
    net: gluon.Block,
    reference: gluon.Block,
    batches: list[nd.NDArray],
) -> None:
    """Compare predictions with the network's, and training with the reference's."""
    for X in batches:
        _compare([_prediction(net, X)], [_prediction(block, X)])
        _compare(*(_outputs_and_gradients(b, net, X) for b in (reference, block)))


def _see_running(
    block: gluon.Block, net: gluon.Block, batches: list[nd.NDArray]
) -> None:
    """Let a block predict and train; where the device cannot, this raises."""
    for X in batches:
        _prediction(block, X).wait_to_read()
        _outputs_and_gradients(block, net, X)
        nd.waitall()


def _compare(expected: list[nd.NDArray], actual: list[nd.NDArray]) -> None:
    # Rounding alone makes up a gradient that is 0, such as that of a bias before batch
    # normalisation; it is small against the other gradients.
    largest = max(array.abs().max().asscalar() for array in expected)
    for a, b in zip(expected, actual, strict=True):
        tolerance = 1e-3 * a.abs().max().asscalar() + 1e-5 * largest
        if not (a - b).abs().max().asscalar() <= tolerance:
            raise CannotCompileError("its graph gives other numbers")


def _prediction(block: gluon.Block, X: nd.NDArray) -> nd.NDArray:
    with autograd.pause(train_mode=False):
        return block(X).copy()


def _outputs_and_gradients(
    block: gluon.Block, net: gluon.Block, X: nd.NDArray
) -> list[nd.NDArray]:
    trained = [
        parameter
        for parameter in net.collect_params().values()
        if parameter._data is not None and parameter.grad_req != "null"
    ]
    for parameter in trained:
        if parameter.grad_req == "add":
            # Not `zero_grad`: it may set them to zero when they are already new.
            parameter.grad(X.context)[:] = 0

    with autograd.record():
        y = block(X)
    y.backward(nd.cos(nd.arange(y.size, ctx=y.context)).reshape(y.shape))
    return [y.copy(), *(parameter.grad(X.context).copy() for parameter in trained)]


@contextmanager
def _state_kept(net: gluon.Block) -> Iterator[None]:
    """Give running statistics and accumulated gradients their values back."""
    kept = []
    for parameter in net.collect_params().values():
        if parameter._data is None:
            continue
        if parameter.grad_req == "null":
            kept += parameter.list_data()
        elif parameter.grad_req == "add":
            kept += parameter.list_grad()

    values = [array.copy() for array in kept]
    try:
        yield
    finally:
        # Nothing that failed in the background may turn up in the arrays later.
        with suppress(mx.MXNetError):
            nd.waitall()
        for array, value in zip(kept, values, strict=True):
            array[:] = value


@contextmanager
def hybrid_blocks_inactive(net: gluon.Block) -> Iterator[None]:
    """Let hybridized blocks run imperatively, so that their operators are recorded."""
    active = []
    net.apply(lambda block: active.append(block) if _is_active(block) else None)

    for block in active:
        block._active = False
    try:
        yield
    finally:
        for block in active:
            block._active = True


def _has_hooks(net: gluon.Block) -> bool:
    hooks = []
    net.apply(lambda b: hooks.extend([*b._forward_hooks, *b._forward_pre_hooks]))
    return bool(hooks)


def _is_active(block: gluon.Block) -> bool:
    return getattr(block, "_active", False)
