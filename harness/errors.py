"""The exceptions a user can meet. Each message says what is wrong, what is allowed and what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class TuneoffError(Exception):
    """Base of every error that is reported as one line instead of a traceback."""

    exit_code = 3


class UsageError(TuneoffError):
    """The command line, a path or a name is wrong."""

    exit_code = 2


class PluginError(UsageError):
    """A task or method plugin breaks its contract or cannot be imported."""


class ModelError(UsageError):
    """The base model cannot be read."""


class AssetError(TuneoffError):
    """A pinned download failed: network, checksum, disk or missing installer."""


class ResultError(UsageError):
    """A stored result cannot be read: truncated, edited, or of an unknown schema."""


class SandboxError(TuneoffError):
    """Generated programs cannot be run with the isolation this machine offers."""


def unknown(kind: str, name: str, allowed: Iterable[str]) -> UsageError:
    """The error for a name that is not among `allowed`, with the nearest one that is."""
    names = sorted(allowed)
    near = get_close_matches(name, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else "."
    return UsageError(f"unknown {kind} {name!r}{hint} Allowed: {', '.join(names)}.")


def one_of(option: str, value: str, allowed: tuple[str, ...]) -> None:
    """Refuse a value that an option does not have.

    Raises:
        UsageError: It is none of `allowed`.
    """
    if value not in allowed:
        raise UsageError(f"{option} {value!r} is not one of {', '.join(allowed)}")
