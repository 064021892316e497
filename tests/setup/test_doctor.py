"""Protects: `make doctor` says what is wrong and how to mend it; it changes nothing."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from copies import ROOT, Book, copy_tree, folder_beside_the_cache

from setup.install import remove


@pytest.fixture(scope="module")
def whole(full: Book) -> Iterator[Book]:
    """An installed copy of the whole book, but for its notebooks."""
    with folder_beside_the_cache() as folder:
        book = full.at(Path(folder) / "book")
        copy_tree(full.folder, book.folder)
        copy_tree(ROOT / "d2lutil" / "data", book.folder / "d2lutil" / "data")
        shutil.copy(ROOT / "environment.yml", book.folder)
        yield book


@pytest.fixture
def patient(whole: Book) -> Book:
    """That copy, with variables of its own."""
    return Book(whole.folder, **whole.variables, D2LUTIL_SCALE="", OMP_NUM_THREADS="")


@pytest.fixture
def change(place: Path) -> Iterator[Callable]:
    """Remove a file or folder, or put a text in its place, until the test ends."""
    kept = []

    def change(path: Path, text: str | None = None) -> None:
        kept.append((path, place / str(len(kept))))
        if path.exists():
            path.rename(kept[-1][1])
        if text is not None:
            path.write_text(text)

    yield change
    for path, aside in kept:
        remove(path)
        if aside.exists():
            aside.rename(path)


def examine(book: Book) -> tuple[dict[str, str], list[str]]:
    """Return the facts and the faults that the doctor tells; it changes nothing."""
    before = sorted(book.folder.iterdir())
    done = book.run("doctor.py")
    assert done.stderr == ""
    assert sorted(book.folder.iterdir()) == before

    told, _, judged = done.stdout.partition("\n\n")
    lines = judged.splitlines()
    faults = [line.removeprefix("Wrong: ") for line in lines if "Wrong: " in line]
    assert done.returncode == bool(faults)
    assert ("Nothing is wrong" in judged) == (not faults)
    facts = dict(line.split(":", 1) for line in told.splitlines())
    return {name: fact.strip() for name, fact in facts.items()}, faults


def the_fault(book: Book) -> str:
    (fault,) = examine(book)[1]
    return fault


def packages(book: Book) -> Path:
    (folder,) = book.folder.glob(".venv/lib/python*/site-packages")
    return folder


def test_healthy(patient: Book):
    facts, faults = examine(patient)
    assert faults == []
    assert "mxnet 1.9.1, d2l 1.0.3, matplotlib 3.7.2" in facts[".venv"]
    assert facts["Threads"].split()[0].isdigit()
    assert facts["Fashion-MNIST"] == "its four files are whole"
    assert {"Book", "System", "Processor", "bfloat16", "Memory", "Disk"} < facts.keys()


def test_missing_environment(patient: Book, change: Callable):
    change(patient.folder / ".venv")
    assert the_fault(patient) == ".venv is missing; `make lab` installs it."


def test_environment_of_another_copy(patient: Book, change: Callable):
    change(packages(patient) / "d2lutil.pth", f"{ROOT}\n")
    assert the_fault(patient).startswith(".venv is of another copy of the book")


def test_removed_interpreter(patient: Book, change: Callable):
    python = patient.folder / ".venv" / "bin" / "python"
    change(python)
    python.symlink_to("/nowhere/python3.11")
    fault = the_fault(patient)
    assert "(/nowhere/python3.11) does not start; `make lab` installs it" in fault


def test_newer_lock(patient: Book, change: Callable):
    lock = patient.folder / "uv.lock"
    change(lock, lock.read_text() + "\n")
    assert the_fault(patient).startswith(".venv is not what uv.lock asks for now")


def test_removed_package(patient: Book, change: Callable):
    change(packages(patient) / "d2l-1.0.3.dist-info")
    change(packages(patient) / "d2l")
    assert the_fault(patient) == (
        "d2l is missing in .venv, and the book needs 1.0.3; remove it (rm -r .venv), "
        "then `make lab` installs it anew."
    )


def test_package_of_another_version(patient: Book, change: Callable):
    change(packages(patient) / "numpy-1.23.5.dist-info")
    change(packages(patient) / "numpy-1.26.4.dist-info", "")
    fault = the_fault(patient)
    assert "numpy is 1.26.4 in .venv, and the book needs 1.23.5" in fault


def test_removed_file(patient: Book, change: Callable):
    change(packages(patient) / "d2l" / "mxnet.py")
    fault = the_fault(patient)
    assert "d2l/mxnet.py is missing or not as its package has it; remove it" in fault


def test_mxnet_that_does_not_load(patient: Book, change: Callable):
    module = packages(patient) / "mxnet" / "__init__.py"
    text = "raise OSError('libgomp.so.1: cannot open')\n"
    change(module, text.ljust(module.stat().st_size, "#"))
    facts, (fault,) = examine(patient)
    assert "does not load (OSError: libgomp.so.1: cannot open)" in fault
    assert facts["Threads"].startswith("unknown")


@pytest.mark.parametrize("text", [None, "0" * 10_008])
def test_damaged_data(patient: Book, change: Callable, text: str | None):
    change(patient.folder / "d2lutil" / "data" / "t10k-labels-idx1-ubyte", text)
    assert the_fault(patient) == (
        "t10k-labels-idx1-ubyte is missing or damaged; `git restore "
        "d2lutil/data/t10k-labels-idx1-ubyte` brings it back."
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("D2LUTIL_SCALE", "medium"),
        ("D2LUTIL_DTYPE", "float16"),
        ("D2LUTIL_COMPILE", "yes"),
        ("OMP_NUM_THREADS", "all"),
        ("MXNET_CPU_WORKER_NTHREADS", "0"),
    ],
)
def test_variable_that_is_refused(patient: Book, name: str, value: str):
    patient.variables[name] = value
    facts, (fault,) = examine(patient)
    assert fault.startswith(f"{name} is '{value}'; set it to")
    assert facts[name] == value


def test_several_faults_at_once(patient: Book, change: Callable):
    change(patient.folder / ".venv")
    change(patient.folder / "uv.lock")
    patient.variables["D2LUTIL_SCALE"] = "medium"
    assert len(examine(patient)[1]) == 3


def test_what_is_told_may_be_shown_to_others(patient: Book):
    patient.variables["PIP_INDEX_URL"] = "https://me:secret@mirror.org/simple"
    patient.variables["JUPYTER_TOKEN"] = "secret"
    facts, _ = examine(patient)
    assert facts["PIP_INDEX_URL"] == "https://***@mirror.org/simple"
    assert facts["JUPYTER_TOKEN"] == "***"
