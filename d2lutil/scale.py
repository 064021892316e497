"""The run scale: how much of the book's data and resolution a run uses."""

import os
from dataclasses import dataclass, field

import mxnet as mx

from d2lutil.device import try_gpu


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


def current_scale() -> Scale:
    """Return the scale that `D2LUTIL_SCALE` names.

    Without it, the scale is `full` where `try_gpu()` finds a GPU, else `lesson`.

    Raises:
        ValueError: `D2LUTIL_SCALE` is none of full, lesson, smoke.
    """
    name = os.environ.get("D2LUTIL_SCALE")
    if not name:
        return LESSON if try_gpu() == mx.cpu() else FULL
    if name not in _SCALES:
        raise ValueError(
            f"D2LUTIL_SCALE is {name!r}; set it to full, lesson or smoke, or unset it."
        )
    return _SCALES[name]
