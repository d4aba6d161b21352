"""Commands as a user types them: output, messages, exit codes."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from harness import cli
from harness.cli_exit import interruptible

ROOT = Path(__file__).parent.parent
TASK = str(Path(__file__).parent / "toy_task.py")


def harness(*arguments: str, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "harness", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "160"},
    )


Called = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Called:
    """As `harness`, in a folder of the test's own, but in this process, which has imported most already."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        code = ended.value.code
        assert code is None or isinstance(code, int)
        return subprocess.CompletedProcess(arguments, code or 0, *capsys.readouterr())

    return call


def test_help_lists_the_commands() -> None:
    done = harness("--help")
    assert done.returncode == 0
    for command in ("run", "list", "report", "validate", "doctor", "check", "baseline"):
        assert command in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--tasks", "legl_license"], "did you mean 'legal_license'?"),
        (["run", "--methods", "lora16"], "did you mean 'lora-r16'?"),
        (["run", "--budget", "quik"], "did you mean 'quick'?"),
        (["run", "--device", "tpu"], "--device 'tpu' is not one of auto, cpu, cuda, mps"),
        (["run", "--data", "web"], "--data 'web' is not one of embedded, hub"),
        (
            ["run", "--device", "cuda", "--tasks", TASK],
            "device 'cuda' is not available; this machine has: cpu",
        ),
        (["run", "--seeds", "0"], "Invalid value for '--seeds'"),
        (["report", "nowhere"], "no results under nowhere"),
        (["validate", "nowhere.py"], "there is no plugin file 'nowhere.py'"),
        (["frobnicate"], "No such command"),
    ],
)
def test_bad_usage_is_one_message_and_exit_code_2(arguments: list[str], message: str, called: Called) -> None:
    done = called(*arguments)
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_syntax_error_in_a_plugin_is_one_line(tmp_path: Path, called: Called) -> None:
    (tmp_path / "broken.py").write_text("class Task(:\n")
    done = called("run", "--tasks", "broken.py")
    assert done.returncode == 2
    assert "broken.py, line 1" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_truncated_result_stops_the_report_with_its_name(tmp_path: Path, called: Called) -> None:
    path = tmp_path / "mine" / "task" / "full" / "seed-0.json"
    path.parent.mkdir(parents=True)
    path.write_text('{"schema_version": 1, "sta')
    done = called("report", "mine")
    assert done.returncode == 2
    assert "seed-0.json: not a complete JSON object" in done.stderr


def test_lists_are_tables_and_json() -> None:
    tasks = json.loads(harness("list", "tasks", "--json").stdout)
    assert {"legal_license", "function_completion", "gsm_symbolic"} <= {task["name"] for task in tasks}
    assert all(task["license"] and task["source"] for task in tasks)
    methods = json.loads(harness("list", "methods", "--json").stdout)
    assert {method["name"] for method in methods if method["core"]} >= {"full", "lora-r16"}
    budgets = json.loads(harness("list", "budgets", "--json").stdout)
    assert {budget["name"] for budget in budgets} == {"smoke", "ci", "quick", "sweep", "standard"}
    assert "max_new_tokens" in harness("list", "budgets").stdout


@pytest.mark.parametrize("name", ["tasks.py", "tasks/__init__.py"])
def test_a_users_own_module_named_tasks_hides_none_of_the_tasks(name: str, tmp_path: Path) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("raise RuntimeError\n")
    done = harness("list", "tasks", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)) == 15


def test_a_dry_run_prints_the_grid_and_stores_nothing(
    toy_folder: Path, tmp_path: Path, called: Called
) -> None:
    done = called(
        "run", "--tasks", TASK, "--methods", "zero-shot,full", "--model", str(toy_folder), "--device", "cpu",
        "--dry-run",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "2 cells, at budget quick" in done.stdout
    assert "full" in done.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("undrawn")
def test_a_study_prints_what_it_found(toy_folder: Path, called: Called) -> None:
    study = (
        "study", "embeddings", "--tasks", TASK, "--model", str(toy_folder), "--budget", "smoke",
        "--device", "cpu",
    )  # fmt: skip
    assert "2 cells, at budget smoke" in called(*study, "--dry-run").stdout
    done = called(*study)
    assert done.returncode == 0, done.stderr
    *_, said, results, report = done.stdout.splitlines()
    assert said.startswith("parity: With adapters on the embeddings too, LoRA scores ")
    assert results.startswith("results ")
    assert report.endswith("embeddings.md")
    assert "2 cells, 2 of them kept, at budget smoke" in called(*study, "--dry-run").stdout


@pytest.mark.parametrize(("budget", "task"), [("smoke", "inflection"), ("quick", "legal_license")])
def test_a_study_has_a_task_by_default_and_a_shorter_one_at_smoke(
    toy_folder: Path, called: Called, budget: str, task: str
) -> None:
    study = ("study", "embeddings", "--model", str(toy_folder), "--device", "cpu", "--dry-run")
    done = called(*study, "--budget", budget)
    assert done.returncode == 0, done.stderr
    assert {line.split()[0] for line in done.stdout.splitlines() if "lora-r16" in line} == {task}


def test_validate_passes_a_good_plugin_and_fails_a_bad_one(tmp_path: Path) -> None:
    good = harness("validate", TASK)
    assert good.returncode == 0, good.stdout
    assert "FAIL" not in good.stdout
    bad = tmp_path / "bad.py"
    bad.write_text(
        Path(TASK).read_text().replace('return float(output == example.data["answer"])', "return 0.5")
    )
    done = harness("validate", str(bad))
    assert done.returncode == 3
    assert "the gold target scores 1.0" in done.stdout
    assert "scores 0.5" in done.stdout


def test_doctor_says_what_this_machine_offers(called: Called) -> None:
    done = called("doctor", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    for word in (
        "device",
        "precision",
        "cache",
        "isolation",
        "method full",
        "runs here",
        "machine fingerprint",
    ):
        assert word in done.stdout


@pytest.mark.parametrize(("force", "advice"), [(False, "same command goes on"), (True, "without --force")])
def test_an_interrupt_says_how_to_go_on(force: bool, advice: str, capsys: pytest.CaptureFixture[str]) -> None:
    listener: Any = SimpleNamespace(stop=lambda: None)
    with pytest.raises(SystemExit) as ended, interruptible(listener, force=force):
        raise KeyboardInterrupt
    assert ended.value.code == 130
    assert advice in capsys.readouterr().err
