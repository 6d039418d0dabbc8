from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from uci_folders import write_delgado

from mixup_tab.datasets import fetch_delgado, published_accuracies
from mixup_tab.evaluation.protocols.delgado import DelgadoPlan
from mixup_tab.evaluation.protocols.delgado_report import (
    beside_published,
    report_delgado,
    summarize_delgado,
)
from mixup_tab.evaluation.session import carry_out

SHARED = Path(__file__).parents[2] / "shared" / "uci"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return write_delgado(tmp_path_factory.mktemp("home"), "iris", "wine")


@pytest.fixture(scope="module")
def session(home, tmp_path_factory):
    plan = DelgadoPlan.make(methods=["MixupClassifier", "ERM"], data_home=home)
    return carry_out(plan, output=tmp_path_factory.mktemp("run"))


def test_folds_are_those_of_the_study(home):
    plan = DelgadoPlan.make(["iris"], ["ERM"], data_home=home)
    folds = fetch_delgado("iris", data_home=home).folds
    for task, (train, test) in zip(plan.tasks(), folds, strict=True):
        trial = plan.prepare(task)
        assert np.array_equal(trial.train, train)
        assert np.array_equal(trial.test, test)
        assert not set(train) & set(test)


def test_defaults_are_one_cheap_fit_and_the_best_effort(home):
    plan = DelgadoPlan.make(data_home=home)
    assert {task.method for task in plan.tasks()} == {"MixupClassifier", "best effort"}
    assert {task.dataset for task in plan.tasks()} == {"iris", "wine"}


def test_ours_are_ranked_alone_among_the_published():
    scores = pd.DataFrame(
        {"ours": [90.0, 80.0], "ours2": [91.0, 70.0], "x": [90.0, 60.0], "y": [95.0, np.nan]},
        index=["s", "t"],
    )
    summary = summarize_delgado(scores, ["ours", "ours2"])
    assert summary.loc["ours", "average rank"] == (2.5 + 1) / 2
    assert summary.loc["ours2", "average rank"] == (2 + 1) / 2
    assert summary.loc["x", "average rank"] == (2 + 1) / 2
    assert summary.loc["y", "average rank"] == (1 + 2) / 2
    assert summary.loc["y", "mean accuracy %"] == 95
    assert summary.loc["ours2", "PMA"] == pytest.approx((100 * 91 / 95 + 100 * 70 / 80) / 2)
    assert summary.loc["ours2", "P90"] == 50


def test_accuracies_are_means_over_folds_in_percent(session):
    scores = beside_published(session.results, published_accuracies())
    rows = session.results.query("dataset == 'wine' and method == 'ERM'")
    assert scores.loc["wine", "ERM"] == pytest.approx(100 * rows["accuracy"].mean())
    assert scores.shape == (2, 2 + 179)


def test_report_has_every_part(session, tmp_path):
    report = report_delgado(session)
    page = report.page.write(tmp_path).read_text(encoding="utf-8")
    for text in ("parRF_caret", "iris: 40 rows, 2 classes", "place of MixupClassifier"):
        assert text in page
    assert (tmp_path / "pictures" / "critical-difference.png").exists()
    assert "beside 179 published classifiers" in report.sentence


def test_sets_that_are_not_published_are_reported_alone(tmp_path):
    home = write_delgado(tmp_path / "home", "mine")
    plan = DelgadoPlan.make(methods=["ERM"], data_home=home)
    session = carry_out(plan, output=tmp_path / "run")
    report = report_delgado(session)
    assert report.sentence.startswith("Nothing is published of these sets")
    shown = report.tables[0].frame.loc["ERM", "mean accuracy %"]
    assert shown == pytest.approx(100 * session.results["accuracy"].mean())


def test_figures_of_the_published_are_those_known():
    """Best published on the small sets: RF 84.50 with rank 32.7."""
    if not SHARED.is_dir():
        pytest.skip("the folder of UCI sets is not there")
    names = pd.read_csv(SHARED / "small_sets.csv")["name"]
    published = published_accuracies().reindex(names)
    ours = pd.Series(0.0, names, name="ours")
    summary = summarize_delgado(pd.concat([ours, published], axis=1), ["ours"])
    assert summary.loc["rf_caret", "mean accuracy %"] == pytest.approx(84.50, abs=0.01)
    assert summary.loc["rf_caret", "average rank"] == pytest.approx(32.73, abs=0.01)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"methods": ["RandomForest"]}, "methods='RandomForest' not known here. Known: Mixup"),
        ({"datasets": ["moon"]}, "datasets=moon not in"),
        ({"seed": 2**31}, "seed must lie in"),
    ],
)
def test_bad_options_are_found_before_training(home, options, message):
    with pytest.raises(ValueError, match=message):
        DelgadoPlan.make(**{"data_home": home, **options})


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match="there is no data set in"):
        DelgadoPlan.make(data_home=tmp_path)
