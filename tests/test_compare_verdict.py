import numpy as np
import pandas as pd
import pytest

from mixup_tab.compare.verdict import differences, judge, signed, summarize
from mixup_tab.metrics import resampled_interval


def results(erm, mixup, score="error", alphas=None):
    """Scores of splits, in two folds per repeat."""
    rows = []
    for split, pair in enumerate(zip(erm, mixup, strict=True)):
        for method, value, alpha in zip(
            ("ERM", "mixup"), pair, (0.0, (alphas or [0.3] * len(erm))[split]), strict=True
        ):
            rows.append(
                {
                    "repeat": split // 2,
                    "fold": split % 2,
                    "method": method,
                    "alpha": alpha,
                    score: value,
                    "fit_seconds": 1.0,
                }
            )
    return pd.DataFrame(rows)


ERM = [0.12, 0.13, 0.12, 0.126]


def test_helps():
    verdict = judge(results(ERM, [0.109, 0.116, 0.108, 0.113]), 0.2)
    assert verdict.word == "helps"
    assert verdict.sentence == (
        "mixup at α ≈ 0.3 lowers the error from 12.4 % to 11.2 %; difference −1.2 points, "
        "95 % interval −1.5 to −1.0: it helps."
    )


def test_harms():
    verdict = judge(results(ERM, [0.131, 0.144, 0.132, 0.139]), 0.2)
    assert verdict.word == "harms"
    assert "raises the error from 12.4 % to 13.7 %" in verdict.sentence
    assert verdict.sentence.endswith("95 % interval 1.0 to 1.5: it harms.")


def test_no_difference():
    verdict = judge(results(ERM, [0.13, 0.12, 0.126, 0.12]), 0.2)
    assert verdict.word == "unclear"
    assert verdict.sentence.startswith(
        "No difference can be shown: mixup at α ≈ 0.3 has an error of 12.4 %, plain training "
        "12.4 %; difference "
    )


def test_the_same_error_everywhere_is_no_difference():
    verdict = judge(results([0.0, 0.0], [0.0, 0.0]), 0.2)
    assert verdict.word == "unclear"
    assert "difference 0.00 points, 95 % interval 0.00 to 0.00" in verdict.sentence


@pytest.mark.parametrize("scale", [1, 1e-6, 1e6])
def test_regression_is_told_in_parts_of_plain_training(scale):
    erm, mixup = scale * np.array([2.0, 2.2, 2.1, 1.9]), scale * np.array([1.8, 2.0, 1.92, 1.7])
    verdict = judge(results(erm, mixup, "rmse"), 0.2)
    expected = resampled_interval((mixup - erm) / erm.mean(), 0.2)
    np.testing.assert_allclose(verdict.difference, expected)
    assert f"the RMSE from {2.05 * scale:.4g} to {1.855 * scale:.4g}" in verdict.sentence
    assert "difference −9.5 %, 95 % interval −10.6 to −8.4 %: it helps." in verdict.sentence


def test_alpha_is_the_one_that_was_chosen_most_often():
    assert judge(results(ERM, ERM, alphas=[1.0, 0.1, 1.0, 0.3]), 0.2).alpha == 1.0
    assert judge(results(ERM, ERM, alphas=[1.0, 0.1, 1.0, 0.1]), 0.2).alpha == 0.1


def test_differences_are_paired_whatever_the_order():
    frame = results(ERM, [0.1, 0.2, 0.3, 0.4])
    shuffled = frame.sample(frac=1, random_state=0)
    expected = np.array([0.1, 0.2, 0.3, 0.4]) - ERM
    np.testing.assert_allclose(differences(shuffled, "error"), expected)


def test_summary():
    frame = results(ERM, [0.1, 0.2, 0.3, 0.4])
    summary = summarize(frame, ["error"], 0.2)
    interval = resampled_interval(np.array([0.1, 0.2, 0.3, 0.4]) - ERM, 0.2)
    assert list(summary.index) == ["ERM", "mixup"]
    assert summary.loc["mixup", "error"] == pytest.approx(0.25)
    ends = summary.loc["mixup", ["error_diff", "error_diff_low", "error_diff_high"]]
    np.testing.assert_allclose(ends, interval)
    assert summary.loc["ERM", "error_diff_high"] == 0


def test_signed():
    assert [signed(value, 1) for value in (-1.26, 1.26, -0.01, 0.01)] == [
        "−1.3",
        "1.3",
        "0.0",
        "0.0",
    ]
