"""Options of the commands that run cells, each in one place."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Tasks = Annotated[str, typer.Option(help="'all', or names, .py and .jsonl files separated by commas.")]
Methods = Annotated[
    str,
    typer.Option(
        help="'core', 'all', or names (also 'lora-*', 'full@3e-4'), .py files, adapter_config.json files."
    ),
]
Model = Annotated[str, typer.Option(help="'embedded', a hub id, or a folder.")]
BudgetName = Annotated[str | None, typer.Option(help="Preset; quick without a GPU, standard with one.")]
Match = Annotated[
    str, typer.Option(help="What all methods train for alike: examples, flops, seconds, or seconds=90, say.")
]
Results = Annotated[
    Path | None, typer.Option(help="Results folder; named by model, budget, match and data by default.")
]
Reports = Annotated[Path | None, typer.Option(help="Report folder; reports/<results name>.")]
DATA = ("embedded", "hub")
Data = Annotated[str, typer.Option(help="'embedded', or 'hub' for each task's larger data set.")]
ChatTemplate = Annotated[
    bool, typer.Option("--chat-template", help="Put prompts into the model's own chat template.")
]
EngineName = Annotated[
    str, typer.Option(help="'fast', or 'plain': the same by the shortest code, many times slower.")
]
Seeds = Annotated[int | None, typer.Option(min=1, help="Seeds to run, instead of the budget's.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or mps.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the grid and the time left, run nothing.")]
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
