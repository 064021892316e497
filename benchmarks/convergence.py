"""Compare the loss in bfloat16 with that in float32: `make convergence`.

Draws the curves of both into `convergence.png` and prints their last points.
"""

import datetime
import sys
from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from benchmarks import run
from benchmarks.measure_loss import STEPS_PER_POINT
from d2lutil.device import processor_name
from d2lutil.engine.static_graph import has_bfloat16

FIGURE = Path(__file__).with_name("convergence.png")
ENVIRONMENTS = {
    "float32": {"D2LUTIL_SCALE": "lesson"},
    "bfloat16": {"D2LUTIL_SCALE": "lesson", "D2LUTIL_DTYPE": "bfloat16"},
}
# Losses by section and type.
Curves = dict[str, dict[str, Sequence[float]]]


def measure(section: str) -> dict[str, Sequence[float]]:
    """Train the network of a section in both types; return the losses by type."""
    return {
        dtype: run.measure(
            sys.executable, "benchmarks.measure_loss", section, **environment
        )["loss"]
        for dtype, environment in ENVIRONMENTS.items()
    }


def plot(curves: Curves) -> Figure:
    """Draw the curves, a field for each section."""
    figure = Figure(figsize=(9, 2.6 * -(-len(curves) // 3)), layout="constrained")
    fields = figure.subplots(-(-len(curves) // 3), 3, squeeze=False).flat
    for axes, (section, by_type) in zip(fields, curves.items(), strict=False):
        for (dtype, losses), line in zip(by_type.items(), ("-", "--"), strict=True):
            steps = [STEPS_PER_POINT * (k + 1) for k in range(len(losses))]
            axes.plot(steps, losses, line, label=dtype)
        axes.set(title=section, xlabel="step", ylabel="loss")
        axes.grid(alpha=0.3)
        axes.legend()
    return figure


def table(curves: Curves) -> str:
    """Return the last losses, in Markdown."""
    rows = [
        [dtype, *(f"{by_type[dtype][-1]:.3f}" for by_type in curves.values())]
        for dtype in ENVIRONMENTS
    ]
    return run.markdown_table(["loss at the end", *curves], rows)


def main() -> None:
    """Compare what the command line asks for; print a table and store the figure."""
    sections = run.sections_parser(__doc__).parse_args().sections
    if not has_bfloat16():
        sys.exit("This processor has no bfloat16 instructions: there is no loss in it.")
    curves = {section: measure(section) for section in sections}
    plot(curves).savefig(FIGURE, dpi=150)
    print(f"{datetime.date.today()}; {processor_name()}.\n\n{table(curves)}")


if __name__ == "__main__":
    main()
