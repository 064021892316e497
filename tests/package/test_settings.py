"""Protects: D2LUTIL_SCALE selects the scale; without it the device does."""

import mxnet as mx
import pytest

from d2lutil import settings


@pytest.mark.parametrize("name", ["full", "lesson", "smoke"])
def test_scale_is_the_one_named(monkeypatch, name):
    monkeypatch.setenv("D2LUTIL_SCALE", name)
    assert settings.run_scale().name == name


@pytest.mark.parametrize(("device", "name"), [(mx.cpu(), "lesson"), (mx.gpu(), "full")])
def test_without_a_name_the_device_decides(monkeypatch, device, name):
    monkeypatch.delenv("D2LUTIL_SCALE", raising=False)
    monkeypatch.setattr(device, "try_gpu", lambda: device)
    assert settings.run_scale().name == name


def test_unknown_scale_is_an_error_that_names_the_three(monkeypatch):
    monkeypatch.setenv("D2LUTIL_SCALE", "tiny")
    with pytest.raises(ValueError, match=r"'tiny'.*full, lesson or smoke"):
        settings.run_scale()
