"""Protects: the recorded trainings of section 11 are those that its code describes."""

import pytest

import d2lutil as gb
from recording import degradation
from recording.degradation import SECTION, SEEDS, load_training, name_of

DEPTHS = {"plain-18": 18, "plain-34": 34, "ResNet-18": 18, "ResNet-34": 34}


@pytest.fixture(scope="module")
def training():
    return load_training()


def test_networks_are_those_of_their_names(training):
    assert list(training.small_networks) == list(DEPTHS)
    for name, depth in DEPTHS.items():
        net = training.small_net(*training.small_networks[name])
        assert gb.network_cost(net, (1, 1, 28, 28)).depth == depth


def test_all_are_recorded_for_as_many_epochs():
    lengths = {
        gb.recorded_history(SECTION, name_of(network, seed)).num_epochs
        for network in DEPTHS
        for seed in SEEDS
    }
    assert len(lengths) == 1


def test_command_trains_what_it_names(training, monkeypatch):
    noted = []
    monkeypatch.setattr(degradation, "load_training", lambda: training)
    monkeypatch.setattr(training, "train_small", lambda *run: run)
    monkeypatch.setattr(degradation, "note", lambda *args: noted.append(args))
    monkeypatch.setattr("sys.argv", ["degradation", "plain-18", "--seeds", "2", "3"])
    degradation.main()
    assert noted == [
        ("plain-18, seed 2", ("plain-18", 2)),
        ("plain-18, seed 3", ("plain-18", 3)),
    ]
