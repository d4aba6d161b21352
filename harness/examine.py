"""A task's items put to a model and scored: the same for a cell's test, its trials and whatever else asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness import metrics, stats
from harness.answers import Answer, Prompt, encode_prompts
from harness.data import Encoder, Shots
from harness.engine import Engine
from harness.prepare import readable, score
from harness.result import Item, Metric
from harness.task import Example, Task

if TYPE_CHECKING:
    from transformers import PreTrainedModel


@dataclass(frozen=True, kw_only=True, slots=True)
class Examined:
    """Scored items, and how many tokens were run through the model for them."""

    items: tuple[Item, ...]
    tokens: int

    @property
    def mean(self) -> float:
        """Mean item score, 0 to 1."""
        return sum(item.score for item in self.items) / len(self.items)


@dataclass(frozen=True, kw_only=True, slots=True)
class Examiner:
    """How one cell asks: the same prompts, shots, labels and decoding whatever the model.

    Attributes:
        max_new_tokens: Of one generated answer.
        send: Where progress goes, as (label, done, total).
    """

    task: Task
    encoder: Encoder
    engine: Engine
    shots: Shots
    max_new_tokens: int
    device: str
    send: Callable[[Any], None]

    def examine(self, model: PreTrainedModel, examples: Sequence[Example], label: str) -> Examined:
        """Every example's answer and its score, in order."""
        evaluator = self.engine.evaluator(
            model,
            self.encoder,
            device=self.device,
            progress=lambda done, total: self.send((label, done, total)),
        )
        prompts = self.prompts(examples)
        if self.task.labels is None:
            answers = evaluator.generate(prompts, self.max_new_tokens, stop=self.task.stop)
        else:
            text = self.task.prompt(examples[0])
            joined = [self.encoder.follow(text, name) for name in self.task.labels]
            answers = evaluator.choose(prompts, joined, self.task.labels)
        items = tuple(self._item(example, answer) for example, answer in zip(examples, answers, strict=True))
        return Examined(items=items, tokens=evaluator.tokens)

    def prompts(self, examples: Sequence[Example]) -> list[Prompt]:
        """What the model is asked for each example, its shots included."""
        texts = [self.task.prompt(example) for example in examples]
        return encode_prompts(self.encoder, texts, self.shots)

    def metric(self, items: Sequence[Item], examples: Sequence[Example]) -> Metric:
        """The task's metric over items, with its interval."""
        value = metrics.compute(
            self.task.metric,
            [item.output for item in items],
            [self.task.target(example) for example in examples],
            [item.score for item in items],
        )["value"]
        interval = stats.mean_interval([item.score for item in items])
        return Metric(
            name=self.task.metric, value=value, ci_low=interval.low, ci_high=interval.high, n=len(items)
        )

    def settings(self, shots: int) -> dict[str, Any]:
        """How answers were got, for the result file; how many of the method's shots found room if not all."""
        fewer = {"shots": len(self.shots)} if len(self.shots) < shots else {}
        if self.task.labels is not None:
            return {
                "decoding": "label likelihood",
                "normalisation": "none: sum over the label's tokens",
                **fewer,
            }
        return {
            "decoding": "greedy",
            "max_new_tokens": self.max_new_tokens,
            "stop": self.task.stop or "end token",
            **fewer,
        }

    def _item(self, example: Example, answer: Answer) -> Item:
        return Item(
            id=example.id,
            score=score(self.task, example, answer.text),
            output=answer.text,
            truncated=answer.truncated,
            unfinished=answer.unfinished,
            readable=readable(self.task, example, answer.text),
        )
