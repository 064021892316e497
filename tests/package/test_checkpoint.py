"""Protects: a training that was stopped, however, ends as if it had not been.

And what was saved is never used for another training, damaged, or half-written.
"""

import itertools
import random
import re
import resource
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon, init, nd
from mxnet.gluon import nn
from tqdm import tqdm

import d2lutil as gb
from d2lutil import progress
from d2lutil.checks import MistakeError
from d2lutil.engine import checkpoint
from d2lutil.engine.checkpoint import CheckpointError
from d2lutil.history import History

BATCH_SIZE, NUM_EPOCHS = 8, 3
NUM_BATCHES = 5
CPU = mx.cpu()
TIME = re.compile(r"time \d+\.\d sec")

SGD = ("sgd", {"learning_rate": 0.1, "momentum": 0.9})
ADAM = ("adam", {"learning_rate": 0.01})


class InterruptionError(Exception):
    """Stops a training."""


class Loader:
    """Shuffled batches of random images, with a random change of each image.

    Args:
        before_batch: Is called before each batch.
        num_examples: Number of images.
    """

    def __init__(
        self, before_batch: Callable = lambda: None, num_examples: int = 36
    ) -> None:
        self.before_batch = before_batch
        rng = np.random.default_rng(0)
        self.y = np.arange(num_examples) % 4
        self.X = rng.normal(size=(num_examples, 1, 6, 6)) + self.y.reshape(-1, 1, 1, 1)

    def __len__(self) -> int:
        """Return the number of batches."""
        return -(-len(self.y) // BATCH_SIZE)

    def __iter__(self) -> Iterator:
        """Yield features and labels."""
        order = np.random.permutation(len(self.y))
        for i in range(0, len(order), BATCH_SIZE):
            self.before_batch()
            rows = order[i : i + BATCH_SIZE]
            X = self.X[rows] + 0.1 * np.random.normal()
            yield nd.array(X) + 0.1 * nd.random.normal(), nd.array(self.y[rows])


np.random.seed(0)
mx.random.seed(0)
TEST = list(Loader())


def interrupted_at(batch: int) -> Loader:
    """Return a loader that stops the training before that batch, counted from 0."""
    # The first batch is also read before the training.
    counter = itertools.count(-1)

    def interrupt() -> None:
        if next(counter) == batch:
            raise InterruptionError

    return Loader(interrupt)


def new_net(ctx: mx.Context | list[mx.Context] = CPU, rate: float = 0.5) -> nn.Block:
    mx.random.seed(1)
    np.random.seed(1)
    net = nn.Sequential()
    net.add(
        nn.Conv2D(4, kernel_size=3),
        nn.BatchNorm(),
        nn.Activation("relu"),
        nn.Dropout(rate),
        nn.Dense(4),
    )
    net.initialize(init.Xavier(), ctx=ctx)
    return net


def train_ch5(
    net: nn.Block,
    loader: Loader,
    num_epochs: int = NUM_EPOCHS,
    batch_size: int = BATCH_SIZE,
    optimizer: tuple = SGD,
    trainer: gluon.Trainer | None = None,
) -> History:
    trainer = trainer or gluon.Trainer(net.collect_params(), *optimizer)
    return gb.train_ch5(net, loader, TEST, batch_size, trainer, CPU, num_epochs)


def train(
    net: nn.Block,
    loader: Loader,
    ctx: list[mx.Context],
    trainer: gluon.Trainer | None = None,
) -> History:
    trainer = trainer or gluon.Trainer(net.collect_params(), *SGD)
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    return gb.train(loader, TEST, net, loss, trainer, ctx, NUM_EPOCHS)


def numbers(net: nn.Block) -> list[np.ndarray]:
    return [array.asnumpy() for array in checkpoint._arrays(net).values()]


def assert_equal(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for a, b in zip(ours, theirs, strict=True):
        assert np.array_equal(a, b)


@pytest.fixture
def use(monkeypatch, tmp_path) -> Callable[[str], Path]:
    """Return a function that starts a process, as it were, with this checkpoint."""

    def use(name: str = "ours") -> Path:
        checkpoint._num_finished.clear()
        for lock in checkpoint._locks.values():
            lock.close()
        checkpoint._locks.clear()
        monkeypatch.setenv("D2LUTIL_CHECKPOINT", str(tmp_path / name))
        return tmp_path / name

    return use


class MovingMean(nn.Block):
    """Subtracts a moving mean that is no parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nd.zeros((1, 4, 1, 1))

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        if mx.autograd.is_training():
            mean = X.detach().mean(axis=1, exclude=True).reshape((1, -1, 1, 1))
            self.mean = 0.9 * self.mean + 0.1 * mean
        return X - self.mean


class LateMovingMean(MovingMean):
    """Creates the moving mean when it first trains."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = None

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        if self.mean is None and mx.autograd.is_training():
            self.mean = nd.zeros((1, 4, 1, 1))
        return X if self.mean is None else super().forward(X)


def train_with(moving_mean: type[nn.Block], net: nn.Block, loader: Loader) -> History:
    net._children["1"] = moving_mean()
    return train_ch5(net, loader)


# Going on.

TRAININGS = {
    "array of a block": (CPU, partial(train_with, MovingMean)),
    "late array of a block": (CPU, partial(train_with, LateMovingMean)),
    "train_ch5": (CPU, lambda net, loader: train_ch5(net, loader)),
    "adam": (CPU, lambda net, loader: train_ch5(net, loader, optimizer=ADAM)),
    "train": ([CPU], lambda net, loader: train(net, loader, [CPU])),
    "two devices": (
        [mx.cpu(0), mx.cpu(1)],
        lambda net, loader: train(net, loader, [mx.cpu(0), mx.cpu(1)]),
    ),
}


@pytest.mark.parametrize("compiled", ["0", "1"], ids=["imperative", "compiled"])
@pytest.mark.parametrize("name", TRAININGS)
def test_interrupted_training_ends_as_one_that_was_not(
    use, monkeypatch, capsys, name, compiled
):
    monkeypatch.setenv("D2LUTIL_COMPILE", compiled)
    ctx, run = TRAININGS[name]
    results = []
    for folder, batches in [("theirs", []), ("ours", [0, 2, 6, 1, 5])]:
        for batch in batches:
            use(folder)
            with pytest.raises(InterruptionError):
                run(new_net(ctx), interrupted_at(batch))
        use(folder)
        capsys.readouterr()
        net = new_net(ctx)
        history = run(net, Loader())
        random_numbers = [np.random.uniform(), nd.random.uniform().asscalar()]
        # That it cannot be compiled is said when a process first runs the network.
        lines = sorted(TIME.sub("", capsys.readouterr().out).splitlines())
        results.append((history, lines, random_numbers, numbers(net)))
    (theirs, *expected), (ours, *actual) = results
    assert expected[:2] == actual[:2]
    assert_equal(actual[2], expected[2])
    assert ours.loss == theirs.loss
    assert ours.test_acc == theirs.test_acc
    assert len(ours.loss) == NUM_EPOCHS


def test_finished_training_is_not_repeated(use, capsys):
    results = []
    # The second time, each training reads one batch to compare the data.
    for loader in (Loader(), interrupted_at(1)):
        use()
        net = new_net()
        trainer = gluon.Trainer(net.collect_params(), *SGD)
        histories = [train_ch5(net, loader, trainer=trainer) for _ in range(2)]
        random_numbers = [np.random.uniform(), nd.random.uniform().asscalar()]
        out = capsys.readouterr().out
        results.append((histories, out, random_numbers, trainer.optimizer.num_update))
        results.append(numbers(net))
    assert results[0] == results[2]
    assert_equal(results[1], results[3])
    assert results[0][3] == 2 * NUM_EPOCHS * NUM_BATCHES


def test_second_training_of_a_trainer_goes_on_on_two_devices(use):
    devices = [mx.cpu(0), mx.cpu(1)]

    def train_twice(loader: Loader) -> list[np.ndarray]:
        net = new_net(devices)
        trainer = gluon.Trainer(net.collect_params(), *SGD)
        for _ in range(2):
            train(net, loader, devices, trainer=trainer)
        return numbers(net)

    use("theirs")
    expected = train_twice(Loader())
    use()
    with pytest.raises(InterruptionError):
        train_twice(interrupted_at((NUM_EPOCHS + 1) * NUM_BATCHES + 2))
    use()
    assert_equal(train_twice(Loader()), expected)


def test_order_of_the_examples_needs_no_seed_to_go_on(use):
    use("theirs")
    expected = new_net()
    train_ch5(expected, Loader())
    use()
    with pytest.raises(InterruptionError):
        train_ch5(new_net(), interrupted_at(7))
    use()
    net = new_net()
    np.random.seed(2)
    train_ch5(net, Loader())
    assert_equal(numbers(net), numbers(expected))


def test_progress_bar_starts_where_the_training_goes_on(use, monkeypatch):
    use()
    with pytest.raises(InterruptionError):
        train_ch5(new_net(), interrupted_at(NUM_BATCHES + 2))
    use()
    bars = []
    monkeypatch.setattr(
        progress, "tqdm", lambda **kwargs: bars.append(kwargs) or tqdm(**kwargs)
    )
    train_ch5(new_net(), Loader())
    [bar] = bars
    assert (bar["initial"], bar["total"]) == (NUM_BATCHES, NUM_EPOCHS * NUM_BATCHES)


def test_number_that_is_not_finite_is_reported_again(use, capsys):
    outputs = []
    for _ in range(2):
        use()
        train_ch5(new_net(), Loader(), optimizer=("sgd", {"learning_rate": 1e30}))
        outputs.append(capsys.readouterr().out)
    assert outputs[0] == outputs[1]
    assert outputs[0].count("no longer a finite number") == 1


def test_training_that_is_stopped_by_the_user_goes_on_in_the_same_process(use):
    folder = use()
    for batch in (2, 7):
        with pytest.raises(InterruptionError):
            train_ch5(new_net(), interrupted_at(batch))
    train_ch5(new_net(), Loader())
    train_ch5(new_net(), Loader())
    assert {path.name for path in folder.iterdir()} == {"training-1", "training-2"}


def test_two_generations_are_kept(use):
    folder = use()
    train_ch5(new_net(), Loader())
    numbers = [path.name.partition("-")[0] for path in saved(folder)]
    # The first was saved before the training.
    assert numbers == [str(NUM_EPOCHS), str(NUM_EPOCHS + 1)]


# Kill -9, several times in one run.


def train_two_networks(folder: Path, before_batch: Callable) -> None:
    """Train them one after the other and save their parameters."""
    loader = Loader(before_batch, num_examples=80)
    first = new_net()
    train_ch5(first, loader)
    second = new_net()
    train(second, loader, [CPU])
    np.savez(folder / "result.npz", *numbers(first), *numbers(second))


def test_killed_training_ends_as_one_that_was_not(use, tmp_path, monkeypatch, capsys):
    theirs, ours = use("theirs"), tmp_path / "ours"
    train_two_networks(theirs, lambda: None)
    expected = capsys.readouterr().out
    monkeypatch.setenv("D2LUTIL_CHECKPOINT", str(ours))
    program = [sys.executable, "-u", __file__, str(ours)]
    seed = random.randrange(1_000_000)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(3):
        process = subprocess.Popen(program, stdout=subprocess.PIPE, text=True)
        # Both trainings take more than 3 * 0.5 seconds.
        assert process.stdout.readline() == "training on cpu(0)\n"
        time.sleep(rng.uniform(0, 0.5))
        process.kill()
        process.communicate()
        assert not (ours / "result.npz").exists()
    actual = subprocess.run(program, check=True, capture_output=True, text=True).stdout
    assert TIME.sub("", actual) == TIME.sub("", expected)
    with np.load(ours / "result.npz") as a, np.load(theirs / "result.npz") as b:
        assert a.files == b.files
        assert_equal([a[name] for name in a.files], [b[name] for name in b.files])


# Refused: another training.


def other_values() -> nn.Block:
    net = new_net()
    net(nd.zeros((1, 1, 6, 6)))
    net[0].bias.set_data(nd.ones(4))
    return net


@pytest.mark.parametrize(
    "setting, run",
    [
        ("network", lambda: train_ch5(new_net(rate=0.4), Loader())),
        ("initial state of the network", lambda: train_ch5(other_values(), Loader())),
        ("number of epochs", lambda: train_ch5(new_net(), Loader(), num_epochs=2)),
        ("batch size", lambda: train_ch5(new_net(), Loader(), batch_size=9)),
        ("number of batches", lambda: train_ch5(new_net(), Loader(num_examples=20))),
        ("first batch", lambda: train_ch5(new_net(), Loader(num_examples=37))),
        ("optimizer", lambda: train_ch5(new_net(), Loader(), optimizer=ADAM)),
        (
            "optimizer",
            lambda: train_ch5(
                new_net(), Loader(), optimizer=("sgd", {"learning_rate": 0.1})
            ),
        ),
    ],
)
def test_other_setting_is_refused_by_its_name(use, setting, run):
    use()
    train_ch5(new_net(), Loader(), num_epochs=NUM_EPOCHS)
    folder = use()
    with pytest.raises(CheckpointError) as caught:
        run()
    message = str(caught.value)
    assert f"has another {setting} (" in message
    assert str(folder / "training-1") in message
    assert "delete this folder" in message


@pytest.mark.parametrize(
    "variable, value, setting",
    [
        ("D2LUTIL_COMPILE", "1", "compilation"),
        ("D2LUTIL_SCALE", "full", "run scale"),
        ("OMP_NUM_THREADS", "99", "number of threads"),
    ],
)
def test_other_environment_is_refused(use, monkeypatch, variable, value, setting):
    use()
    train_ch5(new_net(), Loader(), num_epochs=1)
    use()
    monkeypatch.setenv(variable, value)
    with pytest.raises(CheckpointError, match=f"has another {setting}"):
        train_ch5(new_net(), Loader(), num_epochs=1)


class Scaled(nn.Block):
    """Multiplies by 2; its code is changed by a test."""

    def forward(self, X: nd.NDArray) -> nd.NDArray:
        return 2 * X


def scaled() -> nn.Block:
    net = new_net()
    net._children["1"] = Scaled()
    return net


def with_elu(alpha: float) -> nn.Block:
    net = new_net()
    net._children["2"] = nn.ELU(alpha)
    return net


def with_schedule(*steps: int) -> tuple[str, dict]:
    schedule = mx.lr_scheduler.MultiFactorScheduler(list(steps), factor=0.5)
    return "sgd", {"learning_rate": 0.1, "lr_scheduler": schedule}


def test_changed_code_of_forward_is_refused(use, monkeypatch):
    use()
    train_ch5(scaled(), Loader())
    monkeypatch.setattr(Scaled, "forward", lambda self, X: 3 * X)
    use()
    with pytest.raises(CheckpointError, match="another layers or code of the network"):
        train_ch5(scaled(), Loader())


def test_changed_number_of_a_layer_is_refused(use):
    use()
    train_ch5(with_elu(1.0), Loader())
    use()
    with pytest.raises(CheckpointError, match="another layers or code of the network"):
        train_ch5(with_elu(0.5), Loader())


def test_changed_steps_of_a_schedule_are_refused(use):
    use()
    train_ch5(new_net(), Loader(), optimizer=with_schedule(5, 10))
    use()
    with pytest.raises(CheckpointError, match="another optimizer"):
        train_ch5(new_net(), Loader(), optimizer=with_schedule(5, 11))


def test_schedule_goes_on_where_it_was(use):
    results = []
    for folder, batches in (("theirs", []), ("ours", [7])):
        for batch in batches:
            use(folder)
            with pytest.raises(InterruptionError):
                train_ch5(
                    new_net(), interrupted_at(batch), optimizer=with_schedule(2, 7)
                )
        use(folder)
        net = new_net()
        train_ch5(net, Loader(), optimizer=with_schedule(2, 7))
        results.append(numbers(net))
    assert_equal(*results)


def test_changed_test_data_are_refused(use, monkeypatch):
    use()
    train_ch5(new_net(), Loader())
    use()
    monkeypatch.setitem(globals(), "TEST", [(X + 1, y) for X, y in TEST])
    with pytest.raises(CheckpointError, match="another first test batch"):
        train_ch5(new_net(), Loader())
    monkeypatch.setitem(globals(), "TEST", TEST[:-1])
    with pytest.raises(CheckpointError, match=r"another (number of|first) test batch"):
        train_ch5(new_net(), Loader())


def test_other_format_is_refused(use, monkeypatch):
    use()
    train_ch5(new_net(), Loader())
    use()
    monkeypatch.setattr(checkpoint, "FORMAT", 3)
    with pytest.raises(CheckpointError, match=r"another format \(2, not 3\)"):
        train_ch5(new_net(), Loader())


def test_generator_cannot_be_saved(use):
    use()
    with pytest.raises(CheckpointError, match="come from a generator"):
        train_ch5(new_net(), iter(Loader()))


def test_function_cannot_be_saved(use):
    use()
    net = new_net()
    trainer = gluon.Trainer(net.collect_params(), *SGD)
    with pytest.raises(CheckpointError, match=r"Only a gluon\.Block"):
        train_ch5(lambda X: net(X), Loader(), trainer=trainer)


def test_own_hybrid_forward_lambda_and_arguments_are_compared(use, monkeypatch):
    nets = {
        "lambda": [nn.Lambda(lambda X: X + 1), nn.Lambda(lambda X: X + 2)],
        "argument": [
            nn.AvgPool2D(2, padding=1, count_include_pad=included)
            for included in (True, False)
        ],
    }
    for name, (first, second) in nets.items():
        use(name)
        net = new_net()
        net._children["2"] = first
        train_ch5(net, Loader(), num_epochs=1)
        use(name)
        net = new_net()
        net._children["2"] = second
        with pytest.raises(CheckpointError, match="another layers or code"):
            train_ch5(net, Loader(), num_epochs=1)


def test_training_that_never_ended_an_epoch_gives_way(use):
    use()
    with pytest.raises(InterruptionError):
        train_ch5(new_net(rate=0.4), interrupted_at(0))
    train_ch5(new_net(), Loader())


def test_mistake_is_told_as_without_a_checkpoint(use):
    use()
    with pytest.raises(MistakeError, match="test_iter gave no batch"):
        net = new_net()
        trainer = gluon.Trainer(net.collect_params(), *SGD)
        gb.train_ch5(net, Loader(), [], BATCH_SIZE, trainer, CPU, 1)
    with pytest.raises(MistakeError, match=r"net\[0\], a Conv2D, .* window"):
        net = new_net()
        trainer = gluon.Trainer(net.collect_params(), *SGD)
        small = [(nd.ones((4, 1, 2, 2)), nd.zeros(4))]
        gb.train_ch5(net, small, small, BATCH_SIZE, trainer, CPU, 1)


def test_loader_with_workers_can_go_on(use):
    dataset = gluon.data.ArrayDataset(nd.ones((8, 1, 6, 6)), nd.zeros(8))
    data = gluon.data.DataLoader(
        dataset.transform_first(lambda X: X + np.random.normal()), 4, num_workers=1
    )
    use()
    train_ch5(new_net(), data, num_epochs=1)
    use()
    train_ch5(new_net(), data, num_epochs=1)


# What is in the folder.


def rewrite(file: Path, change: Callable[[dict], None]) -> None:
    """Change the arrays of a file that was saved, and give it the right name."""
    with np.load(file) as archive:
        arrays = dict(archive)
    change(arrays)
    file.unlink()
    checkpoint._write(file.parent, checkpoint._number(file), arrays)


def test_file_that_lacks_a_parameter_is_refused(use):
    folder = use()
    train_ch5(new_net(), Loader())
    rewrite(saved(folder)[-1], lambda arrays: arrays.pop("parameter 0 on cpu(0)"))
    use()
    with pytest.raises(CheckpointError, match=r"lacks parameter 0 on cpu\(0\)"):
        train_ch5(new_net(), Loader())


def test_loading_runs_no_code(use):
    folder = use()
    train_ch5(new_net(), Loader())
    file = saved(folder)[-1]
    with zipfile.ZipFile(file) as archive:
        for name in archive.namelist():
            with archive.open(name) as member:
                # Refuses what would have to be unpickled.
                np.lib.format.read_array(member, allow_pickle=False)


def test_other_files_in_the_folder_are_left_alone(use):
    folder = use() / "training-1"
    folder.mkdir(parents=True)
    others = [folder / "notes-2026.npz", folder / "1-.npz", folder / "a.txt"]
    for other in others:
        other.write_text("mine")
    train_ch5(new_net(), Loader())
    assert all(other.read_text() == "mine" for other in others)


HOLD_THE_LOCK = """
import sys
from pathlib import Path
from d2lutil.engine import checkpoint
checkpoint._lock(Path(sys.argv[1]))
print("locked", flush=True)
sys.stdin.read()
"""


def test_second_process_in_a_folder_is_refused_with_one_sentence(use):
    folder = use() / "training-1"
    folder.mkdir(parents=True)
    first = subprocess.Popen(
        [sys.executable, "-c", HOLD_THE_LOCK, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert first.stdout.readline() == "locked\n"
    with pytest.raises(CheckpointError, match="Another process saves its training in"):
        train_ch5(new_net(), Loader())
    first.kill()
    first.communicate()
    train_ch5(new_net(), Loader())


def test_other_loss_is_refused(use):
    def train_with_loss(loss: gluon.loss.Loss) -> None:
        use()
        net = new_net()
        trainer = gluon.Trainer(net.collect_params(), *SGD)
        gb.train(Loader(), TEST, net, loss, trainer, CPU, 1)

    train_with_loss(gluon.loss.SoftmaxCrossEntropyLoss())
    with pytest.raises(CheckpointError, match="has another loss"):
        train_with_loss(gluon.loss.L2Loss())


# Damage and full disks.


def saved(folder: Path) -> list[Path]:
    """Return the files of a training, the oldest first."""
    files = (folder / "training-1").glob("*.npz")
    return sorted(files, key=lambda path: int(path.name.partition("-")[0]))


def change_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[random.randrange(len(content))] ^= 1
    file.write_bytes(content)


def cut_off(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


@pytest.mark.parametrize("damage", [change_a_byte, cut_off, empty])
def test_damaged_file_gives_way_to_the_one_before(use, capsys, damage):
    use("theirs")
    expected = new_net()
    train_ch5(expected, Loader())
    folder = use()
    with pytest.raises(InterruptionError):
        train_ch5(new_net(), interrupted_at(NUM_BATCHES + 2))
    damage(saved(folder)[-1])
    use()
    capsys.readouterr()
    net = new_net()
    train_ch5(net, Loader())
    assert "is damaged" in capsys.readouterr().out.splitlines()[1]
    assert_equal(numbers(net), numbers(expected))


def test_nothing_but_damaged_files_is_an_error(use):
    folder = use()
    train_ch5(new_net(), Loader())
    for file in saved(folder):
        change_a_byte(file)
    use()
    with pytest.raises(CheckpointError, match="is damaged; delete this folder"):
        train_ch5(new_net(), Loader())


@contextmanager
def files_limited_to(num_bytes: int) -> Iterator[None]:
    """Let no file of this process grow beyond that size."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_full_disk_is_an_error_that_leaves_what_was_saved(use):
    folder = use()
    with pytest.raises(InterruptionError):
        train_ch5(new_net(), interrupted_at(NUM_BATCHES + 1))
    before = saved(folder)
    use()
    with (
        files_limited_to(2_000),
        pytest.raises(CheckpointError, match=r"cannot be saved in .* \(File too large"),
    ):
        train_ch5(new_net(), Loader())
    assert saved(folder) == before
    use("theirs")
    expected = new_net()
    train_ch5(expected, Loader())
    use()
    net = new_net()
    train_ch5(net, Loader())
    assert_equal(numbers(net), numbers(expected))


def test_folder_that_cannot_be_written_is_an_error_before_the_first_batch(use):
    use().write_text("This is a file.")
    with pytest.raises(CheckpointError, match="cannot be saved"):
        train_ch5(new_net(), interrupted_at(0))


if __name__ == "__main__":
    train_two_networks(Path(sys.argv[1]), lambda: time.sleep(0.03))
