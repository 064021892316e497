"""Protects: variables of the environment say what they say, or one sentence why not."""

import subprocess
import sys
from pathlib import Path

import mxnet as mx
import pytest

import d2lutil.device
from d2lutil import settings


@pytest.mark.parametrize("name", ["full", "lesson", "smoke"])
def test_scale_is_the_one_named(monkeypatch, name):
    monkeypatch.setenv("D2LUTIL_SCALE", name)
    assert settings.run_scale().name == name


@pytest.mark.parametrize(("device", "name"), [(mx.cpu(), "lesson"), (mx.gpu(), "full")])
def test_without_a_name_the_device_decides(monkeypatch, device, name):
    monkeypatch.delenv("D2LUTIL_SCALE", raising=False)
    monkeypatch.setattr(d2lutil.device, "try_gpu", lambda: device)
    assert settings.run_scale().name == name


def test_scale_can_be_asked_for_by_name(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "smoke")
    assert settings.run_scale("lesson") == settings.LESSON


def test_unknown_scale_is_an_error_that_names_the_three(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "tiny")
    with pytest.raises(ValueError, match=r"D2LUTIL_SCALE .*'tiny'.*full, lesson or sm"):
        settings.run_scale()
    with pytest.raises(ValueError, match=r"scale .*'huge'.*full, lesson or smoke"):
        settings.run_scale("huge")


@pytest.mark.parametrize(
    ("variable", "function", "value"),
    [
        ("D2LUTIL_DTYPE", settings.compute_dtype, "float16"),
        ("D2LUTIL_DTYPE", settings.compiles_networks, "float16"),
        ("D2LUTIL_COMPILE", settings.compiles_networks, "yes"),
        *[
            ("OMP_NUM_THREADS", settings.num_threads, value)
            for value in ("0", "-1", "abc", "1.5", "2x", "99999999999", "０")
        ],
        ("MXNET_CPU_WORKER_NTHREADS", settings.check_threads_of_mxnet, "abc"),
        ("MXNET_CPU_WORKER_NTHREADS", settings.check_threads_of_mxnet, "0"),
    ],
)
def test_unknown_value_is_one_sentence(monkeypatch, variable, function, value):
    monkeypatch.setenv(variable, value)
    with pytest.raises(ValueError, match=rf"^{variable} is '{value}'; set it to .*\.$"):
        function()


@pytest.mark.parametrize(
    ("value", "expected"), [("", None), ("3", 3), (" 2 ", 2), ("4,2", 4)]
)
def test_number_of_threads_is_the_first_one(monkeypatch, value, expected):
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    assert settings.num_threads() == expected


@pytest.mark.parametrize(
    ("compiles", "dtype", "expected"),
    [
        ("", "", False),
        ("0", "float32", False),
        ("1", "", True),
        ("", "bfloat16", True),
    ],
)
def test_static_graph_is_asked_for_by_either_variable(
    monkeypatch, compiles, dtype, expected
):
    monkeypatch.setenv("D2LUTIL_COMPILE", compiles)
    monkeypatch.setenv("D2LUTIL_DTYPE", dtype)
    assert settings.compiles_networks() == expected


@pytest.mark.parametrize(
    ("variable", "function"),
    [
        ("D2LUTIL_DATA", settings.data_folder),
        ("D2LUTIL_CHECKPOINT", settings.checkpoint_folder),
    ],
)
def test_folders_may_be_in_the_home_folder(monkeypatch, variable, function):
    monkeypatch.delenv(variable, raising=False)
    assert function() is None
    monkeypatch.setenv("HOME", "/home/reader")
    monkeypatch.setenv(variable, "~/mine")
    assert function() == Path("/home/reader/mine")


@pytest.mark.parametrize("value", ["abc", "0"])
def test_import_ends_with_the_sentence_where_mxnet_would_end_the_process(value):
    run = subprocess.run(
        [sys.executable, "-c", "import d2lutil"],
        env={"OMP_NUM_THREADS": value, "PATH": ""},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith(
        f"ValueError: OMP_NUM_THREADS is {value!r}"
    )


def test_list_of_threads_reaches_mxnet_as_its_first_number():
    code = "import d2lutil, os, mxnet; print(os.environ['OMP_NUM_THREADS'])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env={"OMP_NUM_THREADS": "2,1", "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert run.stdout == "2\n"
