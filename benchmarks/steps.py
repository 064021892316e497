"""What is trained and how its steps are timed; needs nothing but Python."""

import json
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

NUM_CLASSES = 10
# As it runs, VGG's step takes 2.5 s at first and 1.4 s from the ninth on.
NUM_WARM_UP_STEPS = 8
MIN_STEPS = 3
MIN_SECONDS = 3.0
NUM_MARKED_STEPS = 5
MARK = "step"


@dataclass(frozen=True)
class Task:
    """A batch to train on.

    Attributes:
        batch_size: Number of images.
        pixels: Height and width of the images, which have one channel.
        learning_rate: The section's learning rate.
    """

    batch_size: int
    pixels: int
    learning_rate: float

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the images, the batch first."""
        return (self.batch_size, 1, self.pixels, self.pixels)


# The networks by their sections, with the batch that the section trains on.
TASKS = {
    "06-alexnet": Task(128, 224, 0.01),
    "07-vgg": Task(128, 224, 0.05),
    "08-nin": Task(128, 224, 0.1),
    "09-googlenet": Task(128, 96, 0.1),
    "11-resnet": Task(256, 96, 0.05),
    "12-densenet": Task(256, 96, 0.1),
}


# Those of the sections on LeNet, whose lesson is as quick.
SMALL_TASKS = {
    "05-lenet": Task(256, 28, 0.9),
    "10-batch-norm": Task(256, 28, 1.0),
}


class TimedBatches:
    """Hands out one batch again and again, and notes when it is asked for the next.

    A training loop asks once per step. It gets batches until `MIN_STEPS` steps and
    `MIN_SECONDS` seconds have passed after the first steps, in which memory is
    allocated and layers prepare themselves.

    Args:
        batch: Images and labels to hand out.
        wait: Waits until all that was asked for is computed.
    """

    def __init__(self, batch: tuple[Any, Any], wait: Callable[[], None]) -> None:
        self.batch = batch
        self.wait = wait
        self.times: list[float] = []

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Start anew."""
        self.times = [time.perf_counter()]
        while not self._is_enough():
            yield self.batch
            self.wait()
            self.times.append(time.perf_counter())

    @property
    def step_seconds(self) -> list[float]:
        """How long each step took, in seconds, without the first ones."""
        times = self.times[NUM_WARM_UP_STEPS:]
        return [end - start for start, end in pairwise(times)]

    def _is_enough(self) -> bool:
        seconds = self.step_seconds
        return len(seconds) >= MIN_STEPS and sum(seconds) >= MIN_SECONDS


class MarkedBatches:
    """Hands out one batch `NUM_MARKED_STEPS` times; prints a mark around each step.

    Args:
        batch: Images and labels to hand out.
        wait: Waits until all that was asked for is computed.
    """

    def __init__(self, batch: tuple[Any, Any], wait: Callable[[], None]) -> None:
        self.batch = batch
        self.wait = wait

    def __iter__(self) -> Iterator[tuple[Any, Any]]:
        """Start anew."""
        for _ in range(NUM_MARKED_STEPS):
            self._print_mark()
            yield self.batch
            self.wait()
        self._print_mark()

    def _print_mark(self) -> None:
        print(f"{MARK},{time.perf_counter()}", flush=True)


def print_result(task: Task, batches: TimedBatches) -> None:
    """Print the speed and the peak memory of this process as one line of JSON."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # Linux counts in KiB, macOS in bytes.
    mib = peak / 2**20 if sys.platform == "darwin" else peak / 2**10
    speed = task.batch_size / statistics.median(batches.step_seconds)
    print(json.dumps({"images_per_second": speed, "peak_mib": mib}))
