"""Protects: what `make lab` shows a reader who has just cloned the book.

Chromium opens every section in JupyterLab, in Chinese, and runs one section of each
kind to the end.  The book is a copy and the home folder is new: nothing is trusted,
installed or set up, and nothing of the reader's is changed.
"""

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from nbformat import NotebookNode
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and CHROMEDRIVER), reason="chromium and chromedriver are not there"
)

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
OPENING, RUNNING = 60, 180  # The most seconds that each may take.
CHROMIUM_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--window-size=1400,1000",
]
CELLS = ".jp-NotebookPanel .jp-Notebook .jp-Cell"
# As tqdm writes it: 40%|████      | 2/5 [00:03<00:04,  1.5s/batch, loss=2.3]
TIME_LEFT = re.compile(r"\d+%.*\[\d\d:\d\d<\d\d:\d\d")
# Notes the progress bars that cells show, each for a moment only.
WATCH_PROGRESS = """
window.progress = [];
new MutationObserver(() => {
  for (const line of document.querySelectorAll('.jp-OutputArea pre'))
    if (line.textContent.includes('%|')) window.progress.push(line.textContent);
}).observe(document.body, {childList: true, subtree: true});
"""


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start JupyterLab as `make lab` does, on a copy of the book; give its address."""
    folder = tmp_path_factory.mktemp("book")
    for name in ("notebooks", "lab"):
        shutil.copytree(ROOT / name, folder / name)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = folder / "log"
    server = subprocess.Popen(
        [
            *(sys.executable, "-m", "jupyterlab", "--no-browser", f"--port={port}"),
            f"--config={folder / 'lab' / 'jupyter_lab_config.py'}",
            "--IdentityProvider.token=",
            "--LabApp.expose_app_in_browser=True",
        ],
        cwd=folder,
        env=os.environ
        | {"HOME": str(folder), "D2LUTIL_SCALE": "smoke", "OMP_NUM_THREADS": "1"},
        stderr=log.open("w"),
    )
    while "is running at" not in log.read_text():
        assert server.poll() is None, log.read_text()
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="module")
def browser(address: str) -> Iterator[webdriver.Chrome]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in CHROMIUM_ARGUMENTS:
        options.add_argument(argument)
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    driver.set_script_timeout(RUNNING)
    yield driver
    driver.quit()


def page(browser: webdriver.Chrome, script: str) -> object:
    """Return the value of a JavaScript expression; of a promise, what it comes to."""
    return browser.execute_script(f"return {script}")


def count(browser: webdriver.Chrome, selector: str) -> int:
    return page(browser, f"document.querySelectorAll({selector!r}).length")


def texts(browser: webdriver.Chrome, selector: str) -> list[str]:
    return page(
        browser, f"[...document.querySelectorAll({selector!r})].map(e => e.textContent)"
    )


def stored(name: str) -> NotebookNode:
    return nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4)


def open_notebook(browser: webdriver.Chrome, address: str, name: str) -> None:
    """Open a notebook in a fresh JupyterLab and wait until all of it is rendered."""
    browser.get(f"{address}/lab/tree/notebooks/{name}.ipynb?reset")
    wait_for_notebook(browser, name)


def wait_for_notebook(browser: webdriver.Chrome, name: str) -> None:
    num_cells = len(stored(name).cells)
    WebDriverWait(browser, OPENING).until(
        lambda _: (
            count(browser, CELLS) == num_cells
            and not count(browser, ".jp-MarkdownCell:not(.jp-mod-rendered)")
            and page(browser, "[...document.images].every(image => image.complete)")
            and "$" not in formulas_left(browser)
        ),
        f"{name}: not all of its {num_cells} cells are rendered",
    )


def formulas_left(browser: webdriver.Chrome) -> str:
    """Return the prose that is seen, without inline code; formulas become glyphs."""
    return page(
        browser,
        "[...document.querySelectorAll('.jp-RenderedMarkdown')].map(cell => {"
        "  const copy = cell.cloneNode(true);"
        "  copy.querySelectorAll('code').forEach(code => code.remove());"
        "  return copy.textContent;"
        "}).join('')",
    )


def assert_nothing_is_asked(browser: webdriver.Chrome) -> None:
    """Check that no dialog and no notification waits for an answer."""
    assert texts(browser, ".jp-Dialog, .Toastify__toast") == []


def test_book_opens_on_its_index_in_chinese(browser, address):
    browser.get(address)
    wait_for_notebook(browser, "index")
    assert texts(browser, ".lm-MenuBar-itemLabel")[:3] == ["文件", "编辑", "查看"]
    assert_nothing_is_asked(browser)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_opens(browser, address, name):
    open_notebook(browser, address, name)
    assert_nothing_is_asked(browser)
    assert page(browser, "[...document.images].every(image => image.naturalWidth)")
    outputs = [o for cell in stored(name).cells for o in cell.get("outputs", [])]
    num_plots = sum("image/png" in output.get("data", {}) for output in outputs)
    assert count(browser, ".jp-OutputArea img") == num_plots


def test_panel_shows_the_headings(browser, address):
    open_notebook(browser, address, "08-nin")
    page(browser, "jupyterapp.commands.execute('toc:show-panel')")
    prose = [c.source for c in stored("08-nin").cells if c.cell_type == "markdown"]
    headings = re.findall(r"^#+ (.+)$", "\n".join(prose), re.M)
    WebDriverWait(browser, OPENING).until(
        lambda _: texts(browser, ".jp-tocItem-content") == headings,
        f"the panel does not show {headings}",
    )


def run(browser: webdriver.Chrome, address: str, name: str) -> None:
    """Run all cells of a notebook and check what each of them shows."""
    open_notebook(browser, address, name)
    browser.execute_script(WATCH_PROGRESS)
    assert page(browser, "jupyterapp.commands.execute('notebook:run-all-cells')")
    assert_nothing_is_asked(browser)
    wrong = "[data-mime-type$='.stderr'], [data-mime-type$='.error']"
    assert texts(browser, f".jp-OutputArea :is({wrong})") == []
    num_cells = sum(cell.cell_type == "code" for cell in stored(name).cells)
    prompts = texts(browser, ".jp-CodeCell .jp-InputPrompt")
    assert prompts == [f"[{i + 1}]:" for i in range(num_cells)]
    times = texts(browser, ".jp-CodeCell .execute-time")
    assert len(times) == num_cells
    assert all(re.search(r"\d(ms|s)", text) for text in times)


# Without training; full of figures.
@pytest.mark.parametrize("name", ["01-conv-layer", "03-channels"])
def test_notebook_runs(browser, address, name):
    run(browser, address, name)


def test_training_shows_the_time_left_and_then_the_learning_curve(browser, address):
    run(browser, address, "08-nin")
    assert any(TIME_LEFT.search(line) for line in page(browser, "window.progress"))
    curves = page(
        browser,
        "[...document.querySelectorAll('.jp-CodeCell')].filter(cell =>"
        "  cell.textContent.includes('epoch 5, loss') && cell.querySelector('img')"
        ").length",
    )
    assert curves == 1
