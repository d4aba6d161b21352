"""Which of the engine's techniques serves which method: observed on the toy model, not claimed.

    python -m benchmarks.techniques

writes the table into benchmarks/README.md. Each technique has an observer that runs the fast engine under
the method and looks at what the model's own modules, the optimizer or the compiler were given.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from benchmarks.render import README, between, grid
from harness import optimizer, registry
from harness.anatomy import blocks
from harness.answers import encode_prompts
from harness.budget import preset
from harness.data import Batch, Encoder, batches
from harness.engine import FAST
from harness.model import ModelSource, quieten, resolve
from harness.report.palette import order
from harness.toy import write_toy_model

MARKS = "<!-- techniques:begin -->", "<!-- techniques:end -->"
PROMPTS = [f"What all the prompts share comes first. {'very ' * (n % 3)}{n}:" for n in range(6)]
LABELS = ("red", "a blue one", "green")


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """A method's model, with batches to train on and prompts to answer."""

    model: Any
    encoder: Encoder

    def batches(self) -> list[Batch]:
        """Two small training batches."""
        pairs = [self.encoder.pair(f"Count to {n}:", "one two") for n in range(8)]
        return batches(pairs, batch_size=4, epochs=1, seed=0, pad=self.encoder.end)

    def evaluator(self) -> Any:
        """The fast engine's."""
        return FAST.evaluator(self.model, self.encoder, device="cpu", progress=lambda done, total: None)

    def choose(self) -> Any:
        """Let an evaluator choose a label for every prompt; returns it."""
        evaluator = self.evaluator()
        joined = [self.encoder.follow(PROMPTS[0], label) for label in LABELS]
        evaluator.choose(encode_prompts(self.encoder, PROMPTS, ()), joined, LABELS)
        return evaluator


@contextlib.contextmanager
def rows_seen(module: torch.nn.Module) -> Iterator[list[int]]:
    """Within the block, the first size of everything that the module puts out."""
    seen: list[int] = []
    handle = module.register_forward_hook(lambda _, args, output: seen.append(len(output)))
    try:
        yield seen
    finally:
        handle.remove()


def target_logits(setting: Setting) -> bool:
    """The head computes as many rows of logits as there are targets."""
    batch = setting.batches()[0]
    with rows_seen(setting.model.get_output_embeddings()) as seen:
        FAST.loss(setting.model, batch)
    return seen == [len(batch.targets)]


def blockwise_updates(setting: Setting) -> bool:
    """One step gives torch's fused AdamW every trained parameter's float32 master, in blocks."""
    updated = 0

    def count(masters: list[torch.Tensor], *arguments: Any, fused: bool, **options: Any) -> None:
        nonlocal updated
        updated += sum(master.numel() for master in masters if fused and master.dtype == torch.float32)

    chosen = FAST.optimizer(setting.model, "float32")
    FAST.loss(setting.model, setting.batches()[0]).backward()
    with mock.patch.object(optimizer, "adamw", count):
        chosen.step(1e-3)
    return updated == sum(p.numel() for p in setting.model.parameters() if p.requires_grad)


def gates_recomputed(setting: Setting) -> bool:
    """Once made ready for steps, every block keeps one tensor of its MLP's inner size less."""

    def kept() -> int:
        found = set[int]()

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.ndim == 3 and tensor.shape[-1] == setting.model.config.intermediate_size:
                found.add(tensor.data_ptr())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = FAST.loss(setting.model, setting.batches()[0])
            assert loss.requires_grad  # the graph is alive, so that no two tensors had one address
        return len(found)

    before = kept()
    FAST.optimizer(setting.model, "float32")
    return before - kept() == len(blocks(setting.model))


def compiled(setting: Setting) -> bool:
    """On a CPU with AMX all blocks but the first go to the compiler, which is not run here."""
    given: list[torch.nn.Module] = []
    with (
        mock.patch.object(torch.cpu, "_is_amx_tile_supported", return_value=True),
        mock.patch("shutil.which", return_value="a compiler"),
        mock.patch.object(torch.nn.Module, "compile", lambda block, **options: given.append(block)),
    ):
        FAST.compile(setting.model, setting.batches(), math.inf)
    return given == list(blocks(setting.model))[1:]


def shared_prefix(setting: Setting) -> bool:
    """Choosing runs fewer tokens through the model than the prompts alone have."""
    prompts = encode_prompts(setting.encoder, PROMPTS, ())
    return setting.choose().tokens < sum(len(prompt.ids) for prompt in prompts)


def labels_together(setting: Setting) -> bool:
    """Choosing takes one pass for the prefix and one for all prompts with all labels."""
    with rows_seen(blocks(setting.model)[0]) as seen:
        setting.choose()
    return seen == [1, len(PROMPTS)]


def finished_rows_dropped(setting: Setting) -> bool:
    """Where half of the answers end at every token, the next pass has half the rows."""

    def end(head: torch.nn.Module, args: Any, logits: torch.Tensor) -> torch.Tensor:
        logits[: len(logits) // 2, ..., setting.encoder.end] = torch.inf
        return logits

    handle = setting.model.get_output_embeddings().register_forward_hook(end)
    try:
        with rows_seen(blocks(setting.model)[0]) as seen:
            setting.evaluator().generate(encode_prompts(setting.encoder, PROMPTS, ()), 4)
    finally:
        handle.remove()
    return seen[1:4] == [6, 3, 2]


# What makes a model ready for steps cannot be undone, so that its observer comes first.
TRAINING: dict[str, Callable[[Setting], bool]] = {
    "gate's activation computed again": gates_recomputed,
    "logits at targets only": target_logits,
    "blocks compiled (CPUs with AMX)": compiled,
    "AdamW by blocks, float32 masters": blockwise_updates,
}
ANSWERING: dict[str, Callable[[Setting], bool]] = {
    "shared prefix run once": shared_prefix,
    "all labels in one pass": labels_together,
    "finished rows dropped": finished_rows_dropped,
}


def observed(source: ModelSource, name: str) -> dict[str, bool | None]:
    """For each technique whether it served the method; None where the method has no use for it."""
    method = registry.method(name)
    torch.manual_seed(0)
    setting = Setting(
        model=method.adapt(method.load(source), preset("smoke")),
        encoder=Encoder(source.tokenizer(), 96),
    )
    # Answers come first: to try the optimizer rounds the trained weights.
    found: dict[str, bool | None] = {name: look(setting) for name, look in ANSWERING.items()}
    trained = {name: look(setting) if method.learning_rates else None for name, look in TRAINING.items()}
    return {**trained, **found}


def table(served: Mapping[str, Mapping[str, bool | None]]) -> str:
    """What was observed of each method, in Markdown."""
    words = {True: "yes", False: "no", None: "nothing trained"}
    rows = [[f"`{name}`", *(words[found] for found in served[name].values())] for name in order(served)]
    return grid(["method", *TRAINING, *ANSWERING], rows)


def main() -> None:
    """Put the table between README's markers."""
    quieten()
    with tempfile.TemporaryDirectory() as folder:
        source = resolve(str(write_toy_model(Path(folder))), device="cpu", precision="float32")
        text = table({name: observed(source, name) for name in registry.methods()})
    README.write_text(between(README.read_text(encoding="utf-8"), MARKS, text), encoding="utf-8")


if __name__ == "__main__":
    main()
