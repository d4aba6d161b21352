"""How a walk over elements ends: the sentence and the body of each reducer, sources included.

Besides a part's own fields, sentences use `{what}` (the elements, as a noun phrase), `{base}` (the
elements before the filter), `{pred}` and `{pred_one}` (the filter, plural and singular). Bodies use
`{xs}`, `{x}`, `{e}` (the element after the map), `{p}` (the filter) and `{c}` (" if " and the filter,
or nothing).
"""

from __future__ import annotations

from dataclasses import dataclass

from tasks.function_completion import parts
from tasks.function_completion.parts import Part


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What a function walks over.

    Attributes:
        kind: Names the source in a specification.
        noun: The elements, with `{arg}` for the argument.
        code: The iterable.
        x: The loop variable.
        type: "int" or "str".
        names: What the argument may be called.
        input: What to draw as its value.
        sequence: Whether `reversed` takes the iterable.
    """

    kind: str
    noun: str
    code: str
    x: str
    type: str
    names: tuple[str, ...]
    input: str
    predicates: tuple[Part, ...]
    transforms: tuple[Part, ...]
    sequence: bool = True


def _numbers(
    kind: str, noun: str, code: str, names: tuple[str, ...], kind_of_input: str, sequence: bool = True
) -> Source:
    return Source(
        kind=kind,
        noun=noun,
        code=code,
        x="v",
        type="int",
        names=names,
        input=kind_of_input,
        predicates=parts.NUMBER_PREDICATES,
        transforms=parts.NUMBER_TRANSFORMS,
        sequence=sequence,
    )


NUMBERS = _numbers("numbers", "numbers in {arg}", "{arg}", ("values", "numbers", "nums", "data"), "numbers")
SCORES = _numbers(
    "scores", "values of the dictionary {arg}", "{arg}.values()", ("scores", "prices", "table"), "table"
)
DIGITS = _numbers("digits", "digits of {arg}", "map(int, str({arg}))", ("n", "number"), "long", False)
RANGE = _numbers("range", "integers from 1 to {arg}", "range(1, {arg} + 1)", ("n", "stop"), "stop")
WORDS = Source(
    kind="words",
    noun="words in {arg}",
    code="{arg}",
    x="w",
    type="str",
    names=("words", "names", "items"),
    input="words",
    predicates=parts.WORD_PREDICATES,
    transforms=parts.WORD_TRANSFORMS,
)
SENTENCE = Source(
    kind="sentence",
    noun="words of the sentence {arg}",
    code="{arg}.split()",
    x="w",
    type="str",
    names=("text", "line", "message"),
    input="sentence",
    predicates=parts.WORD_PREDICATES,
    transforms=parts.WORD_TRANSFORMS,
)
CHARS = Source(
    kind="chars",
    noun="characters of {arg}",
    code="{arg}",
    x="c",
    type="str",
    names=("text", "s", "word"),
    input="text",
    predicates=parts.CHAR_PREDICATES,
    transforms=parts.CHAR_TRANSFORMS,
)
SOURCES = (NUMBERS, SCORES, DIGITS, RANGE, WORDS, SENTENCE, CHARS)


def _reducer(
    kind: str,
    phrases: str,
    code: str,
    *,
    modes: str = "fmb",
    takes: tuple[str, ...] = ("int", "str"),
    constants: parts.Constants = ((),),
) -> Part:
    return Part(
        kind=kind, phrases=tuple(phrases.split("|")), code=code, modes=modes, takes=takes, constants=constants
    )


_INT = ("int",)
_STR = ("str",)
_JOINTS: parts.Constants = ((", ",), ("-",), (" ",), ("/",), ("+",))

REDUCERS = (
    _reducer("list", "Return a list of {what}.", "return [{e} for {x} in {xs}{c}]"),
    _reducer(
        "sum", "Return the sum of {what}.|Add up {what}.", "return sum({e} for {x} in {xs}{c})", takes=_INT
    ),
    _reducer(
        "count", "Count {what}.|Return the number of {what}.", "return sum(1 for {x} in {xs}{c})", modes="f"
    ),
    _reducer(
        "distinct",
        "Count the distinct values among {what}.|Return how many different values are among {what}.",
        "return len({{{e} for {x} in {xs}{c}}})",
    ),
    _reducer(
        "max",
        "Return the largest of {what}, or 0 if there are none.",
        "return max(({e} for {x} in {xs}{c}), default=0)",
        takes=_INT,
    ),
    _reducer(
        "min",
        "Return the smallest of {what}, or None if there are none.",
        "return min(({e} for {x} in {xs}{c}), default=None)",
        takes=_INT,
    ),
    _reducer("sorted", "Return {what}, sorted in ascending order.", "return sorted({e} for {x} in {xs}{c})"),
    _reducer(
        "descending",
        "Return {what}, sorted in descending order.",
        "return sorted(({e} for {x} in {xs}{c}), reverse=True)",
    ),
    _reducer(
        "unique",
        "Return a sorted list of the distinct values among {what}.",
        "return sorted({{{e} for {x} in {xs}{c}}})",
    ),
    _reducer(
        "first",
        "Return the first of {what}, or None if there are none.",
        "return next(({e} for {x} in {xs}{c}), None)",
        modes="fb",
    ),
    _reducer(
        "last",
        "Return the last of {what}, or None if there are none.",
        "return next(({e} for {x} in reversed({xs}){c}), None)",
        modes="fb",
    ),
    _reducer(
        "backwards",
        "Return a list of {what}, from last to first.",
        "return [{e} for {x} in reversed({xs}){c}]",
    ),
    _reducer(
        "join",
        "Join {what} with {a}.|Return a string of {what}, joined with {a}.",
        "return {a}.join({e} for {x} in {xs}{c})",
        takes=_STR,
        constants=_JOINTS,
    ),
    _reducer(
        "longest",
        "Return the longest of {what}, or '' if there are none.",
        "return max(({e} for {x} in {xs}{c}), key=len, default='')",
        takes=_STR,
        modes="fb",
    ),
    _reducer(
        "mean",
        "Return the average of {what}, or 0 if there are none.",
        "found = [{e} for {x} in {xs}{c}]\n    return sum(found) / len(found) if found else 0",
        takes=_INT,
    ),
    _reducer("any", "Return True if any of the {base} {pred}.", "return any({p} for {x} in {xs})", modes="f"),
    _reducer("all", "Return True if all of the {base} {pred}.", "return all({p} for {x} in {xs})", modes="f"),
    _reducer(
        "positions",
        "Return the positions of {what}.",
        "return [i for i, {x} in enumerate({xs}) if {p}]",
        modes="f",
    ),
    _reducer(
        "find",
        "Return the position of the first of {what}, or -1 if there are none.",
        "return next((i for i, {x} in enumerate({xs}) if {p}), -1)",
        modes="f",
    ),
    _reducer(
        "until",
        "Return a list of the {base} before the first one that {pred_one}.",
        "found = []\n    for {x} in {xs}:\n        if {p}:\n            break\n"
        "        found.append({x})\n    return found",
        modes="f",
    ),
    _reducer(
        "running",
        "Return the running totals of {what}.",
        "total, found = 0, []\n    for {x} in {xs}:\n        total += {e}\n"
        "        found.append(total)\n    return found",
        takes=_INT,
        modes="m",
    ),
)
