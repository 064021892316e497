"""Protects: READMEs and index lead to what exists, and state what was recorded.

Their tables list every section, with the accuracy of its stored trainings.
"""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import d2lutil as gb
from d2lutil.pages import sections
from tests.book.reading import ROOT, name_of, read

CHINESE = ROOT / "README.zh-CN.md"
READMES = [ROOT / "README.md", CHINESE]
OTHER_PAGES = [
    ROOT / "CONTRIBUTING.md",
    ROOT / "CHANGELOG.md",
    *ROOT.glob("*/README.md"),
]
TARGET = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
# | [05 LeNet](notebooks/05-lenet.ipynb) | what one learns | minutes | lesson | full |
ROW = re.compile(
    r"^\| \[(\w+) ([^\]]+)\]\(notebooks/([\w-]+)\.ipynb\) \|[^|]+\| [^|]+ "
    r"\| ([^|]+) \| ([^|]+) \|$",
    re.MULTILINE,
)


@pytest.fixture(params=READMES, ids=name_of)
def text(request: pytest.FixtureRequest) -> str:
    return request.param.read_text(encoding="utf-8")


def dead_links(text: str, folder: Path = ROOT) -> list[str]:
    """Return the links to files that do not exist."""
    local = [t for t in TARGET.findall(text) if not re.match(r"https?://", t)]
    return [target for target in local if not (folder / target).exists()]


def misnamed(text: str) -> Iterator[str]:
    """Yield each row whose number or name is not that of its notebook.

    A name in English, such as Pooling, is no part of the title; one of a network is.
    """
    for number, title, name, *_ in ROW.findall(text):
        whole = read(sections.path(name)).cells[0].source.splitlines()[0]
        is_english = title.isascii() and "（" not in whole
        is_named = title in re.split("[ （）]", whole) or is_english
        if number.lower() != name.partition("-")[0] or not is_named:
            yield f"{number} {title}, which leads to {name}"


def recorded_accuracy(name: str, scale: str) -> float | None:
    try:
        return gb.recorded_history(name, scale).test_acc[-1]
    except ValueError:  # No such training is stored.
        return None


def wrong_accuracies(text: str) -> Iterator[str]:
    """Yield each accuracy that is not the recorded one, to two digits."""
    for _, title, name, *columns in ROW.findall(text):
        for scale, stated in zip(["lesson", "full"], columns, strict=True):
            recorded = recorded_accuracy(name, scale)
            if recorded is None:
                continue
            if not re.fullmatch(r"0\.\d\d", stated):
                yield f"{title}: {stated}, without two digits"
            elif abs(float(stated) - recorded) > 0.005 + 1e-9:
                yield f"{title}: {stated}, recorded at scale {scale}: {recorded}"


def test_links_exist(text):
    assert not dead_links(text)


@pytest.mark.parametrize("page", OTHER_PAGES, ids=name_of)
def test_links_of_other_pages_exist(page):
    assert not dead_links(page.read_text(encoding="utf-8"), page.parent)


def columns(text: str, row: str) -> dict[str, list[str]]:
    """Return the columns after the title of each row, by the notebook it leads to."""
    rows = re.findall(rf"^{row}\(([\w/-]+)\.ipynb\) \| (.*) \|$", text, re.MULTILINE)
    return {name: columns.split(" | ") for name, columns in rows}


def test_index_says_of_each_section_what_the_readme_says():
    readme = CHINESE.read_text(encoding="utf-8").replace("](notebooks/", "](")
    index = read(sections.path("index")).cells[0].source
    stated = columns(index, r"\| \w+ \| \[[^\]]+\]")
    assert list(stated) == sections.section_names()
    assert stated == columns(readme, r"\| \[[^\]]+\]")


def test_version_is_the_same_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = re.search(r"^version: (.+)$", (ROOT / "CITATION.cff").read_text(), re.M)[1]
    changed = re.search(r"^## (\d\S*)", (ROOT / "CHANGELOG.md").read_text(), re.M)[1]
    assert project == cited == changed


def test_table_lists_the_sections_in_order(text):
    assert [row[2] for row in ROW.findall(text)] == sections.section_names()
    assert not list(misnamed(text))


def test_accuracies_are_the_recorded_ones(text):
    assert not list(wrong_accuracies(text))


def row(title: str, name: str, lesson: float, full: float, form: str = ".2f") -> str:
    accuracies = f"{lesson:{form}} | {full:{form}}"
    return f"| [{title}](notebooks/{name}.ipynb) | … | 1 | {accuracies} |\n"


def test_good_rows_pass():
    lesson, full = (recorded_accuracy("08-nin", scale) for scale in ("lesson", "full"))
    text = row("08 NiN", "08-nin", lesson, full)
    assert len(ROW.findall(text)) == 1
    assert not [*dead_links(text), *misnamed(text), *wrong_accuracies(text)]


def test_bad_rows_are_found():
    lesson, full = (recorded_accuracy("08-nin", scale) for scale in ("lesson", "full"))
    assert list(wrong_accuracies(row("08 NiN", "08-nin", lesson + 0.01, full)))
    assert list(wrong_accuracies(row("08 NiN", "08-nin", lesson, full - 0.01)))
    assert list(wrong_accuracies(row("08 NiN", "08-nin", lesson, full, ".1f")))
    assert list(misnamed(row("09 NiN", "08-nin", lesson, full)))
    assert list(misnamed(row("08 VGG", "08-nin", lesson, full)))
    assert list(misnamed(row("08 池化层", "08-nin", lesson, full)))
    assert dead_links(row("08 NiN", "08-net", lesson, full))
