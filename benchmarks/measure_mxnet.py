"""Measure a section's network: `python -m benchmarks.measure_mxnet 08-nin d2lutil`.

The second argument is the package whose `train_ch5` is measured; two more are the batch
size and the pixels, where they are not the section's. The last line printed is the
result, in JSON.
"""

import importlib
import sys
from collections.abc import Callable
from typing import TypeVar

# gluonbook loads MXNet with its own number of threads if it is imported before d2lutil.
package = importlib.import_module(sys.argv[2])

import mxnet as mx  # noqa: E402
from mxnet import gluon, init, nd  # noqa: E402

from benchmarks.steps import (  # noqa: E402
    NUM_CLASSES,
    SMALL_TASKS,
    TASKS,
    Task,
    TimedBatches,
    print_result,
)
from d2lutil import load_section  # noqa: E402

Batches = TypeVar("Batches")


def train(
    section: str,
    task: Task,
    hand_out: Callable[[tuple[nd.NDArray, nd.NDArray], Callable[[], None]], Batches],
) -> Batches:
    """Train the network of a section on one batch; return what handed the batch out.

    Args:
        section: Name of the section.
        task: What the batch is like.
        hand_out: Makes an iterable of batches from one batch and a function that waits
            until all that was asked for is computed.
    """
    net, ctx = load_section(section).net, mx.cpu()
    net.initialize(init=init.Xavier(), ctx=ctx)
    X = nd.random.uniform(shape=task.input_shape)
    y = nd.array([i % NUM_CLASSES for i in range(task.batch_size)], dtype="int32")
    batches = hand_out((X, y), nd.waitall)
    trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.01})
    package.train_ch5(net, batches, [(X[:8], y[:8])], task.batch_size, trainer, ctx, 1)
    return batches


def main() -> None:
    """Measure what the command line asks for; print the result."""
    section, _, *size = sys.argv[1:]
    task = (TASKS | SMALL_TASKS)[section]
    if size:
        batch_size, pixels = map(int, size)
        task = Task(batch_size, pixels, task.learning_rate)
    print_result(task, train(section, task, TimedBatches))


if __name__ == "__main__":
    main()
