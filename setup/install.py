"""Make an environment of the book, whole or not at all.

`python3 -I setup/install.py .venv` needs a Python from 3.8 on, with pip or uv.  An
environment is built beside its place and moved there when it is complete, with a stamp
that says what it was built from.  One that agrees with its stamp is left alone; any
other is built anew, from what was fetched already.  So a download that was stopped, a
full disk, a changed lock, a folder that was moved or a Python that was removed need
nothing but the same command again.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import csv
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]

# What `uv export` selects for each environment: the project's dependencies, and a group
# of pyproject.toml with or without them.
ENVIRONMENTS = {
    ".venv": [],
    ".venv-lab-test": ["--group", "lab-test"],
    ".venv-html": ["--only-group", "html"],
}
# While this file is there, MXNet's build for a GPU takes the place of the other.
GPU_CHOSEN = ROOT / ".venv.gpu"
GPU_BUILD = ["--group", "gpu", "--no-emit-package", "mxnet"]

PYTHON = "3.11"
# Older ones refuse hashes beside the override in pyproject.toml.
OLDEST_UV = (0, 12)
OWN_UV = ROOT / ".uv" / "bin" / "uv"
STAMP = "made-from"

# Settings of other projects that would bend ours.  What a machine needs to reach the
# network stays: package index, proxy, certificates.
BENDING = re.compile(
    r"PYTHON|VIRTUAL_ENV$|PIP_(PREFIX|TARGET|ROOT|CONSTRAINT|REQUIRE_HASHES)$"
    r"|MPLBACKEND$|MATPLOTLIBRC$"
    r"|UV_(PROJECT|WORKING_DIR|SYSTEM_PYTHON|PYTHON$|LOCKED|NO_BINARY|CONSTRAINT|OVERRIDE"
    r"|EXCLUDE_NEWER)"
)
# Switched off rather than left out: they may stand in pip's own settings, too.
SWITCHED_OFF = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0"}

# Exits with 0 where `import d2lutil` means the package of this folder.
IS_OURS = """
import importlib.util, os, sys
found = importlib.util.find_spec("d2lutil")
sys.exit(not (found and os.path.samefile(found.origin, sys.argv[1])))
"""


class SetupError(Exception):
    """What is wrong and what to do, in a sentence for the reader."""


def main() -> None:
    """Make the environment that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("environment", choices=ENVIRONMENTS)
    add_gpu_option(parser)
    arguments = parser.parse_args()
    with plain_errors():
        choose_gpu(arguments.gpu)
        install(arguments.environment)


def add_gpu_option(parser: argparse.ArgumentParser) -> None:
    """Add --gpu, which is remembered."""
    parser.add_argument(
        "--gpu", choices="01", help="MXNet for a GPU, in all environments from now on"
    )


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Turn an error into its sentence, and an interruption into silence."""
    try:
        yield
    except SetupError as error:
        sys.exit(f"setup: {error}")
    except OSError as error:
        sys.exit(f"setup: {error.filename or 'the disk'}: {error.strerror}. {AGAIN}")
    except KeyboardInterrupt:
        sys.exit(130)


AGAIN = "When the cause is gone, the same command builds the environment anew."


def say(sentence: str) -> None:
    """Tell the reader; standard error takes any path in any locale."""
    print(sentence, file=sys.stderr, flush=True)


def choose_gpu(choice: str | None) -> None:
    """Remember the build of MXNet that was asked for, if one was."""
    if choice == "1":
        GPU_CHOSEN.touch()
    elif choice == "0" and GPU_CHOSEN.exists():
        GPU_CHOSEN.unlink()


def install(name: str) -> Path:
    """Make the environment if it is not there as it should be; return its Python."""
    if not is_complete(name):
        with the_only_installation():
            if not is_complete(name):
                build(name)
    return python_of(ROOT / name)


# ------------------------------------------------- is what is there as it should be


def is_complete(name: str) -> bool:
    """Tell whether the environment is what its stamp says, and is this book's."""
    environment = ROOT / name
    try:
        stamped = (environment / STAMP).read_bytes()
    except OSError:
        return False
    return stamped == stamp(name, environment) and is_ours(python_of(environment))


def stamp(name: str, environment: Path) -> bytes:
    """Return what the environment is made from: lock, options and interpreter."""
    asked_for = hashlib.sha256((ROOT / "uv.lock").read_bytes())
    asked_for.update(" ".join(options(name)).encode())

    # One that uv brought belongs to this folder; a copy of the book needs its own.
    interpreter = python_of(environment).resolve()
    if ROOT in interpreter.parents:
        interpreter = interpreter.relative_to(ROOT)
    return asked_for.hexdigest().encode() + b"\n" + os.fsencode(interpreter)


def options(name: str) -> list[str]:
    """Return what `uv export` is told to select."""
    gpu = GPU_CHOSEN.exists() and "--only-group" not in ENVIRONMENTS[name]
    return ENVIRONMENTS[name] + (GPU_BUILD if gpu else [])


def python_of(environment: Path) -> Path:
    """Return the environment's interpreter."""
    return environment / "bin" / "python"


def is_ours(python: Path) -> bool:
    """Tell whether the interpreter starts, and `import d2lutil` is this folder's."""
    command = [python, "-I", "-c", IS_OURS, ROOT / "d2lutil" / "__init__.py"]
    quiet = subprocess.DEVNULL
    try:
        return run(command, stdout=quiet, stderr=quiet).returncode == 0
    except OSError:
        return False


# --------------------------------------------------------------- the installation


@contextlib.contextmanager
def the_only_installation() -> Iterator[None]:
    """Hold a lock while an environment is made; the system lifts it at any end."""
    if not os.access(ROOT, os.W_OK):
        raise SetupError(
            f"{ROOT} cannot be written to, and its environment is missing or out of "
            "date. Copy the book to a folder of your own, or let its owner install it."
        )
    path = ROOT / ".cache" / "setup.lock"
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        # The programs that are started hold it, too: they may outlive this one.
        os.set_inheritable(file.fileno(), True)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another installation is running in this folder: waiting for its end.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def build(name: str) -> None:
    """Build the environment beside its place, and move it there when it is whole."""
    say(f"Installing {name} …")
    new = ROOT / f"{name}.new"
    try:
        uv = Uv()
        fill(uv, new, requirements(uv, *options(name)))
        point_to_this_folder(new)
        (new / STAMP).write_bytes(stamp(name, new))
        replace(ROOT / name, new)
    finally:
        remove(new)


def requirements(uv: Uv, *options: str) -> bytes:
    """Return what the lock says an environment holds: versions and hashes."""
    export = ["export", "--quiet", "--frozen", "--no-default-groups"]
    done = uv(*export, "--no-emit-project", *options, stdout=subprocess.PIPE)
    if done.returncode:
        raise SetupError("uv.lock could not be read: see above. Is it as git has it?")
    return done.stdout


def fill(uv: Uv, new: Path, wanted: bytes) -> None:
    """Make an environment with the packages, from the cache or else from the index."""

    def attempt(*source: str, **settings: Any) -> bool:
        # From nothing: uv takes for whole what it wrote before a disk was full.
        remove(new)
        make_empty(uv, new)
        command = ["pip", "install", "--no-deps", "--require-hashes", *source]
        command += ["--python", str(python_of(new)), "--requirement", "-"]
        return uv(*command, input=wanted, **settings).returncode == 0

    if not (attempt("--quiet", "--offline", stderr=subprocess.DEVNULL) or attempt()):
        raise SetupError(f"The packages could not be installed: see above. {AGAIN}")

    # What the cache holds damaged is fetched once more.
    damage = find_damage(new)
    if damage and (not attempt("--refresh") or find_damage(new)):
        raise SetupError(f"{damage} is not as its package has it: see above. {AGAIN}")


def make_empty(uv: Uv, new: Path) -> None:
    """Make an environment without packages, which works wherever it is moved."""
    find = ["python", "find", "--system", "--no-python-downloads", PYTHON]
    there = uv(*find, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if there.returncode:
        say(f"There is no Python {PYTHON} on this machine: uv fetches one into .uv.")

    made = uv("venv", "--quiet", "--relocatable", "--python", PYTHON, new)
    if made.returncode and there.returncode:
        raise SetupError(
            f"Python {PYTHON} could not be fetched. Install it, or set "
            "UV_PYTHON_INSTALL_MIRROR to a mirror of the releases of "
            "python-build-standalone, then run this again."
        )
    if made.returncode:
        raise SetupError(f"The environment could not be made: see above. {AGAIN}")


def find_damage(environment: Path) -> Path | None:
    """Return a file that is not there, or not of the size that its package gives."""
    sizes = collections.defaultdict(set)  # Two packages may bring the same file.
    for record in environment.glob("lib/python*/site-packages/*.dist-info/RECORD"):
        with record.open(encoding="utf-8", newline="") as lines:
            for path, _, size in csv.reader(lines):
                sizes[record.parents[1] / path].add(size)
    for file, possible in sizes.items():
        if not file.exists() or not possible & {"", str(file.stat().st_size)}:
            return file
    return None


def point_to_this_folder(environment: Path) -> None:
    """Let `import d2lutil` find this folder, by a path that survives a move."""
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "d2lutil.pth").write_text(os.path.relpath(ROOT, packages) + "\n")


def replace(target: Path, new: Path) -> None:
    """Put the new environment where the old one is."""
    old = target.with_name(f"{target.name}.old")
    remove(old)
    if os.path.lexists(target):
        target.rename(old)
    new.rename(target)
    remove(old)


def remove(path: Path) -> None:
    """Remove a folder, a file, or a link but not what it leads to."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif os.path.lexists(path):
        path.unlink()


# ------------------------------------------------------------------------------ uv


class Uv:
    """uv, told to keep what it fetches in this folder and to ask pip's index."""

    def __init__(self) -> None:
        self.program = find_uv()
        self.environment = {
            "UV_CACHE_DIR": str(ROOT / ".cache" / "uv"),
            "UV_PYTHON_INSTALL_DIR": str(ROOT / ".uv" / "python"),
            **clean_environment(),
        }
        if not {"UV_DEFAULT_INDEX", "UV_INDEX_URL"} & self.environment.keys():
            self.environment.update(pips_index())

    def __call__(self, *command: Any, **settings: Any) -> subprocess.CompletedProcess:
        """Run a command of uv."""
        return run([self.program, *command], env=self.environment, **settings)


def pips_index() -> dict[str, str]:
    """Return the package index that pip is set to, as a setting of uv."""
    if "PIP_INDEX_URL" in os.environ:
        return {"UV_DEFAULT_INDEX": os.environ["PIP_INDEX_URL"]}

    command = [sys.executable, "-I", "-m", "pip", "config", "list"]
    quiet = subprocess.DEVNULL
    listed = run(command, stdout=subprocess.PIPE, stderr=quiet).stdout.decode()
    for section in ("install", "global"):
        found = re.search(rf"^{section}\.index-url='(.+)'$", listed, re.MULTILINE)
        if found:
            return {"UV_DEFAULT_INDEX": found.group(1)}
    return {}


def find_uv() -> Path:
    """Return uv: the machine's if it works and is not too old, else the book's own."""
    on_path = shutil.which("uv")
    for uv in ([Path(on_path)] if on_path else []) + [OWN_UV]:
        if uv_version(uv) >= OLDEST_UV:
            return uv
    fetch_uv()
    return OWN_UV


def uv_version(uv: Path) -> tuple[int, ...]:
    """Return uv's version, () if it does not run."""
    quiet = subprocess.DEVNULL
    try:
        done = run([uv, "--version"], stdout=subprocess.PIPE, stderr=quiet)
    except OSError:
        return ()
    numbers = re.match(rb"uv (\d+)\.(\d+)", done.stdout)
    return tuple(map(int, numbers.groups())) if numbers else ()


def fetch_uv() -> None:
    """Fetch the uv whose version and hashes uv.txt gives, and move it into place."""
    say("Fetching uv, which installs packages …")
    new = OWN_UV.parents[1] / "new"
    remove(new)
    command: list[Any] = [sys.executable, "-I", "-m", "pip", "install", "--no-deps"]
    command += ["--quiet", "--no-cache-dir", "--disable-pip-version-check"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", new]
    if run([*command, "--requirement", ROOT / "setup" / "uv.txt"]).returncode:
        raise SetupError(
            "uv could not be fetched: see above. It needs the network and pip "
            "(on Debian and Ubuntu: python3-pip), or uv 0.12 or newer on the PATH."
        )
    OWN_UV.parent.mkdir(exist_ok=True)
    (new / "bin" / "uv").replace(OWN_UV)
    remove(new)


def clean_environment() -> dict[str, str]:
    """Return the variables of the shell without those that would bend our commands."""
    kept = {key: value for key, value in os.environ.items() if not BENDING.match(key)}
    return {**kept, **SWITCHED_OFF}


# ---------------------------------------------------------------- running programs


def run(command: list[Any], **settings: Any) -> subprocess.CompletedProcess:
    """Run a program in this folder, with the lock in its hands."""
    settings.setdefault("env", clean_environment())
    return subprocess.run(command, cwd=ROOT, close_fds=False, **settings)


if __name__ == "__main__":
    main()
