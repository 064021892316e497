"""Protects: the reading edition that `make html` built is whole, and works offline.

That is: a page for every notebook, the notebook to download, links that lead somewhere,
nothing loaded from another host; and in a browser, formulas and search.
"""

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pytest

from d2lutil.pages import sections

SITE = Path(__file__).parents[2] / "_build" / "html"
NAMES = sections.notebook_names()
PAGES = [*NAMES, "search"]
BROWSER = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(BROWSER is None, reason="Chromium is not installed")


class Page(HTMLParser):
    """The targets of links, the addresses of what is loaded, and the ids of a page."""

    def __init__(self, name: str):
        super().__init__()
        self.links, self.loaded, self.ids = [], [], set()
        self.feed((SITE / f"{name}.html").read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.ids.add(attributes.get("id"))
        if tag == "a":
            self.links.append(attributes.get("href", ""))
        else:
            names = {"href", "src", "srcset", "data", "poster", "action"} & {
                *attributes
            }
            self.loaded += [attributes[name] for name in names]


def is_local(address: str) -> bool:
    return not re.match(r"(?:https?:)?//", address)


def browse(address: str) -> str:
    """Return the page as it is once the browser has run its scripts."""
    options = ["--headless", "--no-sandbox", "--disable-gpu"]
    options += ["--virtual-time-budget=20000", "--dump-dom"]
    return subprocess.run(
        [BROWSER, *options, f"{SITE.as_uri()}/{address}"],
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    ).stdout


def search(query: str) -> set[str]:
    """Return the names of the pages that a search finds."""
    page = browse(f"search.html?q={quote(query)}")
    results = page.partition('id="search-results"')[2]
    return set(re.findall(r'href="([^"#]+)\.html', results))


def prose(name: str) -> str:
    cells = sections.read(name)["cells"]
    return "\n".join(
        sections.source(cell) for cell in cells if cell["cell_type"] == "markdown"
    )


def test_every_notebook_has_a_page_and_no_page_is_left_over():
    pages = {page.relative_to(SITE) for page in SITE.rglob("*.html")}
    names = {str(page.with_suffix("")) for page in pages if page.parts[0] != "_static"}
    assert names == set(PAGES)


@pytest.mark.parametrize("name", NAMES)
def test_the_notebook_can_be_downloaded(name):
    source = f"_sources/{name}.ipynb"
    assert any(link.endswith(source) for link in Page(name).links)
    assert (SITE / source).read_bytes() == sections.path(name).read_bytes()


@pytest.mark.parametrize("name", PAGES)
def test_nothing_is_loaded_from_another_host(name):
    page = Page(name)
    assert page.loaded
    assert not [address for address in page.loaded if not is_local(address)]


def test_no_style_sheet_loads_from_another_host():
    sheets = list(SITE.rglob("*.css"))
    remote = re.compile(r"(?:url\(|@import)\s*[\"']?\s*(?:https?:)?//")
    assert sheets
    assert not [s for s in sheets if remote.search(s.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_to_pages_and_headings(name):
    missing = []
    for link in filter(is_local, Page(name).links):
        path, fragment = urlsplit(link).path, unquote(urlsplit(link).fragment)
        target = (SITE / name).parent / path if path else SITE / f"{name}.html"
        to = target.resolve().relative_to(SITE).with_suffix("")
        if not target.exists() or (fragment and fragment not in Page(str(to)).ids):
            missing.append(link)
    assert not missing


@needs_browser
@pytest.mark.parametrize("name", NAMES)
def test_formulas_are_drawn(name):
    page = browse(f"{name}.html")
    formulas = re.findall(r'class="math notranslate', page)
    assert bool(formulas) == ("$" in prose(name))
    assert len(formulas) == page.count("<mjx-container")
    # An error is a node of its own; an unknown command is drawn in red.
    assert '<g data-mml-node="merror"' not in page
    assert 'fill="red"' not in page


@needs_browser
@pytest.mark.parametrize("query", ["池化层", "全局平均池化层", "步幅", "NiN"])
def test_search_finds_every_page_with_the_words(query):
    words = rf"\b{query}\b" if query.isascii() else query
    found = search(query)
    assert found >= {name for name in NAMES if re.search(words, prose(name))}
    assert found < set(NAMES)
