"""The contract, checked on every plugin there is, and shown to catch plugins that break it."""

from pathlib import Path

import pytest

from harness import registry
from harness.conformance import checks
from tests.conftest import Pool

pytestmark = pytest.mark.filterwarnings("ignore:.*is_gradient_checkpointing.*:FutureWarning")

BAD_TASK = """
from harness import Example, Splits, Task

def rows(name, n):
    return tuple(Example(id=f"{name}{i}", group=f"{name}{i}", data={}) for i in range(n))

class Bad(Task):
    name, version, family, metric = "bad", 1, "language", "exact_match"
    description, source, license = "a broken task", "here", ""
    def load(self):
        return Splits(train=rows("a", 3), dev=rows("b", 2), test=rows("c", 2))
    def prompt(self, example):
        return "Say yes:"
    def target(self, example):
        return "yes"
    def score(self, example, output):
        return 1.0
"""

BAD_METHOD = """
from harness import Method

class Frozen(Method):
    name, description = "frozen", "claims to train and does not"
    learning_rates = (1e-3,)
"""

OFF_METHOD = """
from harness.methods.lora import Lora

class Off(Lora):
    name, description, rank = "off", "claims to start as the base", 4
    def adapter(self):
        return {**super().adapter(), "init_lora_weights": False}
"""

HOOKED_METHOD = """
from harness.methods.lora import LoraR16

class Hooked(LoraR16):
    name, description, starts_as_base = "hooked", "does what no merged weight holds", False
    def adapt(self, model, budget):
        model = super().adapt(model, budget)
        layer = next(module for name, module in model.named_modules() if name.endswith("o_proj"))
        layer.register_forward_hook(lambda module, inputs, output: 1.01 * output)
        return model
"""


@pytest.mark.usefixtures("unboxed")
@pytest.mark.parametrize("name", registry.tasks())
def test_every_task_conforms(name: str, pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    task, splits = pool(name)
    again = task.load()
    assert again == splits
    loads = iter((splits, again))
    monkeypatch.setattr(type(task), "load", lambda self: next(loads))
    problems = {check.name: check.problem for check in checks(name) if check.problem}
    assert problems == {}
    assert list(loads) == []


@pytest.mark.parametrize("name", registry.methods())
def test_every_method_conforms(name: str) -> None:
    problems = {check.name: check.problem for check in checks(name) if check.problem}
    assert problems == {}


def test_a_bad_task_is_told_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "bad_task.py"
    path.write_text(BAD_TASK)
    problems = {check.name: check.problem for check in checks(str(path)) if check.problem}
    assert problems["licence and source of the data are stated"] == "empty: license"
    assert "scores 1.0" in problems["an empty output scores less than 1.0"]
    assert "loading twice gives the same data" not in problems


@pytest.mark.parametrize(
    ("old", "new", "rule", "problem"),
    [
        ('return Splits(', 'open("absent.csv")\n        return Splits(',
         "splits are disjoint, without repeated ids", "No such file or directory: 'absent.csv' at "),
        ('return Splits(train=rows("a", 3), dev=rows("b", 2), test=rows("c", 2))', "return []",
         "splits are disjoint, without repeated ids", "load() returned list, not Splits"),
        ("return 1.0", "return float(output.split()[0] == 'yes')", "an empty output scores less than 1.0",
         "list index out of range at "),
        ("return 1.0", "return float(output == 'yes')", "the gold target scores 1.0",
         "the target of 'a0' as it is generated, after a space, scores 0.0"),
        ('"exact_match"', '"accuracy"', "metric is one of", "accuracy is of labels, and labels is None"),
    ],
)  # fmt: skip
def test_what_a_task_raises_breaks_a_rule_and_the_rest_goes_on(
    tmp_path: Path, old: str, new: str, rule: str, problem: str
) -> None:
    path = tmp_path / "bad_task.py"
    assert old in BAD_TASK
    path.write_text(BAD_TASK.replace(old, new))
    found = {check.name: check.problem for check in checks(str(path)) if check.problem}
    (broken,) = [said for name, said in found.items() if name.startswith(rule)]
    assert broken is not None
    assert problem in broken


def test_a_method_that_trains_nothing_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "bad_method.py"
    path.write_text(BAD_METHOD)
    problems = [check.name for check in checks(str(path)) if check.problem]
    assert problems == ["something is trainable"]


def test_a_method_that_does_not_start_as_the_base_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "off.py"
    path.write_text(OFF_METHOD)
    problems = {check.name: check.problem for check in checks(str(path)) if check.problem}
    (problem,) = problems.values()
    assert problem == "they differ in float32; a method that cannot says so: starts_as_base = False"


@pytest.mark.parametrize(
    ("method", "rule"),
    [
        ("after_step(self, model, step):\n        model.get_input_embeddings().weight.data[0] += 1e-3",
         "frozen weights are bit-identical after training"),
        ("after_step(self, model, step):\n        model.base_model.model.model.rotary_emb.inv_freq *= 1.001",
         "frozen weights are bit-identical after training"),
        ("adapt(self, model, budget):\n        model = super().adapt(model, budget)\n"
         "        model.register_parameter('unused', Parameter(torch.ones(3)))\n        return model",
         "every trainable tensor got a gradient"),
        ("adapt(self, model, budget):\n        model = super().adapt(model, budget)\n"
         "        model.base_model.model.model.norm.weight.requires_grad_(True)\n        return model",
         "saved and loaded again, it gives the same outputs"),
    ],
)  # fmt: skip
def test_a_method_that_breaks_a_rule_of_training_is_caught(tmp_path: Path, method: str, rule: str) -> None:
    path = tmp_path / "broken.py"
    path.write_text(
        "import torch\nfrom torch.nn import Parameter\nfrom harness.methods.lora import LoraR16\n\n"
        "class Broken(LoraR16):\n"
        f'    name, description = "broken", "LoRA that breaks a rule"\n    def {method}\n'
    )
    assert rule in {check.name for check in checks(str(path)) if check.problem}


def test_a_method_that_its_merged_weights_do_not_hold_is_caught(tmp_path: Path) -> None:
    path = tmp_path / "hooked.py"
    path.write_text(HOOKED_METHOD)
    problems = {check.name: check.problem for check in checks(str(path)) if check.problem}
    problem = problems["merged into the weights, it gives the same outputs but for rounding"]
    assert problem.startswith("logits differ by ")
