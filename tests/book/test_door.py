"""Protects: the book is the notebooks that d2lutil.pages.sections finds, all of them.

What is made from the notebooks goes through that one door, also where no MXNet is.
"""

import shutil
import subprocess
import sys

import pytest

from d2lutil.pages import sections
from tests.book.reading import ROOT


def tracked_notebooks() -> set[str]:
    """Return the names of the notebooks that git has under notebooks/."""
    if not shutil.which("git") or not (ROOT / ".git").exists():
        pytest.skip("this is no checkout with git")
    pattern = f"{sections.NOTEBOOKS.name}/*.ipynb"
    listed = subprocess.run(
        ["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True
    )
    if listed.returncode:
        pytest.skip("git does not read this checkout, as where another user owns it")
    files = filter(None, listed.stdout.decode().split("\0"))
    return {name.partition("/")[2].removesuffix(".ipynb") for name in files}


def test_every_notebook_in_git_is_part_of_the_book():
    forgotten = tracked_notebooks() - set(sections.notebook_names())
    assert not forgotten, "link each of them in notebooks/index.ipynb, or remove it"


def test_every_notebook_of_the_book_is_in_git():
    missing = set(sections.notebook_names()) - tracked_notebooks()
    assert not missing, "the index links them: git add them, or remove the link"


def test_sections_need_the_standard_library_only():
    code = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from d2lutil.pages import sections\n"
        "print(*sections.notebook_names())"
    )
    # Isolated, without site-packages: no MXNet, no loky, no nbformat.
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True
    )
    assert shown.stdout.split() == sections.notebook_names(), shown.stderr
