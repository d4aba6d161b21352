"""Metrics over a whole test set, as local modules of the `evaluate` library.

`evaluate.load` would fetch its scripts from the hub; these classes are instantiated directly, hold
their data in memory and work without a network. Only the worker imports this module: `evaluate`
imports torch and transformers.
"""

from __future__ import annotations

import math
import tempfile
import warnings
from collections.abc import Sequence
from typing import Any

import datasets
import evaluate
from sklearn.metrics import accuracy_score, f1_score

from harness.errors import PluginError, unknown
from harness.task import METRICS

TOLERANCE = 1e-9
VERDICTS = frozenset({"exact_match", "pass@1"})
"""Metrics whose items are right or wrong, with nothing in between."""


class Accuracy(evaluate.Metric):  # type: ignore[misc]
    """Share of predicted labels that equal the reference, and the unweighted mean of the labels' F1.

    Both from scikit-learn. F1 runs over the labels that occur; one that is never predicted counts as 0.
    """

    def _info(self) -> Any:
        features = {"predictions": datasets.Value("string"), "references": datasets.Value("string")}
        return _info("Accuracy and macro-averaged F1 over labels.", features)

    def _compute(self, predictions: Sequence[str], references: Sequence[str]) -> dict[str, float]:
        with warnings.catch_warnings():
            # A small test set of a task with many labels is no mistake.
            warnings.filterwarnings("ignore", message="The number of unique classes is greater than 50%")
            return {
                "value": float(accuracy_score(references, predictions)),
                "macro_f1": float(f1_score(references, predictions, average="macro", zero_division=0.0)),
            }


class MeanScore(evaluate.Metric):  # type: ignore[misc]
    """Mean of the scores that the task gave to each output."""

    def _info(self) -> Any:
        return _info("Mean of item scores from 0 to 1.", {"predictions": datasets.Value("float64")})

    def _compute(self, predictions: Sequence[float]) -> dict[str, float]:
        return {"value": math.fsum(predictions) / len(predictions)}


class Verdicts(MeanScore):
    """Share of items judged right: exact match, or pass@1 with one greedy program a problem.

    With n = 1 sample, the estimator of pass@1 in Chen et al. (2021), 1 - C(n-c, 1)/C(n, 1), is c.
    """

    def _compute(self, predictions: Sequence[float]) -> dict[str, float]:
        if wrong := [score for score in predictions if score not in (0.0, 1.0)]:
            raise PluginError(
                f"task.score returned {wrong[0]} under the metric {self.config_name!r}, which allows only 0 "
                "and 1; return one of them or declare a graded metric such as 'field_f1'"
            )
        return super()._compute(predictions)


MODULES: dict[str, type[evaluate.Metric]] = {
    "accuracy": Accuracy,
    "exact_match": Verdicts,
    "pass@1": Verdicts,
    "rougeL": MeanScore,
    "field_f1": MeanScore,
}


def compute(
    metric: str, predictions: Sequence[str], references: Sequence[str], scores: Sequence[float]
) -> dict[str, float]:
    """A task's metric over its test items.

    Args:
        metric: One of `harness.task.METRICS`.
        predictions: What the model answered, one per item.
        references: The targets; only "accuracy" compares them itself.
        scores: What `task.score` gave each item, from 0 to 1.

    Returns:
        `value`, which is the mean of `scores`; for "accuracy" also `macro_f1`.

    Raises:
        UsageError: There is no such metric.
        PluginError: A score is out of range, or the scores' mean is not the metric they declare.
    """
    if metric not in MODULES:
        raise unknown("metric", metric, METRICS)
    assert len(predictions) == len(references) == len(scores) > 0
    if outside := [score for score in scores if not 0.0 <= score <= 1.0]:
        raise PluginError(f"task.score returned {outside[0]}; scores must lie from 0 to 1")
    with tempfile.TemporaryDirectory() as folder:  # `evaluate` makes a folder even if it writes nothing
        module = MODULES[metric](config_name=metric, keep_in_memory=True, cache_dir=folder)
        if metric == "accuracy":
            computed = module.compute(predictions=list(predictions), references=list(references))
        else:
            computed = module.compute(predictions=[float(score) for score in scores])
    result: dict[str, float] = dict(computed)
    mean = math.fsum(scores) / len(scores)
    if abs(result["value"] - mean) > TOLERANCE:
        raise PluginError(
            f"the metric {metric!r} is {result['value']:.6g}, but the item scores average {mean:.6g}: "
            "task.score must give 1 where the output equals the target and 0 elsewhere, "
            "or the task must declare another metric"
        )
    return result


def _info(description: str, features: dict[str, Any]) -> Any:
    return evaluate.MetricInfo(
        description=description,
        citation="",
        inputs_description="",
        features=datasets.Features(features),
    )
