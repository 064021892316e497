"""Protects: an interactive figure is named, stored and put into pages as it should."""

import base64
import json
import re

import pytest

import d2lutil as gb
from d2lutil.pages import explorable

FIGURES = explorable.figures()
PNG = b"\x89PNG\r\n\x1a\n"


def test_there_are_ten_figures_with_states():
    assert len(FIGURES) == 10
    assert all(explorable.states(figure) for figure in FIGURES)


def test_notebook_stores_name_state_and_picture():
    bundle = gb.explorable("convolution", "signs")._repr_mimebundle_()
    assert bundle.keys() == {explorable.MIME, "image/png", "text/plain"}
    assert bundle[explorable.MIME] == {"figure": "convolution", "state": "signs"}
    assert base64.b64decode(bundle["image/png"]).startswith(PNG)
    assert bundle["text/plain"] == "Explorable('convolution', 'signs')"


@pytest.mark.parametrize("figure", ["", "parts", "jupyterlab", "Convolution", "../x"])
def test_unknown_figure_is_refused(figure):
    with pytest.raises(ValueError, match=r"no figure .* choose one of batch-norm, "):
        gb.explorable(figure, "signs")


@pytest.mark.parametrize("state", ["", "sign", "signs.png"])
def test_unknown_state_is_refused(state):
    with pytest.raises(
        ValueError, match=r"has no state .* choose one of signs, strided"
    ):
        gb.explorable("convolution", state)


def test_page_has_each_script_once_and_the_data_of_its_figures():
    shown = [("convolution", "signs"), ("curves", "lenet"), ("convolution", "strided")]
    scripts = explorable.scripts(shown)
    for name in ("convolution", "curves"):
        assert scripts.count(f"window.d2lutil.figures['{name}'] =") == 1
        assert scripts.count(f"window.d2lutil.data['{name}'] =") == 1
    assert "figures['pooling']" not in scripts


# What would read text as markup or as a program, and what asks for something.
MARKUP = (
    r"^import\b|innerHTML|outerHTML|insertAdjacentHTML|createContextualFragment|srcdoc|"
    r"DOMParser|document\.write|eval\(|new Function"
)
REQUEST = r"fetch\(|import\(|XMLHttpRequest|WebSocket|https?://(?!www\.w3\.org/)"


@pytest.mark.parametrize("path", sorted(explorable.FOLDER.glob("*.js")), ids=str)
def test_module_asks_for_nothing_and_puts_no_text_into_html(path):
    source = path.read_text(encoding="utf-8")
    assert not re.findall(MARKUP, source, re.MULTILINE)
    if path.stem != "jupyterlab":
        assert not re.findall(REQUEST, source)


@pytest.mark.parametrize(
    ("pattern", "source"),
    [
        ("MARKUP", "el.innerHTML = text;"),
        ("MARKUP", "document.write(text)"),
        ("MARKUP", 'import parts from "./parts.js";'),
        ("MARKUP", "new Function(text)()"),
        ("REQUEST", 'fetch("data.json")'),
        ("REQUEST", 'image.src = "https://example.org/x.png";'),
    ],
)
def test_request_or_markup_would_be_found(pattern, source):
    assert re.findall(globals()[pattern], source, re.MULTILINE)


# What a module may have, in lines. Those of the two that compute networks and show
# trained ones are longer.
MOST_LINES = {"shapes": 370, "features": 350}


@pytest.mark.parametrize("name", FIGURES)
def test_module_can_be_read_at_once(name):
    lines = (explorable.FOLDER / f"{name}.js").read_text(encoding="utf-8").splitlines()
    assert len(lines) <= MOST_LINES.get(name, 275)


def test_stored_output_is_recognised():
    bundle = gb.explorable("dense", "book")._repr_mimebundle_()
    assert explorable.of_output({"data": bundle}) == ("dense", "book")
    stored = {explorable.MIME: [json.dumps(bundle[explorable.MIME])]}
    assert explorable.of_output({"data": stored}) == ("dense", "book")
    assert explorable.of_output({"data": {"text/plain": "1"}}) is None
    for unknown in ({"figure": "dense", "state": "old"}, {"figure": "../x"}, {}):
        assert explorable.of_output({"data": {explorable.MIME: unknown}}) is None
    assert explorable.of_output({"text": "1"}) is None
