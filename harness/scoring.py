"""Scores of one output against one reference that several tasks share: text overlap and JSON fields."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence

import regex

MAX_DEPTH = 50
"""JSON nested deeper than this counts as no JSON: comparing it must not depend on the stack's height."""

_UNSPACED = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"
UNSPACED = regex.compile(rf"{_UNSPACED}\p{{M}}*")
"""A character, with its marks, of a script that is written without spaces between words."""
WORD = regex.compile(rf"{UNSPACED.pattern}|(?:(?!{_UNSPACED})[\p{{L}}\p{{N}}\p{{M}}])+")


def rouge_l(reference: str, output: str) -> float:
    """ROUGE-L: F-measure over the longest common subsequence of lower-cased words (Lin 2004, beta = 1).

    Words are runs of letters and digits, and single characters of scripts without spaces. A reference
    without any is compared as a whole.
    """
    wanted, given = WORD.findall(reference.lower()), WORD.findall(output.lower())
    if not wanted:
        return float(collapsed(reference) == collapsed(output))
    return 2 * _common(wanted, given) / (len(wanted) + len(given))


def field_f1(reference: Mapping[str, object], output: str) -> float:
    """Harmonic mean of precision and recall over the top-level (key, value) pairs of a JSON object.

    The output's object starts at its first "{"; what follows it does not matter. Strings are equal up to
    white space, numbers as numbers (1 is 1.0, true is not 1), lists and objects item by item. An output
    that holds no object scores 0.0.
    """
    given = json_object(output)
    if given is None:
        return 0.0
    if not reference and not given:
        return 1.0
    hits = sum(key in given and _same(value, given[key]) for key, value in reference.items())
    return 2 * hits / (len(reference) + len(given))


def json_object(text: str, *, whole: bool = False) -> dict[str, object] | None:
    """The JSON object that starts at the first "{", or None; `whole` allows only white space around it.

    NaN and infinities, integers too long to convert, and objects nested deeper than `MAX_DEPTH` are none.
    """
    start = text.find("{")
    if start < 0:
        return None
    try:
        value, end = json.JSONDecoder(parse_constant=_refuse).raw_decode(text, start)
    except (ValueError, RecursionError):
        return None
    if whole and (text[:start].strip() or text[end:].strip()):
        return None
    return value if _shallow(value) else None


def first_lines(output: str, count: int = 1) -> str:
    """The first `count` lines that are not blank, their white space collapsed, joined by line breaks."""
    lines = [collapsed(line) for line in output.splitlines()]
    return "\n".join([line for line in lines if line][:count])


def collapsed(text: str) -> str:
    """`text` with every run of white space as one space, and none at its ends."""
    return " ".join(text.split())


def _common(first: Sequence[str], second: Sequence[str]) -> int:
    """Length of the longest common subsequence, a column of the usual table at a time.

    The column is the bits of one integer (Hyyro 2004), so that a page of text takes milliseconds.
    """
    places: defaultdict[str, int] = defaultdict(int)
    for index, word in enumerate(first):
        places[word] |= 1 << index
    full = (1 << len(first)) - 1
    column = full
    for word in second:
        matches = column & places.get(word, 0)
        column = ((column + matches) | (column - matches)) & full
    return len(first) - column.bit_count()


def _same(first: object, second: object) -> bool:
    if isinstance(first, str) and isinstance(second, str):
        return collapsed(first) == collapsed(second)
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(_same, first, second))
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(_same(first[key], second[key]) for key in first)
    return first == second


def _shallow(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if isinstance(item, dict) else item if isinstance(item, list) else ())
            if isinstance(child, dict | list)
        ]
        if not level:
            return True
    return False


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")
