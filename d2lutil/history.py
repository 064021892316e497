"""What a training run measured, how far it is, and its learning curve."""

import io
from dataclasses import dataclass, field
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator


@dataclass(repr=False)
class History:
    """The measurements of a training run, one number per epoch in each list.

    In Jupyter it shows as the learning curve.

    Attributes:
        loss: Sum of the losses divided by the number of examples.
        train_acc: Accuracy on the training examples, measured while training.
        test_acc: Accuracy on the test examples, measured after the epoch.
        seconds: Time of the epoch with its test, in seconds.
    """

    loss: list[float] = field(default_factory=list)
    train_acc: list[float] = field(default_factory=list)
    test_acc: list[float] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        """Return a text that is the same for every run of that many epochs."""
        return f"History(num_epochs={len(self.loss)})"

    def plot(self) -> Figure:
        """Draw the learning curve: the loss, and beside it both accuracies."""
        # A figure of its own, because pyplot would show it a second time in Jupyter.
        figure = Figure(figsize=(7, 2.5), layout="constrained", facecolor="white")
        loss_axes, acc_axes = figure.subplots(1, 2)
        epochs = range(1, len(self.loss) + 1)
        loss_axes.plot(epochs, self.loss, "o-", label="loss")
        acc_axes.plot(epochs, self.train_acc, "o-", label="train acc")
        acc_axes.plot(epochs, self.test_acc, "s--", label="test acc")
        for axes in (loss_axes, acc_axes):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
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


@dataclass
class Progress:
    """How far a training run is.

    Attributes:
        history: The measurements of the finished epochs.
        lines: The lines that were printed for them.
        is_finite: Whether the loss and all parameters were finite until now.
        num_batches: Number of batches that the present epoch has trained on.
        loss_sum: Sum of their losses.
        num_correct: Number of their examples that were classified correctly.
        num_examples: Number of their examples.
        seconds: Time of the present epoch until now, in seconds.
    """

    history: History = field(default_factory=History)
    lines: list[str] = field(default_factory=list)
    is_finite: bool = True
    num_batches: int = 0
    loss_sum: float = 0.0
    num_correct: float = 0.0
    num_examples: int = 0
    seconds: float = 0.0

    @classmethod
    def of(cls, values: dict[str, Any]) -> "Progress":
        """Make it from what `dataclasses.asdict` returned."""
        return cls(**values | {"history": History(**values["history"])})

    @property
    def epoch(self) -> int:
        """The number of the present epoch, from 1."""
        return len(self.history.loss) + 1

    @property
    def mean_loss(self) -> float:
        """The loss per example in the present epoch."""
        return self.loss_sum / self.num_examples

    def add_batch(self, loss_sum: float, num_correct: float, num_examples: int) -> None:
        """Count a batch."""
        self.num_batches += 1
        self.loss_sum += loss_sum
        self.num_correct += num_correct
        self.num_examples += num_examples

    def end_epoch(self, test_acc: float) -> None:
        """Note what the present epoch measured and begin the next one."""
        self.history.loss.append(self.mean_loss)
        self.history.train_acc.append(self.num_correct / self.num_examples)
        self.history.test_acc.append(test_acc)
        self.history.seconds.append(self.seconds)
        self.num_batches, self.num_examples = 0, 0
        self.loss_sum, self.num_correct, self.seconds = 0.0, 0.0, 0.0
