"""Protects: the list of words leads to the section that explains each."""

import re
from collections.abc import Iterator

from d2lutil.pages import sections
from tests.book.reading import prose, read
from tests.book.test_terms import TERMS, rejected_terms

ROW = re.compile(r"^\| (.+) \| (.+) \| \[[^\]]+\]\((.+)\.ipynb\) \|$", re.MULTILINE)


def lists() -> tuple[list, list]:
    """Return the rows of the words and those of the symbols."""
    words, _, symbols = prose(read(sections.path("words"))).partition("\n## 符号")
    return ROW.findall(words), ROW.findall(symbols)


def section(name: str) -> str:
    return prose(read(sections.path(name)))


def explains(term: str, english: str) -> list[str]:
    """Return the section with this title, or else all that give the English word."""
    names = sections.section_names()
    titled = [name for name in names if section(name).startswith(f"# {term}\n")]
    in_brackets = re.compile(rf"（{re.escape(english)}）", re.IGNORECASE)
    return titled or [name for name in names if in_brackets.search(section(name))]


def wrong_words(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    """Yield each word that its section is not the first to explain."""
    for english, term, name in rows:
        there = explains(term, english)
        if there[:1] != [name]:
            yield f"{english}: {name}, but it is explained in {there}"
        for part in re.split("[（）]", term):
            if part not in section(name):
                yield f"{name} has no {part}"


def wrong_symbols(rows: list[tuple[str, str, str]]) -> Iterator[str]:
    """Yield each symbol that its section does not have in a formula."""
    for symbols, _, name in rows:
        for symbol in re.findall(r"\$([^$]+)\$", symbols):
            letters = re.findall(r"\\[a-z]+\{\w\}|\\[a-z]+(?!\{)|\w_\w|\b\w\b", symbol)
            for letter in set(letters) - {"\\times", "x", "2"}:
                if letter not in section(name):
                    yield f"{name} has no {letter}"


def test_words_are_explained_where_the_list_says():
    words, _ = lists()
    assert len(words) > 50
    assert not list(wrong_words(words))
    assert [word[0] for word in words] == sorted(word[0] for word in words)


def test_symbols_stand_where_the_list_says():
    _, symbols = lists()
    assert len(symbols) > 10
    assert not list(wrong_symbols(symbols))


def test_terms_of_the_book_are_those_of_the_list():
    words, _ = lists()
    assert not rejected_terms("\n".join(term for _, term, _ in words))
    layers = {
        "卷积层",
        "池化层",
        "步幅",
        "填充",
        "通道",
        "批量归一化",
        "稠密块",
        "迭代周期",
    }
    assert layers <= {term for _, term, _ in words} & TERMS.keys()


def test_a_word_of_another_section_is_found():
    assert list(wrong_words([("stride", "步幅", "01-conv-layer")]))
    assert list(wrong_words([("stride", "步长", "02-padding-and-strides")]))
    assert list(wrong_words([("dropout", "丢弃法", "06-alexnet")]))
    assert list(wrong_words([("no such word", "步幅", "02-padding-and-strides")]))
    assert list(wrong_symbols([(r"$\gamma$", "", "02-padding-and-strides")]))
