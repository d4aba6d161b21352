"""The building blocks of a specification: what to walk over, what to keep, what to do, what to return.

Code templates use `{x}` for the element and `{a}`, `{b}` for constants. Phrases are English for the
same thing; several phrases of one part are paraphrases.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

Constants = tuple[tuple[int | str, ...], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One building block.

    Attributes:
        kind: Names the block in a specification, and in the name of the function.
        phrases: A predicate has paraphrases in the plural. A transform has three forms, for "each ...",
            for an imperative with `{o}`, and for a noun phrase with `{o}`. A reducer has sentences.
        code: The expression; for a reducer the whole body after the indentation.
        constants: The values that `{a}` and `{b}` may take.
        argument: A further argument of the function that the code reads, or None.
        gives: The type of a transform's result; empty for predicates and reducers.
        takes: Types of the elements that a reducer accepts.
        modes: Whether a reducer goes with a filter ("f"), a map ("m"), both ("b") or nothing ("n").
    """

    kind: str
    phrases: tuple[str, ...]
    code: str
    constants: Constants = ((),)
    argument: str | None = None
    gives: str = ""
    takes: tuple[str, ...] = ("int", "str")
    modes: str = "fmb"


@dataclass(frozen=True, kw_only=True, slots=True)
class Bound:
    """A part with its constants chosen."""

    part: Part
    values: tuple[int | str, ...]
    paraphrase: int

    def code(self, x: str, **fields: str) -> str:
        """The code with the element called `x`."""
        return self._fill(self.part.code, x=x, **fields)

    def phrase(self, form: int | None = None, /, **fields: str) -> str:
        """The phrase in the chosen paraphrase, or in a given form."""
        chosen = self.paraphrase % len(self.part.phrases) if form is None else form
        return self._fill(self.part.phrases[chosen], **fields)

    def _fill(self, template: str, **fields: str) -> str:
        constants = {key: repr(value) for key, value in zip("ab", self.values, strict=False)}
        return template.format(**constants, **fields)


def bind(part: Part, rng: Random) -> Bound:
    """Chooses constants and a paraphrase."""
    return Bound(part=part, values=rng.choice(part.constants), paraphrase=rng.randrange(12))


def singular(phrase: str) -> str:
    """A predicate's phrase for one subject: "are even" becomes "is even"."""
    first, rest = phrase.split(" ", 1)
    if rest.startswith("multiples"):
        rest = rest.replace("multiples", "a multiple")
    verb = {"are": "is", "have": "has", "do": "does"}.get(first, first + "s")
    return f"{verb} {rest}".replace(" and are ", " and is ").replace(" or are ", " or is ")


def _ints(low: int, high: int) -> Constants:
    return tuple((number,) for number in range(low, high + 1))


def _predicate(
    kind: str, phrases: str, code: str, constants: Constants = ((),), argument: str | None = None
) -> Part:
    return Part(
        kind=kind, phrases=tuple(phrases.split("|")), code=code, constants=constants, argument=argument
    )


def _transform(kind: str, phrases: str, code: str, constants: Constants = ((),), gives: str = "int") -> Part:
    return Part(kind=kind, phrases=tuple(phrases.split("|")), code=code, constants=constants, gives=gives)


_NUMBERS = _ints(2, 9)
_RANGES: Constants = tuple((low, low + width) for low in range(1, 6) for width in (3, 4, 5))
_REMAINDERS: Constants = tuple((k, r) for k in (3, 4, 5) for r in range(1, k))
_LETTERS: Constants = tuple((letter,) for letter in "abelnorst")
_LETTER_PAIRS: Constants = tuple(zip("aeorstnl", "oxiezdmr", strict=True))
_MARKS: Constants = (("!",), ("-",), ("_",), ("#",), ("*",))

NUMBER_PREDICATES = (
    _predicate("even", "are even", "{x} % 2 == 0"),
    _predicate("odd", "are odd", "{x} % 2 == 1"),
    _predicate("positive", "are positive|are greater than zero", "{x} > 0"),
    _predicate("negative", "are negative|are less than zero", "{x} < 0"),
    _predicate("nonzero", "are not zero", "{x} != 0"),
    _predicate("over", "are greater than {a}|are above {a}", "{x} > {a}", _NUMBERS),
    _predicate("under", "are less than {a}|are below {a}", "{x} < {a}", _NUMBERS),
    _predicate("at_least", "are at least {a}", "{x} >= {a}", _NUMBERS),
    _predicate("at_most", "are at most {a}", "{x} <= {a}", _NUMBERS),
    _predicate("divisible", "are divisible by {a}|are multiples of {a}", "{x} % {a} == 0", _ints(3, 7)),
    _predicate("indivisible", "are not divisible by {a}", "{x} % {a} != 0", _ints(2, 7)),
    _predicate("remainder", "leave remainder {b} when divided by {a}", "{x} % {a} == {b}", _REMAINDERS),
    _predicate("between", "are between {a} and {b} inclusive", "{a} <= {x} <= {b}", _RANGES),
    _predicate("outside", "are less than {a} or greater than {b}", "{x} < {a} or {x} > {b}", _RANGES),
    _predicate("not_equal", "are not equal to {a}|are different from {a}", "{x} != {a}", _NUMBERS),
    _predicate("far", "have an absolute value greater than {a}", "abs({x}) > {a}", _NUMBERS),
    _predicate("over_limit", "are greater than limit", "{x} > limit", argument="limit"),
    _predicate("under_limit", "are less than limit", "{x} < limit", argument="limit"),
    _predicate("divisible_by", "are divisible by divisor", "{x} % divisor == 0", argument="divisor"),
    _predicate("not_target", "are not equal to target", "{x} != target", argument="target"),
)

NUMBER_TRANSFORMS = (
    _transform("square", "squared|Square {o}|the square of {o}", "{x} ** 2"),
    _transform("cube", "cubed|Cube {o}|the cube of {o}", "{x} ** 3"),
    _transform("double", "doubled|Double {o}|twice {o}", "{x} * 2"),
    _transform("times", "multiplied by {a}|Multiply {o} by {a}|{a} times {o}", "{x} * {a}", _ints(3, 9)),
    _transform("plus", "increased by {a}|Add {a} to {o}|{o} plus {a}", "{x} + {a}", _ints(1, 9)),
    _transform("minus", "decreased by {a}|Subtract {a} from {o}|{o} minus {a}", "{x} - {a}", _ints(1, 9)),
    _transform("from", "subtracted from {a}|Subtract {o} from {a}|{a} minus {o}", "{a} - {x}", _ints(5, 20)),
    _transform("negate", "negated|Negate {o}|the negation of {o}", "-{x}"),
    _transform(
        "absolute",
        "as its absolute value|Take the absolute value of {o}|the absolute value of {o}",
        "abs({x})",
    ),
    _transform("modulo", "modulo {a}|Reduce {o} modulo {a}|{o} modulo {a}", "{x} % {a}", _ints(3, 9)),
    _transform(
        "floor",
        "floor-divided by {a}|Floor-divide {o} by {a}|{o} floor-divided by {a}",
        "{x} // {a}",
        _ints(2, 5),
    ),
    _transform("cap", "capped at {a}|Cap {o} at {a}|the smaller of {o} and {a}", "min({x}, {a})", _NUMBERS),
    _transform(
        "raise",
        "raised to at least {a}|Raise {o} to at least {a}|the larger of {o} and {a}",
        "max({x}, {a})",
        _NUMBERS,
    ),
    _transform(
        "distance",
        "as its distance from {a}|Take the distance from {a} of {o}|the distance of {o} from {a}",
        "abs({x} - {a})",
        _NUMBERS,
    ),
    _transform(
        "text", "converted to a string|Convert {o} to strings|{o} as a string", "str({x})", gives="str"
    ),
)

WORD_PREDICATES = (
    _predicate("start", "start with {a}|begin with {a}", "{x}.startswith({a})", _LETTERS),
    _predicate("end", "end with {a}|end in {a}", "{x}.endswith({a})", _LETTERS),
    _predicate("with", "contain the letter {a}|have the letter {a} in them", "{a} in {x}", _LETTERS),
    _predicate("without", "do not contain the letter {a}", "{a} not in {x}", _LETTERS),
    _predicate("longer", "have more than {a} letters|are longer than {a}", "len({x}) > {a}", _ints(2, 5)),
    _predicate("shorter", "have fewer than {a} letters|are shorter than {a}", "len({x}) < {a}", _ints(3, 6)),
    _predicate("exact", "have exactly {a} letters|have length {a}", "len({x}) == {a}", _ints(3, 5)),
    _predicate("not_length", "do not have length {a}", "len({x}) != {a}", _ints(3, 5)),
    _predicate("even_length", "have an even length", "len({x}) % 2 == 0"),
    _predicate("odd_length", "have an odd length", "len({x}) % 2 == 1"),
    _predicate("upper", "are all upper case|are written in capitals", "{x}.isupper()"),
    _predicate("lower", "are all lower case", "{x}.islower()"),
    _predicate("digits", "consist of digits", "{x}.isdigit()"),
    _predicate("palindrome", "read the same backwards", "{x} == {x}[::-1]"),
    _predicate("repeat", "contain the letter {a} more than once", "{x}.count({a}) > 1", _LETTERS),
    _predicate("prefixed", "start with prefix", "{x}.startswith(prefix)", argument="prefix"),
    _predicate("containing", "contain part", "part in {x}", argument="part"),
    _predicate("longer_than", "are longer than size", "len({x}) > size", argument="size"),
)

WORD_TRANSFORMS = (
    _transform(
        "upper", "in upper case|Convert {o} to upper case|{o} in upper case", "{x}.upper()", gives="str"
    ),
    _transform(
        "lower", "in lower case|Convert {o} to lower case|{o} in lower case", "{x}.lower()", gives="str"
    ),
    _transform("capital", "capitalized|Capitalize {o}|{o} capitalized", "{x}.capitalize()", gives="str"),
    _transform("reverse", "reversed|Reverse each of {o}|{o} reversed", "{x}[::-1]", gives="str"),
    _transform(
        "head",
        "cut to the first {a} characters|Cut {o} to {a} characters|the first {a} characters of {o}",
        "{x}[:{a}]",
        _ints(2, 4),
        "str",
    ),
    _transform(
        "tail",
        "without the first character|Drop the first character of {o}|{o} without the first character",
        "{x}[1:]",
        gives="str",
    ),
    _transform(
        "init",
        "without the last character|Drop the last character of {o}|{o} without the last character",
        "{x}[:-1]",
        gives="str",
    ),
    _transform(
        "prefix",
        "with {a} put in front|Put {a} in front of {o}|{o} with {a} in front",
        "{a} + {x}",
        _MARKS,
        "str",
    ),
    _transform(
        "suffix",
        "with {a} added at the end|Append {a} to {o}|{o} followed by {a}",
        "{x} + {a}",
        _MARKS,
        "str",
    ),
    _transform("twice", "repeated twice|Repeat {o} twice|{o} repeated twice", "{x} * 2", gives="str"),
    _transform(
        "swap",
        "with {a} replaced by {b}|Replace {a} by {b} in {o}|{o} with {a} replaced by {b}",
        "{x}.replace({a}, {b})",
        _LETTER_PAIRS,
        "str",
    ),
    _transform(
        "length", "replaced by its length|Take the length of {o}|the length of {o}", "len({x})", gives="int"
    ),
    _transform(
        "count",
        "replaced by its number of {a}|Take the number of {a} in {o}|the number of {a} in {o}",
        "{x}.count({a})",
        _LETTERS,
    ),
)

CHAR_PREDICATES = (
    _predicate("vowel", "are lower-case vowels", "{x} in 'aeiou'"),
    _predicate("consonant", "are not lower-case vowels", "{x} not in 'aeiou'"),
    _predicate("digit", "are digits", "{x}.isdigit()"),
    _predicate("letter", "are letters", "{x}.isalpha()"),
    _predicate("nonletter", "are not letters", "not {x}.isalpha()"),
    _predicate("upper", "are upper case", "{x}.isupper()"),
    _predicate("lower", "are lower case", "{x}.islower()"),
    _predicate("visible", "are not spaces", "{x} != ' '"),
    _predicate("is", "are equal to {a}", "{x} == {a}", _LETTERS),
    _predicate("is_not", "are different from {a}|are not {a}", "{x} != {a}", _LETTERS),
    _predicate("either", "are {a} or {b}", "{x} == {a} or {x} == {b}", _LETTER_PAIRS),
    _predicate("before", "come before {a}", "{x} < {a}", tuple((c,) for c in "dfhkmp")),
    _predicate("is_mark", "are equal to mark", "{x} == mark", argument="mark"),
    _predicate("not_mark", "are not equal to mark", "{x} != mark", argument="mark"),
)

CHAR_TRANSFORMS = tuple(
    part for part in WORD_TRANSFORMS if part.kind in ("upper", "lower", "prefix", "suffix", "twice")
)
