"""Protects: MXNet starts with threads that suit the machine, or that the user chose."""

import json
import os
import subprocess
import sys

import loky

VARIABLES = ("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


def settings_after_import(**environment: str) -> dict[str, str]:
    """Import d2lutil in a new process; return the variables that are set in it."""
    inherited = {k: v for k, v in os.environ.items() if k not in VARIABLES}
    code = "import json, os, d2lutil; print(json.dumps(dict(os.environ)))"
    run = subprocess.run(
        [sys.executable, "-c", code],
        env=inherited | environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return {k: v for k, v in json.loads(run.stdout).items() if k in VARIABLES}


def test_threads_are_the_physical_cores_and_sleep_soon():
    cores = str(loky.cpu_count(only_physical_cores=True))
    expected = {"OMP_NUM_THREADS": cores, "GOMP_SPINCOUNT": "1000"}
    assert settings_after_import() == expected


def test_settings_of_the_user_stay():
    chosen = {"OMP_NUM_THREADS": "7", "GOMP_SPINCOUNT": "5"}
    assert settings_after_import(**chosen) == chosen


def test_wait_policy_of_the_user_is_not_overruled():
    chosen = {"OMP_NUM_THREADS": "7", "OMP_WAIT_POLICY": "active"}
    assert settings_after_import(**chosen) == chosen
