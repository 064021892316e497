"""Protects: every figure can be read wherever it is shown.

In light and dark theme (its background is opaque), without the fonts it was drawn
with, in a narrow window, and by those who hear it instead.
"""

import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from tests.book.reading import FIGURES, IMAGE, PATHS, name_of, prose, read

SVG = "{http://www.w3.org/2000/svg}"
# The column of text in JupyterLab, with its side panel, in a window 1024 pixels wide.
COLUMN_WIDTH = 600
SMALLEST_TEXT = 9
GENERIC_FONTS = {"sans-serif", "serif", "monospace"}


@pytest.fixture(params=FIGURES, ids=name_of)
def path(request: pytest.FixtureRequest) -> Path:
    return request.param


@pytest.fixture
def svg(path: Path) -> ET.Element:
    return ET.parse(path).getroot()


def declarations(svg: ET.Element, name: str) -> list[str]:
    """Return all values of a property: in the style sheet, styles and attributes."""
    css = [svg.findtext(f"{SVG}style", "")] + [e.get("style", "") for e in svg.iter()]
    in_css = re.findall(rf"(?<![\w-]){name}\s*:\s*([^;}}]+)", "\n".join(css))
    return in_css + [e.get(name) for e in svg.iter() if e.get(name)]


def test_figure_is_svg_of_the_size_of_its_page(svg):
    assert svg.tag == f"{SVG}svg"
    assert svg.get("viewBox") == f"0 0 {svg.get('width')} {svg.get('height')}"


def test_figure_needs_nothing_from_elsewhere(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"<(script|image|foreignObject)\b|@import|url\((?!#)", text)


def test_background_is_opaque(svg):
    page = next(
        e for e in svg if e.tag not in {SVG + n for n in ("title", "style", "defs")}
    )
    assert page.tag == f"{SVG}rect"
    assert (page.get("x"), page.get("y")) == ("0", "0")
    for side in ("width", "height"):
        assert page.get(side) == svg.get(side)
    style = svg.findtext(f"{SVG}style")
    assert re.search(
        rf"\.{page.get('class')} {{ fill: #[0-9a-f]{{6}}; stroke: none; }}", style
    )


def test_text_is_large_enough(svg):
    sizes = declarations(svg, "font-size")
    assert sizes and all(re.fullmatch(r"[\d.]+px", size) for size in sizes)
    # Sizes are those declared, unless a transformation changes them.
    assert not [e for e in svg.iter() if "scale" in e.get("transform", "")]
    shown = min(1, COLUMN_WIDTH / float(svg.get("width")))
    assert min(float(size[:-2]) for size in sizes) * shown >= SMALLEST_TEXT


def test_fonts_have_a_fallback(svg):
    families = declarations(svg, "font-family")
    assert families
    for family in families:
        assert family.split(",")[-1].strip() in GENERIC_FONTS


def test_figure_has_a_title(svg):
    assert svg.get("role") == "img"
    assert svg.findtext(f"{SVG}title").strip()


def test_every_figure_is_shown():
    shown = {
        (path.parent / target).resolve()
        for path in PATHS
        for _, target in IMAGE.findall(prose(read(path)))
    }
    assert shown >= set(FIGURES)
