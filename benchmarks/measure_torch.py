"""Measure PyTorch: `python -m benchmarks.measure_torch 08-nin bfloat16 channels_last`.

A last argument `compiled` lets `torch.compile` translate the network.

The last line printed is the result, in JSON. Needs nothing but Python and torch.
"""

import sys

import torch
from torch import nn

from benchmarks.steps import NUM_CLASSES, TASKS, TimedBatches, print_result
from benchmarks.torch_networks import network


def train(section: str, dtype: str, layout: str, mode: str = "eager") -> TimedBatches:
    """Train a network on one batch as `train_ch5` does; return the times of its steps.

    Args:
        section: Name of the section, one of `TASKS`.
        dtype: "float32", or "bfloat16" to compute in under autocast.
        layout: "contiguous_format" or "channels_last".
        mode: "eager" or "compiled".
    """
    task, memory_format = TASKS[section], getattr(torch, layout)
    X = torch.rand(task.input_shape).to(memory_format=memory_format)
    y = torch.arange(task.batch_size) % NUM_CLASSES
    net = network(section).to(memory_format=memory_format).train()
    if mode == "compiled":
        net = torch.compile(net)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    loss = nn.CrossEntropyLoss()
    batches = TimedBatches((X, y), torch.cpu.synchronize)
    loss_sum = num_correct = 0
    for X, y in batches:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            y_hat = net(X)
            mean_loss = loss(y_hat, y)
        mean_loss.backward()
        optimizer.step()
        loss_sum += mean_loss.item()
        num_correct += (y_hat.argmax(dim=1) == y).sum().item()
    return batches


if __name__ == "__main__":
    print_result(TASKS[sys.argv[1]], train(*sys.argv[1:]))
