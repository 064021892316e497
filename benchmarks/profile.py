"""Say where the time of a training step goes: `make profile`.

The kernels of oneDNN that MXNet runs report their times in oneDNN's own log. What a
step takes beyond them is MXNet's own operators, memory and waiting.
"""

import datetime
import sys
from collections import Counter
from collections.abc import Iterable

from benchmarks import run
from benchmarks.steps import MARK
from d2lutil.device import processor_name

VARIANTS = [
    variant
    for variant in run.VARIANTS
    if variant.name in ("d2lutil", "d2lutil, compiled", "d2lutil, compiled, bfloat16")
]
REST = "outside oneDNN"
STEP = "the step"


def milliseconds(log: Iterable[str]) -> Counter[str]:
    """Return the time of the last step of a log by kind of kernel, in milliseconds.

    Args:
        log: Lines of a program that printed `MARK` and a time in seconds before and
            after every step, with oneDNN's lines between them.
    """
    times: list[float] = []
    kernels: Counter[str] = Counter()
    for line in log:
        fields = line.strip().split(",")
        if fields[0] == MARK:
            times.append(float(fields[1]))
            last_step, kernels = kernels, Counter()
        elif fields[:2] == ["dnnl_verbose", "exec"]:
            kernels[fields[3]] += float(fields[-1])  # type: ignore[assignment]
    step = 1000 * (times[-1] - times[-2])
    return last_step + Counter({REST: step - last_step.total(), STEP: step})


def table(title: str, profiles: dict[str, Counter[str]]) -> str:
    """Return a table with a line for each kind and a column for each section.

    Args:
        title: What its corner says.
        profiles: Milliseconds by kind, by section.
    """
    total = sum(profiles.values(), Counter())
    kinds = [kind for kind, _ in total.most_common() if kind not in (REST, STEP)]
    rows = [
        [kind.replace("_", " "), *(f"{p[kind]:.0f}" for p in profiles.values())]
        for kind in (*kinds, REST, STEP)
    ]
    return run.markdown_table([title, *profiles], rows)


def profile(section: str, variant: run.Variant) -> Counter[str]:
    """Train a section's network in a new process; return `milliseconds` of a step."""
    output = run.output_of(
        sys.executable,
        "benchmarks.profile_step",
        section,
        *variant.arguments,
        **variant.environment,
        DNNL_VERBOSE="1",
    )
    return milliseconds(output.splitlines())


def main() -> None:
    """Profile what the command line asks for and print the tables."""
    sections = run.sections_parser(__doc__).parse_args().sections
    print(f"{datetime.date.today()}; {processor_name()}; milliseconds per step.\n")
    for variant in VARIANTS:
        profiles = {section: profile(section, variant) for section in sections}
        print(table(variant.name, profiles) + "\n", flush=True)


if __name__ == "__main__":
    main()
