"""The run scales, and what variables of the environment say.

Every variable that d2lutil reads is read and checked here, when it is needed.
"""

import os
from dataclasses import dataclass, field
from pathlib import Path

MOST_THREADS = 4096


@dataclass(frozen=True)
class Scale:
    """How many images of Fashion-MNIST are used, and at which resolution.

    Attributes:
        name: The value of `D2LUTIL_SCALE` that selects this scale.
        num_train: Number of training images.
        num_test: Number of test images.
        pixels: Which edge length, in pixels, replaces the one that a cell asks for.
            An edge length that is not listed stays.
    """

    name: str
    num_train: int
    num_test: int
    pixels: dict[int, int] = field(default_factory=dict)


# AlexNet and NiN need at least 67 pixels; the images are 28 pixels to begin with.
_LAPTOP_PIXELS = {224: 72, 96: 48}

FULL = Scale("full", 60_000, 10_000)
LESSON = Scale("lesson", 24_000, 2_000, _LAPTOP_PIXELS)
SMOKE = Scale("smoke", 500, 250, _LAPTOP_PIXELS)

_SCALES = {scale.name: scale for scale in (FULL, LESSON, SMOKE)}


def run_scale(name: str | None = None) -> Scale:
    """Return the scale that this run has, or the one with a name.

    Without `D2LUTIL_SCALE` a run has the scale `full` where `try_gpu()` finds a GPU,
    else `lesson`.

    Args:
        name: full, lesson or smoke; None for the scale of this run.

    Raises:
        ValueError: The name, or the value of `D2LUTIL_SCALE`, is none of the three.

    Example:
        >>> run_scale("lesson").num_train
        24000
    """
    if name is not None:
        return _named_scale(name, "The scale")
    if name := os.environ.get("D2LUTIL_SCALE"):
        return _named_scale(name, "D2LUTIL_SCALE")

    # Only here: MXNet reads how many threads it is to use while it loads.
    import mxnet as mx

    from d2lutil.device import try_gpu

    return LESSON if try_gpu() == mx.cpu() else FULL


def data_folder() -> Path | None:
    """Return the folder that `D2LUTIL_DATA` names, None if it is not set."""
    return _folder("D2LUTIL_DATA")


def checkpoint_folder() -> Path | None:
    """Return the folder that `D2LUTIL_CHECKPOINT` names, None if it is not set."""
    return _folder("D2LUTIL_CHECKPOINT")


def compute_dtype() -> str:
    """Return the type that `D2LUTIL_DTYPE` names: float32 or bfloat16.

    Raises:
        ValueError: It names another one.
    """
    return _choice("D2LUTIL_DTYPE", "float32", "bfloat16", default="float32")


def compiles_networks(default: str = "0") -> bool:
    """Tell whether `D2LUTIL_COMPILE` or `D2LUTIL_DTYPE` asks for a static graph.

    Args:
        default: What `D2LUTIL_COMPILE` means where it is not set, 0 or 1.

    Raises:
        ValueError: One of the two has an unknown value.
    """
    compiles = _choice("D2LUTIL_COMPILE", "0", "1", default) == "1"
    return compiles or compute_dtype() == "bfloat16"


def num_threads() -> int | None:
    """Return how many threads `OMP_NUM_THREADS` asks for, None if it is not set.

    OpenMP allows a list, one number for each level of nesting; MXNet uses the first.

    Raises:
        ValueError: It is not a number of threads.
    """
    value = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()
    return _number_of_threads("OMP_NUM_THREADS", value) if value else None


def check_threads_of_mxnet() -> None:
    """Refuse what would end the process, without a word on why, as MXNet loads.

    Raises:
        ValueError: A variable such as `MXNET_CPU_WORKER_NTHREADS` is not a number of
            threads.
    """
    for variable, value in os.environ.items():
        if variable.startswith("MXNET_") and variable.endswith("THREADS") and value:
            _number_of_threads(variable, value)


def _named_scale(name: str, source: str) -> Scale:
    if name not in _SCALES:
        raise ValueError(
            f"{source} is {name!r}; set it to full, lesson or smoke, or unset it."
        )
    return _SCALES[name]


def _folder(variable: str) -> Path | None:
    value = os.environ.get(variable)
    return Path(value).expanduser().absolute() if value else None


def _choice(variable: str, first: str, second: str, default: str) -> str:
    """Return the value of a variable that has two."""
    value = os.environ.get(variable) or default
    if value not in (first, second):
        raise ValueError(
            f"{variable} is {value!r}; set it to {first} or {second}, or unset it."
        )
    return value


def _number_of_threads(variable: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= MOST_THREADS):
        raise ValueError(
            f"{variable} is {value!r}; set it to a number of threads, such as 2, or "
            "unset it."
        )
    return int(value)
