"""Protects: the public names are there, quick to come by, and gluonbook's say so."""

import subprocess
import sys

import pytest

import d2lutil as gb


def test_every_public_name_can_be_used():
    for name in gb.__all__:
        assert getattr(gb, name) is not None, name


def test_names_are_offered_without_the_modules_they_live_in():
    assert dir(gb) == sorted(gb.__all__)
    assert "train_ch5" in dir(gb)


def test_tab_in_a_notebook_offers_these_names_and_no_modules():
    code = (
        "from IPython.core.completer import provisionalcompleter\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell()\n"
        "shell.run_cell('import d2lutil as gb')\n"
        "with provisionalcompleter():\n"
        "    print(*(c.text for c in shell.Completer.completions('gb.', 3)))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert sorted(run.stdout.split()) == sorted(gb.__all__)


def test_import_loads_neither_mxnet_nor_matplotlib():
    code = "import sys, d2lutil; print({'mxnet', 'matplotlib'} & {*sys.modules})"
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"


@pytest.mark.parametrize(
    ("name", "chapter"),
    [
        ("load_data_jay_lyrics", "recurrent networks"),
        ("train_ch7", "optimisation"),
        ("show_bboxes", "detection and segmentation"),
        ("read_imdb", "language"),
    ],
)
def test_name_of_another_chapter_says_where_it_is(name, chapter):
    with pytest.raises(
        AttributeError, match=rf"{name}.*{chapter}.*gluonbook==0\.8\.10"
    ):
        getattr(gb, name)


def test_other_name_is_the_usual_error():
    with pytest.raises(AttributeError, match="'d2lutil' has no attribute 'trian_ch5'"):
        gb.trian_ch5  # noqa: B018
