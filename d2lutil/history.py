"""What a training run measured, and its learning curve."""

import io
from dataclasses import dataclass, field

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
