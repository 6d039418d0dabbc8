import numpy as np
import pandas as pd
import pytest

from mixup_tab.evaluation.robustness.pictures import draw_attacks, draw_curves
from mixup_tab.evaluation.robustness.report import (
    attack_table,
    corruption_table,
    summarize_attacks,
    summarize_corruption,
    verdict,
)
from mixup_tab.metrics import resampled_interval

LAST = {"ERM": [0.30, 0.34, 0.32], "dropout 0.5": [0.1, 0.3, 0.2], "mixup": [0.2, 0.22, 0.21]}
CLEAN = {"ERM": [0.02, 0.03, 0.04], "mixup α=1": [0.03, 0.05, 0.04]}
WORSE = {"ERM": [0.5, 0.6, 0.4], "mixup α=1": [0.2, 0.29, 0.11]}


@pytest.fixture
def frames():
    corruption = [
        {
            "dataset": "digits",
            "rate": 0.2,
            "method": method,
            "repeat": repeat,
            "last_test_error": error,
            "best_test_error": error / 2,
            "train_error_real": 0.01,
            "train_error_corrupted": 0.9,
        }
        for method, errors in LAST.items()
        for repeat, error in enumerate(errors)
    ]
    curves = [
        {**{k: row[k] for k in ("dataset", "rate", "method", "repeat")}, "epoch": e}
        | {"test_error": row["last_test_error"] / e}
        for row in corruption
        for e in (1, 2)
    ]
    adversarial = [
        {"dataset": "digits", "box": box, "attack": "fgsm", "eps": eps, "method": method}
        | {"repeat": r, "clean_error": CLEAN[method][r], "adversarial_error": WORSE[method][r]}
        for box in ("white", "black")
        for eps in (0.1, 0.2)
        for method in WORSE
        for r in range(3)
    ]
    rows = {"corruption": corruption, "curves": curves, "adversarial": adversarial}
    return {name: pd.DataFrame(some) for name, some in rows.items()}


def test_differences_are_paired_by_split(frames):
    summary = summarize_corruption(frames["corruption"]).set_index("method")
    pairs = 100 * (np.array(LAST["mixup"]) - LAST["dropout 0.5"])
    ends = summary.loc["dropout 0.5", ["difference", "low", "high"]]
    np.testing.assert_allclose(ends.astype(float), resampled_interval(pairs, 0.25))
    assert summary.loc["mixup", "last %"] == pytest.approx(21)
    assert summary.loc["ERM", "best %"] == pytest.approx(16)
    assert np.isnan(summary.loc["mixup", "difference"])


def test_clean_errors_stand_beside_those_under_attack(frames):
    summary = summarize_attacks(frames["adversarial"])
    clean = summary[summary["box"] == "none"].set_index("method")
    assert clean["error %"].to_dict() == pytest.approx({"ERM": 3, "mixup α=1": 4})
    white = summary[(summary["box"] == "white") & (summary["eps"] == 0.1)].set_index("method")
    pairs = 100 * (np.array(WORSE["mixup α=1"]) - WORSE["ERM"])
    ends = white.loc["mixup α=1", ["difference", "low", "high"]]
    np.testing.assert_allclose(ends.astype(float), resampled_interval(pairs, 0.25))
    table = attack_table(summary)
    assert table["eps"].tolist() == [0, 0.1, 0.2, 0.1, 0.2]
    assert table["ERM %"].tolist() == pytest.approx([3, 50, 50, 50, 50])
    half = ends["high"] - ends["difference"]
    assert table["α=1 − ERM"][1] == f"-30.0 ± {half:.1f}"


def test_a_claim_that_cannot_be_shown_is_not_said_to_hold(frames):
    corruption = summarize_corruption(frames["corruption"])
    first, white, black = verdict(corruption, summarize_attacks(frames["adversarial"]))
    assert "is lower than that of ERM; the interval" in first
    assert "below 0 for ERM, above for none." in first
    assert "white box: mixup α=1 has a lower error than ERM for 2 of 2" in white
    assert "below 0 for 2, above for 0. Clean error minus that of ERM: +1.0 ± " in white
    assert "black box" in black


def test_a_method_is_not_compared_with_itself(frames):
    table = corruption_table(summarize_corruption(frames["corruption"])).set_index("method")
    assert table.loc["mixup", "mixup − it"] == ""
    assert table.loc["ERM", "mixup − it"].startswith("-11.0 ± ")


def test_pictures_show_the_means(frames):
    (ax,) = draw_curves(frames["curves"]).axes
    lines = {line.get_label(): line for line in ax.lines}
    assert list(lines) == list(LAST)
    assert lines["ERM"].get_ydata() == pytest.approx([32, 16])
    white, black = draw_attacks(summarize_attacks(frames["adversarial"])).axes
    assert white.lines[1].get_xdata().tolist() == [0, 0.1, 0.2]
    assert white.lines[1].get_ydata() == pytest.approx([4, 20, 20])
    assert len(black.lines) == 2
