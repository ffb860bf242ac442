"""Intervals by resampling: how often they hold the truth on samples of known distributions; p values."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from kinema.evaluation.yardsticks import bootstrap, frechet

NUMBERS = st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30)


def coverage(found: list[tuple[float, float]], truth: float) -> float:
    return float(np.mean([low <= truth <= high for low, high in found]))


@pytest.mark.parametrize("num", [6, 25])
def test_the_interval_of_a_mean_holds_it_in_95_of_100_samples(num):
    generator = np.random.default_rng(0)
    found = [bootstrap.mean_interval(sample) for sample in generator.normal(3, 2, (400, num))]
    assert 0.91 <= coverage(found, 3.0) <= 0.985


def test_the_interval_of_a_distance_holds_what_is_expected_at_that_number_of_clips():
    """Plain quantiles of a bootstrap would lie above it: resampling repeats clips, and the distance grows again."""
    generator = np.random.default_rng(1)
    reference = frechet.FittedGaussian.of_moments(np.zeros(4), np.eye(4), 9)

    def distance(x):
        return frechet.distance(frechet.FittedGaussian.of(x, True), reference)

    samples = generator.normal(0.3, 1.2, (120, 24, 4))
    truth = float(np.mean([distance(x) for x in generator.normal(0.3, 1.2, (2000, 24, 4))]))
    found = [bootstrap.interval(distance(x), lambda picks, x=x: distance(x[picks]), 24, 60) for x in samples]
    assert coverage(found, truth) >= 0.86
    shifted = [
        np.mean([distance(x[picks]) for picks in bootstrap._picks(24, 60, bootstrap._generator())]) for x in samples
    ]
    assert np.mean(shifted) > truth + np.std(shifted) * 0.5, "the shift is there to be removed"


@settings(max_examples=40, deadline=None)
@given(NUMBERS)
def test_an_interval_is_the_same_again_and_moves_with_its_values(values):
    low, high = bootstrap.mean_interval(values)
    assert (low, high) == bootstrap.mean_interval(values)
    assert min(values) - 1e-6 <= low <= high <= max(values) + 1e-6
    moved = bootstrap.mean_interval([value + 8 for value in values])
    assert moved == pytest.approx((low + 8, high + 8), abs=1e-6)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=8))
def test_the_p_value_of_few_pairs_is_that_of_all_signs(deltas):
    x = np.array(deltas)
    found = bootstrap.difference_of_means(x, np.zeros(len(x)), paired=True)
    means = [abs(np.dot(signs, x)) for signs in itertools.product((1, -1), repeat=len(x))]
    assert found.p == pytest.approx(np.mean([each >= abs(x.sum()) * (1 - 1e-12) for each in means]), abs=1e-12)
    swapped = bootstrap.difference_of_means(np.zeros(len(x)), x, paired=True)
    assert swapped.value == -found.value and swapped.p == found.p


def test_many_pairs_are_as_sure_as_a_t_test():
    generator = np.random.default_rng(2)
    clip = generator.normal(0, 5, 40)  # what clips share is larger than the difference
    a, b = clip + generator.normal(0.4, 1, 40), clip + generator.normal(0, 1, 40)
    paired, unpaired = (bootstrap.difference_of_means(a, b, paired) for paired in (True, False))
    assert paired.p == pytest.approx(scipy.stats.ttest_rel(a, b).pvalue, abs=0.01)
    assert unpaired.p == pytest.approx(scipy.stats.ttest_ind(a, b).pvalue, abs=0.03)
    assert paired.is_real and not unpaired.is_real
    assert paired.low > 0 > unpaired.low and paired.num_pairs == 40 and unpaired.num_pairs == 0


def test_chance_alone_is_called_real_in_5_of_100_comparisons():
    generator = np.random.default_rng(3)
    samples = generator.normal(size=(300, 2, 10))
    share = np.mean([bootstrap.difference_of_means(a, b, paired=True).is_real for a, b in samples])
    assert 0.02 <= share <= 0.08


def test_values_that_were_not_measured_are_left_out():
    a, b = [1.0, float("nan"), 3.0, 4.0], [0.5, 1.0, float("nan"), 3.0]
    found = bootstrap.difference_of_means(a, b, paired=True)
    assert found.num_pairs == 2 and found.value == 0.75
    assert bootstrap.mean_interval([1.0, float("nan")]) is None
    assert bootstrap.difference_of_means([1.0], [2.0], paired=False) is None
    with pytest.raises(ValueError, match="no pairs"):
        bootstrap.difference_of_means([1.0], [2.0, 3.0], paired=True)


@pytest.mark.parametrize("paired", [True, False])
def test_the_difference_of_two_sets_is_found_and_not_invented(paired):
    generator = np.random.default_rng(4)
    reference = frechet.FittedGaussian.of(generator.normal(size=(200, 5)), True)
    a, same = generator.normal(size=(2, 30, 5))
    for b, real in ((same, False), (a + generator.normal(0.8, 0.1, a.shape), True)):
        pool = np.concatenate([a, b])

        def statistic(picks, pool=pool):
            return frechet.distance(frechet.FittedGaussian.of(pool[picks], True), reference)

        found = bootstrap.difference(statistic, 30, 30, paired)
        assert found.is_real == real, found
        assert (found.high < 0) == real
        assert found.value == pytest.approx(statistic(np.arange(30)) - statistic(np.arange(30, 60)))


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 9, 40])
def test_the_quantile_of_t(freedom):
    assert bootstrap.t_quantile(0.975, freedom) == pytest.approx(scipy.stats.t.ppf(0.975, freedom), rel=2e-3)
