import math

import numpy as np
import pytest
from scipy.stats import binomtest, ttest_1samp, ttest_rel

from harness import paired
from harness.aligned import average
from harness.paired import Difference, combine, effect, pool
from harness.pvalues import holm, mcnemar
from harness.regression.quality import settled_by


def runs(scores, first=0):
    """Runs by seed of a matrix, seeds by items."""
    return {first + at: {f"i{item}": float(s) for item, s in enumerate(row)} for at, row in enumerate(scores)}


def coins(seeds, items, shares, generator):
    return (generator.random((seeds, items)) < shares).astype(float)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_with_weights_spends_the_error_where_it_was_put():
    # 0.03 against its share 0.05 * 4/5; then 0.04 against all that is left.
    assert holm([0.03, 0.04], [4, 1]) == pytest.approx([0.0375, 0.04])
    assert holm([0.03, 0.04], [1, 1]) == pytest.approx([0.06, 0.06])


@pytest.mark.parametrize(
    ("p", "weights"), [([1.5], None), ([float("nan")], None), ([0.5], [0.0]), ([0.5], [-1])]
)
def test_holm_refuses_what_is_no_chance(p, weights):
    with pytest.raises(ValueError, match="p values must be"):
        holm(p, weights)


def test_mcnemar_is_the_exact_binomial_test_on_discordant_pairs():
    assert mcnemar(8, 2) == pytest.approx(56 / 1024)  # (45 + 10 + 1) of 2^10
    assert mcnemar(2, 8) == pytest.approx(1013 / 1024)
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(15, 4) == pytest.approx(binomtest(15, 19, alternative="greater").pvalue)


def test_one_run_each_without_seeds_is_tested_by_mcnemar():
    old, new = [1] * 60 + [0] * 40, [0] * 10 + [1] * 50 + [1] * 2 + [0] * 38
    found = effect(runs([old]), runs([new]), seeded=False)
    difference = combine([found], pool([found]))
    assert found.discordant == (2, 10)
    assert difference.value == pytest.approx(-0.08)
    assert difference.p_drop == pytest.approx(mcnemar(10, 2))
    assert difference.p_rise == pytest.approx(mcnemar(2, 10))


def test_fractions_without_seeds_come_near_the_paired_t_test():
    generator = np.random.default_rng(1)
    old = generator.beta(2, 2, 400)
    new = np.clip(old + generator.normal(-0.02, 0.2, 400), 0, 1)
    found = effect(runs([old]), runs([new]), seeded=False)
    assert found.discordant is None
    difference = combine([found], pool([found]))
    assert difference.p_drop == pytest.approx(ttest_rel(new, old, alternative="less").pvalue, rel=0.1)


def test_equal_runs_of_something_without_seeds_count_once():
    row = [1, 0, 1, 1, 0, 0, 1, 0] * 10
    changed = [1 - row[0], *row[1:]]
    thrice = effect(runs([row] * 3), runs([changed] * 3), seeded=False)
    once = effect(runs([row]), runs([changed]), seeded=False)
    assert thrice == once


def test_where_seeds_move_one_side_its_whole_variance_counts_once():
    generator = np.random.default_rng(5)
    shares = generator.beta(1, 1, 80)
    fixed = coins(1, 80, shares, generator).repeat(3, 0)
    moved = coins(3, 80, shares, generator)
    both = effect(runs(fixed), runs(moved), seeded=True)
    one = effect(runs(fixed), runs(moved), seeded=True, one_sided=True)
    assert (both.scale, one.scale) == (pytest.approx(2 / 3), pytest.approx(1 / 3))
    assert one.between == pytest.approx(2 * both.between)
    assert one.scale * one.noise == pytest.approx(both.scale * both.noise)
    # Of one seed nothing is measured: what is taken from others counts for one side, not for two.
    alone = effect(runs(fixed[:1]), runs(moved[:1]), seeded=True, one_sided=True)
    assert (alone.scale, alone.degrees) == (1.0, 0)


@pytest.mark.parametrize("seeds", [1, 3])
def test_a_difference_that_would_have_been_seen_is_seen_in_nine_of_ten(seeds):
    generator = np.random.default_rng(11)
    spread = paired.Spread(variance=0.02**2, degrees=1000, measured=1000)

    def difference(gain):
        shares = generator.beta(2, 2, 300) * 0.6
        luck = generator.normal(0, 0.02, (2, seeds, 1))
        old, new = (
            (generator.random((seeds, 300)) < shares + moved + more).astype(float)
            for moved, more in zip(luck, (0, gain), strict=True)
        )
        return combine([effect(runs(old), runs(new), seeded=True)], spread)

    seen = np.mean([difference(0.1).detectable(0.025, 0.9) for _ in range(50)])
    assert np.mean([difference(seen).interval(0.05)[0] > 0 for _ in range(400)]) == pytest.approx(
        0.9, abs=0.05
    )


def test_identical_runs_say_so_and_can_never_be_called():
    rows = coins(2, 50, 0.5, np.random.default_rng(0))
    found = effect(runs(rows), runs(rows), seeded=True)
    difference = combine([found], pool([found]))
    assert found.identical
    assert difference.identical
    assert difference.p_drop == difference.p_rise == 1.0
    assert difference.lower(0.05) == difference.value == 0


def test_seeds_are_a_component_of_the_error():
    """All items of a run move together: many items do not make the difference certain."""
    generator = np.random.default_rng(2)
    moved = generator.normal(0.5, 0.1, 6)
    rows = np.array([coins(1, 2000, share, generator)[0] for share in moved])
    found = effect(runs(rows[:3]), runs(rows[3:], 10), seeded=True)
    difference = combine([found], pool([found]))
    items_alone = math.sqrt(found.item_variance)
    assert difference.error > 3 * items_alone
    assert difference.item_share < 0.1


def test_pairing_takes_out_luck_that_both_sides_share():
    generator = np.random.default_rng(3)
    luck = generator.normal(0.5, 0.1, 6)[:, None]
    old, new = coins(6, 3000, luck, generator), coins(6, 3000, luck, generator)
    together = effect(runs(old), runs(new), seeded=True)
    apart = effect(runs(old), runs(new, 100), seeded=True)
    assert together.paired
    assert not apart.paired
    assert together.between < apart.between / 10
    assert combine([together], pool([together])).error < combine([apart], pool([apart])).error


def test_with_enough_seeds_it_comes_near_the_t_test_over_seeds():
    generator = np.random.default_rng(4)
    old, new = (
        coins(40, 300, 0.5, generator),
        coins(40, 300, generator.normal(0.46, 0.08, (40, 1)), generator),
    )
    found = effect(runs(old), runs(new), seeded=True)
    difference = combine([found], pool([found]))
    by_seeds = ttest_1samp(new.mean(axis=1) - old.mean(axis=1), 0, alternative="less")
    assert -difference.value / difference.error == pytest.approx(-by_seeds.statistic, rel=0.15)


def test_the_spread_is_assumed_where_no_seed_was_repeated():
    found = effect(runs([[0, 1] * 50]), runs([[1, 1] * 50], 5), seeded=True)
    spread = pool([found])
    assert spread.measured == 0
    assert spread.variance == pytest.approx(paired.ASSUMED_SEED_DEVIATION**2)
    assert combine([found], spread).error > math.sqrt(found.item_variance)


def test_changed_cells_are_not_calmed_by_identical_ones():
    generator = np.random.default_rng(5)
    rows = coins(3, 100, 0.5, generator)
    still = effect(runs(rows), runs(rows), seeded=True)
    moving = effect(runs(rows), runs(coins(3, 100, 0.5, generator)), seeded=True)
    assert pool([still, moving]) == pool([moving])


@pytest.mark.parametrize("items", [1, 2, 40])
def test_scores_that_never_differ_do_not_look_certain(items):
    dropped = effect(runs([[1] * items]), runs([[0] * items]), seeded=True)
    difference = combine([dropped], pool([dropped]))
    assert difference.value == -1
    assert difference.error > 0
    assert math.isfinite(difference.degrees)
    assert (difference.p_drop < 0.01) == (items == 40)


def test_no_item_in_common_and_bad_scores_are_refused():
    with pytest.raises(ValueError, match="no item in common"):
        effect(runs([[1]]), {0: {"other": 1.0}}, seeded=True)
    with pytest.raises(ValueError, match="no item in common"):
        effect({}, runs([[1]]), seeded=True)
    for score in (float("nan"), -0.1, 1.5, float("inf")):
        with pytest.raises(ValueError, match="from 0 to 1"):
            effect(runs([[1]]), runs([[score]]), seeded=True)
    with pytest.raises(ValueError, match="at least one unit"):
        combine([], pool([]))


def test_only_shared_items_are_compared():
    old = {0: {"a": 1.0, "b": 0.0, "only old": 1.0}}
    new = {0: {"a": 1.0, "b": 1.0, "only new": 0.0}}
    found = effect(old, new, seeded=True)
    assert found.items == 2
    assert found.value == pytest.approx(0.5)


def test_averages_are_over_what_all_share():
    first = {0: {"a": 1.0, "b": 0.0}, 1: {"a": 1.0, "b": 1.0}}
    second = {0: {"a": 0.0, "b": 0.0, "c": 1.0}}
    assert average([first, second]) == {0: {"a": 0.5, "b": 0.0}}
    assert average([first]) == first


def test_smaller_drops_show_with_more_items_and_more_seeds():
    generator = np.random.default_rng(6)

    def detectable(seeds, items):
        found = effect(
            runs(coins(seeds, items, 0.5, generator)), runs(coins(seeds, items, 0.5, generator)), seeded=True
        )
        spread = paired.Spread(variance=0.02**2, degrees=20, measured=20)
        return combine([found], spread).detectable(0.05, 0.9)

    assert detectable(3, 1600) < detectable(3, 400) < detectable(3, 100)
    assert detectable(9, 400) < detectable(5, 400) < detectable(2, 400)


def test_what_would_settle_it():
    half = Difference(value=0, baseline=0.5, error=0.02, degrees=30, item_share=0.5)
    items, seeds = settled_by(half, 0.06, 0.025, 0.9)
    wanted = (0.06 / (1.95996 + 1.28155)) ** 2
    assert seeds == pytest.approx(0.0004 / wanted, rel=1e-4)
    assert items == pytest.approx(0.0002 / (wanted - 0.0002), rel=1e-4)
    assert settled_by(half, 0.01, 0.025, 0.9)[0] == math.inf


def aa(seeds, items, deviation, same, generator):
    """P values of a grid of 12 cells in which nothing changed."""
    found = []
    for _ in range(12):
        chances = generator.beta(0.8, 0.8, items)
        own = deviation * generator.choice([0.4, 1.0, 1.6])  # methods differ in how much seeds move them
        sides = [
            (generator.random((seeds, items)) < chances + generator.normal(0, own, (seeds, 1))).astype(float)
            for _ in range(2)
        ]
        found.append(effect(runs(sides[0]), runs(sides[1], 0 if same else 50), seeded=True))
    spread = pool(found)
    return [combine([one], spread).p_drop for one in found]


@pytest.mark.parametrize(("seeds", "same"), [(2, False), (3, True)])
@pytest.mark.parametrize("deviation", [0.0, 0.04])
def test_false_alarms_over_the_grid_stay_at_five_percent(seeds, same, deviation):
    generator = np.random.default_rng(7)
    grids = [aa(seeds, 50, deviation, same, generator) for _ in range(250)]
    alarms = np.mean([min(holm(p)) <= 0.05 for p in grids])
    assert alarms <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 250)
    assert np.mean(np.array(grids) <= 0.05) <= 0.055


def test_a_test_over_items_alone_would_cry_wolf():
    """Why the second level is there: with seeds that matter, items alone call far too often."""
    generator = np.random.default_rng(8)
    called = []
    for _ in range(300):
        sides = [coins(1, 200, 0.5 + generator.normal(0, 0.05), generator) for _ in range(2)]
        called.append(ttest_rel(sides[1][0], sides[0][0], alternative="less").pvalue <= 0.05)
    assert np.mean(called) > 0.15
