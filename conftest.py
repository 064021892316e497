"""What pytest does before it collects: the scale, the book's notebooks, nbval's rules.

So `pytest` and `pytest --nbval notebooks/11-resnet.ipynb` need no further settings.
"""

import os
import re
import tempfile
from pathlib import Path
from typing import Any

import pytest

os.environ["D2LUTIL_SCALE"] = os.environ.get("D2LUTIL_SCALE") or "smoke"

# The most seconds that a cell may take.
CELL_TIMEOUT = {"smoke": 300, "lesson": 3_600, "full": 86_400}

# What nbval does not compare: the digits of a training line, how many images of which
# resolution a scale uses (at scale full there is no such line), and what a stored
# recording says about itself.
SANITIZE = r"""
[training]
regex: {measurements}
replace: loss, train acc, test acc, time

[scale]
regex: {differs}\n
replace:{blank}

[recording]
regex: {recorded}
replace:{blank}
"""


def sanitize_rules() -> str:
    """Return nbval's rules, made of the sentences where they are printed."""
    from d2lutil.fashion_mnist import DIFFERS
    from d2lutil.history import measurements_pattern
    from recording.run import RECORDED_LINE, pattern

    return SANITIZE.format(
        measurements=measurements_pattern(),
        differs=pattern(DIFFERS),
        recorded=pattern(RECORDED_LINE).replace("\\\n", r"\n"),
        blank=" ",  # nbval refuses a rule that ends with its colon.
    )


def pytest_configure(config: pytest.Config) -> None:
    """Tell nbval its rules and its time limit."""
    if not config.getoption("nbval", default=False):
        return
    rules = Path(tempfile.mkdtemp(prefix="nbval-")) / "sanitize.cfg"
    rules.write_text(sanitize_rules(), encoding="ascii")
    config.option.nbval_sanitize_with = str(rules)
    config.option.nbval_cell_timeout = CELL_TIMEOUT[os.environ["D2LUTIL_SCALE"]]
    config.add_cleanup(lambda: (rules.unlink(), rules.parent.rmdir()))


def pytest_itemcollected(item: pytest.Item) -> None:
    """Where the sentence on the scale is all that a cell prints, compare nothing.

    A rule can blank it, but nbval still misses it on the side that has none.
    """
    if not hasattr(item, "compare_outputs"):
        return
    compare = item.compare_outputs

    def compare_without(test: list, ref: list, *rest: Any) -> bool:
        return compare(drop_scale_lines(test), drop_scale_lines(ref), *rest)

    item.compare_outputs = compare_without


def drop_scale_lines(outputs: list) -> list:
    """Return the outputs but for what only says which images a scale uses."""
    from d2lutil.fashion_mnist import DIFFERS
    from recording.run import pattern

    line = re.compile(rf"(?:{pattern(DIFFERS)}\n)+")
    return [out for out in outputs if not line.fullmatch(out.get("text", ""))]


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Leave out nbval's own notes, hundreds of lines beside what failed."""
    report.sections = [
        (title, re.sub(r"unhandled iopub msg: .*\n", "", text))
        for title, text in report.sections
    ]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Leave out notebooks that are not the book's: copies, drafts, files of macOS."""
    if collection_path.suffix != ".ipynb":
        return None
    from d2lutil.pages import sections

    book = {sections.path(name) for name in sections.notebook_names()}
    return True if collection_path not in book else None
