"""Train a network a few steps: `python -m benchmarks.profile_step 08-nin d2lutil`.

Prints a mark and the time before and after each step, so that the lines that oneDNN
prints between two marks belong to one step.
"""

import sys

from benchmarks.measure_mxnet import train
from benchmarks.steps import TASKS, MarkedBatches

if __name__ == "__main__":
    train(sys.argv[1], TASKS[sys.argv[1]], MarkedBatches)
