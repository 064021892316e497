"""Protects: every example in a docstring of d2lutil does what it says."""

import doctest
import importlib
import pkgutil

import pytest

import d2lutil

MODULES = [
    info.name for info in pkgutil.walk_packages(d2lutil.__path__, prefix="d2lutil.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_there_are_examples_to_run():
    modules = map(importlib.import_module, MODULES)
    assert sum(doctest.testmod(module).attempted for module in modules) >= 10
