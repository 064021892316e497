"""Protects: the stored pictures of interactive figures are what the modules draw."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
import pytest
from PIL import Image
from selenium import webdriver

from d2lutil.pages import explorable
from recording.figures import photographs
from tests.site import chromium


@pytest.fixture(scope="module")
def camera() -> Iterator[webdriver.Chrome]:
    """The browser that takes the pictures."""
    if not (chromium.CHROMIUM and chromium.CHROMEDRIVER):
        pytest.skip("chromium and chromedriver are not there")
    driver = photographs.browser()
    yield driver
    driver.quit()


def pixels(png: bytes) -> np.ndarray:
    """Return the levels of a picture (height, width, 3)."""
    return np.asarray(Image.open(BytesIO(png)).convert("RGB"), dtype=float)


def is_alike(drawn: bytes, stored: bytes) -> bool:
    """Tell whether two pictures are the same but for how letters are drawn."""
    drawn, stored = pixels(drawn), pixels(stored)
    same_size = np.allclose(drawn.shape, stored.shape, atol=8)
    height, width = np.minimum(drawn.shape, stored.shape)[:2]
    difference = drawn[:height, :width] - stored[:height, :width]
    return same_size and abs(difference).mean() < 1


@pytest.mark.parametrize("figure", explorable.figures())
def test_pictures_are_those_of_today(camera, figure):
    drawn = photographs.photograph(camera, figure)
    stored = {
        state: (explorable.FOLDER / f"{figure}.{state}.png").read_bytes()
        for state in explorable.states(figure)
    }
    assert drawn.keys() == stored.keys(), f"Run `make figures` for {figure}."
    for state in drawn:
        assert is_alike(drawn[state], stored[state]), f"Run `make figures` for {state}."


def test_another_state_is_another_picture(camera):
    drawn = photographs.photograph(camera, "convolution")
    assert not is_alike(drawn["signs"], drawn["strided"])
