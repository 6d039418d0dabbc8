"""benchmarks/imbalance.py: which tables it takes, how it scores and repairs probabilities."""

import sys
from argparse import Namespace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from uci_folders import raw_table, write_raw

from mixup_tab import MixupClassifier

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ is not in an installed package", allow_module_level=True)
pytest.importorskip("imblearn", reason="imbalanced-learn is missing")
pytest.importorskip("scikit_posthocs", reason="scikit-posthocs is missing")
sys.path.append(str(BENCHMARKS))

import imbalance  # noqa: E402
import study  # noqa: E402

pytestmark = pytest.mark.slow  # the maintainers' studies


class Fixed:
    """Predicts what it is given."""

    classes_ = np.array([0, 1])

    def __init__(self, rare):
        self.rare = np.array(rare)

    def fit(self, X, y):
        return self

    def predict_proba(self, X):
        return np.column_stack([1 - self.rare, self.rare])


def score(method, rare, y_train, y_test):
    rows = imbalance.score(imbalance.Trial(method, Fixed(rare)), None, y_train, None, y_test)
    return {row["method"]: row for row in rows}


def test_a_moved_threshold_changes_decisions_alone():
    y_train, y_test = np.array([0] * 9 + [1]), np.array([0, 0, 0, 1])
    rows = score("mixup", [0.05, 0.04, 0.3, 0.2], y_train, y_test)
    default, moved = rows["mixup"], rows["mixup, threshold"]
    assert default["g_mean"] == 0
    assert moved["g_mean"] == pytest.approx((2 / 3) ** 0.5)  # 0.3 and 0.2 exceed one tenth
    assert moved["balanced_accuracy"] == pytest.approx(5 / 6)
    assert moved["log_loss"] == default["log_loss"]
    assert moved["auc"] == default["auc"] == pytest.approx(2 / 3)
    assert default["rare_ratio"] == pytest.approx(0.1475 / 0.25)


def test_a_correction_brings_probabilities_back_and_keeps_decisions():
    y_train, y_test = np.array([0] * 9 + [1]), np.array([0] * 9 + [1])
    # What balanced training says where the classes cannot be told apart.
    rows = score("SMOTE", [0.5] * 9 + [0.6], y_train, y_test)
    before, after = rows["SMOTE"], rows["SMOTE, corrected"]
    assert before["rare_ratio"] == pytest.approx(5.1)
    assert after["rare_ratio"] == pytest.approx(0.9 + 0.06 / (0.06 + 0.4 * 0.9))
    assert after["log_loss"] < before["log_loss"]
    assert after["g_mean"] == before["g_mean"] == 1
    assert after["auc"] == before["auc"] == 1


def test_tables_are_chosen_by_their_classes_alone(tmp_path):
    def table(*counts):
        labels = np.repeat(["a", "b", "c"][: len(counts)], counts)
        return raw_table(len(labels)).assign(target=labels)

    write_raw(
        tmp_path,
        rare=table(270, 30),
        same_rows=table(30, 270),
        even=table(150, 151),
        three_even=table(101, 101, 101),  # 33 % each
        a_tiny_class=table(250, 40, 12),
        small=table(150, 30),
    )
    tables = imbalance.imbalanced_tables(Namespace(data_home=tmp_path, datasets=None))
    assert set(tables) == {"rare", "a-tiny-class"}
    X, y = tables["a-tiny-class"]
    assert (len(X), y.tolist()) == (290, [0] * 250 + [1] * 40)


def test_the_study(tmp_path, monkeypatch):
    frame = raw_table(240, classes=2, seed=1)
    frame["target"] = np.where(np.arange(240) % 8, "a", "b")
    frame["size"] = (frame["target"] == "b") + 0.5 * np.random.default_rng(0).normal(size=240)
    write_raw(tmp_path, rare=frame)
    options = [f"--data-home={tmp_path}", f"--output={tmp_path / 'out'}", "--jobs=1"]
    options += ["--folds=2", "--methods=SMOTE,VicinalSampler"]
    monkeypatch.setattr(sys, "argv", ["imbalance.py", *options])
    monkeypatch.setattr(imbalance, "MixupClassifier", partial(MixupClassifier, max_epochs=20))
    study.start(imbalance.main)
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    assert not results["failed"].any(), results["why"].unique()
    ratios = results.groupby("method")["rare_ratio"].mean()
    assert ratios["VicinalSampler"] > 1.3  # it learns that classes are equally frequent
    for name in ("SMOTE", "VicinalSampler"):
        assert ratios[name] > ratios[f"{name}, corrected"]
    text = (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    assert "| plain training, threshold | " in text
    assert "Δ log-loss" in text
