"""Open the book in JupyterLab: working copies (`make lab`) or originals (`make edit`).

The user's own Jupyter settings hold, such as a password or a certificate: those of the
book are arguments, and say nothing about anything else.
"""

import os
import shutil
import sys
from importlib.util import find_spec
from pathlib import Path

LAB = Path(__file__).parent
# Where JupyterLab finds what is written for it: how the book looks, and its figures.
EXTENSIONS = [LAB / "labextensions", LAB.parent / "d2lutil" / "pages"]
# What JupyterLab calls a workspace; it looks for the default one under this name.
LAYOUT = LAB / "default-37a8.jupyterlab-workspace"

# Exports that need programs which do not come with the book, or lose its figures.
NOT_OFFERED = "ASCIIDoc Latex Markdown PDF QtPDF QtPNG RST Slides WebPDF".split()
EXPORT = [
    *(f"--{name}Exporter.enabled=False" for name in NOT_OFFERED),
    "--HTMLExporter.filters=markdown2html=lab.export.markdown2html",
    "--HTMLExporter.preprocessors=lab.export.Figures",
    "--HTMLExporter.language_code=zh",
    # Scripts from the network.
    "--HTMLExporter.mathjax_url=",
    "--HTMLExporter.require_js_url=",
]


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
            book = settings(working_copies.book_folder(), "notebooks/index.ipynb")
        else:
            work = working_copies.work_folder()
            for line in working_copies.bring_up_to_date(work).lines():
                print(line, flush=True)
            book = [*settings(work, "index.ipynb"), remember_layout(work / ".layout")]
    except (OSError, ValueError) as error:
        sys.exit(f"JupyterLab is not started: {error}")
    others = [argument for argument in arguments if argument != "--edit"]
    command = [sys.executable, "-m", "jupyterlab", *book, *EXPORT, *others]
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

    The file overrides.json has the others: language, news, times and columns.
    """
    return [
        f"--ServerApp.root_dir={root}",
        # Where users have set these for their own notebooks, they would come first.
        f"--FileContentsManager.root_dir={root}",
        "--FileContentsManager.preferred_dir=",
        f"--LabApp.default_url=/lab/tree/{page}",
        f"--LabApp.app_settings_dir={LAB}",
        *(f"--LabApp.extra_labextensions_path={folder}" for folder in EXTENSIONS),
        # JupyterLab warns root off, who is the only user of many a container.
        *(["--allow-root"] if os.geteuid() == 0 else []),
    ]


def remember_layout(folder: Path) -> str:
    """Keep the layout of JupyterLab's panels in a folder; return the setting for it.

    At first the headings of the notebook in front are shown beside it.
    """
    folder.mkdir(exist_ok=True)
    layout = folder / LAYOUT.name
    if not layout.exists():
        shutil.copyfile(LAYOUT, layout)
    return f"--LabApp.workspaces_dir={folder}"


if __name__ == "__main__":
    main(sys.argv[1:])
