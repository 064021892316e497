"""Protects: what is set in the shell, in the home folder or on disk bends nothing."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from copies import ROOT, Book, copy_parts

# Prints what a command of the book meets.
REPORT = """
import json, os, sys
import matplotlib.font_manager, matplotlib.pyplot, jupyter_core.paths as jupyter
folders = [jupyter.jupyter_config_dir(), jupyter.jupyter_runtime_dir()]
for folder in folders:
    os.makedirs(folder, exist_ok=True)
print(json.dumps({
    "writable": all(os.access(folder, os.W_OK) for folder in folders),
    "config": jupyter.jupyter_config_path(),
    "fonts": matplotlib.rcParams["font.family"],
    "variables": dict(os.environ),
}))
"""


def report(book: Book) -> dict:
    done = book.run("run.py", ".venv", "-W", "error", "-c", REPORT)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


@pytest.fixture
def reader(full: Book) -> Book:
    """The installed copy, with variables of its own."""
    return full.at(full.folder)


def test_variables_that_bend(reader: Book, book: Book, tmp_path: Path):
    (tmp_path / "matplotlibrc").write_text("font.family: No Such Font\n")
    (tmp_path / "d2lutil.py").write_text("raise SystemExit('another d2lutil')")
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit('customized')")
    reader.variables |= {
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": str(tmp_path),
        "PYTHONSTARTUP": "/nowhere",
        "PIP_USER": "1",
        "PIP_REQUIRE_VIRTUALENV": "1",
        "PIP_PREFIX": str(tmp_path / "prefix"),
        "PIP_TARGET": str(tmp_path / "target"),
        "UV_PROJECT_ENVIRONMENT": str(tmp_path / "environment"),
        "UV_PROJECT": str(tmp_path),
        "VIRTUAL_ENV": str(tmp_path),
        "MPLBACKEND": "no backend",
        "MPLCONFIGDIR": str(tmp_path),
        "MATPLOTLIBRC": str(tmp_path),
        "IPYTHONDIR": str(tmp_path),
    }
    book.variables |= reader.variables
    book.install()
    met = report(reader)
    assert met["fonts"] == ["sans-serif"]
    assert not {"MPLBACKEND", "PYTHONPATH", "PIP_TARGET"} & met["variables"].keys()
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []


@pytest.mark.parametrize("home", ["/", "/nowhere"])
def test_no_home(reader: Book, home: str):
    reader.variables["HOME"] = home
    met = report(reader)
    assert met["writable"]
    assert os.path.join(home, ".jupyter") in met["config"]


def test_own_home(reader: Book, tmp_path: Path):
    reader.variables["HOME"] = str(tmp_path)
    met = report(reader)
    assert str(tmp_path / ".jupyter") in met["config"]
    assert met["variables"]["HOME"] == str(tmp_path)


# ------------------------------------------------------------- somebody else's copy


@pytest.fixture
def owned_by_root(full: Book) -> Iterator[Book]:
    """A copy of the book that is root's, for a user who has nothing."""
    if os.getuid() or not shutil.which("setpriv"):
        pytest.skip("only root may become another user")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        copy_parts(Path(folder))
        for name in ("d2lutil/data", "tests", "conftest.py", "notebooks", "recording"):
            copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
            copy(ROOT / name, Path(folder) / name)
        # A home that nobody can write to; and the network for another Python's wheels.
        book = Book(Path(folder), PATH="/usr/bin:/bin", HOME="/usr", UV_OFFLINE="0")
        book.working_folder = book.folder
        yield book


def as_nobody(book: Book, script: str, *arguments: str) -> subprocess.CompletedProcess:
    nobody = pwd.getpwnam("nobody")
    settings = book.command(script, *arguments)
    become = [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
    settings["args"] = ["setpriv", *become, "/usr/bin/python3", *settings["args"][1:]]
    return subprocess.run(**settings, capture_output=True, text=True, timeout=300)


def test_copy_that_is_root_s(owned_by_root: Book):
    told = as_nobody(owned_by_root, "install.py", ".venv").stderr
    assert "cannot be written to" in told
    assert "Traceback" not in told

    owned_by_root.install()
    python = (owned_by_root.folder / ".venv" / "bin" / "python").resolve()
    if python.is_relative_to("/root"):
        pytest.skip("the Python of this machine is for root alone")
    for command in (
        ["ruff", "check", "d2lutil"],
        ["mypy", "setup"],
        ["pytest", "tests/package/test_history.py"],
        ["pytest", "--nbval", "notebooks/02-padding-and-strides.ipynb"],
    ):
        done = as_nobody(owned_by_root, "run.py", ".venv", "-m", *command)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Permission" not in done.stdout + done.stderr
