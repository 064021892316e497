"""Open the book in JupyterLab: working copies (`make lab`) or originals (`make edit`).

The user's own Jupyter settings hold, such as a password or a certificate: those of the
book are arguments, and say nothing about anything else.
"""

import os
import sys
from importlib.util import find_spec
from pathlib import Path

LAB = Path(__file__).parent


def main(arguments: list[str]) -> None:
    """Become JupyterLab.

    Args:
        arguments: --edit opens the originals; all others are JupyterLab's own.
    """
    environment = dict(os.environ)
    try:
        check_jupyterlab()
        # Only here: d2lutil sets variables for MXNet, which are not for JupyterLab.
        from lab import working_copies

        if "--edit" in arguments:
            root, page = working_copies.book_folder(), "notebooks/index.ipynb"
        else:
            root, page = working_copies.work_folder(), "index.ipynb"
            for line in working_copies.bring_up_to_date(root).lines():
                print(line, flush=True)
    except (OSError, ValueError) as error:
        sys.exit(f"JupyterLab is not started: {error}")
    others = [argument for argument in arguments if argument != "--edit"]
    command = [sys.executable, "-m", "jupyterlab", *settings(root, page), *others]
    os.execve(sys.executable, command, environment)


def check_jupyterlab() -> None:
    """Look for what would end JupyterLab with a page of Python.

    Raises:
        ValueError: This Python does not have it.
        OSError: It cannot write its own files.
    """
    if not find_spec("jupyterlab"):
        raise ValueError(f"{sys.executable} has no package of that name")
    from jupyter_core.paths import jupyter_runtime_dir

    Path(jupyter_runtime_dir()).mkdir(parents=True, exist_ok=True)


def settings(root: Path, page: str) -> list[str]:
    """Return the book's settings of JupyterLab, for the folder and page that it opens.

    The file overrides.json has the others: language, news and times.
    """
    return [
        f"--ServerApp.root_dir={root}",
        # Where users have set these for their own notebooks, they would come first.
        f"--FileContentsManager.root_dir={root}",
        "--FileContentsManager.preferred_dir=",
        f"--LabApp.default_url=/lab/tree/{page}",
        f"--LabApp.app_settings_dir={LAB}",
        # JupyterLab warns root off, who is the only user of many a container.
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


if __name__ == "__main__":
    main(sys.argv[1:])
