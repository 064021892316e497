"""Protects: every link leads where its text says, and nothing but text is in the text.

Sections are called by their titles; they form one chain, in the order of the index.
"""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from d2lutil.pages import sections
from d2lutil.pages.sections import NOTEBOOKS
from tests.book.reading import (
    FIGURES,
    IMAGE,
    MATH,
    PATHS,
    name_of,
    prose,
    read,
    without_code,
)

SOLUTIONS = NOTEBOOKS / "solutions"
INDEX = NOTEBOOKS / "index.ipynb"
LINK = re.compile(r"(?<!!)\[([^\]]*)\]\(([^)\s]+)\)")
REFERENCE = re.compile(r"^\[\d+\] .+$", re.MULTILINE)
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
WEB = re.compile(r"https?://\w")
# What a link may be called that is not called by a title.
NAMES_OF_INDEX = {"目录", "首页"}
TO_SOLUTIONS, FROM_SOLUTIONS = "解答", "回到本节"
# The only HTML in the text, if there is any.
HTML = {"img": {"src", "alt", "width", "height"}}


def title(path: Path) -> str:
    return read(path).cells[0].source.splitlines()[0].removeprefix("# ")


def names(path: Path) -> set[str]:
    """Return what a section may be called: 网络中的网络（NiN）, or a part of that."""
    return {title(path), *re.split("[（）]", title(path))} - {""}


def is_called(text: str, source: Path, target: Path) -> bool:
    """Tell whether a link in one notebook calls another by a name of it."""
    text = text.strip("“”")
    if target == INDEX:
        return text in NAMES_OF_INDEX
    if target == SOLUTIONS / source.name and text == TO_SOLUTIONS:
        return True
    if source == SOLUTIONS / target.name and text == FROM_SOLUTIONS:
        return True
    if target.parent == SOLUTIONS:
        section = re.fullmatch(r"(.+?) ?的练习(?: \d+|解答)", text)
        return section is not None and section[1] in names(NOTEBOOKS / target.name)
    return text in names(target)


def anchors(markdown: str) -> set[str]:
    """Return the anchors of the headings, as JupyterLab makes them."""
    return {heading.replace(" ", "-") for heading in HEADING.findall(markdown)}


def is_in_book(path: Path) -> bool:
    """Tell whether a file is one of the book: a notebook of it, or a figure."""
    return path in PATHS or path in FIGURES


def faults_of_link(text: str, target: str, path: Path, markdown: str) -> Iterator[str]:
    """Yield what is wrong with a link in the text of a notebook."""
    if not text:
        yield f"{target} is linked without a word"
    if WEB.match(target):
        return
    file, _, anchor = target.partition("#")
    there = (path.parent / file).resolve() if file else path
    if not is_in_book(there):
        yield f"{target} does not exist in the book"
    elif there.suffix == ".ipynb":
        if file and not is_called(text, path, there):
            yield f"{target} is called {text!r}; its title is {title(there)!r}"
        if anchor:
            headings = markdown if there == path else prose(read(there))
            if unquote(anchor) not in anchors(headings):
                yield f"{target} has no such heading"


class Tags(HTMLParser):
    """Notes what HTML there is besides what is allowed."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(markdown)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if not {name for name, _ in attrs} <= HTML.get(tag, set()) or tag not in HTML:
            self.found.append(self.get_starttag_text() or tag)

    def handle_endtag(self, tag: str) -> None:
        self.found.append(f"</{tag}>")

    def handle_comment(self, data: str) -> None:
        self.found.append(f"<!--{data}-->")

    def handle_decl(self, decl: str) -> None:
        self.found.append(f"<!{decl}>")

    def handle_pi(self, data: str) -> None:
        self.found.append(f"<?{data}>")


def faults(markdown: str, path: Path) -> Iterator[str]:
    """Yield what is wrong with links, images and HTML in the text of a notebook."""
    text = MATH.sub("", without_code(markdown))
    for words, target in LINK.findall(IMAGE.sub("", text)):
        yield from faults_of_link(words, target, path, markdown)
    sources = [target for _, target in IMAGE.findall(text)]
    sources += re.findall(r'<img[^>]*src="([^"]*)"', text)
    for target in sources:
        if not is_in_book((path.parent / target).resolve()):
            yield f"the image {target} does not exist in the book"

    # Links in other forms would not be looked at.
    rest = LINK.sub("", IMAGE.sub("", text))
    yield from re.findall(r".*\]\(.*|^ *\[[^\]]+\]:.*", rest, re.M)
    yield from Tags(re.sub(r"<https?://[^\s<>]+>", "", text)).found


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_links_lead_where_they_say(path):
    assert not list(faults(prose(read(path)), path))


NIN = NOTEBOOKS / "08-nin.ipynb"
NIN_SOLVED = SOLUTIONS / NIN.name


@pytest.mark.parametrize(
    "path, text",
    [
        (NIN, "[VGG](07-vgg.ipynb)、[“池化层”](04-pooling.ipynb)和[目录](index.ipynb)"),
        (NIN, "[残差网络](11-resnet.ipynb)、[残差网络（ResNet）](11-resnet.ipynb)"),
        (
            NIN,
            "[解答](solutions/08-nin.ipynb)，[论文](https://arxiv.org/abs/1312.4400)",
        ),
        (NIN, "[VGG 的练习 2](solutions/07-vgg.ipynb)，<https://arxiv.org>，$a[i](j)$"),
        (NIN, "## NiN 块\n\n[上文](#NiN-块)和[池化层](04-pooling.ipynb#小结)"),
        (NIN, "![NiN](img/nin.svg) <img src='img/nin.svg' alt='NiN'> `<a href>`"),
        (NIN_SOLVED, "[回到本节](../08-nin.ipynb)，[VGG 的练习解答](07-vgg.ipynb)"),
    ],
)
def test_good_links_pass(path, text):
    assert not list(faults(text, path))


@pytest.mark.parametrize(
    "path, text",
    [
        (NIN, "[NiN](20-nin.ipynb)"),
        (NIN, "[README](../README.md)"),
        (NIN, "[img](img)"),
        (NIN, "[](https://arxiv.org)"),
        (NIN, "[AlexNet](07-vgg.ipynb)"),
        (NIN, "[LeNet](09-googlenet.ipynb)"),
        (NIN, "[网络](08-nin.ipynb)"),
        (NIN, "[那一节](07-vgg.ipynb)"),
        (NIN, "[VGG](index.ipynb)"),
        (NIN, "[解答](solutions/07-vgg.ipynb)"),
        (NIN, "[AlexNet 的练习 2](solutions/07-vgg.ipynb)"),
        (NIN_SOLVED, "[回到本节](../07-vgg.ipynb)"),
        (NIN_SOLVED, "[VGG](../06-alexnet.ipynb)"),
        (NIN, "## NiN 块\n\n[上文](#NiN-模型)"),
        (NIN, "[池化层](04-pooling.ipynb#没有的一段)"),
        (NIN, "[VGG](//example.org/07-vgg.ipynb)"),
        (NIN, "[VGG](javascript:alert)"),
        (NIN, "[VGG][1]\n\n[1]: 07-vgg.ipynb"),
        (NIN, '[VGG](07-vgg.ipynb "VGG")'),
        (NIN, "[![NiN](img/nin.svg)](07-vgg.ipynb)"),
        (NIN, "![NiN](img/none.svg)"),
        (NIN, '<img src="img/none.svg" alt="NiN">'),
        (NIN, '<img src="img/nin.svg" alt="NiN" onload="alert()">'),
        (NIN, '<a href="07-vgg.ipynb">VGG</a>'),
        (NIN, "<script>alert()</script>"),
        (NIN, "<style>p { display: none; }</style>"),
        (NIN, "<!-- 隐藏的文字 -->"),
        (NIN, "<div hidden>"),
    ],
)
def test_bad_links_are_found(path, text):
    assert list(faults(text, path))


def test_index_lists_every_section_under_its_title():
    listed = LINK.findall(prose(read(INDEX)))
    names = [*sections.section_names(), "words"]
    assert listed == [(title(sections.path(n)), f"{n}.ipynb") for n in names]
    assert names == sorted(names)


def test_sections_are_one_chain():
    names = [None, *sections.section_names(), None]
    for before, name, after in zip(names, names[1:], names[2:], strict=False):
        links = [f"上一节：{link_to(before)}"] if before else []
        links += ["[目录](index.ipynb)"]
        links += [f"下一节：{link_to(after)}"] if after else []
        last_cell = read(sections.path(name)).cells[-1].source
        assert last_cell.endswith("\n" + " · ".join(links)), name


def link_to(name: str) -> str:
    return f"[{title(sections.path(name))}]({name}.ipynb)"


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_every_reference_has_a_link(path):
    texts = [cell.source for cell in read(path).cells if cell.cell_type == "markdown"]
    entries = [entry for text in texts for entry in REFERENCE.findall(text)]
    assert not [entry for entry in entries if "](http" not in entry]
