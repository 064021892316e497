"""Protects: lines and bar fit the terminal; trainings in threads keep them apart."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
import threading

import pytest

from d2lutil.history import measurements_pattern

TRAIN = """
import time
import d2lutil as gb
from mxnet import cpu, gluon, nd
net = gluon.nn.Dense(2)
net.initialize()
trainer = gluon.Trainer(net.collect_params(), "sgd", {"learning_rate": 0.1})
class Slow(list):
    def __iter__(self):
        for batch in super().__iter__():
            time.sleep(0.1)
            yield batch
data = Slow([(nd.ones((2, 3)), nd.zeros(2))] * 4)
gb.train_ch5(net, data, data, 2, trainer, cpu(), 2)
"""
LINE = re.compile(rf"epoch \d, {measurements_pattern()}")


def run_in_terminal(num_columns: int) -> str:
    """Train in a terminal of that width; return all that was written to it."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("4H", 24, num_columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    process = subprocess.Popen(
        [sys.executable, "-c", TRAIN], stdout=slave, stderr=slave, env=env
    )
    os.close(slave)
    written = b""
    try:
        while piece := os.read(master, 4096):
            written += piece
    except OSError:  # The end, on Linux.
        pass
    assert process.wait() == 0, written.decode()
    return written.decode()


def shown(written: str) -> list[str]:
    """Return the lines that stay: a carriage return goes back to the line's start."""
    lines = written.replace("\r\n", "\n").split("\n")
    return [line.rpartition("\r")[2].rstrip() for line in lines]


@pytest.mark.parametrize("num_columns", [40, 60, 120])
def test_bar_fits_the_terminal_and_leaves_nothing(num_columns):
    written = run_in_terminal(num_columns)
    bars = [part for part in re.split("[\r\n]", written) if "epoch 1/2" in part]
    assert bars
    assert max(map(len, bars)) <= num_columns
    first, *epochs, last = shown(written)
    assert first == "training on cpu(0)"
    assert len(epochs) == 2 and all(map(LINE.fullmatch, epochs))
    assert last == ""


def test_bar_counts_the_epochs_of_the_whole_training():
    written = run_in_terminal(120)
    assert re.search(r"epoch 1/2: .* 1/8 \[", written)
    assert re.search(r"epoch 2/2: .* 8/8 \[", written)


def test_trainings_in_threads_do_not_mix_their_lines(capsys):
    threads = [threading.Thread(target=exec, args=(TRAIN, {})) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    epochs = [x for x in capsys.readouterr().out.splitlines() if "epoch" in x]
    assert len(epochs) == 6
    assert all(map(LINE.fullmatch, epochs)), epochs
