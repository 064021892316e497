"""Protects: the code of the book is that of the source document, in its order.

Its 30 cells lie in source_code/, as it prints them.  A notebook differs from them by
the name of the package only; what it has besides carries a tag.
"""

from pathlib import Path

import pytest

from d2lutil.pages import sections

SOURCE_CODE = Path(__file__).parent / "source_code"
NUM_CELLS = {"08-nin": 4, "09-googlenet": 8, "11-resnet": 9, "12-densenet": 9}


def source_cells(name: str) -> list[str]:
    """Return the code of the source document for a section, cell by cell."""
    text = (SOURCE_CODE / f"{name}.py").read_text(encoding="utf-8")
    return [cell.strip("\n") for cell in text.split("# %%\n")[1:]]


@pytest.mark.parametrize("name", NUM_CELLS)
def test_section_has_the_cells_of_the_source(name):
    expected = [cell.replace("gluonbook", "d2lutil") for cell in source_cells(name)]
    cells = sections.code_cells(sections.read(name))
    own = [sections.source(cell) for cell in cells if not sections.is_added(cell)]
    assert own == expected
    assert len(own) == NUM_CELLS[name]
