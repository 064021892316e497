"""Protects: every formula with numbers in the prose and in the figures is right.

Neighbouring sides of = and ≈ are evaluated and compared.  Only sides with variables,
or without a number, are left out: what cannot be evaluated fails.
"""

import math
import re
from collections.abc import Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import pytest
from simpleeval import simple_eval

from d2lutil.pages.sections import NOTEBOOKS
from tests.book.reading import (
    FIGURES,
    MATH,
    PATHS,
    name_of,
    prose,
    read,
    svg_texts,
    without_code,
)

FUNCTIONS = {
    "floor": math.floor,
    "ceil": math.ceil,
    "ln": math.log,
    "sqrt": math.sqrt,
    "max": max,
    "min": min,
}
# From LaTeX and from plain text to Python, applied in this order.
TRANSLATION = [
    (r"\\ln\s*(\d+)", r"ln(\1)"),
    (r"(?<=\d)\\(?=max|min)", r"*\\"),
    (r"\\(ln|sqrt|max|min)\b", r"\1"),
    (r"\\underbrace\{([^{}]*)\}_\{\\text\{[^{}]*\}\}", r"(\1)"),
    (r"\\left|\\right|\\[,;!: ]|\\q?quad|\s|[.,]\s*$", ""),
    (r"(?<=\d)(\{,\}|,)(?=\d{3})", ""),  # Thousands: 25{,}088 and 25,088.
    (r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}", r"((\1)/(\2))"),
    (r"\\times|\\cdot|×", "*"),
    (r"−", "-"),
    (r"\\lfloor", "floor("),
    (r"\\lceil", "ceil("),
    (r"\\r(floor|ceil)", ")"),
    (r"\^", "**"),
    (r"\{", "("),
    (r"\}", ")"),
]
VARIABLE = re.compile(
    r"(?<![a-zA-Z\\])[a-zA-Z](?![a-zA-Z])"
    r"|\\partial|\\(?:alpha|beta|gamma|delta|epsilon|ell|mu|sigma)\b"
)
UNITS = {"": 1, "万": 10**4, "亿": 10**8}
# A formula, in LaTeX or plain, and the unit that the text adds to its last number.
UNIT = r"(?:\s*([万亿]))?"
FORMULA = re.compile(MATH.pattern + UNIT, re.DOTALL)
NUMBERS = r"[\d(][\d ,+−×/().*-]*"
PLAIN_FORMULA = re.compile(f"({NUMBERS}(?:[=≈] ?{NUMBERS})+){UNIT}")


def python(formula: str) -> str:
    """Translate a side of a formula into a Python expression."""
    for pattern, replacement in TRANSLATION:
        formula = re.sub(pattern, replacement, formula)
    return formula


def is_checked(side: str) -> bool:
    return re.search(r"\d", side) is not None and not VARIABLE.search(side)


def values(side: str) -> list[float]:
    """Evaluate a side without variables: one number, or those of a ratio a:b:c."""
    return [simple_eval(part, functions=FUNCTIONS) for part in side.split(":")]


def rounding(side: str) -> float | None:
    """Return half a unit in the last digit of a number; None for what is no number."""
    if not re.fullmatch(r"\d+(\.\d+)?", side):
        return None
    # Zeros at the end of a whole number may stand for digits rounded away.
    number = Decimal(side) if "." in side else Decimal(side).normalize()
    return float(Decimal(10) ** number.as_tuple().exponent) / 2


def agree(left: str, relation: str, right: str, unit: int) -> bool:
    """Compare two sides; a ratio may be reduced, and ≈ may round the number given."""
    a, b = values(left), values(right)
    if len(a) > 1:
        return all(math.isclose(x * b[0], y * a[0]) for x, y in zip(a, b, strict=True))
    if relation == "=":
        return math.isclose(a[0], b[0] * unit)
    tolerance = rounding(right) or rounding(left)
    assert tolerance, f"one side of {left} ≈ {right} must be a number"
    return abs(a[0] / unit - b[0]) <= tolerance * (1 + 1e-9)


def wrong_parts(formula: str, unit: str = "") -> Iterator[str]:
    """Yield each pair of neighbouring sides of a formula that do not agree."""
    formula = formula.replace(r"\approx", "≈")
    sides = [python(side) for side in re.split("[=≈]", formula)]
    relations = re.findall("[=≈]", formula)
    units = [""] * (len(relations) - 1) + [unit]  # One too many without relations.
    for relation, (left, right), unit in zip(
        relations, pairwise(sides), units, strict=False
    ):
        if is_checked(left) and is_checked(right):
            if not agree(left, relation, right, UNITS[unit]):
                yield f"{left} {relation} {right}{unit}"


def formulas(text: str) -> Iterator[tuple[str, str]]:
    """Yield each formula of a text with the unit that follows it."""
    for displayed, inline, unit in FORMULA.findall(text):
        for formula in re.split(r",\s*\\qquad", displayed or inline):
            yield formula, unit
    yield from PLAIN_FORMULA.findall(MATH.sub("", text))


def wrong_ratios(text: str) -> Iterator[str]:
    """Yield each ratio a:b:c that is not that of the last sum of as many numbers."""
    sums: dict[int, list[int]] = {}
    for formula, _ in formulas(text):
        if match := re.fullmatch(r"(\d+(?:\+\d+)+)=\d+", formula):
            terms = [int(term) for term in match[1].split("+")]
            sums[len(terms)] = terms
        elif re.fullmatch(r"\d+(:\d+)+", formula):
            ratio = [int(part) for part in formula.split(":")]
            terms = sums.get(len(ratio), ratio)
            if any(
                a * terms[0] != b * ratio[0] for a, b in zip(ratio, terms, strict=True)
            ):
                yield f"{formula}, not {terms}"


def wrong_formulas(text: str) -> list[str]:
    """Return what is wrong in the formulas of a text."""
    return [w for formula, unit in formulas(text) for w in wrong_parts(formula, unit)]


def text_of(path: Path) -> str:
    if path in FIGURES:
        return "\n".join(svg_texts(path))
    return without_code(prose(read(path)))


@pytest.mark.parametrize(
    "formula",
    [
        "64+128+32+32=256",
        r"\underbrace{3\times 4}_{\text{权重}}+\underbrace{2}_{\text{偏差}}=14",
        r"\max(-1,0)+2\max(3,0)=6",
        r"\lfloor(224-11)/4\rfloor+1=54",
        r"\left\lfloor\frac{224-7+2\times 3+2}{2}\right\rfloor=\frac{224}{2} .",
        r"25{,}088\times 4096+4096=102{,}764{,}544",
        r"2\times 9:25=18:25",
        r"2.303\approx\ln 10",
        r"0.25^7\approx 0.00006",
        r"2^{10}=1024=n",
    ],
)
def test_right_formulas_pass(formula):
    assert not list(wrong_parts(formula))


@pytest.mark.parametrize(
    "formula",
    [
        "64+128+32+32=258",
        r"\lfloor(224-11)/4\rfloor+1=55",
        r"\left\lfloor\frac{224-7+2\times 3+2}{2}\right\rfloor=\frac{225}{2}",
        r"25{,}088\times 4096+4096=102{,}764{,}545",
        r"2\times 9:25=19:25",
        r"2.304\approx\ln 10",
        r"0.25^7\approx 0.00005",
        r"2^{10}=1025=n",
        "1=1=2",
    ],
)
def test_wrong_formulas_are_found(formula):
    assert list(wrong_parts(formula))


def test_units_count():
    assert not list(wrong_parts(r"256\times 4096+4096\approx 105", "万"))
    assert list(wrong_parts(r"256\times 4096+4096\approx 105", "亿"))


@pytest.mark.parametrize(
    "text",
    [
        "共有 $2+3={0}$ 个",
        "共有\n\n$$2+3={0} .$$\n\n个",
        r"$$n=4,\qquad 2+3={0}$$",
        "共有 2 + 3 = {0} 个",
        "(2 + 3) × 1 = {0}",
        r"$2\times 25000\approx {0}$ 万",
        "2 × 25000 ≈ {0} 万",
        "$1+1=2$，$2+3={0}$",
    ],
)
def test_formulas_are_found_in_text(text):
    assert not wrong_formulas(text.replace("{0}", "5"))
    assert wrong_formulas(text.replace("{0}", "6"))


def test_figures_and_prose_are_read():
    correlation = NOTEBOOKS / "img" / "correlation.svg"
    assert "=" in text_of(correlation)
    nin = text_of(NOTEBOOKS / "08-nin.ipynb")
    assert "# 网络中的网络（NiN）" in nin and "`" not in nin


def test_what_cannot_be_evaluated_does_not_pass():
    with pytest.raises(SyntaxError):
        list(wrong_parts("2+(3=5"))


def test_ratios_are_those_of_the_sum_before():
    assert not list(wrong_ratios("$64+128+32+32=256$ 个，比例是 $2:4:1:1$"))
    assert list(wrong_ratios("$64+128+32+32=256$ 个，比例是 $2:3:1:1$"))


@pytest.mark.parametrize("path", PATHS, ids=name_of)
def test_stated_ratios_are_right(path):
    wrong = list(wrong_ratios(text_of(path)))
    assert not wrong


@pytest.mark.parametrize("path", [*PATHS, *FIGURES], ids=name_of)
def test_formulas_are_right(path):
    assert not wrong_formulas(text_of(path))
