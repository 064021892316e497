"""The progress of a training: its finished lines, and below them a bar.

The bar leaves nothing behind, in a terminal and in a notebook, and is never in a log.
"""

import sys
from collections.abc import Iterable, Iterator
from operator import length_hint

from tqdm import tqdm

from d2lutil.engine.notebook import NotebookCell, in_notebook


class Progress:
    """Print the lines of a training while a bar below them counts its batches.

    In a notebook both are shown in one place of the output, and the lines become
    ordinary text when the training ends, however it ends.  A stored notebook holds the
    last content of that place, and nbval compares the first: both are empty.

    Args:
        data_iter: Loader of the batches.
        num_epochs: Number of passes over them.
        num_done: Number of passes that were made before.
        lines: What was printed for these, to be printed again.

    Attributes:
        lines: All that was printed.
    """

    def __init__(
        self, data_iter: Iterable, num_epochs: int, num_done: int, lines: Iterable[str]
    ) -> None:
        self.lines: list[str] = []
        self._num_epochs = num_epochs

        num_batches = length_hint(data_iter) or None
        self._cell = NotebookCell() if in_notebook() else None
        self._bar = tqdm(
            total=num_batches and num_batches * num_epochs,
            initial=(num_batches or 0) * num_done,
            file=self._cell or sys.stderr,
            disable=None,  # not in a log
            leave=False,
            ascii=False,
            ncols=80 if self._cell else None,
            dynamic_ncols=not self._cell,
            unit="batch",
            smoothing=0,  # the time left is that of the whole training
        )

        for line in lines:
            self.print(line)

    def __enter__(self) -> "Progress":
        """Start to show it."""
        return self

    def __exit__(self, *error: object) -> None:
        """Remove the bar; the lines stay."""
        self._bar.close()
        if self._cell:
            self._cell.close()

    def batches(self, data_iter: Iterable, epoch: int) -> Iterator:
        """Yield the batches of an epoch, counted from 1, and count them."""
        self._bar.set_description(f"epoch {epoch}/{self._num_epochs}", refresh=False)
        for batch in data_iter:
            yield batch
            self._bar.update()

    def show_loss(self, loss: float) -> None:
        """Note the mean loss of the epoch beside the bar."""
        self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)

    def print(self, line: str) -> None:
        """Print a line above the bar."""
        self.lines.append(line)
        if self._cell:
            self._cell.print(line)
        else:
            self._bar.write(line, file=sys.stdout)

    def print_once(self, line: str) -> None:
        """Print a line, unless it was printed before."""
        if line not in self.lines:
            self.print(line)
