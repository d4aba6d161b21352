"""Arguments to call a function with: drawn near the constants that its body mentions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from random import Random

_VOCABULARY = (
    "apple ant Anna area bell Bob bread bee cat cocoa civic dot dad eel ease eye fern fig gong hello kayak "
    "kiwi lamp level llama moon mom madam noon nun NASA ocean onion owl pear pop press rain rotor river "
    "rabbit stats sun sister stone tent toast tree TAXI USA OK wow zebra 42 7 2024 a I to banana letter "
    "butter tattoo salsa noodle error nurse orbit solo"
)
_WORDS = tuple(_VOCABULARY.split())
_CHARS = "aeiouaeioubdfhklmnprst  ABELNORST123-!"
_KEYS = "abcdefgh"

Value = int | str | list[int] | list[str] | dict[str, int]


def draw(kinds: tuple[str, ...], constants: tuple[int | str, ...], rng: Random) -> tuple[Value, ...]:
    """One value for each of `kinds`; those after the first may depend on the first."""
    first = _MAIN[kinds[0]](constants, rng)
    rest = [_MAIN[k](constants, rng) if k in _MAIN else _extra(k, first, rng) for k in kinds[1:]]
    return (first, *rest)


def edge(kinds: tuple[str, ...], constants: tuple[int | str, ...], rng: Random) -> tuple[Value, ...]:
    """The same, with the smallest first value: an empty list, string or dictionary, or zero."""
    empty: dict[str, Value] = {
        "numbers": [],
        "words": [],
        "table": {},
        "sentence": "",
        "text": "",
        "word": "",
    }
    _, *rest = draw(kinds, constants, rng)
    return (empty.get(kinds[0], 0), *rest)


def _number(constants: tuple[int | str, ...], rng: Random) -> int:
    near = [value for value in constants if isinstance(value, int)]
    kind = rng.randrange(8)
    if kind == 0:
        return rng.choice((-2, -1, 0, 0, 1, 2))
    if near and kind < 4:
        return rng.choice(near) + rng.choice((-1, 0, 0, 1))
    return rng.randrange(-12, 25)


def _numbers(constants: tuple[int | str, ...], rng: Random) -> list[int]:
    values = [_number(constants, rng) for _ in range(rng.choice((1, 3, 4, 4, 5, 5, 6, 7)))]
    if len(values) > 2 and rng.randrange(3) == 0:
        values[-1] = values[0]
    return values


@cache
def _pools(constants: tuple[int | str, ...]) -> tuple[tuple[str, ...], ...]:
    """All words, those with one of the letters among `constants`, and those that start or end with it."""
    letters = [value for value in constants if isinstance(value, str)]
    close = tuple(word for word in _WORDS if any(letter in word for letter in letters))
    near = tuple(word for word in close if any(letter in (word[0], word[-1]) for letter in letters))
    return _WORDS, close or _WORDS, near or close or _WORDS


def _word(constants: tuple[int | str, ...], rng: Random) -> str:
    return rng.choice(rng.choice(_pools(constants)))


def _words(constants: tuple[int | str, ...], rng: Random) -> list[str]:
    values = [_word(constants, rng) for _ in range(rng.choice((1, 2, 3, 3, 4, 4, 5)))]
    if len(values) > 2 and rng.randrange(3) == 0:
        values[-1] = values[0]
    return values


def _text(constants: tuple[int | str, ...], rng: Random) -> str:
    near = "".join(value for value in constants if isinstance(value, str) and value.isalpha())
    pool = _CHARS + near * 6
    return "".join(rng.choice(pool) for _ in range(rng.choice((1, 4, 5, 6, 7, 8, 9))))


def _table(constants: tuple[int | str, ...], rng: Random) -> dict[str, int]:
    values = _numbers(constants, rng)
    return dict(zip(rng.sample(_KEYS, len(values)), values, strict=True))


_MAIN: dict[str, Callable[[tuple[int | str, ...], Random], Value]] = {
    "number": _number,
    "numbers": _numbers,
    "word": _word,
    "words": _words,
    "text": _text,
    "table": _table,
    "sentence": lambda constants, rng: " ".join(_words(constants, rng)),
    "long": lambda constants, rng: rng.randrange(10, 10 ** rng.randrange(2, 8)),
    "stop": lambda constants, rng: rng.randrange(1, 16),
}


def _extra(kind: str, first: Value, rng: Random) -> int | str:
    """A further argument; half of the time one that occurs in the first."""
    hit = rng.randrange(2) == 0
    if kind in ("limit", "divisor", "target"):
        found = [value for value in _ints(first) if value >= 2 or kind != "divisor"]
        low, high = {"limit": (-3, 13), "divisor": (2, 7), "target": (0, 10)}[kind]
        return rng.choice(found) if hit and found and kind != "divisor" else rng.randrange(low, high)
    if kind == "size":
        return rng.randrange(2, 6)
    if kind == "mark":
        return rng.choice(first) if hit and isinstance(first, str) and first else rng.choice(_CHARS)
    words: list[str] = []
    if isinstance(first, (str, list)):
        words = first.split() if isinstance(first, str) else [str(item) for item in first]
    word = rng.choice(words) if hit and words else rng.choice(_WORDS)
    start = 0 if kind == "prefix" else rng.randrange(len(word))
    return word[start : start + rng.randrange(1, 3)]


def _ints(first: Value) -> list[int]:
    if isinstance(first, int):
        return [first, *map(int, str(abs(first)))]
    values = first.values() if isinstance(first, dict) else first
    return [value for value in values if isinstance(value, int)]
