import math

import numpy as np
import pytest
from scipy.stats import bootstrap, norm

from harness import stats
from harness.stats import Interval

Z = norm.ppf(0.975)


def wilson(successes, trials):
    """The formula as Wilson (1927) gives it."""
    share = successes / trials
    middle = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z / (1 + Z**2 / trials) * math.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    return middle - half, middle + half


def run(scores):
    return {f"item-{at}": float(score) for at, score in enumerate(scores)}


def coins(share, items, seed=0):
    return run(np.random.default_rng(seed).random(items) < share)


@pytest.mark.parametrize(("successes", "trials"), [(5, 10), (123, 200), (1, 3), (0, 200), (200, 200), (0, 1)])
def test_zeros_and_ones_get_wilsons_interval(successes, trials):
    found = stats.mean_interval([1] * successes + [0] * (trials - successes))
    assert found.value == successes / trials
    assert (found.low, found.high) == pytest.approx(wilson(successes, trials), abs=1e-9)


def test_wilson_by_hand():
    found = stats.mean_interval([0, 1] * 5)
    assert (found.low, found.high) == pytest.approx((0.2366, 0.7634), abs=1e-4)


def test_none_and_all_have_width():
    assert stats.mean_interval([0] * 200).high == pytest.approx(Z**2 / (200 + Z**2))
    assert stats.mean_interval([1] * 200).low == pytest.approx(200 / (200 + Z**2))


def test_fractions_agree_with_scipys_bootstrap():
    scores = np.random.default_rng(3).beta(2, 1, 150)
    found = stats.mean_interval(list(scores))
    expected = bootstrap((scores,), np.mean, method="percentile", random_state=0, n_resamples=9999)
    assert found.value == pytest.approx(scores.mean())
    assert (found.low, found.high) == pytest.approx(tuple(expected.confidence_interval), abs=0.004)


@pytest.mark.parametrize("score", [0.3, 0.5, 0.004])
def test_equal_fractions_fall_back_to_the_rounded_count(score):
    found = stats.mean_interval([score] * 40)
    assert (found.low, found.high) == pytest.approx(wilson(round(40 * score), 40), abs=1e-9)
    assert found.low <= score <= found.high


@pytest.mark.parametrize("scores", [[], [0.5, 1.5], [-0.1], [float("nan")]])
def test_bad_scores_are_refused(scores):
    with pytest.raises(ValueError, match="item score"):
        stats.mean_interval(scores)


def test_the_same_scores_give_the_same_figures():
    runs = [run(np.random.default_rng(seed).random(60)) for seed in range(3)]
    assert stats.runs_interval(runs) == stats.runs_interval([dict(one) for one in runs])
    stats._draws.cache_clear()
    again = stats.runs_interval([dict(reversed(one.items())) for one in runs])
    assert again == stats.runs_interval(runs)


def test_repeating_a_deterministic_run_adds_no_evidence():
    once = coins(0.6, 100)
    assert stats.runs_interval([once, once, once]) == stats.mean_interval(list(once.values()))


def test_spread_between_seeds_widens_the_interval():
    calm = [coins(0.5, 200, seed) for seed in range(3)]
    wild = [coins(share, 200, seed) for seed, share in enumerate((0.3, 0.5, 0.7))]
    assert width(stats.runs_interval(wild)) > 1.5 * width(stats.runs_interval(calm))


def test_runs_are_compared_on_the_items_they_share():
    assert stats.runs_interval([{"a": 1.0, "b": 0.0, "only": 0.0}, {"b": 1.0, "a": 1.0}]).value == 0.75
    with pytest.raises(ValueError, match="no item in common"):
        stats.runs_interval([{"a": 1.0}, {"b": 1.0}])
    with pytest.raises(ValueError, match="no item in common"):
        stats.runs_interval([])


def test_gain_retained():
    rng = np.random.default_rng(0)
    zero = rng.random(400) < 0.2
    full = zero | (rng.random(400) < 0.6)
    half = np.where(np.arange(400) % 2, full, zero)
    found = stats.gain_retained([([run(half)], [run(zero)], [run(full)])])
    assert found.value == pytest.approx((half.mean() - zero.mean()) / (full.mean() - zero.mean()))
    assert 0.35 < found.low < found.value < found.high < 0.65
    whole = stats.gain_retained([([run(full)], [run(zero)], [run(full)])])
    assert (whole.low, whole.value, whole.high) == (1, 1, 1)
    all_of_it, half_of_it = ([run(full)], [run(zero)], [run(full)]), ([run(half)], [run(zero)], [run(full)])
    both = stats.gain_retained([all_of_it, half_of_it])
    assert both.value == pytest.approx((1 + found.value) / 2)
    assert found.high < both.low < both.value < both.high < 1
    with pytest.raises(ValueError, match="at least one task"):
        stats.gain_retained([])


@pytest.mark.parametrize("full", [0.2, 0.205, 0.1])
def test_no_gain_no_share_of_it(full):
    zero = run([1] * 40 + [0] * 160)
    count = round(200 * full)
    assert stats.gain_retained([([zero], [zero], [run([0] * (200 - count) + [1] * count)])]) is None


def test_ranks_of_clear_winners_are_certain():
    task = {"a": [run([1] * 50)], "b": [run([0, 1] * 25)], "c": [run([0] * 50)]}
    assert stats.mean_ranks([task, task]) == {
        name: Interval(value=place, low=place, high=place) for name, place in (("a", 1), ("b", 2), ("c", 3))
    }


def test_ties_share_ranks():
    scores = coins(0.5, 80)
    found = stats.mean_ranks([{"a": [scores], "b": [dict(scores)], "c": [run([0] * 80)]}])
    assert found["a"] == found["b"] == Interval(value=1.5, low=1.5, high=1.5)


def test_mean_ranks_average_tasks_and_hold_their_estimate():
    tasks = [{name: [coins(0.5, 60, seed + 10 * at)] for seed, name in enumerate("abcd")} for at in range(5)]
    found = stats.mean_ranks(tasks)
    assert sum(interval.value for interval in found.values()) == pytest.approx(10)
    assert all(interval.low <= interval.value <= interval.high for interval in found.values())
    assert all(width(interval) > 0.2 for interval in found.values())


def test_mean_ranks_need_a_grid_without_gaps():
    with pytest.raises(ValueError, match="same methods"):
        stats.mean_ranks([{"a": [run([1])]}, {"b": [run([1])]}])
    with pytest.raises(ValueError, match="at least one task"):
        stats.mean_ranks([])


def test_a_mean_over_tasks_is_sharper_than_one_task():
    tasks = [[coins(0.5, 100, seed)] for seed in range(9)]
    found = stats.tasks_interval(tasks)
    assert found.value == pytest.approx(np.mean([np.mean(list(runs[0].values())) for runs in tasks]))
    assert width(found) == pytest.approx(width(stats.runs_interval(tasks[0])) / 3, rel=0.1)
    flat = stats.tasks_interval([[run([0] * 50)], [run([0] * 50)]])
    assert (flat.low, flat.high) == pytest.approx(wilson(0, 50))
    with pytest.raises(ValueError, match="at least one"):
        stats.tasks_interval([])


def test_the_best_settings_ratio_is_as_certain_as_the_best_ones_and_their_grids():
    rng = np.random.default_rng(0)

    def runs(share):
        return [{str(at): float(score) for at, score in enumerate(rng.random(200) < share)}]

    first = {1e-5: runs(0.2), 1e-4: runs(0.2), 1e-3: runs(0.8), 1e-2: runs(0.2)}
    second = {1e-3: runs(0.2), 1e-4: runs(0.8), 1e-5: runs(0.2)}  # in whatever order
    best, other = stats.best([first, second], deviation=0.03)
    assert (best.value, best.likely(), other.value, other.likely()) == (1e-3, [1e-3], 1e-4, [1e-4])
    assert best.around(1e-3) == pytest.approx((10**-3.5, 10**-2.5))
    found = stats.best_ratio(best, other)
    assert (found.value, found.low, found.high) == pytest.approx((10, 1, 100))
    # A setting beyond the last one may be better still.
    (last,) = stats.best([{1e-4: runs(0.2), 1e-3: runs(0.8)}], deviation=0.03)
    assert stats.best_ratio(last, other).low == pytest.approx(1)
    assert stats.best_ratio(last, other).high == math.inf
    assert stats.best_ratio(other, last).low == 0
    same = runs(0.5)
    (lowest,) = stats.best([{3.0: same, 1.0: same}], deviation=0.0)
    assert lowest.value == 1.0
    with pytest.raises(ValueError, match="at least one"):
        stats.best([{1.0: same}, {}], deviation=0.0)


@pytest.mark.parametrize(("seeds", "likely"), [(1, [1e-4, 1e-3]), (9, [1e-4])])
def test_the_best_setting_is_as_uncertain_as_seeds_are(seeds, likely):
    def runs(right):
        return [{str(at): float(at < right) for at in range(200)}] * seeds

    (best,) = stats.best([{1e-4: runs(108), 1e-3: runs(100)}], deviation=0.03)
    assert best.value == 1e-4
    assert best.likely() == likely


def test_intervals_cover_the_truth():
    """Of 300 simulated studies each; a correct 95% method stays above 91% almost surely."""
    rng = np.random.default_rng(11)
    single = [stats.mean_interval((rng.random(60) < 0.9).astype(float)) for _ in range(300)]
    assert share(interval.low <= 0.9 <= interval.high for interval in single) > 0.91
    fractions = [stats.mean_interval(rng.beta(1, 1, 60)) for _ in range(300)]
    assert share(interval.low <= 0.5 <= interval.high for interval in fractions) > 0.91


@pytest.mark.parametrize(
    ("seeds", "deviation", "items", "covered"),
    [(3, 0.0, 200, 0.91), (3, 0.06, 200, 0.91), (5, 0.06, 200, 0.91), (3, 0.06, 800, 0.85)],
)
def test_intervals_over_seeds_cover_what_other_seeds_and_items_would_show(seeds, deviation, items, covered):
    """Items agree between seeds as real ones do, by a correlation of 0.5; a seed moves all of its items."""
    rng = np.random.default_rng(12)
    hit, over_items = [], []
    for _ in range(300):
        chances = rng.beta(0.5, 0.5, items) + rng.normal(0, deviation, (seeds, 1))
        scores = (rng.random((seeds, items)) < chances).astype(float)
        found = stats.runs_interval([run(row) for row in scores])
        hit.append(found.low <= 0.5 <= found.high)
        alone = stats.mean_interval(scores.mean(axis=0))
        over_items.append(alone.low <= 0.5 <= alone.high)
    assert share(hit) > covered
    # What the first level is for: with seeds that matter, a bootstrap over items alone misses too often.
    assert deviation < 0.06 or share(over_items) < 0.91


def width(interval):
    return interval.high - interval.low


def share(outcomes):
    return np.mean(list(outcomes))
