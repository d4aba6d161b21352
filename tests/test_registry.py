"""How plugins are found, and what is said when they are not."""

import hashlib
import importlib.metadata
import json
import sys
from pathlib import Path

import pytest

from harness import registry
from harness.errors import PluginError, UsageError

METHOD = '''
from harness import Method

class Mine(Method):
    """A frozen model under another name."""
    name, description = "mine", "does nothing"
'''


def test_the_built_in_plugins_are_found() -> None:
    assert {"legal_license", "function_completion", "gsm_symbolic"} <= set(registry.tasks())
    assert registry.method_references("core") == [name for name, m in registry.methods().items() if m.core]
    assert set(registry.method_references("core")) == {
        "zero-shot", "few-shot", "full", "lora-r16", "qlora-r16", "prompt-tuning",
    }  # fmt: skip


def test_wildcards_stand_for_registered_methods() -> None:
    known = list(registry.methods())
    assert registry.method_references("lora-*") == [name for name in known if name.startswith("lora-")]
    assert registry.method_references("full,*lora-r16,lora-r16") == ["full", "lora-r16", "qlora-r16"]
    assert registry.method_references("all") == known


@pytest.mark.parametrize(
    ("find", "name", "message"),
    [
        (registry.task, "legl_license", r"unknown task 'legl_license'; did you mean 'legal_license'\?"),
        (registry.method, "lora16", r"unknown method 'lora16'; did you mean 'lora-r16'\?"),
        (registry.method, "xyz", r"unknown method 'xyz'\. Allowed: adalora"),
        (registry.method_references, "lroa-*", r"no method is called 'lroa-\*'\. Allowed: adalora, "),
        (registry.task, "nowhere.py", "there is no plugin file"),
        (registry.task_references, " , ", "the selection is empty"),
        (registry.task, "no_package.tasks:Mine", "cannot import 'no_package.tasks'"),
        (registry.task, "harness.task:Splits", "has no Task class 'Splits'"),
        (registry.method, "harness.methods.full:Absent", "has no Method class 'Absent'"),
        (registry.task, "nowhere.jsonl", "nowhere.jsonl"),
    ],
)
def test_unknown_names_get_one_clear_message(find: object, name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        find(name)  # type: ignore[operator]


def test_a_file_is_a_plugin(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(METHOD)
    assert registry.method(str(path)).name == "mine"
    assert registry.method_references(f"{path},full") == [str(path), "full"]


def test_two_files_of_one_name_are_two_plugins(tmp_path: Path) -> None:
    """Neither stands for the other where the code of each is asked for, whichever was read last."""
    paths = [tmp_path / folder / "mine.py" for folder in ("one", "two")]
    for path in paths:
        path.parent.mkdir()
        path.write_text(f"{METHOD}\n# {path.parent.name}\n")
    found = [registry.method(str(path)) for path in paths]
    assert [registry.code_of(one) for one in found] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in paths
    ]
    assert registry.code_of(registry.method("lora-r16@1e-4")) is None


def test_a_class_of_a_module_is_a_plugin(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "somewhere.py").write_text(METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    assert registry.method_references("somewhere:Mine,full") == ["somewhere:Mine", "full"]
    assert registry.method("somewhere:Mine").description == "does nothing"


def test_a_file_of_records_is_a_task_and_its_options_stay_with_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.jsonl"
    lines = (json.dumps({"prompt": f"Double {n}:", "completion": str(2 * n)}) for n in range(400))
    path.write_text("\n".join(lines))
    reference = f"{path}:kind=text,metric=rougeL"
    assert registry.task_references(f"{reference},legal_license") == [reference, "legal_license"]
    assert registry.task(str(path)).metric == "exact_match"
    assert registry.task(reference).metric == "rougeL"


def test_a_syntax_error_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("x = 1\ndef f(:\n")
    with pytest.raises(PluginError, match=r"broken\.py, line 2: "):
        registry.task(str(path))


def test_a_file_that_raises_is_told_why(tmp_path: Path) -> None:
    path = tmp_path / "raises.py"
    path.write_text("1 / 0\n")
    with pytest.raises(PluginError, match="ZeroDivisionError: division by zero"):
        registry.method(str(path))


def test_a_file_without_a_plugin_says_so(tmp_path: Path) -> None:
    path = tmp_path / "empty.py"
    path.write_text("")
    with pytest.raises(PluginError, match="defines 0 such classes"):
        registry.task(str(path))


def test_a_missing_attribute_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(METHOD.replace('name, description = "mine", "does nothing"', 'name = "mine"'))
    with pytest.raises(PluginError, match="class Mine lacks description"):
        registry.method(str(path))


def test_hub_data_is_a_task_of_its_own() -> None:
    assert registry.task("legal_license", hub=True).name == "ledgar"
    assert "ledgar" not in registry.tasks()
    twins = registry.task_references("all", hub=True)
    assert "legal_license" in twins
    assert "date_normalisation" not in twins
    with pytest.raises(UsageError, match="names no hub data set; those that do: "):
        registry.task("date_normalisation", hub=True)


def test_entry_points_add_plugins(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "other_package.py").write_text(METHOD)
    monkeypatch.syspath_prepend(tmp_path)
    point = importlib.metadata.EntryPoint("mine", "other_package:Mine", "tuneoff.methods")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [point] if group == point.group else []
    )
    registry.methods.cache_clear()
    try:
        assert registry.methods()["mine"].description == "does nothing"
    finally:
        registry.methods.cache_clear()


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (
            "import absent_thing",
            "Mine",
            "'broken_package:Mine' of an installed package cannot be imported: .*absent",
        ),
        ("Mine = 3", "Mine", "'broken_package:Mine' is no Method class"),
    ],
)
def test_a_broken_entry_point_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, name: str, message: str
) -> None:
    (tmp_path / "broken_package.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_package", raising=False)
    importlib.invalidate_caches()
    point = importlib.metadata.EntryPoint("mine", f"broken_package:{name}", "tuneoff.methods")
    monkeypatch.setattr(
        importlib.metadata, "entry_points", lambda group: [point] if group == point.group else []
    )
    registry.methods.cache_clear()
    try:
        with pytest.raises(PluginError, match=message):
            registry.methods()
    finally:
        registry.methods.cache_clear()


def test_a_reference_may_fix_the_learning_rate(tmp_path: Path) -> None:
    default, fixed = registry.method("lora-r16"), registry.method("lora-r16@0.00025")
    assert (fixed.name, fixed.learning_rates, fixed.rate_given) == ("lora-r16@2.5e-4", (2.5e-4,), True)
    assert fixed.config() == default.config()
    assert default.name == "lora-r16"
    assert len(default.learning_rates) > 1
    assert registry.method_references("full@1e-4, full") == ["full@1e-4", "full"]
    folder = tmp_path / "at@home"
    folder.mkdir()
    adapter = folder / "adapter_config.json"
    adapter.write_text(json.dumps({"peft_type": "LORA", "r": 4, "target_modules": "all-linear"}))
    assert registry.method(str(adapter)).name == "at-home"
    assert registry.method(f"{adapter}@1e-3").name == "at-home@1e-3"


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("lora-r16@fast", "'fast' is no learning rate; give a number above 0: lora-r16@3e-4"),
        ("lora-r16@", "'' is no learning rate"),
        ("lora-r16@-1e-3", "'-1e-3' is no learning rate"),
        ("lora-r16@nan", "'nan' is no learning rate"),
        ("few-shot@1e-3", "'few-shot' trains nothing, so it has no learning rate"),
        ("lora16@1e-3", r"unknown method 'lora16'; did you mean 'lora-r16'\?"),
    ],
)
def test_what_cannot_be_a_learning_rate_is_refused(reference: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        registry.method_references(reference)
