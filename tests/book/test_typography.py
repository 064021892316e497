"""Protects: Chinese and Latin text meet in the same way everywhere in the book.

One space between a Chinese character and a Latin word, number, formula or piece of
code, none beside Chinese punctuation; Chinese punctuation after Chinese characters.
"""

import re
from pathlib import Path

import pytest

from d2lutil.pages.sections import NOTEBOOKS, code_cells
from tests.book.reading import (
    FIGURES,
    IMAGE,
    MATH,
    PATHS,
    ROOT,
    name_of,
    prose,
    read,
    svg_texts,
)

TEXTS = [ROOT / "README.zh-CN.md", *PATHS, *FIGURES]
HAN = "\u4e00-\u9fff"
STOPS = "，。；：！？、（）《》“”"
LATIN = r"A-Za-z0-9%"
# What markdown adds to a text, and what a reader sees in its place.
MARKUP = [
    (r"```.*?```", ""),
    (r"`[^`]+`", "x"),
    (MATH.pattern, "x"),
    (IMAGE.pattern, r"\1"),
    (r"(?<!!)\[([^\]]*)\]\([^)]*\)", r"\1"),
    (r"(?m)^\|.*\|$", lambda row: re.sub(r" *\| *", "\n", row[0])),
    # Markdown needs a space where emphasis ends in a stop: **一句话。** 下一句。
    (rf"(?<=[{STOPS}])\*\* ", ""),
    (r"\*+", ""),
]
RULES = {
    "a space between Chinese and Latin": f"[{HAN}][{LATIN}]|[{LATIN}][{HAN}]",
    "a space between Chinese and a citation": rf"[{HAN}]\[\d|\d\][{HAN}]",
    "no space between Chinese characters": f"[{HAN}] +[{HAN}]",
    "no space beside Chinese punctuation": f" +[{STOPS}]|[{STOPS}] +(?!·)",
    "one space": r"(?<=\S)  +(?=\S)",
    "Chinese punctuation after Chinese": f"[{HAN}][,.;:!?(]",
    "Chinese punctuation before Chinese": rf"[,;:!?] ?[{HAN}]|\)[{HAN}]",
    "Chinese quotation marks": f"[{HAN}][\"']|[\"'][{HAN}]",
    "half-width letters and digits": "[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]",
}


def without_markup(markdown: str) -> str:
    """Return the text as it is seen, formulas and code as a letter."""
    for pattern, replacement in MARKUP:
        markdown = re.sub(pattern, replacement, markdown, flags=re.DOTALL)
    return markdown


def text_of(path: Path) -> str:
    """Return what a reader reads: a file, labels, or prose and comments in code."""
    if path in FIGURES:
        return "\n".join(svg_texts(path))
    if path not in PATHS:
        return without_markup(path.read_text(encoding="utf-8"))
    notebook = read(path)
    code = "\n".join(cell.source for cell in code_cells(notebook))
    comments = re.findall(r"# (.*)", code)
    return "\n".join([without_markup(prose(notebook)), *comments])


def deviations(text: str) -> list[str]:
    return [
        f"{rule}: {text[max(0, match.start() - 8) : match.end() + 8]!r}"
        for rule, pattern in RULES.items()
        for match in re.finditer(pattern, text)
    ]


@pytest.mark.parametrize(
    "text",
    [
        "用 $3\\times 3$ 的窗口，见[池化层](a.ipynb)一节和 [VGG](b.ipynb)。",
        "**一句话。** 形状是 (2, 3)，占 55%，函数 `f` 有 2 个参数 [1]（见下）。",
        "| 网络 | 层（个） |\n|:--|--:|\n| NiN | 12 |",
    ],
)
def test_the_rules_let_good_text_pass(text):
    assert not deviations(without_markup(text))


BAD = {
    "a space between Chinese and Latin": [
        "用3 个窗口",
        "用 3个窗口",
        "窗口`f`",
        "窗口$n$的高",
        "占 55%的内存",
        "见 [VGG](b.ipynb)一节",
    ],
    "a space between Chinese and a citation": ["论文[1] 说", "论文 [1]说"],
    "no space between Chinese characters": ["高 和宽", "见 [池化层](a.ipynb)"],
    "no space beside Chinese punctuation": ["高， 宽", "高 ，宽"],
    "one space": ["用  2 个", "NiN  2"],
    "Chinese punctuation after Chinese": ["高,宽", "窗口(2, 3)", "高:宽", "高."],
    "Chinese punctuation before Chinese": ["NiN, 网络", "f(x)的值"],
    "Chinese quotation marks": ['"网络"', "'网络'"],
    "half-width letters and digits": ["用 ２ 个", "Ａ 和 Ｂ", "ａ"],
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_finds_bad_text(rule):
    for text in BAD[rule]:
        found = deviations(without_markup(text))
        assert [d for d in found if d.startswith(f"{rule}: ")], text


def test_prose_comments_and_labels_are_read():
    nin = text_of(NOTEBOOKS / "08-nin.ipynb")
    assert "网络中的网络（NiN）" in nin and "标签类别数是 10。" in nin
    assert "NiN 块" in text_of(NOTEBOOKS / "img" / "nin-block.svg")
    assert "两条命令" in text_of(ROOT / "README.zh-CN.md")


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_text_follows_the_rules(path):
    found = deviations(text_of(path))
    assert not found
