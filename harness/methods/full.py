"""Full fine-tuning: every parameter is trained."""

from __future__ import annotations

from typing import TYPE_CHECKING

from harness.budget import Budget
from harness.method import Method
from harness.model import ModelSource

if TYPE_CHECKING:
    from transformers import PreTrainedModel


class Full(Method):
    """All weights, embeddings included, with float32 master copies."""

    name = "full"
    description = "full fine-tuning, all weights"
    core = True
    learning_rates = (3e-4, 1e-4, 1e-3, 3e-5)

    def load(self, source: ModelSource) -> PreTrainedModel:
        """All weights with all their digits: small updates count from the first step."""
        return source.load(precision="float32")

    def adapt(self, model: PreTrainedModel, budget: Budget) -> PreTrainedModel:
        """Mark every parameter trainable."""
        model.requires_grad_(True)
        return model
