"""Settings of JupyterLab for `make lab`; overrides.json: language, news and times."""

from pathlib import Path

LAB_FOLDER = Path(__file__).resolve().parent

c = get_config()  # noqa: F821
c.ServerApp.root_dir = str(LAB_FOLDER.parent)
# The server listens on this machine only; in a container the user is root.
c.ServerApp.allow_root = True
c.LabApp.default_url = "/lab/tree/notebooks/index.ipynb"
c.LabApp.app_settings_dir = str(LAB_FOLDER)
