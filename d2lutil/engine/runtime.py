"""All that is set on the machine, before MXNet and Matplotlib are loaded."""

import ctypes
import os
import platform
import sys

from loky import cpu_count

from d2lutil import settings
from d2lutil.engine.fonts import configure_fonts

# Numbers that glibc's malloc.h gives to the parameters of mallopt.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8

_MiB = 1 << 20
_NEVER = -1

_INLINE = "module://matplotlib_inline.backend_inline"


def configure_threads() -> None:
    """Set how many threads MXNet computes with, and how they wait for each other.

    Variables of the environment that are already set stay. MXNet reads them while it
    loads; where that was too early, a line on stderr says how to mend it.

    Raises:
        ValueError: A variable that sets a number of threads has another value.
    """
    settings.check_threads_of_mxnet()
    chosen = settings.num_threads()
    cores = cpu_count(only_physical_cores=True)
    mxnet_default = _mxnet_default()
    if "mxnet" in sys.modules and chosen is None and cores != mxnet_default:
        restart = (
            ", after a restart of the kernel" if "ipykernel" in sys.modules else ""
        )
        print(
            f"mxnet was imported before d2lutil and computes with {mxnet_default} "
            f"thread(s) instead of {cores}; import d2lutil first{restart}.",
            file=sys.stderr,
        )
    # The number of cores respects CPU affinity and container limits.  A list of
    # numbers, which OpenMP allows, would end the process as MXNet loads.
    os.environ["OMP_NUM_THREADS"] = str(chosen or cores)
    _sleep_soon()


def configure_memory() -> None:
    """Let glibc keep freed memory for the next batch, where glibc is in use.

    By default it returns every large buffer to the kernel when it is freed, and the
    next batch pays for each page anew. Buffers below 80 MiB (32 MiB with an older
    glibc) now come from one heap that keeps what is freed; larger ones still go back at
    once, so that the peak grows by no more than about a quarter. Settings of malloc in
    the environment stay.
    """
    libc = _glibc()
    if not libc or _malloc_is_configured():
        return
    # Heaps of threads hold no large buffers: without this limit they would be mapped.
    libc.mallopt(_M_ARENA_MAX, 1)
    if not libc.mallopt(_M_MMAP_THRESHOLD, 80 * _MiB):
        # The most that older versions of glibc accept.
        libc.mallopt(_M_MMAP_THRESHOLD, 32 * _MiB)
    libc.mallopt(_M_TRIM_THRESHOLD, _NEVER)


def keep_buffers_of_any_size() -> None:
    """Let glibc keep larger buffers, too, for a graph that has planned its memory.

    What is still asked for in each step are an operator's own buffers, one at a time:
    in DenseNet one of 90 MiB, whose new pages took a tenth of the step. Settings of
    malloc in the environment stay.
    """
    libc = _glibc()
    if libc and not _malloc_is_configured():
        libc.mallopt(_M_MMAP_THRESHOLD, 1024 * _MiB)


def configure_plots() -> None:
    """Let figures draw Chinese text, and a notebook show them whatever `MPLBACKEND` is.

    Containers and clusters set that for programs, often to Agg. What the reader chose
    in the notebook, such as `%matplotlib widget`, stays.
    """
    configure_fonts()
    backend = os.environ.get("MPLBACKEND")
    if backend in (None, "", _INLINE) or "ipykernel" not in sys.modules:
        return
    from IPython import get_ipython

    if not hasattr(get_ipython(), "kernel"):
        return
    os.environ["MPLBACKEND"] = _INLINE
    matplotlib = sys.modules.get("matplotlib")
    if matplotlib and matplotlib.get_backend().lower() == backend.lower():
        get_ipython().run_line_magic("matplotlib", "inline")


def _mxnet_default() -> int:
    """Return how many OpenMP threads MXNet chooses by itself.

    On x86-64 it takes half of the logical processors, which leaves half of a machine
    without hyper-threads idle (src/engine/openmp.cc of MXNet).
    """
    if hasattr(os, "sched_getaffinity"):
        processors = len(os.sched_getaffinity(0))
    else:
        processors = os.cpu_count() or 1
    return max(1, processors // 2) if platform.machine() == "x86_64" else processors


def _sleep_soon() -> None:
    """Let threads that wait for the others give their core away after a moment.

    GNU OpenMP's threads keep their cores busy while they wait. Where another program
    wants a core, the thread that all others wait for may get none.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")


def _glibc() -> ctypes.CDLL | None:
    """Return the C library if it is the one of GNU."""
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None


def _malloc_is_configured() -> bool:
    """Tell whether the user has set malloc's parameters by glibc's own variables."""
    return "glibc.malloc" in os.environ.get("GLIBC_TUNABLES", "") or any(
        name.startswith("MALLOC_") for name in os.environ
    )
