"""What a training shows in a notebook, and what is left when the reader stops it."""

import html
from collections.abc import Iterator
from contextlib import contextmanager

from IPython import get_ipython
from IPython.display import HTML, display

from d2lutil.checks import TrainingInterrupted
from d2lutil.history import History


def in_notebook() -> bool:
    """Tell whether a notebook's kernel runs this."""
    return hasattr(get_ipython(), "kernel")


class NotebookCell:
    """A place in a cell's output: lines, and a last line that is replaced.

    It is the file that tqdm writes its bar to.
    """

    def __init__(self) -> None:
        self._handle = display(HTML(""), display_id=True)
        self._lines: list[str] = []

    def print(self, line: str) -> None:
        """Add a line, above the one that is replaced."""
        self._lines.append(line)
        self._show()

    def write(self, text: str) -> None:
        """Replace the last line."""
        self._show(text.strip())

    def flush(self) -> None:
        """Do nothing: every line is shown at once."""

    def close(self) -> None:
        """Leave the lines as text, as if they had been printed one by one."""
        self._handle.update(HTML(""))
        for line in self._lines:
            print(line)

    def _show(self, bar: str = "") -> None:
        text = "\n".join([*self._lines, *filter(None, [bar])])
        self._handle.update(HTML(f"<pre>{html.escape(text)}</pre>" if text else ""))


@contextmanager
def interruption_told(history: History) -> Iterator[None]:
    """Show the curve so far and one line where the reader stops a training."""
    try:
        yield
    except KeyboardInterrupt:
        if history.loss and get_ipython():
            display(history)
        raise TrainingInterrupted(
            f"Interrupted in epoch {history.num_epochs + 1}; the network keeps what it "
            "has learned."
        ) from None
