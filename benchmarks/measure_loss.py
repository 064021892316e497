"""Train a network on Fashion-MNIST: `python -m benchmarks.measure_loss 08-nin`.

Prints the mean loss of every `STEPS_PER_POINT` steps as one line of JSON. Type and
number of images are those of d2lutil's variables.
"""

import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain, islice, repeat

import d2lutil as gb

# isort: split
import mxnet as mx
import numpy as np
from mxnet import gluon, init

from benchmarks.steps import TASKS

SEED = 3
NUM_IMAGES = 64_000
STEPS_PER_POINT = 20


class Stretches:
    """Hands out the next `STEPS_PER_POINT` batches whenever it is iterated over.

    So what `train_ch5` takes for an epoch is a stretch of the passes over the images.

    Args:
        batches: The batches of one pass.
    """

    def __init__(self, batches: Iterable) -> None:
        self.batches = chain.from_iterable(repeat(batches))

    def __iter__(self) -> Iterator:
        """Go on where the last stretch ended."""
        return islice(self.batches, STEPS_PER_POINT)


def losses(section: str) -> list[float]:
    """Train the network of a section as the section does; return its mean losses.

    It sees up to `NUM_IMAGES` images, so that small batches make more steps.

    Args:
        section: Name of the section, one of `TASKS`.
    """
    net, task, ctx = gb.load_section(section).net, TASKS[section], mx.cpu()
    mx.random.seed(SEED)
    np.random.seed(SEED)
    net.initialize(init=init.Xavier(), ctx=ctx)
    hyperparameters = {"learning_rate": task.learning_rate}
    trainer = gluon.Trainer(net.collect_params(), "sgd", hyperparameters)
    gb.lesson(num_train=60_000, pixels=gb.recorded_history(section).images.height)
    batches, test_batches = gb.load_data_fashion_mnist(task.batch_size, task.pixels)
    stretches, test_batch = Stretches(batches), [next(iter(test_batches))]
    num_points = NUM_IMAGES // (STEPS_PER_POINT * task.batch_size)
    return gb.train_ch5(
        net, stretches, test_batch, task.batch_size, trainer, ctx, num_points
    ).loss


if __name__ == "__main__":
    print(json.dumps({"loss": losses(sys.argv[1])}))
