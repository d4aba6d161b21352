"""Options that several commands have, each in one place."""

from __future__ import annotations

from typing import Annotated

import typer

Seeds = Annotated[int | None, typer.Option(min=1, help="Seeds to run, instead of the budget's.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the grid and its time, run nothing.")]
TrustPickle = Annotated[
    bool, typer.Option("--trust-pickle", help="Load pytorch_model.bin where a model has no safetensors.")
]
TrustRemoteCode = Annotated[
    bool, typer.Option("--trust-remote-code", help="Run Python code that a model brings along.")
]
Force = Annotated[bool, typer.Option("--force", help="Run cells again that have results.")]


def trusted(pickle: bool, remote_code: bool) -> tuple[str, ...]:
    """What a model may do that runs code of its own, as `Settings.trust` names it."""
    from harness.vetting import PICKLE, REMOTE_CODE

    return tuple(name for name, given in ((PICKLE, pickle), (REMOTE_CODE, remote_code)) if given)
