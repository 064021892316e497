"""Copies of the book to do the worst to, on the file system of the cache."""

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
CACHE = Path(os.environ.get("UV_CACHE_DIR") or ROOT / ".cache" / "uv")
# What an installation needs of the book.
PARTS = ["setup", "pyproject.toml", "uv.lock", "d2lutil"]
WHERE = "import d2lutil, sys; print(d2lutil.__file__, sys.prefix, sep='\\n')"


def folder_beside_the_cache() -> tempfile.TemporaryDirectory:
    """A folder on the cache's file system, where a copy is a further name of a file."""
    ROOT.joinpath(".cache").mkdir(exist_ok=True)
    return tempfile.TemporaryDirectory(dir=ROOT / ".cache", prefix="test-")


class Book:
    """A copy of the book, in which commands run with the variables that it holds."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.variables = {"UV_CACHE_DIR": str(CACHE), "UV_OFFLINE": "1", **variables}
        self.python = sys.executable
        # Not the book's folder, from which Python would import anyway.
        self.working_folder = folder.parent

    def at(self, folder: Path) -> "Book":
        """Return the same, elsewhere."""
        return Book(folder, **self.variables)

    def command(self, script: str, *arguments: str) -> dict:
        """Return the arguments for subprocess that run a script of setup/."""
        script = str(self.folder / "setup" / script)
        return {
            "args": [self.python, "-I", script, *arguments],
            "env": {**os.environ, **self.variables},
            "cwd": self.working_folder,
        }

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess:
        """Run a script of setup/ to its end."""
        settings = self.command(script, *arguments)
        return subprocess.run(**settings, capture_output=True, text=True, timeout=300)

    def install(self, name: str = ".venv") -> str:
        """Install an environment; return what the reader is told."""
        done = self.run("install.py", name)
        assert done.returncode == 0, done.stderr
        assert_whole(self.folder / name)
        return done.stderr

    def refuse(self, name: str = ".venv") -> str:
        """Fail to install an environment; return what the reader is told."""
        done = self.run("install.py", name)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert not (self.folder / name).exists()
        return done.stderr

    def where(self) -> list[Path]:
        """Return the package that is imported and the environment that it runs in."""
        done = self.run("run.py", ".venv", "-c", WHERE)
        assert done.returncode == 0, done.stderr
        assert "Installing" not in done.stderr
        return [Path(line) for line in os.fsdecode(done.stdout).splitlines()]

    def start(self, name: str, when: Callable[[], bool]) -> subprocess.Popen:
        """Start an installation, and return when it has come to a certain point."""
        quiet = subprocess.DEVNULL
        settings = self.command("install.py", name)
        process = subprocess.Popen(
            **settings, start_new_session=True, stdout=quiet, stderr=quiet
        )
        while not when():
            assert process.poll() is None, "it ended too early"
            time.sleep(0.002)
        return process


def assert_whole(environment: Path) -> None:
    """Check that every file of every package is there."""
    (packages,) = environment.glob("lib/python*/site-packages")
    distributions = list(importlib.metadata.distributions(path=[str(packages)]))
    files = [file for found in distributions for file in found.files]
    assert len(files) > 100
    assert [file for file in files if not file.locate().exists()] == []


def copy_parts(folder: Path, few_packages: bool = False) -> Book:
    """Copy what an installation needs, and uv where the book has its own.

    With `few_packages`, .venv holds those of a group only: the recipe is the same, and
    a test takes a second.
    """
    folder.mkdir(exist_ok=True)
    for part in PARTS:
        if (ROOT / part).is_dir():
            ignored = shutil.ignore_patterns("data", "__pycache__")
            shutil.copytree(ROOT / part, folder / part, ignore=ignored)
        else:
            shutil.copy(ROOT / part, folder / part)
    if (uv := ROOT / ".uv" / "bin" / "uv").exists():
        (folder / ".uv" / "bin").mkdir(parents=True)
        shutil.copy(uv, folder / ".uv" / "bin")
    if few_packages:
        script = folder / "setup" / "install.py"
        text = script.read_text(encoding="utf-8")
        few = text.replace('".venv": []', '".venv": ["--only-group", "lab-test"]')
        assert few != text
        script.write_text(few, encoding="utf-8")
    return Book(folder)


def copy_tree(source: Path, target: Path) -> None:
    """Copy a folder as `cp -r` does, but quickly: by further names of its files."""
    shutil.copytree(source, target, symlinks=True, copy_function=os.link)
