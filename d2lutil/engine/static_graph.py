"""An opt-in fast path: an imperative Gluon block as one static graph.

`D2LUTIL_COMPILE=1` lets `train_ch5`, `train` and `evaluate_accuracy` run a network as
one graph that plans its memory once; `D2LUTIL_DTYPE=bfloat16` lets that graph compute
its convolutions and dense layers in bfloat16.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.contrib import amp

from d2lutil.settings import compiles_networks, compute_dtype

# What a recording leaves out: it depends on the machine and on how a run is made.
RUNS_IMPERATIVELY = "The network runs imperatively, not compiled: {reason}."
USES_FLOAT32 = "This processor has no bfloat16 instructions; float32 is used."

_DATA = "data"


class CannotCompileError(Exception):
    """The reason why a network runs imperatively, as the end of a sentence."""


def compiled_if_asked(net: gluon.Block, X: nd.NDArray) -> gluon.Block:
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
    try:
        return compile_network(net, X, dtype)
    except CannotCompileError as error:
        reason = str(error)
    except mx.MXNetError:
        reason = "MXNet cannot run its graph"
    print(RUNS_IMPERATIVELY.format(reason=reason))
    return net


def compile_network(
    net: gluon.Block, X: nd.NDArray, dtype: str = "float32"
) -> gluon.SymbolBlock:
    """Compile a network into a block that shares its parameters.

    The network is run on a few examples while autograd records it. The recorded graph
    becomes a `SymbolBlock` that is checked against the network, outputs and gradients;
    in bfloat16 it is only seen to run.
    Running statistics and gradients are left as they were.

    Args:
        net: Network of one input and one output, initialised on the device of `X`.
        X: Batch of features (batch, ...).
        dtype: Type that convolutions and dense layers compute in, float32 or bfloat16.
            Parameters, their gradients and the output are float32 in any case.

    Raises:
        CannotCompileError: The graph may not always do what the network does.
    """
    if not isinstance(net, gluon.Block):
        raise CannotCompileError("it is not a Gluon block")
    if any(len(p.list_ctx()) > 1 for p in net.collect_params().values()):
        # There, a static graph was seen to lose updates of running statistics.
        raise CannotCompileError("it trains on several devices")
    if _has_hooks(net):
        raise CannotCompileError("a hook is registered, which would not be called")
    one, two = X[:1], nd.concat(X[:1], X[-1:], dim=0)
    if any(p._deferred_init for p in net.collect_params().values()):
        # Parameters get the values that the same first batch gives them without this.
        with autograd.pause(train_mode=autograd.is_training()):
            net(X)
    with _state_kept(net), _hybrid_blocks_inactive(net):
        graph = _trace(net, two, train_mode=False)
        if _trace(net, two, train_mode=True) != graph:
            raise CannotCompileError(
                "its forward calculates something else in training mode"
            )
        if _trace(net, one, train_mode=True) != graph:
            raise CannotCompileError(
                "its forward depends on the number of examples in a batch"
            )
        if not net.collect_params().keys():
            raise CannotCompileError("it has no parameters")
        symbol = _with_onednn_operators(_load(graph), net, two)
        compiled = _symbol_block(symbol, net)
        with _random_numbers_kept():
            _check(compiled, net, two)
            if dtype == "bfloat16":
                compiled = _symbol_block(_in_bfloat16(symbol), net)
                # Where the device cannot compute it, this raises.
                for array in _outputs_and_gradients(compiled, net, two):
                    array.wait_to_read()
    return compiled


def has_bfloat16() -> bool:
    """Tell whether Linux lists instructions for bfloat16 (x86-64 or Arm)."""
    cpu = Path("/proc/cpuinfo")
    words = cpu.read_text().split() if cpu.exists() else []
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)


def _trace(net: gluon.Block, X: nd.NDArray, train_mode: bool) -> str:
    """Run the network once and return its graph, with parameters named as they are."""
    X = X.copy()
    X.attach_grad()  # A marked array has a name of its own in the graph.
    try:
        with _values_hidden(), autograd.record(train_mode=train_mode):
            y = net(X)
    except CannotCompileError:
        raise
    except Exception as error:
        # Whatever it is: if it is not for the size of the batch, the network raises it
        # again as it runs imperatively.
        raise CannotCompileError("its forward fails on one or two examples") from error
    if not isinstance(y, nd.NDArray):
        raise CannotCompileError("it returns more than one array")
    graph = json.loads(autograd.get_symbol(y).tojson())
    names = _names(net, X.context) | {_name(X): _DATA}
    for i, node in enumerate(graph["nodes"]):
        if node["op"] != "null":
            node["name"] = f"{node['op'].lower()}{i}"
        elif node["name"] in names:
            node["name"] = names[node["name"]]
        else:
            raise CannotCompileError(
                "its forward uses an array that is neither its input nor a parameter"
            )
    return json.dumps(graph)


def _names(net: gluon.Block, ctx: mx.Context) -> dict[str, str]:
    """Map the names that autograd gave to the parameters' arrays to their own."""
    return {
        _name(parameter.data(ctx)): name
        for name, parameter in net.collect_params().items()
        if parameter._data is not None
    }


def _name(array: nd.NDArray) -> str:
    return autograd.get_symbol(array).list_outputs()[0]


def _load(graph: str) -> mx.sym.Symbol:
    try:
        return mx.sym.load_json(graph)
    except mx.MXNetError as error:
        raise CannotCompileError(
            "its forward calls an operator that is not part of MXNet"
        ) from error


def _with_onednn_operators(
    symbol: mx.sym.Symbol, net: gluon.Block, X: nd.NDArray
) -> mx.sym.Symbol:
    """Replace operators by their twins from oneDNN.

    oneDNN keeps arrays in blocks of channels. MXNet's own `relu` and `broadcast_add`
    need the plain layout, so that every residual block would convert its arrays back
    and forth.
    """
    graph = json.loads(symbol.tojson())
    shapes = _shapes(symbol, net, X)
    for node in graph["nodes"]:
        if node["op"] == "relu":
            node |= {"op": "Activation", "attrs": {"act_type": "relu"}}
        elif node["op"] == "broadcast_add":
            left, right = (graph["nodes"][i]["name"] for i, *_ in node["inputs"])
            if left in shapes and shapes[left] == shapes.get(right):
                node["op"] = "elemwise_add"
    return mx.sym.load_json(json.dumps(graph))


def _shapes(
    symbol: mx.sym.Symbol, net: gluon.Block, X: nd.NDArray
) -> dict[str, tuple[int, ...]]:
    """Map the names of inputs and of operators with one output to their shapes."""
    parameters = net.collect_params()
    known = {
        name: X.shape if name == _DATA else parameters[name].shape
        for name in symbol.list_inputs()
    }
    internals = symbol.get_internals()
    _, shapes, _ = internals.infer_shape(**known)
    names = (name.removesuffix("_output") for name in internals.list_outputs())
    return dict(zip(names, shapes, strict=True))


def _symbol_block(symbol: mx.sym.Symbol, net: gluon.Block) -> gluon.SymbolBlock:
    """Turn a graph into a block that uses the parameters of the network."""
    data = mx.sym.var(_DATA, dtype="float32")
    block = gluon.SymbolBlock([symbol], [data], params=net.collect_params())
    block.hybridize(static_alloc=True, static_shape=True)
    return block


def _in_bfloat16(symbol: mx.sym.Symbol) -> mx.sym.Symbol:
    """Let convolutions and dense layers compute in bfloat16; the output is float32."""
    converted = amp.convert_symbol(symbol, target_dtype="bfloat16", data_names=[_DATA])
    return mx.sym.amp_cast(converted, dtype="float32")


def _check(compiled: gluon.Block, net: gluon.Block, X: nd.NDArray) -> None:
    """Compare outputs and gradients, in training mode, with the same random numbers."""
    expected, actual = (
        _outputs_and_gradients(block, net, X) for block in (net, compiled)
    )
    # Rounding alone makes up a gradient that is 0, such as that of a bias before batch
    # normalisation; it is small against the other gradients.
    largest = max(array.abs().max().asscalar() for array in expected)
    for a, b in zip(expected, actual, strict=True):
        tolerance = 1e-3 * a.abs().max().asscalar() + 1e-5 * largest
        if not (a - b).abs().max().asscalar() <= tolerance:
            raise CannotCompileError("its graph gives other numbers")


def _outputs_and_gradients(
    block: gluon.Block, net: gluon.Block, X: nd.NDArray
) -> list[nd.NDArray]:
    mx.random.seed(0)
    with autograd.record():
        y = block(X)
    y.backward(nd.cos(nd.arange(y.size, ctx=y.context)).reshape(y.shape))
    gradients = [
        parameter.grad(X.context).copy()
        for parameter in net.collect_params().values()
        if parameter._data is not None and parameter.grad_req != "null"
    ]
    return [y.copy(), *gradients]


@contextmanager
def _random_numbers_kept() -> Iterator[None]:
    """Let the next random numbers depend on the user's seed, as without this."""
    next_seed = int(nd.random.randint(0, 2**31 - 1).asscalar())
    try:
        yield
    finally:
        mx.random.seed(next_seed)


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
        for array, value in zip(kept, values, strict=True):
            array[:] = value


@contextmanager
def _hybrid_blocks_inactive(net: gluon.Block) -> Iterator[None]:
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


@contextmanager
def _values_hidden() -> Iterator[None]:
    """Refuse to read numbers from arrays: they would be baked into the graph."""

    def refuse(self: nd.NDArray) -> None:
        raise CannotCompileError("its forward reads the numbers in an array")

    asnumpy, nd.NDArray.asnumpy = nd.NDArray.asnumpy, refuse
    try:
        yield
    finally:
        nd.NDArray.asnumpy = asnumpy
