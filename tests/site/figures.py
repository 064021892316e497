"""Pages with interactive figures: how a test uses them, and what they should show."""

import itertools
import re
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
from selenium import webdriver
from selenium.webdriver import ActionChains

from d2lutil.pages import explorable

STATES = [
    f"{name}.{state}"
    for name in explorable.figures()
    for state in explorable.states(name)
]
# The networks of which there are feature maps.
FEATURES = sorted(
    path.stem.partition(".")[2] for path in explorable.FOLDER.glob("features.*.json")
)

# A page with the colours of the book's. What it asks for is refused, with a complaint.
POLICY = (
    "default-src 'none'; img-src data:; "
    "script-src 'unsafe-inline'; style-src 'unsafe-inline'"
)
STYLE = """
html { background: #fff; color: #222832; font: 16px "Noto Sans CJK SC", sans-serif; }
html[data-theme=dark] { background: #14181e; color: #ced6dd; color-scheme: dark; }
"""
READER = (Path(__file__).parent / "explorable.js").read_text(encoding="utf-8")

# How a reader uses the controls of these names, one after another.
Step = dict[str, Any]
# What is shown, by its name: a text, or what should be shown as one.
Shown = dict[str, Any]


class Page:
    """A page with figures."""

    def __init__(self, browser: webdriver.Chrome) -> None:
        self.browser = browser

    def ask(self, function: str, *arguments: Any) -> Any:
        """Return what a function of explorable.js returns."""
        script = f"return reader.{function}(...arguments)"
        return self.browser.execute_script(script, *arguments)

    def use(self, name: str, value: Any = None) -> None:
        """Use a control: set it to a value, or press it."""
        self.ask("use", name, value)

    def options(self, name: str) -> list[tuple[str, str]]:
        """Return the values of a list to choose from, and their texts."""
        return [(value, text) for value, text in self.ask("options", name)]

    def shown(self) -> Shown:
        """Return what is shown now."""
        return dict(self.ask("values"))

    def shown_after(self, steps: Iterable[Step]) -> list[Shown]:
        """Take steps, and return what is shown after each."""
        pairs = [[*step.items()] for step in steps]
        return [dict(shown) for shown in self.ask("read", pairs)]

    def check(self, steps: Iterable[Step], expected: Iterable[Shown]) -> None:
        """Take steps, and compare all that is shown after each with what should be."""
        steps = [*steps]
        pairs = zip(self.shown_after(steps), expected, strict=True)
        for step, pair in zip(steps, pairs, strict=True):
            assert differences(*pair) == {}, step

    def hand(self) -> ActionChains:
        """Return what moves the mouse and strikes keys."""
        return ActionChains(self.browser, duration=20)

    def point(self, name: str, at: Any = None) -> ActionChains:
        """Move the mouse to a control, a cell of a grid, or what shows a value."""
        hand, middle = self.hand(), self.ask("middle", name, at)
        hand.w3c_actions.pointer_action.move_to_location(**middle)
        return hand

    def drag(self, name: str, units: float, by_finger: bool) -> None:
        """Drag what has a name to the right, by units of its picture."""
        pixels = units * self.ask("unit")
        if by_finger:
            at = self.ask("middle", name)
            points = [at, *(at | {"x": at["x"] + part * pixels} for part in (0.4, 1))]
            for kind, *where in zip(("Start", "Move", "Move"), points, strict=True):
                self.touch(kind, *where)
            self.touch("End")
            return

        hand = self.point(name).click_and_hold()
        hand.move_by_offset(round(pixels / 2), 0).move_by_offset(round(pixels / 2), 0)
        hand.release().perform()

    def touch(self, kind: str, *points: dict[str, float]) -> None:
        """Let fingers start, move or end to touch the screen."""
        event = {"type": f"touch{kind}", "touchPoints": points}
        self.browser.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    def tap(self, name: str, at: Any = None) -> None:
        """Tap on a control, on a cell of a grid, or on what shows a value."""
        self.touch("Start", self.ask("middle", name, at))
        self.touch("End")

    def strike(self, *keys: str) -> None:
        """Strike keys one after another."""
        for key in keys:
            self.hand().send_keys(key).perform()


def page_with(elements: str, scripts: str) -> str:
    """Return a page with figures, and with what explorable.js lets a test do."""
    return (
        '<!doctype html><html lang="zh-CN"><meta charset="utf-8"><title>Figures</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        f"<style>{STYLE}</style><main>{elements}</main>{scripts}"
        f"<script>{READER}</script></html>"
    )


Load = Callable[[str, str], Page]
Show = Callable[..., Page]

NUMBER = re.compile(r"−?\d+(?:\.(?P<decimals>\d+))?")


def number_of(text: str) -> float:
    """Return the number that a text is."""
    return float(text.replace("−", "-"))


def says(text: str | None, expected: float | str | None) -> bool:
    """Tell whether a figure shows a text, or a number with the digits that it shows.

    One without decimal places is a whole number. MXNet's have seven digits.
    """
    if text is None or expected is None or isinstance(expected, str):
        return text == expected
    number = NUMBER.fullmatch(text)
    if not number or re.fullmatch(r"−[0.]+", text):
        return False
    decimals = number["decimals"]
    rounding = 0.5 * 10 ** -len(decimals) if decimals else 0
    return abs(number_of(text) - expected) <= rounding + 1e-6 * max(1, abs(expected))


def differences(shown: Shown, expected: Shown) -> dict[str, tuple[Any, Any]]:
    """Return what a figure shows instead of what it should, both for each name."""
    names = shown.keys() | expected.keys()
    pairs = {name: (shown.get(name), expected.get(name)) for name in names}
    return {name: pair for name, pair in pairs.items() if not says(*pair)}


def steps_of(names: str, settings: Iterable[Iterable[Any]]) -> list[Step]:
    """Return steps that set controls, whose names commas separate, to the settings."""
    return [dict(zip(names.split(","), setting, strict=True)) for setting in settings]


def table(name: str, numbers: Any, first: int = 0) -> Shown:
    """Return a table as a figure shows it: `name-0-1` is that in row 0, column 1.

    Args:
        name: What the numbers are called.
        numbers: The table, or a row.
        first: Which row and column it begins with.
    """
    cells = np.ndenumerate(np.asarray(numbers))
    return {"-".join([name, *(str(first + i) for i in place)]): x for place, x in cells}


def read_table(shown: Shown, name: str) -> np.ndarray:
    """Return the numbers of a table that a figure shows."""
    pattern = re.compile(rf"{name}((?:-\d+)+)")
    matches = filter(None, map(pattern.fullmatch, shown))
    found = {tuple(map(int, m[1].split("-")[1:])): shown[m[0]] for m in matches}
    numbers = np.full(np.max([*found], axis=0) + 1, np.nan)
    for place, text in found.items():
        numbers[place] = number_of(text)
    return numbers


def elements_of(states: Iterable[str]) -> tuple[str, str]:
    """Return the elements and the scripts of figures: "convolution.valid"."""
    shown = [(name, state) for name, state in (text.split(".") for text in states)]
    elements = itertools.starmap(explorable.elements, shown)
    return "".join(elements), explorable.scripts(shown)
