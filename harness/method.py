"""The Method contract: how a base model becomes a trainable one, or stays frozen.

A method knows nothing of tasks. It owns its adapter configuration, the precision of its frozen
weights and its learning rates; steps, examples and everything else belong to the budget.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from harness.budget import Budget
    from harness.environment import Environment
    from harness.model import ModelSource


class Method:
    """Base of every method plugin; as it stands, a frozen base model.

    Attributes:
        name: Identifier, unique among methods; rank and variant are part of it ("lora-r16").
        description: One line for `list methods`.
        shots: Solved train examples put before every prompt.
        learning_rates: The default first, then the log grid for trials. Empty if nothing is trained.
        rate_given: Whether the user fixed its one learning rate (`name@rate`), so that none are tried.
        core: Whether `--methods core` includes it.
        starts_as_base: Whether an adapted model, before training, gives exactly the loaded model's
            outputs. True of every additive adapter that starts at zero; virtual tokens cannot.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    shots: ClassVar[int] = 0
    learning_rates: ClassVar[tuple[float, ...]] = ()
    rate_given: ClassVar[bool] = False
    core: ClassVar[bool] = False
    starts_as_base: ClassVar[bool] = True

    def config(self) -> Mapping[str, Any]:
        """The choices that define this method, as plain JSON values, for the result file."""
        return {}

    def skip(self, environment: Environment) -> str | None:
        """Why this method cannot run here, or None."""
        return None

    def load(self, source: ModelSource) -> PreTrainedModel:
        """The base model in the run's compute precision; quantising methods override this."""
        return source.load()

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """A model whose parameters with `requires_grad` are exactly those to train.

        `budget.steps` is the number of optimizer steps that the model will be trained for, also where the
        task has fewer examples than the preset asks for. Where the clock ends training (`budget.match` is
        "seconds") it is an estimate: `after_step` may be called for more steps, or for fewer.
        """
        model.requires_grad_(False)
        return model

    def penalty(self, model: PreTrainedModel) -> torch.Tensor | None:
        """A scalar that the method adds to the loss of every step, or None.

        For what defines the method, such as keeping its matrices orthogonal. Reported losses are without it.
        """
        return None

    def after_step(self, model: PreTrainedModel, step: int) -> None:
        """Called after optimizer step `step` (from 1), for methods that reallocate while they train.

        Each trained parameter still has its gradient, and whatever is written into a parameter in place stays
        (under `torch.no_grad()`, not through `.data`): the optimizer's float32 copy takes it over.
        """
