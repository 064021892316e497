"""Protects: a history has a stable text and draws what was measured."""

import math
import struct

import numpy as np
import pytest

from d2lutil.history import History

HISTORY_REST = [[0.5, 0.6], [0.4, 0.7], [3.0, 3.1]]
HISTORY = History([1.5, 1.0], *HISTORY_REST)


def test_text_does_not_depend_on_the_measurements():
    assert repr(HISTORY) == "History(num_epochs=2)"


def test_curve_shows_each_measurement():
    loss_axes, acc_axes = HISTORY.plot().axes
    lines = {
        line.get_label(): line for axes in (loss_axes, acc_axes) for line in axes.lines
    }
    assert lines.keys() == {"loss", "train acc", "test acc"}
    for name, line in lines.items():
        assert list(line.get_xdata()) == [1, 2]
        assert list(line.get_ydata()) == getattr(HISTORY, name.replace(" ", "_"))


def test_curve_shows_the_loss_of_each_update_and_of_guessing():
    updates = [1.9, 1.7, 1.5, 1.2, 1.0, 0.8]
    history = History([1.7, 1.0], *HISTORY_REST, updates=updates, num_classes=4)
    lines = {line.get_label(): line for line in history.plot().axes[0].lines}
    assert list(lines["each update"].get_ydata()) == updates
    # The last update of an epoch stands where the epoch's mean does.
    assert lines["each update"].get_xdata() == pytest.approx(np.arange(1, 7) / 3)
    assert list(lines["ln 4"].get_ydata()) == [math.log(4)] * 2


def test_png_has_twice_the_pixels_of_its_size_on_the_page():
    png, size = HISTORY._repr_png_()
    width, height = struct.unpack(">2i", png[16:24])
    assert png.startswith(b"\x89PNG")
    assert (width, height) == (2 * size["width"], 2 * size["height"])


def test_epochs_are_whole_numbers_after_the_first_one_too():
    for num_epochs in (1, 2, 5):
        figure = History(*([[0.5] * num_epochs] * 4)).plot()
        figure.canvas.draw()
        for axes in figure.axes:
            left, right = axes.get_xlim()
            ticks = [x for x in axes.get_xticks() if left <= x <= right]
            assert ticks and all(x == round(x) for x in ticks)
