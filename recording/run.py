"""Execute notebooks and store their outputs: `make execute` and `make record`.

A recording is the book's run: scale full, which takes hours on a processor. It is saved
while it runs (see d2lutil/engine/checkpoint.py), so that the same command goes on where
it was stopped. Outputs are stored when the whole notebook was executed without an
error.

What was saved can stay for later, in a folder that may lie outside the book: from it,
the trainings need not be repeated when a cell was added to a notebook, and only that
cell's output is stored (`make record NB=08-nin CHECKPOINTS=… CELLS=…`). `make history`
stores no output, only what a training at scale lesson measured; of a comparison, what
the trainings of its controls measured, networks that no other section trains, at the
scale of the run.
"""

import argparse
import datetime
import os
import re
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbformat import NotebookNode

from d2lutil import settings
from d2lutil.device import processor_name
from d2lutil.engine.checkpoint import IS_DAMAGED
from d2lutil.engine.static_graph import (
    OTHER_BATCH,
    RUNS_IMPERATIVELY,
    USES_FLOAT32,
)
from d2lutil.fashion_mnist import DIFFERS
from d2lutil.history import History
from d2lutil.pages import sections
from d2lutil.pages.sections import Cell
from d2lutil.settings import FULL, LESSON, SMOKE, Images, images_used, run_scale

CHECKPOINTS = Path(__file__).parents[1] / ".checkpoints"

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

# The notebooks that define `controls`, and `train_control`, which trains one of them.
COMPARISONS = ["13-comparison"]

# What training prints because of how it is run, in a recording only.
NOTES = [RUNS_IMPERATIVELY, USES_FLOAT32, OTHER_BATCH, IS_DAMAGED]

LOADS = "load_data_fashion_mnist"

RECORDED_LINE = (
    "recorded on {date}: {processor}, {threads}, {dtypes}, {seconds:.0f} sec in total\n"
)


class RecordingError(Exception):
    """The reason why nothing is stored."""


SEED_CELL = """\
import random
import d2lutil
import mxnet
import numpy

random.seed({seed})
mxnet.random.seed({seed})
numpy.random.seed({seed})"""


@dataclass(frozen=True)
class Options:
    """How a recording is made, as far as the command can choose.

    Attributes:
        compiles: Whether networks are trained as static graphs.
        dtype: Type that these compute in, float32 or bfloat16.
        num_threads: Number of threads that MXNet computes with.
        checkpoint: Folder for the trainings of the notebook.
        seed: Seed of all random numbers; None leaves them to the notebook.
    """

    compiles: bool
    dtype: str
    num_threads: int
    checkpoint: Path
    seed: int | None = None

    def environment(self) -> dict[str, str]:
        """Return the variables that tell a kernel so."""
        return {
            "D2LUTIL_SCALE": FULL.name,
            "D2LUTIL_COMPILE": "1" if self.compiles else "0",
            "D2LUTIL_DTYPE": self.dtype,
            "D2LUTIL_CHECKPOINT": str(self.checkpoint),
            "OMP_NUM_THREADS": str(self.num_threads),
        }


def execute(
    path: Path, environment: Mapping[str, str] = {}, seed: int | None = None
) -> NotebookNode:
    """Return the notebook, executed from a fresh kernel.

    Args:
        path: Notebook.
        environment: Variables that are set for the kernel, besides those of this
            process.
        seed: Seed of all random numbers; None leaves them to the notebook.

    Raises:
        RecordingError: A cell failed, or the notebook could not be stored afterwards.
    """
    if not (os.access(path, os.W_OK) and os.access(path.parent, os.W_OK)):
        raise RecordingError(
            f"{path.name} is not executed: it belongs to another user, or its folder "
            "does, and its outputs could not be stored."
        )

    notebook = nbformat.read(path, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        coalesce_streams=True,
        resources={"metadata": {"path": path.parent}},
    )

    try:
        with _seeded(notebook, seed):
            return client.execute(env={**os.environ, **environment})
    except (CellExecutionError, DeadKernelError) as error:
        raise RecordingError(f"{path.name} is not stored: {error}") from error


@contextmanager
def _seeded(notebook: NotebookNode, seed: int | None) -> Iterator[None]:
    """Let a cell that sets the seed go before the others, while they are executed."""
    if seed is None:
        yield
        return

    notebook.cells.insert(0, nbformat.v4.new_code_cell(SEED_CELL.format(seed=seed)))
    try:
        yield
    finally:
        del notebook.cells[0]
        for cell in sections.code_cells(notebook):
            if cell["execution_count"]:
                cell["execution_count"] -= 1


def note_history(
    notebook: NotebookNode, scale: str, executed: NotebookNode | None = None
) -> None:
    """Note in the metadata what the last training of the book's own cells printed.

    Args:
        notebook: Where it is noted.
        scale: Scale of the training.
        executed: The notebook that printed it, if it is another one.

    Raises:
        RecordingError: It diverged.
    """
    cells = _training_cells(executed or notebook)
    if cells:
        history = _history(sections.printed(cells[-1]))
        history.images = _images(executed or notebook)
        _note(notebook, scale, history)


def add_line(notebook: NotebookNode, options: Options, date: datetime.date) -> None:
    """Add a line to the last training's output that says how it was recorded.

    Raises:
        RecordingError: The notebook trains nothing.
    """
    cells = _training_cells(notebook)
    if not cells:
        raise RecordingError("It trains no network: `make execute` stores its outputs.")

    streams = [o for o in cells[-1]["outputs"] if o.get("name") == "stdout"]
    n = options.num_threads

    streams[-1]["text"] += RECORDED_LINE.format(
        date=date,
        processor=processor_name(),
        threads=f"{n} thread{'s' if n > 1 else ''}",
        dtypes=_data_types(cells, options),
        seconds=sum(
            sum(_history(sections.printed(cell)).seconds)
            for cell in sections.code_cells(notebook)
        ),
    )


def drop_notes(notebook: NotebookNode) -> None:
    """Leave out what the notebook would not print if it were not recorded."""
    notes = re.compile(f"^(?:{'|'.join(map(pattern, NOTES))})\n", re.MULTILINE)
    for cell in sections.code_cells(notebook):
        for output in cell["outputs"]:
            if "text" in output:
                output["text"] = notes.sub("", output["text"])
        cell["outputs"] = [o for o in cell["outputs"] if o.get("text") != ""]


def pattern(sentence: str) -> str:
    """Return a regular expression that finds what `sentence.format(...)` makes.

    What stands in place of a field `{used.name}` is a group of that name.
    """
    escaped = re.escape(sentence)
    named = re.sub(r"\\\{used\\\.(\w+)\\\}", r"(?P<\1>.*)", escaped)
    return re.sub(r"\\\{[^{}]*\\\}", ".*", named)


def fold(cell: Cell) -> None:
    """Let JupyterLab fold the output of a cell that a reader predicts, and no other."""
    view = cell["metadata"].pop("jupyter", {})
    view.pop("outputs_hidden", None)
    if sections.is_predicted(cell):
        view["outputs_hidden"] = True
    if view:
        cell["metadata"]["jupyter"] = view


def store(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in place of the one that is there, or leave that as it is.

    The digest of its outputs goes into its metadata, where a test finds it again.
    Outputs that a reader predicts are folded.
    """
    for cell in sections.code_cells(notebook):
        fold(cell)

    if sections.code_cells(notebook):
        noted = notebook.metadata.setdefault("d2lutil", {})
        noted["outputs"] = sections.outputs_digest(notebook)

    unfinished = path.with_suffix(".tmp")
    try:
        nbformat.write(notebook, unfinished)
        unfinished.rename(path)
    finally:
        unfinished.unlink(missing_ok=True)


def record(path: Path, options: Options, cells: Collection[str] = ()) -> None:
    """Execute a notebook, saving its trainings as they go, and store its outputs.

    Args:
        path: Notebook.
        options: How it is done.
        cells: Ids of the added cells whose outputs are stored; none for all cells.

    Raises:
        RecordingError: A cell failed, the notebook trains nothing, its training
            diverged, or an id is not that of an added cell.
    """
    if cells:
        _check_ids(nbformat.read(path, as_version=4), cells)

    notebook = execute(path, options.environment(), options.seed)
    if cells:
        store(_with_outputs_of(notebook, path, cells), path)
        return

    add_line(notebook, options, _date(options.checkpoint))
    drop_notes(notebook)
    note_history(notebook, FULL.name)
    store(notebook, path)


def record_history(path: Path) -> None:
    """Execute a notebook at scale lesson and store what its training measured only.

    Raises:
        RecordingError: A cell failed, or the notebook trains nothing.
    """
    executed = execute(path, {"D2LUTIL_SCALE": LESSON.name})
    if not _training_cells(executed):
        raise RecordingError(f"{path.name} trains no network.")
    notebook = nbformat.read(path, as_version=4)
    note_history(notebook, LESSON.name, executed)
    store(notebook, path)


def record_controls(path: Path, names: Collection[str] = ()) -> None:
    """Train the controls of a comparison and store what that measured only.

    The scale is that of this run, and so are the other settings of d2lutil.

    Args:
        path: Notebook.
        names: Names of the controls; none for all of them.

    Raises:
        RecordingError: The scale is smoke, or a training diverged.
    """
    scale = run_scale()
    if scale == SMOKE:
        raise RecordingError("What is learned at scale smoke is not stored.")

    section = sections.load_section(path.stem)
    for name in names or section.controls:
        trained = section.train_control(name)
        epochs = range(1, trained.num_epochs + 1)
        # Rounded as it was printed, like that of the other networks.
        history = _history("\n".join(map(trained.line, epochs)))
        history.images = images_used(section.pixels[name])
        notebook = nbformat.read(path, as_version=4)
        _note(notebook, f"{name}, {scale.name}", history)
        store(notebook, path)


def main() -> None:
    """Execute or record the notebooks that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", help='such as "08-nin"')
    parser.add_argument("--record", action="store_true", help="at scale full")
    parser.add_argument("--history", action="store_true", help="the lesson's, only")
    parser.add_argument("--seed", type=int, help="of a recording")
    parser.add_argument("--checkpoints", type=Path, default=CHECKPOINTS)
    parser.add_argument("--cells", nargs="+", default=[], help="ids of added cells")
    parser.add_argument("--controls", nargs="+", default=[], help="of a comparison")
    arguments = parser.parse_args()

    if not arguments.record and not arguments.names:
        parser.error("Name a notebook: make execute NB=08-nin.")

    try:
        if arguments.record:
            _record_all(arguments)
        elif arguments.history:
            for name in arguments.names:
                if name in COMPARISONS:
                    record_controls(_path(name), arguments.controls)
                else:
                    record_history(_path(name))
        else:
            _execute_all(arguments.names)
    except (RecordingError, ValueError) as error:
        sys.exit(str(error))


def _record_all(arguments: argparse.Namespace) -> None:
    num_threads = settings.num_threads()
    assert num_threads, "importing d2lutil sets it"
    seed = arguments.seed
    for name in arguments.names or RECORDED:
        folder = name if seed is None else f"{name}-seed-{seed}"
        options = Options(
            compiles=settings.compiles_networks(default="1"),
            dtype=settings.compute_dtype(),
            num_threads=num_threads,
            checkpoint=arguments.checkpoints.expanduser().absolute() / folder,
            seed=seed,
        )
        print(f"Recording {name}.", flush=True)
        record(_path(name), options, arguments.cells)


def _execute_all(names: list[str]) -> None:
    scale = run_scale()
    for name in names:
        notebook = execute(_path(name))
        if scale != SMOKE and name in RECORDED:
            note_history(notebook, scale.name)
        store(notebook, _path(name))


def _path(name: str) -> Path:
    path = sections.path(name)
    if not path.exists():
        raise RecordingError(f"There is no notebook {name!r}.")
    return path


def _check_ids(notebook: NotebookNode, ids: Collection[str]) -> None:
    added = {c["id"] for c in sections.code_cells(notebook) if sections.is_added(c)}
    if unknown := set(ids) - added:
        raise RecordingError(
            f"{min(unknown)} is not the id of a code cell with the tag extra; there "
            f"are: {', '.join(sorted(added))}."
        )


def _with_outputs_of(
    executed: NotebookNode, path: Path, ids: Collection[str]
) -> NotebookNode:
    """Return the stored notebook, with the outputs of some cells replaced."""
    drop_notes(executed)
    notebook = nbformat.read(path, as_version=4)
    for old, new in zip(notebook.cells, executed.cells, strict=True):
        if old.id in ids:
            old.outputs, old.execution_count = new.outputs, new.execution_count
    return notebook


def _num_epochs(text: str) -> int:
    """Return how many lines of epochs there are, also of those without finite loss."""
    return len(re.findall(r"^epoch \d+, loss ", text, re.MULTILINE))


def _training_cells(notebook: NotebookNode) -> list[Cell]:
    """Return the book's own cells that printed an epoch."""
    return [
        cell
        for cell in sections.code_cells(notebook)
        if not sections.is_added(cell) and _num_epochs(sections.printed(cell))
    ]


def _data_types(cells: list[Cell], options: Options) -> str:
    """Return what the cells computed in."""
    return " and ".join(sorted({_data_type(cell, options) for cell in cells}))


def _data_type(cell: Cell, options: Options) -> str:
    # Only d2lutil's training compiles networks, and it says where it cannot.
    text = sections.printed(cell)
    runs_imperatively = re.search(pattern(RUNS_IMPERATIVELY), text)
    if (
        not options.compiles
        or "gb.train" not in sections.source(cell)
        or runs_imperatively
    ):
        return "float32"

    dtype = "float32" if USES_FLOAT32 in text else options.dtype
    return f"{dtype} (compiled)"


def _note(notebook: NotebookNode, training: str, history: History) -> None:
    noted = notebook.metadata.setdefault("d2lutil", {})
    stored = {name: value for name, value in asdict(history).items() if value}
    noted.setdefault("histories", {})[training] = stored


def _history(text: str) -> History:
    """Return what a training printed."""
    history = History.parse(text)
    if len(history.loss) != _num_epochs(text):
        raise RecordingError("A training diverged: nothing is stored.")
    return history


def _images(notebook: NotebookNode) -> Images | None:
    """Return which images the book's own cells loaded last, None if none did."""
    loading = [
        cell
        for cell in sections.code_cells(notebook)
        if not sections.is_added(cell) and LOADS in sections.source(cell)
    ]
    if not loading:
        return None
    if told := re.search(pattern(DIFFERS), sections.printed(loading[-1])):
        return Images(
            **{name: int(number) for name, number in told.groupdict().items()}
        )

    resize = re.search(r"resize=(\d+)", sections.source(loading[-1]))
    return images_used(int(resize[1]) if resize else None, FULL)


def _date(checkpoint: Path) -> datetime.date:
    """Return the day when the last training was saved, or today if none was."""
    times = [file.stat().st_mtime for file in checkpoint.glob("*/*.npz")]
    return datetime.date.fromtimestamp(max(times)) if times else datetime.date.today()


if __name__ == "__main__":
    main()
