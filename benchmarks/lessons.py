"""Compare the ways to train at the size that a lesson takes: `make lessons`."""

from benchmarks import run
from benchmarks.steps import SMALL_TASKS, TASKS
from d2lutil.history import recorded_history

AS_IT_RUNS = run.D2LUTIL[0]


def lesson_pixels(section: str) -> int:
    """Return the height of the images in a section's recorded lesson."""
    images = recorded_history(section).images
    assert images, "recording notes them"
    return images.height


def main() -> None:
    """Measure all networks and print a table."""
    rounds = run.rounds_parser(__doc__).parse_args().rounds
    tasks = SMALL_TASKS | TASKS
    pixels = {section: lesson_pixels(section) for section in tasks}
    commands = {
        (section, variant): run.command_of(
            section, variant, task.batch_size, pixels[section]
        )
        for section, task in tasks.items()
        for variant in run.D2LUTIL
    }
    results = run.measure_all(commands, rounds)

    def cell(section: str, variant: run.Variant) -> str:
        speed = results[section, variant].images_per_second
        ratio = speed / results[section, AS_IT_RUNS].images_per_second
        return f"{speed:.0f} ({ratio:.2f}×)"

    print(f"{run.machine()}; median of {rounds} round(s).\n")
    rows = [
        [section, f"{task.batch_size}", f"{pixels[section]}"]
        + [cell(section, variant) for variant in run.D2LUTIL]
        for section, task in tasks.items()
    ]
    header = ["images/s", "batch size", "pixels", *(v.name for v in run.D2LUTIL)]
    print(run.markdown_table(header, rows))


if __name__ == "__main__":
    main()
