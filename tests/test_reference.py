"""What is committed as measured: README and the report are drawn from the stored results, nothing else."""

import statistics
from pathlib import Path

import pytest

from harness import registry
from harness.identity import SHARED, mixed
from harness.report import readme_block, render
from harness.report.comparisons import Comparisons, compare
from harness.report.rows import board
from harness.result import Result
from harness.stats import Interval
from harness.store import Store
from harness.study import STUDIES
from harness.study.page import UNTOLD, section, sentences

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def reference() -> list[Result]:
    return Store(ROOT / "results" / "reference").load()


@pytest.fixture(scope="module")
def comparisons(reference: list[Result]) -> Comparisons:
    return compare(board(reference))


def test_the_reference_run_holds_every_core_cell_and_all_are_ok(reference: list[Result]) -> None:
    cells = {(result.task, result.method) for result in reference}
    core = registry.method_references("core")
    assert cells >= {(task, method) for task in registry.tasks() for method in core}
    assert {result.status for result in reference} == {"ok"}


def test_two_tasks_ran_under_every_method_with_three_seeds(reference: list[Result]) -> None:
    # Another seed of zero-shot would repeat its answers.
    wanted = {(name, seed) for name in registry.methods() for seed in range(1 if name == "zero-shot" else 3)}
    for task in ("legal_license", "function_completion"):
        assert {(result.method, result.seed) for result in reference if result.task == task} == wanted


def test_all_its_cells_had_the_same_conditions_and_those_of_a_seed_one_machine(
    reference: list[Result],
) -> None:
    assert not mixed((result.identity for result in reference), (*SHARED, "device", "versions"))
    places: dict[tuple[str, int], set[object]] = {}
    for result in reference:
        places.setdefault((result.task, result.seed), set()).add(result.place)
    assert all(len(found) == 1 for found in places.values())


def gain(comparisons: Comparisons, task: str, method: str) -> Interval:
    """What the method scores above the untouched model."""
    found = comparisons.get(task, method, "zero-shot")
    assert found is not None
    return found.difference


def test_training_beats_the_untouched_model_on_legal_license(comparisons: Comparisons) -> None:
    assert gain(comparisons, "legal_license", "full").low > 0
    assert gain(comparisons, "legal_license", "lora-r16").low > 0


def test_most_tasks_tell_full_fine_tuning_from_the_untouched_model(comparisons: Comparisons) -> None:
    alike = {task for task in registry.tasks() if gain(comparisons, task, "full").low <= 0}
    # Too hard for 135M parameters and 224 examples: both stay near zero on these two.
    assert alike == {"gsm_symbolic", "humaneval"}


def test_readme_shows_the_stored_results(reference: list[Result]) -> None:
    assert readme_block(reference, folder="reports/reference") in (ROOT / "README.md").read_text(
        encoding="utf-8"
    )


@pytest.mark.usefixtures("undrawn")
@pytest.mark.parametrize("name", ["reference", "h100"])
def test_the_committed_report_is_what_the_results_render_to(name: str, tmp_path: Path) -> None:
    results, committed = (ROOT / folder / name for folder in ("results", "reports"))
    studies = section(results, tmp_path)
    page = render(Store(results).load(), tmp_path, name=name, studies=studies).read_text(encoding="utf-8")
    assert page == (committed / "report.md").read_text(encoding="utf-8")
    assert _pages(tmp_path / "studies") == _pages(committed / "studies")


def test_every_study_ends_with_its_sentence() -> None:
    for name, study in STUDIES.items():
        said = sentences(study, ROOT / "results" / "reference" / "studies" / name)
        assert said, name
        assert all(UNTOLD not in text for text in said.values())
        assert all((ROOT / "reports/reference/studies" / f"{name}-{task}.png").exists() for task in said)


def test_readme_says_of_the_gpu_what_was_measured_there() -> None:
    cells = Store(ROOT / "results" / "h100").load()
    assert {(cell.status, cell.environment["device"]) for cell in cells} == {("ok", "cuda")}
    assert f"{len(cells)} of the methods" in (ROOT / "README.md").read_text(encoding="utf-8")
    trained = {cell.method: cell.phases["train"] for cell in cells if cell.train}
    full = trained.pop("full")
    assert min(phase.seconds for phase in trained.values()) > full.seconds
    peaks = [phase.peak_bytes or 0 for phase in trained.values()]
    assert full.peak_bytes
    assert statistics.median(peaks) < full.peak_bytes / 2
    busy = [phase.utilisation or 0 for phase in (full, *trained.values())]
    assert statistics.mean(busy) == pytest.approx(0.1, abs=0.03)


def _pages(folder: Path) -> dict[str, str]:
    return {page.name: page.read_text(encoding="utf-8") for page in folder.glob("*.md")}


@pytest.mark.parametrize(
    ("folder", "method"),
    [
        ("sweep", "full"), ("sweep", "lora-r16"), ("sweep", "qlora-r16"), ("sweep", "prompt-tuning"),
        ("sweep-adapters", "adalora"), ("sweep-adapters", "prefix-tuning"),
    ],
)  # fmt: skip
def test_default_learning_rates_are_the_best_of_the_recorded_sweep(folder: str, method: str) -> None:
    store = Store(ROOT / "results" / folder)
    result = store.read(store.path("legal_license", method, 0))
    assert result.train is not None
    rates = registry.method(method).learning_rates
    tried = {trial.learning_rate for trial in result.train.trials}
    assert len(tried & set(rates)) >= 3  # a grid whose best was its end has been moved on by a step since
    assert rates[0] == result.train.learning_rate
