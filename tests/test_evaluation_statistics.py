import numpy as np
import pytest
from scipy import stats

from mixup_tab.evaluation.statistics import resampled_interval, resampled_test


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
