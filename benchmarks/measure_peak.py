"""Measure a large matrix product: `python -m benchmarks.measure_peak bfloat16`.

Prints one line of JSON. Its speed is the limit that `make bench` compares with; it is
null in bfloat16 where the processor has no instructions for it.
"""

import json
import sys
import time

# Before MXNet, which then computes on all cores.
import d2lutil  # noqa: F401

# isort: split
import mxnet as mx
from mxnet import nd, sym
from mxnet.contrib import amp

from d2lutil.engine.static_graph import has_bfloat16

SIZE = 4096
NUM_PRODUCTS = 4
NUM_RUNS = 4


def product_graph(dtype: str) -> sym.Symbol:
    """Return the graph of `NUM_PRODUCTS` products, one after the other.

    Inputs are converted once and the result is converted back, so that conversions
    take little of the time.

    Args:
        dtype: Type to compute in, "float32" or "bfloat16".
    """
    X, W = sym.var("X"), sym.var("W")
    for _ in range(NUM_PRODUCTS):
        X = sym.FullyConnected(X, W, no_bias=True, num_hidden=SIZE)
    if dtype == "bfloat16":
        X = amp.convert_symbol(X, target_dtype=dtype, data_names=["X", "W"])
    return sym.amp_cast(X, dtype="float32")


def measure(dtype: str) -> float:
    """Return the floating-point operations per second of the fastest run, in 10^9.

    Args:
        dtype: Type to compute in, "float32" or "bfloat16".
    """
    inputs = {name: nd.full((SIZE, SIZE), 1 / SIZE) for name in "XW"}
    executor = product_graph(dtype).bind(mx.cpu(), inputs)
    seconds = []
    for _ in range(NUM_RUNS):
        start = time.perf_counter()
        executor.forward()[0].wait_to_read()
        seconds.append(time.perf_counter() - start)
    return NUM_PRODUCTS * 2 * SIZE**3 / min(seconds) / 1e9


if __name__ == "__main__":
    dtype = sys.argv[1]
    can_compute = dtype == "float32" or has_bfloat16()
    print(json.dumps({"gflops": measure(dtype) if can_compute else None}))
