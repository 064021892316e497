"""The browser of all tests of pages, and the pages of tests of figures."""

import gc
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver

from tests.site import chromium
from tests.site.figures import Load, Page, Show, elements_of, page_with


@pytest.fixture(scope="session")
def browser() -> Iterator[webdriver.Chrome]:
    """Chromium, started once."""
    if not (chromium.CHROMIUM and chromium.CHROMEDRIVER):
        pytest.skip("chromium and chromedriver are not there")
    driver = chromium.start()
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def without_garbage() -> Iterator[None]:
    """Lets `network_cost`, which collects garbage, look only at what is new."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture
def load(browser: webdriver.Chrome, tmp_path: Path) -> Iterator[Load]:
    """Opens a page with elements and scripts; it may ask for nothing, nor complain."""

    def load_page(elements: str, scripts: str) -> Page:
        file = tmp_path / "figures.html"
        file.write_text(page_with(elements, scripts), encoding="utf-8")
        browser.get(file.as_uri())
        return Page(browser)

    chromium.resize(browser, 900)
    browser.get_log("browser")
    yield load_page
    assert browser.get_log("browser") == []


@pytest.fixture
def show(load: Load) -> Show:
    """Opens a page with figures, each in one of its states: "convolution.valid"."""
    return lambda *states: load(*elements_of(states))
