"""Plain values: how they cross from a program that nobody trusts, and when two of them agree.

A value crosses as JSON, whose grammar is small and read in linear time by a parser made for hostile input, as
Python's own for literals is not. None, bool, str and small int stand for themselves. Everything else is an
array that begins with a tag:

    list       ["l", ...]            tuple      ["t", ...]         bytes    ["b", "00ff"]
    set        ["s", ...]            frozenset  ["z", ...]         float    ["f", "-0x0.0p+0"]
    dict       ["d", k, v, ...]      int        ["i", "-0x1f"]     complex  ["c", "0x1.8p+1", "nan"]
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

MAX_DEPTH = 50
"""How deeply the containers of a value may be nested."""

MAX_HASHED = 1000
"""Keys and members of sets that one answer may hold: made to collide, their cost grows with the square."""

MAX_INTEGER_BITS = 1 << 20


def decode(text: str) -> object:
    """The value that `text` stands for.

    Raises:
        ValueError: The text is not the form of a plain value, or of one that is too large.
    """
    try:
        form = json.loads(
            text, parse_float=_refuse, parse_constant=_refuse, object_pairs_hook=lambda pairs: _refuse("{")
        )
        return _Decoder().value(form, 0)
    except (TypeError, MemoryError, RecursionError, OverflowError) as error:
        raise ValueError(f"not a plain value: {type(error).__name__}") from error


def _refuse(text: str) -> NoReturn:
    raise ValueError(f"{text[:20]!r} is not part of a plain value")


class _Decoder:
    """Counts, over one answer, what is expensive to build."""

    def __init__(self) -> None:
        self._hashed = 0

    def value(self, form: Any, depth: int) -> object:
        if not isinstance(form, list):
            return form
        if depth > MAX_DEPTH or not form:
            raise ValueError("an array without a tag, or too deep")
        tag, *parts = form
        if tag in ("l", "t", "s", "z", "d"):
            return self._container(tag, [self.value(part, depth + 1) for part in parts])
        if tag in _ATOMS:
            return _ATOMS[tag](*parts)
        raise ValueError("an array with an unknown tag")

    def _container(self, tag: str, items: list[object]) -> object:
        if tag in ("s", "z", "d"):
            self._hashed += len(items)
            if self._hashed > 2 * MAX_HASHED:
                raise ValueError(f"more than {MAX_HASHED} keys or members of sets")
        if tag == "d":
            return dict(zip(items[::2], items[1::2], strict=True))
        makes: dict[str, Callable[[Iterable[object]], object]]
        makes = {"l": list, "t": tuple, "s": set, "z": frozenset}
        return makes[tag](items)


def _integer(text: str) -> int:
    if 4 * len(text) > MAX_INTEGER_BITS:
        raise ValueError(f"an integer of more than {MAX_INTEGER_BITS} bits")
    return int(text, 16)


_ATOMS: dict[str, Callable[..., object]] = {
    "b": bytes.fromhex,
    "i": _integer,
    "f": float.fromhex,
    "c": lambda real, imaginary: complex(float.fromhex(real), float.fromhex(imaginary)),
}


def same(a: object, b: object) -> bool:
    """Whether two plain values agree, types included: True is not 1, and 1 is not 1.0.

    Floats agree within a relative 1e-9, and nan agrees with nan; the parts of complex numbers likewise. Keys
    of dictionaries and members of sets must agree exactly, in any order.
    """
    if type(a) is not type(b):
        return False
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))
    if isinstance(a, complex) and isinstance(b, complex):
        return same(a.real, b.real) and same(a.imag, b.imag)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, (set, frozenset)) and isinstance(b, (set, frozenset)):
        return set(map(_typed, a)) == set(map(_typed, b))
    if isinstance(a, dict) and isinstance(b, dict):
        left, right = ({_typed(key): value for key, value in side.items()} for side in (a, b))
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    return a == b


def _typed(value: object) -> object:
    """A key that tells a hashable plain value's types as well, where `==` takes 1 for True."""
    if isinstance(value, tuple):
        return (tuple, *map(_typed, value))
    if isinstance(value, frozenset):
        return (frozenset, frozenset(map(_typed, value)))
    return (type(value), repr(value) if isinstance(value, (float, complex)) else value)
