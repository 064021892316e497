"""Load the images of Fashion-MNIST: the book's copy, or files of the user's own.

Source: Xiao, Rasul and Vollgraf (2017), "Fashion-MNIST: a novel image dataset for
benchmarking machine learning algorithms".
"""

import gzip
import hashlib
import os
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

import mxnet as mx
import numpy as np
from mxnet import nd

from d2lutil.settings import FULL, Scale, data_folder, run_scale

# The folder of gluonbook, which downloaded into it; here it stands for "none given".
DEFAULT_ROOT = os.path.join("~", ".mxnet", "datasets", "fashion-mnist")
BOOK_FOLDER = Path(__file__).parent / "data"


# One edge length in pixels, or width and height, as gluon's Resize takes them.
Resize: TypeAlias = int | tuple[int, int] | None


class DataFile(NamedTuple):
    """What is known of one of the four files, decompressed."""

    num_bytes: int
    sha256: str
    shape: tuple[int, ...]


FILES = {
    "train-images-idx3-ubyte": DataFile(
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        (60_000, 28, 28, 1),
    ),
    "train-labels-idx1-ubyte": DataFile(
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        (60_000,),
    ),
    "t10k-images-idx3-ubyte": DataFile(
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        (10_000, 28, 28, 1),
    ),
    "t10k-labels-idx1-ubyte": DataFile(
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        (10_000,),
    ),
}

# What a run prints where it is not the book's; tests leave it out, by this pattern.
DIFFERS = (
    "Fashion-MNIST: {scale} scale, {num_train} + {num_test} images of {size} pixels "
    "(asked: {num_train_asked} + {num_test_asked} of {size_asked}); "
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


class DamagedFileError(ValueError):
    """A file is not the part of Fashion-MNIST that its name promises."""


class FashionMNIST(NamedTuple):
    """Images as uint8 arrays (n, 28, 28, 1), labels as int32 arrays (n,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


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
    data = _balanced_part(_read(_find_folder(root)), scale)
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

    Example:
        >>> get_fashion_mnist_labels([0, 9])
        ['t-shirt', 'ankle boot']
    """
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


def _find_folder(root: str | os.PathLike) -> Path:
    """Return the first folder that holds the four files: the user's, or the book's."""
    root = Path(root)
    given = [] if root == Path(DEFAULT_ROOT) else [root]
    given += filter(None, [data_folder()])
    for folder in (path.expanduser() for path in given):
        missing = [name for name in FILES if not _find_file(folder, name)]
        if not missing:
            return folder
        if len(missing) < len(FILES):
            raise ValueError(
                f"{folder} lacks {', '.join(missing)} of Fashion-MNIST; put the four "
                "files there, or name another folder."
            )
        print(
            f"Fashion-MNIST: {folder} holds none of its four files; "
            "the book's copy is used."
        )
    return BOOK_FOLDER


def _find_file(folder: Path, name: str) -> Path | None:
    """Return the path of the file, compressed or not, or None if there is none."""
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    return None


def _read(folder: Path) -> FashionMNIST:
    train_images, train_labels, test_images, test_labels = (
        _read_file(folder, name) for name in FILES
    )
    return FashionMNIST(
        train_images,
        train_labels.astype(np.int32),
        test_images,
        test_labels.astype(np.int32),
    )


def _read_file(folder: Path, name: str) -> np.ndarray:
    """Return one file as an array: mapped into memory, unless it is compressed.

    The book's own files are verified by its tests, not whenever they are used.
    """
    path = _find_file(folder, name)
    if path is None:
        raise DamagedFileError(f"{folder / name} is missing; fetch the book anew.")
    if path.suffix == ".gz":
        content = np.frombuffer(_decompress(path, name), np.uint8)
    else:
        # NumPy refuses to map an empty file.
        is_empty = path.stat().st_size == 0
        content = np.zeros(0, np.uint8) if is_empty else np.memmap(path, mode="r")

    is_whole = len(content) == FILES[name].num_bytes
    if is_whole and folder != BOOK_FOLDER:
        is_whole = hashlib.sha256(content.data).hexdigest() == FILES[name].sha256
    if not is_whole:
        raise DamagedFileError(
            f"{path} is damaged (its content is not that of {name} in Fashion-MNIST); "
            "replace it or remove it."
        )

    # A header of 4 bytes for the type and for each dimension comes before the numbers.
    shape = FILES[name].shape
    return content[-np.prod(shape) :].reshape(shape)


def _decompress(path: Path, name: str) -> bytes:
    """Return the content of a compressed file, and never much more than it can be."""
    try:
        with gzip.open(path) as file:
            return file.read(FILES[name].num_bytes + 1)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedFileError(
            f"{path} is damaged ({error}); replace it or remove it."
        ) from error


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
        print(
            DIFFERS.format(
                scale=scale.name,
                num_train=scale.num_train,
                num_test=scale.num_test,
                size=size,
                num_train_asked=FULL.num_train,
                num_test_asked=FULL.num_test,
                size_asked=size_asked,
            )
        )
