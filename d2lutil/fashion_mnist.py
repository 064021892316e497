"""Load the images of Fashion-MNIST: the book's copy, or files of the user's own.

Source: Xiao, Rasul and Vollgraf (2017), "Fashion-MNIST: a novel image dataset for
benchmarking machine learning algorithms".
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import mxnet as mx
import numpy as np
from mxnet import nd

from d2lutil.data.files import FashionMNIST, find_folder, read
from d2lutil.settings import FULL, Scale, run_scale

# The folder of gluonbook, which downloaded into it; here it stands for "none given".
DEFAULT_ROOT = os.path.join("~", ".mxnet", "datasets", "fashion-mnist")

# One edge length in pixels, or width and height, as gluon's Resize takes them.
Resize: TypeAlias = int | tuple[int, int] | None


# What a run prints where it is not the book's; tests leave it out, by this pattern.
DIFFERS = (
    "Fashion-MNIST: {scale.name} scale, {scale.num_train} + {scale.num_test} images of "
    "{size} pixels (asked: {asked.num_train} + {asked.num_test} of {size_asked}); "
    "D2LUTIL_SCALE=full gives the book's run"
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


class BatchLoader:
    """Iterate over images and labels in batches, as gluon's `DataLoader` does.

    The images stay as uint8 and are resized a batch at a time, which gives the same
    numbers as gluon's `Resize` and `ToTensor` on every single image.

    Args:
        images: uint8 array (num_images, height, width, num_channels).
        labels: Array of whole numbers (num_images,).
        batch_size: Number of images per batch; the last batch may be smaller.
        resize: Edge length in pixels of the images to yield, or their width and
            height; None keeps theirs.
        shuffle: Whether to draw a new order, from `np.random`, for every pass.

    Raises:
        ValueError: An argument does not have this form.

    Example:
        >>> images = np.zeros((5, 28, 28, 1), np.uint8)
        >>> loader = BatchLoader(images, np.arange(5), batch_size=2, resize=72)
        >>> [X.shape for X, y in loader]
        [(2, 1, 72, 72), (2, 1, 72, 72), (1, 1, 72, 72)]
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        resize: Resize = None,
        shuffle: bool = False,
    ) -> None:
        _check_images(images, labels)
        _check_positive_int("batch_size", batch_size)
        _check_resize(resize)

        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.resize = resize
        self.shuffle = shuffle

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.labels) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[nd.NDArray, nd.NDArray]]:
        """Yield images, float32 (n, num_channels, height, width), and labels (n,)."""
        order = np.arange(len(self.labels))
        if self.shuffle:
            np.random.shuffle(order)

        for start in range(0, len(order), self.batch_size):
            batch = order[start : start + self.batch_size]
            X = nd.array(self.images[batch], dtype=np.uint8)
            if self.resize:
                X = mx.nd.image.resize(X, _width_and_height(self.resize))
            yield mx.nd.image.to_tensor(X), nd.array(self.labels[batch], dtype=np.int32)


def load_data_fashion_mnist(
    batch_size: int, resize: Resize = None, root: str | os.PathLike = DEFAULT_ROOT
) -> tuple[BatchLoader, BatchLoader]:
    """Return a shuffled loader of the training images and a loader of the test images.

    The data are the book's copy. `root`, if given, and the folder in `$D2LUTIL_DATA`
    go first where they hold the four files, compressed or not; where they hold none of
    them, one printed line says so. Nothing is downloaded.

    The run scale (`D2LUTIL_SCALE`) sets how many images are used and at which
    resolution; one printed line says so whenever that differs from the whole dataset
    at `resize` pixels. Mirrors `gluonbook.load_data_fashion_mnist`.

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
    _check_positive_int("batch_size", batch_size)
    _check_resize(resize)

    scale = run_scale()
    pixels = scale.pixels.get(resize, resize) if isinstance(resize, int) else resize
    given = [] if Path(root) == Path(DEFAULT_ROOT) else [Path(root)]
    data = _balanced_part(read(find_folder(given)), scale)
    _say_what_differs(scale, resize, pixels)

    return (
        BatchLoader(
            data.train_images, data.train_labels, batch_size, pixels, shuffle=True
        ),
        BatchLoader(data.test_images, data.test_labels, batch_size, pixels),
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


def _check_images(images: np.ndarray, labels: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or 0 in images.shape:
        raise ValueError(
            f"The images are {images.dtype} {images.shape}; give a uint8 array of the "
            "shape (num_images, height, width, num_channels), none of them 0."
        )

    if np.shape(labels) != (len(images),):
        raise ValueError(
            f"The labels have the shape {np.shape(labels)}; give one label for each of "
            f"the {len(images)} images."
        )


def _check_positive_int(name: str, value: Any) -> None:
    is_int = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_int or value <= 0:
        raise ValueError(f"{name} is {value!r}; give a whole number greater than 0.")


def _check_resize(resize: Resize) -> None:
    if resize is not None:
        for number in resize if isinstance(resize, tuple | list) else (resize,):
            _check_positive_int("resize", number)
        if len(_width_and_height(resize)) != 2:
            raise ValueError(f"resize is {resize!r}; give one number, or two.")


def _width_and_height(resize: Resize) -> tuple[int, ...]:
    if isinstance(resize, tuple | list):
        return tuple(resize)
    return (resize or 28,) * 2


def _balanced_part(data: FashionMNIST, scale: Scale) -> FashionMNIST:
    """Return the first images of each class, in the order of the files."""
    if scale == FULL:
        return data

    train = _first_of_each_class(data.train_labels, scale.num_train)
    test = _first_of_each_class(data.test_labels, scale.num_test)
    return FashionMNIST(
        data.train_images[train],
        data.train_labels[train],
        data.test_images[test],
        data.test_labels[test],
    )


def _first_of_each_class(labels: np.ndarray, num_images: int) -> np.ndarray:
    num_classes = len(TEXT_LABELS)
    first = [
        np.flatnonzero(labels == label)[: num_images // num_classes]
        for label in range(num_classes)
    ]
    return np.sort(np.concatenate(first))


def _say_what_differs(scale: Scale, resize: Resize, pixels: Resize) -> None:
    """Print one line if the run is not the one that the book asks for."""
    size, size_asked = (
        "{1} x {0}".format(*_width_and_height(asked)) for asked in (pixels, resize)
    )
    if scale != FULL or size != size_asked:
        print(DIFFERS.format(scale=scale, size=size, asked=FULL, size_asked=size_asked))
