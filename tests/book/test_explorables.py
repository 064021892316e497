"""Protects: interactive figures stand where they should, and show what was measured.

That they compute as MXNet does is tested in the browser, in tests/site.
"""

import json

import numpy as np
import pytest

import d2lutil as gb
from d2lutil.pages import explorable, sections
from recording.figures import data, features, residual
from recording.figures.outputs import figure_output
from tests.book.reading import PATHS, name_of, read

# Sections that calculate without a network of their own.
WITHOUT = {"14-performance", "a1-dropout", "a2-image-augmentation"}
WITH = [name for name in sections.section_names() if name not in WITHOUT]
ON_NETWORKS = [name for name in WITH if "06" <= name < "13"]


def figures(name: str) -> list[tuple[str, str]]:
    """Return the figures of a section, with their states."""
    cells = sections.code_cells(sections.read(name))
    return [figure_output(cell) for cell in cells if sections.is_figure(cell)]


@pytest.mark.parametrize("name", WITH)
def test_section_has_a_figure(name):
    assert figures(name)


@pytest.mark.parametrize("name", ON_NETWORKS)
def test_section_on_a_network_has_the_table_of_shapes(name):
    assert "shapes" in dict(figures(name))


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_stored_output_is_what_the_object_gives(path):
    for cell in filter(sections.is_figure, sections.code_cells(read(path))):
        [output] = cell.outputs
        bundle = gb.explorable(*figure_output(cell))._repr_mimebundle_()
        assert output.output_type == "execute_result"
        assert output.execution_count == cell.execution_count
        assert {kind: strip(value) for kind, value in output.data.items()} == bundle


def strip(value: object) -> object:
    """Return a text without the line break that nbformat may end it with."""
    return value.strip() if isinstance(value, str) else value


def test_every_state_of_a_figure_is_in_the_book():
    shown = {figure for name in WITH for figure in figures(name)}
    states = {name: explorable.states(name) for name in explorable.figures()}
    assert shown == {(name, state) for name in states for state in states[name]}


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_cell_of_a_figure_has_its_tag(path):
    for cell in sections.code_cells(read(path)):
        shows = any(
            explorable.MIME in output.get("data", {}) for output in cell.outputs
        )
        assert shows == sections.is_figure(cell) == ("gb.explorable" in cell.source)


@pytest.mark.parametrize("name", data.QUICK)
def test_collected_numbers_are_those_of_today(name):
    stored = (explorable.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert stored == data.text(name), f"Run `make figures` for {name}."


@pytest.mark.parametrize("name", data.DATA)
def test_file_is_as_the_program_writes_it(name):
    stored = (explorable.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    assert stored == data.written(json.loads(stored))


@pytest.mark.parametrize("section", features.NETWORKS)
def test_maps_are_those_of_the_recorded_training(section):
    name = features.NETWORKS[section].name
    file = explorable.FOLDER / f"features.{name}.json"
    stored = json.loads(file.read_text(encoding="utf-8"))[name]
    history = gb.recorded_history(section, stored["scale"])
    # AlexNet draws other initial parameters here: without a checkpoint, its training
    # draws what dropout drops between those of two layers.
    assert stored["testAcc"] == pytest.approx(history.test_acc[-1], abs=0.005)
    assert stored["pixels"] == history.images.height

    # Where the two differ, the section says so.
    if round(history.test_acc[-1], 3) != stored["testAcc"]:
        text = "\n".join(cell.source for cell in read(sections.path(section)).cells)
        told = f"又训练了一次的，初始值不同，测试准确率是 {stored['testAcc']:.3f}"
        assert told in text


def test_section_quotes_the_measured_gradients():
    stored = json.loads((explorable.FOLDER / "residual.json").read_text("utf-8"))
    deepest = stored["depths"].index(16)

    def gradient(norm: str, skip: float) -> float:
        return stored[norm]["gradient"][stored["skips"].index(skip)][deepest][0]

    text = "\n".join(cell.source for cell in read(sections.path("11-resnet")).cells)
    assert f"16 个块之后梯度是 {gradient('without', 1):g} 倍" in text
    assert f"权重为 1 时梯度是 {gradient('with', 1):g} 倍" in text
    assert f"权重为 0 时是 {gradient('with', 0):g} 倍" in text
    assert round(1e6 * gradient("without", 0)) == 5
    assert "最后只剩百万分之五左右" in text


@pytest.mark.parametrize("has_norm", [True, False])
def test_measured_sizes_of_signals_and_gradients_come_back(has_norm):
    stored = json.loads((explorable.FOLDER / "residual.json").read_text("utf-8"))
    skip, depth = 0.5, 4
    i, j = stored["skips"].index(skip), stored["depths"].index(depth)
    of_norm = stored["with" if has_norm else "without"]

    small_net = residual.load_training().small_net
    measured = residual.sizes(
        small_net, skip, depth, has_norm, *residual.first_images()
    )
    signal = of_norm["signal"][i][: depth + 1]
    np.testing.assert_allclose(measured.signal, signal, rtol=0.01)
    np.testing.assert_allclose(measured.gradient, of_norm["gradient"][i][j], rtol=0.01)
