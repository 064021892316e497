"""Measure how long a reader waits for a section's first batch: `make start`.

From the start of Python, without that of a notebook's kernel.
"""

import statistics
import subprocess
import sys
import time

from benchmarks import run
from benchmarks.steps import SMALL_TASKS, TASKS


def seconds_to_first_batch(section: str) -> float:
    """Run a section in a new process until its first batch is trained."""
    start = time.time()
    end = run.measure(
        sys.executable, "benchmarks.first_batch", section, D2LUTIL_SCALE="lesson"
    )
    return end["time"] - start


def seconds_to_import() -> float:
    """Import d2lutil in a new process; return how long that takes without Python."""
    code = (
        "import time; start = time.perf_counter(); import d2lutil; "
        "print(time.perf_counter() - start)"
    )
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def main() -> None:
    """Measure all sections that train a network; print a table."""
    rounds = run.rounds_parser(__doc__).parse_args().rounds
    sections = sorted(TASKS | SMALL_TASKS)
    measured: dict[str, list[float]] = {name: [] for name in ["import", *sections]}
    for _ in range(rounds):
        measured["import"].append(seconds_to_import())
        for section in sections:
            measured[section].append(seconds_to_first_batch(section))

    print(f"{run.machine()}; median of {rounds} round(s).\n")
    rows = [[name, f"{statistics.median(s):.2f}"] for name, s in measured.items()]
    print(run.markdown_table(["", "seconds"], rows))


if __name__ == "__main__":
    main()
