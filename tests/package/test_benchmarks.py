"""Protects: `make bench` times what it says, and its table holds what was measured."""

import os
import re
import subprocess
import sys

import pytest

import d2lutil as gb
from benchmarks import growth, measure_loss, measure_peak, profile, run, start, steps
from d2lutil.engine import static_graph
from d2lutil.pages import sections


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still until the test moves it."""
    now = [0.0]
    monkeypatch.setattr(steps.time, "perf_counter", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        # Long steps: at least three.
        ([2, 2, 2, 7], [2, 2, 2]),
        ([5, 6, 7, 8], [5, 6, 7]),
        # Short ones: until 3 s are over.
        ([1, 1, 0.5, 0.25, 0.25, 7], [1, 1, 0.5, 0.25, 0.25]),
    ],
)
def test_steps_are_timed_without_the_first_ones_until_it_is_enough(
    clock, seconds, expected
):
    batches = steps.TimedBatches(("X", "y"), wait=list)
    first = [9] * steps.NUM_WARM_UP_STEPS
    for batch, duration in zip(batches, first + seconds, strict=False):
        assert batch == ("X", "y")
        clock[0] += duration
    assert batches.step_seconds == expected


def test_result_is_images_per_second_of_the_median_step(capsys):
    batches = steps.TimedBatches(("X", "y"), wait=list)
    first = [9 * i for i in range(steps.NUM_WARM_UP_STEPS)]
    batches.times = first + [first[-1] + t for t in (9, 11, 15, 23)]
    steps.print_result(steps.Task(128, 224, 0.1), batches)
    assert '"images_per_second": 32.0' in capsys.readouterr().out


@pytest.mark.parametrize(
    ("dtype", "operand"), [("float32", "src_f32"), ("bfloat16", "src_bf16")]
)
def test_limit_is_that_of_products_in_the_type(dtype, operand):
    if dtype == "bfloat16" and not static_graph.has_bfloat16():
        pytest.skip("the processor has no bfloat16 instructions")
    code = (
        "from benchmarks import measure_peak\n"
        "measure_peak.SIZE = 64\n"
        f"assert measure_peak.measure({dtype!r}) > 0"
    )
    log = subprocess.run(
        [sys.executable, "-c", code],
        cwd=run.ROOT,
        env=os.environ | {"DNNL_VERBOSE": "1"},
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    products = re.findall(r"exec,cpu,inner_product,.*", log)
    assert len(products) == measure_peak.NUM_PRODUCTS * measure_peak.NUM_RUNS
    assert all(operand in product for product in products)


def test_pytorch_of_an_interpreter_that_is_not_there_is_left_out():
    assert run.torch_build("/no/such/python") is None


def test_median_is_taken_of_each_number():
    rounds = [run.Result(3, 10), run.Result(1, 20), run.Result(2, 90)]
    assert run.median_result(rounds) == run.Result(2, 20)


def test_report_holds_speed_memory_and_share():
    bfloat16 = next(v for v in run.VARIANTS if v.dtype == "bfloat16")
    results = {
        ("08-nin", run.GLUONBOOK): run.Result(10, 1000),
        ("08-nin", bfloat16): run.Result(25, 500),
    }
    # 6e9 operations per image; 10 and 25 images per second.
    text = run.report(results, {"08-nin": 10**9}, {"float32": 100, "bfloat16": 200})
    assert [line.split(" | ") for line in text.splitlines() if "d2lutil" in line] == [
        [f"| {bfloat16.name}", "25.0 (2.50×) |"],
        [f"| {bfloat16.name}", "500 |"],
        [f"| {bfloat16.name}", "75% |"],
    ]
    assert "| gluonbook | 10.0 (1.00×) |" in text
    assert "| gluonbook | 60% |" in text


def test_bfloat16_is_compared_with_the_higher_limit():
    bfloat16 = next(v for v in run.VARIANTS if v.dtype == "bfloat16")
    results = {("a", v): run.Result(10, 1) for v in (run.GLUONBOOK, bfloat16)}
    text = run.report(results, {"a": 10**9}, {"float32": 100, "bfloat16": 50})
    assert f"| {bfloat16.name} | 60% |" in text


def test_settings_of_the_caller_do_not_reach_a_measurement(tmp_path, monkeypatch):
    code = "import json, os; print('noise'); print(json.dumps(dict(os.environ)))"
    (tmp_path / "show_environment.py").write_text(code)
    monkeypatch.setattr(run, "ROOT", tmp_path)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "7")
    environment = run.measure(sys.executable, "show_environment", D2LUTIL_COMPILE="1")
    assert environment["D2LUTIL_COMPILE"] == "1"
    assert not {"OMP_NUM_THREADS", "MALLOC_ARENA_MAX"} & environment.keys()


def test_measurement_that_fails_says_why():
    with pytest.raises(RuntimeError, match="No module named no_such_program"):
        run.measure(sys.executable, "no_such_program")


def test_interpreter_without_pytorch_is_recognised(tmp_path):
    (tmp_path / "python").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "python").chmod(0o755)
    assert run.torch_build(str(tmp_path / "python")) is None


@pytest.mark.parametrize("section", steps.TASKS)
def test_torch_network_has_the_parameters_of_the_section(section):
    pytest.importorskip("torch")
    from benchmarks.torch_networks import network

    pixels = steps.TASKS[section].pixels
    cost = gb.network_cost(gb.load_section(section).net, (1, 1, pixels, pixels))
    parameters = network(section).parameters()
    assert sum(p.numel() for p in parameters) == cost.num_parameters


def test_profile_holds_the_kernels_of_the_last_step():
    log = """
    dnnl_verbose,exec,cpu,convolution,jit:avx512,forward_training,,,,mb1,100
    step,10.0
    dnnl_verbose,exec,cpu,convolution,jit:avx512,forward_training,,,,mb1,50
    step,11.0
    dnnl_verbose,exec,cpu,convolution,jit:avx512,forward_training,,,,mb1,40
    dnnl_verbose,exec,cpu,reorder,jit:blk,undef,,,,64x1x7x7,1.5
    dnnl_verbose,exec,cpu,convolution,jit:avx512,backward_data,,,,mb1,60
    step,11.25
    dnnl_verbose,exec,cpu,softmax,jit:avx512,forward,,,,2x10,9
    """
    times = profile.milliseconds(log.splitlines())
    assert times == {
        "convolution": 100,
        "reorder": 1.5,
        profile.REST: 148.5,
        profile.STEP: 250,
    }
    lines = profile.table("milliseconds", {"08-nin": times}).splitlines()
    assert lines[2:] == [
        "| convolution | 100 |",
        "| reorder | 2 |",
        "| outside oneDNN | 148 |",
        "| the step | 250 |",
    ]


def test_marks_lie_around_each_step(clock, capsys):
    batches = steps.MarkedBatches(("X", "y"), wait=lambda: print("done"))
    for _ in batches:
        clock[0] += 2.0
        print("computing")
    lines = capsys.readouterr().out.split()
    step = ["computing", "done"]
    assert lines[:6] == ["step,0.0", *step, "step,2.0", *step]
    assert lines[-1] == f"step,{2.0 * steps.NUM_MARKED_STEPS}"


def test_stretches_go_on_where_the_last_one_ended(monkeypatch):
    monkeypatch.setattr(measure_loss, "STEPS_PER_POINT", 2)
    stretches = measure_loss.Stretches([1, 2, 3])
    assert [list(stretches) for _ in range(4)] == [[1, 2], [3, 1], [2, 3], [1, 2]]


@pytest.mark.parametrize("section", steps.TASKS)
def test_tasks_have_the_settings_of_the_section(section):
    cells = sections.code_cells(sections.read(section))
    source = "\n".join(map(sections.source, cells))
    lr, batch_size = re.search(
        r"lr, num_epochs, batch_size, ctx = (\S+), \d+, (\d+)", source
    ).groups()
    pixels = re.search(r"load_data_fashion_mnist\(batch_size, resize=(\d+)", source)[1]
    assert steps.TASKS[section] == steps.Task(int(batch_size), int(pixels), float(lr))


def test_unknown_section_is_refused(capsys):
    with pytest.raises(SystemExit):
        run.sections_parser("").parse_args(["99-none"])
    assert "99-none: choose from 06-alexnet" in capsys.readouterr().err
    assert run.sections_parser("").parse_args([]).sections == list(steps.TASKS)


def test_all_modes_of_pytorch_are_compared():
    names = [v.name for v in run.VARIANTS if v.is_torch]
    assert len(names) == len(set(names)) == 8
    assert "PyTorch, compiled, channels_last, bfloat16" in names
    assert [v.dtype for v in run.VARIANTS if v.is_torch].count("bfloat16") == 4


def test_batch_and_pixels_reach_the_program():
    variant = run.D2LUTIL[1]
    command = run.command_of("11-resnet", variant, 8, 48)
    program = "benchmarks.measure_mxnet 11-resnet d2lutil 8 48"
    assert " ".join(command.arguments) == program
    assert command.environment == {"D2LUTIL_COMPILE": "1"}
    result = run.measure(sys.executable, *command.arguments[:2], "d2lutil", "2", "32")
    assert result.keys() == {"images_per_second", "peak_mib"}


def test_each_result_is_the_median_of_its_rounds(monkeypatch, capsys):
    speeds = iter([5, 70, 1, 90, 3, 80])
    monkeypatch.setattr(
        run,
        "measure",
        lambda *_, **__: {"images_per_second": next(speeds), "peak_mib": 1},
    )
    command = run.command_of("08-nin", run.GLUONBOOK)
    results = run.measure_all({"a": command, "b": command}, rounds=3)
    assert (results["a"].images_per_second, results["b"].images_per_second) == (3, 80)
    assert "round 3/3, " in capsys.readouterr().err


def test_growth_shows_seconds_and_gibibytes_of_every_point():
    results = {
        (variant, point(n)): run.Result(2.0 * point(n)[0], peak_mib=2048)
        for values, point in growth.AXES.values()
        for n in values
        for variant in growth.VARIANTS
    }
    lines = growth.table(results).splitlines()
    assert f"| 8 | 96 | {growth.NUM_CORES} | 0.500 | 2.000 | 0.500 | 2.000 |" in lines
    fields = growth.plot(results).axes
    assert len(fields) == 2 * len(growth.AXES)
    assert list(fields[0].lines[0].get_ydata()) == [0.5] * len(growth.BATCH_SIZES)


def test_section_stops_after_its_first_batch():
    seconds = start.seconds_to_first_batch("05-lenet")
    assert 0 < seconds < 60
    assert 0 < start.seconds_to_import() < seconds
