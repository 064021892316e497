"""Measure the networks in all variants and print the tables: `make bench`.

Each measurement is a process of its own. Variants alternate, and each number is the
median of the rounds, because the speed of a machine changes while it is measured.
"""

import argparse
import datetime
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

from loky import cpu_count

from benchmarks.steps import TASKS

K = TypeVar("K")

ROOT = Path(__file__).parents[1]

# Variables that change threads, memory or what d2lutil does: only variants set them.
SETTINGS = (
    *("OMP_", "GOMP_", "KMP_", "MKL_", "DNNL_", "ONEDNN_", "TORCH_", "TORCHINDUCTOR_"),
    *("MALLOC_", "GLIBC_TUNABLES", "MXNET_", "D2LUTIL_"),
)

# d2lutil leaves malloc alone where such a variable is set. This one's value is the
# default of glibc; others, such as MALLOC_TOP_PAD_, fix the threshold for mmap too.
MALLOC_OF_GLIBC = {"MALLOC_PERTURB_": "0"}


@dataclass(frozen=True, eq=False)
class Variant:
    """A way to train a network.

    Attributes:
        name: What the tables call it.
        module: The program that measures it.
        arguments: What the program is told after the section.
        environment: Variables that are set for it.
    """

    name: str
    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def is_torch(self) -> bool:
        """Whether it needs PyTorch."""
        return self.module == "benchmarks.measure_torch"

    @property
    def dtype(self) -> str:
        """The type that it computes in."""
        settings = (*self.arguments, *self.environment.values())
        return "bfloat16" if "bfloat16" in settings else "float32"


def _mxnet(name: str, package: str, **environment: str) -> Variant:
    return Variant(name, "benchmarks.measure_mxnet", (package,), environment)


def _torch(dtype: str, layout: str, mode: str) -> Variant:
    usual = ("contiguous_format", "float32", "eager")
    name = ["PyTorch", *(s for s in (mode, layout, dtype) if s not in usual)]
    return Variant(", ".join(name), "benchmarks.measure_torch", (dtype, layout, mode))


GLUONBOOK = _mxnet("gluonbook", "gluonbook", **MALLOC_OF_GLIBC)
D2LUTIL = [
    _mxnet("d2lutil", "d2lutil"),
    _mxnet("d2lutil, compiled", "d2lutil", D2LUTIL_COMPILE="1"),
    _mxnet("d2lutil, compiled, bfloat16", "d2lutil", D2LUTIL_DTYPE="bfloat16"),
]
VARIANTS = [
    GLUONBOOK,
    _mxnet("d2lutil, all cores only", "d2lutil", **MALLOC_OF_GLIBC),
    *D2LUTIL,
    *(
        _torch(dtype, layout, mode)
        for dtype in ("float32", "bfloat16")
        for mode in ("eager", "compiled")
        for layout in ("contiguous_format", "channels_last")
    ),
]


@dataclass(frozen=True)
class Result:
    """What was measured for a network in a variant.

    Attributes:
        images_per_second: Speed of training.
        peak_mib: Most memory that the process held at a time, in MiB.
    """

    images_per_second: float
    peak_mib: float


# Results by section and variant.
Results = dict[tuple[str, Variant], Result]


def median_result(results: Sequence[Result]) -> Result:
    """Return the median of each number over the rounds."""
    return Result(
        statistics.median(result.images_per_second for result in results),
        statistics.median(result.peak_mib for result in results),
    )


def share_of_limit(
    images_per_second: float, multiply_adds: int, limit_gflops: float
) -> float:
    """Return which share of the limit training reaches.

    A multiply-add is two operations. The backward pass takes two products for each
    one of the forward pass: for the gradients of the inputs and of the weights.

    Args:
        images_per_second: Speed of training.
        multiply_adds: Multiply-adds of the forward pass per image.
        limit_gflops: Floating-point operations per second at best, in 10^9.
    """
    return 3 * 2 * multiply_adds * images_per_second / (limit_gflops * 1e9)


def report(
    results: Results, multiply_adds: dict[str, int], limits: dict[str, float]
) -> str:
    """Return the tables of speed, memory and share of the limit, in Markdown.

    Args:
        results: The result of every variant on every section.
        multiply_adds: Multiply-adds per image of each section's network.
        limits: Floating-point operations per second at best, in 10^9, by type. The
            limit for bfloat16 is the higher one: float32 is always a choice.
    """
    limits = limits | {"bfloat16": max(limits.values())}

    def speed(section: str, variant: Variant) -> str:
        images_per_second = results[section, variant].images_per_second
        ratio = images_per_second / results[section, GLUONBOOK].images_per_second
        return f"{images_per_second:.1f} ({ratio:.2f}×)"

    def memory(section: str, variant: Variant) -> str:
        return f"{results[section, variant].peak_mib:.0f}"

    def share(section: str, variant: Variant) -> str:
        images_per_second = results[section, variant].images_per_second
        limit = limits[variant.dtype]
        return f"{share_of_limit(images_per_second, multiply_adds[section], limit):.0%}"

    return "\n\n".join(
        _table(title, results, cell)
        for title, cell in (
            ("images/s (× gluonbook)", speed),
            ("peak memory, MiB", memory),
            ("share of the limit", share),
        )
    )


def _table(title: str, results: Results, cell: Callable[[str, Variant], str]) -> str:
    """Return a table with a line for each variant and a column for each section."""
    sections = list(dict.fromkeys(section for section, _ in results))
    variants = list(dict.fromkeys(variant for _, variant in results))
    rows = [[v.name, *(cell(section, v) for section in sections)] for v in variants]
    return markdown_table([title, *sections], rows)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a table in Markdown; all columns but the first hold numbers."""
    rule = ["---", *("--:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (header, rule, *rows))


def output_of(python: str, *command: str, **environment: str) -> str:
    """Run a program of this folder in a new process; return what it prints.

    Args:
        python: Interpreter to run it with.
        *command: Module and arguments.
        **environment: Variables to set; other settings of threads, memory or d2lutil
            are taken away.

    Raises:
        RuntimeError: The program failed.
    """
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(SETTINGS)}
    run = subprocess.run(
        [python, "-m", *command],
        cwd=ROOT,
        env=inherited | environment,
        capture_output=True,
        text=True,
    )
    if run.returncode:
        raise RuntimeError(f"{' '.join(command)} failed; mend this:\n{run.stderr}")
    return run.stdout


def measure(python: str, *command: str, **environment: str) -> dict:
    """Run a program as `output_of` does; return the result, JSON in its last line."""
    return json.loads(output_of(python, *command, **environment).splitlines()[-1])


@dataclass(frozen=True)
class Command:
    """What measures something in a process of its own.

    Attributes:
        python: Interpreter.
        arguments: Module and its arguments.
        environment: Variables that are set for it.
    """

    python: str
    arguments: tuple[str, ...]
    environment: dict[str, str]


def command_of(
    section: str, variant: Variant, *size: int, python: str = sys.executable
) -> Command:
    """Return what measures a section's network.

    Args:
        section: Name of the section.
        variant: How it is trained.
        *size: Batch size and pixels, where they are not the section's.
        python: Interpreter.
    """
    arguments = (variant.module, section, *variant.arguments, *map(str, size))
    return Command(python, arguments, variant.environment)


def measure_all(commands: dict[K, Command], rounds: int) -> dict[K, Result]:
    """Run all commands, in turn; return the medians. Tell progress on stderr.

    Args:
        commands: What measures each result.
        rounds: How many times each is measured.
    """
    measured: dict[K, list[Result]] = {name: [] for name in commands}
    for number in range(1, rounds + 1):
        for name, command in commands.items():
            result = Result(
                **measure(command.python, *command.arguments, **command.environment)
            )
            measured[name].append(result)
            set_for_it = " ".join(f"{k}={v}" for k, v in command.environment.items())
            print(
                f"round {number}/{rounds}, {set_for_it} {' '.join(command.arguments)}: "
                f"{result.images_per_second:.1f} images/s, {result.peak_mib:.0f} MiB",
                file=sys.stderr,
            )
    return {name: median_result(results) for name, results in measured.items()}


def torch_build(python: str) -> str | None:
    """Return the build of PyTorch that an interpreter imports, or None."""
    code = (
        "import re, torch; show = torch.__config__.show(); "
        "onednn = re.search(r'MKL-DNN v([\\d.]+)', show)[1]; "
        "print(f'torch {torch.__version__} (oneDNN {onednn}, ' + "
        "torch.backends.cpu.get_cpu_capability() + ')')"
    )
    try:
        run = subprocess.run([python, "-c", code], capture_output=True, text=True)
    except OSError:
        return None
    return None if run.returncode else run.stdout.strip()


def sections_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of a command line that names sections, by default all."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument(
        "sections",
        nargs="*",
        type=_section,
        metavar="SECTION",
        default=list(TASKS),
        help="default: all",
    )
    return parser


def rounds_parser(description: str) -> argparse.ArgumentParser:
    """Return a parser of a command line that says how many rounds there are."""
    parser = argparse.ArgumentParser(description=description)
    add_rounds(parser)
    return parser


def add_rounds(parser: argparse.ArgumentParser) -> None:
    """Let a command line say how many rounds there are."""
    parser.add_argument("--rounds", type=_positive, default=3)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: give 1 or more.")
    return int(text)


def _section(name: str) -> str:
    if name not in TASKS:
        raise argparse.ArgumentTypeError(f"{name}: choose from {', '.join(TASKS)}.")
    return name


def main() -> None:
    """Measure what the command line asks for and print the tables."""
    parser = sections_parser(__doc__)
    add_rounds(parser)
    parser.add_argument("--torch-python", default=sys.executable)
    arguments = parser.parse_args()
    sections = arguments.sections
    torch_python = arguments.torch_python
    torch = torch_build(torch_python)
    variants = [v for v in VARIANTS if torch or not v.is_torch]
    limits = {
        dtype: measure(sys.executable, "benchmarks.measure_peak", dtype)["gflops"]
        for dtype in ("float32", "bfloat16")
    }
    if not limits["bfloat16"]:
        # There, d2lutil computes in float32.
        del limits["bfloat16"]
        variants = [v for v in variants if v.is_torch or v.dtype != "bfloat16"]
    commands = {
        (section, v): command_of(
            section, v, python=torch_python if v.is_torch else sys.executable
        )
        for section in sections
        for v in variants
    }
    results = measure_all(commands, arguments.rounds)
    packages = [f"{name} {version(name)}" for name in ("mxnet", "gluonbook")]
    packages.append(torch or "PyTorch left out: not importable")
    print(
        f"{machine()}; {', '.join(packages)}; median of {arguments.rounds} round(s). "
        f"Limit: {limits['float32']:.0f} GFLOP/s in float32, "
        + (
            f"{limits['bfloat16']:.0f} in bfloat16.\n"
            if "bfloat16" in limits
            else "no bfloat16 in d2lutil: the processor has no instructions.\n"
        )
    )
    print(report(results, _multiply_adds(sections), limits))


# A process inherits the peak of the memory of the one that starts it, so MXNet is
# imported when all is measured.
def machine() -> str:
    """Return the date, the processor and its number of cores."""
    from d2lutil.device import processor_name

    cores = cpu_count(only_physical_cores=True)
    return f"{datetime.date.today()}; {processor_name()}, {cores} core(s)"


def _multiply_adds(sections: Sequence[str]) -> dict[str, int]:
    """Return the multiply-adds per image of the sections' networks."""
    from d2lutil import load_section, network_cost

    return {
        section: network_cost(
            load_section(section).net, (1, *TASKS[section].input_shape[1:])
        ).multiply_adds
        for section in sections
    }


if __name__ == "__main__":
    main()
