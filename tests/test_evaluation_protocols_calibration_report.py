import numpy as np
import pandas as pd
import pytest
from uci_folders import raw_table, write_raw

from mixup_tab.evaluation.protocols.calibration import CalibrationPlan
from mixup_tab.evaluation.protocols.calibration_report import (
    compare_pairs,
    report_calibration,
    summarize_calibration,
    table_errors,
)
from mixup_tab.evaluation.session import carry_out
from mixup_tab.metrics import calibration_bins, expected_calibration_error

GAPS = {"ERM": 0.2, "ERM tempered": 0.0, "mixup": -0.1}


def bins_of(gap, rows, seed):
    """Bins of a model that is too sure by the gap."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.6, 0.8, rows)
    wrong = rng.random(rows) >= confidence - gap
    return calibration_bins(wrong.astype(int), np.column_stack([confidence, 1 - confidence]))


@pytest.fixture(scope="module")
def fake():
    """Six tables of two folds, as the rows of a run."""
    results, parts = [], []
    for table in range(6):
        for method, gap in GAPS.items():
            for fold in range(2):
                key = {"dataset": f"t{table}", "method": method, "fold": fold}
                results.append({**key, "accuracy": 0.7 - gap, "log_loss": 0.5 + gap**2})
                parts.append(bins_of(gap, 300, 10 * table + fold).assign(**key))
    return pd.DataFrame(results), pd.concat(parts, ignore_index=True)


def test_the_folds_of_a_table_are_counted_together(fake):
    _, reliability = fake
    part = reliability[(reliability["dataset"] == "t2") & (reliability["method"] == "mixup")]
    errors = table_errors(reliability)
    assert errors.loc["t2", "mixup"] == pytest.approx(expected_calibration_error(part))
    assert errors.shape == (6, 3)


def test_summary_tells_error_interval_and_direction(fake):
    results, reliability = fake
    summary = summarize_calibration(results, reliability)
    assert summary.index.tolist() == list(GAPS)
    assert summary["tables"].tolist() == [6, 6, 6]
    assert summary["ECE"].tolist() == pytest.approx(table_errors(reliability).mean().tolist())
    assert summary["log-loss"].tolist() == pytest.approx([0.54, 0.5, 0.51])
    for method, gap in GAPS.items():
        told = summary.loc[method]
        assert told["too sure"] == pytest.approx(gap, abs=0.02)
        assert told["from"] <= told["ECE pooled"] <= told["to"]
        assert told["from"] - 0.01 <= abs(gap) <= told["to"] + 0.01


def test_pairs_that_were_run_are_compared(fake):
    pairs = compare_pairs(*fake)
    errors = pairs[pairs["metric"] == "ECE"].set_index(["method", "against"])
    assert set(errors.index) == {("mixup", "ERM"), ("ERM tempered", "ERM")}
    told = errors.loc[("ERM tempered", "ERM")]
    assert told[["tables", "better", "worse"]].tolist() == [6, 6, 0]
    expected = table_errors(fake[1])
    change = (expected["ERM tempered"] - expected["ERM"]).mean()
    assert told["change"] == pytest.approx(change)
    # Six of six: 2 / 2^6, twice as two pairs were tested.
    assert told["p (Holm)"] == pytest.approx(2 * 2 / 2**6)
    losses = pairs[pairs["metric"] == "log-loss"]
    assert losses["better"].tolist() == [6, 6]


def test_report_has_every_part(tmp_path):
    home = write_raw(tmp_path / "home", apples=raw_table(40))
    plan = CalibrationPlan.make(methods=["mixup rescaled", "ERM"], folds=2, data_home=home)
    session = carry_out(plan, output=tmp_path / "run")
    report = report_calibration(session)
    page = report.page.write(tmp_path).read_text(encoding="utf-8")
    for text in ("mixup rescaled", "apples: 40 rows, 3 classes", "Which change helps"):
        assert text in page
    assert {path.name for path in (tmp_path / "pictures").glob("*.svg")} == {
        "reliability-as-they-are.svg",
        "reliability-mixup-before-and-after.svg",
    }
    assert report.sentence.startswith("Calibration error (ECE) on 1 table: mixup below ERM on")
    assert [shown.title for shown in report.tables] == [
        "Calibration",
        "Which change helps, by ECE",
        "Which change helps, by log-loss",
    ]
