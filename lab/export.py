"""Export and print a notebook as a page of HTML that needs no network.

nbconvert leaves formulas to a script from the network and pictures to the files beside
the notebook.  Here formulas become MathML, which browsers show by themselves, and
pictures a part of the page; interactive figures are live in it.  JupyterLab prints such
a page, too.
"""

import os
from html import escape
from typing import Any

from jinja2 import pass_context
from jinja2.runtime import Context
from latex2mathml.converter import convert
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbconvert.preprocessors import Preprocessor
from nbformat import NotebookNode


class Figures(Preprocessor):
    """Brings interactive figures to life; nbconvert calls it for each notebook."""

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any]
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Return the notebook with other outputs, and the resources as they are."""
        inherited = set(os.environ)
        from d2lutil.pages import explorable

        # d2lutil sets variables for MXNet, which are not for JupyterLab.
        for name in set(os.environ) - inherited:
            del os.environ[name]
        explorable.bring_to_life(nb)
        return nb, resources


@pass_context
def markdown2html(context: Context, source: str) -> str:
    """Return a text in Markdown as HTML; nbconvert calls it for each."""
    renderer = _Renderer(
        escape=False,
        embed_images=True,
        path=context["resources"]["metadata"].get("path", ""),
        attachments=context.get("cell", {}).get("attachments", {}),
    )
    return MarkdownWithMath(renderer=renderer).render(source)


class _Renderer(IPythonRenderer):
    """Writes formulas as MathML."""

    def inline_math(self, body: str) -> str:
        return mathml(body, "inline")

    def block_math(self, body: str) -> str:
        return mathml(body, "block")

    def latex_environment(self, name: str, body: str) -> str:
        return mathml(rf"\begin{{{name}}}{body}\end{{{name}}}", "block")


def mathml(formula: str, display: str) -> str:
    """Return a formula as MathML, or as it is written if that cannot be read.

    Args:
        formula: What stands between the dollars.
        display: inline or block.

    Example:
        >>> mathml("x", "inline")  # doctest: +ELLIPSIS
        '<math xmlns="..." display="inline"><mrow><mi>x</mi></mrow></math>'
    """
    # Browsers draw letters of another kind, not an attribute that makes them bold.
    formula = formula.replace(r"\boldsymbol", r"\mathbf")
    try:
        return convert(formula, display=display)
    except Exception:  # A reader's slip; the converter has no common error.
        return f"<code>{escape(formula)}</code>"
