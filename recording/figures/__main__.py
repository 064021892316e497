"""Bring the interactive figures up to date: `make figures`.

What the recordings changed is collected anew, every state of a figure is photographed,
and the cells that show one get the picture. What takes minutes, the feature maps of a
trained network among it, has commands of its own: recording/figures/data.py.
"""

import sys

from d2lutil.pages import explorable
from recording.figures import data, outputs, photographs


def main() -> None:
    """Do so for the figures that the command line names, or for all."""
    figures = sys.argv[1:] or explorable.figures()
    for name in data.QUICK:
        if name in figures:
            data.write(name)
    photographs.take(figures)
    outputs.store_all()


if __name__ == "__main__":
    main()
