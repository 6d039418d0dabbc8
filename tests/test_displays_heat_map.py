import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from mixup_tab.displays.heat_map import SearchHeatMapDisplay
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from mixup_tab import MixupClassifier, MixupSearchCV

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] + 0.5 * RNG.normal(size=60) > 0).astype(int)
TREE = DecisionTreeClassifier(random_state=0)
GRID = {"max_depth": [3, 1, 2], "min_samples_leaf": [1, 5]}
PAIR = {"x": "max_depth", "y": "min_samples_leaf"}
draw = SearchHeatMapDisplay.from_search


def fit(grid=GRID, estimator=TREE, **params):
    return GridSearchCV(estimator, grid, **{"cv": 3, **params}).fit(X, Y)


def mean(search, metric="score", **params):
    """The mean score of one setting."""
    return search.cv_results_[f"mean_test_{metric}"][search.cv_results_["params"].index(params)]


def assert_shows(display, search, xs, ys, metric="score", **others):
    expected = [
        [mean(search, metric, max_depth=x, min_samples_leaf=y, **others) for x in xs]
        for y in ys
    ]
    np.testing.assert_allclose(display.image_.get_array(), expected)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == list(map(str, xs))
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == list(map(str, ys))


@pytest.fixture(scope="module")
def search():
    return fit()


def test_cells_hold_mean_scores_and_the_best_is_framed(search):
    display = draw(search, **PAIR)
    assert_shows(display, search, [1, 2, 3], [1, 5])
    row, column = display.best_
    assert display.scores[row, column] == search.best_score_
    (frame,) = display.ax_.patches
    x, y = frame.get_xy()
    assert (round(x), round(y)) == (column, row)
    assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == (
        "max depth",
        "min samples leaf",
    )


def test_scores_are_written_with_digits_that_tell_them_apart(search):
    display = draw(search, **PAIR)
    texts = {t.get_position(): t.get_text() for t in display.ax_.texts}
    assert len(texts) == 6
    step = np.ptp(display.scores) / 10
    for (column, row), text in texts.items():
        assert float(text) == pytest.approx(display.scores[row, column], abs=step)


def test_other_parameters_are_those_of_the_best():
    search = fit({**GRID, "splitter": ["random", "best"]})
    splitter = search.best_params_["splitter"]
    assert_shows(draw(search, **PAIR), search, [1, 2, 3], [1, 5], splitter=splitter)


def test_pairs_that_were_not_tried_or_failed_stay_blank():
    grid = [{"max_depth": [1], "min_samples_leaf": [1, 5]}, {**GRID, "min_samples_leaf": [1]}]
    search = fit(grid)
    search.cv_results_["mean_test_score"][
        search.cv_results_["params"].index({"max_depth": 3, "min_samples_leaf": 1})
    ] = np.nan
    display = draw(search, **PAIR)
    np.testing.assert_array_equal(np.isnan(display.scores), [[0, 0, 1], [0, 1, 1]])
    assert len(display.ax_.texts) == 3


def test_a_best_setting_without_the_parameters_is_passed_over():
    search = fit([{"criterion": ["entropy"]}, {"max_depth": [1], "min_samples_leaf": [30, 31]}])
    assert search.best_params_ == {"criterion": "entropy"}
    assert draw(search, **PAIR).scores.shape == (2, 1)


def test_a_metric_can_be_chosen():
    search = fit(scoring=["accuracy", "neg_log_loss"], refit="accuracy")
    display = draw(search, **PAIR, metric="neg_log_loss")
    assert_shows(display, search, [1, 2, 3], [1, 5], "neg_log_loss")
    assert display.score_name == "neg_log_loss"
    assert draw(search, **PAIR).score_name == "accuracy"
    with pytest.raises(ValueError, match="metric must be one of"):
        draw(search, **PAIR, metric="f1")


def test_values_that_are_no_numbers_keep_their_order():
    search = fit({"criterion": ["log_loss", "gini"], "max_depth": [None, 1]})
    display = draw(search, x="criterion", y="max_depth")
    assert display.x_values == ["log_loss", "gini"]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["None", "1"]


def test_a_search_of_ours_in_a_pipeline():
    net = MixupClassifier(hidden_layer_sizes=(4,), n_estimators=1, max_epochs=1, random_state=0)
    grid = {"mixupclassifier__alpha": [1, 0], "mixupclassifier__weight_decay": [0, 0.1]}
    search = MixupSearchCV(make_pipeline(StandardScaler(), net), grid, cv=2).fit(X, Y)
    expected = search.cv_results_["mean_test_score"].reshape(2, 2)[::-1]
    for display in (draw(search), draw(search, y="mixupclassifier__alpha")):
        assert (display.x_values, display.y_values) == ([0, 0.1], [0, 1])
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("weight decay", "α")
        np.testing.assert_allclose(display.scores, expected)


def test_given_axes_are_drawn_on_and_pyplot_hears_of_nothing(search, tmp_path):
    before = plt.get_fignums()
    ax = Figure().subplots()
    display = draw(search, **PAIR, ax=ax)
    assert display.ax_ is ax
    assert plt.get_fignums() == before
    display.figure_.savefig(tmp_path / "map.png")


def test_a_name_that_fits_two_parameters_is_refused():
    steps = Pipeline([("first", PCA()), ("then", TREE)])
    search = fit({"first__random_state": [0], "then__random_state": [0, 1]}, steps)
    with pytest.raises(ValueError, match=r"any of \['first__random_state', 'then__random"):
        draw(search, x="random_state")


def test_one_score_everywhere_can_be_drawn():
    display = SearchHeatMapDisplay([1, 2], [3], [[0.5, 0.5]]).plot()
    assert [t.get_text() for t in display.ax_.texts] == ["0.500", "0.500"]


def test_arguments_that_make_no_picture(search):
    with pytest.raises(ValueError, match=r"y must be one of .*\['max_depth'\], got 'alpha'"):
        draw(fit({"max_depth": [1, 2]}), x="max_depth")
    with pytest.raises(ValueError, match="two parameters, got 'max_depth' for both"):
        draw(search, x="max_depth", y="max_depth")
    with pytest.raises(NotFittedError):
        draw(GridSearchCV(TREE, GRID), **PAIR)
    apart = fit([{"max_depth": [1]}, {"min_samples_leaf": [5]}])
    with pytest.raises(ValueError, match="No setting with both 'max_depth' and"):
        draw(apart, **PAIR)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        ([0.5, 0.5], r"scores must have the shape \(1, 2\)"),
        ([[0.5], [0.5]], r"x_values, got \(2, 1\)"),
        ([[np.inf, 0.5]], "scores must be finite"),
        ([[np.nan, np.nan]], "one of them at least"),
    ],
)
def test_scores_that_make_no_map_are_refused(scores, message):
    with pytest.raises(ValueError, match=message):
        SearchHeatMapDisplay([1, 2], [3], scores)


def test_an_infinite_score_of_a_search_stays_blank():
    search = fit()
    search.cv_results_["mean_test_score"][0] = -np.inf
    assert np.isnan(draw(search, **PAIR).scores).sum() == 1
