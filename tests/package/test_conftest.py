"""Protects: bare `pytest` runs the notebooks of the book, at smoke, in fitting time."""

import os
import subprocess
import sys
from types import SimpleNamespace

import pytest
from nbformat.v4 import new_output

import conftest
from d2lutil.pages import sections


@pytest.mark.parametrize("value", [None, ""])
def test_scale_is_smoke_where_nothing_is_set(value):
    env = {k: v for k, v in os.environ.items() if k != "D2LUTIL_SCALE"}
    env |= {} if value is None else {"D2LUTIL_SCALE": value}
    code = "import os, conftest; print(os.environ['D2LUTIL_SCALE'])"
    run = subprocess.run(
        [sys.executable, "-c", code], env=env, capture_output=True, text=True
    )
    assert run.stdout == "smoke\n"


@pytest.mark.parametrize(
    ("scale", "seconds"), [("smoke", 300), ("lesson", 3_600), ("full", 86_400)]
)
def test_time_limit_of_a_cell_fits_the_scale(monkeypatch, scale, seconds):
    monkeypatch.setenv("D2LUTIL_SCALE", scale)
    cleanups = []
    config = SimpleNamespace(
        getoption=lambda name, default: True,
        option=SimpleNamespace(),
        add_cleanup=cleanups.append,
    )
    conftest.pytest_configure(config)
    assert config.option.nbval_cell_timeout == seconds
    assert "regex: loss" in open(config.option.nbval_sanitize_with).read()
    for cleanup in cleanups:
        cleanup()
    assert not os.path.exists(config.option.nbval_sanitize_with)


@pytest.mark.parametrize("name", ["08-nin-Copy1", "Untitled", "._08-nin", "draft/a"])
def test_other_notebooks_in_the_folder_are_left_out(name):
    assert conftest.pytest_ignore_collect(sections.path(name))


@pytest.mark.parametrize("name", ["index", "08-nin", "solutions/08-nin"])
def test_notebooks_of_the_book_are_collected(name):
    assert not conftest.pytest_ignore_collect(sections.path(name))


DIFFERS = (
    "Fashion-MNIST: smoke scale, 500 + 250 images of 28 x 28 pixels (asked: 60000 + "
    "10000 of 28 x 28); D2LUTIL_SCALE=full gives the book's run\n"
)


@pytest.mark.parametrize(
    ("printed", "stored", "is_same"),
    [
        (DIFFERS, None, True),
        (None, DIFFERS.replace("smoke", "lesson"), True),
        (DIFFERS + "(10, 20)\n", None, False),
        (None, "(10, 20)\n", False),
    ],
)
def test_line_on_the_scale_may_be_missing_and_no_other(printed, stored, is_same):
    def streams(text: str | None) -> list:
        return [new_output("stream", name="stdout", text=text)] if text else []

    cell = SimpleNamespace(compare_outputs=lambda test, ref: test == ref)
    conftest.pytest_itemcollected(cell)
    assert cell.compare_outputs(streams(printed), streams(stored)) == is_same


def test_notes_of_nbval_are_left_out_of_what_failed():
    note = "unhandled iopub msg: update_display_data\n"
    report = SimpleNamespace(sections=[("Captured stdout", f"{note}mine\n{note}")])
    conftest.pytest_runtest_logreport(report)
    assert report.sections == [("Captured stdout", "mine\n")]
