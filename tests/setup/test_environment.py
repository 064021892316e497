"""Protects: conda users get the packages that pyproject.toml declares."""

import tomllib
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_environment_agrees_with_the_project():
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    environment = yaml.safe_load((ROOT / "environment.yml").read_text())
    python, _, packages = environment["dependencies"]
    assert python.replace("=", "==", 1) + ".*" == "python" + project["requires-python"]
    *requirements, itself = packages["pip"]
    assert itself == "-e ."
    assert set(requirements) <= set(project["dependencies"])
