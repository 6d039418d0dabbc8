import copy

import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import Ridge
from sklearn.metrics import make_scorer, mean_absolute_error
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab import MixupClassifier, MixupRegressor, MixupSearchCV
from mixup_tab.displays import AlphaCurveDisplay

ALPHAS = [1, 0, 0.2]  # in no order
NET = MixupClassifier(
    hidden_layer_sizes=(4,), max_epochs=5, learning_rate_init=0.02, random_state=0
)
RATES = [0.001, 0.05]


def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] + 0.5 * rng.normal(size=60) > 0).astype(int)


def fit(grid=None, net=NET, kind=MixupSearchCV, **params):
    grid = {"alpha": ALPHAS} if grid is None else grid
    return kind(net, grid, **{"cv": 3, **params}).fit(*table())


def fit_pipeline(kind=MixupSearchCV):
    grid = {"mixupclassifier__alpha": ALPHAS, "mixupclassifier__learning_rate_init": RATES}
    return fit(grid, make_pipeline(StandardScaler(), NET), kind)


def by_hand(search, name="alpha", metric="score", **others):
    """Scores of the folds for rising α where the other parameters are these."""
    rows = [
        (params[name], row)
        for row, params in enumerate(search.cv_results_["params"])
        if all(params[key] == value for key, value in others.items())
    ]
    splits = [search.cv_results_[f"split{k}_test_{metric}"] for k in range(search.n_splits_)]
    return np.array([[split[row] for split in splits] for _, row in sorted(rows)])


def assert_shows(curve, scores, alphas=(0, 0.2, 1)):
    """Line and band are mean and standard deviation over the folds."""
    mean, spread = np.mean(scores, axis=1), np.std(scores, axis=1)
    np.testing.assert_allclose(curve.line_.get_ydata(), mean)
    places = curve.line_.get_xdata()
    assert (np.diff(places) > 0).all()
    assert [label.get_text() for label in curve.ax_.get_xticklabels()] == [
        f"{alpha:g}" for alpha in alphas
    ]
    corners = np.concatenate([path.vertices for path in curve.band_.get_paths()])
    for place, low, high in zip(places, mean - spread, mean + spread, strict=True):
        there = corners[corners[:, 0] == place, 1]
        np.testing.assert_allclose([there.min(), there.max()], [low, high])


@pytest.fixture(scope="module")
def search():
    return fit({"alpha": ALPHAS, "learning_rate_init": RATES}, scoring="neg_log_loss")


@pytest.fixture(scope="module")
def of_two_metrics():
    grid = {"alpha": ALPHAS, "learning_rate_init": RATES}
    metrics = {"right": "accuracy", "sure": "neg_log_loss"}
    return fit(grid, scoring=metrics, refit="sure")


# ----------------------------------------------------------------------------- searches


def test_rising_alphas_at_the_other_parameters_of_the_best(search):
    curve = AlphaCurveDisplay.from_search(search)
    rate = search.best_params_["learning_rate_init"]
    assert_shows(curve, by_hand(search, learning_rate_init=rate))
    assert curve.ax_.get_xlabel() == "α"
    assert curve.ax_.get_ylabel() == "neg_log_loss"


def test_the_best_candidate_is_on_the_curve(search):
    assert max(AlphaCurveDisplay.from_search(search).line_.get_ydata()) == search.best_score_


@pytest.mark.parametrize("kind", [MixupSearchCV, GridSearchCV])
def test_searches_of_pipelines(kind):
    search = fit_pipeline(kind)
    name = "mixupclassifier__learning_rate_init"
    expected = by_hand(search, "mixupclassifier__alpha", **{name: search.best_params_[name]})
    assert_shows(AlphaCurveDisplay.from_search(search), expected)


def test_grid_search_of_scikit_learn():
    search = fit(kind=GridSearchCV)
    assert_shows(AlphaCurveDisplay.from_search(search), by_hand(search))


def test_random_search_of_scikit_learn():
    search = fit(kind=RandomizedSearchCV, n_iter=2, random_state=0)
    tried = sorted(params["alpha"] for params in search.cv_results_["params"])
    assert_shows(AlphaCurveDisplay.from_search(search), by_hand(search), tried)


@pytest.mark.parametrize("kind", [MixupSearchCV, GridSearchCV])
def test_a_search_without_refit(kind):
    search = fit(kind=kind, refit=False)
    assert_shows(AlphaCurveDisplay.from_search(search), by_hand(search))


def test_grids_in_a_list():
    grid = [{"alpha": [1, 0.2], "dropout": [0.1]}, {"alpha": [0], "dropout": [0.1, 0.2]}]
    search = fit(grid)
    dropout = search.best_params_["dropout"]
    alphas = (0, 0.2, 1) if dropout == 0.1 else (0,)
    curve = AlphaCurveDisplay.from_search(search)
    assert_shows(curve, by_hand(search, dropout=dropout), alphas)


def test_the_metric_that_decided_is_drawn(of_two_metrics):
    rate = of_two_metrics.best_params_["learning_rate_init"]
    curve = AlphaCurveDisplay.from_search(of_two_metrics)
    assert curve.ax_.get_ylabel() == "sure"
    assert_shows(curve, by_hand(of_two_metrics, metric="sure", learning_rate_init=rate))


@pytest.mark.parametrize("metric", ["right", "sure"])
def test_a_metric_can_be_chosen(metric, of_two_metrics):
    results = of_two_metrics.cv_results_
    best = results["params"][np.argmax(results[f"mean_test_{metric}"])]
    curve = AlphaCurveDisplay.from_search(of_two_metrics, metric=metric)
    assert curve.ax_.get_ylabel() == metric
    expected = by_hand(
        of_two_metrics, metric=metric, learning_rate_init=best["learning_rate_init"]
    )
    assert_shows(curve, expected)


def test_a_metric_can_be_chosen_without_refit():
    search = fit(scoring=["accuracy", "neg_log_loss"], refit=False)
    curve = AlphaCurveDisplay.from_search(search, metric="accuracy")
    assert_shows(curve, by_hand(search, metric="accuracy"))
    with pytest.raises(ValueError, match=r"metric must be one of .*'accuracy'.*, got None"):
        AlphaCurveDisplay.from_search(search)


def test_the_usual_scores_are_named(line):
    net = MixupRegressor(hidden_layer_sizes=(4,), max_epochs=2, random_state=0)
    search = MixupSearchCV(net, {"alpha": [0, 0.3]}, cv=2).fit(*line)
    assert AlphaCurveDisplay.from_search(search).ax_.get_ylabel() == "R²"
    assert AlphaCurveDisplay.from_search(fit()).ax_.get_ylabel() == "accuracy"


def always_one(estimator, X, y):
    return 1.0


@pytest.mark.parametrize(
    "scoring", [always_one, make_scorer(mean_absolute_error, greater_is_better=False)]
)
def test_a_score_of_the_users_own_is_not_called_accuracy(scoring):
    curve = AlphaCurveDisplay.from_search(fit(scoring=scoring))
    assert curve.ax_.get_ylabel() not in ("accuracy", "R²")


# --------------------------------------------------------------------------- estimators


@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
def test_an_estimator_that_has_chosen(kind):
    net = kind(alpha="auto", hidden_layer_sizes=(4,), max_epochs=3, random_state=0)
    net.fit(*table())
    curve = AlphaCurveDisplay.from_estimator(net)
    alphas = sorted(net.alpha_scores_)
    assert_shows(curve, [net.alpha_scores_[alpha] for alpha in alphas], alphas)
    best = int(np.argmax(curve.line_.get_ydata()))
    assert alphas[best] == net.alpha_


def test_scores_of_an_estimator_are_named(line):
    classifier, regressor = (
        kind(alpha="auto", hidden_layer_sizes=(4,), max_epochs=1, random_state=0)
        for kind in (MixupClassifier, MixupRegressor)
    )
    curve = AlphaCurveDisplay.from_estimator(classifier.fit(*table()))
    assert curve.ax_.get_ylabel() == "minus the log-loss"
    curve = AlphaCurveDisplay.from_estimator(regressor.fit(*line))
    assert curve.ax_.get_ylabel() == "minus the squared error"


def test_an_estimator_that_has_not_chosen_is_told_what_is_missing():
    net = MixupClassifier(alpha=0.2, hidden_layer_sizes=(4,), max_epochs=1).fit(*table())
    with pytest.raises(ValueError, match=r"alpha=.?auto"):
        AlphaCurveDisplay.from_estimator(net)


def test_an_estimator_has_no_curve_of_a_fit_before_the_last():
    net = MixupClassifier(alpha="auto", hidden_layer_sizes=(4,), max_epochs=1, random_state=0)
    net.fit(*table()).set_params(alpha=0.2).fit(*table())
    with pytest.raises(ValueError, match=r"not fitted|auto"):
        AlphaCurveDisplay.from_estimator(net)


# ----------------------------------------------------------------------------- pictures


def test_plain_training_is_a_line_across(search):
    curve = AlphaCurveDisplay.from_search(search)
    assert set(curve.erm_.get_ydata()) == {curve.line_.get_ydata()[0]}
    labels = [text.get_text() for text in curve.ax_.get_legend().get_texts()]
    assert labels == ["±1 sd, folds", "mean", "ERM (α = 0)"]


def test_without_zero_there_is_no_line_across():
    curve = AlphaCurveDisplay.from_search(fit({"alpha": [0.4, 0.2]}))
    assert curve.erm_ is None
    labels = [text.get_text() for text in curve.ax_.get_legend().get_texts()]
    assert labels == ["±1 sd, folds", "mean"]


def test_one_alpha_is_a_point():
    search = fit({"alpha": [0.2]})
    assert_shows(AlphaCurveDisplay.from_search(search), by_hand(search), [0.2])


def test_axes_that_are_given_are_drawn_on(search):
    left, right = Figure().subplots(1, 2)
    curve = AlphaCurveDisplay.from_search(search, ax=right)
    assert curve.ax_ is right
    assert curve.figure_ is right.figure
    assert len(right.lines) == 2
    assert not left.lines


def test_pyplot_hears_of_nothing(search):
    before = plt.get_fignums()
    curve = AlphaCurveDisplay.from_search(search)
    assert curve.figure_ is curve.ax_.figure
    assert plt.get_fignums() == before


def test_a_curve_can_be_drawn_again(search):
    curve = AlphaCurveDisplay.from_search(search)
    first, before = curve.ax_, curve.line_.get_ydata()
    assert curve.plot() is curve
    assert curve.ax_ is not first
    np.testing.assert_array_equal(curve.line_.get_ydata(), before)


def test_a_picture_is_made(search, tmp_path):
    path = tmp_path / "curve.png"
    AlphaCurveDisplay.from_search(search).figure_.savefig(path)
    content = path.read_bytes()
    assert content.startswith(b"\x89PNG")
    assert len(plt.imread(path)) > 100


@pytest.mark.parametrize("missing", [0, 0.2, 1])
def test_a_failed_fit_leaves_a_gap(missing, tmp_path):
    search = copy.deepcopy(fit())
    row = ALPHAS.index(missing)
    for key in ("split1_test_score", "mean_test_score"):
        search.cv_results_[key][row] = np.nan
    curve = AlphaCurveDisplay.from_search(search)
    expected = by_hand(search).mean(axis=1)
    np.testing.assert_array_equal(np.isnan(expected), [a == missing for a in (0, 0.2, 1)])
    np.testing.assert_allclose(curve.line_.get_ydata(), expected)
    curve.figure_.savefig(tmp_path / "curve.png")


# ------------------------------------------------------------------------------- errors


@pytest.mark.parametrize("kind", [MixupSearchCV, GridSearchCV])
@pytest.mark.parametrize(
    "grid", [{"dropout": [0, 0.1]}, [{"dropout": [0]}, {"alpha": [0, 0.1]}]]
)
def test_a_grid_without_alpha_is_refused(grid, kind):
    with pytest.raises(ValueError, match="param_grid has no 'alpha'"):
        AlphaCurveDisplay.from_search(fit(grid, kind=kind))


def test_a_pipeline_without_alpha_is_refused():
    search = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), {"ridge__tol": [0.1]})
    with pytest.raises(ValueError, match="param_grid has no 'ridge__alpha'"):
        AlphaCurveDisplay.from_search(search.fit(*table()))


def test_a_metric_that_is_not_there_is_refused(search, of_two_metrics):
    with pytest.raises(ValueError, match=r"one of \['right', 'sure'\], got 'f1'"):
        AlphaCurveDisplay.from_search(of_two_metrics, metric="f1")
    with pytest.raises(ValueError, match="metric='f1' is for searches of several"):
        AlphaCurveDisplay.from_search(search, metric="f1")


def test_auto_among_the_alphas_is_refused_by_name():
    search = fit({"alpha": [0, "auto"]}, cv=2)
    with pytest.raises(ValueError, match="auto"):
        AlphaCurveDisplay.from_search(search)


@pytest.mark.parametrize("kind", [MixupSearchCV, GridSearchCV])
def test_a_search_that_is_not_fitted_is_refused(kind):
    with pytest.raises(NotFittedError):
        AlphaCurveDisplay.from_search(kind(NET, {"alpha": ALPHAS}))


def test_an_estimator_that_is_not_fitted_is_refused():
    with pytest.raises(NotFittedError):
        AlphaCurveDisplay.from_estimator(MixupClassifier(alpha="auto"))
