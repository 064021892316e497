"""Save a training after each epoch, and go on with it after the process was stopped.

`D2LUTIL_CHECKPOINT=<folder>` asks `train_ch3`, `train_ch5` and `train` for it. The
first training that a process finishes is kept in the subfolder `training-1`, the next
one in `training-2`, and so on. A process that makes the same trainings again, after
kill -9 for instance, goes on with the one that was not finished, from its last whole
epoch; those that were finished are not repeated: their lines are printed and their
parameters loaded.

Random states of MXNet cannot be read. While a training is saved, each epoch starts with
random states of its own, so that a training that was stopped ends with the same bits as
one that was not. Dropout therefore drops other units than without a checkpoint, and the
examples come in another order.

A training that was saved with other settings is refused. What is compared:

- the network: its layers, their numbers and strings, the shapes, initial values and
  multipliers of its parameters, and the code of each block's `forward`,
  `hybrid_forward` and functions that are its attributes, but not that of functions
  which these call;
- the data: the number of batches, and the first batch, of training and test data, but
  not the others, and of loaders with worker processes the number only: what workers
  draw at random follows no seed, and is drawn anew when the training goes on;
- optimiser, schedule and loss: their kind, numbers, strings and lists of such, but not
  the code of one's own;
- batch size, number of epochs, devices, run scale, compilation, threads, processor.
"""

import fcntl
import hashlib
import inspect
import json
import os
import random
import re
import types
import zipfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from operator import length_hint
from pathlib import Path
from typing import Any, BinaryIO

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from d2lutil import checks
from d2lutil.checks import MistakeError
from d2lutil.device import processor_name
from d2lutil.engine.batch import Batch, split_batch
from d2lutil.engine.diagnosis import explained
from d2lutil.history import History
from d2lutil.settings import (
    checkpoint_folder,
    compiles_networks,
    compute_dtype,
    num_threads,
    run_scale,
)

# What a recording leaves out.
IS_DAMAGED = "Checkpoint {number} is damaged and not used."

FORMAT = 2
NUM_GENERATIONS = 2

# A file that was saved: its number, and the hash of its content.
_FILE = re.compile(r"(\d+)-([0-9a-f]{64})\.npz")
# Gluon's names, which change from one object to the next.
_AUTOMATIC_NAMES = {"_prefix", "_name"}

# The methods that a reader writes.
_FORWARDS = ("forward", "hybrid_forward")

_num_finished: Counter[Path] = Counter()
# The folders that this process keeps others out of, as long as it lives.
_locks: dict[Path, BinaryIO] = {}

Settings = dict[str, str | int | float | None]


class CheckpointError(Exception):
    """A training cannot be saved, or cannot go on from what was saved."""


def open_checkpoint(
    net: Callable,
    trainer: Any,
    loss: Callable,
    train_iter: Iterable,
    test_iter: Iterable,
    devices: Sequence[mx.Context],
    num_epochs: int,
    batch_size: int | None,
) -> "Checkpoint | None":
    """Return the checkpoint of a training, None unless `D2LUTIL_CHECKPOINT` is set.

    Args:
        net: Network, initialised on `devices`.
        trainer: Trainer of its parameters.
        loss: Loss.
        train_iter: Training batches of features (batch, ...) and labels (batch, ...).
        test_iter: Test batches of the same form.
        devices: Devices that share each batch.
        num_epochs: Number of passes over the training batches.
        batch_size: Number that gradients are divided by.

    Raises:
        CheckpointError: The training cannot be saved, or another process saves one in
            the same folder.
    """
    root = checkpoint_folder()
    if root is None:
        return None

    if not (isinstance(net, gluon.Block) and isinstance(trainer, gluon.Trainer)):
        raise CheckpointError(
            "Only a gluon.Block with a gluon.Trainer can be saved; unset "
            "D2LUTIL_CHECKPOINT for this training."
        )

    first = _first_batch(train_iter, "train_iter", devices)
    first_test = _first_batch(test_iter, "test_iter", devices)
    settings = {
        **_network_settings(net, first[0][0]),
        "number of batches": length_hint(train_iter),
        "first batch": _hash_of_batch(train_iter, first),
        "number of test batches": length_hint(test_iter),
        "first test batch": _hash_of_batch(test_iter, first_test),
        "optimizer": _describe(trainer.optimizer),
        "loss": _describe(loss),
        "batch size": batch_size,
        "number of epochs": num_epochs,
        "devices": str(devices),
        **_environment_settings(),
    }

    return Checkpoint(root, settings, net, trainer, num_epochs)


class Checkpoint:
    """Saves a training in a folder and goes on with what is there.

    A saved training is one file, a NumPy archive whose name holds the hash of its
    content. It gets this name when it is complete; the last two are kept. It holds
    numbers and text only, so that loading it runs no code: the parameters and other
    arrays of the network's blocks, the optimiser's arrays and counts, and what was
    measured.

    Args:
        root: Folder for all trainings of a process.
        settings: Whatever decides how the training goes on, by name.
        net: Network whose parameters have values.
        trainer: Trainer of these parameters.
        num_epochs: Number of epochs after which it is finished.

    Attributes:
        folder: Folder of this training.

    Raises:
        CheckpointError: The folder cannot be used, or another process uses it.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        net: gluon.Block,
        trainer: gluon.Trainer,
        num_epochs: int,
    ) -> None:
        self.folder = root / f"training-{_num_finished[root] + 1}"
        self._root = root
        self._settings = settings
        self._net = net
        self._trainer = trainer
        self._base_seed = _hash(str([np.asarray(p) for p in np.random.get_state()]))
        self._num_epochs = num_epochs

        with self._disk_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            _lock(self.folder)

    def resume(self) -> tuple[History, list[str]]:
        """Return what was measured and printed; all that is trained is as it was then.

        Raises:
            CheckpointError: What was saved is of another training or damaged, or the
                folder cannot be written to.
        """
        arrays = self._load()
        if arrays is None:
            self.save(History(), [])
            return History(), []

        state = json.loads(arrays["state"].item())
        self._base_seed = state["base seed"]
        self._set_parameters(arrays)
        _set_optimizer_state(self._trainer, state["optimizer"], arrays)
        # The trainer's store gave all devices the running statistics of the first.
        _set_arrays(self._net, arrays)

        history = History(**state["history"])
        self._note_if_finished(history)
        return history, state["lines"]

    def seed(self, epoch: int | str) -> None:
        """Give all random numbers of an epoch a beginning of their own."""
        seed = int(_hash(f"{self._base_seed} {epoch}"), 16) % 2**31
        mx.random.seed(seed)
        np.random.seed(seed)
        random.seed(seed)

    def save(self, history: History, lines: list[str]) -> None:
        """Save the training after an epoch.

        Args:
            history: What was measured.
            lines: What was printed.

        Raises:
            CheckpointError: The training cannot be saved.
        """
        with self._disk_errors():
            optimizer, optimizer_arrays = _optimizer_state(self._trainer)
            state = {
                "history": asdict(history),
                "lines": lines,
                "base seed": self._base_seed,
                "optimizer": optimizer,
            }

            arrays = {
                "settings": np.array(json.dumps(self._settings).encode()),
                "state": np.array(json.dumps(state).encode()),
                **optimizer_arrays,
                **{name: a.asnumpy() for name, a in _arrays(self._net).items()},
            }

            number = max(map(_number, self._files()), default=0) + 1
            _write(self.folder, number, arrays)
            for file in self._files()[:-NUM_GENERATIONS]:
                file.unlink()
        self._note_if_finished(history)

    def _note_if_finished(self, history: History) -> None:
        """After the last epoch, let the process's next training be another one."""
        if history.num_epochs >= self._num_epochs:
            # What the process does next is the same whether the training ran or not.
            self.seed("finished")
            _num_finished[self._root] += 1
            _locks.pop(self.folder).close()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Say what a full disk, or another trouble with the folder, means."""
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"The training cannot be saved in {self.folder} "
                f"({error.strerror or error}); mend that and start it again: it goes "
                "on from what was saved before."
            ) from error

    def _load(self) -> dict[str, np.ndarray] | None:
        """Return the last arrays that were saved, None if there are none."""
        files = self._files()
        for file in reversed(files):
            if _hash_of(file) != _hash_in_name(file):
                print(IS_DAMAGED.format(number=_number(file)))
                continue
            with np.load(file) as archive:
                arrays = dict(archive)
            # What was saved before the first epoch ended is no loss.
            if any(json.loads(arrays["state"].item())["history"]["loss"]):
                self._check_settings(json.loads(arrays["settings"].item()))
                return arrays
            if json.loads(arrays["settings"].item()) == self._settings:
                return arrays
            return None

        if files:
            raise CheckpointError(
                f"All that was saved of the training in {self.folder} is damaged; "
                "delete this folder to start it anew."
            )
        return None

    def _files(self) -> list[Path]:
        """Return the files that were saved, the oldest first; others are left alone."""
        files = (f for f in self.folder.iterdir() if _FILE.fullmatch(f.name))
        return sorted(files, key=_number)

    def _check_settings(self, saved: Settings) -> None:
        for name in self._settings | saved:
            old, new = saved.get(name), self._settings.get(name)
            if old != new:
                raise CheckpointError(
                    f"The training saved in {self.folder} has another {name} ({old}, "
                    f"not {new}); to go on with it, restart the kernel or program and "
                    "run all of it again as it was; to start anew, delete this folder "
                    "or choose another one with D2LUTIL_CHECKPOINT."
                )

    def _set_parameters(self, arrays: dict[str, np.ndarray]) -> None:
        expected = {n for n in _arrays(self._net) if n.startswith("parameter ")}
        if missing := expected - arrays.keys():
            raise CheckpointError(
                f"What was saved in {self.folder} lacks {min(missing)}; delete this "
                "folder to start the training anew."
            )

        _set_arrays(self._net, arrays)
        for parameter in self._net.collect_params().values():
            if parameter._data is not None:
                # A key-value store of the trainer forgets its own copy.
                parameter.set_data(parameter.list_data()[0])


def _lock(folder: Path) -> None:
    """Keep other processes out of a folder."""
    if folder in _locks:
        return

    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        raise CheckpointError(
            f"Another process saves its training in {folder}; give each a folder of "
            "its own with D2LUTIL_CHECKPOINT."
        ) from None
    _locks[folder] = lock


def _first_batch(batches: Iterable, name: str, devices: Sequence[mx.Context]) -> Batch:
    """Return the same batch for the same data, and leave the random states alone."""
    if iter(batches) is batches:
        raise CheckpointError(
            "The batches come from a generator, which cannot be gone through again; "
            "give a list or a data loader, or unset D2LUTIL_CHECKPOINT."
        )

    numpy_state, python_state = np.random.get_state(), random.getstate()
    try:
        np.random.seed(0)
        random.seed(0)
        for X, y in batches:
            return split_batch(X, y, devices)
        raise MistakeError(checks.IS_EMPTY.format(name=name))
    finally:
        np.random.set_state(numpy_state)
        random.setstate(python_state)


def _hash_of_batch(batches: Iterable, batch: Batch) -> str | None:
    """Return the hash of a first batch, None if it would be another one next time."""
    if getattr(batches, "_num_workers", 0):
        return None
    return _hash_of_arrays(array for part in batch for array in part)


def _network_settings(net: gluon.Block, X: nd.NDArray) -> Settings:
    """Return the settings that a network makes up.

    A batch of features (batch, ...) gives the parameters their shapes.
    """
    with autograd.pause(train_mode=False):
        explained(net, net)(X)

    parameters = [
        (p.shape, str(p.dtype), p.grad_req, p.lr_mult, p.wd_mult)
        for p in net.collect_params().values()
    ]
    layers = [(_describe(block), _code(block)) for block in _blocks(net)]

    return {
        "network": _hash(f"{net} {parameters}"),
        "layers or code of the network": _hash(str(layers)),
        "initial state of the network": _hash_of_arrays(_arrays(net).values()),
    }


def _environment_settings() -> Settings:
    """Return the settings that are made outside of the notebook."""
    return {
        "format": FORMAT,
        "run scale": run_scale().name,
        "compilation": compiles_networks(),
        "data type": compute_dtype(),
        "number of threads": num_threads(),
        "processor": processor_name(),
    }


def _describe(thing: object) -> str:
    """Describe a layer, loss, optimizer or schedule by its kind and its numbers."""
    kind = getattr(thing, "__qualname__", type(thing).__qualname__)
    values = {
        name: value
        for name, value in getattr(thing, "__dict__", {}).items()
        if name not in _AUTOMATIC_NAMES and (name == "_kwargs" or _is_plain(value))
    }

    schedule = getattr(thing, "lr_scheduler", None)
    return f"{kind} {values}" + (f" {_describe(schedule)}" if schedule else "")


def _is_plain(value: object) -> bool:
    """Tell whether a value is a number or a string, or holds only such."""
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return isinstance(value, bool | int | float | str)


def _code(block: gluon.Block) -> list[str]:
    """Return the code that a block runs, as Python reads it."""
    methods = [getattr(type(block), name, None) for name in _FORWARDS]
    functions = [*methods, *vars(block).values()]
    codes = (
        getattr(inspect.unwrap(f), "__code__", None) for f in functions if callable(f)
    )
    return [_code_text(code) for code in codes if code]


def _code_text(code: types.CodeType) -> str:
    constants = [
        _code_text(c) if isinstance(c, types.CodeType) else repr(c)
        for c in code.co_consts
    ]
    return f"{code.co_code.hex()} {code.co_names} {constants}"


def _optimizer_state(
    trainer: gluon.Trainer,
) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Return an optimiser's numbers, and its arrays, such as momentum."""
    optimizer = trainer.optimizer
    numbers = {
        "values": _numbers(optimizer),
        "schedule": _numbers(optimizer.lr_scheduler),
        "counts": optimizer._all_index_update_counts,
        "has stepped": trainer._kv_initialized,
    }

    arrays = {
        f"optimizer {device} {i} {j}": array.asnumpy()
        for device, updater in enumerate(_updaters(trainer))
        for i, state in updater.states.items()
        for j, array in enumerate(_flattened(state))
    }
    return numbers, arrays


def _set_optimizer_state(
    trainer: gluon.Trainer, numbers: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Give an optimiser its numbers and arrays back."""
    optimizer = trainer.optimizer
    vars(optimizer).update(numbers["values"])
    if optimizer.lr_scheduler:
        vars(optimizer.lr_scheduler).update(numbers["schedule"])

    for device, counts in numbers["counts"].items():
        counts = {int(i): count for i, count in counts.items()}
        optimizer._all_index_update_counts[int(device)] = counts

    if not numbers["has stepped"]:
        # Its first step, not this, has to give all devices the same parameters.
        return

    if not trainer._kv_initialized:
        trainer._init_kvstore()
    if trainer._params_to_init:
        trainer._init_params()

    for device, updater in enumerate(_updaters(trainer)):
        for i, parameter in enumerate(trainer._params):
            if parameter._data is None or parameter.grad_req == "null":
                continue
            # The optimiser makes its arrays, which then get the values that they had.
            weight = parameter.list_data()[device]
            updater.states[i] = optimizer.create_state_multi_precision(i, weight)
            updater.states_synced[i] = True
            for j, array in enumerate(_flattened(updater.states[i])):
                if (name := f"optimizer {device} {i} {j}") in arrays:
                    array[:] = arrays[name]


def _updaters(trainer: gluon.Trainer) -> list[mx.optimizer.Updater]:
    """Return what holds the arrays of an optimiser: one for each device, or one."""
    if trainer._update_on_kvstore:
        return [trainer._kvstore._updater]
    return trainer._updaters


def _flattened(state: Any) -> list[nd.NDArray]:
    if isinstance(state, list | tuple):
        return [array for part in state for array in _flattened(part)]
    return [] if state is None else [state]


def _numbers(thing: object) -> dict[str, int | float]:
    return {
        name: value
        for name, value in getattr(thing, "__dict__", {}).items()
        if isinstance(value, int | float)
    }


def _hash_of_arrays(arrays: Iterable[nd.NDArray]) -> str:
    sha = hashlib.sha256()
    for array in arrays:
        sha.update(f"{array.shape} {array.dtype}".encode())
        sha.update(np.ascontiguousarray(array.asnumpy()).data)
    return sha.hexdigest()[:16]


def _arrays(net: gluon.Block) -> dict[str, nd.NDArray]:
    """Return the arrays of a network, by position: automatic names change."""
    parameters = {
        f"parameter {i} on {array.context}": array
        for i, parameter in enumerate(net.collect_params().values())
        if parameter._data is not None
        for array in parameter.list_data()
    }

    return parameters | {
        f"block {i} {name}": value
        for i, block in enumerate(_blocks(net))
        for name, value in vars(block).items()
        if isinstance(value, nd.NDArray)
    }


def _set_arrays(net: gluon.Block, values: dict[str, np.ndarray]) -> None:
    blocks, arrays = _blocks(net), _arrays(net)
    ctx = next((array.context for array in arrays.values()), mx.cpu())

    for name, value in values.items():
        if name.startswith("parameter "):
            arrays[name][:] = value
        elif name.startswith("block "):
            # A block may create this array as it trains, or change its shape.
            _, i, attribute = name.split(" ")
            where = arrays[name].context if name in arrays else ctx
            setattr(blocks[int(i)], attribute, nd.array(value, where, value.dtype))


def _blocks(net: gluon.Block) -> list[gluon.Block]:
    blocks: list[gluon.Block] = []
    net.apply(blocks.append)
    return blocks


def _write(folder: Path, number: int, arrays: dict[str, np.ndarray]) -> None:
    """Write arrays so that at any moment the file is there completely, or not."""
    unfinished = folder / "unfinished.tmp"
    try:
        with unfinished.open("wb") as file:
            _write_archive(file, arrays)
            file.flush()
            os.fsync(file.fileno())
        unfinished.rename(folder / f"{number}-{_hash_of(unfinished)}.npz")
        _sync_folder(folder)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_archive(file: BinaryIO, arrays: dict[str, np.ndarray]) -> None:
    """Do what `np.savez` does, which leaves the archive open if the disk is full."""
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _number(file: Path) -> int:
    return int(file.stem.partition("-")[0])


def _hash_in_name(file: Path) -> str:
    return file.stem.partition("-")[2]


def _hash_of(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
