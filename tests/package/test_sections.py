"""Protects: networks come from the sections that define them, as defined there."""

import re
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from mxnet import nd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import d2lutil as gb
from d2lutil.pages import sections

NAMES = sections.section_names()

# The seven networks at the resolution whose parameters the section prints.
NETWORKS = {
    "05-lenet": 28,
    "06-alexnet": 224,
    "07-vgg": 224,
    "08-nin": 224,
    "09-googlenet": 96,
    "11-resnet": 224,
    "12-densenet": 96,
}


def printed(name: str) -> str:
    notebook = nbformat.read(sections.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    return "".join(
        output.get("text", "")
        for cell in notebook.cells
        if cell.cell_type == "code"
        for output in cell.outputs
    )


# The book's sections.


@pytest.mark.parametrize("name", NAMES)
def test_definitions_of_every_section_load_in_silence(name, capfd):
    assert isinstance(gb.load_section(name), ModuleType)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", NETWORKS)
def test_network_has_the_parameters_that_its_section_prints(name):
    edge = NETWORKS[name]
    net = gb.load_section(name).net
    cost = gb.network_cost(net, (1, 1, edge, edge))
    assert re.search(rf"\b{cost.num_parameters}\b", printed(name))
    net.initialize()
    assert net(nd.zeros((1, 1, edge, edge))).shape == (1, 10)


def test_full_vgg_has_the_parameters_that_its_section_prints():
    section = gb.load_section("07-vgg")
    cost = gb.network_cost(section.vgg(section.conv_arch), (1, 1, 224, 224))
    assert re.search(rf"\b{cost.num_parameters}\b", printed("07-vgg"))


def test_every_call_builds_a_new_network():
    nets = [gb.load_section("08-nin").net for _ in range(2)]
    nets[0].initialize()
    nets[0](nd.zeros((1, 1, 72, 72)))
    assert nets[1][0][0].weight.shape == (96, 0, 11, 11)


@pytest.mark.parametrize("name", [*NETWORKS, "10-batch-norm"])
def test_history_is_what_the_last_training_of_the_book_printed(name):
    notebook = nbformat.read(sections.NOTEBOOKS / f"{name}.ipynb", as_version=4)
    cells = [c for c in sections.code_cells(notebook) if not sections.is_added(c)]
    outputs = (output for cell in cells for output in cell.outputs)
    text = "".join(output.get("text", "") for output in outputs)
    scale = "full" if "recorded on" in text else "lesson"
    epochs = re.findall(
        r"^epoch \d, loss (.+), train acc (.+), test acc (.+), time (.+) sec$",
        text,
        re.M,
    )
    history = gb.recorded_history(name, scale)
    columns = history.loss, history.train_acc, history.test_acc, history.seconds
    noted = list(zip(*columns, strict=True))
    assert noted == [tuple(map(float, epoch)) for epoch in epochs[-5:]]
    assert len(gb.recorded_history(name).loss) == 5


# Which statements are definitions.


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Write the notebook 99-test.ipynb with the given code cells."""
    monkeypatch.setattr(sections, "NOTEBOOKS", tmp_path)

    def write(*sources: str, tags: list[str] = []) -> None:  # noqa: B006
        cells = [new_markdown_cell("# Title"), *map(new_code_cell, sources)]
        cells[-1].metadata["tags"] = tags
        nbformat.write(new_notebook(cells=cells), tmp_path / "99-test.ipynb")

    return write


def test_statements_that_build_networks_are_executed(write):
    write(
        "from mxnet.gluon import nn",
        "def two(units):\n    return nn.Dense(units), nn.Dense(units)",
        "sizes = [3, 4]\ntotal = sum(sizes)",
        "net = nn.Sequential()\nfor size in sizes:\n    net.add(*two(size))",
        "class Net(nn.Sequential):\n    pass\nother = Net()",
    )
    section = gb.load_section("99-test")
    assert [layer._units for layer in section.net] == [3, 3, 4, 4]
    assert section.total == 7
    assert isinstance(section.other, section.Net)


@pytest.mark.parametrize(
    "statement",
    [
        "print('text')",
        "show()",
        "for i in range(3):\n    show()",
        "net.initialize()",
        "weight = net[0].weight",
        "X = nd.ones((2, 3))",
        "X = nd.ones((2, 3))\nY = net(X)",
        "train_iter, test_iter = gb.load_data_fashion_mnist(256)",
        "lr, ctx = 0.1, gb.try_gpu()",
        "loss = gluon.loss.SoftmaxCrossEntropyLoss()",
        "net",
    ],
)
def test_other_statements_are_not(write, capsys, statement):
    set_up = (
        "import d2lutil as gb\nfrom mxnet import gluon, nd\nfrom mxnet.gluon import nn",
        "def show():\n    print('shown')",
        "net = nn.Sequential()\nnet.add(nn.Dense(3))",
    )
    write(*set_up)
    before = vars(gb.load_section("99-test")).keys()
    write(*set_up, statement)
    section = gb.load_section("99-test")
    assert vars(section).keys() == before
    assert section.net[0].weight._deferred_init == ()
    assert capsys.readouterr().out == ""


def test_cells_beyond_the_book_are_not_executed(write):
    write("a = 1", "a = 2", tags=["extra"])
    assert gb.load_section("99-test").a == 1


# Errors.


@pytest.mark.parametrize("function", [gb.load_section, gb.recorded_history])
def test_unknown_section_is_an_error_that_names_those_there_are(function):
    with pytest.raises(ValueError, match=r"section '8-nin'; .*07-vgg, 08-nin, 09-"):
        function("8-nin")


@pytest.mark.parametrize("scale, command", [("lesson", "execute"), ("full", "record")])
def test_section_without_that_run_is_an_error_that_says_what_to_do(
    write, scale, command
):
    write("1")
    with pytest.raises(ValueError, match=f"scale {scale}; .*make {command} NB=99-test"):
        gb.recorded_history("99-test", scale)
