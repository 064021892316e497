"""Protects: Chinese text is drawn where a font has it; nothing else looks different."""

import io
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import matplotlib
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import _text_helpers, font_manager
from matplotlib.figure import Figure

from d2lutil.engine import fonts


def make_font(file: Path, family: str) -> Path:
    """Make a font that has the characters 中 and 文, as squares."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for point in ((0, 900), (900, 900), (900, 0)):
        pen.lineTo(point)
    pen.closePath()
    square = pen.glyph()

    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "square"])
    builder.setupCharacterMap({ord("中"): "square", ord("文"): "square"})
    builder.setupGlyf({".notdef": square, "square": square})
    builder.setupHorizontalMetrics({".notdef": (1000, 0), "square": (1000, 0)})
    builder.setupHorizontalHeader(ascent=900, descent=-100)
    builder.setupNameTable({"familyName": family, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    file.parent.mkdir(parents=True, exist_ok=True)
    builder.save(file)
    return file


@pytest.fixture(autouse=True)
def plain_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine that has only the fonts of Matplotlib itself."""
    manager = font_manager.fontManager
    own = [f for f in manager.ttflist if "mpl-data" in f.fname]
    monkeypatch.setattr(manager, "ttflist", own)
    monkeypatch.setattr(font_manager, "findSystemFonts", list)
    monkeypatch.setattr(
        _text_helpers, "warn_on_missing_glyph", _text_helpers.warn_on_missing_glyph
    )
    monkeypatch.setitem(matplotlib.rcParams, "font.family", ["sans-serif"])
    yield
    manager._findfont_cached.cache_clear()


def draw(text: str) -> bytes:
    """Draw a figure that says something; a warning is an error."""
    figure, png = Figure(figsize=(2, 1)), io.BytesIO()
    figure.text(0.1, 0.5, text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure.savefig(png, metadata={"Software": None})
    return png.getvalue()


def test_text_that_has_no_glyph_is_a_warning_without_us():
    with pytest.raises(UserWarning, match="Glyph 20013"):
        draw("中文")


def test_font_that_is_newer_than_matplotlibs_cache_is_found(monkeypatch, tmp_path):
    file = make_font(tmp_path / "new.ttf", "WenQuanYi Zen Hei")
    broken = tmp_path / "broken.ttf"
    broken.write_text("no font")
    files = [str(broken), str(file)]
    monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
    fonts.add_chinese_font()
    assert matplotlib.rcParams["font.family"] == ["sans-serif", "WenQuanYi Zen Hei"]
    assert draw("中文") != draw("文")


def test_best_of_several_fonts_is_added_once(tmp_path):
    for family in ("SimHei", "Noto Sans CJK JP", "No Such Font"):
        file = make_font(tmp_path / f"{family}.ttf", family)
        font_manager.fontManager.addfont(file)
    fonts.add_chinese_font()
    fonts.add_chinese_font()
    assert matplotlib.rcParams["font.family"] == ["sans-serif", "Noto Sans CJK JP"]


def test_pictures_with_other_text_are_the_same(tmp_path):
    text = "loss, $x^2$, 1×1, µ"
    without = draw(text)
    font_manager.fontManager.addfont(make_font(tmp_path / "font.ttf", "SimHei"))
    fonts.add_chinese_font()
    assert len(matplotlib.rcParams["font.family"]) == 2
    assert draw(text) == without


def test_missing_font_is_one_line(capsys):
    fonts.add_chinese_font()
    draw("English")
    assert capsys.readouterr().err == ""
    draw("中文")
    draw("迭代周期")
    assert capsys.readouterr().err == f"{fonts.NO_FONT}\n"


def test_other_missing_glyph_is_matplotlibs_warning():
    fonts.add_chinese_font()
    with pytest.raises(UserWarning, match="Glyph 4352"):
        draw("\u1100")


@pytest.mark.parametrize(
    "imports",
    [
        "import d2lutil; from matplotlib import pyplot as plt",
        "from matplotlib import pyplot as plt; import d2lutil",
        "import matplotlib, d2lutil; plt = d2lutil.plt",
    ],
)
def test_font_is_there_in_whatever_order_things_are_imported(imports, tmp_path):
    make_font(tmp_path / "fonts" / "font.ttf", "SimHei")
    code = (
        "; plt.title('中文'); plt.savefig('/dev/null')"
        "; print(*plt.rcParams['font.family'])"
    )
    run = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", imports + code],
        env=os.environ | {"XDG_DATA_HOME": str(tmp_path), "MPLBACKEND": "agg"},
        capture_output=True,
        text=True,
    )
    assert (run.returncode, run.stderr) == (0, "")
    own, added = run.stdout.strip().split(maxsplit=1)
    assert own == "sans-serif"
    assert added in fonts.FAMILIES
