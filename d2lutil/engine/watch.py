"""What a network's forward does besides calling operators.

A static graph repeats the operators that one forward called. Another forward calls the
same ones unless its Python code looked at something that may have changed by then.
"""

import random
import sys
from collections.abc import Callable
from functools import partial
from types import CodeType, FrameType, TracebackType
from typing import Any, Self

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

_READS = "reads the numbers in an array"
_FILLS = "fills an array with numbers"
_MODE = "asks for training mode, or changes it"
_DRAWS = "draws random numbers from Python or NumPy"
_SEEDS = "sets the seed of random numbers"
_PRINTS = "prints"
_CHANGES = "changes an attribute of a block"

_ACTS: dict[CodeType, str] = {
    function.__code__: act
    for act, functions in {
        _READS: [
            nd.NDArray.asnumpy,
            nd.NDArray.__getstate__,
            nd.to_dlpack_for_read,
            nd.to_dlpack_for_write,
            nd.save,
        ],
        _FILLS: [
            nd.NDArray.__setitem__,
            nd.NDArray.__iadd__,
            nd.NDArray.__isub__,
            nd.NDArray.__imul__,
            nd.NDArray.__itruediv__,
        ],
        _MODE: [
            autograd.is_training,
            autograd.is_recording,
            autograd.set_training,
            autograd.set_recording,
        ],
        _SEEDS: [mx.random.seed],
    }.items()
    for function in functions
}

_SHAPE = nd.NDArray.shape.fget.__code__

# What MXNet does with a shape here does not end up in an operator's arguments. Others,
# such as indexing and the method `reshape`, turn it into literal numbers.
_KEEP_SHAPE_TO_THEMSELVES: set[CodeType] = {
    nd.NDArray.ndim.fget.__code__,
    nd.NDArray.astype.__code__,
    nd.NDArray.copyto.__code__,
}


class Watch:
    """Notes what Python code does in this thread, and takes back what it can.

    Python lets each thread have a function of its own told about the calls in it, as
    profilers do: no function is replaced, and other threads do not notice. At the end,
    random generators of Python and NumPy that the code drew from and attributes of the
    network's blocks are as they were before.

    Args:
        net: Network whose forward is watched.

    Attributes:
        acts: What a static graph would not repeat, as ends of "its forward ...", in
            the order in which it happened.
        sees_shape: Whether the code read the shape of an array.

    Example:
        >>> X = nd.ones((2, 3))
        >>> with Watch(gluon.nn.Dense(1)) as watch:
        ...     y = X * X.mean().asscalar()
        >>> watch.acts
        ['reads the numbers in an array']
    """

    def __init__(self, net: gluon.Block) -> None:
        self.acts: list[str] = []
        self.sees_shape = False
        self._net = net
        self._attributes: list[tuple[gluon.Block, dict[str, Any]]] = []
        self._generators: dict[int, Callable[[], None]] = {}

    def __enter__(self) -> Self:
        """Start."""
        self._net.apply(
            lambda block: self._attributes.append((block, vars(block).copy()))
        )
        sys.setprofile(self._on_event)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop, and take back what the code changed."""
        sys.setprofile(None)

        for restore in self._generators.values():
            restore()
        for block, attributes in self._attributes:
            if not _same_objects(vars(block), attributes):
                self.acts.append(_CHANGES)
                block.__dict__ = attributes

    def _on_event(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "call":
            self._note_call(frame.f_code, frame.f_back)
        elif event == "c_call":
            self._note_built_in(argument, frame)

    def _note_call(self, code: CodeType, caller: FrameType | None) -> None:
        if code in _ACTS:
            self.acts.append(_ACTS[code])
        elif code is _SHAPE:
            assert caller, "the forward itself has one"
            self.sees_shape |= caller.f_code not in _KEEP_SHAPE_TO_THEMSELVES

    def _note_built_in(self, function: Any, caller: FrameType) -> None:
        if function is print:
            self.acts.append(_PRINTS)
            return

        owner = getattr(function, "__self__", None)
        # The first forward also initialises parameters: these numbers are not its own.
        is_initializer = caller.f_globals.get("__name__") == mx.initializer.__name__
        if not is_initializer and (restore := _restoring(owner)):
            self.acts.append(_DRAWS)
            self._generators.setdefault(id(owner), restore)


def _restoring(generator: Any) -> Callable[[], None] | None:
    """Return what gives a random generator its state back; None for anything else."""
    match generator:
        case random.Random():
            return partial(generator.setstate, generator.getstate())
        case np.random.RandomState():
            return partial(generator.set_state, generator.get_state())
        case np.random.Generator():
            bits = generator.bit_generator
            return partial(setattr, bits, "state", bits.state)
    return None


def _same_objects(attributes: dict[str, Any], before: dict[str, Any]) -> bool:
    return attributes.keys() == before.keys() and all(
        attributes[name] is value for name, value in before.items()
    )
