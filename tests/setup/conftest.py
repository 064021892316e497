"""Copies of the book, made for each test or to be copied by it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import Book, copy_parts, copy_tree, folder_beside_the_cache


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder for one test."""
    with folder_beside_the_cache() as folder:
        yield Path(folder)


@pytest.fixture(scope="session")
def original() -> Iterator[Book]:
    """A copy of the book with a few packages, to copy and not to touch."""
    with folder_beside_the_cache() as folder:
        yield installed_online(copy_parts(Path(folder), few_packages=True))


@pytest.fixture(scope="session")
def full() -> Iterator[Book]:
    """A copy of the book with all its packages, not to touch."""
    with folder_beside_the_cache() as folder:
        yield installed_online(copy_parts(Path(folder)))


def installed_online(book: Book) -> Book:
    """Install .venv, so that the cache has what other tests install offline."""
    del book.variables["UV_OFFLINE"]
    book.install()
    book.variables["UV_OFFLINE"] = "1"
    return book


@pytest.fixture
def book(original: Book, place: Path) -> Book:
    """A copy of the book in which nothing is installed; .venv has few packages."""
    return copy_parts(place / "book", few_packages=True)


@pytest.fixture
def installed(original: Book, place: Path) -> Book:
    """An installed copy of the book to do anything to but change a file in place."""
    copy_tree(original.folder, place / "installed")
    return original.at(place / "installed")
