"""Reads a user's JSONL file: one record a line, of one of three shapes, every fault named with its line.

    {"prompt": "Translate to French: bread", "completion": "pain"}
    {"messages": [{"role": "user", "content": "bread?"}, {"role": "assistant", "content": "pain"}]}
    {"text": "The bread was stale.", "label": "negative"}

A record may also have an "id", a "group" and a "split" (see `userdata`). Other keys are ignored.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from harness.errors import UsageError
from harness.scoring import collapsed

SHAPES = {
    "prompt/completion": ("prompt", "completion"),
    "messages": ("messages",),
    "text/label": ("text", "label"),
}
SPLITS = ("train", "dev", "test")
ROLES = {"system": "", "user": "User: ", "assistant": "Assistant: "}

MAX_LINE = 1_000_000
"""Bytes of the longest line that is read."""

SHOWN = 10
"""Faults that one error lists."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Record:
    """One line: what the model sees, what it should answer, and what the user said about the two.

    Attributes:
        line: Line number, from 1.
        prompt: The prompt, the conversation so far, or the text to classify; not yet stripped.
        completion: The completion, the last message, or the label; not yet stripped.
        id: The record's own id, if it has one.
        group: The record's own group, if it has one.
        split: "train", "dev" or "test" where every record says so, else None.
    """

    line: int
    prompt: str
    completion: str
    id: str | None
    group: str | None
    split: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Records:
    """The distinct records of one file.

    Attributes:
        path: The file as the user named it.
        shape: One of `SHAPES`.
        records: In file order, without repeats of the same prompt and completion.
        duplicates: How many repeats were dropped.
        sha256: Of the whole file, in hexadecimal.
    """

    path: str
    shape: str
    records: tuple[Record, ...]
    duplicates: int
    sha256: str


class Faults:
    """Collects what is wrong with a file's lines, so that one error can name the first few of them."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.shown: list[str] = []
        self.total = 0

    def add(self, line: int, what: str) -> None:
        """Note one fault."""
        self.total += 1
        if self.total <= SHOWN:
            self.shown.append(f"line {line}: {what}")

    def check(self) -> None:
        """Stop here if there are any.

        Raises:
            UsageError: Listing up to `SHOWN` faults and the total.
        """
        if self.total == 1:
            raise UsageError(f"{self.path}, {self.shown[0]}")
        if self.total:
            more = [f"and {self.total - SHOWN} more"] if self.total > SHOWN else []
            listed = "\n  ".join([*self.shown, *more])
            raise UsageError(f"{self.path}: {self.total} lines are not usable\n  {listed}")


class _Fault(Exception):
    """What is wrong with the line at hand."""


def read(path: str) -> Records:
    """All records of a file.

    Raises:
        UsageError: The file cannot be read, is not `.jsonl`, or some of its lines are not usable.
    """
    if not path.endswith(".jsonl"):
        raise UsageError(f"{path}: a data file is .jsonl, one JSON object a line")
    faults, digest, distinct = Faults(path), hashlib.sha256(), _Distinct()
    try:
        if (file := Path(path).expanduser()).exists() and not (file.is_file() or file.is_dir()):
            raise OSError("no regular file")  # a pipe would block, and can be read but once
        with file.open("rb") as stream:
            for number, raw in _lines(stream, digest.update):
                try:
                    if (text := _decoded(number, raw)).strip():
                        distinct.add(number, _object(text))
                except _Fault as fault:
                    faults.add(number, str(fault))
    except (OSError, RuntimeError) as error:  # the latter where there is no such user's home
        raise UsageError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    faults.check()
    return Records(
        path=path,
        shape=distinct.shape,
        records=tuple(distinct.records.values()),
        duplicates=distinct.duplicates,
        sha256=digest.hexdigest(),
    )


class _Distinct:
    """Turns objects into records that agree in shape and do not repeat."""

    def __init__(self) -> None:
        self.records: dict[tuple[str, str, str | None], Record] = {}
        self.ids: dict[str, int] = {}
        self.duplicates = 0
        self.first = 0  # the line that set shape and split
        self.shape = ""
        self.split = False

    def add(self, line: int, found: Mapping[str, object]) -> None:
        """One more object of the file, which must be like the first."""
        shape, split = _shape(found), _choice(found, "split", SPLITS)
        record = Record(
            line=line,
            **dict(zip(("prompt", "completion"), _pair(shape, found), strict=True)),
            id=_name(found, "id"),
            group=_name(found, "group"),
            split=split,
        )
        if not self.first:
            self.first, self.shape, self.split = line, shape, split is not None
        if shape != self.shape:
            raise _Fault(f"is {shape} where line {self.first} is {self.shape}; use one shape throughout")
        if (split is not None) != self.split:
            one, other = ("no", "one") if self.split else ("a", "none")
            raise _Fault(
                f"has {one} 'split' where line {self.first} has {other}; give all records one or none"
            )
        key = (record.prompt.strip(), record.completion.strip(), split)
        if key in self.records:
            self.duplicates += 1
            return
        if record.id is not None and self.ids.setdefault(record.id, line) != line:
            raise _Fault(f"has the id {_short(record.id)} of line {self.ids[record.id]}; ids must be unique")
        self.records[key] = record


def _lines(stream: BinaryIO, seen: Callable[[bytes], None]) -> Iterator[tuple[int, bytes]]:
    """Numbered lines; of one that is too long only the start, and never more than that in memory."""
    number = 0
    while raw := stream.readline(MAX_LINE + 2):  # room for a line end
        number += 1
        seen(raw)
        rest = raw
        while rest and not rest.endswith(b"\n"):
            rest = stream.readline(MAX_LINE)
            seen(rest)
        yield number, raw


def _decoded(number: int, raw: bytes) -> str:
    if len(raw.rstrip(b"\r\n")) > MAX_LINE:
        raise _Fault(f"is longer than {MAX_LINE:,} bytes")
    try:
        return raw.decode("utf-8-sig" if number == 1 else "utf-8")
    except UnicodeDecodeError as error:
        raise _Fault(f"is not UTF-8 at byte {error.start + 1}; save the file as UTF-8") from error


def _object(text: str) -> Mapping[str, object]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise _Fault(f"is not JSON: {error.msg} at column {error.colno}") from error
    except RecursionError as error:
        raise _Fault("is nested too deeply to be read") from error
    except ValueError as error:  # the only other one that the decoder lets through
        raise _Fault("holds an integer with too many digits to be read") from error
    if not isinstance(found, dict):
        raise _Fault(f"is {_type(found)}, not an object; a line reads {{...}}")
    return found


def _shape(found: Mapping[str, object]) -> str:
    shapes = [name for name, keys in SHAPES.items() if found.keys() >= set(keys)]
    if len(shapes) == 1:
        return shapes[0]
    allowed = "a record has 'prompt' and 'completion', or 'messages', or 'text' and 'label'"
    if shapes:
        raise _Fault(f"is {' and '.join(shapes)} at once; {allowed}")
    keys = ", ".join(_short(key) for key in list(found)[:6]) + (", ..." if len(found) > 6 else "")
    raise _Fault(f"has the keys {keys}; {allowed}" if found else f"has no keys; {allowed}")


def _pair(shape: str, found: Mapping[str, object]) -> tuple[str, str]:
    if shape == "messages":
        return _conversation(found["messages"])
    if shape == "text/label":
        return _text(found["text"], "'text'"), _label(found["label"])
    return _text(found["prompt"], "'prompt'"), _text(found["completion"], "'completion'")


def _conversation(messages: object) -> tuple[str, str]:
    """The conversation before the last message in a plain form, and that message."""
    if not isinstance(messages, list):
        raise _Fault(f"'messages' is {_type(messages)}; it must be a list of objects with role and content")
    turns: list[tuple[str, str]] = []
    for place, message in enumerate(messages, 1):
        if not isinstance(message, dict) or not message.keys() >= {"role", "content"}:
            raise _Fault(f"message {place} must be an object with 'role' and 'content'")
        role = _choice(message, "role", tuple(ROLES))
        if role is None:
            raise _Fault(f"message {place} has the role null; allowed: {', '.join(ROLES)}")
        if role == "system" and place > 1:
            raise _Fault(f"message {place} is from the system; only the first may be")
        turns.append((role, _text(message["content"], f"the content of message {place}")))
    roles = [role for role, _ in turns]
    if "user" not in roles or roles[-1] != "assistant":
        raise _Fault("'messages' must hold one from the user and end in one from the assistant")
    lines = [ROLES[role] + content.strip() for role, content in turns[:-1]]
    system = lines.pop(0) + "\n\n" if roles[0] == "system" else ""
    return system + "\n".join([*lines, ROLES["assistant"].rstrip()]), turns[-1][1]


def _text(value: object, what: str) -> str:
    if not isinstance(value, str):
        raise _Fault(f"{what} is {_type(value)}; it must be text")
    if not value.strip():
        raise _Fault(f"{what} is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise _Fault(f"{what} holds half of a surrogate pair, which is no character") from error
    return value


def _label(value: object) -> str:
    if isinstance(value, int):  # true and false too
        return json.dumps(value)
    if not isinstance(value, str):
        raise _Fault(f"'label' is {_type(value)}; it must be text, a whole number, true or false")
    return collapsed(_text(value, "'label'"))


def _name(found: Mapping[str, object], key: str) -> str | None:
    value = found.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise _Fault(f"{key!r} is {_type(value)}; it must be text or a whole number")
    return _text(str(value), repr(key))


def _choice(found: Mapping[str, object], key: str, allowed: tuple[str, ...]) -> str | None:
    value = found.get(key)
    if value is None or (isinstance(value, str) and value in allowed):
        return value
    given = _short(value) if isinstance(value, str) else _type(value)
    raise _Fault(f"{key!r} is {given}; allowed: {', '.join(allowed)}")


def _short(text: str) -> str:
    return ascii(text if len(text) <= 40 else text[:37] + "...")


def _type(value: object) -> str:
    names = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return "null" if value is None else names.get(type(value), "an object")
