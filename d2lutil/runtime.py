"""Settings of the machine that must be made before mxnet is loaded."""

import os

from loky import cpu_count


def use_physical_cores() -> None:
    """Let MXNet compute on every physical core this process may use.

    MXNet starts with half of the logical processors as OpenMP threads, which leaves
    half of a machine without hyper-threads idle. The count respects CPU affinity and
    container limits. A value of `OMP_NUM_THREADS` that is already set stays.
    """
    os.environ.setdefault("OMP_NUM_THREADS", str(cpu_count(only_physical_cores=True)))
