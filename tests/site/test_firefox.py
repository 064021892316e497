"""Protects: interactive figures live in Firefox, too, in a page from a folder.

Debian has no geckodriver; Firefox itself speaks WebDriver BiDi, over a web socket.
"""

import itertools
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from websocket import create_connection

from tests.site.figures import STATES, elements_of, page_with

FIREFOX = shutil.which("firefox-esr")
ARGUMENTS = ["--headless", "--no-remote", "--remote-debugging-port=0"]
ADDRESS = re.compile(r"WebDriver BiDi listening on (ws://\S+)")
LIVE = "document.querySelectorAll('.d2lutil-explorable:has(svg)').length"
# A slider is moved to its end; the figure says what it shows now.
MOVE_SLIDER = """(() => {
  const slider = document.querySelector("input[type=range]");
  const before = document.querySelector(".d2lutil-explorable").textContent;
  slider.value = slider.max;
  slider.dispatchEvent(new Event("input", { bubbles: true }));
  return document.querySelector(".d2lutil-explorable").textContent !== before;
})()"""


class Firefox:
    """A page of Firefox.

    Args:
        address: Where Firefox listens.
    """

    def __init__(self, address: str) -> None:
        # Firefox refuses what comes from a page.
        self.socket = create_connection(
            f"{address}/session", timeout=60, suppress_origin=True
        )
        self.numbers = itertools.count(1)
        self.ask("session.new", capabilities={})
        [page] = self.ask("browsingContext.getTree")["contexts"]
        self.page = page["context"]

    def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """Return the result of a command; events on the way are passed over."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        self.socket.send(json.dumps(message))
        while (answer := json.loads(self.socket.recv())).get("id") != number:
            pass
        assert answer["type"] == "success", answer
        return answer["result"]

    def open(self, file: Path) -> None:
        """Open a page, and wait until it is complete."""
        where = {"context": self.page, "url": file.as_uri(), "wait": "complete"}
        self.ask("browsingContext.navigate", **where)

    def evaluate(self, expression: str) -> Any:
        """Return the value of an expression, a number or a truth value."""
        answer = self.ask(
            "script.evaluate",
            expression=expression,
            target={"context": self.page},
            awaitPromise=False,
        )
        return answer["result"]["value"]


@pytest.fixture(scope="module")
def firefox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Firefox]:
    """Firefox, started once with a profile of its own."""
    if not FIREFOX:
        pytest.skip("firefox-esr is not there")
    profile = tmp_path_factory.mktemp("profile")
    process = subprocess.Popen(
        [FIREFOX, *ARGUMENTS, "--profile", str(profile)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        lines = iter(process.stderr)
        yield Firefox(next(filter(None, map(ADDRESS.search, lines)))[1])
    finally:
        process.kill()
        process.wait()


def test_all_figures_live(firefox: Firefox, tmp_path: Path):
    file = tmp_path / "figures.html"
    file.write_text(page_with(*elements_of(STATES)), encoding="utf-8")
    firefox.open(file)
    assert firefox.evaluate(LIVE) == len(STATES)


@pytest.mark.parametrize("state", ["convolution.strided", "shapes.nin", "dense.book"])
def test_figure_answers(firefox: Firefox, tmp_path: Path, state: str):
    file = tmp_path / "figure.html"
    file.write_text(page_with(*elements_of([state])), encoding="utf-8")
    firefox.open(file)
    assert firefox.evaluate(MOVE_SLIDER) is True
