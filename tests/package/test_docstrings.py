"""Protects: every example in a docstring of d2lutil does what it says."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import d2lutil

MODULES = [
    info.name for info in pkgutil.walk_packages(d2lutil.__path__, prefix="d2lutil.")
]


@pytest.mark.parametrize("name", MODULES)
def test_examples_hold(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


@pytest.mark.parametrize("name", [name for name in d2lutil.__all__ if name != "plt"])
def test_docstring_of_a_public_name_has_an_example(name):
    assert "Example:\n" in inspect.getdoc(getattr(d2lutil, name))
