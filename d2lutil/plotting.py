"""Figures and times, on top of matplotlib and d2l."""

from collections.abc import Sequence
from types import TracebackType

import numpy as np
from IPython import get_ipython
from IPython.display import display
from matplotlib import pyplot as plt
from matplotlib_inline.backend_inline import set_matplotlib_formats
from mxnet import nd


def use_svg_display() -> None:
    """Show figures in Jupyter as PNG at double resolution.

    The name is the one of `gluonbook.use_svg_display`. The format is not: JupyterLab
    shows stored SVG figures of a notebook that is not yet trusted as text.

    Example:
        >>> use_svg_display()
    """
    if get_ipython():
        set_matplotlib_formats("retina")


def set_figsize(figsize: tuple[float, float] = (3.5, 2.5)) -> None:
    """Set the size of the figures that follow.

    Mirrors `gluonbook.set_figsize`.

    Args:
        figsize: Width and height in inches.

    Example:
        >>> set_figsize((6, 4))
        >>> plt.rcParams["figure.figsize"]
        [6.0, 4.0]
    """
    use_svg_display()
    plt.rcParams["figure.figsize"] = figsize


def show(**numbers: float) -> None:
    """Show the figures drawn so far, and keep numbers with them that the text quotes.

    What a figure shows depends on the machine and on the scale of the run, so it is not
    printed; the numbers are kept in the metadata of the output, where the test of the
    book compares the text with them.

    Args:
        **numbers: A number for each name.

    Example:
        >>> plt.plot([1, 2, 4])  # doctest: +ELLIPSIS
        [...]
        >>> show(growth=2.0)
    """
    if not get_ipython():
        plt.show()
        return
    for number in plt.get_fignums():
        noted = {name: float(value) for name, value in numbers.items()}
        display(plt.figure(number), metadata={"d2lutil": noted})
    plt.close("all")


def semilogy(
    x_vals: Sequence[float],
    y_vals: Sequence[float],
    x_label: str,
    y_label: str,
    x2_vals: Sequence[float] | None = None,
    y2_vals: Sequence[float] | None = None,
    legend: Sequence[str] | None = None,
    figsize: tuple[float, float] = (3.5, 2.5),
) -> None:
    """Draw one or two curves over x, with a logarithmic scale for y.

    Mirrors `gluonbook.semilogy`.

    Args:
        x_vals: Places of the first curve.
        y_vals: Its values, greater than 0.
        x_label: Text below the figure.
        y_label: Text beside the figure.
        x2_vals: Places of the second curve, which is dotted.
        y2_vals: Its values.
        legend: A name for each of two curves.
        figsize: Width and height in inches.

    Example:
        >>> semilogy([1, 2, 3], [1.0, 0.1, 0.01], "epoch", "loss")
    """
    set_figsize(figsize)
    plt.xlabel(x_label)
    plt.ylabel(y_label)
    plt.semilogy(x_vals, y_vals)

    if x2_vals is not None and y2_vals is not None:
        plt.semilogy(x2_vals, y2_vals, linestyle=":")
        plt.legend(legend)

    plt.show()


def show_images(
    imgs: Sequence[nd.NDArray], num_rows: int, num_cols: int, scale: float = 2
) -> np.ndarray:
    """Draw images in a grid, row by row, and return its axes.

    Mirrors `gluonbook.show_images`.

    Args:
        imgs: At least `num_rows * num_cols` images, (height, width) or
            (height, width, 3).
        num_rows: Number of rows.
        num_cols: Number of columns.
        scale: Edge length of one image in inches.

    Returns:
        Array of matplotlib axes, (num_rows, num_cols).

    Raises:
        ValueError: There are fewer images than places.

    Example:
        >>> show_images(nd.ones((6, 28, 28)), num_rows=2, num_cols=3).shape
        (2, 3)
    """
    if len(imgs) < num_rows * num_cols:
        raise ValueError(
            f"{len(imgs)} images do not fill {num_rows} rows of {num_cols}; "
            f"give more images or ask for fewer rows or columns."
        )

    figsize = (num_cols * scale, num_rows * scale)
    _, axes = plt.subplots(num_rows, num_cols, figsize=figsize, squeeze=False)

    for ax, img in zip(axes.flat, imgs, strict=False):
        ax.imshow(img.asnumpy())
        _hide_axes(ax)
    return axes


def show_fashion_mnist(images: Sequence[nd.NDArray], labels: Sequence[str]) -> None:
    """Draw images in one row, each under its label.

    Mirrors `gluonbook.show_fashion_mnist`.

    Args:
        images: Square images of one channel, in any shape; 28 x 28 pixels or resized.
        labels: The text above each image.

    Example:
        >>> show_fashion_mnist(nd.ones((2, 1, 28, 28)), ["bag", "coat"])
    """
    use_svg_display()
    _, axes = plt.subplots(1, len(images), figsize=(12, 12), squeeze=False)

    for ax, image, label in zip(axes.flat, images, labels, strict=False):
        edge = round(image.size**0.5)
        ax.imshow(image.reshape((edge, edge)).asnumpy())
        ax.set_title(label)
        _hide_axes(ax)


def _hide_axes(ax: plt.Axes) -> None:
    ax.get_xaxis().set_visible(False)
    ax.get_yaxis().set_visible(False)


class Benchmark:
    """Print how long the code inside a `with` block took.

    Mirrors `gluonbook.Benchmark`.

    Args:
        prefix: Text before the time, which is in seconds.

    Example:
        >>> with Benchmark("sum"):  # doctest: +ELLIPSIS
        ...     _ = nd.ones(10).sum().asscalar()
        sum time: ... sec
    """

    def __init__(self, prefix: str | None = None) -> None:
        self.prefix = prefix + " " if prefix else ""
        # Loading d2l takes seconds: only here, and before the clock starts.
        from d2l.mxnet import Timer

        self.timer = Timer()

    def __enter__(self) -> None:
        """Start the clock."""
        self.timer.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Print the time in seconds."""
        print(f"{self.prefix}time: {self.timer.stop():.4f} sec")
