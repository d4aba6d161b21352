"""Files that hold either their old content or all of the new, whatever happens to the writer."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from harness.errors import ResultError


def write_atomic(path: Path, text: str) -> None:
    """Write `text` so that `path` holds either its old content or all of the new, whatever happens.

    Raises:
        ResultError: The folder cannot be written or the disk is full; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ResultError(f"cannot write {path}: {error.strerror or error}") from error
