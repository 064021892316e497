"""Protects: conda users get what the lock has, and the book uses their environment."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from copies import ROOT, WHERE, Book, copy_parts

NOTEBOOK = "notebooks/02-padding-and-strides.ipynb"


@pytest.fixture(scope="module")
def pip_section() -> list[str]:
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    *_, packages = environment["dependencies"]
    return packages["pip"]


def test_environment_is_made_from_the_lock(place: Path):
    copy_parts(place)
    done = Book(place).run("environment.py")
    assert done.returncode == 0, done.stderr
    made = (place / "environment.yml").read_text()
    assert made == (ROOT / "environment.yml").read_text(), "make environment.yml"


def test_environment_holds_exact_versions(pip_section: list[str]):
    *packages, itself = pip_section
    assert itself == "-e ."
    assert "mxnet==1.9.1" in packages
    assert [package for package in packages if "==" not in package.split(";")[0]] == []


def plain_environment(folder: Path) -> Path:
    """Make an environment that looks like conda's; return its Python."""
    base = Path(sys.base_prefix) / "bin" / "python3.11"
    subprocess.run([base, "-m", "venv", folder], check=True)
    (folder / "conda-meta").mkdir()
    return folder / "bin" / "python"


@pytest.fixture
def conda(place: Path, pip_section: list[str]) -> Iterator[Path]:
    """An environment with the pip section of environment.yml, as conda installs it."""
    python = plain_environment(place / "conda")
    wanted = place / "requirements.txt"
    wanted.write_text("\n".join(pip_section))
    install = [python, "-m", "pip", "install", "--quiet", "--requirement", wanted]
    subprocess.run(install, check=True, cwd=ROOT)
    return place / "conda"


def test_book_in_a_conda_environment(conda: Path):
    book = Book(ROOT, CONDA_PREFIX=str(conda))
    assert book.where() == [ROOT / "d2lutil" / "__init__.py", conda]
    book.working_folder = ROOT
    done = book.run("run.py", ".venv", "-m", "pytest", "--nbval", NOTEBOOK)
    assert done.returncode == 0, done.stdout


def test_another_conda_environment_is_ignored(installed: Book, place: Path):
    plain_environment(place / "base")
    installed.variables["CONDA_PREFIX"] = str(place / "base")
    assert installed.where()[1] == installed.folder / ".venv"


def test_conda_environment_of_another_copy_is_ignored(installed: Book, place: Path):
    python = plain_environment(place / "other")
    (packages,) = python.parents[1].glob("lib/python*/site-packages")
    (packages / "other.pth").write_text(f"{ROOT}\n")
    found = subprocess.check_output([python, "-c", WHERE], text=True)
    assert found.startswith(os.fspath(ROOT))
    installed.variables["CONDA_PREFIX"] = str(place / "other")
    assert installed.where()[1] == installed.folder / ".venv"
