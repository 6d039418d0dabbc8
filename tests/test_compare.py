"""From a task to an answer: fits, verdict, report, saved models."""

import io
import os
import sys
from functools import partial
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose
from sklearn.dummy import DummyClassifier
from sklearn.metrics import accuracy_score, log_loss, root_mean_squared_error
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedGroupKFold,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.pipeline import make_pipeline

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
    TableEncoder,
)
from mixup_tab._terminal import make_console
from mixup_tab.compare import fitting
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.comparison import Experiment, compare_table, set_up
from mixup_tab.compare.fitting import (
    ENSEMBLE,
    HISTOGRAM,
    LIGHTGBM,
    MIXUP,
    PLAIN,
    Setting,
    SplitResult,
    best_alpha,
    fit_split,
    fit_splits,
    installed_boosting,
    make_boosting,
    make_net,
    probabilities,
    search_alpha,
)
from mixup_tab.compare.folds import Split, make_splits
from mixup_tab.compare.predict import predict_file
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.report import (
    difference_figure,
    readable_summary,
    summary_table,
    write_report,
)
from mixup_tab.compare.saving import load_model, save_model
from mixup_tab.compare.task import Task, prepare
from mixup_tab.compare.verdict import (
    describe,
    describe_all,
    differences,
    judge,
    most_chosen,
    signed,
    summarize,
)
from mixup_tab.displays import ReliabilityDisplay
from mixup_tab.metrics import (
    calibration_bins,
    expected_calibration_error,
    pool_bins,
    resampled_interval,
)

# What every net of this file is, to be quick.
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "n_estimators": 1}
Classifier, Regressor = partial(MixupClassifier, **SMALL), partial(MixupRegressor, **SMALL)
METHODS = [PLAIN, MIXUP, HISTOGRAM]
SCORES = {"classification": ("error", "log_loss", "brier", "ece"), "regression": ("rmse", "r2")}


@pytest.fixture(autouse=True, scope="module")
def small_nets():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "MixupClassifier", Classifier)
        patch.setattr(fitting, "MixupRegressor", Regressor)
        for kind in (MixupEnsembleClassifier, MixupEnsembleRegressor):
            few = [{"hidden_layer_sizes": (4,), "max_epochs": 2}] * 2
            patch.setattr(fitting, kind.__name__, partial(kind, candidates=few, cv=2))
        yield


# -------------------------------------------------------------------------------- fitting

SETTING = Setting((0.1, 1.0), seed=5)


def table(rows=80):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=rows),
            "color": rng.choice(["red", "green", None], rows),
            "day": pd.date_range("2024-01-01", periods=rows),
        }
    )
    frame["price"] = frame["size"] + 0.5 * rng.normal(size=rows)
    frame["bought"] = np.where(frame["price"] > 0, "yes", "no")
    frame.loc[::9, "size"] = np.nan
    return frame


@pytest.fixture(scope="module")
def classes():
    return prepare(table(), Columns("bought", drop=("price",)))


@pytest.fixture(scope="module")
def split(classes):
    return make_splits(classes, 2, 1, seed=0)[0]


@pytest.fixture(scope="module")
def result(classes, split):
    return fit_split(classes, split, SETTING)


def by_hand(task, split, final):
    """Fit the final step behind encoded columns on the training rows."""
    pipeline = make_pipeline(TableEncoder(random_state=5), final)
    return pipeline.fit(task.X.iloc[split.train], task.y[split.train])


def test_methods_score_as_fits_by_hand_do(classes, split, result):
    rows = pd.DataFrame(result.rows).set_index("method")
    assert list(rows.index) == list(result.bins) == METHODS
    y, X = classes.y[split.test], classes.X.iloc[split.test]
    for name in (PLAIN, MIXUP):
        net = Classifier(rows.loc[name, "alpha"], device="cpu", random_state=5)
        proba = by_hand(classes, split, net).predict_proba(X)
        assert rows.loc[name, "error"] == pytest.approx(1 - accuracy_score(y, proba.argmax(1)))
        assert_allclose(rows.loc[name, "log_loss"], log_loss(y, proba), rtol=1e-4)
    assert rows.loc[PLAIN, "alpha"] == 0
    assert rows.loc[MIXUP, "alpha"] == max((0.1, 1.0), key=result.curve.get)
    assert (rows["n_train"] == len(split.train)).all()
    assert all(bins["count"].sum() == len(split.test) for bins in result.bins.values())


def test_the_search_scores_like_grid_search(classes, split, result):
    train = classes.take(split.train)
    net = Classifier(device="cpu", random_state=5)
    pipeline = make_pipeline(TableEncoder(random_state=5), net)
    search = GridSearchCV(
        pipeline,
        {"mixupclassifier__alpha": [0.0, 0.1, 1.0]},
        scoring="neg_log_loss",
        cv=StratifiedKFold(3, shuffle=True, random_state=5),
        refit=False,
    ).fit(train.X, train.y)
    assert list(result.curve) == [0.0, 0.1, 1.0]
    assert_allclose(
        list(result.curve.values()), search.cv_results_["mean_test_score"], rtol=1e-3
    )


def test_regression():
    task = prepare(table(), Columns("price", drop=("bought",)))
    split = make_splits(task, 2, 1, seed=0)[0]
    result = fit_split(task, split, SETTING)
    rows = pd.DataFrame(result.rows).set_index("method")
    net = by_hand(task, split, Regressor(0.0, device="cpu", random_state=5))
    predicted = net.predict(task.X.iloc[split.test])
    expected = root_mean_squared_error(task.y[split.test], predicted)
    assert_allclose(rows.loc[PLAIN, "rmse"], expected, rtol=1e-4)
    assert (rows["r2"] < 1).all()
    assert not result.bins


def test_an_ensemble_is_scored_on_the_same_rows(classes, split, result):
    rows = fit_split(classes, split, SETTING._replace(best=True)).rows
    frame = pd.DataFrame(rows).set_index("method")
    assert list(frame.index) == [PLAIN, MIXUP, ENSEMBLE, HISTOGRAM]
    ensemble = fitting.MixupEnsembleClassifier(device="cpu", random_state=5)
    fitted = by_hand(classes, split, ensemble)
    proba = fitted.predict_proba(classes.X.iloc[split.test])
    assert_allclose(
        frame.loc[ENSEMBLE, "log_loss"], log_loss(classes.y[split.test], proba), rtol=1e-4
    )
    # The columns of results.csv are always the same, and so are the other rows.
    others = frame.drop(ENSEMBLE).drop(columns="fit_seconds")
    before = pd.DataFrame(result.rows).set_index("method").drop(columns="fit_seconds")
    pd.testing.assert_frame_equal(others, before)


def test_the_boosting_that_is_there(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightgbm", None)  # so importing it fails
    assert installed_boosting() == HISTOGRAM
    assert set_up(frame(), Columns("y")).setting.boosting == HISTOGRAM


@pytest.mark.parametrize("target", ["bought", "price"])
def test_lightgbm_has_its_defaults_and_takes_any_names(target):
    lightgbm = pytest.importorskip("lightgbm")
    assert installed_boosting() == LIGHTGBM
    others = tuple({"bought", "price"} - {target})
    frame = table().rename(columns={"size": "size [cm]: {a,b}", "color": "size_[cm]: {a,b}"})
    task = prepare(frame, Columns(target, drop=others))
    boosting = make_boosting(task, SETTING._replace(boosting=LIGHTGBM))
    boosting.fit(task.X, task.y)
    model = boosting[-1]
    assert model.booster_.pandas_categorical  # categories are seen as such
    own = {"deterministic", "force_row_wise", "n_jobs", "random_state", "verbose"}
    known = {k: v for k, v in model.get_params().items() if k not in own}
    assert known == {k: v for k, v in type(model)().get_params().items() if k in known}
    assert isinstance(model, lightgbm.LGBMModel)
    again = make_boosting(task, SETTING._replace(boosting=LIGHTGBM)).fit(task.X, task.y)
    assert (again.predict(task.X) == boosting.predict(task.X)).all()


@pytest.mark.slow
def test_the_same_seed_gives_the_same_result_in_processes(monkeypatch):
    monkeypatch.setattr(fitting, "MixupClassifier", MixupClassifier)  # as in other processes
    task = prepare(table(40)[["size", "bought"]], Columns("bought"))
    splits, setting = make_splits(task, 2, 1, seed=0)[:1], Setting((1.0,), seed=5)
    (here,) = fit_splits(task, splits, setting)
    (apart,) = fit_splits(task, splits, setting, n_jobs=2)
    left, right = (
        pd.DataFrame(result.rows).drop(columns="fit_seconds") for result in (here, apart)
    )
    pd.testing.assert_frame_equal(left, right)


def test_inner_folds_keep_groups_apart_and_time_in_order(monkeypatch):
    seen = []
    for kind in (StratifiedGroupKFold, TimeSeriesSplit):

        def split(self, X, y=None, groups=None, before=kind.split):
            for train, test in before(self, X, y, groups):
                seen.append((train, test))
                yield train, test

        monkeypatch.setattr(kind, "split", split)
    frame = table().assign(shop=np.arange(80) // 8)[["size", "bought", "shop", "day"]]
    for columns in (
        Columns("bought", drop=("day",), groups="shop"),
        Columns("bought", drop=("shop",), time="day"),
    ):
        seen.clear()
        task = prepare(frame, columns)
        curve = search_alpha(task, make_net(task, SETTING), (1.0,), seed=0)
        assert np.isfinite(curve[1.0])
        assert len(seen) == 3
        for train, test in seen:
            if task.in_order:
                assert train.max() < test.min()
            else:
                assert not set(task.groups[train]) & set(task.groups[test])


@pytest.mark.filterwarnings("ignore:The least populated", "ignore:One or more of the test sco")
@pytest.mark.parametrize(("first", "time"), [(70, "day"), (79, None)])
def test_folds_that_lack_a_class_do_not_stop_the_choice(first, time):
    y = np.arange(80) % 2
    y[first:] = 2
    frame = table()[["size", "day"]].assign(y=y)
    columns = Columns("y", time=time, drop=() if time else ("day",))
    task = prepare(frame, columns, "classification")
    curve = search_alpha(task, make_net(task, SETTING), (0.1, 1.0), seed=0)
    assert np.isfinite(list(curve.values())).all()
    assert curve[0.1] != curve[1.0]


class FailsOnce(MixupClassifier):
    """Does not get through the first of the folds with one value of alpha."""

    failed: ClassVar[list] = []

    def fit(self, X, y, sample_weight=None):
        if self.alpha == 0.1 and not self.failed:
            self.failed.append(1)
            raise RuntimeError("not this fold")
        return super().fit(X, y, sample_weight)


@pytest.mark.filterwarnings("ignore:(?s).*1 fits failed", "ignore:One or more of the test sco")
def test_an_alpha_that_fails_on_a_fold_is_not_judged_by_the_others():
    task = prepare(table()[["size", "price", "bought"]], Columns("bought"))
    net = make_net(task, SETTING)
    last = FailsOnce(max_epochs=1, n_estimators=1, random_state=0)
    net.steps[-1] = (net.steps[-1][0], last)
    curve = search_alpha(task, net, (0.1, 1.0), seed=0)
    assert curve[0.1] == -np.inf
    assert np.isfinite(curve[1.0])


def test_best_alpha():
    curve = {0.0: -1.0, 0.1: -2.0, 1.0: -1.5}
    assert best_alpha(curve, mixed=True) == 1.0
    assert best_alpha(curve, mixed=False) == 0.0


def test_a_class_that_training_did_not_see_has_probability_0():
    X = np.zeros((4, 1))
    model = DummyClassifier(strategy="prior").fit(X, [0, 2, 2, 2])
    assert probabilities(model, X, 4)[0].tolist() == [0.25, 0, 0.75, 0]


# -------------------------------------------------------------------------------- verdict


def results(alphas=None, n_test=500, methods=(PLAIN, MIXUP), **scores):
    """Scores of splits, in two folds per repeat: ``score=(of the first method, ...)``."""
    rows, count = [], len(next(iter(scores.values()))[0])
    for split in range(count):
        for number, method in enumerate(methods):
            row = {"repeat": split // 2, "fold": split % 2, "method": method, "n_test": n_test}
            row["alpha"] = (alphas or [0.3] * count)[split] if method == MIXUP else 0.0
            values = {score: pair[number][split] for score, pair in scores.items()}
            rows.append({**row, **values, "fit_seconds": 1.0})
    return pd.DataFrame(rows)


ERRORS = np.array([0.12, 0.13, 0.12, 0.126, 0.122, 0.126])
LOSSES = np.array([1.1, 1.3, 1.15, 1.2, 1.18, 1.15])
# What mixup adds to these, by the word that it should get.
ADDED = {
    "better": np.array([-11, -14, -12, -13, -11, -14]) / 1000,
    "worse": np.array([11, 14, 12, 13, 11, 14]) / 1000,
    "unclear": np.array([10, -10, 6, -6, 4, -4]) / 1000,
}
SENTENCES = {
    ("better", "better"): (
        "Mixup helps: at α ≈ 0.3 it lowers the log-loss from 1.18 to 0.56 (difference −0.62, "
        "95 % interval −0.74 to −0.51), so its probabilities can be trusted more. It also "
        "lowers the error from 12.4 % to 11.2 % (difference −1.2 points, 95 % interval −1.5 to "
        "−1.0)."
    ),
    ("better", "unclear"): (
        "Mixup helps: at α ≈ 0.3 it lowers the log-loss from 1.18 to 0.56 (difference −0.62, "
        "95 % interval −0.74 to −0.51), so its probabilities can be trusted more. By error, "
        "there is no clear difference: mixup 12.4 %, plain training 12.4 % (difference 0.0 "
        "points, 95 % interval −1.3 to 1.3)."
    ),
    ("unclear", "worse"): (
        "Mixup harms: at α ≈ 0.3 it raises the error from 12.4 % to 13.7 % (difference 1.3 "
        "points, 95 % interval 1.0 to 1.5). By log-loss, there is no clear difference: mixup "
        "1.18, plain training 1.18 (difference 0.00, 95 % interval −0.65 to 0.65)."
    ),
    ("worse", "better"): (
        "Mixup harms and helps: at α ≈ 0.3 it raises the log-loss from 1.18 to 1.80 "
        "(difference 0.62, 95 % interval 0.51 to 0.74), so its probabilities can be trusted "
        "less. But it lowers the error from 12.4 % to 11.2 % (difference −1.2 points, 95 % "
        "interval −1.5 to −1.0)."
    ),
    ("unclear", "unclear"): (
        "No clear difference between mixup at α ≈ 0.3 and plain training: log-loss 1.18 "
        "and 1.18 (difference 0.00, 95 % interval −0.65 to 0.65), error 12.4 % and 12.4 % "
        "(difference 0.0 points, 95 % interval −1.3 to 1.3)."
    ),
}
AGAINST = {
    ("better", "unclear"): (
        "Mixup is better than LightGBM by log-loss: 0.56 against 1.18 (difference −0.62, 95 % "
        "interval −0.74 to −0.51). By error, there is no clear difference: mixup 12.4 %, "
        "LightGBM 12.4 % (difference 0.0 points, 95 % interval −1.3 to 1.3)."
    ),
    ("worse", "worse"): (
        "LightGBM is better than mixup by log-loss: 1.18 against 1.80 (difference −0.62, 95 % "
        "interval −0.74 to −0.51). It is also better by error: 12.4 % against 13.7 % "
        "(difference −1.3 points, 95 % interval −1.5 to −1.0)."
    ),
    ("better", "worse"): (
        "Mixup is better than LightGBM by log-loss: 0.56 against 1.18 (difference −0.62, 95 % "
        "interval −0.74 to −0.51). But LightGBM is better by error: 12.4 % against 13.7 % "
        "(difference −1.3 points, 95 % interval −1.5 to −1.0)."
    ),
}


def two_scores(loss, error, methods=(PLAIN, MIXUP)):
    return results(
        methods=methods,
        log_loss=(LOSSES, LOSSES + 50 * ADDED[loss]),
        error=(ERRORS, ERRORS + ADDED[error]),
    )


@pytest.mark.parametrize("error", ADDED)
@pytest.mark.parametrize("loss", ADDED)
def test_the_sentence(loss, error):
    verdicts = judge(two_scores(loss, error), 0.2)
    assert [verdict.word for verdict in verdicts] == [loss, error]
    sentence = describe(verdicts, 0.3)
    assert sentence == SENTENCES.get((loss, error), sentence)
    does = {"better": "helps", "worse": "harms"}
    words = dict.fromkeys(does[word] for word in (loss, error) if word in does)
    lead = f"Mixup {' and '.join(words)}: at α ≈ 0.3" if words else "No clear difference"
    assert sentence.startswith(lead)
    unclear = [loss, error].count("unclear")
    assert sentence.count("o clear difference") == min(unclear, 1)


@pytest.mark.parametrize("error", ADDED)
@pytest.mark.parametrize("loss", ADDED)
def test_the_sentence_about_boosting(loss, error):
    frame = two_scores(loss, error, methods=(LIGHTGBM, MIXUP)).assign(alpha=None)
    extra = two_scores(loss, error).query("method == @PLAIN")
    verdicts = judge(pd.concat([frame, extra]), 0.2, MIXUP, LIGHTGBM)
    sentence = describe(verdicts)
    assert sentence == AGAINST.get((loss, error), sentence)
    best = next((word for word in (loss, error) if word != "unclear"), None)
    first = {
        "better": "Mixup is better",
        "worse": "LightGBM is better",
        None: "No clear difference",
    }
    assert sentence.startswith(first[best])


def test_the_ensemble_has_an_article():
    frame = two_scores("better", "better", methods=(PLAIN, ENSEMBLE))
    verdicts = judge(frame, 0.2, ENSEMBLE, PLAIN)
    assert describe(verdicts).startswith("The ensemble is better than plain training by log")
    turned = [verdict.swapped() for verdict in verdicts]
    assert turned[0].swapped() == verdicts[0]
    assert describe(turned) == describe(verdicts)


def test_small_numbers_are_not_rounded_to_nothing():
    frame = results(log_loss=(LOSSES / 100, LOSSES / 100 + ADDED["better"] / 20))
    sentence = describe(judge(frame, 0.2), 0.3)
    assert "from 0.0118 to 0.0112 (difference −0.0006, 95 % interval −0.0007 to −0" in sentence


def test_no_verdict_from_too_little():
    """Two folds with the same difference once gave "it harms", with an interval of width 0."""
    low = np.array([0.1, 0.11, 0.1, 0.12, 0.1, 0.11])
    more = low + np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.12])
    for plain, mixup, score, n_test, why in [
        (low[:2], low[:2] + 0.1, "error", 500, "A verdict needs 5 splits, but there are 2"),
        (low[:4], low[:4] + 0.05, "rmse", 500, "A verdict needs 5 splits, but there are 4"),
        (low[:4], more[:4], "log_loss", 500, "A verdict needs 5 splits, but there are 4"),
        (low, low + 0.1, "error", 500, "All splits give the same difference"),
        (low, low + 0.1, "rmse", 500, "All splits give the same difference"),
        # In two folds of 10 rows each, 2 of 20 rows: a coin would do that.
        (low, more, "error", 10, "needs about 58 rows"),
    ]:
        (verdict,) = judge(results(n_test=n_test, **{score: (plain, mixup)}), 0.2)
        assert verdict.word == "too few"
        sentence = describe([verdict], 0.3)
        assert sentence.startswith(
            "Too little data to tell mixup at α ≈ 0.3 from plain training: "
        )
        assert why in sentence
    (enough,) = judge(results(n_test=50, error=(low, more)), 0.2)
    assert enough.word == "worse"


def test_too_little_is_said_once_and_hides_nothing_that_is_shown():
    few = two_scores("better", "better").query("repeat < 2")
    sentence = describe(judge(few, 0.2), 0.3)
    assert sentence.count("A verdict needs 5 splits") == 1
    first, second = describe_all([judge(few, 0.2)] * 2, 0.3)
    assert first == sentence
    assert second.startswith("Too little data to tell mixup from plain training: log-loss 0.5")
    assert "A verdict needs 5 splits" not in second
    assert "log-loss 0.5" in sentence
    assert "error 11." in sentence
    rows = two_scores("better", "better").assign(n_test=100)
    sentence = describe(judge(rows, 0.2), 0.3)
    assert sentence.startswith("Mixup helps: at α ≈ 0.3 it lowers the log-loss from 1.18")
    assert "By error, there is too little data to tell: mixup 11.2 %, plain" in sentence
    assert "The errors differ by 2.5 of 200 test rows" in sentence


def test_identical_splits():
    verdicts = judge(results(log_loss=(LOSSES, LOSSES), error=(0 * ERRORS, 0 * ERRORS)), 0.2)
    assert [verdict.word for verdict in verdicts] == ["unclear", "unclear"]
    sentence = describe(verdicts, 1.0)
    assert sentence.endswith(
        "1.18 (difference 0.00), error 0.0 % and 0.0 % (difference 0.0 points)."
    )


@pytest.mark.parametrize(("splits", "most"), [(2, 0.0), (5, 0.05)])
def test_methods_that_are_equally_good_rarely_get_a_verdict(splits, most):
    rng, wrong, bare = np.random.default_rng(0), np.zeros(2), 0
    for _ in range(80):
        gaps = rng.choice([-1, 0, 1], (splits, 60 // splits), p=[0.05, 0.9, 0.05]).mean(axis=1)
        _, low, high = resampled_interval(gaps + rng.normal(0, 1e-6, splits), 1 / splits)
        bare += low > 0 or high < 0
        # Log-losses have few rows that cost much.
        costs = rng.choice([-1, 1], (splits, 60 // splits)) * rng.lognormal(
            -2, 2, (splits, 60 // splits)
        )
        frame = results(
            n_test=60 // splits,
            log_loss=(np.full(splits, 0.5), 0.5 + costs.mean(axis=1)),
            error=(np.full(splits, 0.2), 0.2 + gaps),
        )
        wrong += [verdict.significant for verdict in judge(frame, 1 / splits)]
    assert (wrong <= 80 * most).all()
    assert splits > 2 or bare > 80 * 0.05  # what the interval alone would say


@pytest.mark.parametrize("scale", [1, 1e-6, 1e6])
def test_regression_is_compared_relative_to_plain_training(scale):
    plain = scale * np.array([2.0, 2.2, 2.1, 1.9, 2.0, 2.1])
    mixup = scale * np.array([1.8, 2.0, 1.92, 1.7, 1.8, 1.91])
    (verdict,) = judge(results(rmse=(plain, mixup)), 0.2)
    expected = resampled_interval((mixup - plain) / plain.mean(), 0.2)
    np.testing.assert_allclose(verdict.difference, expected)
    assert describe([verdict], 0.3) == (
        f"Mixup helps: at α ≈ 0.3 it lowers the RMSE from {2.05 * scale:.4g} to "
        f"{1.855 * scale:.4g} (difference −9.5 %, 95 % interval −10.2 to −8.8 %)."
    )


def test_differences_are_paired_whatever_the_order():
    frame = results(error=(ERRORS[:4], [0.1, 0.2, 0.3, 0.4]))
    shuffled = frame.sample(frac=1, random_state=0)
    expected = np.array([0.1, 0.2, 0.3, 0.4]) - ERRORS[:4]
    np.testing.assert_allclose(differences(shuffled, "error"), expected)


def test_summary():
    frame = results(error=(ERRORS[:4], [0.1, 0.2, 0.3, 0.4]))
    bins = calibration_bins([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    summary = summarize(frame, 0.2, dict.fromkeys([PLAIN, MIXUP], bins))
    interval = resampled_interval(np.array([0.1, 0.2, 0.3, 0.4]) - ERRORS[:4], 0.2)
    assert list(summary.index) == [PLAIN, MIXUP]
    assert summary.loc[MIXUP, "error"] == pytest.approx(0.25)
    ends = summary.loc[MIXUP, ["error_diff", "error_diff_low", "error_diff_high"]]
    np.testing.assert_allclose(ends, interval)
    assert summary.loc[PLAIN, "error_diff_high"] == np.inf  # no spread says nothing
    assert summary.loc[MIXUP, "ece"] == expected_calibration_error(bins)


def test_signed():
    shown = [signed(value, 1) for value in (-1.26, 1.26, -0.01, 0.01)]
    assert shown == ["−1.3", "1.3", "0.0", "0.0"]


# ------------------------------------------------------------------ comparison and report

NASTY = "<script>alert(1)</script>"


def comparison(kind, best=False):
    """An answer without any training."""
    rng, is_class = np.random.default_rng(0), kind == "classification"
    bins = calibration_bins([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    methods = [PLAIN, MIXUP, ENSEMBLE, HISTOGRAM] if best else METHODS
    X, y = pd.DataFrame({NASTY: [1.0, None]}), np.array([0, 1])
    classes, dtypes = ("a", "b") if is_class else (), {NASTY: "number"}
    task = Task(X, y, classes, None, False, Columns("y"), dtypes)
    splits = [Split(k // 2, k % 2, np.arange(8), np.arange(2)) for k in range(6)]
    parts = [
        SplitResult(
            [
                {
                    **{"repeat": split.repeat, "fold": split.fold, "method": method},
                    **{"alpha": 0.3 * (method == MIXUP), "n_train": 40, "n_test": 10},
                    **{score: 0.1 + 0.02 * rng.random() for score in SCORES[kind]},
                    "fit_seconds": 123.4,
                }
                for method in methods
            ],
            {0.0: rng.normal(), 0.3: rng.normal()},
            dict.fromkeys(methods, bins) if is_class else {},
            {f"A note about {NASTY}."},
        )
        for split in splits
    ]
    return Experiment(task, task, splits, Setting((0.3,), best=best)).conclude(parts)


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("kind", SCORES)
def test_the_answer_is_about_plain_training_and_about_boosting(kind, best):
    answer = comparison(kind, best)
    pairs = dict.fromkeys((verdict.method, verdict.other) for verdict in answer.verdicts)
    expected = [(MIXUP, PLAIN), (MIXUP, HISTOGRAM)] + [(ENSEMBLE, HISTOGRAM)] * best
    assert list(pairs) == expected
    assert len(answer.sentences) == len(expected)
    assert "mixup at α ≈ 0.3" in answer.sentences[0] or "at α ≈ 0.3 it" in answer.sentences[0]
    assert all(HISTOGRAM in sentence for sentence in answer.sentences[1:])
    assert str(answer).splitlines() == answer.sentences
    judged = ["log_loss", "error"] if kind == "classification" else ["rmse"]
    assert [verdict.score for verdict in answer.verdicts] == judged * len(pairs)
    for verdict in answer.verdicts:  # the interval is of paired differences
        wide = answer.results.pivot(
            index=["repeat", "fold"], columns="method", values=verdict.score
        )
        gaps = wide[verdict.method] - wide[verdict.other]
        if verdict.score == "rmse":
            gaps = gaps / wide[verdict.other].mean()
        np.testing.assert_allclose(verdict.difference, resampled_interval(gaps, 0.2))


def test_alpha_is_the_one_that_was_chosen_most_often():
    for alphas, most in [([1.0, 0.1, 1.0, 0.3], 1.0), ([1.0, 0.1, 1.0, 0.1], 0.1)]:
        assert most_chosen(results(error=(alphas, alphas), alphas=alphas)) == most


@pytest.mark.parametrize("kind", SCORES)
def test_the_report_holds_the_answer_and_its_parts(kind, tmp_path):
    answer = comparison(kind, best=True)
    page = write_report(answer, tmp_path, "Does it?", {"seed": "0"})
    html = page.read_text("utf-8")
    for sentence in answer.sentences:
        assert f"<p>{sentence}</p>" in html
    assert "A note about &lt;script&gt;" in html
    assert NASTY not in html
    assert "ensemble averages nets" in html
    assert ("every row gives 0.693" in html) == (kind == "classification")  # two rows
    assert html.count("15 bins of equal width") == (kind == "classification")
    pictures = {path.stem for path in (tmp_path / "pictures").glob("*.png")}
    expected = {"differences", "alpha"}
    assert pictures == expected | ({"reliability"} if kind == "classification" else set())


@pytest.mark.parametrize("kind", SCORES)
def test_the_table_shows_means_and_half_intervals(kind):
    answer = comparison(kind)
    shown = readable_summary(answer).set_index("method")
    judged = {"error": ("error", "%", 100, 1), "log_loss": ("log-loss", "", 1, 3)}
    if kind == "regression":
        judged = {"rmse": ("RMSE", "", 1, 4)}
    row = answer.summary.loc[MIXUP]
    for score, (name, unit, scale, digits) in judged.items():
        half = scale * (row[f"{score}_high"] - row[score])
        text = f"{scale * row[score]:.{digits}f} ± {half:.{digits}f}"
        assert shown.loc[MIXUP, f"{name} {unit}".strip()] == text
        assert shown.loc[PLAIN, f"{name} minus plain"] == ""
        low, high = (row[f"{score}_diff{end}"] for end in ("_low", "_high"))
        half = f" ± {scale * (high - low) / 2:.{digits}f}"
        assert shown.loc[MIXUP, f"{name} minus plain"].endswith(half)


def test_there_is_one_calibration_error(tmp_path):
    """Means over splits were larger than what the picture's legend says."""
    rng, parts = np.random.default_rng(0), []
    for _ in range(4):
        proba = rng.uniform(0.5, 1, 10)
        y = (rng.random(10) > proba).astype(int)
        parts.append(calibration_bins(y, np.column_stack([proba, 1 - proba])))
    pooled = expected_calibration_error(pd.concat(parts))
    assert pooled < np.mean([expected_calibration_error(part) for part in parts])
    answer = comparison("classification")
    answer.bins = dict.fromkeys(METHODS, pd.concat(parts))
    answer.summary = summarize(answer.results, 0.2, answer.bins)
    assert readable_summary(answer)["ECE %"].tolist() == [f"{100 * pooled:.1f}"] * 3
    display = ReliabilityDisplay.from_bins(answer.bins)
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend[1:] == [f"{name}, ECE {pooled:.3f}" for name in METHODS]
    assert len(pool_bins(parts[0])) == 15
    widths = (parts[0]["high"] - parts[0]["low"]).to_numpy()
    np.testing.assert_allclose(widths, 1 / 15)


@pytest.mark.parametrize("best", [False, True])
@pytest.mark.parametrize("kind", SCORES)
def test_the_terminal_shows_everything_in_80_columns(kind, best):
    answer, shown = comparison(kind, best), io.StringIO()
    if kind == "classification":  # as wide as it gets
        answer.summary[["log_loss_diff", "log_loss_diff_high"]] *= -123
        answer.summary["error"] = 1.0
    console = make_console(shown)
    console.width = 80
    console.print(summary_table(answer))
    text = shown.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for cell in readable_summary(answer, short=True).drop(columns="method").to_numpy().ravel():
        assert cell in text


@pytest.mark.parametrize("kind", SCORES)
def test_the_picture_shows_every_difference(kind):
    answer = comparison(kind)
    scales = {"log_loss": 1, "error": 100} if kind == "classification" else {"rmse": 1}
    figure = difference_figure(answer)
    for axes, (score, scale) in zip(figure.axes, scales.items(), strict=True):
        wide = answer.results.pivot(index=["repeat", "fold"], columns="method", values=score)
        expected = scale * (wide[MIXUP] - wide[PLAIN])
        np.testing.assert_allclose(axes.lines[0].get_xdata(), expected)


def frame(rows=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    return pd.DataFrame({"x": x, "y": np.where(x + rng.normal(size=rows) > 0, "b", "a")})


def test_compare_table():
    calls = []
    answer = compare_table(
        frame(),
        "y",
        folds=2,
        repeats=1,
        alphas=[0, 0.3],
        on_split=lambda: calls.append(1),
    )
    assert len(calls) == 2
    assert answer.alpha == 0.3
    assert list(answer.summary.index) == [PLAIN, MIXUP, installed_boosting()]
    assert answer.curve.shape == (2, 2)
    assert answer.results["n_test"].sum() == 3 * 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphas": [0]}, r"alphas must contain a value above 0, got \[0\]"),
        ({"alphas": [-1]}, "alpha must be a finite number of at least 0"),
        ({"seed": -1}, "seed must lie in"),
        ({"device": "abacus"}, "device='abacus' cannot be used here"),
        ({"max_rows": 3}, "max_rows must be at least 20"),
        ({"folds": 30}, "folds=30 needs at least 120"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        set_up(frame(), Columns("y"), **settings)


def test_larger_tables_have_fewer_repeats():
    for rows, repeats in [(100, 2), (10_000, 2), (10_001, 1)]:
        assert len(set_up(frame(rows), Columns("y")).splits) == 5 * repeats


def test_a_large_table_is_sampled_but_fitted_whole():
    experiment = set_up(frame(300), Columns("y"), max_rows=100, alphas=[0.3])
    assert len(experiment.task.y) == 100
    assert len(experiment.whole.y) == 300
    pipeline, alpha = experiment.refit()
    assert alpha in (0.0, 0.3)
    assert pipeline[-1].alpha == alpha
    assert pipeline.score(experiment.whole.X, experiment.whole.y) > 0.6


@pytest.mark.parametrize("target", ["bought", "price"])
def test_the_ensemble_is_fitted_on_all_rows(target):
    columns = Columns(target, drop=tuple({"bought", "price"} - {target}))
    experiment = set_up(table(300), columns, max_rows=100, best=True)
    pipeline, alpha = experiment.refit()
    assert alpha is None
    assert type(pipeline[-1]).__name__.startswith("MixupEnsemble")
    assert len(pipeline.predict(experiment.whole.X)) == 300


# --------------------------------------------------------------------------- saved models

MADE = {
    "classification": Columns("bought", id="code", drop=("price",)),
    "regression": Columns("price", drop=("bought", "code")),
}


def many_kinds():
    """Columns of every dtype, with missing values."""
    rows, rng = 60, np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "code": [f"{number:04}" for number in range(rows)],
            "size": rng.normal(size=rows),
            "color": rng.choice(["red", "green", None], rows),
            "zip": rng.choice(["01", "02", "1a"], rows),
            "member": rng.choice([True, False], rows),
            "day": pd.date_range("2024-01-01", periods=rows),
            "seen": pd.date_range("2024-01-01", periods=rows).strftime("%d/%m/%Y"),
            "wait": pd.to_timedelta(rng.integers(1, 100, rows), "h"),
            "about": [f"lot {number}" for number in rng.permutation(rows) + 30],
            "price": rng.normal(size=rows),
            "bought": rng.choice(["no", "yes", "maybe"], rows),
        }
    )
    frame.loc[::7, "size"] = np.nan
    return frame


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {kind: make_saved(kind, folder / kind) for kind in MADE}


def make_saved(kind, path):
    task = prepare(many_kinds(), MADE[kind])
    pipeline = make_net(task, Setting((0.3,)))
    pipeline.fit(task.X, task.y)
    save_model(path, pipeline, task, 0.3)
    return path, task, pipeline


@pytest.mark.parametrize("kind", MADE)
def test_predictions_for_a_file(kind, models, tmp_path):
    path, task, pipeline = models[kind]
    card = load_model(path)[1]
    assert (card.dtypes, card.date_formats) == (task.dtypes, {"seen": "%d/%m/%Y"})
    assert (card.target, card.id, card.alpha) == (task.columns.target, task.columns.id, 0.3)
    frame = many_kinds().iloc[:20]
    frame.to_parquet(tmp_path / "new.parquet")
    predicted, notes = predict_file(path, tmp_path / "new.parquet")
    if task.is_classification:
        expected = pipeline.predict_proba(task.X.iloc[:20])
        columns = ["code", "prediction", *(f"probability_{c}" for c in task.classes)]
        assert list(predicted) == columns
        assert predicted["code"].tolist() == frame["code"].tolist()
        assert np.array_equal(predicted[columns[2:]], expected)
        best = [task.classes[k] for k in expected.argmax(axis=1)]
        assert predicted["prediction"].tolist() == best
        assert notes == ["Columns unknown to the model are ignored: price."]
    else:
        assert list(predicted) == ["prediction"]
        assert np.array_equal(predicted["prediction"], pipeline.predict(task.X.iloc[:20]))


def test_columns_hold_the_same_whatever_the_file(models, tmp_path):
    """Text that looks like numbers, dates that could be of two formats, a CSV's durations."""
    path, task, pipeline = models["classification"]
    rows = (task.X["zip"].isin(["01", "02"]) & (task.X["seen"].dt.day <= 12)).to_numpy()
    frame = many_kinds()[rows].drop(columns=["bought", "price"])
    frame["wait"] = frame["wait"].astype(str)
    frame.to_csv(tmp_path / "new.csv", index=False)
    predicted, notes = predict_file(path, tmp_path / "new.csv")
    expected = pipeline.predict_proba(task.X[rows])
    np.testing.assert_allclose(predicted.iloc[:, 2:], expected, rtol=1e-6)
    assert predicted["code"].tolist() == frame["code"].tolist()
    assert notes == []


def test_missing_values_and_new_categories(models, tmp_path):
    frame = many_kinds().iloc[:5]
    frame = frame.assign(color="blue", about=None, size="?", zip=None, member=None, seen=None)
    frame.drop(columns=["code", "bought", "price"]).to_csv(tmp_path / "new.csv", index=False)
    predicted, notes = predict_file(models["classification"][0], tmp_path / "new.csv")
    np.testing.assert_allclose(predicted.iloc[:, 1:].sum(axis=1), 1)
    assert any("no column 'code'" in note for note in notes)
    assert any("Categories not seen in training" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["size", "zip"]), "has no column 'size', 'zip'"),
        (lambda f: f.assign(size="big"), "column 'size' should hold values of type 'number'"),
        (lambda f: f.assign(day="soon"), "column 'day' should hold values of type 'date'"),
        (lambda f: f.assign(seen="2024-13-01"), "column 'seen' should hold .* 'date'"),
        (lambda f: f.iloc[:0], "has no rows"),
    ],
)
def test_files_that_do_not_fit_the_model(change, message, models, tmp_path):
    change(many_kinds()).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(ValueError, match=message):
        predict_file(models["classification"][0], tmp_path / "new.csv")
    assert os.listdir(tmp_path) == ["new.csv"]


WRITE = {
    "a.csv": lambda frame, path: frame.to_csv(path, index=False),
    "a.tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    "a.parquet": lambda frame, path: frame.to_parquet(path),
    "a.jsonl": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}
LISTED = ["NA", "True", "01", "1.0", "None"]


def written_in_many_ways():
    """Numbers, dates and words as people write them, and long numbers as IDs."""
    rng, rows = np.random.default_rng(0), 60
    size = rng.normal(1_500, 800, rows)
    frame = pd.DataFrame(
        {
            "id": [f"{2**60 + number}" for number in range(rows)],
            "price": [f"{value:_.2f}".translate(str.maketrans("_.", ".,")) for value in size],
            "pieces": [f"{value:_.0f}".replace("_", ".") for value in abs(size)],
            "rate": [f"{value:.1f} %".replace(".", ",") for value in size],
            "day": [f"{day:%d.%m.%Y}" for day in pd.date_range("2024-01-01", periods=rows)],
            "at": [f"2024-0{1 + k % 9}-01T00:00:00+0{k % 3}:00" for k in range(rows)],
            "flag": np.resize(["True", "NA", "False"], rows),
            "word": np.resize(["red", "None", "?", " green"], rows),
            "y": np.resize(LISTED, rows),
        }
    )
    return frame, size


def test_a_file_is_read_at_predict_as_it_was_in_training(tmp_path):
    frame, size = written_in_many_ways()
    tasks = []
    for name, write in WRITE.items():
        write(frame, tmp_path / name)
        read = read_table(tmp_path / name, text=["y", "id"])
        tasks += [prepare(read, Columns("y", id="id"))]
        pd.testing.assert_frame_equal(tasks[-1].X, tasks[0].X)
    task = tasks[0]
    assert task.dtypes == {
        **dict.fromkeys(["price", "pieces", "rate", "flag"], "number"),
        "day": "date",
        "at": "date with zone",
        "word": "text",
    }
    assert task.number_formats == {"price": ",", "pieces": ",", "rate": ",%"}
    np.testing.assert_allclose(task.X["price"], size, atol=0.006)
    pipeline = make_net(task, Setting((0.3,)))
    pipeline.fit(task.X, task.y)
    save_model(tmp_path / "model", pipeline, task, 0.3)
    expected = pipeline.predict_proba(task.X)
    for name, write in WRITE.items():
        # Alone, a row could be read in other ways.
        part = slice(3, 4) if name == "a.tsv" else slice(None)
        write(frame.iloc[part].drop(columns="y"), tmp_path / name)
        predicted, notes = predict_file(tmp_path / "model", tmp_path / name)
        assert notes == []
        assert predicted["id"].tolist() == frame["id"].iloc[part].tolist()
        assert set(predicted["prediction"]) <= set(LISTED)
        assert list(predicted)[2:] == [f"probability_{label}" for label in sorted(LISTED)]
        np.testing.assert_allclose(predicted.iloc[:, 2:], expected[part], rtol=1e-5)
