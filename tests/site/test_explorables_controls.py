"""Protects: every reader can use an interactive figure, and it harms no page.

By mouse, keyboard and touch, in light and dark, on narrow and wide pages; it asks for
nothing, leaves a page its keys, and takes no text for markup.
"""

from collections.abc import Iterator
from html import escape

import pytest
from selenium import webdriver
from selenium.webdriver import Keys
from selenium.webdriver.support.ui import WebDriverWait

from d2lutil.pages import explorable
from tests.site.chromium import barriers, faults_of_look, resize
from tests.site.figures import FEATURES, STATES, Page, elements_of

MARKUP = '<img src="x">'
KERNEL = "卷积核，按空格加 1"


@pytest.mark.parametrize("state", STATES)
def test_figure_shows_itself(show, state):
    page = show(state)
    assert page.ask("count", ".d2lutil-explorable > [role=group][aria-label] svg") > 0
    assert page.ask("count", ".d2lutil-explorable > img") == 0
    assert page.shown()
    assert page.ask("cutOff") == []


@pytest.mark.parametrize(
    "script",
    [
        "fetch('https://example.org/')",
        "fetch('shapes.json').catch(() => {})",
        "document.body.append(Object.assign(new Image(), {src: 'x.png'}))",
        "console.log(1)",
        "setTimeout(() => missing)",
    ],
)
def test_request_or_complaint_would_be_seen(show, script):
    browser = show("dense.book").browser
    browser.execute_script(f"{script}; return 0")
    browser.execute_async_script("setTimeout(arguments[0], 100)")
    assert browser.get_log("browser")


# ------------------------------------------------------------------------ keyboard


@pytest.mark.parametrize("state", STATES)
def test_tab_key_reaches_every_control(show, state):
    page = show(state)
    stops, focused = page.ask("stops"), []
    for _ in stops:
        page.strike(Keys.TAB)
        focused.append(page.ask("focused"))
    assert focused == stops != []

    # And no more than these.
    page.strike(Keys.TAB)
    assert page.ask("focused") in {None, stops[0]}


def focus_grid(page: Page, grid: str) -> None:
    page.browser.execute_script("arguments[0].focus()", page.ask("tabStop", grid))


WAYS = {
    Keys.ARROW_RIGHT: (0, 1),
    Keys.ARROW_DOWN: (1, 0),
    Keys.ARROW_LEFT: (0, -1),
    Keys.ARROW_UP: (-1, 0),
}


@pytest.mark.parametrize(
    ("state", "grid"),
    [
        ("convolution.signs", "输出"),
        ("convolution.strided", "输出"),
        ("convolution.signs", KERNEL),
        ("channels.two", "输出"),
    ],
)
def test_arrows_move_inside_a_grid(show, state, grid):
    page = show(state)
    focus_grid(page, grid)
    row, column = 0, 0
    # The last step leads out of the grid, where there is nothing.
    for key in [*WAYS, Keys.ARROW_DOWN, Keys.ARROW_RIGHT, *[Keys.ARROW_UP] * 2]:
        page.strike(key)
        row, column = max(0, row + WAYS[key][0]), column + WAYS[key][1]
        *place, said = page.ask("focusedCell")
        assert place == [row, column]
        if grid == "输出":
            shown = page.shown()
            assert [shown["row"], shown["column"]] == [str(row), str(column)]
            assert said.endswith(f"：{shown['sum']}")


def test_space_key_edits_the_kernel(show):
    page = show("convolution.signs")
    focus_grid(page, KERNEL)
    page.strike(Keys.ARROW_DOWN, Keys.SPACE)
    assert page.shown()["kernel-1-0"] == "0"
    assert page.browser.execute_script("return scrollY") == 0


def test_tab_key_comes_back_to_the_cell_that_was_pressed(show):
    page = show("convolution.signs")
    page.point("输出", [2, 3]).click().perform()
    page.hand().key_down(Keys.SHIFT).send_keys(Keys.TAB).key_up(Keys.SHIFT).perform()
    assert page.ask("focused") == "把蓝框里的窗口抄成卷积核"
    page.strike(Keys.TAB)
    assert page.ask("focusedCell")[:2] == [2, 3]


# Keys that JupyterLab takes for its cells, and those that it should get.
OWN_KEYS = ["ArrowLeft", "ArrowUp", "Home", "End", "PageDown", " ", "Enter", "Escape"]
OWN_KEYS += ["Delete", "Backspace", "a", "0"]
LAB_KEYS = [{"key": "Enter", "shiftKey": True}, {"key": "Enter", "ctrlKey": True}]
LAB_KEYS += [{"key": "Enter", "altKey": True}, {"key": "Enter", "metaKey": True}]
LAB_KEYS += [{"key": "s", "ctrlKey": True}, {"key": "s", "metaKey": True}]
LAB_KEYS += [{"key": "Tab"}]


@pytest.mark.parametrize("state", STATES)
def test_keys_of_a_figure_do_not_reach_the_page(show, state):
    page = show(state)
    assert page.ask("escaping", [{"key": key} for key in OWN_KEYS]) == []
    expected = [key["key"] for key in LAB_KEYS] * len(page.ask("stops"))
    assert page.ask("escaping", LAB_KEYS) == expected


# -------------------------------------------------------------------------- markup


@pytest.mark.parametrize("state", STATES)
def test_text_of_a_state_does_not_become_an_element(show, state):
    page = show(state)
    shown = page.ask("mountWith", MARKUP, *state.split("."))
    assert page.ask("count", "main img") == 0
    assert shown > 0
    page.browser.get_log("browser")


PICTURE = '<img alt="" src="data:image/png;base64,iVBORw0KGgo=">'


@pytest.mark.parametrize("name", explorable.figures())
@pytest.mark.parametrize("state", [MARKUP, "", "constructor"])
def test_unknown_state_keeps_its_picture_and_the_figures_beside_it(load, name, state):
    element = (
        f'<div class="d2lutil-explorable" data-figure="{name}"'
        f' data-state="{escape(state)}">{PICTURE}</div>'
    )
    beside = elements_of(["dense.book"])[0]
    page = load(
        element + beside, explorable.scripts([(name, state), ("dense", "book")])
    )
    [unknown, known] = ["main > div:first-child", "main > div:last-child"]
    assert page.ask("count", f"{unknown} > img") == 1
    assert page.ask("count", f"{unknown} *") == 1
    assert page.ask("count", f"{known} svg") > 0
    assert page.browser.get_log("browser")


# --------------------------------------------------------------------------- looks


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 900, 1440])
def test_nothing_bars_a_reader(show, width, mode):
    page = show(*STATES)
    resize(page.browser, width)
    rules = ["color-contrast"] if mode == "dark" else []
    assert barriers(page.browser, mode, rules) == []
    assert page.ask("faintTexts") == []
    assert faults_of_look(page.browser) == []


@pytest.mark.parametrize(
    ("style", "is_faint"),
    [
        ("fill: #767676", False),
        ("fill: #888", True),
        ("fill: #555; --under: #888", True),
        ("fill: #fff; --under: #555", False),
    ],
)
def test_faint_text_would_be_seen(load, style, is_faint):
    rect = '<rect width="90" height="40" fill="var(--under, none)"></rect>'
    picture = f'<svg style="{style}">{rect}<text y="20">Text</text></svg>'
    page = load(f'<div class="d2lutil-explorable">{picture}</div>', "")
    assert bool(page.ask("faintTexts")) == is_faint


# --------------------------------------------------------------------------- touch


@pytest.fixture
def touch_screen(browser: webdriver.Chrome) -> Iterator[None]:
    """Lets the page know that its reader has a finger."""
    command = "Emulation.setTouchEmulationEnabled"
    browser.execute_cdp_cmd(command, {"enabled": True})
    yield
    browser.execute_cdp_cmd(command, {"enabled": False})


TAPS = [
    ("convolution.signs", "输出", [2, 3], {"row": "2", "column": "3"}),
    ("convolution.signs", KERNEL, [0, 2], {"kernel-0-2": "2"}),
    ("convolution.strided", "输出", [1, 0], {"row": "1", "column": "0"}),
    ("channels.two", "输出", [3, 0], {"channel": "1", "row": "1", "column": "0"}),
    ("shapes.resnet", "part-0-title", None, {"part-0-title": "卷积层：7×7"}),
    ("shapes.vgg", "part-2-title", None, {"part-2-title": "▾ VGG 块 3"}),
    ("receptive-field.windows", "r-2", None, {"output": "10"}),
    ("dense.book", "channels-3", None, {"conv": "3"}),
    ("dense.book", "path-3", None, {"block": "2"}),
]
TAPS += [
    (f"features.{name}", "图像：T 恤", None, {"truth": "T 恤"}) for name in FEATURES
]


@pytest.mark.parametrize(("state", "name", "at", "expected"), TAPS)
def test_finger_chooses(show, touch_screen, state, name, at, expected):
    page = show(state)
    before = page.shown()
    page.tap(name, at)
    WebDriverWait(page.browser, 2).until(lambda _: page.shown() != before)
    assert page.shown().items() >= expected.items()
