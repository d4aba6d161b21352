"""How commands that run cells end: interrupted, with failed cells, or well."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from harness.text import terminal

if TYPE_CHECKING:
    from harness.display import Live
    from harness.result import Result

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)

FAILED = 3
INTERRUPTED = 130


@contextlib.contextmanager
def interruptible(listener: Live, *, force: bool) -> Iterator[None]:
    """Within the block, an interrupt ends the command with a word on how to go on after one with `force`."""
    try:
        yield
    except KeyboardInterrupt:
        listener.stop()
        how = "without --force " if force else ""
        err.print(f"stopped; every finished cell is kept, and {how}the same command goes on from here")
        sys.exit(INTERRUPTED)


def finish(results: Sequence[Result], folder: Path, report: Path) -> None:
    """Say where everything is; exits with `FAILED` if a cell did not succeed."""
    out.print(terminal(f"results  {folder}\nreport   {report}"))
    bad = [result for result in results if result.status not in {"ok", "skipped"}]
    if bad:
        err.print(f"[bold red]{len(bad)} of {len(results)} cells did not succeed;[/] the report says why")
        sys.exit(FAILED)
