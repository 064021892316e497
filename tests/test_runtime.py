"""Protects: MXNet starts with all physical cores, unless the user chose otherwise."""

import os
import subprocess
import sys

import loky


def threads_after_import(**environment: str) -> str:
    inherited = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    code = "import os, d2lutil; print(os.environ['OMP_NUM_THREADS'])"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return run.stdout.strip()


def test_threads_are_the_physical_cores():
    assert threads_after_import() == str(loky.cpu_count(only_physical_cores=True))


def test_a_number_of_threads_that_is_set_stays():
    assert threads_after_import(OMP_NUM_THREADS="7") == "7"
