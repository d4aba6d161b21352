"""From what a model wrote to a program: a body, or a whole function, with or without fences."""

from __future__ import annotations

import ast
import re
import textwrap
import warnings

PLAIN_ANSWER = "plain_answer"
_PLAIN_BODY = "    value = {name}(*arguments)\n    return dict(value) if isinstance(value, dict) else value\n"

_FENCE = re.compile(
    r"^[ \t]*```[ \t]*(?:python3?|py)?[ \t]*\n(.*?)(?:^[ \t]*```|\Z)", re.DOTALL | re.MULTILINE
)
# A line of a body rather than of prose; a fence or a repeated function after one is rambling.
_CODE = re.compile(r"[ \t]+\S|(?:return|raise|assert)\b|(?:if|for|while|with)\b.*:|[A-Za-z_]\w*\s*[-+*/|&]?=")


def program(header: str, name: str, output: str) -> str | None:
    """The function's source, or None where the output holds no code.

    Args:
        header: The signature and docstring, ending in a line break.
        name: The function's name.
        output: What the model wrote: a body, a body whose first line lacks its indentation, a whole
            function, or either in a fenced block. Whatever follows the function is dropped.
    """
    output = output.replace("\r\n", "\n")
    fence = _FENCE.search(output)
    fenced = fence is not None and not _has_code(output[: fence.start()])
    if fence is not None and fenced:
        output = fence.group(1)
    signature = re.compile(rf"^[ \t]*def[ \t]+{re.escape(name)}[ \t]*\(", re.MULTILINE).search(output)
    if signature and (fenced or not _has_code(output[: signature.start()])):
        # A fenced block may define imports and helpers first.
        before = output[: signature.start()] if fenced else ""
        text = textwrap.dedent(before + output[signature.start() :])
        start = re.search(rf"^def[ \t]+{re.escape(name)}\b", text, re.MULTILINE)
        return _cut(text, start.start() if start else 0)
    body = output.strip("\n")
    if fenced and not body.startswith((" ", "\t")):
        body = textwrap.indent(body, "    ")
    return _body(header, body)


def parses(source: str | None) -> bool:
    """Whether a program is there and is Python, run or not."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of escapes and comparisons that a model wrote
            return source is not None and bool(ast.parse(source).body)
    # What is nested too deeply for the parser, or holds a null, is no syntax error.
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False


def _body(header: str, output: str) -> str | None:
    lines = output.split("\n")
    while lines and not lines[0].strip():
        lines.pop(0)
    if not lines or lines[0].startswith("```"):
        return None
    if not lines[0].startswith((" ", "\t")):
        lines[0] = "    " + lines[0]
    return _cut(header + "\n".join(lines), 0)


def _cut(text: str, start: int) -> str:
    """Drops what follows the function whose `def` line begins at `start`."""
    head, *rest = text[start:].split("\n")
    kept = [head]
    for line in rest:
        # A signature or a collection may close at the margin.
        if line.strip() and not line.startswith((" ", "\t", ")", "]", "}")):
            break
        kept.append(line)
    return text[:start] + "\n".join(kept)


def _has_code(text: str) -> bool:
    return any(_CODE.match(line) for line in text.split("\n"))


def with_plain_answer(source: str, name: str) -> str:
    """`source` and a function `PLAIN_ANSWER`, which calls `name` and returns a dict for a kind of dict.

    Published tests compare with ==, for which a Counter is a dict; only exact types leave the sandbox.
    """
    return f"{source}\n\n\ndef {PLAIN_ANSWER}(*arguments):\n{_PLAIN_BODY.format(name=name)}"
