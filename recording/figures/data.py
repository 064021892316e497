"""Write the numbers that figures show: `python -m recording.figures.data residual`.

They lie beside the module of the figure, as JSON. Those of `residual` take minutes, and
those of `features.nin` and its like train the network of a section.
"""

import argparse
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from d2lutil.pages import explorable
from recording.figures.convolution import convolution_data
from recording.figures.curves import curves
from recording.figures.features import NETWORKS, section_features
from recording.figures.residual import residual_data

# What is collected within seconds.
QUICK: dict[str, Callable[[], dict[str, Any]]] = {
    "convolution": convolution_data,
    "curves": curves,
}
DATA = QUICK | {
    "residual": residual_data,
    **{
        f"features.{network.name}": partial(section_features, section)
        for section, network in NETWORKS.items()
    },
}


def text(name: str) -> str:
    """Return what the file of that name holds.

    Args:
        name: A key of `DATA`.
    """
    return written(DATA[name]())


def written(numbers: dict[str, Any]) -> str:
    """Return numbers as a file holds them."""
    return json.dumps(numbers, ensure_ascii=False, separators=(",", ":")) + "\n"


def write(name: str) -> None:
    """Collect or measure numbers, and write their file.

    Args:
        name: A key of `DATA`.
    """
    (explorable.FOLDER / f"{name}.json").write_text(text(name), encoding="utf-8")


def main() -> None:
    """Write what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=DATA, metavar="NAME")
    for name in parser.parse_args().names:
        write(name)


if __name__ == "__main__":
    main()
