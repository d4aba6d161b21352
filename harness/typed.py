"""Frozen dataclasses out of JSON values that anybody may have written: every type and number is checked.

Numbers are from 0 to `LARGEST`: nothing that is measured is below or beyond, and a chart bears no more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from types import NoneType, UnionType
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

LARGEST = 1e30
DEEPEST = 20
"""Levels of a value of any type."""

Made = TypeVar("Made")
PLAIN: dict[Any, tuple[tuple[type, ...], str]] = {
    bool: ((bool,), "true or false"),
    int: ((int,), "a whole number"),
    float: ((int, float), "a number"),
    str: ((str,), "text"),
}


def build(cls: type[Made], values: object, where: str = "") -> Made:
    """An instance of the dataclass; keys that it does not know are left out.

    Args:
        cls: Its fields are bool, int, float, str, Any, other such dataclasses, `tuple[X, ...]`,
            `Mapping[str, X]`, or any of these `| None`.
        values: What the JSON parser returned.
        where: Path to `values`, for the message.

    Raises:
        ValueError: A field is absent, of another type, or out of range.
    """
    found = _value(Mapping[str, object], values, where or cls.__name__.lower())
    hints = _hints(cls)  # type: ignore[arg-type]
    made = {}
    for field in fields(cls):  # type: ignore[arg-type]
        name = f"{where}.{field.name}" if where else field.name
        if field.name in found:
            made[field.name] = _value(hints[field.name], found[field.name], name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise ValueError(f"{name} is missing")
    return cls(**made)


def check(values: Mapping[str, Any], hints: Mapping[str, Any], where: str) -> None:
    """Check some entries of a mapping; one that is absent counts as None.

    Raises:
        ValueError: One is of another type than `hints` says.
    """
    for name, hint in hints.items():
        _value(hint, values.get(name), f"{where}.{name}")


@cache
def _hints(cls: type) -> dict[str, Any]:
    return get_type_hints(cls)


def _value(hint: Any, value: Any, where: str) -> Any:
    origin, inner = get_origin(hint), get_args(hint)
    if origin is UnionType:
        return (
            None if value is None else _value(next(one for one in inner if one is not NoneType), value, where)
        )
    if is_dataclass(hint) and isinstance(hint, type):
        return build(hint, value, where)
    if origin is tuple:
        _of((list,), "a list", value, where)
        return tuple(_value(inner[0], one, f"{where}[{at}]") for at, one in enumerate(value))
    if origin is Mapping:
        _of((dict,), "an object", value, where)
        return {name: _value(inner[1], one, f"{where}.{name}") for name, one in value.items()}
    if hint not in PLAIN:
        _shallow(value, where)
        return value
    types, called = PLAIN[hint]
    _of(types, called, value, where)
    if hint in (int, float) and not 0 <= value <= LARGEST:
        raise ValueError(f"{where:.80} is {value!r:.40}; allowed: 0 to {LARGEST:g}")
    return value


def _of(types: tuple[type, ...], called: str, value: object, where: str) -> None:
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"{where:.80} is {type(value).__name__} where {called} belongs")


def _shallow(value: object, where: str) -> None:
    rest = [(value, 0)]
    while rest:
        inner, depth = rest.pop()
        if depth > DEEPEST:
            raise ValueError(f"{where:.80} is nested too deeply")
        if isinstance(inner, dict | list):
            rest += [(one, depth + 1) for one in (inner.values() if isinstance(inner, dict) else inner)]
