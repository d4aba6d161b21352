"""The Method contract as checks, on a toy model that is trained for a few steps."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from harness.adapter import restore, save
from harness.budget import preset
from harness.conformance import Check
from harness.data import Encoder, batches
from harness.engine import engine
from harness.merging import UnmergedError, distance, is_quantised, mergeable, merged_copy
from harness.method import Method
from harness.model import ModelSource, quieten, resolve
from harness.toy import write_toy_model
from harness.train import Trained, train

if TYPE_CHECKING:
    from transformers import PreTrainedModel

BUDGET = replace(preset("smoke"), train_examples=32, batch_size=4)
IDS = torch.arange(40)[None]
"""The input whose outputs are compared, (1, tokens)."""
ROUNDINGS = 16
"""Units in the last place of the largest logit that a model may be off once it is loaded again."""


def method_checks(method: Method) -> Iterator[Check]:
    """The rules of the Method contract."""
    yield Check(
        name="name and description are stated",
        problem=None if method.name.strip() and method.description.strip() else "one of them is empty",
    )
    rates = method.learning_rates
    good = all(isinstance(rate, float) and rate > 0 for rate in rates) and len(set(rates)) == len(rates)
    yield Check(
        name="learning rates are distinct positive numbers, the default first",
        problem=None if good else f"they are {rates!r}",
    )
    quieten()
    with tempfile.TemporaryDirectory() as folder:
        toy = write_toy_model(Path(folder) / "toy")
        sources = [resolve(str(toy), device="cpu", precision=name) for name in ("float32", "bfloat16")]
        if method.starts_as_base:
            yield Check(
                name="before training, outputs equal the loaded model's", problem=_start(method, sources)
            )
        yield from _trained_checks(method, sources[0], Path(folder) / "saved")


def _trained_checks(method: Method, source: ModelSource, folder: Path) -> Iterator[Check]:
    torch.manual_seed(0)
    loaded = method.load(source)
    buffers = {id(buffer) for buffer in loaded.buffers()}
    model = method.adapt(loaded, BUDGET)
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    if not method.learning_rates:
        yield Check(
            name="without learning rates nothing is trainable",
            problem=f"trainable: {', '.join(sorted(trainable)[:3])}" if trainable else None,
        )
        return
    yield Check(
        name="something is trainable", problem=None if trainable else "no parameter requires a gradient"
    )
    if not trainable:
        return
    watch = _Watch(method, model, {name for name, one in model.named_buffers() if id(one) in buffers})
    trained = _train(method, model, source, watch)
    losses = [math.inf if point.loss is None else point.loss for point in trained.curve]
    yield Check(name="training on the toy model is not degenerate", problem=trained.degenerate)
    yield _none("frozen weights are bit-identical after training", "changed", watch.changed() - trainable)
    yield _none("every trainable tensor got a gradient", "without one", trainable - watch.reached)
    yield _none("every trainable tensor moved", "unchanged", trainable - watch.moved)
    yield Check(
        name="the loss fell",
        problem=None if losses[-1] < losses[0] else f"from {losses[0]:.3f} to {losses[-1]:.3f}",
    )
    wanted = _outputs(model)
    save(model, folder)
    apart = float((_outputs(restore(method, source, folder)) - wanted).abs().max())
    # AdaLoRA's file leaves masked ranks out, and shorter sums are rounded otherwise.
    rounding = ROUNDINGS * torch.finfo(wanted.dtype).eps * float(wanted.abs().max())
    yield Check(
        name="saved and loaded again, it gives the same outputs",
        problem=None if apart <= rounding else f"logits differ by {apart:.2g}",
    )
    yield from _merged_checks(model)


def _merged_checks(model: PreTrainedModel) -> Iterator[Check]:
    """Nothing where no adapter can be merged, or where the weights are too coarse for what it would add."""
    if is_quantised(model) or not mergeable(model):
        return
    try:
        merged = merged_copy(model)
    except UnmergedError:
        return
    apart = distance(model, merged, IDS)
    far = f"logits differ by {apart.difference:.2g}, where rounding explains {apart.tolerance:.2g}"
    yield Check(
        name="merged into the weights, it gives the same outputs but for rounding",
        problem=None if apart.difference <= apart.tolerance else far,
    )


class _Watch:
    """Stands in for a method's `after_step` and remembers which tensors had gradients and which moved."""

    def __init__(self, method: Method, model: PreTrainedModel, buffers: Collection[str]) -> None:
        """Of the buffers those named are watched, the loaded model's: a method may move its own."""
        self.method = method
        self.model = model
        self.buffers = buffers
        self.before = {name: tensor.detach().clone() for name, tensor in self._watched()}
        self.reached: set[str] = set()
        self.moved: set[str] = set()

    def changed(self) -> set[str]:
        """Names of the tensors that are not what they were at the start."""
        return {
            name
            for name, tensor in self._watched()
            if name in self.before and not torch.equal(tensor.detach(), self.before[name])
        }

    def _watched(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from self.model.named_parameters()
        yield from ((name, one) for name, one in self.model.named_buffers() if name in self.buffers)
        yield from _scales(self.model)

    def after_step(self, model: PreTrainedModel, step: int) -> None:
        """Look, then do what the method does: it may well put a tensor back to zero."""
        gradients = ((name, parameter.grad) for name, parameter in model.named_parameters())
        self.reached |= {name for name, gradient in gradients if gradient is not None and gradient.any()}
        self.moved |= self.changed()
        self.method.after_step(model, step)


def _scales(model: PreTrainedModel) -> Iterator[tuple[str, torch.Tensor]]:
    """By what bitsandbytes multiplies whole numbers: a block's in 4 bits, rounded too, and a row's in 8."""
    for name, module in model.named_modules():
        weight = getattr(module, "weight", None)
        blocks = getattr(weight, "quant_state", None)
        nested = getattr(blocks, "state2", None)
        rows = (getattr(weight, "SCB", None), getattr(getattr(module, "state", None), "SCB", None))
        found = {
            "block scales": getattr(blocks, "absmax", None),
            "scales of these": getattr(nested, "absmax", None),
            "their offset": getattr(blocks, "offset", None),
            "row scales": next((one for one in rows if one is not None), None),
        }
        yield from ((f"{name}, {what}", one) for what, one in found.items() if isinstance(one, torch.Tensor))


def _train(method: Method, model: PreTrainedModel, source: ModelSource, watch: _Watch) -> Trained:
    """A few steps on one sentence."""
    fast = engine("fast")
    encoder = Encoder(source.tokenizer(), 128)
    pairs = [encoder.pair(f"Count to {n}:", "one two three") for n in range(BUDGET.train_examples)]
    return train(
        model,
        fast.optimizer(model, source.precision),
        batches(pairs, batch_size=BUDGET.batch_size, epochs=1, seed=0, pad=encoder.end),
        loss_of=fast.loss,
        learning_rate=min(method.learning_rates),  # defaults are tuned to real models
        device="cpu",
        penalty=method.penalty,
        after_step=watch.after_step,
        progress=lambda done, total: None,
    )


def _start(method: Method, sources: list[ModelSource]) -> str | None:
    for source in sources:
        base = _outputs(method.load(source))
        if not torch.equal(_outputs(method.adapt(method.load(source), BUDGET)), base):
            return f"they differ in {source.precision}; a method that cannot says so: starts_as_base = False"
    return None


@torch.inference_mode()
def _outputs(model: PreTrainedModel) -> torch.Tensor:
    logits: torch.Tensor = model.eval()(input_ids=IDS, attention_mask=torch.ones_like(IDS)).logits
    return logits


def _none(name: str, how: str, found: set[str]) -> Check:
    return Check(name=name, problem=f"{how}: {', '.join(sorted(found)[:3])}" if found else None)
