"""Text that somebody else wrote, made fit to be shown: in one line, or in a terminal."""

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


def _visible(line: str) -> str:
    return "".join(" " if unicodedata.category(letter)[0] in "CZ" else letter for letter in line)
