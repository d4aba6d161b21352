"""Options that several commands have, each in one place."""

from __future__ import annotations

from typing import Annotated

import typer

Seeds = Annotated[int | None, typer.Option(min=1, help="Seeds to run, instead of the budget's.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the grid and its time, run nothing.")]
Force = Annotated[bool, typer.Option("--force", help="Run cells again that have results.")]
