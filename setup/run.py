"""Run Python in an environment of the book, which is installed first where need be.

`python3 -I setup/run.py .venv -m pytest`: the Makefile starts everything this way.  An
active conda environment that holds this book takes the place of .venv.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from install import (
    ENVIRONMENTS,
    ROOT,
    add_gpu_option,
    choose_gpu,
    clean_environment,
    install,
    is_ours,
    plain_errors,
)


def main() -> None:
    """Become the Python of the environment, with the command that was given."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_gpu_option(parser)
    parser.add_argument("environment", choices=ENVIRONMENTS)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    with plain_errors():
        choose_gpu(arguments.gpu)
        python = conda_python() if arguments.environment == ".venv" else None
        python = python or install(arguments.environment)
        settings = {**clean_environment(), **own_folders()}
    # For `!pip` in a notebook, and `jupyter`, which starts its parts by name.
    path = settings.get("PATH", os.defpath)
    settings["PATH"] = os.pathsep.join([str(python.parent), path])
    os.execve(python, [str(python), *arguments.command], settings)


def conda_python() -> Path | None:
    """Return the Python of the active conda environment if it holds this book."""
    prefix = os.environ.get("CONDA_PREFIX")
    if not prefix or not os.path.isdir(os.path.join(prefix, "conda-meta")):
        return None
    python = Path(prefix, "bin", "python")
    return python if is_ours(python) else None


def own_folders() -> dict[str, str]:
    """Return folders for what tools write, and for settings that change an output.

    A reader's own settings of Matplotlib and IPython are left out, so that a notebook
    shows everywhere what it shows in the book; those of Jupyter hold, and are read even
    where the home folder cannot be written to.
    """
    folder = writable_folder()
    folders = {
        "MPLCONFIGDIR": folder / "matplotlib",
        "IPYTHONDIR": folder / "ipython",
        "RUFF_CACHE_DIR": folder / "ruff",
        "MYPY_CACHE_DIR": folder / "mypy",
    }
    home = os.path.expanduser("~")
    if home == "/" or not os.access(home, os.W_OK):
        folders["HOME"] = folder / "home"
        folders["HOME"].mkdir(parents=True, exist_ok=True)
        folders["JUPYTER_CONFIG_PATH"] = Path(home, ".jupyter")
    return {name: str(path) for name, path in folders.items()}


def writable_folder() -> Path:
    """Return .cache of the book, or a folder of the user's where that is not theirs."""
    cache = ROOT / ".cache"
    if os.access(cache if cache.exists() else ROOT, os.W_OK):
        return cache
    folder = Path(tempfile.gettempdir(), f"modern-cnn-{os.getuid()}")
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return Path(tempfile.mkdtemp())
    return folder


if __name__ == "__main__":
    main()
