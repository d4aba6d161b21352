"""Training steps through torch's compiler: a model's repeated blocks, where that pays."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

from harness.anatomy import blocks
from harness.cache import cache_dir
from harness.data import Batch, head_of
from harness.train import target_loss

if TYPE_CHECKING:
    from transformers import PreTrainedModel

COMPILED_WORK = 5e12
"""Training operations from which compiling pays: it takes seconds a cell even when all code is on disk."""

WARM_ROWS = 2
"""Rows of the batch that is compiled with; one row is a case of its own, compiled as well where it occurs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compiled:
    """Whether a cell's training steps were compiled, and if not, why."""

    compiled: bool
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for a result file."""
        return asdict(self)


def compile_where_it_pays(model: PreTrainedModel, batches: Sequence[Batch], work: float) -> Compiled:
    """Compile the model for training on `batches`, which take `work` operations in all, until `release`.

    It pays on a CPU with a tile matrix unit (AMX). With AVX-512 alone most of a step is products, and
    compiling gains less than it costs.
    """
    if work < COMPILED_WORK:
        return Compiled(compiled=False, reason="too little work for compiling to pay")
    if model.device.type != "cpu" or not torch.cpu._is_amx_tile_supported():
        return Compiled(compiled=False, reason="compiling was seen to pay on CPUs with AMX alone")
    if shutil.which(os.environ.get("CXX", "g++")) is None:
        return Compiled(compiled=False, reason="there is no C++ compiler")
    return compile_blocks(model, batches)


def compile_blocks(model: PreTrainedModel, batches: Sequence[Batch]) -> Compiled:
    """Compile the model's blocks for training; all share one graph, whose code is kept on disk.

    Gradients and the random state are left as they were. The first block stays as it is: where
    nothing below it is trained its input needs no gradient, which would be another graph.
    """
    repeated = blocks(model)
    if len({type(block) for block in repeated}) > 1:
        return Compiled(compiled=False, reason=f"the blocks of {type(model).__name__} are of several kinds")
    _configure()
    for block in repeated[1:]:
        block.compile(dynamic=True)
    random_state = torch.get_rng_state()
    several = [batch for batch in batches if len(batch.ids) >= WARM_ROWS]
    narrowest = min(several or batches, key=lambda batch: batch.ids.shape[1])
    sizes = [WARM_ROWS] * bool(several) + [1] * (len(several) < len(batches))
    model.train()
    try:
        for rows in sizes:
            sample = head_of(narrowest, rows)
            target_loss(model, sample.to(str(model.device))).backward()  # type: ignore[no-untyped-call]
    except _compiler_errors() as error:
        release(model)
        return Compiled(compiled=False, reason=str(error).strip().partition("\n")[0])
    finally:
        model.eval()
        torch.set_rng_state(random_state)
        model.zero_grad(set_to_none=True)
    return Compiled(compiled=True)


def release(model: torch.nn.Module) -> None:
    """Let the blocks run uncompiled from now on: evaluation brings caches, which would be other graphs."""
    for block in blocks(model):
        block._compiled_call_impl = None


@contextlib.contextmanager
def uncompiled(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, the model's blocks run as after `release`; then as before."""
    before = [(block, block._compiled_call_impl) for block in blocks(model)]
    release(model)
    try:
        yield
    finally:
        for block, call in before:
            block._compiled_call_impl = call


def _configure() -> None:
    """Settings of the compiler, for this process."""
    import torch._inductor.config
    import torch.fx.experimental._config

    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_dir() / "inductor"))
    torch._inductor.config.compile_threads = 1  # one graph a cell; a pool of processes costs more
    # A width that happens to equal another size (the head's, say) must not be taken for it.
    torch.fx.experimental._config.use_duck_shape = False


def _compiler_errors() -> tuple[type[Exception], ...]:
    from torch._dynamo.exc import TorchDynamoException
    from torch._inductor.exc import CppCompileError, InvalidCxxCompiler

    return (TorchDynamoException, CppCompileError, InvalidCxxCompiler)
