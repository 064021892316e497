"""Train what section 11 draws of degradation: `python -m recording.degradation`.

The section's own cells say which networks these are and how they are trained. Their
histories are stored in its metadata, each as soon as its training has ended.
"""

import argparse
from itertools import product
from types import ModuleType

import nbformat

from d2lutil.history import History
from d2lutil.pages import sections
from d2lutil.pages.sections import load_section
from recording.run import store

SECTION = "11-resnet"
# The ids of the cells that import what the training needs, and define it.
CELLS = ["19b97343", "small-networks"]
SEEDS = (1, 2, 3)


def load_training() -> ModuleType:
    """Return the section's definitions, with those of the added cells."""
    module = load_section(SECTION)
    cells = {cell["id"]: cell for cell in sections.read(SECTION)["cells"]}
    for name in CELLS:
        exec(sections.source(cells[name]), module.__dict__)
    return module


def name_of(network: str, seed: int, num_epochs: int | None = None) -> str:
    """Return the name under which a training is stored.

    Args:
        network: One of the section's small networks.
        seed: Seed of its training.
        num_epochs: Number of epochs; None for the section's own number.

    Example:
        >>> name_of("plain-18", 1, 48)
        'plain-18, seed 1, 48 epochs'
    """
    length = f", {num_epochs} epochs" if num_epochs else ""
    return f"{network}, seed {seed}{length}"


def note(name: str, history: History) -> None:
    """Store a history in the metadata of the section."""
    notebook = nbformat.read(sections.path(SECTION), as_version=4)
    noted = notebook.metadata.setdefault("d2lutil", {}).setdefault("histories", {})
    noted[name] = {
        measured: [round(value, 4) for value in getattr(history, measured)]
        for measured in ("loss", "train_acc", "test_acc")
    }
    store(notebook, sections.path(SECTION))


def main() -> None:
    """Train what the command line names, or all."""
    training = load_training()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", help=" ".join(training.small_networks))
    parser.add_argument("--seeds", nargs="+", type=int, default=SEEDS)
    parser.add_argument("--epochs", type=int, help="the section's own number")
    arguments = parser.parse_args()

    networks = arguments.networks or list(training.small_networks)
    for network, seed in product(networks, arguments.seeds):
        name = name_of(network, seed, arguments.epochs)
        print(name, flush=True)
        length = [arguments.epochs] if arguments.epochs else []
        note(name, training.train_small(network, seed, *length))


if __name__ == "__main__":
    main()
