import numpy as np
import pytest
from scipy import stats

from mixup_tab.evaluation.statistics import resampled_interval, resampled_test


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


def test_p_value_and_interval_agree():
    rng = np.random.default_rng(3)
    for _ in range(20):
        differences = rng.normal(0.7, 1, 10)
        interval = resampled_interval(differences, test_share=0.25)
        p = resampled_test(differences, test_share=0.25)
        assert (p < 0.05) == (interval.low > 0 or interval.high < 0)


def test_p_value_without_shared_rows_is_that_of_the_plain_t_test():
    differences = np.random.default_rng(4).normal(0.3, 1, 12)
    p = resampled_test(differences, test_share=1e-12)
    assert p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)


def test_p_value_of_differences_that_are_all_the_same():
    assert resampled_test([0.0, 0.0], test_share=0.25) == 1
    assert resampled_test([0.5, 0.5], test_share=0.25) == 0
    assert np.isnan(resampled_test([0.5], test_share=0.25))
