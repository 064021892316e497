"""Hand out images and labels in batches."""

from collections.abc import Iterator

import mxnet as mx
import numpy as np
from mxnet import nd

from d2lutil.settings import Resize, check_positive_int, width_and_height


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
        check_positive_int("batch_size", batch_size)
        check_resize(resize)

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
                X = mx.nd.image.resize(X, width_and_height(self.resize))
            yield mx.nd.image.to_tensor(X), nd.array(self.labels[batch], dtype=np.int32)


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


def check_resize(resize: Resize) -> None:
    """Refuse what is not a size of images.

    Raises:
        ValueError: It is neither None nor one or two whole numbers greater than 0.
    """
    if resize is not None:
        for number in resize if isinstance(resize, tuple | list) else (resize,):
            check_positive_int("resize", number)
        if len(width_and_height(resize)) != 2:
            raise ValueError(f"resize is {resize!r}; give one number, or two.")
