"""From a task to an answer: fits, verdict, report, saved models."""

import os
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

from mixup_tab import MixupClassifier, MixupRegressor, TableEncoder
from mixup_tab.compare import fitting
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.comparison import Comparison, compare_table, set_up
from mixup_tab.compare.fitting import (
    MIXUP,
    PLAIN,
    REFERENCE,
    Setting,
    best_alpha,
    fit_split,
    fit_splits,
    make_net,
    probabilities,
    search_alpha,
)
from mixup_tab.compare.folds import make_splits
from mixup_tab.compare.predict import predict_file
from mixup_tab.compare.reading import read_table
from mixup_tab.compare.report import (
    difference_figure,
    shown_summary,
    summary_table,
    write_report,
)
from mixup_tab.compare.saving import load_model, save_model
from mixup_tab.compare.task import Task, prepare
from mixup_tab.compare.verdict import differences, judge, signed, summarize
from mixup_tab.metrics import calibration_bins, resampled_interval

# What every net of this file is, to be quick.
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "n_estimators": 1}
Classifier, Regressor = partial(MixupClassifier, **SMALL), partial(MixupRegressor, **SMALL)
METHODS = [PLAIN, MIXUP, REFERENCE]
SCORES = {"classification": ("error", "log_loss", "brier", "ece"), "regression": ("rmse", "r2")}


@pytest.fixture(autouse=True, scope="module")
def small_nets():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fitting, "MixupClassifier", Classifier)
        patch.setattr(fitting, "MixupRegressor", Regressor)
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


def results(plain, mixup, score="error", alphas=None, n_test=500):
    """Scores of splits, in two folds per repeat."""
    rows = []
    for split, pair in enumerate(zip(plain, mixup, strict=True)):
        chosen = (0.0, (alphas or [0.3] * len(plain))[split])
        for method, value, alpha in zip((PLAIN, MIXUP), pair, chosen, strict=True):
            row = {"repeat": split // 2, "fold": split % 2, "method": method, "alpha": alpha}
            rows.append({**row, score: value, "n_test": n_test, "fit_seconds": 1.0})
    return pd.DataFrame(rows)


ERRORS = [0.12, 0.13, 0.12, 0.126, 0.122, 0.126]


SENTENCES = [
    (
        [0.109, 0.116, 0.108, 0.113, 0.111, 0.112],
        "mixup at α ≈ 0.3 lowers the error from 12.4 % to 11.2 %; difference −1.2 points, "
        "95 % interval −1.5 to −1.0: it helps.",
    ),
    (
        [0.131, 0.144, 0.132, 0.139, 0.134, 0.139],
        "mixup at α ≈ 0.3 raises the error from 12.4 % to 13.7 %; difference 1.3 points, "
        "95 % interval 1.1 to 1.4: it harms.",
    ),
    (
        [0.13, 0.12, 0.126, 0.12, 0.126, 0.122],
        "No difference can be shown: mixup at α ≈ 0.3 has an error of 12.4 %, plain training "
        "12.4 %; difference 0.0 points, 95 % interval −1.3 to 1.3.",
    ),
]


def test_the_sentence():
    for mixup, sentence in SENTENCES:
        verdict = judge(results(ERRORS, mixup), 0.2)
        assert verdict.sentence == sentence
        assert sentence.endswith(f"it {verdict.word}.") or verdict.word == "unclear"
    same = judge(results([0.0] * 6, [0.0] * 6), 0.2)
    assert same.word == "unclear"
    assert same.sentence.endswith("plain training 0.00 %; difference 0.00 points.")


def test_no_verdict_from_too_little():
    """Two folds with the same difference once gave "it harms", with an interval of width 0."""
    low = np.array([0.1, 0.11, 0.1, 0.12, 0.1, 0.11])
    more = low + np.array([0.1, 0.1, 0.1, 0.1, 0.1, 0.12])
    for plain, mixup, score, n_test, why in [
        ([0.1, 0.1], [0.2, 0.2], "error", 500, "Too few splits to tell: 2, and it takes 5."),
        (low[:4], low[:4] + 0.05, "rmse", 500, "Too few splits to tell: 4, and it takes 5."),
        (low, low + 0.1, "error", 500, "every split shows the same difference"),
        (low, low + 0.1, "rmse", 500, "every split shows the same difference"),
        # In two folds of 10 rows each, 2 of 20 rows: a coin would do that.
        (low, more, "error", 10, "takes about 58 rows"),
    ]:
        verdict = judge(results(plain, mixup, score, n_test=n_test), 0.2)
        assert verdict.word == "too few"
        assert why in verdict.sentence
        assert "Mixup at α ≈ 0.3 has a" in verdict.sentence
    enough = judge(results(low, more, n_test=50), 0.2)
    assert enough.word == "harms"


@pytest.mark.parametrize(("splits", "most"), [(2, 0.0), (5, 0.05)])
def test_methods_that_are_equally_good_rarely_get_a_verdict(splits, most):
    rng, wrong, bare = np.random.default_rng(0), 0, 0
    for _ in range(80):
        gaps = rng.choice([-1, 0, 1], (splits, 60 // splits), p=[0.05, 0.9, 0.05]).mean(axis=1)
        _, low, high = resampled_interval(gaps + rng.normal(0, 1e-6, splits), 1 / splits)
        bare += low > 0 or high < 0
        frame = results(0.2 * np.ones(splits), 0.2 + gaps, n_test=60 // splits)
        wrong += judge(frame, 1 / splits).word in ("helps", "harms")
    assert wrong <= 80 * most
    assert splits > 2 or bare > 80 * 0.05  # what the interval alone would say


@pytest.mark.parametrize("scale", [1, 1e-6, 1e6])
def test_regression_is_compared_relative_to_plain_training(scale):
    plain = scale * np.array([2.0, 2.2, 2.1, 1.9, 2.0, 2.1])
    mixup = scale * np.array([1.8, 2.0, 1.92, 1.7, 1.8, 1.91])
    verdict = judge(results(plain, mixup, "rmse"), 0.2)
    expected = resampled_interval((mixup - plain) / plain.mean(), 0.2)
    np.testing.assert_allclose(verdict.difference, expected)
    assert f"the RMSE from {2.05 * scale:.4g} to {1.855 * scale:.4g}" in verdict.sentence
    assert "difference −9.5 %, 95 % interval −10.2 to −8.8 %: it helps." in verdict.sentence


def test_alpha_is_the_one_that_was_chosen_most_often():
    assert (
        judge(results(ERRORS, ERRORS, alphas=[1.0, 0.1, 1.0, 0.3, 1.0, 0.1]), 0.2).alpha == 1.0
    )
    assert (
        judge(results(ERRORS, ERRORS, alphas=[1.0, 0.1, 1.0, 0.1, 1.0, 0.1]), 0.2).alpha == 0.1
    )


def test_differences_are_paired_whatever_the_order():
    frame = results(ERRORS[:4], [0.1, 0.2, 0.3, 0.4])
    shuffled = frame.sample(frac=1, random_state=0)
    expected = np.array([0.1, 0.2, 0.3, 0.4]) - ERRORS[:4]
    np.testing.assert_allclose(differences(shuffled, "error"), expected)


def test_summary():
    frame = results(ERRORS[:4], [0.1, 0.2, 0.3, 0.4])
    summary = summarize(frame, ["error"], 0.2)
    interval = resampled_interval(np.array([0.1, 0.2, 0.3, 0.4]) - ERRORS[:4], 0.2)
    assert list(summary.index) == [PLAIN, MIXUP]
    assert summary.loc[MIXUP, "error"] == pytest.approx(0.25)
    ends = summary.loc[MIXUP, ["error_diff", "error_diff_low", "error_diff_high"]]
    np.testing.assert_allclose(ends, interval)
    assert summary.loc[PLAIN, "error_diff_high"] == np.inf  # no spread says nothing


def test_signed():
    shown = [signed(value, 1) for value in (-1.26, 1.26, -0.01, 0.01)]
    assert shown == ["−1.3", "1.3", "0.0", "0.0"]


# ------------------------------------------------------------------ comparison and report

NASTY = "<script>alert(1)</script>"


def comparison(kind):
    """An answer without any training."""
    rng, scores = np.random.default_rng(0), SCORES[kind]
    rows = [
        {
            **{"repeat": split // 2, "fold": split % 2, "method": method},
            **{"alpha": 0.3 * (method == MIXUP), "n_train": 40, "n_test": 10},
            **{score: 0.1 + 0.02 * rng.random() for score in scores},
            "fit_seconds": 1.0,
        }
        for split in range(4)
        for method in METHODS
    ]
    frame = pd.DataFrame(rows)
    bins = calibration_bins([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    X, classes = pd.DataFrame({NASTY: [1.0, None]}), ("a", "b")
    return Comparison(
        judge(frame, 0.2),
        frame,
        summarize(frame, scores, 0.2),
        pd.DataFrame(rng.normal(size=(2, 4)), index=[0.0, 0.3]),
        dict.fromkeys(METHODS, bins) if kind == "classification" else {},
        Task(
            X,
            np.array([0, 1]),
            classes if kind == "classification" else (),
            None,
            False,
            Columns("y"),
            {NASTY: "number"},
        ),
        [f"A note about {NASTY}."],
    )


@pytest.mark.parametrize("kind", SCORES)
def test_the_report_holds_the_answer_and_its_parts(kind, tmp_path):
    answer = comparison(kind)
    page = write_report(answer, tmp_path, "Does it?", {"seed": "0"})
    html, sentence = page.read_text("utf-8"), answer.verdict.sentence
    assert sentence[0].upper() + sentence[1:] in html
    assert "A note about &lt;script&gt;" in html
    assert NASTY not in html
    pictures = {path.stem for path in (tmp_path / "pictures").glob("*.png")}
    expected = {"differences", "alpha"}
    assert pictures == expected | ({"reliability"} if kind == "classification" else set())


@pytest.mark.parametrize("kind", SCORES)
def test_the_table_shows_means_and_half_intervals(kind):
    answer = comparison(kind)
    shown = shown_summary(answer).set_index("method")
    main, column, scale = {
        "classification": ("error", "error %", 100),
        "regression": ("rmse", "RMSE", 1),
    }[kind]
    row = answer.summary.loc[MIXUP]
    digits = 1 if kind == "classification" else 4
    half = scale * (row[f"{main}_high"] - row[main])
    assert shown.loc[MIXUP, column] == f"{scale * row[main]:.{digits}f} ± {half:.{digits}f}"
    assert shown.loc[PLAIN, "minus plain"] == ""
    assert shown.loc[REFERENCE, "minus plain"][0] in "+−"
    assert summary_table(answer).row_count == 3


def test_the_picture_shows_every_difference():
    answer = comparison("classification")
    (axes,) = difference_figure(answer).axes
    wide = answer.results.pivot(index=["repeat", "fold"], columns="method", values="error")
    expected = 100 * (wide[MIXUP] - wide[PLAIN])
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
    assert str(answer) == answer.verdict.sentence
    assert answer.verdict.alpha == 0.3
    assert list(answer.summary.index) == METHODS
    assert answer.curve.shape == (2, 2)
    assert answer.results["n_test"].sum() == 3 * 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphas": [0]}, r"alphas=\[0\] holds no value above 0"),
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
        assert notes == ["Columns that the model does not know are ignored: price."]
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
    assert any("Categories that were not in the training table" in note for note in notes)


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
