"""Protects: what `make lab` shows a reader who has just cloned the book.

Chromium opens every section in JupyterLab, in Chinese, and runs one section of each
kind to the end.  The book is a copy and the home folder is new: nothing is trusted,
installed or set up, and nothing of the reader's is changed.  What opens are working
copies; tests/package/test_working_copies.py says what becomes of them.
"""

import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.cookiejar import CookieJar
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import HTTPCookieProcessor, Request, build_opener, urlopen

import nbformat
import pytest
from jupyter_server.auth.security import set_password
from nbformat import NotebookNode
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from d2lutil.pages import sections
from d2lutil.pages.explorable import MIME
from lab.export import mathml

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
FIGURES = ".d2lutil-explorable"
ADDRESS = re.compile(r"https?://127\.0\.0\.1:(?P<port>\d+)(?=/lab)")
# As tqdm writes it: 40%|████      | 2/5 [00:03<00:04,  1.5s/batch, loss=2.3]
TIME_LEFT = re.compile(r"\d+%.*\[\d\d:\d\d<\d\d:\d\d")
SIZES_OF_FOLDED = (
    "[...document.querySelectorAll('.jp-OutputPlaceholder .jp-PlaceholderText')]"
    ".map(text => getComputedStyle(text).fontSize)"
)
# Notes the progress bars that cells show, each for a moment only.
WATCH_PROGRESS = """
window.progress = [];
new MutationObserver(() => {
  for (const line of document.querySelectorAll('.jp-OutputArea pre'))
    if (line.textContent.includes('%|')) window.progress.push(line.textContent);
}).observe(document.body, {childList: true, subtree: true});
"""


@pytest.fixture(scope="module")
def book(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone of the book; its kernels use the package that is installed."""
    folder = tmp_path_factory.mktemp("book")
    for name in ("notebooks", "lab", "d2lutil"):
        without = shutil.ignore_patterns("data", "__pycache__", ".ipynb_checkpoints")
        shutil.copytree(ROOT / name, folder / name, ignore=without)
    shutil.copy(ROOT / ".gitignore", folder)
    for command in (["init", "--quiet"], ["add", "."]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    return folder


def changed_files(book: Path) -> list[str]:
    """Return what git says about the files that are not as they were cloned."""
    status = subprocess.check_output(
        ["git", "status", "--porcelain"], cwd=book, text=True
    )
    return [line for line in status.splitlines() if not line.startswith("A  ")]


def answers(address: re.Match) -> bool:
    """Tell whether a server is there: its log names the address a little earlier."""
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", int(address["port"]))) == 0


@contextmanager
def jupyterlab(book: Path, home: Path, *arguments: str) -> Iterator[str]:
    """Start JupyterLab as `make lab` does; lend its address."""
    log = home / "log"
    variables = {"HOME": str(home), "D2LUTIL_SCALE": "smoke", "OMP_NUM_THREADS": "1"}
    with log.open("w") as file:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "lab.start"),
                *("--no-browser", "--port=0", *arguments),
            ],
            cwd=book,
            env=os.environ | variables,
            stderr=file,
        )
    try:
        while not (address := ADDRESS.search(log.read_text())) or not answers(address):
            assert server.poll() is None, log.read_text()
            time.sleep(0.1)
        yield address[0]
    finally:
        server.terminate()
        try:
            server.wait(timeout=20)
        except subprocess.TimeoutExpired:  # With a request at hand it may never end.
            server.kill()


@pytest.fixture(scope="module")
def address(book: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a JupyterLab that lets tests in without a token."""
    home = tmp_path_factory.mktemp("home")
    arguments = ["--IdentityProvider.token=", "--LabApp.expose_app_in_browser=True"]
    with jupyterlab(book, home, *arguments) as address:
        yield address


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
    browser.get(f"{address}/lab/tree/{name}.ipynb?reset")
    wait_for_notebook(browser, name)


def wait_for_notebook(browser: webdriver.Chrome, name: str) -> None:
    num_cells = len(stored(name).cells)
    WebDriverWait(browser, OPENING).until(
        lambda _: (
            count(browser, CELLS) == num_cells
            and not count(browser, ".jp-MarkdownCell:not(.jp-mod-rendered)")
            and page(browser, "[...document.images].every(image => image.complete)")
            and "$" not in formulas_left(browser)
            and count(browser, FIGURES) == count(browser, f"{FIGURES}:has(svg)")
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
    assert browser.current_url == f"{address}/lab/tree/index.ipynb"
    assert texts(browser, ".lm-MenuBar-itemLabel")[:3] == ["文件", "编辑", "查看"]
    assert_nothing_is_asked(browser)


def test_headings_are_shown_from_the_start_and_file_names_whole(browser, address):
    browser.get(address)
    wait_for_notebook(browser, "index")
    assert_panel_shows_headings(browser, "index")
    follow(browser, "02-padding-and-strides.ipynb")
    assert_panel_shows_headings(browser, "02-padding-and-strides")

    page(browser, "jupyterapp.commands.execute('filebrowser:activate')")
    names = ".jp-DirListing-itemText"
    WebDriverWait(browser, OPENING).until(
        lambda _: (
            set(texts(browser, names))
            == {"img", "solutions", *(f"{name}.ipynb" for name in NOTEBOOKS)}
        ),
        "the side bar does not list the files",
    )
    assert not page(
        browser,
        f"[...document.querySelectorAll('{names}')]"
        "  .some(name => name.scrollWidth > name.clientWidth)",
    )


def assert_panel_shows_headings(browser: webdriver.Chrome, name: str) -> None:
    """Check the table of contents, whose panel has to be in view."""
    prose = [cell.source for cell in stored(name).cells if cell.cell_type == "markdown"]
    headings = re.findall(r"^#+ (.+)$", "\n".join(prose), re.M)
    panel = "#table-of-contents:not(.lm-mod-hidden) .jp-tocItem-content"
    WebDriverWait(browser, OPENING).until(
        lambda _: texts(browser, panel) == headings,
        f"the panel does not show {headings}",
    )


def current_path(browser: webdriver.Chrome) -> str:
    """Return the path of the notebook that is in front."""
    return page(browser, "jupyterapp.shell.currentWidget.context?.path")


def follow(browser: webdriver.Chrome, target: str) -> None:
    """Click the first link to a notebook; wait until that one is in front."""
    link = f".jp-NotebookPanel:not(.lm-mod-hidden) a[href*='/files/{target}?']"
    links = WebDriverWait(browser, OPENING).until(
        lambda _: browser.find_elements(By.CSS_SELECTOR, link), f"no link to {target}"
    )
    # By the mouse it could meet the tool bar of a cell that is still moving.
    browser.execute_script("arguments[0].click()", links[0])
    WebDriverWait(browser, OPENING).until(
        lambda _: current_path(browser) == target, f"{target} does not open"
    )


def test_links_lead_from_copy_to_copy(browser, address):
    open_notebook(browser, address, "index")
    for target in ("08-nin.ipynb", "solutions/08-nin.ipynb", "index.ipynb"):
        follow(browser, target)
        assert_nothing_is_asked(browser)


def save_changed(browser: webdriver.Chrome, source: str) -> None:
    """Write something into the first cell of the notebook in front, and save it."""
    cell = "jupyterapp.shell.currentWidget.content.widgets[0].model.sharedModel"
    browser.execute_script(f"{cell}.setSource({json.dumps(source)})")
    browser.execute_script(
        "return jupyterapp.shell.currentWidget.context.save().then(() => null)"
    )


def test_change_stays_in_the_copy_and_the_original_comes_back(browser, address, book):
    original, copy = book / "notebooks" / "08-nin.ipynb", book / "work" / "08-nin.ipynb"
    open_notebook(browser, address, "08-nin")
    save_changed(browser, "# Mine")
    assert nbformat.read(copy, as_version=4).cells[0].source == "# Mine"
    assert changed_files(book) == []

    restore = [sys.executable, "-m", "lab.restore", "08-nin"]
    said = subprocess.check_output(restore, cwd=book, text=True)
    kept = re.search(r"08-nin\.mine-[\d-]+\.ipynb", said)[0]
    assert nbformat.read(copy.with_name(kept), as_version=4).cells[0].source == "# Mine"
    assert copy.read_bytes() == original.read_bytes()

    # What the index tells readers to do: 文件 → 从磁盘重新加载 Notebook.
    browser.execute_script("jupyterapp.commands.execute('docmanager:reload')")
    WebDriverWait(browser, OPENING).until(
        lambda _: "网络中的网络" in texts(browser, CELLS)[0],
        "the original is not shown again",
    )
    assert_nothing_is_asked(browser)
    copy.with_name(kept).unlink()


def open_menu(browser: webdriver.Chrome, *path: str) -> list[str]:
    """Click through the entries of a menu; return all entries that show then."""
    for entry in path:
        label = f"//*[contains(@class, 'itemLabel')][.='{entry}']"
        WebDriverWait(browser, OPENING).until(
            lambda _, label=label: browser.find_elements(By.XPATH, label),
            f"no menu has {entry}",
        )[0].click()
    return texts(browser, ".lm-Menu-itemLabel")


def test_menus_have_the_entries_that_the_index_names(browser, address):
    prose = stored("index").cells[0].source
    named = [name.split(" → ") for name in re.findall("“([^”]+ → [^”]+)”", prose)]
    assert len(named) >= 4
    for *path, entry in named:
        open_notebook(browser, address, "08-nin")
        assert entry in open_menu(browser, *path)


def test_terminal_opens_where_make_works(browser, address, book, tmp_path):
    open_notebook(browser, address, "index")
    open_menu(browser, "文件", "新建", "终端")
    shell = WebDriverWait(browser, OPENING).until(
        lambda _: browser.find_elements(By.CSS_SELECTOR, ".xterm-helper-textarea")
    )[0]
    answer = tmp_path / "answer"
    shell.send_keys(f"pwd > {answer}; exit\n")
    WebDriverWait(browser, OPENING).until(
        lambda _: answer.exists() and answer.read_text(), "the terminal does nothing"
    )
    assert answer.read_text() == f"{book}\n"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_notebook_opens(browser, address, name):
    open_notebook(browser, address, name)
    assert_nothing_is_asked(browser)
    assert page(browser, "[...document.images].every(image => image.naturalWidth)")
    open_cells = [c for c in code_cells(name) if not sections.is_predicted(c)]
    assert count(browser, ".jp-OutputArea img") == num_plots(open_cells)
    assert count(browser, FIGURES) == sum(map(sections.is_figure, open_cells))
    added = sum(map(sections.is_added, code_cells(name)))
    assert count(browser, ".modern-cnn-added") == added
    # What is folded does not show its first line.
    sizes = page(browser, SIZES_OF_FOLDED)
    assert sizes == ["0px"] * (len(code_cells(name)) - len(open_cells))


def code_cells(name: str) -> list[NotebookNode]:
    return [cell for cell in stored(name).cells if cell.cell_type == "code"]


def num_plots(cells: list[NotebookNode]) -> int:
    outputs = [output for cell in cells for output in cell.outputs]
    shown = [output.get("data", {}) for output in outputs]
    return sum("image/png" in data and MIME not in data for data in shown)


def run(browser: webdriver.Chrome, address: str, name: str) -> None:
    """Run all cells of a notebook and check what each of them shows."""
    open_notebook(browser, address, name)
    browser.execute_script(WATCH_PROGRESS)
    assert page(browser, "jupyterapp.commands.execute('notebook:run-all-cells')")
    assert_nothing_is_asked(browser)
    wrong = "[data-mime-type$='.stderr'], [data-mime-type$='.error']"
    assert texts(browser, f".jp-OutputArea :is({wrong})") == []
    cells = code_cells(name)
    prompts = texts(browser, ".jp-CodeCell .jp-InputPrompt")
    assert prompts == [f"[{i + 1}]:" for i in range(len(cells))]
    # What a reader was to predict is unfolded.
    assert count(browser, ".jp-OutputArea img") == num_plots(cells)


# Without training; full of figures.
@pytest.mark.parametrize("name", ["01-conv-layer", "03-channels"])
def test_notebook_runs(browser, address, name):
    run(browser, address, name)


def test_keys_in_a_figure_are_not_commands(browser, address):
    open_notebook(browser, address, "01-conv-layer")
    slider = browser.find_element(By.CSS_SELECTOR, f"{FIGURES} input[type=range]")
    cell = "jupyterapp.shell.currentWidget.content.activeCellIndex"
    slider.click()
    before, value = page(browser, cell), int(slider.get_property("value"))
    # Each of them would move to another cell, or add, cut or change one.
    slider.send_keys(Keys.ARROW_LEFT, Keys.HOME, "b", "x", "m")
    assert int(slider.get_property("value")) < value
    assert page(browser, cell) == before
    assert count(browser, CELLS) == len(stored("01-conv-layer").cells)

    slider.send_keys(Keys.SHIFT, Keys.ENTER)
    WebDriverWait(browser, RUNNING).until(
        lambda _: page(browser, cell) == before + 1, "Shift and Enter do not run a cell"
    )


COLOR = (
    f"getComputedStyle(document.querySelector('{FIGURES}'))"
    ".getPropertyValue('--d2lx-blue')"
)
CHANGE_THEME = "jupyterapp.commands.execute('apputils:change-theme', {theme: '%s'})"


def test_figures_follow_the_theme(browser, address):
    open_notebook(browser, address, "01-conv-layer")
    colors = []
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        page(browser, CHANGE_THEME % theme)
        wanted = str(theme == "JupyterLab Light").lower()
        WebDriverWait(browser, OPENING).until(
            lambda _, wanted=wanted: (
                page(browser, "document.body.dataset.jpThemeLight") == wanted
            ),
            f"the theme does not become {theme}",
        )
        colors.append(page(browser, COLOR))
    assert colors == ["#7fb2e5", "#2f6299"]


def test_figure_that_the_book_has_no_longer_shows_its_picture(browser, address, book):
    notebook = stored("09-googlenet")
    notebook.cells = list(filter(sections.is_figure, notebook.cells))
    [output, *_] = notebook.cells[0].outputs
    output.data[MIME]["state"] = "old"
    copy = book / "work" / "old.ipynb"
    nbformat.write(notebook, copy)

    browser.get(f"{address}/lab/tree/old.ipynb?reset")
    seen = f"document.querySelector('{FIGURES} > img')?.naturalWidth > 0"
    WebDriverWait(browser, OPENING).until(
        lambda _: page(browser, seen), "its picture is not shown"
    )
    assert count(browser, f"{FIGURES} svg") > 0  # the figures after it live
    copy.unlink()


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


# What the File menu exports.


def test_menu_offers_only_exports_that_work(browser, address):
    open_notebook(browser, address, "08-nin")
    before = len(open_menu(browser, "文件"))
    assert open_menu(browser, "保存并导出笔记本为")[before:] == ["HTML", "可执行脚本"]


def exported(address: str, name: str) -> bytes:
    """Return a notebook as the page that the menu saves and prints."""
    page = f"{address}/nbconvert/html/{name}.ipynb"
    with urlopen(Request(page, headers={"Referer": address})) as answer:
        return answer.read()


# What a page on disk shows, and what it asks other places for.
SHOWN = """({
  formulas: [...document.querySelectorAll('math')]
    .filter(formula => formula.getBoundingClientRect().width).length,
  broken: [...document.images].filter(image => !image.naturalWidth).length,
  pictures: document.images.length,
  requests: performance.getEntriesByType('resource')
    .map(entry => entry.name).filter(name => !name.startsWith('data:')),
  dollars: [...document.querySelectorAll('.jp-MarkdownCell')]
    .filter(cell => cell.textContent.includes('$')).length,
  figures: document.querySelectorAll('.d2lutil-explorable:has(svg)').length,
})"""


@pytest.mark.parametrize("name", [*NOTEBOOKS, "solutions/10-batch-norm"])
def test_exported_page_needs_no_network(browser, address, tmp_path, name):
    file = tmp_path / "page.html"
    file.write_bytes(exported(address, name))
    browser.get(file.as_uri())
    shown = page(browser, SHOWN)

    cells = stored(name).cells
    prose = "\n\n".join(c.source for c in cells if c.cell_type == "markdown")
    without_code = re.sub(r"```.*?```|`[^`]*`", "", prose, flags=re.S)
    num_pictures = num_plots(code_cells(name)) + len(re.findall(r"<img |!\[", prose))
    assert shown == {
        "formulas": len(re.findall(r"\$\$.+?\$\$|\$.+?\$", without_code, re.S)),
        "broken": 0,
        "pictures": num_pictures,
        "requests": [],
        "dollars": 0,
        "figures": sum(map(sections.is_figure, code_cells(name))),
    }


def test_export_leaves_the_environment_as_it_was():
    code = (
        "import os, nbformat; before = dict(os.environ);"
        "from lab.export import Figures;"
        "Figures().preprocess(nbformat.v4.new_notebook(), {});"
        "assert dict(os.environ) == before"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_formula_with_a_slip_is_exported_as_it_is_written():
    assert mathml("1 < x_", "inline") == "<code>1 &lt; x_</code>"


def test_bold_letter_is_exported_as_one_that_is_bold_in_any_browser():
    assert "<mi>&#x1D431;</mi>" in mathml(r"\boldsymbol{x}", "inline")


# The user's own settings of Jupyter.


def set_up(home: Path, settings: dict[str, object]) -> None:
    """Write the settings of a server into a user's home folder."""
    (home / ".jupyter").mkdir()
    file = home / ".jupyter" / "jupyter_server_config.json"
    file.write_text(json.dumps(settings))


def page_after_login(address: str, password: str) -> str:
    """Return the address that one comes to by a password."""
    cookies = CookieJar()
    browser = build_opener(HTTPCookieProcessor(cookies))
    browser.open(address)
    (token,) = (cookie.value for cookie in cookies if cookie.name == "_xsrf")
    form = urlencode({"_xsrf": token, "password": password})
    return browser.open(f"{address}/login", form.encode()).url


def test_users_password_is_asked_for(book, tmp_path):
    set_up(tmp_path, {})
    set_password("secret", str(tmp_path / ".jupyter" / "jupyter_server_config.json"))
    with jupyterlab(book, tmp_path) as address:
        with pytest.raises(HTTPError, match="403"):
            urlopen(f"{address}/api/contents")
        with pytest.raises(HTTPError, match="401"):
            page_after_login(address, "guess")
        assert page_after_login(address, "secret").startswith(f"{address}/lab/tree/")


@pytest.mark.skipif(not shutil.which("openssl"), reason="openssl is not there")
def test_users_certificate_is_used(book, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = "openssl req -x509 -nodes -newkey rsa:2048 -days 2 -subj /CN=localhost"
    files = ["-keyout", key, "-out", certificate]
    subprocess.run([*command.split(), *files], check=True, stderr=subprocess.DEVNULL)
    set_up(tmp_path, {"ServerApp": {"certfile": str(certificate), "keyfile": str(key)}})
    with jupyterlab(book, tmp_path) as address:
        trusting = ssl.create_default_context(cafile=certificate)
        trusting.check_hostname = False
        assert address.startswith("https:")
        assert urlopen(f"{address}/login", context=trusting).status == 200


def test_copies_open_whatever_folder_the_user_has_set(book, tmp_path):
    home = str(tmp_path)
    set_up(
        tmp_path,
        {
            "ServerApp": {"root_dir": home},
            "FileContentsManager": {"root_dir": home, "preferred_dir": home},
            "LabApp": {"default_url": "/lab/tree/log"},
        },
    )
    with jupyterlab(book, tmp_path, "--IdentityProvider.token=") as address:
        assert urlopen(address).url == f"{address}/lab/tree/index.ipynb"
        with urlopen(f"{address}/api/contents/08-nin.ipynb?content=0") as answer:
            assert json.load(answer)["name"] == "08-nin.ipynb"
