"""Settings of the reading edition: `make html` builds the notebooks into a site.

Nothing is executed: the pages show the outputs that the notebooks store.  Nothing in
the pages loads from another host, so the site works offline and from a folder.
"""

import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path[:0] = [str(HERE), str(ROOT)]  # for book_pages, book_search and d2lutil

from d2lutil.pages import sections  # noqa: E402

project = "现代卷积神经网络"
language = "zh_CN"

extensions = [
    "myst_nb",
    "sphinx_copybutton",
    "sphinx_external_toc",
    "book_pages",
    "book_search",
]
# Other notebooks in the folder, such as copies and drafts, are not part of the book.
include_patterns = [f"{name}.ipynb" for name in sections.notebook_names()]
include_patterns += ["how-to-run.md"]

external_toc_path = str(HERE / "_toc.yml")
# A pattern of _toc.yml may stand for notebooks that are still to come.
suppress_warnings = ["etoc.glob"]

nb_execution_mode = "off"
nb_merge_streams = True
nb_code_prompt_show = "猜好了？展开输出"
nb_code_prompt_hide = "收起输出"
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
    "footer_content_items": [],  # the authors are those of the notebooks
    "search_bar_text": "搜索全书",
}
html_context = {"default_mode": "auto"}  # light or dark, as the reader's system is

# Where the book is developed: `repository` under [project.urls] in pyproject.toml.
with (ROOT / "pyproject.toml").open("rb") as file:
    repository = tomllib.load(file)["project"].get("urls", {}).get("repository")
if repository:
    icon = {"name": "代码仓库", "url": repository, "icon": "fa-solid fa-code-branch"}
    html_theme_options["icon_links"] = [icon]

# MathJax as one file that draws formulas as SVG.  With fonts instead, Firefox would
# refuse to load them from a folder (file://).  All of TeX that the book may use is in
# the file; the menu, and what it would load, are left out.
mathjax = distribution("sphinx-mathjax-offline").locate_file(
    "sphinx-mathjax-offline/static/mathjax/tex-svg-full.js"
)
mathjax_path = mathjax.name
mathjax3_config = {"options": {"enableMenu": False}}

templates_path = ["templates"]
html_additional_pages = {"search": "search.html"}
html_static_path = ["book.css", "book.js", "search.js", str(mathjax)]
html_css_files = ["book.css"]
html_js_files = [("book.js", {"defer": "defer"})]
html_extra_path = ["../../LICENSE"]  # Apache 2.0: the book's licence, and MathJax's
