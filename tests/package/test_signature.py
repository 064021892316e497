"""Protects: a notebook that is stored is signed, and its signature stands for it.

tests/book/test_notebooks.py compares the signature with what the notebook holds.
"""

import json

import nbformat
import pytest
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from d2lutil.pages.sections import outputs_digest
from recording.run import store

LINES = "one\ntwo\n"


@pytest.fixture
def notebook() -> NotebookNode:
    stream = new_output("stream", text=LINES, name="stdout")
    cell = new_code_cell("show()", execution_count=1, outputs=[stream])
    return new_notebook(cells=[cell])


def test_stored_notebook_is_signed_as_its_file_holds_it(notebook, tmp_path):
    path = tmp_path / "99-test.ipynb"
    store(notebook, path)
    file = json.loads(path.read_text(encoding="utf-8"))
    assert file["cells"][0]["outputs"][0]["text"] == LINES.splitlines(keepends=True)
    signed = file["metadata"]["d2lutil"]["outputs"]
    assert signed == outputs_digest(file)
    assert signed == outputs_digest(nbformat.read(path, as_version=4))


def test_signing_keeps_the_recorded_histories(notebook, tmp_path):
    path = tmp_path / "99-test.ipynb"
    histories = {"lesson": {"loss": [2.3]}}
    notebook.metadata.d2lutil = {"histories": histories}
    store(notebook, path)
    noted = json.loads(path.read_text(encoding="utf-8"))["metadata"]["d2lutil"]
    assert noted["histories"] == histories
    assert set(noted) == {"histories", "outputs"}


def test_notebook_without_code_is_not_signed(tmp_path):
    path = tmp_path / "index.ipynb"
    store(new_notebook(cells=[new_markdown_cell("# 目录")]), path)
    assert json.loads(path.read_text(encoding="utf-8"))["metadata"] == {}


def test_source_and_execution_counts_are_not_part_of_it(notebook):
    digest = outputs_digest(notebook)
    notebook.cells[0].update(source="show()  # A comment.", execution_count=7)
    assert outputs_digest(notebook) == digest
