import math
import os
import subprocess
import sys

import pytest

from harness.errors import PluginError, UsageError
from harness.metrics import MODULES, compute
from harness.task import METRICS


def test_every_declared_metric_has_a_module():
    assert set(MODULES) == set(METRICS)


def test_accuracy_and_macro_f1_by_hand():
    predictions, references = ["a", "a", "b", "a"], ["a", "b", "b", "c"]
    result = compute("accuracy", predictions, references, [1.0, 0.0, 1.0, 0.0])
    # F1: a = 2*1/(3+1) = 0.5, b = 2*1/(1+2) = 2/3, c is never predicted = 0.
    assert result["value"] == 0.5
    assert result["macro_f1"] == pytest.approx((0.5 + 2 / 3 + 0) / 3)


def test_accuracy_of_many_labels_on_few_items_warns_of_nothing():
    labels = [str(number) for number in range(30)]
    assert compute("accuracy", labels, labels, [1.0] * 30) == {"value": 1.0, "macro_f1": 1.0}


@pytest.mark.parametrize("metric", ["exact_match", "pass@1"])
def test_verdicts_are_averaged(metric):
    # Judged by the task: the texts differ and yet the item may be right.
    assert compute(metric, ["x"] * 3, ["y"] * 3, [1.0, 0.0, 1.0]) == {"value": pytest.approx(2 / 3)}
    with pytest.raises(PluginError, match=r"0\.5 under the metric '.*', which allows only 0 and 1"):
        compute(metric, ["x"], ["y"], [0.5])


@pytest.mark.parametrize("metric", ["rougeL", "field_f1"])
def test_graded_scores_are_averaged_in_double_precision(metric):
    scores = [0.1, 0.2, 0.3, 1 / 3]
    result = compute(metric, ["x"] * 4, ["y"] * 4, scores)
    assert result == {"value": math.fsum(scores) / 4}


def test_a_score_that_disagrees_with_accuracy_is_the_task_s_fault():
    with pytest.raises(PluginError, match=r"'accuracy' is 1, but the item scores average 0\.5"):
        compute("accuracy", ["a", "b"], ["a", "b"], [1.0, 0.0])


@pytest.mark.parametrize("score", [-0.1, 1.1, math.nan, math.inf])
def test_scores_out_of_range(score):
    with pytest.raises(PluginError, match="from 0 to 1"):
        compute("rougeL", ["a"], ["b"], [score])


def test_an_unknown_metric_names_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'accuracy'"):
        compute("acuracy", ["a"], ["a"], [1.0])


def test_nothing_is_left_on_disk_nor_shown(tmp_path):
    code = (
        "from harness.metrics import compute\n"
        "for name in ('accuracy', 'pass@1'): compute(name, ['a'], ['a'], [1.0])"
    )
    home, temporary = tmp_path / "home", tmp_path / "tmp"
    home.mkdir()
    temporary.mkdir()
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "XDG_"))}
    environment.update(HOME=str(home), USERPROFILE=str(home), TMPDIR=str(temporary), HF_HUB_OFFLINE="1")
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")
    assert list(home.rglob("*")) == []
    assert list(temporary.rglob("*")) == []
