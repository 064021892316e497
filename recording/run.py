"""Execute notebooks and store their outputs: `make execute` and `make record`.

A recording is the book's run: scale full, which takes hours on a processor. It is saved
while it runs (see d2lutil/checkpoint.py), so that the same command goes on where it was
stopped. Outputs are stored when the whole notebook was executed without an error.
"""

import argparse
import datetime
import os
import re
import sys
from dataclasses import asdict
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from d2lutil import load_data_fashion_mnist
from d2lutil.compile import compilation_asked_for, dtype_asked_for
from d2lutil.device import processor_name
from d2lutil.history import History
from d2lutil.scale import FULL, SMOKE, current_scale

ROOT = Path(__file__).parents[1]
NOTEBOOKS = ROOT / "notebooks"
CHECKPOINTS = ROOT / ".checkpoints"

# The notebooks that train a network at length, the cheapest first.
RECORDED = [
    "05-lenet",
    "10-batch-norm",
    "12-densenet",
    "09-googlenet",
    "11-resnet",
    "07-vgg",
    "08-nin",
    "06-alexnet",
]

# The groups are the numbers of a `History`, in its order.
_EPOCH = re.compile(
    r"^epoch \d+, loss (.+), train acc (.+), test acc (.+), time (.+) sec$",
    re.MULTILINE,
)
# What training prints because of how it is run, in a recording only.
_NOTES = re.compile(
    r"^(?:The network runs imperatively, not compiled: .*"
    r"|This processor has no bfloat16 instructions; float32 is used\."
    r"|Checkpoint \d+ is damaged and not used\.)\n",
    re.MULTILINE,
)


class RecordingError(Exception):
    """The reason why nothing is stored."""


def execute(path: Path) -> NotebookNode:
    """Return the notebook, executed from a fresh kernel.

    Raises:
        RecordingError: A cell failed.
    """
    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": path.parent}},
    )
    try:
        return client.execute()
    except (CellExecutionError, DeadKernelError) as error:
        raise RecordingError(f"{path.name} is not stored: {error}") from error


def note_history(notebook: NotebookNode, scale: str) -> None:
    """Note in the metadata what the last training of the book's own cells printed."""
    cells = _training_cells(notebook)
    if cells:
        noted = notebook.metadata.setdefault("d2lutil", {})
        noted.setdefault("histories", {})[scale] = asdict(_history(cells[-1]))


def add_line(notebook: NotebookNode, date: datetime.date) -> None:
    """Add a line to the last training's output that says how it was recorded.

    Raises:
        RecordingError: The notebook trains nothing.
    """
    cells = _training_cells(notebook)
    if not cells:
        raise RecordingError("It trains no network: `make execute` stores its outputs.")
    streams = [o for o in cells[-1].outputs if o.get("name") == "stdout"]
    # OpenMP allows a list here, one number for each level of nesting.
    num_threads = int(os.environ["OMP_NUM_THREADS"].split(",")[0])
    streams[-1].text += (
        f"recorded on {date}: {processor_name()}, {num_threads} "
        f"thread{'s' if num_threads > 1 else ''}, {_data_types(cells)}, "
        f"{_seconds(notebook):.0f} sec in total\n"
    )


def drop_notes(notebook: NotebookNode) -> None:
    """Leave out what the notebook would not print if it were not recorded."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "text" in output:
                output.text = _NOTES.sub("", output.text)
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if o.get("text") != ""]


def store(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in place of the one that is there, or leave that as it is."""
    unfinished = path.with_suffix(".tmp")
    try:
        nbformat.write(notebook, unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def record(path: Path, checkpoint: Path) -> None:
    """Execute a notebook, saving its trainings as they go, and store its outputs.

    Args:
        path: Notebook.
        checkpoint: Folder for its trainings.

    Raises:
        RecordingError: A cell failed, or the notebook trains nothing.
    """
    os.environ["D2LUTIL_CHECKPOINT"] = str(checkpoint)
    notebook = execute(path)
    add_line(notebook, _date(checkpoint))
    drop_notes(notebook)
    note_history(notebook, current_scale().name)
    store(notebook, path)


def main() -> None:
    """Execute or record the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help='such as "08-nin"')
    parser.add_argument("--record", action="store_true", help="at scale full")
    arguments = parser.parse_args()
    if not arguments.record and not arguments.names:
        parser.error("Name a notebook: make execute NB=08-nin.")
    try:
        if arguments.record:
            _record_all(arguments.names or RECORDED)
        else:
            _execute_all(arguments.names)
    except RecordingError as error:
        sys.exit(str(error))


def _record_all(names: list[str]) -> None:
    os.environ["D2LUTIL_SCALE"] = FULL.name
    os.environ.setdefault("D2LUTIL_COMPILE", "1")
    train_iter, _ = load_data_fashion_mnist(batch_size=1)
    if len(train_iter) < FULL.num_train:
        raise RecordingError("Nothing is recorded without the whole of Fashion-MNIST.")
    for name in names:
        print(f"Recording {name}.", flush=True)
        record(_path(name), CHECKPOINTS / name)


def _execute_all(names: list[str]) -> None:
    scale = current_scale()
    for name in names:
        notebook = execute(_path(name))
        if scale != SMOKE and name in RECORDED:
            note_history(notebook, scale.name)
        store(notebook, _path(name))


def _path(name: str) -> Path:
    path = NOTEBOOKS / f"{name}.ipynb"
    if not path.exists():
        raise RecordingError(f"There is no notebook {name!r}.")
    return path


def _training_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Return the book's own cells that printed an epoch."""
    return [
        cell
        for cell in notebook.cells
        if "extra" not in cell.metadata.get("tags", []) and _EPOCH.search(_text(cell))
    ]


def _text(cell: NotebookNode) -> str:
    return "".join(output.get("text", "") for output in cell.get("outputs", []))


def _data_types(cells: list[NotebookNode]) -> str:
    """Return what the cells computed in."""
    return " and ".join(sorted(set(map(_data_type, cells))))


def _data_type(cell: NotebookNode) -> str:
    # Only d2lutil's training compiles networks, and it says where it cannot.
    text = _text(cell)
    uses_d2lutil = "gb.train" in cell.source and "runs imperatively" not in text
    if not (uses_d2lutil and compilation_asked_for()):
        return "float32"
    dtype = "float32" if "float32 is used" in text else dtype_asked_for()
    return f"{dtype} (compiled)"


def _history(cell: NotebookNode) -> History:
    """Return what the training of a cell printed."""
    columns = zip(*_EPOCH.findall(_text(cell)), strict=True)
    return History(*([float(number) for number in column] for column in columns))


def _seconds(notebook: NotebookNode) -> float:
    """Return how long all trainings of the notebook took."""
    return sum(sum(_history(cell).seconds) for cell in notebook.cells)


def _date(checkpoint: Path) -> datetime.date:
    """Return the day when the last training was saved, or today if none was."""
    times = [file.stat().st_mtime for file in checkpoint.glob("*/*.npz")]
    return datetime.date.fromtimestamp(max(times)) if times else datetime.date.today()


if __name__ == "__main__":
    main()
