"""Find the devices that a network can be trained on."""

import platform
from pathlib import Path

import mxnet as mx
from mxnet import nd


def _gpu_works(device_id: int) -> bool:
    """Tell whether a small computation on the GPU succeeds."""
    try:
        # Asking for the count first keeps MXNet built without CUDA from logging.
        if device_id >= mx.context.num_gpus():
            return False
        nd.ones((1,), ctx=mx.gpu(device_id)).wait_to_read()
    except mx.base.MXNetError:
        return False
    return True


def try_gpu() -> mx.Context:
    """Return `mx.gpu(0)` if a computation on it succeeds, else `mx.cpu()`.

    Mirrors `gluonbook.try_gpu`.

    Example:
        >>> try_gpu() in (mx.gpu(0), mx.cpu())
        True
    """
    return mx.gpu(0) if _gpu_works(0) else mx.cpu()


def try_all_gpus() -> list[mx.Context]:
    """Return the GPUs before the first that fails to compute, or `[mx.cpu()]`.

    Mirrors `gluonbook.try_all_gpus`.

    Example:
        >>> len(try_all_gpus()) >= 1
        True
    """
    gpus: list[mx.Context] = []
    while _gpu_works(len(gpus)):
        gpus.append(mx.gpu(len(gpus)))
    return gpus or [mx.cpu()]


def processor_name() -> str:
    """Return the name of the processor, as far as the system tells it."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if "model name" in line]
    return names[0] if names else platform.processor() or platform.machine()
