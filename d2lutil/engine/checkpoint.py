"""Save a training while it runs, and go on with it after the process was stopped.

`D2LUTIL_CHECKPOINT=<folder>` asks `train_ch5` and `train` for it. The first training
that a process finishes is kept in the subfolder `training-1`, the next one in
`training-2`, and so on. A process that makes the same trainings again, after kill -9
for instance, goes on with the one that was not finished; those that were finished are
not repeated: their lines are printed and their parameters loaded.

MXNet's random state cannot be read. While a training is saved, each batch starts with
a random state of its own, which follows from NumPy's at the beginning. So dropout
drops other units than without a checkpoint; the order of the examples is the same.
"""

import hashlib
import itertools
import json
import os
import time
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from operator import length_hint
from pathlib import Path
from typing import Any, BinaryIO

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from d2lutil.device import processor_name
from d2lutil.history import Progress
from d2lutil.settings import compiles_networks, compute_dtype, run_scale

# What a recording leaves out.
IS_DAMAGED = "Checkpoint {number} is damaged and not used."

SECONDS_BETWEEN_SAVES = 180
NUM_GENERATIONS = 2

# Gluon's names, which change from one object to the next.
_AUTOMATIC_NAMES = {"_prefix", "_name"}

_num_finished: Counter[Path] = Counter()

Settings = dict[str, str | int | None]


class CheckpointError(Exception):
    """A training cannot be saved, or cannot go on from what was saved."""


class NoCheckpoint:
    """Stands for the checkpoint of a training that is not saved."""

    def resume(self) -> Progress:
        """Return the beginning."""
        return Progress()

    def remaining(self, batches: Iterable, progress: Progress) -> Iterable:
        """Return all batches."""
        return batches

    def after_batch(self, progress: Progress) -> None:
        """Do nothing."""

    def after_epoch(self, progress: Progress) -> None:
        """Do nothing."""

    def finish(self) -> None:
        """Do nothing."""


class Checkpoint:
    """Saves a training in a folder and goes on with what is there.

    A saved training is one file, a NumPy archive whose name holds the hash of its
    content. It gets this name when it is complete; the last two are kept. It holds the
    parameters and other arrays of the network's blocks, what gluon saves of a trainer,
    the progress and NumPy's random state.

    Args:
        root: Folder for all trainings of a process.
        settings: Whatever decides how the training goes on, by name; a training that
            was saved with other settings is refused.
        net: Network whose parameters have values.
        trainer: Trainer of these parameters.

    Attributes:
        folder: Folder of this training.
    """

    def __init__(
        self,
        root: Path,
        settings: Settings,
        net: gluon.Block,
        trainer: gluon.Trainer,
    ) -> None:
        self.folder = root / f"training-{_num_finished[root] + 1}"
        self._root = root
        self._settings = settings
        self._net = net
        self._trainer = trainer
        self._numpy_state = np.random.get_state()
        self._numpy_state_of_epoch = self._numpy_state
        self._base_seed = _hash(str(_listed(self._numpy_state)))
        self._saved_at = 0.0

    def resume(self) -> Progress:
        """Return how far the training is, with all that it changes as it was then.

        Raises:
            CheckpointError: What was saved is of another training or damaged, or the
                folder cannot be written to.
        """
        arrays = self._load()
        if arrays is None:
            progress = Progress()
            self._save(progress)
            return progress
        _set_arrays(self._net, arrays)
        for parameter in self._net.collect_params().values():
            if parameter._data is not None:
                # A key-value store of the trainer forgets its own copy.
                parameter.set_data(parameter.list_data()[0])
        with self._disk_errors():
            self._set_trainer_states(arrays["trainer"])
        # The store gave all devices the running statistics of the first.
        _set_arrays(self._net, arrays)
        return self._set_state(json.loads(arrays["state"].item()))

    def remaining(self, batches: Iterable, progress: Progress) -> Iterable:
        """Return the batches of the epoch that the training has not seen yet.

        Each pass draws the same order as the pass that was interrupted.
        """
        if progress.num_batches == 0:
            self._numpy_state_of_epoch = np.random.get_state()
            return self._seeded(batches, progress.epoch)
        np.random.set_state(self._numpy_state_of_epoch)
        seeded = self._seeded(batches, progress.epoch)
        for _ in itertools.islice(seeded, progress.num_batches):
            pass
        np.random.set_state(self._numpy_state)
        return seeded

    def after_batch(self, progress: Progress) -> None:
        """Save the training if the last time is long ago.

        Raises:
            CheckpointError: The training cannot be saved.
        """
        if time.monotonic() - self._saved_at >= SECONDS_BETWEEN_SAVES:
            self._save(progress)

    def after_epoch(self, progress: Progress) -> None:
        """Save the training.

        Raises:
            CheckpointError: The training cannot be saved.
        """
        self._save(progress)

    def finish(self) -> None:
        """Note that the training is finished: the process's next one is another."""
        # What the process does next is the same whether the training ran or not.
        self._seed("finished")
        _num_finished[self._root] += 1

    def _seeded(self, batches: Iterable, epoch: int) -> Iterator:
        """Yield the batches, and give each a random state of its own."""
        self._seed(epoch, 0)
        for i, batch in enumerate(batches, 1):
            yield batch
            self._seed(epoch, i)

    def _seed(self, *position: int | str) -> None:
        digest = _hash(f"{self._base_seed} {position}")
        mx.random.seed(int(digest, 16) % 2**31)

    def _save(self, progress: Progress) -> None:
        with self._disk_errors():
            self.folder.mkdir(parents=True, exist_ok=True)
            arrays = {
                "settings": np.array(json.dumps(self._settings).encode()),
                "state": np.array(json.dumps(self._state(progress)).encode()),
                "trainer": self._trainer_states(),
                **{name: a.asnumpy() for name, a in _arrays(self._net).items()},
            }
            number = max(map(_number, self._files()), default=0) + 1
            _write(self.folder, number, arrays)
            for file in self._files()[:-NUM_GENERATIONS]:
                file.unlink()
        self._saved_at = time.monotonic()

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Say what a full disk, or another trouble with the folder, means."""
        try:
            yield
        except OSError as error:
            raise CheckpointError(
                f"The training cannot be saved in {self.folder} ({error.strerror}); "
                "mend that and start it again: it goes on from what was saved before."
            ) from error

    def _load(self) -> dict[str, np.ndarray] | None:
        """Return the last arrays that were saved, None if there are none."""
        files = self._files()
        for file in reversed(files):
            if _hash_of(file) != _hash_in_name(file):
                print(IS_DAMAGED.format(number=_number(file)))
                continue
            with np.load(file) as archive:
                self._check_settings(json.loads(archive["settings"].item()))
                return dict(archive)
        if files:
            raise CheckpointError(
                f"All that was saved of the training in {self.folder} is damaged; "
                "delete this folder to start it anew."
            )
        return None

    def _files(self) -> list[Path]:
        """Return the files that were saved, the oldest first."""
        return sorted(self.folder.glob("*-*.npz"), key=_number)

    def _check_settings(self, saved: Settings) -> None:
        for name in self._settings | saved:
            old, new = saved.get(name), self._settings.get(name)
            if old != new:
                raise CheckpointError(
                    f"The training saved in {self.folder} has another {name} ({old}, "
                    f"not {new}); to go on with it, run the whole notebook or program "
                    "again as it was; to start anew, delete this folder or choose "
                    "another one with D2LUTIL_CHECKPOINT."
                )

    def _state(self, progress: Progress) -> dict[str, Any]:
        return {
            "progress": asdict(progress),
            "base seed": self._base_seed,
            "numpy": _listed(np.random.get_state()),
            "numpy, epoch": _listed(self._numpy_state_of_epoch),
        }

    def _set_state(self, state: dict[str, Any]) -> Progress:
        self._base_seed = state["base seed"]
        self._numpy_state = state["numpy"]
        self._numpy_state_of_epoch = state["numpy, epoch"]
        np.random.set_state(self._numpy_state)
        return Progress.of(state["progress"])

    def _trainer_states(self) -> np.ndarray:
        """Return what gluon saves of a trainer, such as momentum."""
        with self._trainer_file() as file:
            self._trainer.save_states(str(file))
            return np.fromfile(file, np.uint8)

    def _set_trainer_states(self, states: np.ndarray) -> None:
        with self._trainer_file() as file:
            states.tofile(file)
            self._trainer.load_states(str(file))

    @contextmanager
    def _trainer_file(self) -> Iterator[Path]:
        file = self.folder / "trainer.tmp"
        try:
            yield file
        finally:
            file.unlink(missing_ok=True)


def first_batch(batches: Iterable) -> tuple[nd.NDArray, nd.NDArray]:
    """Return the same batch for the same data, and leave NumPy's random state."""
    state = np.random.get_state()
    try:
        np.random.seed(0)
        return next(iter(batches))
    finally:
        np.random.set_state(state)


def network_settings(net: gluon.Block, X: nd.NDArray) -> Settings:
    """Return the settings that a network makes up.

    Args:
        net: Network, initialised on the device of `X`.
        X: Batch of features (batch, ...), which gives parameters their shapes.
    """
    with autograd.pause(train_mode=False):
        net(X)
    parameters = [
        (p.shape, str(p.dtype), p.grad_req, p.lr_mult, p.wd_mult)
        for p in net.collect_params().values()
    ]
    return {
        "network": _hash(f"{net} {parameters}"),
        "initial state of the network": _hash_of_arrays(_arrays(net).values()),
    }


def data_settings(
    batches: Iterable, first_batch: Sequence[tuple[nd.NDArray, nd.NDArray]]
) -> Settings:
    """Return the settings that the training data make up.

    Args:
        batches: Training batches.
        first_batch: Features and labels of the first one, for each device.
    """
    arrays = (array for part in first_batch for array in part)
    return {
        "number of batches": length_hint(batches),
        "first batch": _hash_of_arrays(arrays),
        "devices": str([X.context for X, _ in first_batch]),
    }


def environment_settings() -> Settings:
    """Return the settings that are made outside of the notebook."""
    return {
        "run scale": run_scale().name,
        "compilation": compiles_networks(),
        "data type": compute_dtype(),
        "number of threads": os.environ["OMP_NUM_THREADS"],
        "processor": processor_name(),
    }


def describe(thing: object) -> str:
    """Describe a loss, an optimizer or a schedule by its kind and its numbers."""
    kind = getattr(thing, "__qualname__", type(thing).__qualname__)
    values = {
        name: value
        for name, value in vars(thing).items()
        if isinstance(value, bool | int | float | str) and name not in _AUTOMATIC_NAMES
    }
    schedule = getattr(thing, "lr_scheduler", None)
    return f"{kind} {values}" + (f" {describe(schedule)}" if schedule else "")


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


def _listed(numpy_state: Any) -> list:
    """Turn a random state of NumPy into what JSON can hold."""
    return [np.asarray(part).tolist() for part in numpy_state]
