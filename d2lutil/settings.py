"""The run scales, and what variables of the environment say.

Every variable that d2lutil reads is read and checked here, when it is needed.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

MOST_THREADS = 4096

# One edge length in pixels, or width and height, as gluon's Resize takes them.
Resize: TypeAlias = int | tuple[int, int] | None


@dataclass(frozen=True)
class Scale:
    """How many images of Fashion-MNIST are used at most.

    Attributes:
        name: The value of `D2LUTIL_SCALE` that selects this scale.
        num_train: Number of training images.
        num_test: Number of test images.
    """

    name: str
    num_train: int
    num_test: int


FULL = Scale("full", 60_000, 10_000)
LESSON = Scale("lesson", 60_000, 10_000)
SMOKE = Scale("smoke", 500, 250)

_SCALES = {scale.name: scale for scale in (FULL, LESSON, SMOKE)}

# Without `lesson`, images of more pixels are as many fewer: training takes as long.
_EDGE_FOR_ALL = 56
_PART_OF_TEST = 2_000


@dataclass(frozen=True)
class Images:
    """Which images of Fashion-MNIST a training uses.

    Attributes:
        num_train: Number of training images.
        num_test: Number of test images.
        height: Height of the images in pixels.
        width: Their width.
    """

    num_train: int
    num_test: int
    height: int
    width: int


_lesson: dict[str, int | None] = {"num_train": None, "pixels": None}


def run_scale(name: str | None = None) -> Scale:
    """Return the scale that this run has, or the one with a name.

    Without `D2LUTIL_SCALE` a run has the scale `full` where `try_gpu()` finds a GPU,
    else `lesson`.

    Args:
        name: full, lesson or smoke; None for the scale of this run.

    Raises:
        ValueError: The name, or the value of `D2LUTIL_SCALE`, is none of the three.

    Example:
        >>> run_scale("smoke").num_train
        500
    """
    if name is not None:
        return _named_scale(name, "The scale")
    if name := os.environ.get("D2LUTIL_SCALE"):
        return _named_scale(name, "D2LUTIL_SCALE")

    # Only here: MXNet reads how many threads it is to use while it loads.
    import mxnet as mx

    from d2lutil.device import try_gpu

    return LESSON if try_gpu() == mx.cpu() else FULL


def lesson(*, num_train: int | None = None, pixels: int | None = None) -> None:
    """Say how many images a lesson takes, and at which resolution.

    It holds for whatever is loaded afterwards, at the scales lesson and smoke; at scale
    full it changes nothing. Called without arguments, it is as if it had not been
    called: images keep the resolution that a cell asks for, and above 56 pixels there
    are as many fewer of them.

    Args:
        num_train: Number of training images, 10 to 60,000; smoke takes no more than its
            500. With fewer than 60,000 there are 2,000 test images.
        pixels: Highest edge length of the images, in pixels.

    Raises:
        ValueError: An argument is not such a number.

    Example:
        >>> lesson(num_train=24_000, pixels=72)
        >>> images_used(resize=224, scale=run_scale("lesson"))
        Images(num_train=24000, num_test=2000, height=72, width=72)
        >>> lesson()
    """
    if num_train is not None:
        check_positive_int("num_train", num_train)
        if not 10 <= num_train <= FULL.num_train:
            raise ValueError(f"num_train is {num_train}; give 10 to {FULL.num_train}.")
    if pixels is not None:
        check_positive_int("pixels", pixels)

    _lesson.update(num_train=num_train, pixels=pixels)


def highest_edge() -> int | None:
    """Return the edge length that `lesson` allows in this run, None if any."""
    return None if run_scale() == FULL else _lesson["pixels"]


def images_used(resize: Resize, scale: Scale | None = None) -> Images:
    """Return which images are used where a cell asks for all of them at a size.

    Args:
        resize: Edge length in pixels, or width and height; None stands for 28.
        scale: Run scale; None for that of this run.
    """
    scale = scale or run_scale()
    width, height = width_and_height(resize)
    if scale == FULL:
        return Images(FULL.num_train, FULL.num_test, height, width)

    if highest := _lesson["pixels"]:
        width, height = min(width, highest), min(height, highest)
    bearable = int(scale.num_train * min(1, _EDGE_FOR_ALL**2 / (width * height)))
    num_train = min(_lesson["num_train"] or bearable, scale.num_train)

    num_classes = 10  # As many images of each.
    num_train = max(num_train // num_classes, 1) * num_classes
    num_test = scale.num_test if num_train == scale.num_train else _PART_OF_TEST
    return Images(num_train, min(num_test, scale.num_test), height, width)


def width_and_height(resize: Resize) -> tuple[int, ...]:
    """Return the width and the height, in pixels, that an argument `resize` means."""
    if isinstance(resize, tuple | list):
        return tuple(resize)
    return (resize or 28,) * 2


def check_positive_int(name: str, value: Any) -> None:
    """Refuse what is not a whole number greater than 0.

    Raises:
        ValueError: It is something else; the message names the argument.
    """
    # Numbers of NumPy are no int, but have an index.
    is_int = hasattr(value, "__index__") and not isinstance(value, bool)
    if not is_int or value <= 0:
        raise ValueError(f"{name} is {value!r}; give a whole number greater than 0.")


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
