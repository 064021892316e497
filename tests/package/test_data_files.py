"""Protects: the book's copy of Fashion-MNIST is the original, its classes are named.

The checksums are those of the files that Zalando Research publishes, decompressed.
"""

import hashlib

import pytest

from d2lutil import fashion_mnist
from d2lutil.data.files import BOOK_FOLDER, FILES
from d2lutil.fashion_mnist import get_fashion_mnist_labels

PUBLISHED = {
    "train-images-idx3-ubyte": (
        47040016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    "train-labels-idx1-ubyte": (
        60008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    "t10k-images-idx3-ubyte": (
        7840016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    "t10k-labels-idx1-ubyte": (
        10008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
}
CLASSES = [
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


@pytest.mark.parametrize("name", PUBLISHED)
def test_file_of_the_book_is_the_published_one(name):
    content = (BOOK_FOLDER / name).read_bytes()
    found = len(content), hashlib.sha256(content).hexdigest()
    assert found == PUBLISHED[name]


def test_files_of_users_are_compared_with_the_published_ones():
    known = {name: (file.num_bytes, file.sha256) for name, file in FILES.items()}
    assert known == PUBLISHED


def test_classes_have_the_names_of_gluonbook():
    assert get_fashion_mnist_labels(range(10)) == CLASSES
    assert fashion_mnist.TEXT_LABELS == CLASSES
