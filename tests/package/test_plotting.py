"""Protects: figures show the given images; times are printed as in the book."""

import re

import matplotlib
import numpy as np
import pytest
from matplotlib import pyplot as plt
from mxnet import nd

import d2lutil as gb


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("agg")
    with matplotlib.rc_context():
        yield
    plt.close("all")


def shown(ax: plt.Axes) -> np.ndarray:
    return np.asarray(ax.images[0].get_array())


def test_figsize_is_set():
    gb.set_figsize()
    assert plt.rcParams["figure.figsize"] == [3.5, 2.5]
    gb.set_figsize((6, 4))
    assert plt.rcParams["figure.figsize"] == [6, 4]


@pytest.mark.parametrize(("num_rows", "num_cols"), [(2, 3), (1, 6), (1, 1)])
def test_images_are_shown_row_by_row(num_rows, num_cols):
    imgs = nd.arange(6 * 4 * 4).reshape((6, 4, 4))
    axes = gb.show_images(imgs, num_rows, num_cols, scale=1)
    assert axes.shape == (num_rows, num_cols)
    assert tuple(plt.gcf().get_size_inches()) == (num_cols, num_rows)
    for ax, img in zip(axes.flat, imgs, strict=False):
        assert np.array_equal(shown(ax), img.asnumpy())


def test_too_few_images_are_an_error():
    with pytest.raises(ValueError, match="3 images do not fill 2 rows of 2"):
        gb.show_images(nd.zeros((3, 4, 4)), 2, 2)


@pytest.mark.parametrize("edge", [28, 72])
def test_fashion_images_are_shown_under_their_labels(edge):
    images = nd.random.uniform(shape=(2, 1, edge, edge))
    gb.show_fashion_mnist(images, ["bag", "coat"])
    axes = plt.gcf().axes
    assert [ax.get_title() for ax in axes] == ["bag", "coat"]
    for ax, image in zip(axes, images, strict=True):
        assert np.array_equal(shown(ax), image[0].asnumpy())


def test_fashion_images_without_a_label_are_left_out():
    gb.show_fashion_mnist(nd.zeros((3, 28, 28)), ["bag", "coat"])
    assert [len(ax.get_images()) for ax in plt.gcf().axes] == [1, 1, 0]


@pytest.mark.parametrize(("prefix", "text"), [(None, ""), ("Workload", "Workload ")])
def test_benchmark_prints_the_time(capsys, prefix, text):
    with gb.Benchmark(prefix):
        pass
    assert re.fullmatch(rf"{text}time: 0\.0\d{{3}} sec\n", capsys.readouterr().out)
