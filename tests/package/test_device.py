"""Protects: a GPU is used only when it computes; the search for one is silent."""

import subprocess
import sys

import mxnet as mx
import pytest

import d2lutil as gb
from d2lutil import device


class Computation:
    """Stands for an array on a GPU, whose computation succeeds or fails."""

    def __init__(self, error: str | None = None) -> None:
        self.error = error

    def wait_to_read(self) -> None:
        if self.error:
            raise mx.base.MXNetError(self.error)


@pytest.fixture
def gpus(monkeypatch: pytest.MonkeyPatch):
    """Pretend to have GPUs, given as one error message or None for each."""

    def pretend(*errors: str | None) -> None:
        monkeypatch.setattr(mx.context, "num_gpus", lambda: len(errors))
        monkeypatch.setattr(
            device.nd, "ones", lambda shape, ctx: Computation(errors[ctx.device_id])
        )

    return pretend


def test_without_gpu_the_cpu_is_used(gpus):
    gpus()
    assert gb.try_gpu() == mx.cpu()
    assert gb.try_all_gpus() == [mx.cpu()]


def test_gpus_that_compute_are_used(gpus):
    gpus(None, None)
    assert gb.try_gpu() == mx.gpu(0)
    assert gb.try_all_gpus() == [mx.gpu(0), mx.gpu(1)]


def test_gpu_that_cannot_compute_is_not_used(gpus):
    gpus("CUDA: out of memory")
    assert gb.try_gpu() == mx.cpu()
    assert gb.try_all_gpus() == [mx.cpu()]


def test_driver_that_fails_to_count_gpus_means_cpu(monkeypatch):
    def fail() -> int:
        raise mx.base.MXNetError("CUDA: driver version is insufficient")

    monkeypatch.setattr(mx.context, "num_gpus", fail)
    assert gb.try_gpu() == mx.cpu()


def test_search_prints_nothing():
    # A new process, because MXNet logs below Python, where pytest cannot look.
    code = "import d2lutil as gb; gb.try_gpu(); gb.try_all_gpus()"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert (run.stdout, run.stderr) == (b"", b"")
