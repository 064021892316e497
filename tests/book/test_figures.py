"""Protects: every figure is the one that was looked at, and can be read wherever shown.

In light and dark theme (its background is opaque), without the fonts it was drawn
with, in a narrow window, and by those who hear it instead.
"""

import hashlib
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from d2lutil.pages import sections
from tests.book.reading import FIGURES, IMAGE, name_of, prose, read

SVG = "{http://www.w3.org/2000/svg}"
SHAPES = {"rect", "circle", "line", "polyline", "polygon", "path", "text"}
ELEMENTS = {"svg", "title", "style", "defs", "marker", *SHAPES}
# The column of text in JupyterLab, with its side panel, in a window 1024 pixels wide.
COLUMN_WIDTH = 600
SMALLEST_TEXT = 9
GENERIC_FONTS = {"sans-serif", "serif", "monospace"}

CHECKSUMS = Path(__file__).with_name("figures.sha256")
LOOK_AT_IT = (
    "if that is meant, look at the figure, then: "
    f"cd notebooks/img && sha256sum *.svg > ../../tests/book/{CHECKSUMS.name}"
)

# The figures of each notebook, in the order in which it shows them.
SHOWN = {
    "index": ["family"],
    "01-conv-layer": ["correlation", "receptive-field"],
    "02-padding-and-strides": ["padding-strides"],
    "03-channels": ["channels", "conv-1x1"],
    "04-pooling": ["pooling"],
    "05-lenet": ["lenet"],
    "06-alexnet": ["alexnet-features", "alexnet"],
    "07-vgg": ["vgg-stack", "vgg"],
    "08-nin": ["nin", "nin-block"],
    "09-googlenet": ["inception", "googlenet"],
    "10-batch-norm": ["batch-norm", "batch-norm-modes"],
    "11-resnet": ["residual-mapping", "residual-block", "resnet18"],
    "12-densenet": ["densenet", "dense-block"],
    "13-comparison": ["networks"],
    "14-performance": ["nin-graph", "execution"],
    "a1-dropout": ["dropout"],
    "a2-image-augmentation": ["augmentation"],
}


@pytest.fixture(params=FIGURES, ids=name_of)
def svg(request: pytest.FixtureRequest) -> ET.Element:
    return ET.parse(request.param).getroot()


def declarations(svg: ET.Element, name: str) -> list[str]:
    """Return all values of a property: in the style sheet, styles and attributes."""
    css = [svg.findtext(f"{SVG}style", "")] + [e.get("style", "") for e in svg.iter()]
    in_css = re.findall(rf"(?<![\w-]){name}\s*:\s*([^;}}]+)", "\n".join(css))
    return in_css + [e.get(name) for e in svg.iter() if e.get(name)]


# Which figures there are.


def test_figures_are_those_that_were_looked_at():
    # No test sees a wrong number or arrow: a person looks, and signs with a checksum.
    lines = CHECKSUMS.read_text(encoding="utf-8").splitlines()
    signed = {name: digest for digest, name in (line.split("  ") for line in lines)}
    there = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in FIGURES
    }
    changed = {name for name, _ in there.items() ^ signed.items()}
    assert not changed, LOOK_AT_IT


def test_figures_are_shown_where_they_belong():
    shown = {}
    for name in sections.notebook_names():
        markdown = prose(read(sections.path(name)))
        if images := [target for _, target in IMAGE.findall(markdown)]:
            shown[name] = images
    expected = {name: [f"img/{f}.svg" for f in names] for name, names in SHOWN.items()}
    assert shown == expected, "SHOWN in this file lists the figures of each notebook"
    assert {f"img/{path.name}" for path in FIGURES} == set().union(*shown.values())


# How a figure is drawn.


def test_figure_is_svg_of_the_size_of_its_page(svg):
    assert svg.tag == f"{SVG}svg"
    assert svg.get("viewBox") == f"0 0 {svg.get('width')} {svg.get('height')}"


def test_figure_is_drawn_with_shapes_and_text_only(svg):
    # No script, no animation, no picture or page from elsewhere.
    assert {element.tag.removeprefix(SVG) for element in svg.iter()} <= ELEMENTS
    names = {name for element in svg.iter() for name in element.attrib}
    assert not [name for name in names if re.search(r"^on|href", name)]


def test_figure_needs_nothing_from_elsewhere(svg):
    assert not re.search(r"@import|url\((?!#)", ET.tostring(svg, encoding="unicode"))


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


# Each rule finds what it looks for.

GOOD = """
<svg xmlns="http://www.w3.org/2000/svg" width="900" height="90" viewBox="0 0 900 90"
     role="img">
  <title>一个点</title>
  <style>
    text { font-family: "Noto Sans CJK SC", sans-serif; font-size: 14px; }
    .page { fill: #ffffff; stroke: none; }
  </style>
  <rect class="page" x="0" y="0" width="900" height="90"/>
  <circle cx="45" cy="45" r="5"/>
  <text x="60" y="45">点</text>
</svg>
"""

BAD = [
    (test_figure_is_svg_of_the_size_of_its_page, "0 0 900 90", "0 0 900 45"),
    (test_figure_is_drawn_with_shapes_and_text_only, "<circle", "<script/><circle"),
    (
        test_figure_is_drawn_with_shapes_and_text_only,
        "<circle",
        '<image y="0"/><circle',
    ),
    (
        test_figure_is_drawn_with_shapes_and_text_only,
        "<circle",
        '<s:script xmlns:s="http://www.w3.org/2000/svg"/><circle',
    ),
    (test_figure_is_drawn_with_shapes_and_text_only, "cx=", 'onclick="alert()" cx='),
    (test_figure_needs_nothing_from_elsewhere, "text {", "@import 'x.css'; text {"),
    (test_figure_needs_nothing_from_elsewhere, "#ffffff", "url(https://x.org/p.svg)"),
    (test_background_is_opaque, '<rect class="page" x="0"', '<rect class="page" x="9"'),
    (test_background_is_opaque, 'y="0" width="900"', 'y="0" width="800"'),
    (test_background_is_opaque, "fill: #ffffff", "fill: none"),
    (test_background_is_opaque, "rect", "circle"),
    (test_text_is_large_enough, "14px", "13px"),
    (test_text_is_large_enough, "<text x", '<text font-size="9px" x'),
    (test_text_is_large_enough, "<text x", '<text style="font-size: 9px" x'),
    (test_text_is_large_enough, "<text x", '<text transform="scale(0.5)" x'),
    (test_text_is_large_enough, "14px", "14"),
    (test_fonts_have_a_fallback, ", sans-serif", ""),
    (test_figure_has_a_title, "一个点", " "),
    (test_figure_has_a_title, 'role="img"', ""),
]


@pytest.mark.parametrize("rule, old, new", BAD)
def test_rule_finds_a_bad_figure(rule, old, new):
    rule(ET.fromstring(GOOD))
    with pytest.raises(AssertionError):
        rule(ET.fromstring(GOOD.replace(old, new)))
