"""Train a section as a lesson does: `python -m benchmarks.measure_lesson 08-nin 0`.

The second argument is the seed; two more are the number of training images and the
pixels, where they are not the section's own. Prints what the section prints.
"""

import os
import sys

import d2lutil as gb

# isort: split
import mxnet as mx
import numpy as np

from d2lutil.pages import sections


def train(section: str, seed: int, *size: int) -> None:
    """Run the book's own cells of a section, and its cell on lessons.

    Args:
        section: Name of the section.
        seed: Seed of all random numbers.
        *size: Number of training images and pixels, in place of the section's own.
    """
    mx.random.seed(seed)
    np.random.seed(seed)
    if size:
        num_train, pixels = size
        gb.lesson(num_train=num_train, pixels=pixels)

    names: dict = {}
    for cell in sections.code_cells(sections.read(section)):
        source = sections.source(cell)
        is_lesson = source.startswith("gb.lesson(")
        if not sections.is_added(cell) or (is_lesson and not size):
            exec(source, names)


if __name__ == "__main__":
    os.environ["D2LUTIL_SCALE"] = "lesson"
    train(sys.argv[1], *map(int, sys.argv[2:]))
