"""Text as it is shown: strangers' made harmless, in one line or in a terminal; a learning rate's digits."""

from __future__ import annotations

import unicodedata

from rich.markup import escape


def printable(text: object) -> str:
    """One line of visible characters: control, format and unassigned ones become spaces, runs of them one.

    Text from a model can carry terminal escapes and marks that reverse what follows.
    """
    return " ".join(_visible(str(text)).split())


def terminal(text: object) -> str:
    """Any text as rich markup that shows it literally; its lines stay lines, and their indentation stays."""
    return escape("\n".join(_visible(line) for line in str(text).split("\n")))


def rate(value: float) -> str:
    """A learning rate: "2e-4"."""
    mantissa, _, exponent = f"{value:.3e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def _visible(line: str) -> str:
    return "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in line)
