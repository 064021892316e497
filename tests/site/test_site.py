"""Protects: the reading edition that `make html` built is whole, and works offline.

That is: a page for every notebook, the notebook to download, links that lead somewhere,
nothing loaded from another host.  And in Chromium, from a folder: every page is legible
at four widths, in light and dark, with a keyboard and a screen reader; search finds.
"""

import itertools
import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from selenium import webdriver

from d2lutil.pages import sections
from tests.site.chromium import barriers, faults_of_look, resize

ROOT = Path(__file__).parents[2]
SITE = ROOT / "_build" / "html"
NAMES = sections.notebook_names()
PAGES = [*NAMES, "how-to-run", "search"]

WIDTHS = [1440, 1200, 900, 360]


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


def test_repository_is_linked_where_the_project_has_one():
    with (ROOT / "pyproject.toml").open("rb") as file:
        urls = tomllib.load(file)["project"].get("urls", {})
    page = (SITE / "index.html").read_text(encoding="utf-8")
    icons = re.findall(r'<a href="([^"]+)" title="代码仓库"', page)
    assert icons == ([urls["repository"]] if "repository" in urls else [])


def test_how_to_run_tells_the_story_of_the_readme():
    page = (ROOT / "editions/html/how-to-run.md").read_text(encoding="utf-8")
    readme = (ROOT / "README.zh-CN.md").read_text(encoding="utf-8")
    commands = re.findall(r"(?:^|`)(make [^`\n]+)", page, re.MULTILINE)
    assert len(commands) > 2
    assert not [command for command in commands if command not in readme]


def test_only_how_to_run_tells_how_to_run_a_cell():
    pages = {name: (SITE / f"{name}.html").read_text() for name in PAGES}
    texts = {n: re.sub("<script.*?</script>", "", pages[n], flags=re.S) for n in PAGES}
    assert [name for name in PAGES if "Shift" in texts[name]] == ["how-to-run"]


# ------------------------------------------------------------------- in the browser


def visit(browser: webdriver.Chrome, address: str) -> None:
    """Open a page from the folder of the site; wait until its formulas are drawn."""
    browser.get(f"{SITE.as_uri()}/{address}")
    browser.execute_async_script(
        "const done = arguments[0];"
        "document.head.append(Object.assign(document.createElement('style'),"
        " {textContent: '* {transition: none !important}'}));"  # colours at once
        "Promise.resolve(window.MathJax?.startup.promise).then(() => done());"
    )


@pytest.fixture(scope="module", params=PAGES)
def page(browser: webdriver.Chrome, request: pytest.FixtureRequest) -> str:
    """The name of the page that the browser shows."""
    browser.get_log("browser")
    resize(browser, WIDTHS[0])
    visit(browser, f"{request.param}.html")
    return request.param


def all_of(browser: webdriver.Chrome, expression: str) -> list[Any]:
    """Return what an expression makes of each element of `$(selector)`."""
    return browser.execute_script(
        "const $ = (selector) => [...document.querySelectorAll(selector)];"
        f"return {expression}"
    )


def test_no_script_complains(browser: webdriver.Chrome, page: str):
    entries = browser.get_log("browser")
    assert not [entry for entry in entries if entry["level"] in {"SEVERE", "WARNING"}]


def test_formulas_are_drawn(browser: webdriver.Chrome, page: str):
    formulas = all_of(browser, "$('.math.notranslate').length")
    assert bool(formulas) == (page in NAMES and "$" in prose(page))
    assert formulas == all_of(browser, "$('mjx-container').length")
    # An error is a node of its own; an unknown command is drawn in red.
    assert not all_of(browser, "$('[data-mml-node=merror], [fill=red]').length")


def test_page_says_what_it_is(browser: webdriver.Chrome, page: str):
    assert all_of(browser, "document.documentElement.lang") == "zh-CN"
    assert "Author name not set" not in all_of(browser, "document.body.textContent")

    levels = all_of(
        browser, "$('#main-content :is(h1, h2, h3)').map((h) => +h.tagName[1])"
    )
    levels = levels[levels.index(1, 1) :] if levels.count(1) > 1 else levels
    assert levels[0] == 1 and 1 not in levels[1:]
    steps = itertools.pairwise(levels)
    assert all(below <= level + 1 for level, below in steps)

    alts = all_of(browser, "$('img').map((picture) => picture.alt)")
    assert not [alt for alt in alts if not re.search("[一-鿿]", alt)]


def test_numbers_are_those_of_the_files(browser: webdriver.Chrome, page: str):
    title = all_of(browser, "document.title")
    number = re.fullmatch(r"(?:solutions/)?0?(a?\d+)-.*", page)
    expected = f"{number[1].upper()}. " if number else ""
    assert re.match(r"(A?\d+\. )?", title)[0] == expected


def test_side_bar_has_the_sections_before_their_solutions(
    browser: webdriver.Chrome, page: str
):
    links = all_of(browser, "$('.bd-sidebar-primary nav a').map((a) => a.href)")
    names = [link.removeprefix(f"{SITE.as_uri()}/") for link in links]
    expected = [f"{name}.html" for name in ["how-to-run", *NAMES[1:]]]
    current = f"{page}.html"
    assert [current if name.endswith("#") else name for name in names] == expected


def test_added_cells_are_marked(browser: webdriver.Chrome, page: str):
    cells = sections.code_cells(sections.read(page)) if page in NAMES else []
    marks = all_of(browser, "$('.cell').map((c) => !!c.querySelector('.added-mark'))")
    assert marks == [sections.is_added(cell) for cell in cells]
    seen = "(m) => m.title && m.textContent && m.getBoundingClientRect().width > 2"
    assert all(all_of(browser, f"$('.added-mark').map({seen})"))


def test_interactive_figures_are_live(browser: webdriver.Chrome, page: str):
    cells = sections.code_cells(sections.read(page)) if page in NAMES else []
    figures = "$('.d2lutil-explorable').map((el) => !!el.querySelector('svg'))"
    assert all_of(browser, figures) == [True] * sum(map(sections.is_figure, cells))

    # In the dark theme, other outputs stand on a light ground.
    all_of(browser, "document.documentElement.dataset.theme = 'dark'")
    outputs = "$('.output:has(.d2lutil-explorable)')"
    colors = all_of(browser, f"{outputs}.map((o) => getComputedStyle(o).background)")
    all_of(browser, "document.documentElement.dataset.theme = 'light'")
    assert all(color.startswith("rgba(0, 0, 0, 0)") for color in colors)


def test_outputs_are_folded_where_a_reader_predicts(
    browser: webdriver.Chrome, page: str
):
    cells = sections.code_cells(sections.read(page)) if page in NAMES else []
    folded = "(cell) => !!cell.querySelector('details:not([open])')"
    predicted = [sections.is_predicted(cell) for cell in cells]
    assert all_of(browser, f"$('.cell').map({folded})") == predicted


def test_figures_have_captions_that_look_like_it(browser: webdriver.Chrome, page: str):
    captions = all_of(browser, "$('.book-caption strong').map((s) => s.textContent)")
    labels = (
        re.findall(r"^\*\*(图 \w+\.\d+)\*\*", prose(page), re.M)
        if page in NAMES
        else []
    )
    assert captions == labels


@pytest.mark.parametrize("width", WIDTHS)
def test_page_is_legible(browser: webdriver.Chrome, page: str, width: int):
    resize(browser, width)
    assert faults_of_look(browser) == []


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_nothing_bars_a_reader(browser: webdriver.Chrome, page: str, mode: str):
    rules = ["color-contrast"] if mode == "dark" else []
    assert barriers(browser, mode, rules) == []


# --------------------------------------------------------------------------- search


def search(browser: webdriver.Chrome, query: str) -> list[str]:
    """Return the names of the pages that a search finds, the best first."""
    visit(browser, f"search.html?q={quote(query)}")
    links = all_of(browser, "$('#search-results > li > a').map((a) => a.pathname)")
    return [unquote(link).removeprefix(f"{SITE}/")[: -len(".html")] for link in links]


@pytest.mark.parametrize(
    "query", ["池化层", "全局平均池化层", "步幅", "NiN", "train_ch5"]
)
def test_search_finds_every_page_with_the_words(browser: webdriver.Chrome, query: str):
    words = rf"\b{query}\b" if query.isascii() else query
    found = set(search(browser, query))
    assert found >= {name for name in NAMES if re.search(words, prose(name))}
    assert found < set(PAGES)


@pytest.mark.parametrize(
    ("query", "first"),
    [
        ("残差", "11-resnet"),
        ("1×1", "03-channels"),
        ("1x1", "03-channels"),
        ("train_ch5", "05-lenet"),
        ("丢弃法", "a1-dropout"),
    ],
)
def test_search_shows_the_best_page_first_and_what_it_says(
    browser: webdriver.Chrome, query: str, first: str
):
    assert search(browser, query)[0] == first
    marked = all_of(browser, "$('#search-results mark').map((m) => m.textContent)")
    assert {mark.replace("×", "x") for mark in marked} == {query.replace("×", "x")}


def test_search_finds_pages_that_have_all_words(browser: webdriver.Chrome):
    both = search(browser, "残差 稠密块")
    assert set(both) == set(search(browser, "残差")) & set(search(browser, "稠密块"))
    assert both


@pytest.mark.parametrize("query", ["(没有这个词", "+", "\\"])
def test_search_says_when_there_is_nothing(browser: webdriver.Chrome, query: str):
    search(browser, query)
    assert query in all_of(browser, "$('#search-status')[0].textContent")


def test_results_lead_to_the_place(browser: webdriver.Chrome):
    search(browser, "全局平均池化层")
    links = all_of(
        browser, "$('#search-results p > a').map((a) => a.getAttribute('href'))"
    )
    assert links
    for link in links:
        name, _, fragment = unquote(link).partition(".html#")
        assert fragment in Page(name).ids
