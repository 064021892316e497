"""Protects: outputs are stored when all went well, and say how they were recorded."""

import configparser
import dataclasses
import datetime
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_notebook, new_output

import d2lutil as gb
from conftest import sanitize_rules
from d2lutil.engine import checkpoint
from d2lutil.pages import sections
from recording import run
from recording.run import RecordingError

LINE = re.compile(
    r"^recorded on \d{4}-\d\d-\d\d: \S.*, \d+ threads?, float32, \d+ sec in total\n$"
)
EPOCHS = """\
training on cpu(0)
epoch 1, loss 2.2708, train acc 0.155, test acc 0.162, time 34.9 sec
epoch 2, loss 2.2030, train acc 0.169, test acc 0.296, time 34.7 sec
"""
OPTIONS = run.Options(
    compiles=False, dtype="float32", num_threads=2, checkpoint=Path("unused")
)
BFLOAT16 = dataclasses.replace(OPTIONS, compiles=True, dtype="bfloat16")
IMPERATIVE = "The network runs imperatively, not compiled: it has a hook.\n"
NO_BFLOAT16 = "This processor has no bfloat16 instructions; float32 is used.\n"
OTHER_BATCH = (
    "A batch of 96 × 1 × 28 × 28 in float32 runs imperatively: "
    "the graph is for 256 × 1 × 28 × 28 in float32.\n"
)
TRAINING = """\
import mxnet as mx
import numpy as np
import d2lutil as gb
from mxnet import gluon, nd
from mxnet.gluon import nn

net = nn.Dense(10)
net.initialize()
trainer = gluon.Trainer(net.collect_params(), 'sgd', {'learning_rate': 0.1})
data = [(nd.ones((2, 3)), nd.zeros(2))]
gb.train_ch5(net, data, data, 2, trainer, mx.cpu(), 2)"""


def training_cell(text: str = EPOCHS, source: str = "gb.train()", tags=()) -> dict:
    output = new_output("stream", name="stdout", text=text)
    return new_code_cell(source, outputs=[output], metadata={"tags": list(tags)})


def text(notebook: NotebookNode) -> str:
    return "".join(map(sections.printed, sections.code_cells(notebook)))


def write(folder: Path, *sources: str) -> Path:
    path = folder / "99-test.ipynb"
    cells = [new_code_cell(source) for source in sources]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), path)
    return path


# The line.


def test_line_is_added_to_the_last_training_of_the_book():
    cells = [training_cell(), training_cell(), training_cell(tags=["extra"])]
    notebook = new_notebook(cells=cells)
    run.add_line(notebook, OPTIONS, datetime.date(2026, 1, 2))
    texts = [sections.printed(cell) for cell in notebook.cells]
    assert texts[0] == texts[2] == EPOCHS
    line = texts[1].removeprefix(EPOCHS)
    assert LINE.match(line)
    assert line.startswith("recorded on 2026-01-02: ")
    # Three times two epochs.
    assert line.endswith(", 209 sec in total\n")


@pytest.mark.parametrize(
    "expected, cells",
    [
        ("bfloat16 (compiled)", [training_cell()]),
        ("float32", [training_cell(source="train_ch5()")]),
        ("float32 (compiled)", [training_cell(NO_BFLOAT16 + EPOCHS)]),
        (
            "bfloat16 (compiled) and float32",
            [training_cell(IMPERATIVE + EPOCHS), training_cell()],
        ),
    ],
)
def test_line_says_the_data_type_that_was_used(expected, cells):
    notebook = new_notebook(cells=cells)
    run.add_line(notebook, BFLOAT16, datetime.date.today())
    assert f" 2 threads, {expected}, " in text(notebook)


def test_line_follows_the_last_output():
    cell = training_cell()
    cell.outputs[:0] = [
        new_output("stream", name="stdout", text="Fashion-MNIST: a note\n"),
        new_output("display_data", data={"text/html": ""}),
    ]
    run.add_line(new_notebook(cells=[cell]), OPTIONS, datetime.date.today())
    assert cell.outputs[0].text == "Fashion-MNIST: a note\n"
    assert ", 2 threads, " in cell.outputs[2].text


def test_notes_of_the_compiler_and_of_checkpoints_are_dropped():
    notes = (
        f"{IMPERATIVE}{NO_BFLOAT16}{OTHER_BATCH}"
        "Checkpoint 12 is damaged and not used.\n"
    )
    notebook = new_notebook(cells=[training_cell(notes + EPOCHS), training_cell(notes)])
    figure = new_output("display_data", data={"text/plain": "<Figure>"})
    notebook.cells[1].outputs.append(figure)
    run.drop_notes(notebook)
    assert text(notebook) == EPOCHS
    assert notebook.cells[1].outputs == [figure]


def test_notebook_without_training_is_not_recorded():
    with pytest.raises(RecordingError, match="make execute"):
        run.add_line(
            new_notebook(cells=[new_code_cell()]), OPTIONS, datetime.date.today()
        )


# The metadata.


def test_history_is_that_of_the_last_training_of_the_book():
    better = EPOCHS.replace("0.296", "0.819")
    cells = [training_cell(), training_cell(better), training_cell(tags=["extra"])]
    notebook = new_notebook(cells=cells)
    run.note_history(notebook, "lesson")
    assert notebook.metadata["d2lutil"]["histories"]["lesson"] == {
        "loss": [2.2708, 2.2030],
        "train_acc": [0.155, 0.169],
        "test_acc": [0.162, 0.819],
        "seconds": [34.9, 34.7],
    }


TOLD = (
    "Fashion-MNIST: lesson scale, 24000 + 2000 images of 72 x 48 pixels (asked: 60000 "
    "+ 10000 of 224 x 96); D2LUTIL_SCALE=full gives the book's run\n"
)


@pytest.mark.parametrize(
    ("source", "told", "images"),
    [
        ("resize=224)", TOLD, (24_000, 2_000, 72, 48)),
        ("resize=96)", "", (60_000, 10_000, 96, 96)),
        (")", "", (60_000, 10_000, 28, 28)),
    ],
)
def test_history_knows_which_images_it_was_measured_with(source, told, images):
    loading = new_code_cell(f"data = gb.{run.LOADS}(8, {source}")
    loading.outputs = [new_output("stream", name="stdout", text=told + "more\n")]
    added = new_code_cell(f"gb.{run.LOADS}(8, resize=32)", metadata={"tags": ["extra"]})
    notebook = new_notebook(cells=[loading, added, training_cell()])
    run.note_history(notebook, "lesson")
    noted = notebook.metadata["d2lutil"]["histories"]["lesson"]["images"]
    assert tuple(noted.values()) == images


def test_history_of_another_scale_stays():
    notebook = new_notebook(cells=[training_cell(), training_cell(tags=["extra"])])
    run.note_history(notebook, "lesson")
    notebook.cells[0].outputs[0].text = EPOCHS.replace("0.296", "0.935")
    run.note_history(notebook, "full")
    noted = notebook.metadata["d2lutil"]["histories"]
    last = {scale: history["test_acc"][-1] for scale, history in noted.items()}
    assert last == {"lesson": 0.296, "full": 0.935}


def test_notebook_without_training_gets_no_metadata():
    notebook = new_notebook(cells=[new_code_cell()])
    run.note_history(notebook, "lesson")
    assert notebook.metadata == {}


# Executing and storing.


def test_recording_goes_on_where_it_was_stopped(tmp_path):
    checkpoints = tmp_path / "checkpoint"
    options = dataclasses.replace(OPTIONS, checkpoint=checkpoints)
    surroundings = dict(os.environ)
    cells = ["import os", TRAINING, f"1 / os.path.exists({str(tmp_path / 'go')!r})"]
    path = write(tmp_path, *cells)
    before = path.read_bytes()
    with pytest.raises(RecordingError, match="ZeroDivisionError"):
        run.record(path, options)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == {path.name, "checkpoint"}
    [*_, saved] = checkpoint_files(checkpoints)
    (tmp_path / "go").touch()
    run.record(path, options)
    assert checkpoint_files(checkpoints)[-1] == saved
    notebook = nbformat.read(path, as_version=4)
    lines = text(notebook).splitlines(keepends=True)
    assert lines[0] == "training on cpu(0)\n"
    assert [line[:7] for line in lines[1:3]] == ["epoch 1", "epoch 2"]
    assert LINE.match(lines[3])
    assert len(lines) == 4
    assert len(notebook.metadata.d2lutil.histories.full.test_acc) == 2
    assert notebook.metadata.d2lutil.outputs == sections.outputs_digest(notebook)
    assert not [cell for cell in notebook.cells if "execution" in cell.metadata]
    assert dict(os.environ) == surroundings


def checkpoint_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.npz"), key=checkpoint._number)


def test_date_is_that_of_the_training(tmp_path):
    assert run._date(tmp_path) == datetime.date.today()
    file = tmp_path / "training-1" / "1-0.npz"
    file.parent.mkdir()
    file.touch()
    os.utime(file, (0, 86_400 * 10.5))
    assert run._date(tmp_path) == datetime.date(1970, 1, 11)


def test_output_that_a_reader_predicts_is_folded_and_no_other(tmp_path):
    guessed = new_code_cell(metadata={"tags": ["extra", "predict"]})
    opened = new_code_cell(metadata={"jupyter": {"outputs_hidden": True}})
    path = tmp_path / "99-test.ipynb"
    run.store(new_notebook(cells=[guessed, opened]), path)
    stored = nbformat.read(path, as_version=4).cells
    assert stored[0].metadata.jupyter == {"outputs_hidden": True}
    assert stored[1].metadata == {}


def test_notebook_that_cannot_be_written_stays(tmp_path, monkeypatch):
    path = write(tmp_path, "1")
    before = path.read_bytes()

    def fail(notebook, file):
        file.write_text("half a note")
        raise OSError("No space left on device")

    monkeypatch.setattr(nbformat, "write", fail)
    with pytest.raises(OSError, match="No space"):
        run.store(new_notebook(), path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_all_notebooks_are_recorded_one_after_the_other(monkeypatch):
    recorded = []
    monkeypatch.setattr("sys.argv", ["run", "--record"])
    monkeypatch.setattr(
        run,
        "record",
        lambda path, options, cells: recorded.append((path.stem, options)),
    )
    run.main()
    assert [name for name, _ in recorded] == run.RECORDED
    assert len(set(run.RECORDED)) == 8
    # Unless the user says otherwise, a recording trains compiled networks.
    assert all(options.compiles for _, options in recorded)
    monkeypatch.setenv("D2LUTIL_COMPILE", "0")
    run.main()
    assert not recorded[-1][1].compiles


def test_options_of_a_recording_reach_the_kernel():
    assert BFLOAT16.environment() == {
        "D2LUTIL_SCALE": "full",
        "D2LUTIL_COMPILE": "1",
        "D2LUTIL_DTYPE": "bfloat16",
        "D2LUTIL_CHECKPOINT": "unused",
        "OMP_NUM_THREADS": "2",
    }


def test_wrong_variable_is_an_error_before_anything_is_run(monkeypatch):
    monkeypatch.setenv("D2LUTIL_DTYPE", "float16")
    monkeypatch.setattr("sys.argv", ["run", "--record", "08-nin"])
    with pytest.raises(SystemExit, match="D2LUTIL_DTYPE is 'float16'; set it to"):
        run.main()


def test_notebook_that_could_not_be_stored_is_not_executed(tmp_path, monkeypatch):
    path = write(tmp_path, "1")
    # As another user: root may write everywhere.
    monkeypatch.setattr(run.os, "access", lambda path, mode: path.is_file())
    with pytest.raises(RecordingError, match=r"99-test\.ipynb is not executed"):
        run.execute(path)


def test_training_that_diverged_is_not_stored():
    diverged = EPOCHS.replace("2.2030", "nan")
    with pytest.raises(RecordingError, match="diverged"):
        run.note_history(new_notebook(cells=[training_cell(diverged)]), "lesson")


@pytest.mark.parametrize("name, noted", [("08-nin", True), ("solutions/08-nin", False)])
def test_only_sections_that_are_recorded_note_their_history(monkeypatch, name, noted):
    stored = []
    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    monkeypatch.setattr(
        run, "execute", lambda path: new_notebook(cells=[training_cell()])
    )
    monkeypatch.setattr(run, "store", lambda notebook, path: stored.append(notebook))
    run._execute_all([name])
    assert ("d2lutil" in stored[0].metadata) == noted


def test_unknown_notebook_is_an_error(monkeypatch):
    monkeypatch.setattr("sys.argv", ["run", "8-nin"])
    with pytest.raises(SystemExit, match="no notebook '8-nin'"):
        run.main()


# Parts of a recording.

DRAW = "import mxnet\nprint(mxnet.nd.random.uniform().asscalar())"


def test_seed_goes_before_the_cells_and_is_not_stored(tmp_path):
    path = write(tmp_path, DRAW)
    drawn = {seed: text(run.execute(path, seed=seed)) for seed in (1, 2)}
    again = run.execute(path, seed=1)
    assert drawn[1] != drawn[2]
    assert text(again) == drawn[1]
    assert [cell.source for cell in again.cells] == [DRAW]
    assert again.cells[0].execution_count == 1


def test_only_the_history_of_the_lesson_is_stored(tmp_path, monkeypatch):
    path = write(tmp_path, "gb.train()")
    before = nbformat.read(path, as_version=4)
    asked_for = {}

    def execute(path, environment):
        asked_for.update(environment)
        return new_notebook(cells=[training_cell()])

    monkeypatch.setattr(run, "execute", execute)
    monkeypatch.setattr("sys.argv", ["run", "--history", "99-test"])
    monkeypatch.setattr(sections, "path", lambda name: path)
    run.main()
    stored = nbformat.read(path, as_version=4)
    assert asked_for == {"D2LUTIL_SCALE": "lesson"}
    assert stored.cells == before.cells
    assert stored.metadata.d2lutil.histories.lesson.test_acc == [0.162, 0.296]
    assert stored.metadata.d2lutil.outputs == sections.outputs_digest(stored)


COMPARISON = """\
import d2lutil as gb

controls = {'wide': 2, 'narrow': 1}
pixels = {'wide': 96, 'narrow': 64}

def train_control(name):
    from d2lutil.history import History
    loss = [0.51236, 0.4 if controls[name] else float('nan')]
    gb.lesson(num_train=60_000, pixels=48)
    return History(loss, [0.8, 0.9], [0.7, 0.81239], [3.0, 4.0], updates=[0.5])"""


@pytest.fixture
def comparison(tmp_path, monkeypatch):
    """Write a comparison of its own, and name it on the command line."""
    path = write(tmp_path, COMPARISON)
    monkeypatch.setattr(sections, "path", lambda name: path)
    monkeypatch.setattr(run, "COMPARISONS", ["99-test"])
    monkeypatch.setattr("sys.argv", ["run", "--history", "99-test"])
    yield path
    gb.lesson()


@pytest.mark.parametrize("scale, pixels", [("lesson", 48), ("full", 64)])
def test_controls_of_a_comparison_have_histories_of_their_own(
    comparison, monkeypatch, scale, pixels
):
    monkeypatch.setenv("D2LUTIL_SCALE", scale)
    run.main()
    history = gb.recorded_history("99-test", scale, "narrow")
    assert history.loss == [0.5124, 0.4]
    assert history.test_acc == [0.7, 0.812]
    assert not history.updates
    assert dataclasses.astuple(history.images) == (60_000, 10_000, pixels, pixels)
    assert gb.recorded_history("99-test", scale, "wide")
    stored = nbformat.read(comparison, as_version=4)
    assert stored.cells[0].outputs == []
    assert stored.metadata.d2lutil.outputs == sections.outputs_digest(stored)
    with pytest.raises(ValueError, match=f"there is: narrow, {scale}; wide, {scale}."):
        gb.recorded_history("99-test", scale)


def test_only_the_named_controls_are_trained(comparison, monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "lesson")
    monkeypatch.setattr("sys.argv", [*sys.argv, "--controls", "narrow"])
    run.main()
    stored = nbformat.read(comparison, as_version=4)
    assert list(stored.metadata.d2lutil.histories) == ["narrow, lesson"]


@pytest.mark.parametrize(
    "scale, source, reason",
    [
        ("smoke", COMPARISON, "at scale smoke is not stored"),
        ("lesson", COMPARISON.replace("'wide': 2", "'wide': 0"), "diverged"),
    ],
)
def test_what_a_control_learned_badly_is_not_stored(
    comparison, monkeypatch, scale, source, reason
):
    write(comparison.parent, source)
    before = comparison.read_bytes()
    monkeypatch.setenv("D2LUTIL_SCALE", scale)
    with pytest.raises(SystemExit, match=reason):
        run.main()
    assert comparison.read_bytes() == before


def test_outputs_of_named_cells_only_are_stored_and_nothing_is_trained_again(tmp_path):
    counter = tmp_path / "trained"
    count = f"open({str(counter)!r}, 'a').write('x')"
    slow = TRAINING.replace(
        "data = [",
        f"class Data(list):\n    def __iter__(self):\n"
        f"        {count}\n        return super().__iter__()\ndata = Data([",
    ).replace("nd.zeros(2))]", "nd.zeros(2))])")
    path = write(tmp_path, slow, "1 + 1", "2 + 2")
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells[1:]:
        cell.metadata["tags"] = ["extra"]
    nbformat.write(notebook, path)
    options = dataclasses.replace(OPTIONS, checkpoint=tmp_path / "kept")
    run.record(path, options)
    recorded, num_passes = nbformat.read(path, as_version=4), len(counter.read_text())

    changed = nbformat.read(path, as_version=4)
    changed.cells[1].source, changed.cells[2].source = "10 + 1", "20 + 2"
    nbformat.write(changed, path)
    run.record(path, options, cells=[changed.cells[2].id])
    stored = nbformat.read(path, as_version=4)
    assert stored.cells[0].outputs == recorded.cells[0].outputs
    assert stored.cells[1].outputs == recorded.cells[1].outputs
    assert stored.cells[2].outputs[0].data["text/plain"] == "22"
    assert stored.metadata.d2lutil.outputs == sections.outputs_digest(stored)
    # Only what compares the data was read: a batch of each, not the epochs.
    assert len(counter.read_text()) - num_passes < num_passes


def test_unknown_cell_is_an_error_before_anything_is_run(tmp_path, monkeypatch):
    path = write(tmp_path, "1")
    monkeypatch.setattr(run, "execute", None)
    with pytest.raises(RecordingError, match="abc is not the id of a code cell with"):
        run.record(path, OPTIONS, cells=["abc"])


def test_checkpoints_and_seed_of_the_command_line_are_used(tmp_path, monkeypatch):
    recorded = []
    arguments = ["--record", "08-nin", "--seed", "3", "--checkpoints", str(tmp_path)]
    monkeypatch.setattr("sys.argv", ["run", *arguments])
    monkeypatch.setattr(
        run, "record", lambda path, options, cells: recorded.append(options)
    )
    run.main()
    assert recorded[0].seed == 3
    assert recorded[0].checkpoint == tmp_path / "08-nin-seed-3"


# What nbval compares.


def sanitized(output: str) -> str:
    """Return an output as nbval compares it."""
    rules = configparser.RawConfigParser()
    rules.read_string(sanitize_rules())
    for section in rules.sections():
        regex, replacement = (rules.get(section, key) for key in ("regex", "replace"))
        output = re.sub(regex, replacement, output)
    return output


def test_recorded_and_tested_outputs_are_equal_for_nbval():
    recorded = new_notebook(cells=[training_cell()])
    run.add_line(recorded, OPTIONS, datetime.date.today())
    scale_line = (
        "Fashion-MNIST: smoke scale, 500 + 250 images of 72 x 72 pixels "
        "(asked: 60000 + 10000 of 224 x 224); D2LUTIL_SCALE=full gives the book's run\n"
    )
    other_digits = EPOCHS.replace("2.2", "1.3").replace("34.", "101.")
    tested = sanitized(scale_line + other_digits)
    assert sanitized(text(recorded)) == tested
    assert tested.count("epoch") == 2


@pytest.mark.parametrize(
    "line", ["epoch 3, loss nan, train acc 0.1", "recorded", "Warning: Fashion-MNIST\n"]
)
def test_other_lines_are_compared(line):
    assert sanitized(EPOCHS + line) == sanitized(EPOCHS) + line
