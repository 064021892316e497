"""Find, verify and read the four files of Fashion-MNIST.

The book's own are verified by its tests; those of a user whenever they are read.
"""

import gzip
import hashlib
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np

from d2lutil.settings import data_folder

BOOK_FOLDER = Path(__file__).parent


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


class DamagedFileError(ValueError):
    """A file is not the part of Fashion-MNIST that its name promises."""


class FashionMNIST(NamedTuple):
    """Images as uint8 arrays (n, 28, 28, 1), labels as int32 arrays (n,)."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray


def find_folder(given: list[Path]) -> Path:
    """Return the first folder that holds the four files: the user's, or the book's.

    Args:
        given: Folders that go before that of `D2LUTIL_DATA`.

    Raises:
        ValueError: A folder holds only some of the files.
    """
    for folder in (
        path.expanduser() for path in [*given, *filter(None, [data_folder()])]
    ):
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


def read(folder: Path) -> FashionMNIST:
    """Return what the four files in a folder hold.

    Raises:
        DamagedFileError: One of them is not what its name promises.
    """
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
