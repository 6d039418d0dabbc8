import numpy as np
import pytest
from scipy import stats

from mixup_tab.evaluation.statistics import resampled_interval


def test_agrees_with_the_formula_of_nadeau_and_bengio():
    scores = np.random.default_rng(0).normal(3, 2, 12)
    interval = resampled_interval(scores, test_share=0.2)
    error = np.sqrt((1 / 12 + 0.2 / 0.8) * scores.var(ddof=1))
    low, high = stats.t.interval(0.95, 11, loc=scores.mean(), scale=error)
    assert interval == pytest.approx((scores.mean(), low, high))


def test_is_wider_than_the_plain_t_interval():
    scores = np.random.default_rng(1).normal(size=10)
    plain = stats.ttest_1samp(scores, 0).confidence_interval()
    interval = resampled_interval(scores, test_share=0.25)
    assert interval.low < plain.low < plain.high < interval.high


def test_one_score_says_nothing_about_the_spread():
    assert resampled_interval(np.array([0.5]), test_share=0.25) == (0.5, -np.inf, np.inf)


def test_covers_the_true_difference_of_two_methods_that_are_the_same():
    # Repeated 75/25 splits of one sample of 80; the quantity is the mean of the test part.
    rng = np.random.default_rng(2)
    covered = []
    for _ in range(300):
        sample = rng.normal(size=80)
        means = [rng.permutation(sample)[:20].mean() for _ in range(10)]
        interval = resampled_interval(np.array(means), test_share=0.25)
        covered.append(interval.low <= 0 <= interval.high)
    assert 0.9 <= np.mean(covered) <= 1
