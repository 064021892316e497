"""Write environment.yml, for conda users, from the lock: `make environment.yml`."""

from __future__ import annotations

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

from install import PYTHON, ROOT, Uv, requirements

# {packages}: as the lock has them. Conda brings Python and pip.
ENVIRONMENT = """\
# For conda users: conda env create -f environment.yml
# Made from uv.lock by `make environment.yml`: the versions that `make lab` installs.
# MXNet 1.9.1 exists for Linux (x86-64, aarch64) and macOS (x86-64).  On Windows use
# WSL2, on a Mac with Apple silicon a Linux container.
name: modern-cnn
channels:
  - conda-forge
  - nodefaults
dependencies:
  - python={python}
  - pip
  - pip:
{packages}
      - -e .
"""

# What the lock overrides, as d2l pins it.
REQUESTS = """\
      # pip accepts no other version beside d2l; `make lab` installs a mended one.
      - requests==2.31.0"""


def environment() -> str:
    """Return the text of environment.yml."""
    packages = [item(line) for line in locked() if not line.startswith("pip==")]
    return ENVIRONMENT.format(python=PYTHON, packages="\n".join(packages))


def locked() -> list[str]:
    """Return the requirements of .venv: exact versions, with their markers."""
    plain = ["--no-hashes", "--no-annotate", "--no-header"]
    return requirements(Uv(), *plain).decode().splitlines()


def item(requirement: str) -> str:
    """Return a requirement's line in environment.yml."""
    if requirement.startswith("requests=="):
        return REQUESTS
    return f"      - {requirement}"


if __name__ == "__main__":
    (ROOT / "environment.yml").write_text(environment(), encoding="utf-8")
