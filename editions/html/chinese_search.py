"""Full-text search for any two or more Chinese characters, offline in the browser.

Chinese is written without spaces, so the index holds every pair of neighbouring
characters, and the browser cuts a query into pairs in the same way: a page is found
when it has all of them.  Segmentation into words, Sphinx's own way, happens only at
build time: a query such as 全局平均池化层 would be looked up as one word.
"""

import re

from sphinx.application import Sphinx
from sphinx.search.en import SearchEnglish

# Read by Python and by JavaScript: a Latin word, or a character and the next one.
TERM = r"[A-Za-z0-9_]+|[一-鿿](?=([一-鿿]))"


class SearchChinese(SearchEnglish):
    """Pairs of Chinese characters, and English words reduced to their stems."""

    lang = "zh"
    js_splitter_code = (
        f"var splitQuery = (query) => Array.from(query.matchAll(/{TERM}/g),"
        " ([first, second = '']) => first + second);"
    )

    def split(self, input: str) -> list[str]:
        """Return the terms of a text, as splitQuery does in the browser."""
        return [match[0] + (match[1] or "") for match in re.finditer(TERM, input)]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the language with Sphinx, in place of its own for Chinese."""
    app.add_search_language(SearchChinese)
    return {"parallel_read_safe": True}
