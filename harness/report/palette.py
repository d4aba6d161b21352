"""One colour, marker and line for each method, the same in every figure.

Colours are Okabe and Ito's, which stay apart for colour-blind readers; methods of one family share a
hue and differ by marker and dashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

BLACK = "#000000"
ORANGE = "#E69F00"
SKY = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#7F7F7F"


@dataclass(frozen=True, slots=True)
class Look:
    """How matplotlib draws one method."""

    colour: str
    marker: str
    line: Any


DASHED = (0, (5, 2))
DOTTED = (0, (1.5, 1.5))
MIXED = (0, (5, 2, 1.5, 2))

LOOKS = {
    "zero-shot": Look(GREY, "s", DOTTED),
    "few-shot": Look(GREY, "D", DASHED),
    "full": Look(BLACK, "o", "-"),
    "lora-r8": Look(SKY, "v", "-"),
    "lora-r16": Look(BLUE, "o", "-"),
    "lora-r32": Look(BLUE, "^", DASHED),
    "lora-r64": Look(SKY, "o", MIXED),
    "lora-r256": Look(SKY, "P", DASHED),
    "lora-r16-emb": Look(BLUE, "X", DOTTED),
    "lora-r16-dropout": Look(BLUE, "D", MIXED),
    "lora-r16-int8": Look(ORANGE, "^", DOTTED),
    "qlora-r8": Look(ORANGE, "v", DASHED),
    "qlora-r16": Look(ORANGE, "o", "-"),
    "qlora-r16-fp4": Look(ORANGE, "s", MIXED),
    "dora-r16": Look(GREEN, "D", DASHED),
    "rslora-r64": Look(VERMILLION, "P", DASHED),
    "adalora": Look(GREEN, "^", "-"),
    "prefix-tuning": Look(VERMILLION, "s", "-"),
    "prompt-tuning": Look(PURPLE, "s", "-"),
}
"""By method, in the order in which methods are shown."""

SPARE_COLOURS = (PURPLE, GREEN, VERMILLION, BLUE, ORANGE, SKY)
SPARE_MARKERS = ("*", "<", ">", "p", "h", "d")
"""Markers that no known method has."""


def look(method: str) -> Look:
    """The method's look; for an unknown one it follows from its name, so it never changes between reports.

    A method at a learning rate of its own keeps the method's colour.
    """
    if method in LOOKS:
        return LOOKS[method]
    digest = hashlib.sha256(method.encode(errors="replace")).digest()
    known = LOOKS.get(_method(method))
    colour = known.colour if known else SPARE_COLOURS[digest[0] % len(SPARE_COLOURS)]
    return Look(colour, SPARE_MARKERS[digest[1] % len(SPARE_MARKERS)], MIXED)


def order(methods: Iterable[str]) -> list[str]:
    """Known methods in the order of `LOOKS`, at whatever learning rate, then the others by name."""
    known = {name: at for at, name in enumerate(LOOKS)}
    return sorted(methods, key=lambda name: (known.get(_method(name), len(known)), name))


def _method(name: str) -> str:
    """The name without the learning rate that it may end in."""
    return name.partition("@")[0]
