"""Protects: a compiled network trains as the one that the user wrote, or says why not.

The opt-in fast path may change the speed, never the network, its parameters or what
is printed.
"""

import doctest
import functools
import random
import sys
import threading

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

import d2lutil as gb
from d2lutil.engine import static_graph, watch
from d2lutil.history import History

NUM_PIXELS = 16


@pytest.fixture
def compiling(monkeypatch):
    monkeypatch.setenv("D2LUTIL_COMPILE", "1")


class Recorder:
    """Counts the calls of a function."""

    def __init__(self, function):
        self.function, self.num_calls = function, 0

    def __call__(self, *args):
        self.num_calls += 1
        return self.function(*args)


@pytest.fixture
def conversions(monkeypatch):
    """Ask for bfloat16 and count how often a graph is converted to it."""
    monkeypatch.setenv("D2LUTIL_DTYPE", "bfloat16")
    recorder = Recorder(static_graph._in_bfloat16)
    monkeypatch.setattr(static_graph, "_in_bfloat16", recorder)
    return recorder


def batches(sizes=(8, 8, 5), num_pixels=NUM_PIXELS) -> list:
    """Return batches whose labels can be learned; the last one is smaller."""
    rng = np.random.RandomState(0)
    result = []
    for size in sizes:
        y = rng.randint(0, 10, size)
        X = rng.uniform(size=(size, 1, num_pixels, num_pixels)) + y[:, None, None, None]
        result.append((nd.array(X), nd.array(y, dtype="int32")))
    return result


def convolutional() -> nn.Sequential:
    net = nn.Sequential()
    net.add(
        nn.Conv2D(8, kernel_size=3, padding=1),
        nn.BatchNorm(),
        nn.Activation("relu"),
        gb.Residual(8),
        gb.Residual(16, use_1x1conv=True, strides=2),
        nn.GlobalAvgPool2D(),
        nn.Dropout(0.5),
        nn.Dense(10),
    )
    return net


class Changed(nn.Block):
    """A dense layer whose input goes through a function of the test."""

    def __init__(self, function, **kwargs):
        super().__init__(**kwargs)
        self.function = function
        self.dense = nn.Dense(10)

    def forward(self, X):
        return self.dense(self.function(X))


def initialized(net: gluon.Block, ctx=None) -> gluon.Block:
    mx.random.seed(1)
    net.initialize(force_reinit=True, init=init.Xavier(), ctx=ctx)
    return net


def trained(net: gluon.Block, num_epochs: int = 2, lr: float = 0.05) -> History:
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": lr})
    data = batches()
    mx.random.seed(2)
    return gb.train_ch5(net, data, data, 8, trainer, mx.cpu(), num_epochs)


def values(net: gluon.Block) -> list[np.ndarray]:
    return [p.data().asnumpy() for p in net.collect_params().values()]


def assert_close(actual: gluon.Block, expected: gluon.Block, rtol: float = 1e-3):
    for a, b in zip(values(actual), values(expected), strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=1e-5)


def same_lines(text: str) -> list[str]:
    """Return the lines of epochs without their times."""
    return [line.split(", time")[0] for line in text.splitlines() if "epoch" in line]


class BothWays:
    """What a training does without and with compiling, from the same seeds.

    Args:
        monkeypatch: Sets the variable.
        capsys: Reads what is printed.
        build: Returns a new network.
        data: Training batches.
        test: Test batches.
        seed: Seed of all random numbers.

    Attributes:
        imperative: The network that was trained without compiling.
        compiled: The network that was trained with it.
        lines: Lines of epochs that each printed.
        notes: What compiling printed besides.
        random_numbers: Numbers that NumPy, Python and MXNet drew after each.
    """

    def __init__(self, monkeypatch, capsys, build, data=None, test=None, seed=1):
        nets, texts, self.random_numbers = [], [], []
        data = data or batches()
        for variable in ("0", "1"):
            monkeypatch.setenv("D2LUTIL_COMPILE", variable)
            for seeds in (mx.random, np.random, random):
                seeds.seed(seed)
            net = build()
            net.initialize(init.Xavier(), force_reinit=True)
            if data[0][0].dtype == np.float64:
                net.cast("float64")
            trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
            capsys.readouterr()
            gb.train_ch5(net, data, test or data, 8, trainer, mx.cpu(), 2)
            texts.append(capsys.readouterr().out)
            nets.append(net)
            self.random_numbers.append(
                [np.random.rand(), random.random(), nd.random.uniform().asscalar()]
            )
        self.imperative, self.compiled = nets
        self.lines = [same_lines(text) for text in texts]
        self.notes = [line for line in texts[1].splitlines() if "imperatively" in line]

    def assert_same(self) -> None:
        """Check that nobody can tell the trainings apart."""
        assert_close(self.compiled, self.imperative)
        assert self.lines[0] == self.lines[1]
        assert self.random_numbers[0] == self.random_numbers[1]

    def assert_refused(self, reason: str) -> None:
        """Check that both trained imperatively, and one line says why."""
        (note,) = self.notes
        assert note.startswith("The network runs imperatively, not compiled: ")
        assert reason in note
        for a, b in zip(*map(values, (self.compiled, self.imperative)), strict=True):
            np.testing.assert_array_equal(a, b)
        self.assert_same()


@pytest.fixture
def both_ways(monkeypatch, capsys):
    return functools.partial(BothWays, monkeypatch, capsys)


def without_dropout() -> nn.Sequential:
    """Return the network without random numbers in training."""
    net = nn.Sequential()
    net.add(*(layer for layer in convolutional() if not isinstance(layer, nn.Dropout)))
    return net


def test_parameters_and_running_statistics_agree_with_imperative_training(
    monkeypatch, capsys
):
    imperative = initialized(without_dropout())
    expected = trained(imperative)
    lines = capsys.readouterr().out.splitlines()
    monkeypatch.setenv("D2LUTIL_COMPILE", "1")
    compiled = initialized(without_dropout())
    history = trained(compiled)
    assert_close(compiled, imperative)
    np.testing.assert_allclose(history.loss, expected.loss, rtol=1e-4)
    assert history.test_acc == expected.test_acc
    compiled_lines = capsys.readouterr().out.splitlines()
    assert [line.split(", time")[0] for line in compiled_lines] == [
        line.split(", time")[0] for line in lines
    ]


def test_network_runs_as_one_graph(compiling):
    calls = []
    net = initialized(convolutional())
    net(batches()[0][0])
    running = static_graph.compiled_if_asked(net, batches()[0][0])
    net.forward = lambda X: calls.append(X)
    assert isinstance(running, static_graph.CompiledNetwork)
    assert running(batches()[0][0]).shape == (8, 10)
    assert not calls


@pytest.mark.parametrize(
    "forward, kept", [(lambda X: X + 1, 1), (lambda X: print() or X, 0)]
)
def test_large_buffers_are_kept_for_a_graph_only(compiling, monkeypatch, forward, kept):
    calls = []
    keep = "keep_buffers_of_any_size"
    monkeypatch.setattr(static_graph.runtime, keep, lambda: calls.append(keep))
    static_graph.compiled_if_asked(known(Changed(forward)), batches()[0][0])
    assert len(calls) == kept


def test_without_the_variables_the_network_runs_itself(monkeypatch):
    for name in ("D2LUTIL_COMPILE", "D2LUTIL_DTYPE"):
        monkeypatch.delenv(name, raising=False)
    net = initialized(convolutional())
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net


@pytest.mark.parametrize(
    ("variable", "message"),
    [
        ("D2LUTIL_COMPILE", "set it to 0 or 1"),
        ("D2LUTIL_DTYPE", "set it to float32 or bfloat16"),
    ],
)
def test_unknown_value_names_the_known_ones(monkeypatch, variable, message):
    monkeypatch.setenv(variable, "fast")
    with pytest.raises(ValueError, match=message):
        static_graph.compiled_if_asked(initialized(nn.Dense(10)), batches()[0][0])


def test_dropout_drops_in_training_only(compiling):
    net = nn.Sequential()
    net.add(nn.Dense(200), nn.Dropout(0.5), nn.Dense(10))
    X = batches()[0][0]
    running = static_graph.compile_network(initialized(net), X)
    assert (running(X) == running(X)).min().asscalar() == 1
    np.testing.assert_allclose(running(X).asnumpy(), net(X).asnumpy(), rtol=1e-5)
    with autograd.record():
        first, second = running(X).copy(), running(X).copy()
    assert (first != second).max().asscalar() == 1


def test_batch_norm_uses_the_batch_in_training_only(compiling):
    net = initialized(without_dropout())
    X = batches()[0][0]
    running = static_graph.compile_network(net, X)
    before = values(net)
    running(X)
    for a, b in zip(values(net), before, strict=True):
        np.testing.assert_array_equal(a, b)
    with autograd.record():
        in_training = running(X)
    in_training.backward()
    in_training = in_training.copy()
    assert not np.allclose(in_training.asnumpy(), running(X).asnumpy())
    means = {n: p for n, p in net.collect_params().items() if "running_mean" in n}
    assert all(p.data().abs().max().asscalar() > 0 for p in means.values())


def test_compiling_leaves_parameters_and_statistics_as_they_were():
    net = initialized(convolutional())
    X = batches()[0][0]
    net(X)
    before = values(net)
    static_graph.compile_network(net, X)
    for a, b in zip(values(net), before, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("build", [convolutional, without_dropout])
def test_compiling_draws_no_random_numbers(build):
    X = batches()[0][0]
    net = initialized(build())
    net(X)
    drawn = []
    for prepare in (lambda: None, lambda: static_graph.compile_network(net, X)):
        mx.random.seed(3)
        prepare()
        drawn.append(nd.random.uniform(shape=4).asnumpy())
    np.testing.assert_array_equal(*drawn)


def test_accuracy_alone_draws_no_random_numbers(compiling):
    net = initialized(convolutional())
    drawn = []
    for measure in (lambda: None, lambda: gb.evaluate_accuracy(batches(), net)):
        measure()  # The first time, parameters get their values.
        mx.random.seed(3)
        measure()
        drawn.append(nd.random.uniform(shape=4).asnumpy())
    np.testing.assert_array_equal(*drawn)


def known(net: gluon.Block) -> gluon.Block:
    """Return the network with the shapes of its parameters known."""
    net.initialize()
    net(batches()[0][0])
    net.initialize(force_reinit=True)
    return net


def test_training_without_dropout_is_the_imperative_one(both_ways):
    trainings = both_ways(without_dropout)
    assert not trainings.notes
    trainings.assert_same()


def test_dropout_drops_the_same_units_as_without_compiling(both_ways):
    trainings = both_ways(lambda: known(convolutional()))
    assert not trainings.notes
    trainings.assert_same()


def test_dropout_before_parameters_of_unknown_shape_depends_on_the_seed(
    monkeypatch, capsys
):
    first, again, other = (
        BothWays(monkeypatch, capsys, convolutional, seed=seed) for seed in (1, 1, 2)
    )
    assert first.random_numbers[1] == again.random_numbers[1] != other.random_numbers[1]
    for a, b in zip(values(first.compiled), values(again.compiled), strict=True):
        np.testing.assert_array_equal(a, b)


def test_deferred_parameters_start_with_the_same_values(monkeypatch):
    start = []
    for value in ("0", "1"):
        monkeypatch.setenv("D2LUTIL_COMPILE", value)
        net = initialized(convolutional())
        trained(net, num_epochs=1, lr=0)
        start.append(values(net))
    # Running statistics too: they have seen the first batch once.
    for a, b in zip(*start, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-7)


def test_network_that_is_initialised_again_trains_again(compiling, capsys):
    net = initialized(without_dropout())
    net(batches()[0][0])
    trained(initialized(net))
    first = values(net)
    trained(initialized(net))
    for a, b in zip(values(net), first, strict=True):
        np.testing.assert_array_equal(a, b)
    assert "imperatively" not in capsys.readouterr().out


def test_hybridized_network_is_compiled_and_stays_hybridized(compiling, capsys):
    net = nn.HybridSequential()
    net.add(nn.Conv2D(4, 3, activation="relu"), nn.Dense(10))
    net.hybridize()
    trained(initialized(net))
    assert "imperatively" not in capsys.readouterr().out
    assert net._active


def test_frozen_parameters_stay(compiling, capsys):
    net = without_dropout()
    net[0].collect_params().setattr("grad_req", "null")
    initialized(net)
    net(batches()[0][0])
    weight = net[0].weight.data().asnumpy()
    trained(net)
    np.testing.assert_array_equal(net[0].weight.data().asnumpy(), weight)
    assert "imperatively" not in capsys.readouterr().out


def test_frozen_parameter_that_is_not_used_stays(compiling, capsys):
    net = Changed(lambda X: X)
    net.unused = nn.Dense(1, in_units=1)
    net.unused.collect_params().setattr("grad_req", "null")
    trained(initialized(net))
    assert "imperatively" not in capsys.readouterr().out


def test_several_devices_train_imperatively(compiling, capsys):
    devices = [mx.cpu(0), mx.cpu(1)]
    net = initialized(without_dropout(), devices)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05})
    data, loss = batches((8, 8)), gluon.loss.SoftmaxCrossEntropyLoss()
    gb.train(data, data, net, loss, trainer, devices, 1)
    assert "not compiled: it trains on several devices" in capsys.readouterr().out


def test_network_without_parameters_runs_imperatively(compiling, capsys):
    X, y = nd.array([[3, 1], [0, 2]]), nd.array([0, 0])
    assert gb.evaluate_accuracy([(X, y)], nn.Flatten()) == 0.5
    assert "not compiled: it has no parameters." in capsys.readouterr().out


def test_function_runs_imperatively(compiling, capsys):
    X, y = nd.array([[3, 1], [0, 2]]), nd.array([0, 0])
    assert gb.evaluate_accuracy([(X, y)], lambda X: X) == 0.5
    assert "not compiled: it is not a Gluon block." in capsys.readouterr().out


def test_accuracy_is_the_networks_own(monkeypatch):
    net = initialized(without_dropout())
    trained(net)
    expected = gb.evaluate_accuracy(batches(), net)
    monkeypatch.setenv("D2LUTIL_COMPILE", "1")
    assert gb.evaluate_accuracy(batches(), net) == expected


class TwoInputs(Changed):
    def __init__(self):
        super().__init__(lambda X: X)
        self.dense = nn.Dense(10, in_units=NUM_PIXELS**2)

    def forward(self, X, state):
        return super().forward(X + state)


class TwoOutputs(Changed):
    def forward(self, X):
        return [super().forward(X), X]


def test_shape_that_the_forward_reads_is_compiled_for_whole_batches(both_ways):
    trainings = both_ways(lambda: Changed(lambda X: X.reshape((X.shape[0], -1))))
    assert trainings.notes == [
        "A batch of 5 × 1 × 16 × 16 in float32 runs imperatively: "
        "the graph is for 8 × 1 × 16 × 16 in float32."
    ]
    trainings.assert_same()


def test_literal_size_is_compiled_for_whole_batches(compiling, capsys):
    net = initialized(Changed(lambda X: nd.slice_axis(X, axis=0, begin=0, end=8)))
    X, _ = batches()[0]
    running = static_graph.compiled_if_asked(net, X)
    np.testing.assert_allclose(running(X).asnumpy(), net(X).asnumpy(), rtol=1e-5)
    assert not capsys.readouterr().out
    running(nd.concat(X, X[:1], dim=0))
    assert "A batch of 9 × " in capsys.readouterr().out


def scaled_if_large(X):
    return X if len(X) < 6 else X * 2


def test_forward_that_depends_on_a_batch_larger_than_two(both_ways):
    both_ways(lambda: Changed(scaled_if_large)).assert_same()


def pooled(X):
    return nd.Pooling(X, kernel=X.shape[2:], pool_type="avg")


def average_of_large_images(X):
    return X.mean(axis=(2, 3)) if X.shape[2] > NUM_PIXELS else pooled(X)


@pytest.mark.parametrize("function", [pooled, average_of_large_images])
def test_other_size_of_test_images(both_ways, function):
    test = batches(num_pixels=NUM_PIXELS + 4)
    trainings = both_ways(lambda: Changed(function), test=test)
    assert len(trainings.notes) == 1
    trainings.assert_same()


def test_smaller_batch_runs_in_the_same_graph(compiling, capsys):
    net = initialized(convolutional())
    running = static_graph.compiled_if_asked(net, batches()[0][0])
    net.forward = lambda X: pytest.fail("it ran imperatively")
    assert running(batches((3,))[0][0]).shape == (3, 10)


def test_other_type_runs_imperatively(compiling, capsys):
    net = initialized(Changed(lambda X: nd.cast(X, "float32")))
    X = batches()[0][0]
    running = static_graph.compiled_if_asked(net, X)
    for _ in range(2):
        np.testing.assert_allclose(
            running(X.astype("float64")).asnumpy(), net(X).asnumpy(), rtol=1e-4
        )
    assert capsys.readouterr().out == (
        "A batch of 8 × 1 × 16 × 16 in float64 runs imperatively: "
        "the graph is for any × 1 × 16 × 16 in float32.\n"
    )


def test_network_in_float64(both_ways):
    data = [(X.astype("float64"), y) for X, y in batches()]
    both_ways(lambda: known(without_dropout()), data).assert_refused("float32")


class ChannelsLast(nn.Block):
    """A convolution whose input is cast and transposed first."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential()
        self.layers.add(nn.Conv2D(8, 3, padding=1), nn.BatchNorm(), nn.Dense(10))

    def forward(self, X):
        return self.layers(X.astype("float32").transpose((0, 3, 1, 2)) / 255)


@pytest.mark.parametrize(
    ("dtype", "reason"), [("uint8", "float32"), ("float32", "cannot run its graph")]
)
def test_images_with_channels_last(both_ways, dtype, reason):
    data = [
        (nd.array(np.arange(256 * n).reshape((n, 16, 16, 1)) % 251, dtype=dtype), y)
        for n, y in ((len(y), y) for _, y in batches())
    ]
    both_ways(ChannelsLast, data).assert_refused(reason)


def test_other_threads_read_arrays_while_a_network_is_compiled(compiling, capsys):
    def with_a_thread(X):
        Y = nd.ones(3)
        results = []
        thread = threading.Thread(target=lambda: results.append(Y.asnumpy().sum()))
        thread.start()
        thread.join()
        assert results == [3]
        return X

    trained(initialized(Changed(with_a_thread)))
    assert "imperatively" not in capsys.readouterr().out


class Images(gluon.data.Dataset):
    """Images that go through NumPy."""

    def __len__(self):
        """Return the number of images."""
        return 200

    def __getitem__(self, index):
        """Return an image and its label."""
        for _ in range(100):
            image = nd.full((1, 16, 16), index % 10).asnumpy()
        return image, index % 10


def test_threads_that_load_data_read_arrays(compiling, capsys):
    data = gluon.data.DataLoader(Images(), 8, num_workers=2, thread_pool=True)
    net = initialized(without_dropout())
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05})
    gb.train_ch5(net, data, data, 8, trainer, mx.cpu(), 1)
    assert "imperatively" not in capsys.readouterr().out


class Stochastic(nn.Block):
    """A residual block that is left out at random."""

    def __init__(self, draw):
        super().__init__()
        self.draw = draw
        self.residual, self.dense = gb.Residual(1), nn.Dense(10)

    def forward(self, X):
        return self.dense(X + (self.draw() < 0.5) * self.residual(X))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("draw", [np.random.rand, random.random])
def test_stochastic_depth_runs_imperatively(both_ways, draw, seed):
    trainings = both_ways(lambda: Stochastic(draw), seed=seed)
    trainings.assert_refused("draws random numbers from Python or NumPy")


def test_random_generator_is_left_as_it_was(both_ways):
    trainings = both_ways(lambda: Stochastic(np.random.default_rng(0).random))
    trainings.assert_refused("draws random numbers from Python or NumPy")


def test_dropout_of_a_refused_network_drops_the_same_units(both_ways):
    def build():
        net = nn.Sequential()
        net.add(nn.Dropout(0.5), Stochastic(np.random.rand), nn.Dropout(0.5))
        return known(net)

    both_ways(build).assert_refused("draws random numbers from Python or NumPy")


def test_print_in_the_forward_shows_the_users_batch(compiling, capsys):
    net = known(Changed(lambda X: print(X.shape) or X))
    capsys.readouterr()
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net
    assert capsys.readouterr().out.splitlines() == [
        "(8, 1, 16, 16)",
        "The network runs imperatively, not compiled: its forward prints.",
    ]


class Counting(Changed):
    """Counts its forwards, and scales by them."""

    def __init__(self):
        super().__init__(lambda X: X)
        self.count = 0

    def forward(self, X):
        self.count += 1
        return super().forward(X) * self.count


def test_attributes_of_blocks_are_as_before(both_ways):
    both_ways(lambda: known(Counting())).assert_refused("changes an attribute")


class OwnStatistic(Changed):
    """Keeps a parameter that its forward sets."""

    def __init__(self):
        super().__init__(lambda X: X)
        with self.name_scope():
            self.ones = self.params.get("ones", shape=1, init="ones", grad_req="null")

    def forward(self, X):
        self.ones.set_data(nd.ones(1))
        return super().forward(X)


class NoInput(OwnStatistic):
    """Returns its parameter."""

    def forward(self, X):
        return self.ones.data()


def test_profiler_goes_on(compiling, capsys):
    net = initialized(nn.Dense(10))
    X = batches()[0][0]

    def profile(*_):
        """Do nothing."""

    sys.setprofile(profile)
    try:
        assert static_graph.compiled_if_asked(net, X) is net
        assert sys.getprofile() is profile
    finally:
        sys.setprofile(None)
    assert "a profiler observes it" in capsys.readouterr().out


def test_accumulated_gradients_stay(compiling):
    net = initialized(nn.Dense(10))
    X = batches()[0][0]
    net(X)
    net.collect_params().setattr("grad_req", "add")
    with autograd.record():
        y = net(X)
    y.backward()
    before = net.weight.grad().asnumpy()
    static_graph.compile_network(net, X)
    np.testing.assert_array_equal(net.weight.grad().asnumpy(), before)


@pytest.mark.parametrize("module", [static_graph, watch])
def test_examples_of_docstrings(module):
    failed, attempted = doctest.testmod(module)
    assert attempted and not failed


def test_sum_of_other_shapes_stays_a_broadcast(compiling, capsys):
    net = nn.Sequential()
    net.add(Changed(lambda X: X + X.mean(axis=(2, 3), keepdims=True)))
    trained(initialized(net))
    assert "imperatively" not in capsys.readouterr().out


REFUSED = {
    "branch on data": (
        lambda: Changed(lambda X: X if X.mean() > 0 else -X),
        "reads the numbers",
    ),
    "number from data": (
        lambda: Changed(lambda X: X * X.max().asscalar()),
        "reads the numbers",
    ),
    "NumPy": (lambda: Changed(lambda X: nd.array(X.asnumpy())), "reads the numbers"),
    "branch on mode": (
        lambda: Changed(lambda X: X * 2 if autograd.is_training() else X),
        "training mode",
    ),
    "constant": (
        lambda: Changed(lambda X: X + nd.ones((1, 1, 16, 16))),
        "neither its input nor a parameter",
    ),
    "mode of its own": (
        lambda: Changed(predicted),
        "training mode",
    ),
    "array of its own": (
        lambda: Changed(lambda X: nd.broadcast_mul(X, nd.array([2]))),
        "fills an array",
    ),
    "parameter that it sets": (OwnStatistic, "fills an array"),
    "random operator": (
        lambda: Changed(lambda X: X + nd.random.uniform_like(X)),
        "may draw random numbers",
    ),
    "dropout in prediction": (
        lambda: Changed(lambda X: nd.Dropout(X, mode="always")),
        "Dropout may draw random numbers",
    ),
    "no input": (NoInput, "does not depend on its input"),
    "seed": (lambda: Changed(lambda X: mx.random.seed(3) or X), "sets the seed"),
    "random number": (
        lambda: Changed(lambda X: X * np.random.rand()),
        "draws random numbers",
    ),
    "several inputs": (TwoInputs, "fails while it is recorded"),
    "several outputs": (lambda: TwoOutputs(lambda X: X), "return one array"),
    "hook": (
        lambda: hooked(nn.Dense(10)),
        "hook",
    ),
}


def predicted(X):
    with autograd.predict_mode():
        return nd.Dropout(X)


def hooked(net: gluon.Block) -> gluon.Block:
    net.register_forward_hook(lambda *_: None)
    return net


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_certain_runs_imperatively(compiling, capsys, case):
    build, reason = REFUSED[case]
    net = initialized(build())
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net
    printed = capsys.readouterr().out
    assert printed.startswith("The network runs imperatively, not compiled: ")
    assert reason in printed and printed.count("\n") == 1


def test_graph_that_mxnet_cannot_run_is_refused(monkeypatch, compiling, capsys):
    def fail(*_):
        raise mx.MXNetError

    monkeypatch.setattr(static_graph, "_symbol_block", fail)
    net = initialized(nn.Dense(10))
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net
    assert "MXNet cannot run its graph" in capsys.readouterr().out


def test_earlier_error_is_raised(compiling):
    X = nd.linalg.potrf(-nd.eye(3))  # fails in the background
    with pytest.raises(mx.MXNetError, match="positive"):
        static_graph.compiled_if_asked(initialized(nn.Dense(10)), X)


def test_refused_network_trains(compiling, capsys):
    history = trained(initialized(REFUSED["branch on mode"][0]()))
    assert len(history.loss) == 2
    assert capsys.readouterr().out.count("imperatively") == 1


def test_graph_that_gives_other_numbers_is_refused(monkeypatch, compiling, capsys):
    load = static_graph._load
    monkeypatch.setattr(static_graph, "_load", lambda graph: load(graph) * 1.01)
    net = initialized(nn.Dense(10))
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net
    assert "other numbers" in capsys.readouterr().out


def test_graph_that_is_wrong_for_the_last_example_is_refused(
    monkeypatch, compiling, capsys
):
    load = static_graph._load

    def wrong(graph):
        symbol = load(graph)
        is_last = mx.sym.contrib.arange_like(symbol, axis=0) > 6
        return mx.sym.broadcast_add(symbol, is_last.reshape((-1, 1)))

    monkeypatch.setattr(static_graph, "_load", wrong)
    net = initialized(nn.Dense(10))
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net
    assert "other numbers" in capsys.readouterr().out


@pytest.mark.parametrize("build", [convolutional, without_dropout])
def test_graph_with_other_gradients_is_refused(monkeypatch, compiling, capsys, build):
    block = static_graph._static_block

    def wrong(graph, *args):
        for node in graph["nodes"]:
            if node["op"] == "relu":
                node |= {"op": "BlockGrad"}
        return block(graph, *args)

    monkeypatch.setattr(static_graph, "_static_block", wrong)
    net = initialized(build())
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net
    assert "other numbers" in capsys.readouterr().out


@pytest.mark.skipif(
    not static_graph.has_bfloat16(), reason="the processor has no bfloat16 instructions"
)
def test_bfloat16_learns_and_keeps_parameters_in_float32(conversions, capsys):
    net = initialized(without_dropout())
    history = trained(net, num_epochs=8)
    assert conversions.num_calls
    assert "imperatively" not in capsys.readouterr().out
    assert history.loss[-1] < 0.7 * history.loss[0]
    assert {p.data().dtype for p in net.collect_params().values()} == {np.float32}
    assert net(batches()[0][0]).dtype == np.float32


def test_network_runs_imperatively_where_its_graph_fails_in_bfloat16(
    monkeypatch, capsys
):
    monkeypatch.setenv("D2LUTIL_DTYPE", "bfloat16")
    monkeypatch.setattr(static_graph, "has_bfloat16", lambda: True)

    # As on a device without the operators: what fails, fails when it runs.
    def failing(symbol, in_float32):
        return mx.sym.linalg.potrf(-mx.sym.dot(symbol, symbol, transpose_b=True))

    monkeypatch.setattr(static_graph, "_in_bfloat16", failing)
    net = initialized(nn.Dense(10))
    assert static_graph.compiled_if_asked(net, batches()[0][0]) is net
    assert "MXNet cannot run its graph" in capsys.readouterr().out


def test_processor_without_bfloat16_computes_in_float32(
    conversions, monkeypatch, capsys
):
    monkeypatch.setattr(static_graph, "has_bfloat16", lambda: False)
    net = initialized(without_dropout())
    assert isinstance(
        static_graph.compiled_if_asked(net, batches()[0][0]),
        static_graph.CompiledNetwork,
    )
    assert conversions.num_calls == 0
    assert "no bfloat16 instructions; float32 is used" in capsys.readouterr().out


def test_all_six_networks_compile(compiling, capsys):
    for section, num_pixels in {
        "06-alexnet": 67,
        "07-vgg": 32,
        "08-nin": 67,
        "09-googlenet": 48,
        "11-resnet": 48,
        "12-densenet": 48,
    }.items():
        net = initialized(gb.load_section(section).net)
        X = nd.ones((2, 1, num_pixels, num_pixels))
        assert isinstance(
            static_graph.compiled_if_asked(net, X), static_graph.CompiledNetwork
        ), section
    assert capsys.readouterr().out == ""
