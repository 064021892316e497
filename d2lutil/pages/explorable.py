"""Interactive figures: what a notebook stores of one, and how a page shows it.

A figure is a module in the folder explorables, with a picture of each of its named
states beside it. Only the standard library is used, as in `sections`.
"""

import base64
import json
import re
from pathlib import Path
from typing import Any

from d2lutil.pages import sections

MIME = "application/vnd.d2lutil.explorable+json"
FOLDER = Path(__file__).with_name("explorables")

# What a page of the reading edition has once, and once for each figure: scripts in the
# page, because a browser loads no module from a folder (file://).
_SHARED = "window.d2lutil ??= { figures: {}, data: {} };\nwindow.d2lutil.parts ="
_MOUNT = """\
for (const el of document.querySelectorAll(".d2lutil-explorable")) {
  const { figure: name, state } = el.dataset;
  const { figures, data, parts } = window.d2lutil;
  try {
    parts.mount(el, { name, state, figure: figures[name], data });
  } catch (error) {
    console.error(error);  // its picture stays, and the others live
  }
}"""
_ALT = "交互图的静止画面"
_EXPORT = re.compile(r"^export default", re.MULTILINE)


class Explorable:
    """An interactive figure in one of its named states.

    It shows itself: live in JupyterLab as the book opens it and in the reading edition,
    as a picture elsewhere.
    """

    def __init__(self, figure: str, state: str) -> None:
        if state not in states(figure):
            raise ValueError(
                f"The figure {figure!r} has no state {state!r}; choose one of "
                f"{', '.join(states(figure))}."
            )
        self.figure = figure
        self.state = state

    def __repr__(self) -> str:
        """Return what a notebook stores as text."""
        return f"Explorable({self.figure!r}, {self.state!r})"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {
            MIME: {"figure": self.figure, "state": self.state},
            "image/png": picture(self.figure, self.state),
            "text/plain": repr(self),
        }


def explorable(figure: str, state: str) -> Explorable:
    """Return an interactive figure of the book, to be the last line of a cell.

    Args:
        figure: Name of the figure: "convolution".
        state: Which of its named states it opens in: "signs".

    Raises:
        ValueError: There is no such figure, or it has no such state.

    Example:
        >>> explorable("convolution", "signs")
        Explorable('convolution', 'signs')
    """
    return Explorable(figure, state)


def figures() -> list[str]:
    """Return the names of all figures."""
    others = {"parts", "jupyterlab"}
    return sorted({path.stem for path in FOLDER.glob("*.js")} - others)


def states(figure: str) -> list[str]:
    """Return the names of a figure's states, of which there are pictures.

    Raises:
        ValueError: There is no such figure.
    """
    if figure not in figures():
        raise ValueError(
            f"There is no figure {figure!r}; choose one of {', '.join(figures())}."
        )
    names = (path.stem for path in FOLDER.glob(f"{figure}.*.png"))
    return sorted(name.partition(".")[2] for name in names)


def picture(figure: str, state: str) -> str:
    """Return the still picture of a figure's state, as a notebook stores it."""
    png = (FOLDER / f"{figure}.{state}.png").read_bytes()
    return base64.b64encode(png).decode()


def elements(figure: str, state: str) -> str:
    """Return what stands for a figure in a page: the picture, until the script runs."""
    png = picture(figure, state)
    return (
        f'<div class="d2lutil-explorable" data-figure="{figure}" data-state="{state}">'
        f'<img alt="{_ALT}" src="data:image/png;base64,{png}"></div>'
    )


def scripts(shown: list[tuple[str, str]]) -> str:
    """Return the scripts that bring the figures of a page to life.

    Args:
        shown: Figure and state of each.
    """
    parts = [_inline("parts", _SHARED)]
    for figure in dict.fromkeys(figure for figure, _ in shown):
        parts.append(_inline(figure, f"window.d2lutil.figures[{figure!r}] ="))

    for data in dict.fromkeys(_data_of(*figure) for figure in shown):
        if data.exists():
            text = data.read_text(encoding="utf-8")
            parts.append(f"window.d2lutil.data[{data.stem!r}] = {text};")

    parts.append(_MOUNT)
    return "\n".join(f'<script type="module">\n{part}\n</script>' for part in parts)


def bring_to_life(notebook: sections.Notebook) -> None:
    """Let the figures of a notebook be live in a page of HTML that is made from it.

    Args:
        notebook: Its outputs are changed.
    """
    outputs = [o for cell in sections.code_cells(notebook) for o in cell["outputs"]]
    shown = [(o, figure) for o in outputs if (figure := of_output(o))]
    for output, figure in shown:
        output["data"] = {"text/html": elements(*figure)}

    if shown:
        last, _ = shown[-1]
        last["data"]["text/html"] += scripts([figure for _, figure in shown])


def _data_of(figure: str, state: str) -> Path:
    """Return where the numbers lie that were measured for a figure, if there are any.

    Those of a state of its own come first.
    """
    own = FOLDER / f"{figure}.{state}.json"
    return own if own.exists() else FOLDER / f"{figure}.json"


def _inline(name: str, assignment: str) -> str:
    """Return a module as a script that keeps what it exports in a variable."""
    module = (FOLDER / f"{name}.js").read_text(encoding="utf-8")
    return _EXPORT.sub(lambda _: assignment, module)


def of_output(output: dict[str, Any]) -> tuple[str, str] | None:
    """Return figure and state of a stored output, if it is one that the book has."""
    stored = output.get("data", {}).get(MIME, {})
    if isinstance(stored, str | list):
        stored = json.loads("".join(stored))

    figure, state = stored.get("figure"), stored.get("state")
    is_known = figure in figures() and state in states(figure)
    return (figure, state) if is_known else None
