"""Studies: what they run, conclude from made-up figures and draw; and whole ones on the toy model."""

import shutil
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from harness import registry
from harness.budget import preset
from harness.cli_study import NAMES
from harness.errors import ResultError, UsageError
from harness.executor import Executor
from harness.grid import Grid, Listener, Settings, identify
from harness.plan import Cell
from harness.report import render
from harness.result import Item, Point, Result
from harness.store import Store
from harness.study import STUDIES, Study
from harness.study.design import Conclusion, Found, Place, same_budget
from harness.study.evidence import contrast, loss_gaps, slowdown
from harness.study.page import draw, section
from harness.study.run import build_study, execute_study, look_study, take_over
from harness.study.small_data import LOWER, RATE, resized
from tests.conftest import TOY_TASK
from tests.synthetic import cell, ended

ITEMS = 200


def made(
    method: str, right: float, seed: int = 0, *, examples: int = 64, step: float = 1.0, loss: float = 1.0
) -> Result:
    """A cell that gets so many of its items right (the same ones first), with steps of so many seconds."""
    base = cell("legal_license", method, seed)
    config = registry.method(method).config()
    budget = {**base.identity["budget"], "name": f"quick-{examples}-examples", "train_examples": examples}
    rates = list(registry.method(method).learning_rates)
    luck = (seed % 3 - 1) / ITEMS  # seeds differ by an item
    return replace(
        base,
        identity={**base.identity, "method_config": config, "budget": budget, "learning_rates": rates},
        items=tuple(
            Item(id=str(at), score=float(at < (right + luck) * ITEMS), output="", truncated=False)
            for at in range(ITEMS)
        ),
        curve=tuple(
            Point(
                step=at,
                tokens=at,
                seconds=step * at,
                loss=loss / at + seed / 1000,
                learning_rate=1e-3,
                grad_norm=1,
            )
            for at in range(1, 11)
        ),
    )


def concluded(name: str, results: Sequence[Result]) -> Conclusion:
    study = STUDIES[name]
    conclusion = study.conclude(Found(results, study.place))
    assert conclusion is not None
    return conclusion


RATES = ("1e-4", "3e-4", "1e-3", "3e-3", "1e-2", "3e-2")


def rates(full: Sequence[float], lora: Sequence[float]) -> dict[str, float]:
    """How often both get it right at the first of `RATES`."""
    lines = {"full": full, "lora-r16": lora}
    return {
        f"{name}@{value}": right
        for name, of in lines.items()
        for value, right in zip(RATES, of, strict=False)
    }


def over_seeds(right: Mapping[str, float], **options: Mapping[str, float]) -> list[Result]:
    """Three seeds of each method, right so often; an option holds a figure for the methods that it names."""
    return [
        made(method, share, seed, **{name: of[method] for name, of in options.items() if method in of})
        for method, share in right.items()
        for seed in range(3)
    ]


def test_the_command_names_every_study_and_the_four_mistakes_come_first() -> None:
    assert NAMES.replace(" or ", ", ").split(", ") == list(STUDIES)
    assert [study.mistake for study in STUDIES.values()] == [1, 2, 3, 4, None, None]


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda study: study.name)
def test_points_are_methods_that_exist_and_places_of_the_chart(study) -> None:
    for budget in (preset("smoke"), preset("standard")):
        points = study.points(budget, 300)
        assert {point.method for point in points} == {point.method for point in study.points(budget, None)}
        assert len(set(points)) == len(points)
        for point in points:
            name = registry.method(point.method).name
            place = study.place(made(name, 0.5, examples=point.budget.train_examples))
            assert place.series in study.series
            assert (place.x is None) == (study.axis == "")
            assert point.budget.train_examples <= 300 or study.name != "small-data"


def test_rates_that_studies_fix_are_the_defaults_and_the_lower_one_is_the_articles() -> None:
    default = registry.method("lora-r16").learning_rates[0]
    assert float(RATE) == default
    assert 2 <= default / float(LOWER) <= 5
    quantised = STUDIES["quantisation"].points(preset("quick"), None)
    assert {registry.method(point.method).learning_rates for point in quantised} == {(default,)}


def test_a_smaller_set_is_passed_over_until_it_had_the_budgets_steps() -> None:
    budget = preset("standard")
    for examples in (64, 100, 1024, 4096):
        own = resized(budget, examples)
        assert own.steps >= budget.steps
        assert own.epochs >= budget.epochs
        fewer = replace(own, epochs=own.epochs - 1) if own.epochs > budget.epochs else None
        assert fewer is None or fewer.steps < budget.steps
    assert {resized(preset("quick"), examples).steps for examples in (64, 256, 1024)} == {128}
    assert resized(preset("smoke"), 16).steps == preset("smoke").steps
    changed = {"name", "train_examples", "epochs"}
    assert {n: v for n, v in own.to_dict().items() if n not in changed} == {
        n: v for n, v in budget.to_dict().items() if n not in changed
    }


@pytest.mark.parametrize(
    ("name", "right", "options", "verdicts"),
    [
        ("rank", {"lora-r16": 0.5, "lora-r256": 0.7}, {}, ["disagrees", "disagrees"]),
        ("rank", {"lora-r16": 0.5, "lora-r256": 0.4}, {"step": {"lora-r256": 10.0}}, ["agrees", "agrees"]),
        (
            "rank",
            {"lora-r16": 0.5, "lora-r256": 0.51},
            {"step": {"lora-r256": 2.0}},
            ["not shown", "disagrees"],
        ),
        ("embeddings", {"lora-r16": 0.5, "lora-r16-emb": 0.7}, {}, ["disagrees"]),
        ("embeddings", {"lora-r16": 0.5, "lora-r16-emb": 0.4}, {}, ["agrees"]),
        ("embeddings", {"lora-r16": 0.5, "lora-r16-emb": 0.5}, {}, ["not shown"]),
        ("quantisation", {"lora-r16@1e-3": 0.6, "qlora-r16@1e-3": 0.7}, {}, ["agrees", "disagrees"]),
        (
            "quantisation",
            {"lora-r16@1e-3": 0.6, "qlora-r16@1e-3": 0.4},
            {"step": {"qlora-r16@1e-3": 2.5}},
            ["disagrees", "agrees"],
        ),
        ("convergence", {"full": 0.5, "lora-r16": 0.5}, {"loss": {"full": 0.5}}, ["agrees"]),
        ("convergence", {"full": 0.5, "lora-r16": 0.5}, {"loss": {"full": 2.0}}, ["disagrees"]),
        ("convergence", {"full": 0.5, "lora-r16": 0.5}, {}, ["not shown"]),
        (
            "small-data",
            {f"lora-r16@{RATE}": 0.5, f"lora-r16-dropout@{LOWER}": 0.7},
            {},
            ["agrees"],
        ),
        (
            "small-data",
            {f"lora-r16@{RATE}": 0.7, f"lora-r16-dropout@{LOWER}": 0.5},
            {},
            ["disagrees"],
        ),
        (
            "learning-rate",
            rates([0.1, 0.4, 0.7, 0.4], [0.4, 0.7, 0.2, 0.1]),
            {},
            ["agrees", "agrees", "agrees"],
        ),
        (
            "learning-rate",
            rates([0.4, 0.7, 0.4, 0.1], [0.1, 0.2, 0.4, 0.7]),
            {},
            ["disagrees", "disagrees", "agrees"],
        ),
        (
            "learning-rate",
            rates([0.4, 0.7, 0.4, 0.1], [0.1, 0.7, 0.1, 0.1]),
            {},
            ["disagrees", "not shown", "disagrees"],
        ),
        # The best rate is the last one on one side, or may be either of two with different answers.
        (
            "learning-rate",
            rates([0.4, 0.5, 0.6, 0.7], [0.4, 0.5, 0.6, 0.7]),
            {},
            ["disagrees", "not shown", "disagrees"],
        ),
        (
            "learning-rate",
            rates([0.1, 0.695, 0.7, 0.1], [0.2, 0.6, 0.1, 0.1]),
            {},
            ["not shown", "not shown", "not shown"],
        ),
        ("learning-rate", rates([0.6], [0.6]), {}, ["not shown", "not shown", "not shown"]),
    ],
)
def test_verdicts_follow_from_the_figures(
    name: str, right: Mapping[str, float], options: Mapping[str, Mapping[str, float]], verdicts: list[str]
) -> None:
    results = over_seeds(right, **options)
    if name == "small-data":  # at two sizes
        results += over_seeds(right, examples=dict.fromkeys(right, 256))
    found = concluded(name, results)
    assert [check.verdict for check in found.checks] == verdicts


def test_one_size_alone_says_nothing_of_others() -> None:
    right = {f"lora-r16@{RATE}": 0.5, f"lora-r16-dropout@{LOWER}": 0.7}
    found = concluded("small-data", over_seeds(right, examples=dict.fromkeys(right, 256)))
    assert found.sentence.startswith(
        "At 256 examples, LoRA with dropout and a third of its learning rate scores +20.0"
    )
    assert [check.verdict for check in found.checks] == ["not shown"]


def diverged(result: Result) -> Result:
    """The cell as it is when its training diverged at the third step."""
    wild = ended(result, "degenerate", "loss nan and gradient norm nan at step 3")
    return replace(wild, curve=(*result.curve[:2], replace(result.curve[2], loss=None, grad_norm=None)))


def test_a_rate_at_which_lora_diverges_suits_it_worse() -> None:
    results = over_seeds(rates([0.1, 0.4, 0.7, 0.4], [0.4, 0.7, 0.9, 0.1]))
    wild = [diverged(one) if one.method == "lora-r16@1e-3" else one for one in results]
    found = concluded("learning-rate", wild)
    assert "LoRA at 3e-4 scores +70.0 points" in found.sentence
    assert [check.verdict for check in found.checks] == ["agrees", "agrees", "agrees"]
    assert (
        "Full fine-tuning is best at 1e-3, where LoRA scores 0.0%, and 70.0% at its own best, 3e-4"
        in found.sentence
    )
    # Where it diverges below as well, nothing is better there.
    all_wild = [diverged(one) if one.method in ("lora-r16@1e-3", "lora-r16@3e-4") else one for one in results]
    assert concluded("learning-rate", all_wild).checks[0].verdict == "not shown"


def test_lora_that_ends_at_a_rule_without_a_model_is_destroyed() -> None:
    results = over_seeds(rates([0.1, 0.4, 0.7, 0.4], [0.5, 0.7, 0.4, 0.4]))
    collapsed = [replace(one, baselines={"most common target": 0.4}) for one in results]
    assert concluded("learning-rate", collapsed).checks[2].verdict == "agrees"
    assert concluded("learning-rate", results).checks[2].verdict != "agrees"


def test_a_place_is_not_judged_by_the_seeds_that_survived(tmp_path: Path) -> None:
    results = over_seeds(rates([0.6, 0.7, 0.8, 0.2], [0.5, 0.6, 0.6, 0.2]))
    study = STUDIES["learning-rate"]
    wild = [
        diverged(one) if (one.method, one.seed) in (("full@1e-3", 1), ("full@1e-3", 2)) else one
        for one in results
    ]
    found = Found(wild, study.place)
    place = Place("full", 1e-3)
    assert found.quality(place).value == pytest.approx(0.8 / 3, abs=0.01)
    assert concluded(study.name, wild).sentence.startswith("Full fine-tuning is best at 3e-4")
    stored(tmp_path, study.name, wild)
    draw(tmp_path, tmp_path / "pages")
    said = "counts as a quality of 0%: full at learning rate 1e-3 (2 seeds of 3)."
    assert said in (tmp_path / "pages" / "learning-rate.md").read_text()
    # A run in which nothing moved did not diverge, and is no evidence.
    still = [ended(one, "degenerate", "the loss never moved") if one.status != "ok" else one for one in wild]
    assert Found(still, study.place).quality(place).value == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize(("seeds", "deviation"), [(1, 0.03), (3, 0.04), (3, 0.08)])
def test_intervals_of_differences_cover_the_truth(seeds: int, deviation: float) -> None:
    """Of a study of six rates; what seeds move of a mean is `deviation`, three times that at the last."""
    random = np.random.default_rng(13)
    hit = []
    for _ in range(60):
        chances = random.beta(0.5, 0.5, ITEMS)
        results = []
        for at, method in enumerate(rates([0.5] * 6, [])):
            for seed in range(seeds):
                own = np.clip(chances + random.normal(0, deviation * (3 if at == 5 else 1)), 0, 1)
                items = enumerate((random.random(ITEMS) < own).astype(float))
                results.append(
                    replace(
                        made(method, 0.5, seed),
                        items=tuple(
                            Item(id=str(n), score=score, output="", truncated=False) for n, score in items
                        ),
                    )
                )
        found = Found(results, STUDIES["learning-rate"].place)
        pairs = pairwise([*found.along("full").values()][:5])
        hit += [
            (one.between.low <= 0 <= one.between.high) for pair in pairs if (one := contrast(found, *pair))
        ]
    assert np.mean(hit) > 0.93


def test_only_a_reduction_that_the_article_names_tests_its_advice() -> None:
    right = {"full@1e-4": 0.4, "full@1e-3": 0.6, "lora-r16@1e-4": 0.7, "lora-r16@1e-3": 0.2}
    found = concluded("learning-rate", over_seeds(right))
    assert "LoRA has no results both there and at a rate 2 to 5 times lower" in found.sentence
    assert found.checks[0].verdict == "not shown"


def test_steps_of_one_run_are_no_seeds() -> None:
    paces = {0: 1.9, 1: 2.0, 2: 2.1}
    results = [
        made(method, 0.5, seed, step=pace if method == "lora-r256" else 1.0)
        for method in ("lora-r16", "lora-r256")
        for seed, pace in paces.items()
    ]
    study = STUDIES["rank"]
    slower = slowdown(Found(results, study.place), Place("LoRA", 256.0), Place("LoRA", 16.0))
    assert slower is not None
    assert slower.ratio.low < 1.8 < 2.2 < slower.ratio.high
    there = [
        replace(one, identity={**one.identity, "machine": "another"}) if one.seed == 2 else one
        for one in results
    ]
    own = slowdown(Found(there, study.place), Place("LoRA", 256.0), Place("LoRA", 16.0))
    assert own is not None
    assert own.ratio.value == pytest.approx((1.9 * 2.0) ** 0.5)
    (alone,) = [concluded("rank", [one for one in results if one.seed == 0])]
    assert alone.checks[1].verdict == "not shown"
    assert alone.sentence.endswith(" as long in the one seed that ran.")


def test_losses_over_seconds_are_of_one_machine() -> None:
    results = over_seeds({"full": 0.5, "lora-r16": 0.5}, loss={"full": 0.5})
    there = [replace(one, identity={**one.identity, "machine": f"machine {one.seed}"}) for one in results]
    gaps = loss_gaps(Found(there, STUDIES["convergence"].place), Place("full"), Place("lora-r16"))
    assert gaps is not None
    assert gaps.seconds is None
    said = concluded("convergence", there).sentence
    assert said.endswith("Over the same seconds too few seeds ran on one machine to say.")


def test_a_seed_that_one_side_lacks_is_left_out() -> None:
    whole = over_seeds({"lora-r16": 0.5, "lora-r16-emb": 0.6})
    place = STUDIES["embeddings"].place
    lacking = [one for one in whole if (one.method, one.seed) != ("lora-r16", 2)]
    both = [one for one in whole if one.seed != 2]
    pair = Place("lora-r16-emb"), Place("lora-r16")
    assert contrast(Found(lacking, place), *pair) == contrast(Found(both, place), *pair)
    apart = [one for one in whole if one.seed == (1 if one.method == "lora-r16" else 0)]
    assert contrast(Found(apart, place), *pair) is None


def test_sentences_give_the_difference_its_interval_and_what_would_have_been_seen() -> None:
    right = {"lora-r16": 0.5, "lora-r256": 0.51}
    sentence = concluded("rank", over_seeds(right, step={"lora-r256": 2.0})).sentence
    assert sentence.startswith("Rank 256 scores +1.0 points [-")
    assert "against rank 16 (no difference shown at n=200 and 3 seeds; one of " in sentence
    assert sentence.endswith("a training step takes 2.00 times [2.00, 2.00] as long.")
    shown = concluded("rank", over_seeds({"lora-r16": 0.5, "lora-r256": 0.8})).sentence
    assert "no difference shown" not in shown


def test_without_both_sides_there_is_no_conclusion() -> None:
    for study in STUDIES.values():
        assert study.conclude(Found([], study.place)) is None
    lone = over_seeds({"lora-r16": 0.5})
    assert STUDIES["rank"].conclude(Found(lone, STUDIES["rank"].place)) is None
    one_seed = [made("full", 0.5), made("lora-r16", 0.5)]
    study = STUDIES["convergence"]
    assert study.conclude(Found(one_seed, study.place)) is None


def test_cells_that_did_not_end_ok_are_not_evidence() -> None:
    results = [made("lora-r16", 0.5), ended(made("lora-r256", 0.9), "oom", "too large")]
    found = Found(results, STUDIES["rank"].place)
    assert contrast(found, Place("LoRA", 256.0), Place("LoRA", 16.0)) is None
    assert slowdown(found, Place("LoRA", 256.0), Place("LoRA", 16.0)) is None


def test_losses_are_compared_over_the_same_steps_and_the_same_seconds() -> None:
    # The same losses by the step, twice as fast: ahead by the clock alone.
    results = over_seeds({"full": 0.5, "lora-r16": 0.5}, step={"full": 0.5})
    gaps = loss_gaps(Found(results, STUDIES["convergence"].place), Place("full"), Place("lora-r16"))
    assert gaps is not None
    assert gaps.steps.low == gaps.steps.high == 0.0
    assert gaps.early == gaps.late == gaps.steps
    assert gaps.seconds.high < 0


def test_a_lead_that_turns_is_told_apart_in_early_steps_and_the_rest() -> None:
    results = []
    for one in over_seeds({"full": 0.5, "lora-r16": 0.5}):
        shift = {True: -2.0, False: 0.5} if one.method == "full" else {True: 0.0, False: 0.0}
        early = len(one.curve) / 5
        curve = [replace(point, loss=5 + shift[point.step <= early]) for point in one.curve]
        results.append(replace(one, curve=tuple(curve)))
    gaps = loss_gaps(Found(results, STUDIES["convergence"].place), Place("full"), Place("lora-r16"))
    assert (gaps.early.value, gaps.late.value) == (-2.0, 0.5)
    assert gaps.steps.value == pytest.approx(0.2 * -2.0 + 0.8 * 0.5, abs=0.1)
    said = concluded("convergence", results).sentence
    assert "-2.000 nats [-2.000, -2.000] over the first fifth of them, +0.500 nats [0.500, 0.500]" in said


def stored(root: Path, name: str, results: Sequence[Result], budget: str = "quick") -> None:
    store = Store(root / "studies" / name / budget)
    for result in results:
        store.write(result)


def test_pages_show_chart_sentence_and_mistakes(tmp_path: Path) -> None:
    right = {f"lora-r{rank}": 0.5 for rank in (8, 16, 32, 64)}
    stored(tmp_path, "rank", [*over_seeds(right), ended(made("lora-r256", 0.5), "oom", "too <large>")])
    stored(tmp_path, "convergence", over_seeds({"full": 0.5, "lora-r16": 0.5}, loss={"full": 0.5}))
    draw(tmp_path, tmp_path / "pages")
    summary = (tmp_path / "pages" / "report.md").read_text()
    page = (tmp_path / "pages" / "rank.md").read_text()
    assert "![LoRA's rank on `legal_license`](rank-legal_license.png)" in page
    assert "What it takes for a conclusion has not run." in page
    assert "| LoRA | 64 | 2e-4 | 50.0%" in page
    assert "too &lt;large&gt;" in page
    assert (
        "python -m harness study rank --tasks legal_license --budget quick --seeds 3 --model embedded" in page
    )
    assert "| 4. LoRA on few examples |" in summary
    assert summary.count("not measured (`python -m harness study ") == 4
    assert (tmp_path / "pages" / "convergence-legal_license.png").stat().st_size > 10_000
    sentence = concluded(
        "convergence", over_seeds({"full": 0.5, "lora-r16": 0.5}, loss={"full": 0.5})
    ).sentence
    assert sentence in summary


@pytest.mark.usefixtures("undrawn")
def test_times_are_of_the_seeds_of_one_machine(tmp_path: Path) -> None:
    results = over_seeds({"lora-r16": 0.5, "lora-r16-emb": 0.4}, step={"lora-r16": 1.0})
    there = [
        replace(one, identity={**one.identity, "machine": "another"}) for one in results if one.seed == 2
    ]
    stored(tmp_path, "embeddings", results)
    draw(tmp_path, tmp_path / "pages")
    assert "several machines" not in (tmp_path / "pages" / "embeddings.md").read_text()
    stored(tmp_path, "embeddings", there)
    draw(tmp_path, tmp_path / "pages")
    said = "Seeds ran on several machines: training times are of seeds 0 and 1 alone."
    assert said in (tmp_path / "pages" / "embeddings.md").read_text()


@pytest.mark.usefixtures("undrawn")
def test_a_runs_report_tells_of_its_studies(tmp_path: Path) -> None:
    assert section(tmp_path, tmp_path / "reports") is None
    stored(tmp_path, "embeddings", over_seeds({"lora-r16": 0.5, "lora-r16-emb": 0.4}))
    told = section(tmp_path, tmp_path / "reports")
    report = render([cell("legal_license", "full")], tmp_path / "reports", name="r", studies=told).read_text()
    assert "## The article's advice, put to the test" in report
    assert "adapters on embeddings do not help: the measurement **agrees** (`legal_license`) |" in report
    assert "(studies/embeddings-legal_license.png)" in report
    assert (tmp_path / "reports" / "studies" / "embeddings-legal_license.png").exists()


@pytest.mark.usefixtures("undrawn")
def test_a_result_of_something_else_among_a_studys_is_named(tmp_path: Path) -> None:
    stored(tmp_path, "rank", [cell("legal_license", "full")])  # without a rank
    with pytest.raises(ResultError, match="a result of 'legal_license' is none of the study 'rank'"):
        draw(tmp_path, tmp_path / "pages")
    assert (section(tmp_path, tmp_path) or "").startswith("The studies cannot be shown: a result of")
    other = tmp_path / "other"
    stored(other, "embeddings", [cell("legal_license", "full")])
    with pytest.raises(ResultError, match=r"none of the study 'embeddings' \(full\)"):
        draw(other, tmp_path / "pages")


@pytest.mark.parametrize(
    "spoilt",
    [
        {"items": ()},
        {"phases": {}},
        {"curve": (), "items": ()},
        {"items": (Item(id="other", score=1.0, output="", truncated=False),)},
        {"train": None, "phases": {}},
    ],
    ids=lambda spoilt: " ".join(spoilt),
)
@pytest.mark.parametrize("study", ["rank", "embeddings", "convergence"])
def test_a_strange_result_of_a_study_takes_no_report_down(
    tmp_path: Path, study: str, spoilt: dict[str, object], request: pytest.FixtureRequest
) -> None:
    methods = [registry.method(point.method).name for point in STUDIES[study].points(preset("quick"), None)]
    first, *others = over_seeds(dict.fromkeys(methods, 0.5))
    stored(tmp_path, study, [replace(first, **spoilt), *others])
    told = section(tmp_path, tmp_path / "reports") or ""
    assert STUDIES[study].title in told or told.startswith("The studies cannot be shown: a result of")
    # The report's own figures are of a result like any other.
    request.getfixturevalue("undrawn")
    page = render([cell("legal_license", "full")], tmp_path / "reports", name="r", studies=told)
    assert page.exists()


@pytest.mark.usefixtures("undrawn")
def test_a_study_under_two_budgets_is_not_joined(tmp_path: Path) -> None:
    for budget in ("quick", "quick-64-examples"):
        stored(tmp_path, "rank", over_seeds({"lora-r16": 0.5, "lora-r256": 0.5}), budget)
    draw(tmp_path, tmp_path / "pages")
    stored(tmp_path, "rank", over_seeds({"lora-r16": 0.5}), "smoke")
    said = r"rank holds results of several budgets, .* \(quick, smoke\)"
    with pytest.raises(ResultError, match=said):
        draw(tmp_path, tmp_path / "pages")
    assert "(quick, smoke)" in (section(tmp_path, tmp_path / "reports") or "")


class Log(Listener):
    """Remembers which cells ran, and which were kept."""

    def __init__(self) -> None:
        self.planned = 0
        self.notes: list[str] = []
        self.ran: list[str] = []
        self.kept: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def start(self, cells: Sequence[Cell], kept: Collection[Cell] = ()) -> None:
        self.planned += len(cells)

    def result(self, cell: Cell, result: Result, kept: bool) -> None:
        (self.kept if kept else self.ran).append(
            f"{result.method} {result.identity['budget']['train_examples']}"
        )


@pytest.fixture(scope="module")
def settings(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """The toy task on the toy model; all in one results folder."""
    folder = tmp_path_factory.mktemp("studies")
    return Settings(
        tasks=TOY_TASK, methods="", model=str(toy_folder), budget=None, seeds=None,
        results=folder / "results", reports=folder / "reports", device="cpu", hub=False, chat=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def go(settings: Settings, executor: Executor) -> Callable[[Study], tuple[Log, list[Grid]]]:
    """Runs a study."""

    def run(study: Study) -> tuple[Log, list[Grid]]:
        log = Log()
        grids = build_study(study, settings, "smoke", executor, log)
        results = execute_study(grids, executor, log, force=False)
        assert {result.status for result in results} == {"ok"}
        return log, grids

    return run


@pytest.mark.parametrize(("budget", "seeds"), [("smoke", {0, 1}), ("quick", {0, 1, 2})])
def test_what_is_told_by_its_seeds_has_several_and_fewer_at_smoke(
    settings: Settings, executor: Executor, budget: str, seeds: set[int]
) -> None:
    (grid,) = build_study(STUDIES["convergence"], settings, budget, executor, Log())
    assert {cell.seed for cell in grid.cells} == seeds


@pytest.mark.usefixtures("undrawn")
def test_a_study_runs_resumes_and_takes_over_what_another_ran(
    go: Callable[[Study], tuple[Log, list[Grid]]],
) -> None:
    study = STUDIES["embeddings"]
    first, (grid,) = go(study)
    assert (first.planned, first.ran) == (2, ["lora-r16 16", "lora-r16-emb 16"])
    assert grid.store.root.parts[-3:] == ("studies", "embeddings", "smoke")
    assert "| `lora-r16-emb` |" in (grid.reports / "embeddings.md").read_text()
    again, _ = go(study)
    assert (again.ran, again.kept) == ([], first.ran)
    own = replace(grid, store=Store(grid.store.root.parents[1] / "another" / "smoke"))
    assert [len(kept) for kept in look_study([own], force=False)] == [2]
    assert [len(kept) for kept in look_study([own], force=True)] == [0]
    assert not own.store.root.exists()  # looking takes nothing over
    other, _ = go(replace(study, name="another"))
    assert (other.ran, other.kept) == ([], first.ran)
    assert "2 of 2 cells were run before under the same conditions" in other.notes


@pytest.mark.usefixtures("undrawn")
def test_a_method_that_is_given_its_default_rate_is_taken_over_as_that_method(
    go: Callable[[Study], tuple[Log, list[Grid]]],
) -> None:
    go(replace(STUDIES["embeddings"], name="first"))
    given = same_budget("lora-r16@1e-3", "lora-r16-emb@3e-3")
    log, (grid,) = go(replace(STUDIES["embeddings"], name="at-rates", points=given))
    assert log.ran == ["lora-r16-emb@3e-3 16"]
    cell = next(cell for cell in grid.cells if grid.name(cell)[1] == "lora-r16@1e-3")
    assert grid.store.read(grid.store.path(*grid.name(cell))).identity == identify(grid, cell)


@pytest.mark.usefixtures("undrawn")
def test_what_another_machine_ran_is_taken_over_by_whole_seeds(
    go: Callable[[Study], tuple[Log, list[Grid]]], tmp_path: Path
) -> None:
    _, (here,) = go(replace(STUDIES["embeddings"], name="first"))
    there = replace(here, environment=replace(here.environment, machine="another"))
    run = Store(tmp_path)
    for result in here.store.load():
        run.write(result)

    def taken(grid: Grid, name: str) -> int:
        own = replace(grid, store=Store(tmp_path / "studies" / name / "smoke"))
        take_over(own, Log())
        return len(list(own.store.paths()))

    assert taken(there, "whole") == 2
    shutil.rmtree(tmp_path / "studies")
    next(run.paths()).unlink()
    assert taken(there, "part") == 0
    assert taken(here, "part") == 1
    (one,) = (result for result in here.store.load() if result.method == "lora-r16")
    own = Store(tmp_path / "studies" / "mixed" / "smoke")
    own.write(replace(one, identity={**one.identity, "machine": "another"}))
    assert taken(here, "mixed") == 1  # of two machines' cells none would be added


@pytest.mark.usefixtures("undrawn")
def test_a_study_under_another_budget_does_not_start(
    go: Callable[[Study], tuple[Log, list[Grid]]], tmp_path: Path
) -> None:
    _, (grid,) = go(replace(STUDIES["embeddings"], name="first"))
    grid = replace(grid, store=Store(tmp_path / "studies" / "first" / "smoke"))
    stored(tmp_path, "first", over_seeds({"lora-r16": 0.5}))
    log = Log()
    with pytest.raises(UsageError, match=r"would hold results of several budgets, .* \(quick, smoke\)"):
        execute_study([grid], Executor(), log, force=False)
    assert log.planned == 0


@pytest.mark.usefixtures("undrawn")
def test_sizes_are_budgets_of_their_own_cut_to_the_pool(
    go: Callable[[Study], tuple[Log, list[Grid]]],
) -> None:
    log, grids = go(STUDIES["small-data"])
    assert [(grid.budget.name, grid.budget.train_examples) for grid in grids] == [
        ("smoke-16-examples", 16),
        ("smoke-30-examples", 30),  # of the 32 that it asks for
    ]
    assert log.planned == len(log.ran) == 4
    page = (grids[0].reports / "small-data.md").read_text()
    assert "Over 16 to 30 examples, LoRA with dropout and a third of its learning rate scores " in page
