"""What a training run measured: the line of an epoch, the curve, what was recorded."""

import io
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from d2lutil.pages import sections
from d2lutil.settings import Images

# What gluonbook's line for an epoch says after its number.
MEASUREMENTS = (
    "loss {loss:.4f}, train acc {train_acc:.3f}, test acc {test_acc:.3f}, "
    "time {seconds:.1f} sec"
)


@dataclass(repr=False)
class History:
    """The measurements of a training run, one number per epoch in each list.

    In Jupyter it shows as the learning curve.

    Attributes:
        loss: Mean of the losses.
        train_acc: Accuracy on the training examples, measured while training.
        test_acc: Accuracy on the test examples, measured after the epoch.
        seconds: Time of the epoch with its test, in seconds.
        images: Which images a recorded training used; None where it is not known.
        updates: Mean loss of the batch of each update; none where it is not known.
        num_classes: Number of classes, if the loss is cross-entropy: it is its
            logarithm as long as all classes are equally likely for the network.
    """

    loss: list[float] = field(default_factory=list)
    train_acc: list[float] = field(default_factory=list)
    test_acc: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    images: Images | None = None
    updates: list[float] = field(default_factory=list)
    num_classes: int | None = None

    def __repr__(self) -> str:
        """Return a text that is the same for every run of that many epochs."""
        return f"History(num_epochs={self.num_epochs})"

    @property
    def num_epochs(self) -> int:
        """The number of epochs that were measured."""
        return len(self.loss)

    def add(
        self,
        loss: float,
        train_acc: float,
        test_acc: float,
        seconds: float,
        updates: Sequence[float] = (),
    ) -> None:
        """Note what an epoch measured."""
        self.loss.append(loss)
        self.train_acc.append(train_acc)
        self.test_acc.append(test_acc)
        self.seconds.append(seconds)
        self.updates.extend(updates)

    def line(self, epoch: int, with_time: bool = True) -> str:
        """Return the line that is printed for an epoch, counted from 1.

        Example:
            >>> History([2.3], [0.1], [0.2], [1.5]).line(1)
            'epoch 1, loss 2.3000, train acc 0.100, test acc 0.200, time 1.5 sec'
        """
        measurements = MEASUREMENTS.format(
            loss=self.loss[epoch - 1],
            train_acc=self.train_acc[epoch - 1],
            test_acc=self.test_acc[epoch - 1],
            seconds=self.seconds[epoch - 1],
        )

        line = f"epoch {epoch}, {measurements}"
        return line if with_time else line.rpartition(", time ")[0]

    @classmethod
    def parse(cls, text: str) -> "History":
        """Return the measurements in a text, from the lines that `line` makes.

        Example:
            >>> History.parse(History([2.3], [0.1], [0.2], [1.5]).line(1)).test_acc
            [0.2]
        """
        pattern = rf"^epoch \d+, {measurements_pattern()}$"
        history = cls()
        for row in re.findall(pattern, text, re.MULTILINE):
            loss, train_acc, test_acc, seconds = map(float, row)
            history.add(loss, train_acc, test_acc, seconds)
        return history

    def plot(self) -> Figure:
        """Draw the learning curve: the loss, and beside it both accuracies.

        Where they are known, the losses of the updates are a thin line, and a dotted
        one is where the plateau lies that many networks start on.
        """
        # A figure of its own, because pyplot would show it a second time in Jupyter.
        figure = Figure(figsize=(7, 2.5), layout="constrained", facecolor="white")
        loss_axes, acc_axes = figure.subplots(1, 2)
        epochs = range(1, self.num_epochs + 1)

        if self.updates:
            positions = np.linspace(0, self.num_epochs, len(self.updates) + 1)[1:]
            loss_axes.plot(positions, self.updates, "0.7", lw=0.6, label="each update")
        loss_axes.plot(epochs, self.loss, "o-", label="loss")
        if self.num_classes:
            guessing = math.log(self.num_classes)
            label = f"ln {self.num_classes}"
            loss_axes.axhline(guessing, color="black", ls=":", label=label)
        acc_axes.plot(epochs, self.train_acc, "o-", label="train acc")
        acc_axes.plot(epochs, self.test_acc, "s--", label="test acc")

        for axes in (loss_axes, acc_axes):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
            axes.set_xlabel("epoch")
            axes.grid(alpha=0.3)
            axes.legend()

        return figure

    def _repr_png_(self) -> tuple[bytes, dict[str, int]]:
        """Return the curve as PNG at double resolution, and its size on the page."""
        figure = self.plot()
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=2 * figure.dpi)
        width, height = figure.get_size_inches() * figure.dpi
        return png.getvalue(), {"width": round(width), "height": round(height)}


def measurements_pattern() -> str:
    """Return a regular expression of what an epoch measured, a group for each number.

    Numbers that are not finite do not match.
    """
    return re.sub(
        r"\{\w+:\.(\d)f\}", lambda field: rf"(\d+\.\d{{{field[1]}}})", MEASUREMENTS
    )


def recorded_history(name: str, scale: str = "lesson", control: str = "") -> History:
    """Return what a section's own training printed when its notebook was stored.

    Args:
        name: Name of the notebook without its ending: "08-nin".
        scale: Run scale of the training, lesson or full.
        control: Name of a network that the section only compares others with, if its
            training is meant.

    Raises:
        ValueError: There is no such section, or no such run was stored in it.

    Example:
        >>> recorded_history("08-nin")
        History(num_epochs=5)
    """
    noted = sections.read(name)["metadata"].get("d2lutil", {}).get("histories", {})
    training = f"{control}, {scale}" if control else scale
    if training not in noted:
        there = "; ".join(noted) or "none"
        raise ValueError(
            f"The book holds no training of {name} at scale {training}; there is: "
            f"{there}."
        )

    images = noted[training].get("images")
    return History(**noted[training] | {"images": images and Images(**images)})
