"""Full-text search in the browser, offline and from a folder.

The texts of all pages are written into a script, texts.js, and search.js looks through
them: nothing is fetched, which a browser would refuse in a folder (file://).  Sphinx's
own search is left out: its index knows words, which Chinese does not separate, and its
excerpts are cut from pages that it fetches.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the steps with Sphinx."""
    app.connect("builder-inited", leave_out_sphinx_search)
    app.connect("build-finished", write_texts)
    return {"parallel_read_safe": True}


def leave_out_sphinx_search(app: Sphinx) -> None:
    """Let Sphinx write neither an index nor a page for its search."""
    app.builder.search = False


def write_texts(app: Sphinx, error: Exception | None) -> None:
    """Write what the pages say, in the order of the book, for search.js."""
    if error:
        return
    env = app.env
    order = env.toctree_includes[env.config.root_doc]
    pages = [page(app, name) for name in [env.config.root_doc, *order]]

    text = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    path = Path(app.outdir) / "_static" / "texts.js"
    path.write_text(f"const PAGES = {text};\n", encoding="utf-8")


def page(app: Sphinx, name: str) -> dict[str, Any]:
    """Return the title of a page, and its sections with their headings and texts."""
    number = ".".join(app.env.toc_secnumbers.get(name, {}).get("", ()))
    title = app.env.titles[name].astext()
    return {
        "name": name,
        "title": f"{number}. {title}" if number else title,
        "sections": [
            {"id": section["ids"][0], "title": section[0].astext(), "text": text}
            for section in app.env.get_doctree(name).findall(nodes.section)
            if (text := " ".join(texts(section)))
        ],
    }


def texts(node: nodes.Element) -> Iterator[str]:
    """Yield what a section says and its code, without outputs and inner sections."""
    for child in node.children:
        if isinstance(child, nodes.section | nodes.title):
            continue
        if isinstance(child, nodes.Element) and "cell_output" in child["classes"]:
            continue
        if isinstance(child, nodes.paragraph | nodes.literal_block | nodes.math_block):
            yield plain(child)
        elif isinstance(child, nodes.Element):
            yield from texts(child)


def plain(node: nodes.Element) -> str:
    """Return a text in one line."""
    parts = [
        plain_formula(leaf.astext())
        if isinstance(leaf.parent, nodes.math | nodes.math_block)
        else leaf.astext()
        for leaf in node.findall(nodes.Text)
    ]
    return " ".join("".join(parts).split())


def plain_formula(tex: str) -> str:
    r"""Return `1\times 1` as 1×1 and `\frac{1}{3}` as 1/3, `\max` as max.

    Other commands are left out.
    """
    tex = re.sub(r"\s*\\times\s*", "×", tex)
    tex = re.sub(r"\\d?frac\{(.*?)\}\{(.*?)\}", r"\1/\2", tex)
    tex = re.sub(r"\\(exp|ln|log|max|min|tanh)(?![a-zA-Z])", r"\1", tex)
    return re.sub(r"\\[a-zA-Z]+|[\\{}]", "", tex)
