"""English prose and Python code that no task trains on, from the standard library of the Python that runs.

Prose is of `pydoc_data.topics` (the language reference), code of the library's top-level modules. The same
Python has the same passages; another version may have others, so that results carry their hash.
"""

from __future__ import annotations

import hashlib
import re
import sys
import sysconfig
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import islice
from pathlib import Path

LEAST, MOST = 240, 400
"""Characters of a passage."""

SPEC = re.compile(r"^\s|::=|\*\*\*|===")
"""What a paragraph of prose has none of: indentation, grammar, underlined headings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Passages:
    """Texts of one kind, one a source, and the SHA-256 over them."""

    texts: tuple[str, ...]
    sha256: str


def passages(kind: str, count: int) -> Passages | None:
    """The first `count` passages of a kind of `KINDS`; None where this Python comes without their source."""
    texts = tuple(islice(KINDS[kind](), count))
    if not texts:
        return None
    return Passages(texts=texts, sha256=hashlib.sha256("\0".join(texts).encode()).hexdigest())


def _prose() -> Iterator[str]:
    """Of each topic the first paragraph of sentences that is long enough, its lines joined."""
    try:
        topics: Mapping[str, str] = import_module("pydoc_data.topics").topics
    except ModuleNotFoundError:
        return
    for name in sorted(topics, key=_order):
        paragraphs = (part for part in topics[name].split("\n\n") if not SPEC.search(part))
        found = (" ".join(part.split()) for part in paragraphs)
        yield from islice((text[:MOST] for text in found if len(text) >= LEAST), 1)


def _code() -> Iterator[str]:
    """Of each module the first function or class that is long enough."""
    folder = Path(sysconfig.get_path("stdlib"))
    for name in sorted(sys.stdlib_module_names, key=_order):
        path = folder / f"{name}.py"
        if path.is_file():
            parts = re.split(r"\n(?=def \w+\(|class \w+[:(])", path.read_text(encoding="utf-8"))[1:]
            yield from islice((part[:MOST] for part in parts if len(part) >= LEAST), 1)


def _order(name: str) -> str:
    """A mixed order, which stays the same for what two versions share."""
    return hashlib.sha256(name.encode()).hexdigest()


KINDS: Mapping[str, Callable[[], Iterator[str]]] = {"prose": _prose, "code": _code}
"""How the passages of each kind are found."""
