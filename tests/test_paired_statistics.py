"""Paired differences against scipy, against counting by hand, and against published examples."""

import json
import math
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from trainer.paired_statistics import (
    BCA_COVERAGE,
    UAR_COVERAGE,
    PairedRuns,
    holm,
    least_p,
    pair_clips,
    runs_needed,
    sign_flip_of_means,
)

VALUES = (0.012, -0.004, 0.021, 0.008, 0.015, 0.003)


def by_counting(values):
    """The share of all signs whose mean is at least as far from 0."""
    observed = abs(np.mean(values))
    means = [abs(np.mean(np.multiply(signs, values))) for signs in product([1, -1], repeat=len(values))]
    return np.mean([mean >= observed * (1 - 1e-9) for mean in means])


def test_the_t_interval_is_that_of_scipy():
    found = PairedRuns.of(VALUES)
    expected = stats.ttest_1samp(VALUES, 0).confidence_interval(0.95)
    assert found.t_interval == pytest.approx((expected.low, expected.high))
    assert (found.mean, found.std, found.num) == pytest.approx((np.mean(VALUES), np.std(VALUES, ddof=1), 6))


def test_the_bca_interval_is_that_of_its_formula():
    """Efron and Tibshirani 1993, eqs. 14.9 to 14.15, on all 6^6 resamples instead of random ones."""
    values = np.array([0.0013, 0.0107, 0.0222, 0.0419, 0.1003, 0.0318])
    means = np.array([np.mean(one) for one in product(values, repeat=6)])
    equal = np.isclose(means, values.mean())
    below = (np.sum((means < values.mean()) & ~equal) + np.sum(equal) / 2) / len(means)
    left_out = np.array([np.delete(values, n).mean() for n in range(6)])
    away = left_out.mean() - left_out
    speed = (away**3).sum() / (6 * (away**2).sum() ** 1.5)
    bias = stats.norm.ppf(below)
    ends = []
    for level in (0.025, 0.975):
        z = bias + stats.norm.ppf(level)
        ends.append(np.quantile(means, stats.norm.cdf(bias + z / (1 - speed * z))))
    assert PairedRuns.of(values).bca_interval == pytest.approx(ends, abs=0.002)


@pytest.mark.parametrize("values", [VALUES, (1.0, 1.0, 1.0), (0.0, 0.5, -0.5, 2.0), (0.1,), (0.0, 0.0)])
def test_the_sign_flip_test_counts_all_signs(values):
    assert sign_flip_of_means(np.array(values)) == pytest.approx(by_counting(values))


def test_three_pairs_never_reach_five_percent_and_six_do():
    assert [least_p(num) for num in (1, 3, 5, 6)] == [1.0, 0.25, 0.0625, 0.03125]
    for num in (3, 6, 13):
        assert PairedRuns.of([1.0 + n for n in range(num)]).p_value == pytest.approx(least_p(num))
    assert PairedRuns.of([1.0 + n for n in range(20)]).p_value == pytest.approx(least_p(20))


@pytest.mark.parametrize(("comparisons", "needed"), [(1, 6), (2, 7), (5, 8), (8, 9)])
def test_runs_needed_is_the_first_number_that_can_give_a_verdict(comparisons, needed):
    assert runs_needed(comparisons) == needed
    assert comparisons * least_p(needed) <= 0.05 < comparisons * least_p(needed - 1)


def test_holm_corrects_as_published():
    """The smallest p value times the number of tests, the next times one less, never below an earlier one."""
    assert holm([0.01, 0.02, 0.03, 0.005]) == pytest.approx((0.03, 0.04, 0.04, 0.02))
    assert holm([0.6, 0.5]) == (1.0, 1.0)
    assert holm([]) == ()


def test_equivalence_is_two_one_sided_t_tests():
    found = PairedRuns.of(VALUES)
    low = stats.ttest_1samp(VALUES, -0.02, alternative="greater").pvalue
    high = stats.ttest_1samp(VALUES, 0.02, alternative="less").pvalue
    assert found.equivalence_p(0.02) == pytest.approx(max(low, high))
    assert PairedRuns.of([0.0, 0.0]).equivalence_p(0.01) == 0.0
    assert PairedRuns.of([0.02, 0.02]).equivalence_p(0.01) == 1.0
    assert PairedRuns.of([0.0]).equivalence_p(0.01) == 1.0


def test_equal_differences_of_few_clips_are_no_certainty():
    """Six seeds without any difference on 20 clips: the rounding alone has a deviation of 1.4 points."""
    found = PairedRuns.of([0.0] * 6, resolution=1 / 20)
    assert found.equivalence_p(0.01) == pytest.approx(stats.t.sf(0.01 / (0.05 / math.sqrt(72)), 5))
    assert 0.05 < found.equivalence_p(0.01) < 0.2
    assert PairedRuns.of([0.0] * 6, resolution=1 / 2000).equivalence_p(0.01) < 1e-5


def test_differences_of_zero_cannot_help_to_a_small_p():
    found = PairedRuns.of([0.1, 0.2, 0.3, 0.4, 0.0, 0.0])
    assert (found.least_p, found.p_value) == (0.125, 0.125)


def test_without_a_differing_prediction_the_interval_is_not_empty():
    same = np.ones(60, int)
    found = pair_clips([same], [same], np.zeros(60, int), None, 1)
    assert found.war_interval == pytest.approx((-0.0602, 0.0602), abs=1e-3)
    assert (found.war, found.uar, found.num_rarest) == (0.0, 0.0, 60)


def test_one_pair_has_no_spread_and_no_interval():
    found = PairedRuns.of([0.03])
    assert (found.mean, found.std, found.t_interval, found.bca_interval) == (0.03, None, None, None)
    assert found.p_value == 1.0


def test_one_seed_is_mcnemars_test():
    first, second = np.array([1, 1, 0, 0, 0, 0, 0, 1]), np.array([1, 0, 1, 1, 1, 1, 1, 1])
    found = pair_clips([first], [second], np.zeros(8, int), None, 1)
    assert (found.won, found.lost, found.num_clips, found.num_groups) == (5, 1, 8, None)
    assert found.p_value == pytest.approx(stats.binomtest(5, 6).pvalue)
    assert found.test == "McNemar's exact test"


def test_clips_of_a_group_change_sign_together():
    """Two groups of four clips, all won: four kinds of signs, of which two are as far from 0."""
    first, second = np.zeros(8, int), np.ones(8, int)
    found = pair_clips([first], [second], np.zeros(8, int), np.repeat([0, 1], 4), 1)
    assert (found.num_groups, found.p_value) == (2, pytest.approx(0.5))
    assert found.test == "exact sign-flip test of groups"


def test_seeds_of_a_clip_are_summed():
    """A clip that one seed wins and one loses is no evidence."""
    seeds_first, seeds_second = [np.array([0, 0]), np.array([1, 0])], [np.array([1, 1]), np.array([0, 1])]
    found = pair_clips(seeds_first, seeds_second, np.array([0, 1]), None, 2)
    assert (found.won, found.lost, found.p_value) == (3, 1, 1.0)
    assert found.war_interval == pytest.approx((0.0, 1.0))


def test_the_interval_over_clips_is_that_of_a_binomial_difference():
    generator = np.random.default_rng(0)
    label_N = generator.integers(0, 2, 4000)
    first, second = generator.random((2, 4000)) < np.array([[0.6], [0.7]])
    found = pair_clips([first.astype(int)], [second.astype(int)], label_N, None, 2)
    net_N = second.astype(float) - first
    half = 1.96 * net_N.std() / math.sqrt(4000)
    assert found.war_interval == pytest.approx((net_N.mean() - half, net_N.mean() + half), abs=0.002)
    by_class = [net_N[label_N == label] for label in (0, 1)]
    centre = np.mean([one.mean() for one in by_class])
    half = 1.96 * math.sqrt(sum(one.var() / len(one) for one in by_class)) / 2
    assert found.uar_interval == pytest.approx((centre - half, centre + half), abs=0.002)


def test_a_single_group_has_no_interval():
    found = pair_clips([np.zeros(3, int)], [np.ones(3, int)], np.zeros(3, int), np.zeros(3, int), 1)
    assert (found.war_interval, found.uar_interval, found.p_value) == (None, None, 1.0)


def test_the_coverage_that_tables_print_is_the_recorded_one():
    recorded = json.loads((Path(__file__).parents[1] / "benchmarks/results/statistics.json").read_text())
    runs = {int(num): found["bca"] for num, found in recorded["coverage_over_runs"].items()}
    assert runs == BCA_COVERAGE
    clips = recorded["coverage_over_clips"]
    assert {6: clips["500 clips"]["uar"], 28: clips["2,340 clips"]["uar"]} == UAR_COVERAGE


def test_recorded_t_intervals_cover_and_verdicts_are_rarely_false():
    """The limits of the goal: 93% to 97%, and 5% plus two standard errors of 1,000 tables."""
    recorded = json.loads((Path(__file__).parents[1] / "benchmarks/results/statistics.json").read_text())
    assert all(0.93 <= found["t"] <= 0.97 for found in recorded["coverage_over_runs"].values())
    clips = [one for name, one in recorded["coverage_over_clips"].items() if name != "truth"]
    assert all(0.93 <= one["war"] <= 0.97 for one in clips)
    for one in recorded["false_verdicts"].values():
        assert max(one["tables_with_a_false_difference"], one["tables_with_a_false_equality"]) <= 0.064
