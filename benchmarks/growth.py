"""Measure how a step of ResNet-18 grows: `make growth`.

Draws time and memory against batch size, pixels and threads into `growth.png`, and
prints them.
"""

from collections.abc import Callable
from pathlib import Path

from loky import cpu_count
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

from benchmarks import run

SECTION = "11-resnet"
FIGURE = Path(__file__).with_name("growth.png")

NUM_CORES = cpu_count(only_physical_cores=True)
BATCH_SIZES = [8, 16, 32, 64, 128, 256, 512]
PIXELS = [48, 64, 96, 128, 160, 192, 224]
THREADS = list(range(1, NUM_CORES + 1))

# What grows, along which values; batch size, pixels and threads at each.
Point = tuple[int, int, int]
AXES: dict[str, tuple[list[int], Callable[[int], Point]]] = {
    "batch size, 96 pixels": (BATCH_SIZES, lambda n: (n, 96, NUM_CORES)),
    "pixels, batch size 64": (PIXELS, lambda n: (64, n, NUM_CORES)),
    "threads, batch size 256, 96 pixels": (THREADS, lambda n: (256, 96, n)),
}
VARIANTS = run.D2LUTIL[:2]

Results = dict[tuple[run.Variant, Point], run.Result]


def command(variant: run.Variant, point: Point) -> run.Command:
    """Return what measures a point."""
    batch_size, pixels, num_threads = point
    measured = run.command_of(SECTION, variant, batch_size, pixels)
    threads = {"OMP_NUM_THREADS": str(num_threads)}
    return run.Command(
        measured.python, measured.arguments, measured.environment | threads
    )


def seconds(results: Results, variant: run.Variant, point: Point) -> float:
    """Return how long a step takes."""
    return point[0] / results[variant, point].images_per_second


def gibibytes(results: Results, variant: run.Variant, point: Point) -> float:
    """Return the peak of the memory."""
    return results[variant, point].peak_mib / 1024


def plot(results: Results) -> Figure:
    """Draw time above and memory below, a column for each of `AXES`."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    fields = figure.subplots(2, len(AXES))
    for column, (label, (values, point)) in enumerate(AXES.items()):
        for axes, measure, unit in zip(
            fields[:, column],
            (seconds, gibibytes),
            ("seconds per step", "peak memory (GiB)"),
            strict=True,
        ):
            for variant, style in zip(VARIANTS, ("o-", "s--"), strict=True):
                ys = [measure(results, variant, point(n)) for n in values]
                axes.plot(values, ys, style, label=variant.name)
            axes.set(xscale="log", yscale="log", xlabel=label, ylabel=unit)
            axes.set_xticks(values, values, fontsize=8)
            # Also where an axis spans less than a power of ten.
            axes.yaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
            axes.yaxis.set_major_formatter("{x:g}")
            axes.minorticks_off()
            axes.grid(alpha=0.3)
        fields[0, column].legend()
    return figure


def table(results: Results) -> str:
    """Return the results, in Markdown."""
    points = dict.fromkeys(point(n) for values, point in AXES.values() for n in values)
    rows = []
    for point in points:
        numbers = [
            f"{measure(results, variant, point):.3f}"
            for variant in VARIANTS
            for measure in (seconds, gibibytes)
        ]
        rows.append([*map(str, point), *numbers])

    header = [f"{v.name}: {unit}" for v in VARIANTS for unit in ("s per step", "GiB")]
    return run.markdown_table(["batch size", "pixels", "threads", *header], rows)


def main() -> None:
    """Measure all points; print a table and store the figure."""
    rounds = run.rounds_parser(__doc__).parse_args().rounds
    commands = {
        (variant, point(n)): command(variant, point(n))
        for values, point in AXES.values()
        for n in values
        for variant in VARIANTS
    }
    results = run.measure_all(commands, rounds)
    plot(results).savefig(FIGURE, dpi=150)
    print(f"{run.machine()}; median of {rounds} round(s).\n\n{table(results)}")


if __name__ == "__main__":
    main()
