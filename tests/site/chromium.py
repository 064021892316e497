"""Chromium, and what the tests of pages ask of it."""

import importlib.util
import shutil
from collections.abc import Sequence
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, CHROMEDRIVER = shutil.which("chromium"), shutil.which("chromedriver")
CHROMIUM_ARGUMENTS = ["--headless=new", "--no-sandbox", "--disable-gpu"]

LOOK = (Path(__file__).parent / "look.js").read_text(encoding="utf-8")
AXE = Path(importlib.util.find_spec("axe_playwright_python").origin)
AXE = AXE.with_name("axe.min.js").read_text(encoding="utf-8")
# A formula is a picture of thousands of parts to axe, which look.js looks at.
RUN_AXE = """
const [rules, done] = arguments;
const only = rules.length ? {runOnly: rules} : {};
const settings = {resultTypes: ['violations'], preload: false, ...only};
axe.run({exclude: ['mjx-container']}, settings)
  .then(({violations}) => done(violations
    .filter(({impact}) => ['serious', 'critical'].includes(impact))
    .map(({id, nodes}) => `${id}: ${nodes[0].html}`)));
"""


def start() -> webdriver.Chrome:
    """Start Chromium, which notes what scripts write to its console."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    for argument in CHROMIUM_ARGUMENTS:
        options.add_argument(argument)
    return webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))


def resize(browser: webdriver.Chrome, width: int) -> None:
    """Make the window as wide; the theme takes up to 0.3 s to notice."""
    size = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
    if browser.execute_script("return innerWidth") != width:
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        browser.execute_async_script("setTimeout(arguments[0], 400)")


def faults_of_look(browser: webdriver.Chrome) -> list[str]:
    """Return what is wrong with the look of the page, in sentences."""
    return browser.execute_script(LOOK)


def barriers(
    browser: webdriver.Chrome, mode: str, rules: Sequence[str] = ()
) -> list[str]:
    """Return what bars readers from the page in a mode, light or dark.

    Args:
        browser: Shows the page.
        mode: Light or dark.
        rules: Names of axe's rules; none stands for all of them.
    """
    set_mode = "document.documentElement.dataset.theme = arguments[0];"
    browser.execute_script(set_mode + AXE, mode)
    return browser.execute_async_script(RUN_AXE, list(rules))
