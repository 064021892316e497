"""Photograph the interactive figures, in Chromium.

Every named state of a figure becomes a picture beside its module, which stands for the
figure where no script runs. Nothing is drawn a second time in Python.
"""

import base64
import shutil
import tempfile
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.support.ui import WebDriverWait

from d2lutil.pages import explorable

CHROMIUM_ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--hide-scrollbars",
    "--force-device-scale-factor=2",
    "--window-size=800,1600",
]
PAGE = """<!doctype html>
<html lang="zh"><meta charset="utf-8">
<style>body {{ margin: 0; padding: 8px; background: #fff; color: #222;
font: 16px "Noto Sans CJK SC", sans-serif; }} #frame {{ width: 640px; }}
#frame > p {{ color: #666; margin: 0.3rem 0; }}</style>
<div id="frame"></div>
{scripts}
</html>
"""
STATES = "return Object.keys(window.d2lutil.figures[arguments[0]].states)"
MOUNT = """
const [name, state] = arguments;
const { figures, data, parts } = window.d2lutil;
const el = document.createElement("div");
el.className = "d2lutil-explorable";
const note = document.createElement("p");
note.textContent = "这是一张图片：在本书的 JupyterLab 或网页版里，这里可以动手操作。";
const frame = document.getElementById("frame");
frame.replaceChildren(el, note);
parts.mount(el, { name, state, figure: figures[name], data });
const { x, y, width, height } = frame.getBoundingClientRect();
return { x, y, width, height };
"""


def browser() -> webdriver.Chrome:
    """Start Chromium."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for argument in CHROMIUM_ARGUMENTS:
        options.add_argument(argument)
    return webdriver.Chrome(options, Service(shutil.which("chromedriver")))


def photograph(chromium: webdriver.Chrome, figure: str) -> dict[str, bytes]:
    """Return a picture of each state of a figure, PNG files by the state's name."""
    files = explorable.FOLDER.glob(f"{figure}.*.json")
    own = [(figure, path.stem.partition(".")[2]) for path in files]
    shown = own or [(figure, "")]
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder, "figure.html")
        page.write_text(PAGE.format(scripts=explorable.scripts(shown)), "utf-8")
        chromium.get(page.as_uri())
    WebDriverWait(chromium, 10).until(
        lambda driver: driver.execute_script(
            "return window.d2lutil?.figures[arguments[0]] !== undefined", figure
        )
    )
    return {
        state: _picture(chromium, chromium.execute_script(MOUNT, figure, state))
        for state in chromium.execute_script(STATES, figure)
    }


def _picture(chromium: webdriver.Chrome, box: dict[str, float]) -> bytes:
    """Return what a part of the page shows."""
    clip = box | {"scale": 1}
    shot = chromium.execute_cdp_cmd(
        "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
    )
    return base64.b64decode(shot["data"])


def store(figure: str, pictures: dict[str, bytes]) -> None:
    """Write the pictures beside the module; remove those of states that are gone."""
    paths = {explorable.FOLDER / f"{figure}.{state}.png": state for state in pictures}
    for path, state in paths.items():
        path.write_bytes(pictures[state])
    for path in explorable.FOLDER.glob(f"{figure}.*.png"):
        if path not in paths:
            path.unlink()


def take(figures: list[str]) -> None:
    """Photograph figures and store the pictures.

    Args:
        figures: Their names.
    """
    chromium = browser()
    try:
        for figure in figures:
            store(figure, photograph(chromium, figure))
    finally:
        chromium.quit()
