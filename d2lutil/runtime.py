"""Settings of the machine that must be made before mxnet is loaded."""

import os

from loky import cpu_count


def configure_threads() -> None:
    """Set how many threads MXNet computes with, and how they wait for each other.

    Variables of the environment that are already set stay.
    """
    _use_physical_cores()
    _sleep_soon()


def _use_physical_cores() -> None:
    """Let MXNet compute on every physical core this process may use.

    MXNet starts with half of the logical processors as OpenMP threads, which leaves
    half of a machine without hyper-threads idle. The count respects CPU affinity and
    container limits.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(cpu_count(only_physical_cores=True)))


def _sleep_soon() -> None:
    """Let threads that wait for the others give their core away after a moment.

    GNU OpenMP's threads keep their cores busy while they wait. Where another program
    wants a core, the thread that all others wait for may get none.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", "1000")
