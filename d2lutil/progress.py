"""A progress bar that leaves nothing behind, in a terminal and in a notebook."""

import html
import sys
from collections.abc import Iterable
from typing import TextIO

from IPython import get_ipython
from IPython.display import HTML, display
from tqdm import tqdm


class _NotebookOutput:
    """A file whose last line is shown in one place of the notebook's output.

    A stored notebook holds the last text shown, and nbval compares the first: both are
    empty.
    """

    def __init__(self) -> None:
        self.handle = display(HTML(""), display_id=True)

    def write(self, text: str) -> None:
        line = text.strip()
        self.handle.update(HTML(f"<pre>{html.escape(line)}</pre>" if line else ""))

    def flush(self) -> None:
        """Do nothing: every line is shown at once."""


def progress_output() -> TextIO | _NotebookOutput:
    """Return the place for progress bars: of a notebook's cell, or the terminal."""
    in_notebook = hasattr(get_ipython(), "kernel")
    return _NotebookOutput() if in_notebook else sys.stderr


def progress_bar(
    batches: Iterable,
    description: str,
    output: TextIO | _NotebookOutput,
    total: int | None = None,
    done: int = 0,
) -> tqdm:
    """Return a bar that counts the batches as they are iterated over.

    It disappears when it is closed, and never appears in a log.

    Args:
        batches: What is iterated over.
        description: Text before the bar.
        output: Place of the bar.
        total: Number of batches of which `batches` are the last; None: their number.
        done: Number of batches before them.
    """
    return tqdm(
        batches,
        description,
        total=total,
        initial=done,
        file=output,
        disable=None,
        leave=False,
        ascii=False,
        ncols=80,
        unit="batch",
    )
