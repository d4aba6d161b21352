"""Whole grids on the toy model: resume, kills, faults, and what may not be mixed."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from rich.console import Console

from harness import worker
from harness.display import Live, show_grid
from harness.errors import ModelError, PluginError, SandboxError, UsageError
from harness.executor import Died, Executor
from harness.grid import Grid, Listener, Settings, build
from harness.plan import Cell
from harness.result import Result
from harness.resume import look
from harness.run import execute
from harness.store import Store
from tests import synthetic
from tests.conftest import TOY_TASK

pytestmark = pytest.mark.usefixtures("undrawn")

ROOT = Path(__file__).parent.parent
METHODS = "zero-shot,few-shot,lora-r16"

NAN_METHOD = '''
import torch
from harness.methods.full import Full

class Exploding(Full):
    """Full fine-tuning of a model whose norm is not a number."""
    name, description = "exploding", "starts from NaN"

    def adapt(self, model, budget):
        with torch.no_grad():
            model.model.norm.weight[0] = float("nan")
        return super().adapt(model, budget)
'''


def settings(toy_folder: Path, folder: Path, methods: str = METHODS) -> Settings:
    return Settings(
        tasks=TOY_TASK,
        methods=methods,
        model=str(toy_folder),
        budget="smoke",
        seeds=None,
        results=folder / "results",
        reports=folder / "reports",
        device="cpu",
        hub=False,
        chat=False,
    )


class Log(Listener):
    """Remembers what was run and what was kept."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.kept: list[str] = []
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def result(self, cell: Cell, result: Result, kept: bool) -> None:
        (self.kept if kept else self.ran).append(result.method)


def go(chosen: Settings, executor: Executor, *, force: bool = False) -> tuple[list[Result], Log, Grid]:
    log = Log()
    grid = build(chosen, executor, log)
    return execute(grid, executor, log, force=force), log, grid


def test_a_grid_runs_reports_resumes_and_repeats_exactly(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = settings(toy_folder, tmp_path)
    results, log, _ = go(chosen, executor)
    assert [result.status for result in results] == ["ok"] * 3
    assert log.ran == ["zero-shot", "few-shot", "lora-r16"]
    lora = results[2]
    assert lora.metric is not None
    assert lora.metric.n == len(lora.items) == 16
    assert set(lora.phases) == {
        "encode", "load", "flops", "compile", "checkpoints", "train", "retention", "save", "evaluate",
        "merge",
    }  # fmt: skip
    assert [(one.step, one.examples, one.n) for one in lora.checkpoints] == [(0, 0, 8), (1, 8, 8), (2, 16, 8)]
    assert lora.checkpoints[-1].seconds == lora.curve[-1].seconds <= lora.phases["train"].seconds
    assert lora.merged is not None
    assert lora.merged.prompts == lora.identity["budget"]["merge_prompts"] == 1
    assert [(result.checkpoints, result.merged) for result in results[:2]] == [((), None)] * 2
    assert lora.retention is not None
    assert {kind: kept.passages for kind, kept in lora.retention.items()} == {"prose": 8, "code": 8}
    assert all(kept.loss_before != kept.loss_after for kept in lora.retention.values())
    assert [result.retention for result in results[:2]] == [None, None]
    assert lora.train is not None
    assert lora.train.steps == len(lora.curve) == 2
    assert lora.parameters is not None
    assert lora.adapter_bytes is not None
    assert lora.model_bytes is not None
    wide = 4 if lora.environment["precision"] == "float32" else 2
    assert lora.model_bytes == wide * (lora.parameters["total"] - lora.parameters["trainable"])
    assert 0 < lora.adapter_bytes - wide * lora.parameters["trainable"] < 20_000  # the file's header
    assert "parity" in (tmp_path / "reports" / "report.md").read_text()

    again, log, _ = go(chosen, executor)
    assert again == results
    assert log.kept == ["zero-shot", "few-shot", "lora-r16"]

    forced, log, _ = go(chosen, executor, force=True)
    assert log.kept == []
    assert [result.items for result in forced] == [result.items for result in results]
    assert [[p.loss for p in r.curve] for r in forced] == [[p.loss for p in r.curve] for r in results]


def test_learning_rate_trials_are_recorded_and_the_best_is_used(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    log = Log()
    grid = build(settings(toy_folder, tmp_path, "lora-r16"), executor, log)
    grid = replace(grid, budget=replace(grid.budget, trials=3))
    (result,) = execute(grid, executor, log, force=False)
    assert result.train is not None
    trials = result.train.trials
    rates = result.identity["learning_rates"]
    assert [(trial.rung, trial.steps) for trial in trials] == [(1, 1), (1, 1), (1, 1), (2, 1), (2, 1)]
    assert [trial.learning_rate for trial in trials[:3]] == rates[:3]
    best = max(trials[3:], key=lambda trial: trial.score)
    assert result.train.learning_rate == best.learning_rate
    assert result.train.steps == 2
    assert result.phases["tune"].seconds >= sum(trial.seconds for trial in trials)
    assert result.identity["tuning"] == "successive halving, on dev"
    report = (tmp_path / "reports" / "report.md").read_text()
    assert "## Learning-rate trials" in report


def test_a_method_with_fewer_rates_than_the_budget_tries_is_refused(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    plugin = tmp_path / "few.py"
    plugin.write_text(
        "from harness.methods.lora import LoraR16\n\n\n"
        "class Few(LoraR16):\n    name = 'few'\n    learning_rates = (1e-3, 1e-4)\n"
    )
    chosen = replace(settings(toy_folder, tmp_path, str(plugin)), budget="sweep")
    with pytest.raises(UsageError, match="tries 4 learning rates of every method, and method 'few' has 2"):
        build(chosen, executor, Log())


def test_a_cell_without_a_loss_is_a_result_and_the_others_go_on(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    plugin = tmp_path / "exploding.py"
    plugin.write_text(NAN_METHOD)
    (bad, good), _, _ = go(settings(toy_folder, tmp_path, f"{plugin},zero-shot"), executor)
    assert (bad.method, bad.status) == ("exploding", "degenerate")
    assert "loss nan" in (bad.reason or "")
    assert good.status == "ok"
    assert Store(tmp_path / "results").load() == [bad, good]
    assert "exploding" in (tmp_path / "reports" / "report.md").read_text()


class Unmeasured(Executor):
    """An executor whose worker dies over the base model."""

    def call(self, function: str, *arguments: Any, **options: Any) -> Any:
        if function == "measure_base":
            return Died(status="oom", reason="no room")
        return super().call(function, *arguments, **options)


def test_a_base_model_that_cannot_be_measured_costs_retention_alone(toy_folder: Path, tmp_path: Path) -> None:
    (result,), log, _ = go(settings(toy_folder, tmp_path, "lora-r16"), Unmeasured())
    assert (result.status, result.retention, result.model_bytes) == ("ok", None, None)
    assert "the base model could not be measured, so that no cell has its retention: no room" in log.notes


def test_a_killed_worker_is_a_failed_cell_that_the_next_run_completes(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    first = started(toy_folder, tmp_path)
    killed: set[int] = set()
    while len(killed) < 2 and first.poll() is None:  # the first may have measured the base model
        for pid in set(workers(first.pid)) - killed:
            os.kill(pid, signal.SIGKILL)
            killed.add(pid)
    out, _ = first.communicate(timeout=120)
    assert first.returncode == 3
    assert "ended by SIGKILL" in out
    finished(toy_folder, tmp_path, executor)


def test_a_killed_parent_loses_no_result(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    first = started(toy_folder, tmp_path)
    store = Store(tmp_path / "results")
    for _ in range(600):
        if list(store.paths()):
            break
        time.sleep(0.1)
    first.kill()
    first.communicate()
    before = {path: path.read_bytes() for path in store.paths()}
    assert before
    finished(toy_folder, tmp_path, executor)
    assert {path: path.read_bytes() for path in before} == before


def test_interrupting_says_how_to_go_on(toy_folder: Path, tmp_path: Path) -> None:
    # A job in the background is started with interrupts ignored, and hands that on.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    first = started(toy_folder, tmp_path)
    first.send_signal(signal.SIGINT)
    out, _ = first.communicate(timeout=60)
    assert first.returncode == 130
    assert "the same command goes on from here" in out


def shown(grid: Grid) -> str:
    """What `--dry-run` prints of it."""
    text = StringIO()
    show_grid(Console(file=text, width=200), grid, look(grid, force=False).kept)
    return text.getvalue()


def test_a_stored_result_stands_in_a_dry_run_whatever_would_be_skipped_now(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    (result,), _, grid = go(settings(toy_folder, tmp_path, "zero-shot"), executor)
    (cell,) = grid.cells
    skipped = replace(grid, cells=[replace(cell, skip="needs CUDA", seconds=0.0)])
    assert "kept" in shown(skipped).splitlines()[1]
    elsewhere = replace(skipped, store=Store(tmp_path / "empty"))
    assert "skipped: needs CUDA" in shown(elsewhere)
    grid.store.write(replace(result, identity={**result.identity, "method_code": "another"}))
    with pytest.raises(UsageError, match="made with another method_code"):
        shown(grid)


def test_a_truncated_result_is_set_aside_and_run_again(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = settings(toy_folder, tmp_path, "zero-shot")
    (result,), _, grid = go(chosen, executor)
    assert "1 cells, 1 of them kept, at budget smoke" in shown(grid)
    path = grid.store.path(result.task, result.method, 0)
    path.write_text(path.read_text()[:100])
    assert "1 cells, at budget smoke" in shown(grid)
    assert list(path.parent.iterdir()) == [path]  # looking moves nothing
    (again,), log, _ = go(chosen, executor)
    assert again.items == result.items
    assert log.ran == ["zero-shot"]
    assert any("seed-0.json.damaged" in note for note in log.notes)
    assert path.with_name("seed-0.json.damaged").exists()


def test_results_of_another_budget_are_never_mixed_or_replaced(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = settings(toy_folder, tmp_path, "zero-shot")
    _, log, grid = go(chosen, executor)
    (path,) = grid.store.paths()
    before = path.read_bytes()
    other = replace(grid, budget=replace(grid.budget, test_examples=8))
    with pytest.raises(UsageError, match="made with another budget; name another folder with --results"):
        execute(other, executor, log, force=False)
    assert path.read_bytes() == before


@pytest.mark.parametrize("force", [False, True])
def test_a_folder_holds_one_kind_of_budget(
    toy_folder: Path, tmp_path: Path, executor: Executor, force: bool
) -> None:
    chosen = settings(toy_folder, tmp_path, "zero-shot")
    go(chosen, executor)
    other = replace(chosen, match="flops")
    if not force:
        with pytest.raises(UsageError, match="made with another budget"):
            go(other, executor)
    # Another method's cells would stand beside them, whether theirs run again or not.
    with pytest.raises(UsageError, match="made with another budget, and a results folder holds what"):
        go(replace(other, methods="few-shot"), executor, force=force)
    assert [path.parent.name for path in Store(tmp_path / "results").paths()] == ["zero-shot"]


def test_what_stands_beside_a_run_was_made_alike_and_is_in_its_report(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = settings(toy_folder, tmp_path, "zero-shot")
    go(chosen, executor)
    beside = replace(chosen, methods="few-shot")
    with pytest.raises(UsageError, match="made with another engine, and a results folder"):
        go(replace(beside, engine="plain"), executor)
    store = Store(tmp_path / "results")
    (now,) = store.load()
    versions = {**now.identity["versions"], "torch": "1.0"}
    store.write(replace(now, identity={**now.identity, "versions": versions}))
    with pytest.raises(UsageError, match="made with another versions, and a results folder"):
        go(beside, executor)
    store.write(now)
    # A longer limit and what is measured beside the task change no score.
    grid = build(beside, executor, Listener())
    grid = replace(grid, budget=replace(grid.budget, timeout_seconds=9999, checkpoints=0))
    (result,) = execute(grid, executor, Listener(), force=False)
    assert result.method == "few-shot"
    report = (tmp_path / "reports" / "report.md").read_text()
    assert "| `zero-shot` |" in report
    assert "| `few-shot` |" in report
    # Of an own cell too a limit that was not met is no condition.
    grid = replace(grid, budget=replace(grid.budget, timeout_seconds=300))
    log = Log()
    execute(grid, executor, log, force=False)
    assert log.kept == ["few-shot"]


def of_another_machine(grid: Grid) -> Grid:
    """The grid as another machine would plan it, one that is fast in another precision."""
    kinds = {"float32": "bfloat16", "bfloat16": "float32"}
    there = replace(grid.environment, machine="another", precision=kinds[grid.environment.precision])
    return replace(grid, environment=there)


def test_seeds_that_another_machine_ran_whole_are_kept(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = replace(settings(toy_folder, tmp_path, "zero-shot,few-shot"), seeds=1)
    grid = of_another_machine(build(chosen, executor, Listener()))
    execute(grid, executor, Listener(), force=False)
    results, log, _ = go(replace(chosen, seeds=2), executor)
    assert log.ran == ["few-shot"]
    machines = {(one.method, one.seed): one.identity["machine"] == "another" for one in results}
    assert machines == {("zero-shot", 0): True, ("few-shot", 0): True, ("few-shot", 1): False}


def test_methods_of_one_seed_run_on_one_machine(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    chosen = settings(toy_folder, tmp_path, "zero-shot")
    execute(of_another_machine(build(chosen, executor, Listener())), executor, Listener(), force=False)
    (path,) = Store(tmp_path / "results").paths()
    before = path.read_bytes()
    said = r"seed 0 of .* has results of another machine \(zero-shot\), and all methods run a seed on one"
    for methods in ("zero-shot,few-shot", "few-shot"):
        with pytest.raises(UsageError, match=said):
            go(replace(chosen, methods=methods), executor)
    with pytest.raises(UsageError, match=said):
        go(replace(chosen, methods="few-shot"), executor, force=True)
    assert path.read_bytes() == before
    # What the message says: with the seed's files away, all of it runs here.
    path.unlink()
    _, log, _ = go(replace(chosen, methods="zero-shot,few-shot"), executor)
    assert log.ran == ["zero-shot", "few-shot"]


def test_by_the_clock_a_machine_is_a_condition_of_its_own(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = replace(settings(toy_folder, tmp_path, "zero-shot"), match="seconds=1")
    execute(of_another_machine(build(chosen, executor, Listener())), executor, Listener(), force=False)
    with pytest.raises(UsageError, match="made with another precision, machine"):
        go(chosen, executor)


def test_two_runs_on_one_folder_are_refused(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    grid = build(settings(toy_folder, tmp_path, "zero-shot"), executor, Listener())
    grid.store.root.mkdir(parents=True)
    with FileLock(grid.store.root / ".lock"), pytest.raises(UsageError, match="another run is writing"):
        execute(grid, executor, Listener(), force=False)


def command(toy_folder: Path, folder: Path) -> list[str]:
    return [
        sys.executable, "-m", "harness", "run", "--tasks", TOY_TASK, "--methods", METHODS,
        "--model", str(toy_folder),
        "--budget", "smoke", "--device", "cpu", "--results", str(folder / "results"),
        "--reports", str(folder / "reports"),
    ]  # fmt: skip


def started(toy_folder: Path, folder: Path) -> subprocess.Popen[str]:
    """A run of its own, given back once a worker is at work."""
    process = subprocess.Popen(
        command(toy_folder, folder), cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lock = folder / "results" / ".lock"
    for _ in range(2400):
        if lock.exists() and list(workers(process.pid)):
            return process
        time.sleep(0.05)
    process.kill()
    raise AssertionError(process.communicate()[0])


def workers(parent: int) -> Iterator[int]:
    """Processes that the run's fork server started."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        for child in psutil.Process(parent).children():
            for worker in child.children():
                yield worker.pid


def finished(toy_folder: Path, folder: Path, executor: Executor) -> None:
    """The same run completes the grid: as the command does, without another process that loads torch."""
    results, _, _ = go(settings(toy_folder, folder), executor)
    assert [(result.method, result.status) for result in results] == [
        (name, "ok") for name in METHODS.split(",")
    ]
    assert Store(folder / "results").load() == sorted(results, key=lambda result: result.method)


def rows_file(path: Path, label: str = "even") -> Path:
    rows = ({"text": f"row {n}", "label": label if n % 2 else "odd"} for n in range(400))
    path.write_text("\n".join(map(json.dumps, rows)))
    return path


def test_a_file_of_records_runs_as_a_task(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    rows = rows_file(tmp_path / "mine.jsonl")
    chosen = replace(settings(toy_folder, tmp_path, "zero-shot"), tasks=str(rows))
    ((result,), log, _) = go(chosen, executor)
    assert (result.status, result.task) == ("ok", "mine")
    assert any(note.startswith("mine: ") and "classification, accuracy" in note for note in log.notes)
    assert {item.output for item in result.items} <= {"even", "odd"}
    assert result.baselines is not None
    assert 0 < result.baselines["most common target"] < 1


def test_a_task_that_changes_while_the_run_goes_on_stops_it(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    rows = rows_file(tmp_path / "mine.jsonl")
    log = Log()
    grid = build(replace(settings(toy_folder, tmp_path, "zero-shot"), tasks=str(rows)), executor, log)
    rows_file(rows, "uneven")
    with pytest.raises(UsageError, match="'mine' changed while the run went on"):
        execute(grid, executor, log, force=False)


def test_a_peft_configuration_runs_as_a_method(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    path = tmp_path / "mine" / "adapter_config.json"
    path.parent.mkdir()
    values = {
        "peft_type": "ADALORA",
        "init_r": 4,
        "target_r": 2,
        "total_step": 9,
        "target_modules": "all-linear",
    }
    path.write_text(json.dumps(values))
    (result,), log, _ = go(settings(toy_folder, tmp_path, str(path)), executor)
    rates = "(0.01, 0.003, 0.03, 0.001)"
    assert f"mine: peft ADALORA as in {path}; ADALORA's learning rates {rates}" in log.notes
    assert (result.method, result.status, result.identity["method_config"]) == ("mine", "ok", values)
    path.write_text(json.dumps({**values, "peft_type": "ADA"}))
    with pytest.raises(PluginError, match="has no peft_type 'ADA'"):
        go(settings(toy_folder, tmp_path, str(path)), executor)


def test_a_method_that_changes_while_the_run_goes_on_stops_it(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    path = tmp_path / "mine.json"
    path.write_text('{"peft_type": "LORA", "r": 4, "target_modules": "all-linear"}')
    log = Log()
    grid = build(settings(toy_folder, tmp_path, str(path)), executor, log)
    path.write_text('{"peft_type": "LORA", "r": 8, "target_modules": "all-linear"}')
    with pytest.raises(UsageError, match="method 'mine' changed while the run went on"):
        execute(grid, executor, log, force=False)


OWN = '''
from harness.methods.in_context import ZeroShot

class Own(ZeroShot):
    """A method of a user, who works on it."""
    name, description = "own", "the base model"

    def config(self):
        return {"layers": (1, 2), "names": {1: "a"}}
'''


def test_a_method_whose_code_changed_is_another_one(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    path = tmp_path / "own.py"
    path.write_text(OWN)
    chosen = settings(toy_folder, tmp_path, str(path))
    go(chosen, executor)
    assert go(chosen, executor)[1].kept == ["own"]  # though JSON has neither tuples nor numbers as keys
    path.write_text(f"{OWN}\n    def prepare(self):\n        pass\n")
    with pytest.raises(UsageError, match="made with another method_code"):
        go(chosen, executor)


def test_a_task_whose_scoring_changed_is_another_one(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    path = tmp_path / "parity.py"
    text = Path(TOY_TASK).read_text()
    path.write_text(text)
    chosen = replace(settings(toy_folder, tmp_path, "zero-shot"), tasks=str(path))
    go(chosen, executor)
    assert go(chosen, executor)[1].kept == ["zero-shot"]
    path.write_text(f"{text}\n# scores otherwise\n")
    with pytest.raises(UsageError, match="made with another task_code"):
        go(chosen, executor)


def test_a_forced_run_that_stops_goes_on_without_force(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    class Stopping(Log):
        def cell(self, cell: Cell, kept: bool) -> None:
            if cell.method == "few-shot":
                raise KeyboardInterrupt

    chosen = settings(toy_folder, tmp_path, "zero-shot,few-shot")
    before, _, grid = go(chosen, executor)
    with pytest.raises(UsageError, match="made with another budget"):  # refused, nothing is moved
        go(replace(chosen, methods="few-shot", match="flops"), executor, force=True)
    assert len(list(grid.store.paths())) == 2
    with pytest.raises(KeyboardInterrupt):
        execute(grid, executor, Stopping(), force=True)
    old = tmp_path / "results" / before[0].task / "few-shot" / "seed-0.json.replaced"
    assert Result.from_json(old.read_text()) == before[1]
    _, log, _ = go(chosen, executor)
    assert (log.kept, log.ran) == (["zero-shot"], ["few-shot"])
    assert not list((tmp_path / "results").rglob("*.replaced"))


def test_tasks_that_run_no_programs_run_where_no_sandbox_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> str:
        raise SandboxError("nothing holds here")

    monkeypatch.setattr(worker.sandbox, "describe", nothing)
    assert worker.sandbox.described() == "none: nothing holds here"


def test_time_left_is_that_of_cells_without_a_result() -> None:
    cells = [Cell(task="t", method=name, seed=0, skip=None, seconds=600.0) for name in "abc"]
    listener = Live(Console(file=StringIO()), Console(file=StringIO()))
    listener.start(cells, kept=cells[:2])
    (grid, _) = listener._progress.tasks
    assert grid.fields["right"] == "about 10 min left"
    kept = replace(synthetic.cell("t", "full"), method="a")
    listener.result(cells[0], kept, kept=True)
    assert grid.fields["right"] == "about 10 min left"


def test_two_tasks_of_one_name_are_refused(toy_folder: Path, tmp_path: Path, executor: Executor) -> None:
    (tmp_path / "other").mkdir()
    first, second = rows_file(tmp_path / "mine.jsonl"), rows_file(tmp_path / "other" / "mine.jsonl")
    chosen = replace(settings(toy_folder, tmp_path, "zero-shot"), tasks=f"{first},{second}")
    with pytest.raises(UsageError, match="two of the tasks are called 'mine'"):
        build(chosen, executor, Log())


def test_a_chat_template_is_used_and_part_of_the_identity(
    toy_folder: Path, tmp_path: Path, executor: Executor
) -> None:
    chosen = replace(settings(toy_folder, tmp_path, "zero-shot"), chat=True)
    with pytest.raises(ModelError, match="has no chat template; run it without --chat-template"):
        build(chosen, executor, Log())
    copy = tmp_path / "chatty"
    shutil.copytree(toy_folder, copy)
    template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}[end]{% endfor %}[answer]"
    (copy / "chat_template.jinja").write_text(template)
    plain, _, _ = go(replace(chosen, chat=False, model=str(copy), results=tmp_path / "plain"), executor)
    chat, _, _ = go(replace(chosen, model=str(copy)), executor)
    assert plain[0].identity["chat_template"] is None
    assert len(chat[0].identity["chat_template"]) == 64
    assert chat[0].flops is not None
    assert plain[0].flops is not None
    assert chat[0].flops["evaluate"] > plain[0].flops["evaluate"]  # the template's tokens are there
    assert "--chat-template" in (tmp_path / "reports" / "report.md").read_text()
