"""Load the images of Fashion-MNIST: the book's copy, or files of the user's own.

Source: Xiao, Rasul and Vollgraf (2017), "Fashion-MNIST: a novel image dataset for
benchmarking machine learning algorithms".
"""

import os
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from d2lutil.data.files import find_folder, read
from d2lutil.data.loader import BatchLoader, check_resize
from d2lutil.settings import (
    FULL,
    Images,
    Resize,
    check_positive_int,
    images_used,
    run_scale,
)

# The folder of gluonbook, which downloaded into it; here it stands for "none given".
DEFAULT_ROOT = os.path.join("~", ".mxnet", "datasets", "fashion-mnist")

# What a run prints where it is not the book's; tests leave it out, by this pattern.
DIFFERS = (
    "Fashion-MNIST: {scale} scale, {used.num_train} + {used.num_test} images of "
    "{used.height} x {used.width} pixels (asked: {asked.num_train} + {asked.num_test} "
    "of {asked.height} x {asked.width}); D2LUTIL_SCALE=full gives the book's run"
)

TEXT_LABELS = [
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]


def load_data_fashion_mnist(
    batch_size: int, resize: Resize = None, root: str | os.PathLike = DEFAULT_ROOT
) -> tuple[BatchLoader, BatchLoader]:
    """Return a shuffled loader of the training images and a loader of the test images.

    The data are the book's copy. `root`, if given, and the folder in `$D2LUTIL_DATA`
    go first where they hold the four files, compressed or not; where they hold none of
    them, one printed line says so. Nothing is downloaded.

    The run scale (`D2LUTIL_SCALE`) and `lesson` set how many images are used and at
    which resolution; one printed line says so whenever that differs from the whole
    dataset at `resize` pixels. Mirrors `gluonbook.load_data_fashion_mnist`.

    Args:
        batch_size: Number of images per batch.
        resize: Edge length of the images in pixels, or their width and height; None
            keeps their 28 x 28.
        root: Folder of the dataset; the default stands for none.

    Raises:
        ValueError: `batch_size` or `resize` is not a positive whole number,
            `D2LUTIL_SCALE` is unknown, or a folder holds only some of the files or a
            damaged one.

    Example:
        >>> train_iter, test_iter = load_data_fashion_mnist(256)  # doctest: +ELLIPSIS
        Fashion-MNIST: ... scale, ...
        >>> for X, y in train_iter:
        ...     break
        >>> X.shape, y.shape
        ((256, 1, 28, 28), (256,))
    """
    check_positive_int("batch_size", batch_size)
    check_resize(resize)

    used = images_used(resize)
    given = [] if Path(root) == Path(DEFAULT_ROOT) else [Path(root)]
    data = read(find_folder(given))
    train = _part(data.train_images, data.train_labels, used.num_train)
    test = _part(data.test_images, data.test_labels, used.num_test)

    _say_what_differs(used, asked=images_used(resize, FULL))
    size = (used.width, used.height)
    return (
        BatchLoader(*train, batch_size, size, shuffle=True),
        BatchLoader(*test, batch_size, size),
    )


def get_fashion_mnist_labels(labels: Iterable[float]) -> list[str]:
    """Return the names of the classes 0 to 9.

    Mirrors `gluonbook.get_fashion_mnist_labels`.

    Raises:
        ValueError: A label is not one of these numbers.

    Example:
        >>> get_fashion_mnist_labels([0, 9])
        ['t-shirt', 'ankle boot']
    """
    for label in (labels := list(labels)):
        if label not in range(len(TEXT_LABELS)):
            raise ValueError(f"A label is {label}; the classes are 0 to 9.")
    return [TEXT_LABELS[int(i)] for i in labels]


def _part(
    images: np.ndarray, labels: np.ndarray, num_images: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the first images of each class and their labels, in the files' order."""
    if num_images == len(labels):
        return images, labels

    num_classes = len(TEXT_LABELS)
    of_each = [
        np.flatnonzero(labels == label)[: num_images // num_classes]
        for label in range(num_classes)
    ]
    chosen = np.sort(np.concatenate(of_each))
    return images[chosen], labels[chosen]


def _say_what_differs(used: Images, asked: Images) -> None:
    """Print one line if the run is not the one that the book asks for."""
    if used != asked:
        print(DIFFERS.format(scale=run_scale().name, used=used, asked=asked))
