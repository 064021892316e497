"""Settings of the reading edition: `make html` builds the notebooks into a site.

Nothing is executed: the pages show the outputs that the notebooks store.  Nothing in
the pages loads from another host, so the site works offline and from a folder.
"""

import sys
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parents[1])]  # for chinese_search and d2lutil

from d2lutil.pages import sections  # noqa: E402

project = "现代卷积神经网络"
language = "zh_CN"

extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_external_toc",
    "chinese_search",
]
# Other notebooks in the folder, such as copies and drafts, are not part of the book.
include_patterns = [f"{name}.ipynb" for name in sections.notebook_names()]

external_toc_path = str(HERE / "_toc.yml")
# A pattern of _toc.yml may stand for notebooks that are still to come.
suppress_warnings = ["etoc.glob"]

nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

html_theme = "sphinx_book_theme"
html_title = project
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
html_theme_options = {
    "navbar_persistent": [],  # the search box is in the side bar
    "show_prev_next": False,  # each notebook ends with links to its neighbours
    "show_toc_level": 2,
}

# MathJax as one file that draws formulas as SVG.  With fonts instead, Firefox would
# refuse to load them from a folder (file://).  All of TeX that the book may use is in
# the file; the menu, and what it would load, are left out.
mathjax = distribution("sphinx-mathjax-offline").locate_file(
    "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"
)
html_static_path = ["book.css", str(mathjax)]
html_css_files = ["book.css"]
html_extra_path = ["../../LICENSE"]  # Apache 2.0: the book's licence, and MathJax's
mathjax_path = mathjax.name
mathjax3_config = {"options": {"enableMenu": False}}
