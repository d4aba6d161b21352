"""The cache folder: what is in it is complete, and one process at a time adds to it.

It holds folders. Each is made in a staging folder beside it and renamed into place when complete.
What is not covered: a cached file that something else edits without changing its size.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

from harness.errors import AssetError

MARKER = ".complete"
"""A file that says what a cache folder was made from, and the sizes of all others in it."""


def cache_dir() -> Path:
    """$TUNEOFF_CACHE, or `tuneoff` in the platform's cache folder of this user. It need not exist yet."""
    if chosen := os.environ.get("TUNEOFF_CACHE"):
        return Path(chosen).expanduser().absolute()
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "tuneoff"
    variable = "LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
    return Path(os.environ.get(variable) or Path.home() / ".cache") / "tuneoff"


def cached(name: str, key: str, make: Callable[[Path], Path], *, progress: bool = True) -> Path:
    """The cache folder `name`, made first when it is missing, was made from another `key` or lost bytes.

    Args:
        name: Folder name within `cache_dir()`.
        key: Whatever determines the content, such as a checksum.
        make: Called with an empty folder, under a lock that holds across processes; returns the
            folder within it that becomes the cache folder. An OSError that it raises is translated.
        progress: Say so when another process holds the lock.

    Raises:
        AssetError: The disk is full or the cache cannot be written.
    """
    root = cache_dir()
    folder, staging = root / name, root / f".{name}.staging"
    if _is_complete(folder, key):  # without the lock, so that a read-only cache serves what it has
        return folder
    try:
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f".{name}.lock", progress):
            if _is_complete(folder, key):
                return folder
            shutil.rmtree(staging, ignore_errors=True)  # left by a process that was killed
            staging.mkdir(exist_ok=True)
            try:
                _publish(make(staging), folder, key)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    except OSError as error:
        raise AssetError(_explain(error, root)) from error
    return folder


def require_space(folder: Path, needed: int) -> None:
    """Check that `needed` bytes are free where `folder` is, before work starts that would fill the disk.

    Raises:
        AssetError: They are not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise AssetError(
            f"not enough disk space in {cache_dir()}: {needed / 1e6:,.0f} MB are needed, "
            f"{free / 1e6:,.0f} MB are free; free some, or set TUNEOFF_CACHE to a folder elsewhere"
        )


@contextmanager
def bar(label: str, total: int | None, progress: bool) -> Iterator[Progress]:
    """A bar with one task on standard error; silent where that is not a terminal.

    Args:
        label: What is going on.
        total: Bytes to come, or None for a bar that only moves.
        progress: False hides it.
    """
    console = Console(file=sys.stderr)  # by value: it stays visible where libraries' output is redirected
    shown = progress and console.is_terminal
    columns = [TextColumn("{task.description}"), BarColumn()]
    sized = [DownloadColumn(), TimeRemainingColumn()] if total else []
    with Progress(*columns, *sized, console=console, transient=True, disable=not shown) as bar:
        bar.add_task(label, total=total)
        yield bar


@contextmanager
def _locked(path: Path, progress: bool) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        with bar(f"waiting for another process that fills {path.parent}", None, progress):
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _explain(error: OSError, root: Path) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full: free some space in {root}, or set TUNEOFF_CACHE to a folder elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"cannot write to the cache folder {root}; set TUNEOFF_CACHE to a folder that you can write to"
    return f"cannot use the cache folder {root}: {' '.join(str(error).split())}"


def _inventory(folder: Path, key: str) -> bytes:
    files = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    return json.dumps({"key": key, "files": {path.name: path.stat().st_size for path in files}}).encode()


def _is_complete(folder: Path, key: str) -> bool:
    try:
        return (folder / MARKER).read_bytes() == _inventory(folder, key)
    except OSError:
        return False  # absent, or unreadable: making it again will say why


def _publish(made: Path, folder: Path, key: str) -> None:
    marker = made / MARKER
    marker.write_bytes(_inventory(made, key))
    for path in made.iterdir():
        path.chmod(marker.stat().st_mode)  # safetensors ignores the umask, and a cache may be shared
    if folder.exists():
        shutil.rmtree(folder)
    made.rename(folder)
