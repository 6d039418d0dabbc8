"""The scripts in benchmarks/: what they compare, on which rows, and what they write."""

import importlib
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedShuffleSplit
from uci_folders import raw_table, write_delgado, write_raw

from mixup_tab import MixupClassifier, RescaledClassifier
from mixup_tab.benchmark import score_classifier, uci
from mixup_tab.datasets import fetch_delgado, list_uci, published_accuracies
from mixup_tab.metrics import calibration_bins, expected_calibration_error, resampled_interval

FOLDER = Path(__file__).parents[1] / "benchmarks"
SHARED = Path(__file__).parents[2] / "shared" / "uci"
sys.path.insert(0, str(FOLDER))
ranks = pytest.importorskip("ranks", reason="scikit-posthocs or statsmodels is missing")
ablation, calibration, delgado, medium, paper, peers, raw, rules, study = map(
    importlib.import_module,
    ["ablation", "calibration", "delgado", "medium", "paper", "peers", "raw", "rules", "study"],
)

pytestmark = pytest.mark.slow  # the maintainers' studies


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    write_delgado(home, "iris", "wine", rows=80)
    write_raw(home, pears=raw_table(80, classes=2, seed=1), iris=raw_table())
    pd.DataFrame({"name": ["pears"]}).to_csv(home / "names.csv", index=False)
    return home


def run(script, home, output, *options):
    """Run a script as from the command line; return its results and its report."""
    options = [f"--data-home={home}", f"--output={output}", "--jobs=1", *options]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", [script.__name__, *map(str, options)])
        if script in (ablation, calibration, rules):
            patch.setattr(script, "MixupClassifier", partial(MixupClassifier, max_epochs=20))
        study.start(script.main)
    results = pd.read_csv(output / "results.csv")
    assert not results["failed"].any(), results["why"].unique()
    return results, (output / "results.md").read_text(encoding="utf-8")


def made_up(scores, columns=(), **others):
    """Results of a run with these errors, table by table and method by method."""
    rows = [
        {"table": f"t{k}", "split": split, "method": method, "error": value}
        for method, table in scores.items()
        for k, values in enumerate(table)
        for split, value in enumerate(np.atleast_1d(values))
    ]
    frame = pd.DataFrame(rows).assign(n_train=75, n_test=25, failed=False, why="")
    others |= dict.fromkeys(("fit_seconds", "fit_cpu_seconds"), 1.0)
    return frame.assign(log_loss=2 * frame["error"], ece=0.1, **others)


# --------------------------------------------------------------------- the scripts, run


def test_paper(home, tmp_path):
    names = ("plain training", "mixup α=0.4", "mixup α chosen")
    methods = [f"{name} (scaled)" for name in names]
    options = ["--datasets=iris", "--repeats=2", f"--methods={','.join(methods)}"]
    results, text = run(paper, home, tmp_path, *options)
    assert results["method"].tolist() == methods * 2
    for part in ("| scaled | iris | mixup α chosen | 2 |", "21.3", "lower or equal mean error"):
        assert part in text
    assert (tmp_path / "results.png").exists()


def test_delgado(home, tmp_path):
    results, text = run(delgado, home, tmp_path, "--methods=plain training", "--datasets=wine")
    data = fetch_delgado("wine", data_home=home)
    assert results["n_train"].tolist() == [len(train) for train, _ in data.folds]
    train, test = data.folds[2]
    by_hand = MixupClassifier(alpha=0, random_state=2, device="cpu")
    parts = [part[rows] for rows in (train, test) for part in (data.data, data.target)]
    expected = score_classifier(by_hand, *parts)
    row = results.set_index("split").loc[2]
    assert row["log_loss"] == pytest.approx(expected["log_loss"], rel=1e-5)
    assert "on 1 sets" in text
    assert "beside 179 published classifiers" in text
    results = made_up({"MixupClassifier": [0.1, 0.2]})
    results["table"] = results["table"].replace({"t0": "iris", "t1": "wine"})
    delgado.report(results, tmp_path)
    assert "| iris | 90.00 |" in (tmp_path / "results.md").read_text(encoding="utf-8")
    assert (tmp_path / "results.png").exists()


def test_raw(home, tmp_path):
    options = ["--methods=HistGradientBoosting,MLPClassifier", "--folds=2"]
    results, text = run(raw, home, tmp_path, *options, f"--datasets={home}/names.csv")
    assert set(results["table"]) == {"pears"}
    results, text = run(raw, home, tmp_path, *options, "--max-rows=200")
    assert set(results["table"]) == {"iris", "pears"}
    mean = results[results["method"] == "MLPClassifier"].groupby("table")["log_loss"].mean()
    (line,) = [line for line in text.splitlines() if line.startswith("| MLPClassifier | ")]
    assert f"| {mean.mean():.4f} |" in line
    assert "Every method against" in text
    assert {path.name for path in tmp_path.glob("*.png")} == {
        "ranks-error.png",
        "ranks-log_loss.png",
    }
    results, _ = run(raw, home, tmp_path, *options, "--max-rows=200", "--every=2", "--first=1")
    assert set(results["table"]) == {"pears"}  # the second by name
    assert results["split"].tolist() == [0, 0]


FAST = ("MixupClassifier", "HistGradientBoosting")


def test_medium(home, tmp_path):
    options = ["--datasets=pears,iris", f"--methods={','.join(FAST)}"]
    results, text = run(medium, home, tmp_path / "a", *options)
    assert results["n_train"].tolist() == [42, 42, 56, 56]  # 70 % of 60 and of 80
    X, y = uci.load_uci("pears", home)
    ((train, test),) = medium.split_once(X, y, seed=0, max_rows=0, stratified=True)
    model = peers.hist_boosting(0).fit(X.iloc[train], y[train])
    row = results.set_index(["table", "method"]).loc["pears", FAST[1]]
    area = roc_auc_score(y[test], model.predict_proba(X.iloc[test])[:, 1])
    assert row["auc"] == pytest.approx(area)
    assert (results[["fit_cpu_seconds", "predict_cpu_seconds"]] > 0).all(axis=None)
    best = results.loc[results["table"] == "pears", "log_loss"].idxmin()
    assert f"## Every method against {FAST[0]}, by log_loss" in text
    assert f"| {results['method'][best]} | 2 |" in text
    options[1] = "--methods=RandomForest"
    run(medium, home, tmp_path / "b", *options, "--limit=1e-6", "--max-rows=20")
    folders = [str(tmp_path / name) for name in ("c", "a", "b")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["medium", "--output", folders[0], "--merge", *folders[1:]])
        medium.main()
    text = (tmp_path / "c" / "results.md").read_text(encoding="utf-8")
    assert "RandomForest: not within 1e-06 CPU s on iris, pears." in text
    assert all(f"| {name} | 2 |" in text for name in FAST)


def test_medium_regression(home, tmp_path):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(50, 2)), columns=["a", "b"])
    frame["target"] = frame["a"] + 0.1 * rng.normal(size=50)
    write_raw(tmp_path / "tables", line=frame, other=frame[::-1])
    known = medium.regression_tables(tmp_path / "tables", home)
    assert {"line", "other", "diabetes"} <= set(known)
    options = [f"--regression={tmp_path / 'tables'}", "--datasets=line,other"]
    names = "MixupRegressor,MixupRegressor quantiles,HistGradientBoosting"
    results, text = run(medium, home, tmp_path, *options, f"--methods={names}")
    X, y = frame[["a", "b"]], frame["target"]
    ((train, test),) = medium.split_once(X, y, seed=0, max_rows=0, stratified=False)
    model = peers.hist_boosting(0, "Regressor").fit(X.iloc[train], y[train])
    error = np.sqrt(np.mean((model.predict(X.iloc[test]) - y[test]) ** 2))
    row = results.set_index(["table", "method"]).loc["line", "HistGradientBoosting"]
    assert row["rmse"] == pytest.approx(error)
    assert "## Every method against MixupRegressor, by rmse" in text
    quantiles = results["method"].str.endswith("quantiles")
    assert results.loc[quantiles, "coverage"].between(0.2, 1).all()
    assert results.loc[~quantiles, "coverage"].isna().all()
    assert text.count("coverage of 80 %") == 1


def test_ablation(home, tmp_path):
    options = ["--repeats=1", "--methods=embedding=quantile,scaling: standardised"]
    results, text = run(ablation, home, tmp_path, *options)
    assert set(results["method"]) == {FAST[0], *options[1][10:].split(",")}
    rows = {
        name: len(fetch_delgado(name, data_home=home).folds[0][0]) for name in ("iris", "wine")
    }
    assert (results["n_train"] + results["n_test"]).tolist() == [
        rows[name] for name in results["table"]
    ]
    assert "| embedding=quantile | 2 |" in text
    assert "small sets" in text
    assert "Variants of MixupEnsembleClassifier" not in text


def test_rules(home, tmp_path):
    options = ["--folds=2", "--repeats=1", "--methods=cutmix", "--datasets=pears"]
    results, text = run(rules, home, tmp_path, *options)
    assert set(results["method"]) == {"mixup", "cutmix"}
    assert results["seed"].unique().tolist() == [0, 1]
    assert "| pears | cutmix | 2 |" in text


def test_calibration(home, tmp_path):
    options = ["--folds=2", "--methods=plain training tempered", "--datasets=pears"]
    results, text = run(calibration, home, tmp_path, *options)
    errors = results.pivot(index="split", columns="method", values=["error", "log_loss"])
    # A temperature leaves the decisions as they are.
    assert errors["error", "plain training"].equals(errors["error", "plain training tempered"])
    losses = errors["log_loss"]
    assert (losses["plain training"] != losses["plain training tempered"]).all()
    assert "| ECE | plain training tempered | plain training |" in text
    assert (tmp_path / "results.png").exists()


@pytest.mark.parametrize(
    "option", ["--datasets=moon", "--methods=magic", "--folds=1", "--jobs=0", "--max-rows=3"]
)
def test_bad_options_end_with_one_line(option, home, tmp_path):
    with pytest.raises(SystemExit, match=r"Error: .*(not known|must be)"):
        run(raw, home, tmp_path, option)


# --------------------------------------------------------------------- what is compared


def test_a_variant_differs_from_the_defaults_in_one_parameter():
    ours = MixupClassifier(random_state=3, device="cpu").get_params(deep=False)
    variants = {
        name: variant.make(3)[-1].get_params(deep=False)
        for name, variant in ablation.VARIANTS.items()
    }
    assert variants[ablation.DEFAULTS] == ours
    for name in ablation.CHANGES:
        assert len([key for key in ours if variants[name][key] != ours[key]]) == 1, name
    assert not [name for name in variants if "," in name]


@pytest.mark.parametrize("name", [name for name in ablation.STEPS if name != "temperature"])
def test_variants_of_the_ablation_take_raw_tables(name, tmp_path):
    write_raw(tmp_path, pears=raw_table(400, classes=2, seed=1))
    X, y = ablation.medium_table("pears", tmp_path, 0, 100)
    assert X.shape == (100, 4)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ablation.VARIANTS[name].make(0)
        model[-1].set_params(batch_size=100)
        model.fit(X, y)
    assert model.score(X, y) > 0.8
    if "epochs" in name:
        auto = MixupClassifier(batch_size=100).fit(X[["size"]], y).n_iter_
        assert model[-1].n_iter_ == (auto // 2 if name.startswith("half") else auto * 2)


def test_a_rule_is_one_net_that_differs_in_mixing_alone():
    ours = MixupClassifier(0.2, random_state=3, device="cpu").get_params(deep=False)
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    for name, params in rules.RULES.items():
        net = rules.net(3, **params)[-1]
        given = net.get_params(deep=False)
        assert {key for key in ours if given[key] != ours[key]} <= set(params), name
        net.set_params(max_epochs=1).fit(X, y)


def test_calibrated_nets_are_the_nets_themselves():
    for name, make in calibration.METHODS.items():
        model, net = make(3)[-1], calibration.METHODS[calibration.BEFORE.get(name, name)](3)[-1]
        if name in calibration.BEFORE:
            kind = CalibratedClassifierCV if name.endswith("tempered") else RescaledClassifier
            assert isinstance(model, kind)
            model = model.estimator
        assert model.get_params(deep=False) == net.get_params(deep=False)


def test_the_papers_nets_are_in_its_setting():
    for name, make in paper.METHODS.items():
        model = make(4)
        pipeline = getattr(model, "estimator", model)
        assert ("standardscaler" in dict(pipeline.steps)) == name.endswith("(scaled)")
        params = pipeline[-1].get_params()
        assert params["hidden_layer_sizes"] == (128, 128)
        assert (params["batch_size"], params["max_epochs"]) == (16, 10)
        assert params["random_state"] == 4
        if "chosen" in name:
            assert model.cv.random_state == 4
            assert model.cv.get_n_splits() == 5


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow if name in (peers.ENSEMBLE, "TabM-D") else ())
        for name in peers.raw_methods()
    ],
)
def test_peers_take_text_holes_and_labels_with_gaps(name):
    frame = raw_table()
    X, y = frame.drop(columns="target"), pd.factorize(frame["target"])[0] * 2
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = peers.raw_methods()[name](0).fit(X[:45], y[:45])
        proba = model.predict_proba(X[45:])
    assert np.asarray(model.classes_).tolist() == [0, 2, 4]
    assert proba.shape == (15, 3)
    assert np.allclose(proba.sum(axis=1), 1, atol=1e-5)
    assert np.mean(2 * proba.argmax(axis=1) == y[45:]) > 0.6


@pytest.mark.parametrize("name", peers.regressors())
def test_peers_predict_values(name):
    X = raw_table(80)
    y = X.pop("size") * 3 + (X["colour"] == "red")
    X["size"] = y + 0.01 * np.random.default_rng(0).normal(size=80)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        values = peers.regressors()[name](0).fit(X[:60], y[:60]).predict(X[60:])
    assert np.ravel(values).shape == (20,)
    assert np.corrcoef(np.ravel(values), y[60:])[0, 1] > 0.8


def test_a_method_is_stopped_at_its_limit_of_cpu_seconds():
    def work(*seconds):
        ends = time.process_time() + seconds[0]
        while time.process_time() < ends:
            try:
                sum(range(1000))
            except TimeoutError as error:
                if len(seconds) > 1:  # as CatBoost does
                    raise KeyboardInterrupt from error
                raise RuntimeError("as xRFM does") from error
        return {"rmse": 1.0}

    assert medium.within(0.1, work, 5) == {"stopped_after": 0.1}
    assert medium.within(0.1, work, 5, 0) == {"stopped_after": 0.1}
    assert medium.within(5, work, 0.05) == {"stopped_after": 0.0, "rmse": 1.0}
    assert medium.within(0, work, 0.05) == {"stopped_after": 0.0, "rmse": 1.0}
    with pytest.raises(ZeroDivisionError):
        medium.within(5, lambda: 1 / 0)


@pytest.mark.parametrize("rarest", [5, 2, 1])
def test_support_vectors_give_probabilities_for_rare_classes(rarest):
    rng = np.random.default_rng(0)
    y = np.array([0] * 20 + [1] * 20 + [2] * rarest)
    X = 3 * np.eye(3)[y] + rng.normal(size=(len(y), 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        model = clone(peers.CalibratedSVC(random_state=1)).fit(X, y)
    proba = model.predict_proba(X)
    assert np.allclose(proba.sum(axis=1), 1)
    assert np.mean(proba.argmax(axis=1) == y) > 0.8


# --------------------------------------------------------------------- on which rows


@pytest.mark.parametrize("rows", [80, 4000])
def test_ablation_uses_training_rows_of_the_first_fold_only(rows, tmp_path):
    write_delgado(tmp_path, "mine", rows=rows)
    data = fetch_delgado("mine", data_home=tmp_path)
    allowed = {tuple(row) for row in data.data[data.folds[0][0]]}
    drawn = [ablation.small_set("mine", tmp_path, seed)[0] for seed in (0, 0, 1)]
    assert all(len(X) == min(len(allowed), 2500) for X in drawn)
    assert all({tuple(row) for row in X} <= allowed for X in drawn)
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], drawn[2]) == (rows == 80)


def test_medium_tables_are_split_as_published():
    X, y = np.zeros((20000, 16)), np.arange(20000) % 26
    ((train, test),) = medium.split_once(X, y, seed=3, max_rows=0, stratified=True)
    assert (train == np.arange(16000)).all()
    assert (test == np.arange(16000, 20000)).all()
    ((some, same),) = medium.split_once(X, y, seed=3, max_rows=500, stratified=True)
    assert len(np.intersect1d(some, train)) == 500
    assert (same == test).all()


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of UCI sets is not there")
def test_tables_with_an_official_test_part_are_known_by_their_shape():
    listed = list_uci(SHARED).set_index("name")[["rows", "features"]]
    known = [name for name, *shape in listed.itertuples() if tuple(shape) in medium.OFFICIAL]
    assert known == ["adult", "letter", "optical", "pendigits", "statlog-shuttle"]
    parts = pd.read_csv(SHARED / "folds" / "optical.csv.gz")["file"] == "train"
    assert parts.sum() == parts.cumprod().sum() == medium.OFFICIAL[5620, 64]


def test_the_smallest_sets_of_the_ablation_must_be_named(tmp_path):
    write_delgado(tmp_path, "scraps", rows=20)
    with pytest.raises(SystemExit, match="tables must be a non-empty dict"):
        run(ablation, tmp_path, tmp_path / "out", "--methods=MixupClassifier")


def test_rules_take_ten_tables_of_medium_size_no_rows_twice():
    sizes = {f"t{k:02d}": 310 + k for k in range(12)}
    sizes |= {"t03-again": 313, "b-first": 300, "a-small": 299, "c-large": 5001}
    frame = pd.DataFrame({"rows": sizes, "features": 4})
    assert rules.default_tables(frame) == ["b-first", *(f"t{k:02d}" for k in range(9))]


def test_classes_of_training_rows_are_numbered_first():
    y_train, y_test = study.number_seen_first(np.array([1, 3, 1]), np.array([0, 1, 2, 3, 4]))
    assert y_train.tolist() == [0, 1, 0]
    assert y_test.tolist() == [2, 0, 3, 1, 4]


def test_inner_folds_hold_out_every_row_once_and_hide_no_class():
    y = np.array([0] * 10 + [1] * 7 + [2] * 3 + [3] * 2 + [4])
    folds = study.InnerFolds(3, 0).split(None, y)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(y)))
    for train, test in folds:
        assert set(y[train]) == {0, 1, 2, 3, 4}
        common = test[np.isin(y[test], [0, 1])]
        assert not np.isin(common, train).any()


def test_rare_classes_do_not_spoil_the_temperature():
    rng = np.random.default_rng(0)
    y = np.array([0, 5] + [1, 2, 3] * 20)  # two classes of one row
    X = rng.normal(size=(len(y), 3)) + y[:, None]
    (train, test) = uci.stratified_folds(2, 0)(X, y)[0]
    y_train, y_test = study.number_seen_first(y[train], y[test])
    model = ablation.VARIANTS["temperature"].make(0)
    model = model[-1].set_params(estimator__max_epochs=30).fit(X[train], y_train)
    assert set(y_test) - set(model.classes_)  # a class that was not trained on
    (inner,) = model.calibrated_classifiers_
    assert 0.05 < inner.calibrators[0].beta_ < 5
    net, proba = clone(model.estimator).fit(X[train], y_train), []
    for one in (net, model):
        logs = np.log(one.predict_proba(X[test]))
        proba.append((logs[:, 1:] - logs[:, :1]).ravel())
    np.testing.assert_allclose(proba[0] / proba[1], proba[0][0] / proba[1][0], rtol=1e-3)


def test_published_splits_are_kept():
    y = np.random.default_rng(0).integers(0, 3, 60)
    for r, (train, test) in enumerate(uci.random_splits(3, 5, paper.TEST_SHARE)(None, y)):
        expected = StratifiedShuffleSplit(1, test_size=0.25, random_state=5 + r)
        for part, rows in zip((train, test), next(expected.split(y, y)), strict=True):
            assert np.array_equal(part, rows)


# --------------------------------------------------------------------- what is written


def test_means_and_holes():
    results = made_up({"a": [[0.2, 0.4], [0.1, 0.1]], "b": [[0.1], [0.3, 0.5]]})
    scores = study.mean_scores(results, "error")
    assert scores.loc["t0", "a"] == pytest.approx(0.3)
    assert np.isnan(scores.loc["t0", "b"])  # a split is missing
    results.loc[results["split"] == 1, "failed"] = True
    assert study.mean_scores(results, "error").loc["t1", "b"] == pytest.approx(0.3)
    scores = pd.DataFrame(np.ones((20, 3)), columns=["a", "b", "c"])
    scores.loc[0, "b"] = scores.loc[:9, "c"] = np.nan
    kept, lost = study.comparable(scores)
    assert kept.columns.tolist() == ["a", "b"]
    assert kept.index.tolist() == list(range(1, 20))
    assert lost == (
        "Methods left out for missing results: c. Tables left out for missing results: 0."
    )


def test_bins_add_up_to_those_of_all_rows():
    rng = np.random.default_rng(0)
    proba, y = rng.dirichlet([1, 1], 60), rng.integers(0, 2, 60)
    parts = [calibration_bins(y[k::2], proba[k::2]) for k in (0, 1)]
    cells = [part[["count", "confidence", "correct"]].to_numpy().tolist() for part in parts]
    pooled = study.pooled_bins(pd.DataFrame({"bins": cells}))
    whole = calibration_bins(y, proba)
    assert expected_calibration_error(pooled) == pytest.approx(
        expected_calibration_error(whole)
    )


def test_paper_table_agrees_with_the_statistics():
    rng = np.random.default_rng(0)
    names = ["plain training", "mixup α=0.1", "mixup α chosen"]
    results = made_up({f"{name} (scaled)": rng.uniform(0.1, 0.3, (2, 5)) for name in names})
    results["table"] = results["table"].replace({"t0": "iris", "t1": "abalone"})
    rows = paper.compare(results).set_index(["table", "method"])
    wide = results.pivot(index=["table", "split"], columns="method", values="error")
    gaps = (wide[f"{names[2]} (scaled)"] - wide[f"{names[0]} (scaled)"]).loc["iris"]
    row = rows.loc[("iris", names[2])]
    ends = row[["error_diff", "error_diff_low", "error_diff_high"]]
    assert tuple(ends) == pytest.approx(resampled_interval(gaps.to_numpy(), 0.25))
    assert row["plain"] == pytest.approx(wide[f"{names[0]} (scaled)"].loc["iris"].mean())
    single = ranks.resampled_test(gaps, 0.25)
    assert single <= row["p"] <= 2 * single + 1e-12  # Holm, two tables
    assert set(rows.index.get_level_values("method")) == set(names[1:])


def test_delgado_ranks_ours_alone_among_the_published():
    scores = pd.DataFrame(
        {"ours": [90.0, 80.0], "ours2": [91.0, 70.0], "x": [90.0, 60.0], "y": [95.0, np.nan]},
        index=["s", "t"],
    )
    summary = delgado.summarize(scores, ["ours", "ours2"])
    expected = {"ours": (2.5 + 1) / 2, "ours2": 1.5, "x": 1.5, "y": 1.5}
    assert summary["average rank"].to_dict() == expected
    assert summary.loc["y", "mean accuracy %"] == 95
    assert summary.loc["ours2", "P90"] == 50


def test_ablation_and_rules_agree_with_scipy():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.1, 0.5, 12)
    better = base - rng.uniform(0.001, 0.05, 12)
    tiny = 1e-7 * rng.random(12)  # ties would take Wilcoxon's test seconds
    t = stats.ttest_1samp(100 * (better - base), 0)
    low, high = t.confidence_interval(0.95)
    text = f"{100 * (better - base).mean():+.2f} ({low:+.2f} to {high:+.2f})"
    p = stats.wilcoxon(better - base).pvalue
    results = made_up(
        {"MixupClassifier": base, "cutmix": better, "mixup": base[:9] + 0.01 + tiny[:9]}
    )
    table = ablation.summarize(results, "MixupClassifier")
    assert table.loc["cutmix", "Δ error"] == text
    assert table.loc["cutmix", "error p"] == f"{2 * p:.2g}"
    assert table.loc["cutmix", "error won/even/lost"] == "12/0/0"
    assert table.loc["mixup", ["sets", "Δ error"]].tolist() == [9, "+1.00 (+1.00 to +1.00)"]
    assert table.loc["MixupClassifier", ["Δ error", "error p"]].tolist() == ["", ""]
    assert ablation.summarize(results, "MixupEnsembleClassifier").empty
    results = made_up({"mixup": base, "cutmix": better, "remix": base + 0.01 + tiny})
    table, _ = rules.compare(results)
    assert table.index.tolist() == ["cutmix", "mixup", "remix"]
    assert table.loc["cutmix", "Δ error"] == text
    assert table.loc["cutmix", "error p"] == f"{2 * p:.2g}"
    assert table["error rank"].tolist() == ["1.0", "2.0", "3.0"]
    assert table.loc["remix", "Δ log-loss"] == "+0.0200 (+0.0200 to +0.0200)"
    assert len(rules.table_by_table(results)) == 24


def test_calibration_counts_the_folds_of_a_table_together():
    gaps, rows = {"plain training": 0.2, "plain training tempered": 0.0, "mixup": -0.1}, []
    for table in range(6):
        for method, gap in gaps.items():
            for split in range(2):
                rng = np.random.default_rng(10 * table + split)
                sure = rng.uniform(0.6, 0.8, 300)
                wrong = (rng.random(300) >= sure - gap).astype(int)
                bins = calibration_bins(wrong, np.column_stack([sure, 1 - sure]))
                bins = bins[["count", "confidence", "correct"]].to_numpy().tolist()
                rows.append((f"t{table}", split, method, 0.3 + gap, 0.5 + gap**2, bins, False))
    names = ["table", "split", "method", "error", "log_loss", "bins", "failed"]
    results = pd.DataFrame(rows, columns=names)
    errors = calibration.table_errors(results)
    part = results[(results["table"] == "t2") & (results["method"] == "mixup")]
    pooled = expected_calibration_error(study.pooled_bins(part))
    assert errors.loc["t2", "mixup"] == pytest.approx(pooled)
    summary, _ = calibration.summarize(results)
    assert summary["log-loss"].tolist() == pytest.approx([0.54, 0.5, 0.51])
    assert summary["too confident"].tolist() == pytest.approx(list(gaps.values()), abs=0.02)
    assert (summary["from"] <= summary["ECE pooled"]).all()
    assert (summary["ECE pooled"] <= summary["to"]).all()
    pairs = calibration.compare_pairs(results).set_index(["metric", "method", "against"])
    row = pairs.loc[("ECE", "plain training tempered", "plain training")]
    assert row[["better on", "worse on"]].tolist() == [6, 0]
    # Six of six: 2 / 2^6, twice as two pairs were tested.
    assert row["p (Holm)"] == pytest.approx(2 * 2 / 2**6)


# --------------------------------------------------------------------- rank statistics


def table_of(rows=30, methods="abcd"):
    rng = np.random.default_rng(0)
    values = 0.8 + 0.1 * rng.random((rows, len(methods))).round(1)  # with ties
    return pd.DataFrame(values, columns=list(methods))


def test_ranks_agree_with_scipy_and_missing_scores_are_dropped_or_last():
    scores = table_of()
    expected = stats.rankdata(-scores.round(9), axis=1).mean(axis=0)
    assert ranks.average_ranks(scores)[list("abcd")].to_numpy() == pytest.approx(expected)
    assert ranks.average_ranks(scores).is_monotonic_increasing
    pd.testing.assert_series_equal(
        ranks.average_ranks(scores, False), ranks.average_ranks(-scores)
    )
    noise = pd.DataFrame({"a": [0.1 + 0.2, 0.7], "b": [0.3, 0.7]})
    assert ranks.average_ranks(noise).tolist() == [1.5, 1.5]
    scores.loc[:9, "b"] = scores.loc[9, "c"] = np.nan
    pd.testing.assert_series_equal(
        ranks.average_ranks(scores), ranks.average_ranks(scores[10:])
    )
    last = ranks.average_ranks(scores, missing="last")
    pd.testing.assert_series_equal(last, ranks.average_ranks(scores.fillna(-99)))
    with pytest.raises(ValueError, match="no table with a score of every method"):
        ranks.average_ranks(scores.assign(a=np.nan))


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of UCI sets is not there")
def test_published_figures_of_the_179_classifiers():
    published = published_accuracies()
    # The abstract: the best forest comes to 94.1 % of the best accuracy, over all 121 sets.
    shares = ranks.share_of_best(published)
    assert shares.loc["parRF_caret", "PMA"] == pytest.approx(94.1, abs=0.1)
    small = published.reindex(pd.read_csv(SHARED / "small_sets.csv")["name"])
    ours = pd.Series(0.0, small.index, name="ours")
    summary = delgado.summarize(pd.concat([ours, small], axis=1), ["ours"])
    assert summary.loc["rf_caret", "mean accuracy %"] == pytest.approx(84.50, abs=0.01)
    assert summary.loc["rf_caret", "average rank"] == pytest.approx(32.73, abs=0.01)


def test_share_of_best_agrees_with_its_definition():
    scores = pd.DataFrame({"a": [100, 90, 80.0], "b": [95, 100, np.nan], "c": [94, 89, 80]})
    shares = ranks.share_of_best(scores)
    assert shares["P90"].tolist() == pytest.approx([100, 200 / 3, 200 / 3])
    assert shares["P95"].tolist() == pytest.approx([200 / 3, 200 / 3, 100 / 3])
    assert shares["PMA"].tolist() == pytest.approx([290 / 3, 97.5, 283 / 3])
    assert shares["sets"].tolist() == [3, 2, 3]


def test_paired_tests_agree_with_scipy():
    scores = table_of()
    scores.loc[:4, "b"] = np.nan
    tests = ranks.paired_tests(scores, "a")
    both = scores[["a", "b"]].dropna()
    gains = (both["b"] - both["a"]).round(12)
    row = tests.loc["b"]
    assert row["tables"] == 25
    assert row["difference"] == pytest.approx(gains.mean())
    counts = [(gains > 0).sum(), (gains == 0).sum(), (gains < 0).sum()]
    assert row[["wins", "ties", "losses"]].tolist() == counts
    assert row["p"] == pytest.approx(stats.wilcoxon(gains).pvalue)
    low = ranks.paired_tests(-scores, "a", higher_is_better=False)
    assert low["wins"].equals(tests["wins"])
    assert ranks.paired_tests(scores[["a", "b"]].assign(b=scores["a"]), "a")["p"].tolist() == [
        1
    ]
    assert ranks.holm([0.01, np.nan, 0.04, 0.03]) == pytest.approx(
        [0.03, np.nan, 0.06, 0.06], nan_ok=True
    )


def test_resampled_test_agrees_with_its_interval():
    rng = np.random.default_rng(0)
    for shift in (0.1, 0.5, 2.0):
        gaps = rng.normal(shift, 1, 10)
        p = ranks.resampled_test(gaps, 0.25)
        _, low, high = resampled_interval(gaps, 0.25, level=1 - p)
        assert min(abs(low), abs(high)) == pytest.approx(0, abs=1e-9)
    assert ranks.resampled_test(gaps, 1e-12) == pytest.approx(stats.ttest_1samp(gaps, 0).pvalue)
    assert np.isnan(ranks.resampled_test([1.0], 0.25))
    assert ranks.resampled_test([0.0, 0.0], 0.25) == 1


def test_critical_difference_joins_what_nemenyi_cannot_tell_apart():
    strength = pd.Series({"good": 3.0, "fair": 2.5, "poor": 0.0, "bad": -0.3})
    noise = np.random.default_rng(0).normal(size=(40, 4))
    scores = pd.DataFrame(noise, columns=strength.index) + strength
    friedman, p_values = ranks.friedman_nemenyi((-scores).rank(axis=1))
    assert friedman == pytest.approx(stats.friedmanchisquare(*scores.to_numpy().T).pvalue)
    mean = ranks.average_ranks(scores)
    distance = stats.studentized_range.ppf(0.95, 4, np.inf) * np.sqrt(4 * 5 / (12 * 40))
    for a in scores:
        for b in scores:
            assert (p_values.loc[a, b] > 0.05) == (abs(mean[a] - mean[b]) < distance)
    (ax,) = ranks.critical_difference(scores, highlight=["fair"]).axes
    texts = [text.get_text() for text in ax.texts]
    assert all(
        any(name in text and f"{rank:.1f}" in text for text in texts)
        for name, rank in mean.items()
    )
    assert "among 4 methods on 40 tables" in ax.get_title(loc="left")
    tied = pd.DataFrame(np.ones((5, 3)), columns=list("abc"))
    assert (ranks.friedman_nemenyi(tied.rank(axis=1))[1] == 1).all(axis=None)
    with pytest.raises(ValueError, match="two tables and methods"):
        ranks.critical_difference(scores[:1])
