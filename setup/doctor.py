"""Say what this installation of the book is made of, and what is wrong: `make doctor`.

It needs a Python from 3.8 on and nothing that is installed, and changes nothing.  Its
exit code is 1 where something is wrong.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import install
from install import ENVIRONMENTS, GPU_CHOSEN, OWN_UV, ROOT, python_of
from run import conda_python

# The commands that install an environment where it is missing or not as it should be.
COMMANDS = {
    ".venv": "make lab",
    ".venv-lab-test": "make test-lab",
    ".venv-html": "make html",
}
DATA = ROOT / "d2lutil" / "data"
SETTINGS = ROOT / "d2lutil" / "settings.py"

SHOWN_PACKAGES = ["mxnet", "mxnet-cu112", "d2l", "matplotlib", "numpy", "jupyterlab"]
SHOWN_VARIABLES = re.compile(
    r"(D2LUTIL|OMP|GOMP|MXNET|MALLOC|PYTHON|MPL|PIP|UV|CONDA|JUPYTER|LC)_?"
    r"|VIRTUAL_ENV$|LANG$|LD_LIBRARY_PATH$"
)
SECRET = re.compile(r"TOKEN|PASSWORD|SECRET|KEY")

# Prints how many threads MXNet would use.
LOAD_MXNET = "import d2lutil, mxnet, os; print(os.environ['OMP_NUM_THREADS'])"

# Prints what is wrong with the variables that d2lutil reads.  The file of its settings
# is enough: neither the package nor MXNet is loaded.
CHECK_VARIABLES = """
import importlib.util, os, sys
spec = importlib.util.spec_from_file_location("settings", sys.argv[1])
settings = sys.modules["settings"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(settings)
checks = [settings.compiles_networks, settings.num_threads]
checks += [settings.check_threads_of_mxnet]
checks += [settings.run_scale] if os.environ.get("D2LUTIL_SCALE") else []
for check in checks:
    try:
        check()
    except ValueError as error:
        print(error)
"""


def main() -> None:
    """Print the facts, then the faults."""
    for name, fact in facts():
        print(f"{name + ':':<16} {fact}")

    found = list(faults())
    print()
    for fault in found:
        print(f"Wrong: {fault}")
    if found:
        sys.exit(1)
    print("Nothing is wrong with this installation.")


# ------------------------------------------------------------------------ the facts


def facts() -> Iterator[tuple[str, str]]:
    """Yield what an answer to a question about this installation depends on."""
    yield "Book", book_version()
    yield "System", f"{platform.platform()}{container()}"
    yield "Processor", processor()
    yield "bfloat16", "in hardware" if has_bfloat16() else "no instructions are listed"
    yield "Memory", memory()
    yield "Disk", f"{gib(shutil.disk_usage(ROOT).free)} free in {ROOT}"
    yield "This Python", f"{platform.python_version()} ({sys.executable})"
    yield "uv", uv()

    for name, environment in environments().items():
        yield name, contents(environment)
    yield "Threads", f"{load_mxnet()[0] or 'unknown number'} for MXNet"
    yield (
        "Fashion-MNIST",
        "damaged" if [*damaged_data()] else "its four files are whole",
    )
    for name, value in sorted(os.environ.items()):
        if SHOWN_VARIABLES.match(name):
            yield name, shown(name, value)


def book_version() -> str:
    """Return the commit, or the version where git does not know it."""
    if shutil.which("git"):
        told = output(["git", "describe", "--always", "--tags", "--dirty"])
        if told:
            return f"commit {told}"
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r'^version = "(.+)"', text, re.MULTILINE)
    return f"version {found.group(1)}" if found else "unknown"


def container() -> str:
    """Return the memory that a container is limited to, as far as Linux tells it."""
    limit = read("/sys/fs/cgroup/memory.max").strip()
    return f", limited to {gib(int(limit))} of memory" if limit.isdigit() else ""


def processor() -> str:
    """Return the name of the processor and how many of its threads may be used."""
    named = re.search(r"^model name\s*: (.+)", read("/proc/cpuinfo"), re.MULTILINE)
    name = named.group(1) if named else platform.processor() or platform.machine()
    return f"{name}, {usable_processors()} logical processors"


def usable_processors() -> int:
    """Return the number of logical processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def has_bfloat16() -> bool:
    """Tell what d2lutil.engine.static_graph.has_bfloat16 does, without loading it."""
    words = read("/proc/cpuinfo").split()
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(words)


def memory() -> str:
    """Return how much there is, and on Linux how much of it is free."""
    total = gib(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    free = re.search(r"^MemAvailable:\s*(\d+) kB", read("/proc/meminfo"), re.MULTILINE)
    return f"{total}, {gib(1024 * int(free.group(1)))} free" if free else total


def uv() -> str:
    """Return the version of the uv that would install the book."""
    there = [Path(path) for path in [shutil.which("uv"), OWN_UV] if path]
    versions = [(install.uv_version(path), path) for path in there]
    for version, path in versions:
        if version >= install.OLDEST_UV:
            return f"{'.'.join(map(str, version))} ({path})"
    return "none that serves; it is fetched when something is to be installed"


def environments() -> dict[str, Path]:
    """Return the folders of the environments that exist, by their names."""
    there = {name: ROOT / name for name in ENVIRONMENTS if (ROOT / name).exists()}
    conda = conda_python()
    return {**({"conda": conda.parents[1]} if conda else {}), **there}


def contents(environment: Path) -> str:
    """Return the versions of Python and of the packages that matter most."""
    code = "import platform; print(platform.python_version())"
    python = output([python_of(environment), "-I", "-c", code])
    there = installed(environment)
    packages = [f"{name} {there[name]}" for name in SHOWN_PACKAGES if name in there]
    return ", ".join([f"Python {python or 'does not start'}", *packages])


@functools.lru_cache
def load_mxnet() -> tuple[str, str]:
    """Return how many threads MXNet would use, or else why it does not load."""
    done = run([the_python(), "-I", "-c", LOAD_MXNET])
    if done is None:
        return "", ""
    if done.returncode == 0:
        return done.stdout.strip(), ""
    *_, reason = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
    return "", reason


def the_python() -> Path:
    """Return the Python that the book's commands start, there or not."""
    return conda_python() or python_of(ROOT / ".venv")


def shown(name: str, value: str) -> str:
    """Return the value of a variable without what nobody else should read."""
    return "***" if SECRET.search(name) else re.sub(r"//[^/@]+@", "//***@", value)


# ----------------------------------------------------------------------- the faults


def faults() -> Iterator[str]:
    """Yield what is wrong, each with what to do, in a sentence."""
    yield from faults_of_platform()

    of_environments = list(faults_of_environments())
    yield from of_environments

    of_variables = output([a_python(), "-I", "-c", CHECK_VARIABLES, SETTINGS])
    yield from of_variables.splitlines()
    reason = load_mxnet()[1]
    if reason and not of_environments and not of_variables:
        yield (
            f"MXNet does not load ({reason}); if that names a library of the system, "
            "such as libgomp, install it."
        )

    for name in damaged_data():
        yield (
            f"{name} is missing or damaged; `git restore d2lutil/data/{name}` brings "
            "it back."
        )


def faults_of_platform() -> Iterator[str]:
    """Yield why nothing can be installed or run here."""
    known = {("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "x86_64")}
    if (platform.system(), platform.machine()) not in known:
        yield (
            f"MXNet 1.9.1 does not exist for {platform.system()} on "
            f"{platform.machine()}; README.md, Platforms, says what to use instead."
        )
    if shutil.disk_usage(ROOT).free < 1 << 30:
        yield f"The disk of {ROOT} is almost full; an installation needs 3 GiB."


def faults_of_environments() -> Iterator[str]:
    """Yield what is wrong with what is installed."""
    if not conda_python() and not (ROOT / ".venv").exists():
        yield f".venv is missing; `{COMMANDS['.venv']}` installs it."
    if not (ROOT / "uv.lock").exists():
        yield "uv.lock is missing; `git restore uv.lock` brings it back."
        return
    for name, environment in environments().items():
        yield from faults_of(name, environment)


def faults_of(name: str, environment: Path) -> Iterator[str]:
    """Yield what is wrong with an environment."""
    python = python_of(environment)
    if name == "conda":
        yield from faults_of_packages(
            environment, "`conda env update -f environment.yml` installs it."
        )
        return

    anew = f"`{COMMANDS[name]}` installs it anew."
    if not output([python, "-I", "-c", "print(1)"]):
        yield f"The Python of {name} ({python.resolve()}) does not start; {anew}"
    elif not install.is_ours(python):
        yield f"{name} is of another copy of the book, in another folder; {anew}"
    elif read(environment / install.STAMP) != os.fsdecode(
        install.stamp(name, environment)
    ):
        yield f"{name} is not what uv.lock asks for now; {anew}"
    else:
        # Its stamp says that it is whole, so the command alone would leave it alone.
        remedy = f"remove it (rm -r {name}), then {anew}"
        damage = install.find_damage(environment)
        if damage:
            yield f"{damage} is missing or not as its package has it; {remedy}"
        if "--only-group" not in ENVIRONMENTS[name]:
            yield from faults_of_packages(environment, remedy)


def faults_of_packages(environment: Path, remedy: str) -> Iterator[str]:
    """Yield which packages are missing, or of another version than the lock's."""
    there = installed(environment)
    for package, version in locked().items():
        if there.get(package) != version:
            found = there.get(package, "missing")
            yield (
                f"{package} is {found} in {environment.name}, and the book needs "
                f"{version}; {remedy}"
            )


def a_python() -> Path:
    """Return a Python that starts: the book's, or else the one that runs this."""
    python = the_python()
    return python if output([python, "-I", "-c", "print(1)"]) else Path(sys.executable)


def locked() -> dict[str, str]:
    """Return the versions that the lock gives to packages needed on every platform."""
    environment = (ROOT / "environment.yml").read_text(encoding="utf-8")
    names = re.findall(r"^ +- ([\w.-]+)==\S+$", environment, re.MULTILINE)
    lock = (ROOT / "uv.lock").read_text(encoding="utf-8")
    versions = dict(re.findall(r'^name = "(.+)"\nversion = "(.+)"', lock, re.MULTILINE))
    left_out = {"mxnet"} if GPU_CHOSEN.exists() else set()
    return {n: versions[n] for n in names if n in versions and n not in left_out}


def installed(environment: Path) -> dict[str, str]:
    """Return the versions of the packages in an environment."""
    found = {}
    for folder in environment.glob("lib/python*/site-packages/*.dist-info"):
        name, _, version = folder.name[: -len(".dist-info")].rpartition("-")
        found[re.sub(r"[-_.]+", "-", name).lower()] = version
    return found


def damaged_data() -> Iterator[str]:
    """Yield the names of the files of Fashion-MNIST that are not whole."""
    text = (DATA / "files.py").read_text(encoding="utf-8")
    for name, digest in re.findall(r'"(\S+-ubyte)".*?"(\w{64})"', text, re.DOTALL):
        try:
            content = (DATA / name).read_bytes()
        except OSError:
            content = b""
        if hashlib.sha256(content).hexdigest() != digest:
            yield name


# ----------------------------------------------------------------- files and programs


def read(path: str | Path) -> str:
    """Return the text of a file; nothing if there is none."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""


def run(command: list[Any]) -> subprocess.CompletedProcess | None:
    """Run a program to its end; None if it does not start."""
    try:
        return install.run(command, capture_output=True, text=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired):
        return None


def output(command: list[Any]) -> str:
    """Return what a program prints; nothing if it fails."""
    done = run(command)
    return done.stdout.strip() if done and done.returncode == 0 else ""


def gib(num_bytes: int) -> str:
    """Return a number of bytes in GiB."""
    return f"{num_bytes / (1 << 30):.1f} GiB"


if __name__ == "__main__":
    with install.plain_errors():
        main()
