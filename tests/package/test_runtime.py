"""Protects: threads and memory suit the machine, or are what the user chose."""

import json
import os
import platform
import subprocess
import sys

import loky
import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from d2lutil.engine import runtime

VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def run_python(code: str, **environment: str) -> str:
    """Run code in a new process, without settings but for those given."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in VARIABLES and not name.startswith("MALLOC_")
    }
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return run.stdout


def settings_after_import(**environment: str) -> dict[str, str]:
    """Import d2lutil in a new process; return the variables that are set in it."""
    code = "import json, os, d2lutil; print(json.dumps(dict(os.environ)))"
    settings = json.loads(run_python(code, **environment))
    return {k: v for k, v in settings.items() if k in VARIABLES}


def test_threads_are_the_physical_cores_and_sleep_soon():
    cores = str(loky.cpu_count(only_physical_cores=True))
    expected = {"OMP_NUM_THREADS": cores, "GOMP_SPINCOUNT": "1000"}
    assert settings_after_import() == expected


def test_settings_of_the_user_stay():
    chosen = {"OMP_NUM_THREADS": "7", "GOMP_SPINCOUNT": "5"}
    assert settings_after_import(**chosen) == chosen


def test_wait_policy_of_the_user_is_not_overruled():
    chosen = {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "active"}
    assert settings_after_import(**chosen) == chosen


# Counts the threads that GNU OpenMP gives to MXNet, whose library is the one loaded.
COUNT_THREADS = """
import ctypes
print(ctypes.CDLL("libgomp.so.1").omp_get_max_threads())
"""
with_gnu_openmp = pytest.mark.skipif(
    sys.platform != "linux", reason="MXNet comes with another OpenMP"
)


def outputs_in_kernel(code: str) -> list[NotebookNode]:
    """Run a cell in a new kernel; return its outputs."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    NotebookClient(notebook, coalesce_streams=True).execute()
    return notebook.cells[0].outputs


def run_in_kernel(monkeypatch: pytest.MonkeyPatch, code: str) -> dict[str, str]:
    """Run a cell in a new kernel without settings of threads; return its streams."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return {output.name: output.text for output in outputs_in_kernel(code)}


@with_gnu_openmp
def test_kernel_that_imports_d2lutil_first_uses_all_cores(monkeypatch):
    streams = run_in_kernel(
        monkeypatch, "import d2lutil\nimport mxnet\n" + COUNT_THREADS
    )
    assert streams == {"stdout": f"{loky.cpu_count(only_physical_cores=True)}\n"}


@with_gnu_openmp
def test_default_of_mxnet_is_known():
    assert int(run_python("import mxnet\n" + COUNT_THREADS)) == (
        runtime._mxnet_default()
    )


@pytest.mark.parametrize(
    ("machine", "num_processors", "expected"),
    [("x86_64", 8, 4), ("x86_64", 1, 1), ("aarch64", 8, 8)],
)
def test_default_of_mxnet_counts_the_processors_of_the_process(
    monkeypatch, machine, num_processors, expected
):
    processors = set(range(num_processors))
    monkeypatch.setattr(
        runtime.os, "sched_getaffinity", lambda _: processors, raising=False
    )
    monkeypatch.setattr(runtime.os, "cpu_count", lambda: 64)
    monkeypatch.setattr(runtime.platform, "machine", lambda: machine)
    assert runtime._mxnet_default() == expected


def test_kernel_that_imports_mxnet_first_is_told_once(monkeypatch):
    streams = run_in_kernel(
        monkeypatch,
        # As if there were a core more, for machines where MXNet's own choice is right.
        "import mxnet, loky\ncores = loky.cpu_count(only_physical_cores=True) + 7\n"
        "loky.cpu_count = lambda **_: cores\n"
        "import d2lutil\nimport d2lutil\n",
    )
    assert list(streams) == ["stderr"]
    assert streams["stderr"].count("import d2lutil first") == 1


# Any variable of malloc keeps d2lutil from changing it; this one's value is glibc's.
AS_GLIBC_STARTS = {"MALLOC_PERTURB_": "0"}

COUNT_PAGE_FAULTS = """
import resource
import d2lutil
from mxnet import nd
def fill_32_mib(times):
    for _ in range(times):
        nd.ones((8, 1024, 1024)).wait_to_read()
        nd.waitall()
fill_32_mib(times=20)
start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
fill_32_mib(times=10)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start)
"""

with_glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="needs glibc")


@with_glibc
def test_memory_is_used_again_unless_the_user_configures_malloc():
    pages = 10 * 32 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    assert int(run_python(COUNT_PAGE_FAULTS)) < pages / 10
    assert int(run_python(COUNT_PAGE_FAULTS, **AS_GLIBC_STARTS)) >= pages


@with_glibc
def test_larger_buffers_are_kept_once_a_graph_runs():
    fill_96_mib = COUNT_PAGE_FAULTS.replace("(8, 1024", "(24, 1024")
    keep = "from d2lutil.engine import runtime\nruntime.keep_buffers_of_any_size()\n"
    pages = 10 * 96 * 2**20 // os.sysconf("SC_PAGE_SIZE")
    assert int(run_python(fill_96_mib)) >= pages
    assert int(run_python(keep + fill_96_mib)) < pages / 10
    assert int(run_python(keep + fill_96_mib, **AS_GLIBC_STARTS)) >= pages


def test_libc_without_mallopt_is_left_alone(monkeypatch):
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda _: object())
    runtime.configure_memory()
    runtime.keep_buffers_of_any_size()


class OlderGlibc:
    """Accepts what glibc accepted when a heap could have 64 MiB."""

    gnu_get_libc_version = None

    def __init__(self):
        self.thresholds = []

    def mallopt(self, parameter, value):
        if parameter == runtime._M_MMAP_THRESHOLD:
            if value > 32 * 2**20:
                return 0
            self.thresholds.append(value)
        return 1


def test_older_glibc_gets_the_most_it_accepts(monkeypatch):
    libc = OlderGlibc()
    monkeypatch.setattr(runtime.ctypes, "CDLL", lambda _: libc)
    monkeypatch.setattr(runtime, "_malloc_is_configured", lambda: False)
    runtime.configure_memory()
    assert libc.thresholds == [32 * 2**20]


TRAIN_TWO_STEPS = """
import hashlib
import d2lutil
import mxnet as mx
from mxnet import autograd, gluon, init, nd
mx.random.seed(0)
net = d2lutil.resnet18(10)
net.initialize(init=init.Xavier())
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.05})
for _ in range(2):
    with autograd.record():
        loss = net(nd.random.uniform(shape=(16, 1, 32, 32))).square().sum()
    loss.backward()
    trainer.step(16)
digest = hashlib.sha256()
for parameter in net.collect_params().values():
    digest.update(parameter.data().asnumpy().tobytes())
print(digest.hexdigest())
"""


def test_memory_settings_leave_every_bit_of_the_parameters():
    assert run_python(TRAIN_TWO_STEPS) == run_python(TRAIN_TWO_STEPS, **AS_GLIBC_STARTS)


DRAW = "from matplotlib import pyplot as plt\nplt.plot([1, 2])\nplt.show()"


@pytest.mark.parametrize(
    "code",
    [
        f"import d2lutil\n{DRAW}",
        f"import matplotlib\nimport d2lutil\n{DRAW}",
        f"from matplotlib import pyplot\nimport d2lutil\n{DRAW}",
    ],
    ids=["d2lutil first", "matplotlib first", "pyplot first"],
)
def test_kernel_shows_figures_whatever_mplbackend_says(monkeypatch, code):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    outputs = outputs_in_kernel(code)
    assert ["image/png" in output.get("data", {}) for output in outputs] == [True]


def test_backend_that_the_reader_chose_in_the_notebook_stays(monkeypatch):
    monkeypatch.setenv("MPLBACKEND", "Agg")
    code = "import matplotlib\nmatplotlib.use('svg')\nimport d2lutil\n"
    [output] = outputs_in_kernel(f"{code}print(matplotlib.get_backend())")
    assert output.text == "svg\n"


def test_program_keeps_its_backend():
    code = "import d2lutil, matplotlib; print(matplotlib.get_backend())"
    assert run_python(code, MPLBACKEND="svg") == "svg\n"
