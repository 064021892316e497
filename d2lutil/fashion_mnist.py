"""Find, verify, download and load the images of Fashion-MNIST.

Source: Xiao, Rasul and Vollgraf (2017), "Fashion-MNIST: a novel image dataset for
benchmarking machine learning algorithms".
"""

import gzip
import hashlib
import numbers
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import mxnet as mx
import numpy as np
import pooch
import requests
from mxnet import nd

from d2lutil.scale import FULL, Scale, current_scale

DEFAULT_ROOT = os.path.join("~", ".mxnet", "datasets", "fashion-mnist")
DEBIAN_FOLDER = Path("/usr/share/datasets/fashion-mnist")
SAMPLE_FOLDER = Path(__file__).parent / "data"

# SHA-256 of the decompressed files: each mirror packs the same content differently.
SHA256 = {
    "train-images-idx3-ubyte": (
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    "train-labels-idx1-ubyte": (
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    "t10k-images-idx3-ubyte": (
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    "t10k-labels-idx1-ubyte": (
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
}

# Each holds the four files, under their names and ".gz".
MIRRORS = [
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/fashion-mnist",
    "https://apache-mxnet.s3-accelerate.dualstack.amazonaws.com/gluon/dataset/fashion-mnist",
]
# Seconds to wait for a connection, and for the next piece of a file.
TIMEOUT = (5, 15)

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


class DownloadError(OSError):
    """No mirror delivered a file with the right content."""


class FashionMNIST(NamedTuple):
    """Images as uint8 arrays (n, 28, 28, 1), labels as int32 arrays (n,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


class BatchLoader:
    """Iterate over images and labels in batches, as gluon's `DataLoader` does.

    The images stay in memory as uint8 and are resized a batch at a time, which gives
    the same numbers as gluon's `Resize` and `ToTensor` on every single image.

    Args:
        images: uint8 array (num_images, height, width, num_channels).
        labels: int32 array (num_images,).
        batch_size: Number of images per batch; the last batch may be smaller.
        resize: Edge length in pixels of the images to yield; None keeps theirs.
        shuffle: Whether to draw a new order, from `np.random`, for every pass.
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        batch_size: int,
        resize: int | None = None,
        shuffle: bool = False,
    ) -> None:
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
                X = mx.nd.image.resize(X, (self.resize, self.resize))
            yield mx.nd.image.to_tensor(X), nd.array(self.labels[batch], dtype=np.int32)


def load_data_fashion_mnist(
    batch_size: int, resize: int | None = None, root: str | os.PathLike = DEFAULT_ROOT
) -> tuple[BatchLoader, BatchLoader]:
    """Return a shuffled loader of the training images and a loader of the test images.

    The data come from the first of these that holds them: `root` if given, the folder
    in `$D2LUTIL_DATA`, `~/.mxnet/datasets/fashion-mnist`, Debian's package
    `dataset-fashion-mnist`, a download into `root`, the sample inside this package.
    A download is tried only where the run needs more images than the sample holds.

    The run scale (`D2LUTIL_SCALE`) sets how many images are used and at which
    resolution; one printed line says so whenever that differs from the whole dataset
    at `resize` pixels. Mirrors `gluonbook.load_data_fashion_mnist`.

    Args:
        batch_size: Number of images per batch.
        resize: Edge length of the images in pixels; None keeps their 28.
        root: Folder of the dataset.

    Raises:
        ValueError: `batch_size` or `resize` is not a positive whole number,
            `D2LUTIL_SCALE` is unknown, `$D2LUTIL_DATA` is not a folder with files of
            Fashion-MNIST, or a file in `root` or `$D2LUTIL_DATA` is damaged.
    """
    _check_positive_int("batch_size", batch_size)
    if resize is not None:
        _check_positive_int("resize", resize)
    scale = current_scale()
    pixels = scale.pixels.get(resize, resize)
    data, origin = _find_data(Path(root).expanduser(), scale)
    data = _balanced_part(data, scale)
    _say_what_differs(data, scale, origin, resize, pixels)
    return (
        BatchLoader(
            data.train_images, data.train_labels, batch_size, pixels, shuffle=True
        ),
        BatchLoader(data.test_images, data.test_labels, batch_size, pixels),
    )


def get_fashion_mnist_labels(labels: Iterable[float]) -> list[str]:
    """Return the names of the classes 0 to 9.

    Mirrors `gluonbook.get_fashion_mnist_labels`.
    """
    return [TEXT_LABELS[int(i)] for i in labels]


def _check_positive_int(name: str, value: object) -> None:
    is_int = isinstance(value, numbers.Integral) and not isinstance(value, bool)
    if not (is_int and value > 0):
        raise ValueError(f"{name} is {value!r}; give a whole number greater than 0.")


def _find_data(root: Path, scale: Scale) -> tuple[FashionMNIST, str]:
    """Return the data of the first source that has them, and "" or "sample data"."""
    default_root = Path(DEFAULT_ROOT).expanduser()
    chosen_by_user = [root] if root != default_root else []
    chosen_by_user += _folder_of_environment()
    for folder in chosen_by_user:
        if _is_complete(folder):
            return _read_folder(folder), ""
    for folder in (default_root, DEBIAN_FOLDER):
        try:
            if _is_complete(folder):
                return _read_folder(folder), ""
        except (DamagedFileError, OSError) as error:
            print(f"Fashion-MNIST: {folder} is not used: {error}")
    if scale == FULL:
        try:
            _download_missing(root)
            return _read_folder(root), ""
        except OSError as error:
            print(f"Fashion-MNIST: no download into {root}: {error}")
    return _read_sample(), "sample data"


def _folder_of_environment() -> list[Path]:
    value = os.environ.get("D2LUTIL_DATA")
    if not value:
        return []
    folder = Path(value).expanduser()
    if not any(_find_file(folder, name) for name in SHA256):
        raise ValueError(
            f"D2LUTIL_DATA is {value!r}, which is not a folder with files of "
            "Fashion-MNIST; set it to the folder with the four files, or unset it."
        )
    return [folder]


def _find_file(folder: Path, name: str) -> Path | None:
    """Return the path of the file, compressed or not, or None if there is none."""
    for path in (folder / f"{name}.gz", folder / name):
        if path.is_file():
            return path
    return None


def _is_complete(folder: Path) -> bool:
    """Tell whether the folder has all four files; say so if it has only some."""
    missing = [name for name in SHA256 if not _find_file(folder, name)]
    if 0 < len(missing) < len(SHA256):
        print(f"Fashion-MNIST: {folder} is not used as it lacks {', '.join(missing)}.")
    return not missing


def _read_folder(folder: Path) -> FashionMNIST:
    return _parse([_read_verified(_find_file(folder, name), name) for name in SHA256])


def _read_sample() -> FashionMNIST:
    return _parse([_read(SAMPLE_FOLDER / f"{name}.gz") for name in SHA256])


def _read(path: Path) -> bytes:
    """Return the decompressed content of a file that may be gzipped."""
    content = path.read_bytes()
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DamagedFileError(
            f"{path} is damaged ({error}); replace it or remove it."
        ) from error


def _read_verified(path: Path, name: str) -> bytes:
    content = _read(path)
    if hashlib.sha256(content).hexdigest() != SHA256[name]:
        raise DamagedFileError(
            f"{path} is damaged (its content is not that of {name} in Fashion-MNIST); "
            f"replace it or remove it."
        )
    return content


def _is_right(path: Path | None, name: str) -> bool:
    """Tell whether a file is there and has the right content."""
    try:
        return path is not None and bool(_read_verified(path, name))
    except DamagedFileError:
        print(f"Fashion-MNIST: {path} is damaged and downloaded anew.")
        return False


def _parse(contents: list[bytes]) -> FashionMNIST:
    """Turn the files' content into arrays; the headers hold 4 and 2 numbers of 4 bytes.

    What it gets has passed the check of content, so the headers are known to be right.
    """
    train_images, train_labels, test_images, test_labels = contents

    def images(content: bytes) -> np.ndarray:
        return np.frombuffer(content, np.uint8, offset=16).reshape(-1, 28, 28, 1)

    def labels(content: bytes) -> np.ndarray:
        return np.frombuffer(content, np.uint8, offset=8).astype(np.int32)

    return FashionMNIST(
        images(train_images),
        labels(train_labels),
        images(test_images),
        labels(test_labels),
    )


def _download_missing(folder: Path) -> None:
    """Download those of the four files that the folder lacks, or has but damaged.

    Raises:
        OSError: The folder cannot be written, or no mirror has a right file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name in SHA256:
        if not _is_right(_find_file(folder, name), name):
            _download(name, folder)


def _download(name: str, folder: Path) -> None:
    """Fetch one file; under its final name it appears only with the right content."""
    # Its notes name the temporary folder; the progress bar says enough.
    pooch.get_logger().setLevel("WARNING")
    downloader = pooch.HTTPDownloader(progressbar=True, timeout=TIMEOUT)
    reasons = []
    for mirror in MIRRORS:
        with tempfile.TemporaryDirectory(prefix=".download-", dir=folder) as temporary:
            try:
                url = f"{mirror}/{name}.gz"
                path = pooch.retrieve(
                    url, None, f"{name}.gz", temporary, downloader=downloader
                )
                _read_verified(Path(path), name)
            except (requests.RequestException, DamagedFileError) as error:
                reasons.append(f"{mirror} ({type(error).__name__})")
                continue
            os.replace(path, folder / f"{name}.gz")
            return
    raise DownloadError(f"no mirror delivered {name}.gz: {', '.join(reasons)}.")


def _balanced_part(data: FashionMNIST, scale: Scale) -> FashionMNIST:
    """Return the first images of each class, in the order of the files."""
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


def _say_what_differs(
    data: FashionMNIST,
    scale: Scale,
    origin: str,
    resize: int | None,
    pixels: int | None,
) -> None:
    """Print one line if the run is not the one that the book asks for."""
    num_train, num_test = len(data.train_labels), len(data.test_labels)
    edge, edge_asked = pixels or 28, resize or 28
    if (num_train, num_test, edge) == (FULL.num_train, FULL.num_test, edge_asked):
        return
    how = ", ".join(filter(None, (f"{scale.name} scale", origin)))
    if scale == FULL:
        cure = "put the four files into the folder D2LUTIL_DATA for the book's run"
    else:
        cure = "D2LUTIL_SCALE=full gives the book's run"
    print(
        f"Fashion-MNIST: {how}, {num_train} + {num_test} images of {edge} x {edge} "
        f"pixels (asked: {FULL.num_train} + {FULL.num_test} of "
        f"{edge_asked} x {edge_asked}); {cure}"
    )
