"""Run a section up to its first batch: `python -m benchmarks.first_batch 08-nin`.

Prints when that batch was trained, in seconds since 1970, as one line of JSON.
"""

import json
import sys
import time

import d2lutil  # noqa: F401

# isort: split
from mxnet import gluon, nd

from d2lutil.pages import sections


class FirstBatchTrainedError(Exception):
    """The first batch is trained."""


def stop(trainer: gluon.Trainer, *arguments, **options) -> None:
    """Take the place of a trainer's step: do it, and go no further."""
    step(trainer, *arguments, **options)
    nd.waitall()
    raise FirstBatchTrainedError


if __name__ == "__main__":
    step, gluon.Trainer.step = gluon.Trainer.step, stop
    names: dict = {}
    try:
        for cell in sections.code_cells(sections.read(sys.argv[1])):
            exec(sections.source(cell), names)
    except FirstBatchTrainedError:
        print(json.dumps({"time": time.time()}))
