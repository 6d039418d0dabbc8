"""Displays: one contract for all of them, and the numbers that each one draws."""

import sys
from dataclasses import dataclass
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.collections import QuadMesh
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from scipy import special
from sklearn.datasets import make_blobs
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, RandomizedSearchCV
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from mixup_tab import Mixup, MixupClassifier, MixupRegressor, MixupSearchCV, displays
from mixup_tab.audio import Spectrogram
from mixup_tab.displays import (
    AlphaCurveDisplay,
    LambdaDisplay,
    LossCurveDisplay,
    MixedPairDisplay,
    MixedSamplesDisplay,
    MixupBoundaryDisplay,
    ReliabilityDisplay,
    SearchHeatMapDisplay,
    SpectrogramDisplay,
)
from mixup_tab.displays._plotting import class_colors, label_colors
from mixup_tab.metrics import accuracy_intervals, calibration_bins, expected_calibration_error
from mixup_tab.mixing._names import RULES

X, CODES = make_blobs(60, centers=3, cluster_std=2, random_state=0)
Y2, Y3 = CODES > 0, np.array(["red", "green", "blue"])[CODES]
LINEAR, LINEAR3 = LogisticRegression().fit(X, Y2), LogisticRegression().fit(X, Y3)
SMALL = {"hidden_layer_sizes": (4,), "n_estimators": 1, "max_epochs": 4, "random_state": 0}
RNG = np.random.default_rng(0)
YES, NO = RNG.normal(size=(2, 40)).astype(np.float32)
IMAGES = RNG.normal(size=(2, 1, 8, 6)).astype(np.float32)
boundaries = MixupBoundaryDisplay.from_estimators


def texts(axes):
    """All that is written on some axes and their figure."""
    found = [axes[0].figure.get_suptitle()]
    for ax in axes:
        found += [ax.get_title(), ax.get_xlabel(), ax.get_ylabel()]
        if ax.get_legend():
            found += [text.get_text() for text in ax.get_legend().get_texts()]
    return found


def predictions(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([1, 1, 1], rows)
    return (rng.random((rows, 1)) < proba.cumsum(1)).argmax(1), proba


# ----------------------------------------------------------------------------- contract

MAKE = {
    "AlphaCurveDisplay": lambda: AlphaCurveDisplay([0, 1], [[1, 2], [2, 3]]),
    "LambdaDisplay": lambda: LambdaDisplay([0.2, 1]),
    "LossCurveDisplay": lambda: LossCurveDisplay([3, 2, 1], [2, 1, 1]),
    "MixedPairDisplay": lambda: MixedPairDisplay(YES, NO, YES, 1),
    "MixedSamplesDisplay": lambda: MixedSamplesDisplay(X, CODES, X, np.eye(3)[CODES], "abc"),
    "MixupBoundaryDisplay": lambda: boundaries({"net": LINEAR}, X, Y2, grid_resolution=5),
    "ReliabilityDisplay": lambda: ReliabilityDisplay({"net": calibration_bins(*predictions())}),
    "SearchHeatMapDisplay": lambda: SearchHeatMapDisplay([1, 2], [3], [[0.5, 0.6]]),
    "SpectrogramDisplay": lambda: SpectrogramDisplay(np.eye(4, 5)),
}
# The artist that keywords for matplotlib reach.
ARTIST = {
    "AlphaCurveDisplay": lambda display: display.lines_[0],
    "LambdaDisplay": lambda display: display.lines_[1],
    "LossCurveDisplay": lambda display: display.lines_["validation"],
    "MixedPairDisplay": lambda display: display.axes_[2].lines[0],
    "MixedSamplesDisplay": lambda display: display.points_,
    "MixupBoundaryDisplay": lambda display: shown(display.axes_[0])[0],
    "ReliabilityDisplay": lambda display: display.lines_["net"],
    "SearchHeatMapDisplay": lambda display: display.image_,
    "SpectrogramDisplay": lambda display: display.image_,
}


def axes_of(display):
    return list(display.axes_) if hasattr(display, "axes_") else [display.ax_]


@pytest.mark.parametrize("kind", displays.__all__)
def test_contract(kind, monkeypatch):
    display = MAKE[kind]()
    # Without ax it draws into a new figure, which is pyplot's current one.
    assert display.plot() is display
    assert display.figure_ is plt.gcf()
    assert {ax.figure for ax in axes_of(display)} == {display.figure_}
    display.figure_.draw_without_rendering()
    # Given axes are used; pyplot makes no figure.
    plt.close("all")
    given = list(Figure().subplots(1, len(axes_of(display)), squeeze=False)[0])
    display.plot(ax=given if hasattr(display, "axes_") else given[0])
    assert axes_of(display) == given
    assert display.figure_ is given[0].figure
    assert plt.get_fignums() == []
    # A name is shown, and keywords reach matplotlib.
    keywords = {"line_kw": {"alpha": 0.25}} if "Alpha" in kind else {"alpha": 0.25}
    display.plot(name="my name", **keywords)
    assert any("my name" in text for text in texts(axes_of(display)))
    assert ARTIST[kind](display).get_alpha() == 0.25
    # Without matplotlib the message says what to install.
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r'pip install "mixup-tab\[plots\]"'):
        display.plot()


# --------------------------------------------------------------------- curves of searches

ALPHAS = [1, 0, 0.2]  # in no order
NET = MixupClassifier(**SMALL)
RIDGE = {"alpha": ALPHAS, "positive": [True, False]}


def fit(grid=RIDGE, estimator=None, kind=GridSearchCV, **params):
    return kind(estimator or Ridge(), grid, **{"cv": 3, **params}).fit(X, CODES)


def by_hand(search, name="alpha", metric="score", part="test", **others):
    """Scores of the folds for rising α where the other parameters are these."""
    table = pd.DataFrame(search.cv_results_)
    for key, value in others.items():
        table = table[table[f"param_{key}"] == value]
    folds = [f"split{k}_{part}_{metric}" for k in range(search.n_splits_)]
    return table.sort_values(f"param_{name}")[folds].to_numpy()


def assert_shows(curve, scores, alphas=(0, 0.2, 1)):
    """Line and band are mean and standard deviation over the folds, in even steps."""
    mean, spread = np.mean(scores, axis=1), np.std(scores, axis=1)
    count = len(alphas)
    np.testing.assert_allclose(curve.lines_[-1].get_ydata()[:count], mean)
    np.testing.assert_allclose(curve.lines_[-1].get_xdata()[:count], range(count))
    labels = [label.get_text() for label in curve.ax_.get_xticklabels()]
    assert labels == [f"{alpha:g}" for alpha in alphas]
    corners = curve.fill_between_[-1].get_paths()[0].vertices
    for place, low, high in zip(range(count), mean - spread, mean + spread, strict=True):
        there = corners[corners[:, 0] == place, 1]
        np.testing.assert_allclose([there.min(), there.max()], [low, high])


@pytest.mark.parametrize("refit", [True, False])
def test_alphas_rise_at_the_other_parameters_of_the_best(refit):
    search = fit(refit=refit, scoring="r2")
    best = search.cv_results_["params"][np.argmax(search.cv_results_["mean_test_score"])]
    curve = AlphaCurveDisplay.from_search(search)
    assert_shows(curve, by_hand(search, positive=best["positive"]))
    assert (curve.ax_.get_xlabel(), curve.ax_.get_ylabel()) == ("α", "r2")
    assert max(curve.lines_[0].get_ydata()) == max(search.cv_results_["mean_test_score"])


def test_searches_of_all_kinds_and_pipelines():
    pipeline = make_pipeline(StandardScaler(), Ridge())
    search = fit({"ridge__alpha": ALPHAS}, pipeline)
    assert_shows(AlphaCurveDisplay.from_search(search), by_hand(search, "ridge__alpha"))
    search = fit({"alpha": ALPHAS}, kind=RandomizedSearchCV, n_iter=2, random_state=0)
    tried = sorted(params["alpha"] for params in search.cv_results_["params"])
    assert_shows(AlphaCurveDisplay.from_search(search), by_hand(search), tried)
    search = fit([{"alpha": [1, 0.2], "tol": [0]}, {"alpha": [0], "tol": [0.1]}])
    alphas = (0.2, 1) if search.best_params_["alpha"] else (0,)
    scores = by_hand(search, tol=search.best_params_["tol"])
    assert_shows(AlphaCurveDisplay.from_search(search), scores, alphas)


def test_curve_and_map_of_a_search_of_ours():
    grid = {"mixupclassifier__alpha": [1, 0], "mixupclassifier__weight_decay": [0, 0.1]}
    pipeline = make_pipeline(StandardScaler(), NET)
    search = fit(grid, pipeline, MixupSearchCV, return_train_score=True)
    name = "mixupclassifier__weight_decay"
    best = {name: search.best_params_[name]}
    curve = AlphaCurveDisplay.from_search(search)
    assert_shows(curve, by_hand(search, "mixupclassifier__alpha", **best), (0, 1))
    curve.plot(score_type="train")
    trained = by_hand(search, "mixupclassifier__alpha", part="train", **best)
    assert_shows(curve, trained, (0, 1))
    expected = search.cv_results_["mean_test_score"].reshape(2, 2)[::-1]
    for names in ({}, {"y": "mixupclassifier__alpha"}):
        display = SearchHeatMapDisplay.from_search(search, **names)
        assert (display.x_values, display.y_values) == ([0, 0.1], [0, 1])
        assert (display.ax_.get_xlabel(), display.ax_.get_ylabel()) == ("weight decay", "α")
        np.testing.assert_allclose(display.scores, expected)


def test_a_metric_can_be_chosen():
    search = fit(scoring=["r2", "neg_max_error"], refit="neg_max_error")
    for metric in (None, "r2", "neg_max_error"):
        shown = metric or "neg_max_error"
        results = search.cv_results_
        best = results["params"][np.argmax(results[f"mean_test_{shown}"])]["positive"]
        curve = AlphaCurveDisplay.from_search(search, metric=metric)
        assert curve.ax_.get_ylabel() == shown
        assert_shows(curve, by_hand(search, metric=shown, positive=best))
        display = SearchHeatMapDisplay.from_search(search, x="positive", metric=metric)
        assert display.score_name == shown
        assert np.nanmax(display.scores) == max(results[f"mean_test_{shown}"])
    search = fit(scoring=["r2", "neg_max_error"], refit=False)
    with pytest.raises(ValueError, match=r"metric must be one of \['r2', .*got False"):
        AlphaCurveDisplay.from_search(search)


def test_plain_training_is_a_line_across():
    curve = AlphaCurveDisplay([0, 0.2], [[1, 2], [2, 4]]).plot()
    assert set(curve.plain_.get_ydata()) == {1.5}
    assert texts([curve.ax_])[-2:] == ["mean ± sd over folds", "plain training (α = 0)"]
    assert set(curve.plot(negate_score=True).plain_.get_ydata()) == {-1.5}
    style = {"std_display_style": "errorbar", "line_kw": None}
    assert texts([curve.plot(name="net", **style).ax_])[-1] == "net"
    assert AlphaCurveDisplay([0.1, 0.2], [[1, 2], [2, 4]]).plot().plain_ is None


def test_one_alpha_and_failed_fits_are_drawn():
    assert_shows(AlphaCurveDisplay([0.2], [[1, 3]]).plot(), [[1, 3]], [0.2])
    for missing in range(3):
        scores = np.ones((3, 2))
        scores[missing, 1] = np.nan
        curve = AlphaCurveDisplay([0, 1, 2], scores).plot()
        assert np.isnan(curve.lines_[0].get_ydata()).nonzero()[0].tolist() == [missing]
        assert (curve.plain_ is None) == (missing == 0)
        curve.figure_.draw_without_rendering()


@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
def test_the_curve_of_an_estimator_that_chose_alpha(kind):
    net = kind(**{**SMALL, "alpha": "auto", "max_epochs": 2}).fit(X, CODES)
    curve = AlphaCurveDisplay.from_estimator(net)
    alphas = sorted(net.alpha_scores_)
    assert_shows(curve, [net.alpha_scores_[alpha] for alpha in alphas], alphas)
    assert alphas[int(np.argmax(curve.lines_[0].get_ydata()))] == net.alpha_
    loss = "log-loss" if kind is MixupClassifier else "squared error"
    assert curve.ax_.get_ylabel() == f"minus the {loss}"
    net.set_params(alpha=0.2, max_epochs=1).fit(X, CODES)
    with pytest.raises(ValueError, match=r"alpha=0\.2 and has no curve.*'auto'"):
        AlphaCurveDisplay.from_estimator(net)


# ----------------------------------------------------------------------------- heat maps

TREE = DecisionTreeClassifier(random_state=0)
GRID = {"max_depth": [3, 1, 2], "min_samples_leaf": [1, 5]}
PAIR = {"x": "max_depth", "y": "min_samples_leaf"}


def test_cells_hold_mean_scores_and_the_best_is_framed():
    search = fit({**GRID, "splitter": ["random", "best"]}, TREE)
    display = SearchHeatMapDisplay.from_search(search, **PAIR)
    results = search.cv_results_

    def mean(**params):
        return results["mean_test_score"][results["params"].index(params)]

    splitter = search.best_params_["splitter"]
    expected = [
        [mean(max_depth=x, min_samples_leaf=y, splitter=splitter) for x in (1, 2, 3)]
        for y in (1, 5)
    ]
    np.testing.assert_allclose(display.image_.get_array(), expected)
    assert [t.get_text() for t in display.ax_.get_xticklabels()] == ["1", "2", "3"]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["1", "5"]
    assert texts([display.ax_])[-2:] == ["max depth", "min samples leaf"]
    written = {t.get_position()[::-1]: t for t in display.ax_.texts}
    for place, score in np.ndenumerate(np.array(expected)):
        assert written[place].get_text() == f"{score:.3f}"
        framed = written[place].get_bbox_patch() is not None
        assert framed == (place == display.best_)
    assert display.scores[display.best_] == search.best_score_


def test_pairs_without_a_score_stay_blank():
    grid = [{"max_depth": [1], "min_samples_leaf": [1, 5]}, {**GRID, "min_samples_leaf": [1]}]
    search = fit([*grid, {"criterion": ["entropy"]}], TREE)
    failed = search.cv_results_["params"].index({"max_depth": 3, "min_samples_leaf": 1})
    for value in (np.nan, -np.inf):
        search.cv_results_["mean_test_score"][failed] = value
        display = SearchHeatMapDisplay.from_search(search, **PAIR)
        np.testing.assert_array_equal(np.isnan(display.scores), [[0, 0, 1], [0, 1, 1]])
        assert len(display.ax_.texts) == 3
    # Values that are no numbers keep their order.
    search = fit({"criterion": ["log_loss", "gini"], "max_depth": [None, 1]}, TREE)
    display = SearchHeatMapDisplay.from_search(search, x="criterion", y="max_depth")
    assert display.x_values == ["log_loss", "gini"]
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == ["None", "1"]


def test_a_map_of_sizes_that_are_arrays_of_unequal_length():
    net = MixupClassifier(max_epochs=1, n_estimators=1, random_state=0)
    grid = {"hidden_layer_sizes": [np.array([8]), np.array([4, 4])], "alpha": [0, 1]}
    search = MixupSearchCV(net, grid, cv=2, refit=False).fit(np.eye(9, 3), np.arange(9) % 3)
    display = SearchHeatMapDisplay.from_search(search, x="hidden_layer_sizes")
    assert display.x_values == [[8], [4, 4]]
    assert np.isfinite(display.scores).all()


# --------------------------------------------------------------------------- reliability


def test_curve_and_steps_follow_their_definitions():
    y, proba = predictions()
    display = ReliabilityDisplay.from_predictions(y, proba, n_bins=10, level=0.8)
    confidence, correct = proba.max(1), proba.argmax(1) == y
    expected = [
        (confidence[inside].mean(), correct[inside].mean())
        for k in range(10)
        if (inside := (confidence > k / 10) & (confidence <= (k + 1) / 10)).any()
    ]
    assert len(expected) < 10  # three classes: no confidence is below 1/3
    line = display.lines_["predictions"]
    np.testing.assert_allclose(line.get_xydata(), expected)
    (steps,) = display.histogram_ax_.patches
    shares, edges, _ = steps.get_data()
    counts = np.histogram(confidence, bins=10, range=(0, 1))[0]
    np.testing.assert_allclose(shares, counts / 4)
    np.testing.assert_allclose(edges, np.linspace(0, 1, 11), atol=1e-9)
    band = display.bands_["predictions"]
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(9)}
    bands = accuracy_intervals(calibration_bins(y, proba, 10), level=0.8).round(9)
    for end in ("low", "high"):
        assert set(zip(bands["confidence"], bands[end], strict=True)) <= corners
    assert band.get_facecolor()[0][:3] == pytest.approx(to_rgba(line.get_color())[:3])


def test_several_methods_have_a_name_an_error_and_a_color_each():
    y, proba = predictions()
    sharp = proba**3 / (proba**3).sum(1, keepdims=True)
    methods = {"mixup": proba, "plain": sharp}
    display = ReliabilityDisplay.from_predictions(y, methods, name="digits")
    errors = [expected_calibration_error(calibration_bins(y, p)) for p in methods.values()]
    labels = [f"{k}, ECE {e:.3f}" for k, e in zip(methods, errors, strict=True)]
    assert texts([display.ax_])[-3:] == ["calibrated", *labels]
    assert display.ax_.get_title() == "digits"
    colors = [to_rgba(line.get_color()) for line in display.lines_.values()]
    assert colors[0] != colors[1]
    assert [steps.get_edgecolor() for steps in display.histogram_ax_.patches] == colors


@pytest.mark.parametrize(
    ("place", "layout"), [("subplot", "constrained"), ("subplot", None), ("anywhere", None)]
)
def test_shares_lie_below_the_curves(place, layout):
    figure = Figure(layout=layout)
    ax = figure.subplots() if place == "subplot" else figure.add_axes([0.1, 0.4, 0.8, 0.5])
    display = ReliabilityDisplay.from_predictions(*predictions(), ax=ax)
    figure.draw_without_rendering()
    upper, lower = ax.get_window_extent(), display.histogram_ax_.get_window_extent()
    assert lower.y1 < upper.y0
    assert (lower.x0, lower.x1) == pytest.approx((upper.x0, upper.x1))
    assert display.histogram_ax_.get_xlim() == ax.get_xlim() == (0, 1)


def test_many_methods_have_no_bands_and_a_legend_outside():
    y, proba = predictions()
    three = {f"net {k}": proba for k in range(3)}
    assert set(ReliabilityDisplay.from_predictions(y, three).bands_) == set(three)
    assert not ReliabilityDisplay.from_predictions(y, three, level=None).bands_
    display = ReliabilityDisplay.from_predictions(y, {**three, "net 3": proba})
    assert not display.bands_
    display.figure_.draw_without_rendering()
    legend = display.ax_.get_legend().get_window_extent()
    assert legend.x0 >= display.ax_.get_window_extent().x1
    assert legend.x1 <= display.figure_.bbox.x1


def test_classifiers_are_drawn_whatever_their_labels():
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, Y3)
    codes = np.searchsorted(["blue", "green", "red"], Y3)
    expected = ReliabilityDisplay.from_predictions(codes, model.predict_proba(X), n_bins=5)
    display = ReliabilityDisplay.from_estimator(model, X, Y3, n_bins=5)
    np.testing.assert_allclose(
        display.lines_["LogisticRegression"].get_xydata(),
        expected.lines_["predictions"].get_xydata(),
    )
    display = ReliabilityDisplay.from_estimator({"one": model, "other": model}, X, Y3)
    assert list(display.lines_) == ["one", "other"]


# ---------------------------------------------------------------------------- boundaries


def shown(ax):
    """The meshes of probabilities."""
    return [part for part in ax.collections if isinstance(part, QuadMesh)]


def test_the_probabilities_of_two_classes():
    display = boundaries({"one": LINEAR}, X, Y2, grid_resolution=7)
    boundary = display.boundaries["one"]
    grid = np.c_[boundary.xx0.ravel(), boundary.xx1.ravel()]
    (mesh,) = shown(display.axes_[0])
    np.testing.assert_allclose(mesh.get_array().ravel(), LINEAR.predict_proba(grid)[:, 1])
    assert mesh.get_clim() == (0, 1)
    for end, color in zip((0.0, 1.0), class_colors(2), strict=True):
        np.testing.assert_allclose(mesh.cmap(end)[:3], color)
    assert display.colorbar_.ax.get_ylabel() == "probability of class True"


def test_the_probabilities_of_three_classes():
    display = boundaries({"one": LINEAR3}, X, Y3, grid_resolution=7)
    boundary = display.boundaries["one"]
    proba = LINEAR3.predict_proba(np.c_[boundary.xx0.ravel(), boundary.xx1.ravel()])
    meshes = shown(display.axes_[0])
    for k, (mesh, color) in enumerate(zip(meshes, class_colors(3), strict=True)):
        own, best = mesh.get_array().ravel(), proba.argmax(axis=1) == k
        np.testing.assert_array_equal(~np.ma.getmaskarray(own), best)
        np.testing.assert_allclose(own.compressed(), proba[best, k])
        np.testing.assert_allclose(mesh.cmap(1.0)[:3], color)
        assert mesh.get_clim() == (1 / 3, 1)
    assert display.colorbar_ is None
    points = {part.get_label(): part for part in display.axes_[0].collections}
    for label, color in zip(("blue", "green", "red"), class_colors(3), strict=True):
        np.testing.assert_allclose(points[label].get_facecolors()[0, :3], color)
        np.testing.assert_allclose(points[label].get_offsets(), X[label == Y3], rtol=1e-6)


def test_side_by_side_on_the_same_limits_with_names_of_columns():
    table = pd.DataFrame(X, columns=["height", "weight"])
    plain = LogisticRegression().fit(table, Y2)
    scaled = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(table, Y2)
    display = boundaries({"one": plain, "other": scaled}, table, Y2, grid_resolution=9)
    assert [ax.get_title() for ax in display.axes_] == ["one", "other"]
    left = display.axes_[0]
    assert (left.get_xlabel(), left.get_ylabel()) == ("height", "weight")
    for ax in display.axes_:
        for limits, column in ((ax.get_xlim(), X[:, 0]), (ax.get_ylim(), X[:, 1])):
            margin = 0.1 * np.ptp(column)
            # pcolormesh draws half a cell beyond the outermost points of the grid.
            cell = 1.2 * np.ptp(column) / 8 / 2
            expected = [column.min() - margin - cell, column.max() + margin + cell]
            np.testing.assert_allclose(limits, expected, rtol=1e-4)


def test_the_legend_keeps_to_an_empty_corner_and_a_constant_prediction_has_no_line():
    for flip in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
        points, y = np.array([[0, 0], [0, 1], [1, 0], [0.1, 0.1]]) * flip, [0, 1, 0, 1]
        net = LogisticRegression().fit(points, y)
        net.intercept_ = np.array([1000.0])  # matplotlib would warn of a line without points
        ax = MixupBoundaryDisplay.from_estimator(net, points, y, grid_resolution=5).axes_[0]
        ax.figure.draw_without_rendering()
        box = ax.get_legend().get_window_extent().transformed(ax.transAxes.inverted())
        assert ((np.array([box.x0 + box.x1, box.y0 + box.y1]) - 1) * flip > 0).all()


# -------------------------------------------------------------------------- mixed samples


@pytest.mark.parametrize("n", [2, 3, 7, 40])
def test_colors_of_classes_differ_and_fade_to_grey(n):
    colors = class_colors(n)
    assert colors.shape == (n, 3)
    assert len(np.unique(colors, axis=0)) == n
    np.testing.assert_allclose(label_colors(np.eye(n)), colors)
    assert np.ptp(label_colors(np.full((1, n), 1 / n))) == pytest.approx(0)
    share = np.linspace(0.5, 1, 9)
    away = np.linalg.norm(label_colors(np.c_[share, 1 - share]) - class_colors(2)[0], axis=1)
    assert (np.diff(away) < 0).all()


def test_mixup_lies_between_two_rows_with_the_label_of_its_weights():
    display = MixedSamplesDisplay.from_rule(X, Y3, alpha=1, n_samples=50)
    first, second = (a.ravel() for a in np.meshgrid(range(len(X)), range(len(X))))
    across, onehot = X[first] - X[second], np.eye(3)[np.unique(Y3, return_inverse=True)[1]]
    for point, label in zip(display.mixed, display.labels, strict=True):
        # The weight λ of every pair of rows for which the point lies between them.
        with np.errstate(invalid="ignore", divide="ignore"):
            lam = ((point - X[second]) * across).sum(axis=1) / (across**2).sum(axis=1)
        apart = np.abs(point - X[second] - lam[:, None] * across).max(axis=1)
        fits = (apart < 1e-4) & (lam > -1e-4) & (lam < 1.0001)
        labels = lam[:, None] * onehot[first] + (1 - lam[:, None]) * onehot[second]
        assert np.abs(labels[fits] - label).max(axis=1).min() < 1e-3
    colors = display.points_.get_facecolors()[:, :3]
    np.testing.assert_allclose(colors, label_colors(display.labels))


def test_rules_mix_as_they_say():
    draw = MixedSamplesDisplay.from_rule
    same = draw(X, Y3, "same_class", alpha=1)
    np.testing.assert_allclose(np.sort(same.labels), [[0, 0, 1]] * 1000, atol=1e-6)
    cut = draw(X, Y3, "cutmix", alpha=1, n_samples=200)
    for column in (0, 1):
        assert np.isin(cut.mixed[:, column], X[:, column]).all()
    plain = draw(pd.DataFrame(X, columns=["height", "weight"]), Y2, alpha=0, n_samples=60)
    assert texts([plain.ax_])[2:] == ["height", "weight", "False", "half of each", "True"]
    rows = np.sort(X, axis=0)
    np.testing.assert_array_equal(np.sort(plain.mixed, axis=0), rows)
    ordered = np.argsort(Y3)
    few = draw(X[ordered], Y3[ordered], alpha=0, n_samples=15)
    assert (few.labels.sum(axis=0) > 0).all()  # rows that come class by class are shuffled


def test_every_rule_that_mixes_inputs_of_a_classification_can_be_drawn():
    rows = set(map(tuple, X))
    for name, make in RULES.items():
        if not make().mixes_hidden and make().task != "regression":
            display = MixedSamplesDisplay.from_rule(X, Y3, name, alpha=1, n_samples=70)
            assert display.mixed.shape == (70, 2), name
            np.testing.assert_allclose(display.labels.sum(axis=1), 1, atol=1e-5)
            assert not set(map(tuple, display.mixed)) <= rows, name
            plt.close("all")


def test_the_seed_decides_and_that_of_torch_is_left_alone():
    before = torch.get_rng_state()
    for draw in (
        lambda seed: MixedSamplesDisplay.from_rule(X, Y3, random_state=seed).mixed,
        lambda seed: LambdaDisplay.from_alphas([1], n_draws=50, random_state=seed).draws,
        lambda seed: MixedPairDisplay.from_rule(YES, NO, random_state=seed).mixed,
    ):
        one, same, other = draw(0), draw(0), draw(1)
        np.testing.assert_array_equal(one, same)
        assert (one != other).any()
        assert draw(None).shape == draw(np.random.RandomState(0)).shape
    assert bool((torch.get_rng_state() == before).all())


# ------------------------------------------------------------------------------- lambda


def density(lam, alpha):
    """The definition: λ^(α−1) (1−λ)^(α−1) / B(α, α)."""
    return (lam * (1 - lam)) ** (alpha - 1) / special.beta(alpha, alpha)


def test_lines_are_densities_and_histograms_of_the_real_draw_follow_them():
    display = LambdaDisplay.from_alphas([0.2, 1, 8], n_draws=100_000, random_state=1)
    for alpha in (0.2, 1, 8):
        lam, shown = display.lines_[alpha].get_data()
        np.testing.assert_allclose(shown, density(lam, alpha), rtol=1e-6)
        height, edges, _ = display.histograms_[alpha].get_data()
        assert (height * np.diff(edges)).sum() == pytest.approx(1)
        share = np.diff(special.betainc(alpha, alpha, edges))  # exact, by bin
        error = np.sqrt(share * (1 - share) / 100_000)
        assert (np.abs(height * np.diff(edges) - share) < 5 * error + 1e-5).all()
    assert texts([display.ax_])[-3:] == ["α = 0.2", "α = 1", "α = 8"]
    # The middle is in sight although the ends have no bound.
    assert density(0.5, 8) < display.ax_.get_ylim()[1] < 10 * density(0.5, 8)


# ------------------------------------------------------------------------------- losses


def test_the_curves_are_those_of_the_estimator():
    net = MixupClassifier(alpha=0.3, mixing_span=(0.5, 1), early_stopping=True, **SMALL)
    pipeline = make_pipeline(StandardScaler(), net).fit(X, Y2)
    net = pipeline[-1]
    display = LossCurveDisplay.from_estimator(pipeline, name="net")
    losses = {key: line.get_ydata() for key, line in display.lines_.items()}
    np.testing.assert_array_equal(losses["mixed"][2:], net.loss_curve_[2:])
    assert np.isnan(losses["mixed"][:2]).all()
    np.testing.assert_array_equal(losses["unmixed"], net.loss_curve_)
    np.testing.assert_array_equal(losses["validation"], net.validation_loss_curve_)
    assert display.lines_["mixed"].get_xdata().tolist() == [1, 2, 3, 4]
    assert display.lines_["unmixed"].get_linestyle() == "--"
    assert display.lines_["mixed"].get_color() == display.lines_["unmixed"].get_color()
    assert not any("accuracy" in text for text in texts([display.ax_]))

    # Only what was mixed is called so.
    assert list(LossCurveDisplay([2, 1]).plot().lines_) == ["mixed"]
    display = LossCurveDisplay.from_estimator(net.set_params(alpha=0).fit(X, Y2))
    assert list(display.lines_) == ["unmixed", "validation"]
    assert texts([display.ax_])[-2:] == ["training, not mixed", "validation, not mixed"]


# ------------------------------------------------------------------------------- sounds


@pytest.mark.parametrize("hertz", [500, 3000])
def test_a_tone_lies_at_its_frequency(hertz):
    tone = 10_000 * np.sin(2 * np.pi * hertz * np.arange(8000) / 16_000)
    display = SpectrogramDisplay.from_waveform(tone.astype(np.int16), Spectrogram())
    image = display.image_.get_array()
    low, high = display.image_.get_extent()[2:]
    loudest = low + (image.mean(axis=1).argmax() + 0.5) * (high - low) / len(image)
    assert loudest == pytest.approx(hertz, abs=1)
    assert texts([display.ax_])[-2:] == ["time, s", "frequency, Hz"]


def test_a_click_lies_at_its_time_and_mel_bands_are_not_called_hertz():
    wave = np.zeros(16_000, dtype=np.int16)
    wave[4_000:4_004] = 20_000
    transformer = Spectrogram(kind="mel", hop_seconds=0.02, flatten=True)
    display = SpectrogramDisplay.from_waveform(wave, transformer)
    image = display.image_.get_array()
    left, right, *bands = display.image_.get_extent()
    time = left + (image.mean(axis=0).argmax() + 0.5) * (right - left) / image.shape[1]
    assert time == pytest.approx(0.25, abs=0.02)
    assert display.ax_.get_ylabel() == "mel band"
    assert bands == [-0.5, 39.5]
    assert transformer.flatten  # the user's own is not changed


def test_a_pair_is_mixed_with_the_given_weight():
    display = MixedPairDisplay.from_pair(YES, NO, 0.7, labels=("yes", "no"))
    np.testing.assert_allclose(display.mixed, 0.7 * YES + 0.3 * NO, rtol=1e-6)
    drawn = [ax.lines[0].get_ydata() for ax in display.axes_]
    np.testing.assert_array_equal(drawn, [YES, NO, display.mixed])
    titles = [ax.get_title() for ax in display.axes_]
    assert titles == ["yes", "no", "λ = 0.70: 0.70 yes + 0.30 no"]


def test_rules_show_the_weight_that_they_drew():
    for seed in range(3):
        display = MixedPairDisplay.from_rule(*IMAGES, alpha=0.5, random_state=seed)
        lam = display.lam
        assert lam < 1
        expected = lam * IMAGES[0] + (1 - lam) * IMAGES[1]
        np.testing.assert_allclose(display.mixed, expected, atol=1e-5)
        assert len({ax.images[0].get_clim() for ax in display.axes_}) == 1
        display = MixedPairDisplay.from_rule(*IMAGES, "cutmix", alpha=1, random_state=seed)
        kept, taken = display.mixed == IMAGES[0], display.mixed == IMAGES[1]
        assert (kept | taken).all()
        assert kept.mean() == pytest.approx(display.lam)


# ----------------------------------------------------------------------------- bad input


@dataclass(frozen=True)
class OfHiddenLayers(Mixup):
    mixes_hidden = True


@dataclass(frozen=True)
class OfValues(Mixup):
    task = "regression"


def test_bad_input_of_searches():
    curve, heat = AlphaCurveDisplay.from_search, SearchHeatMapDisplay.from_search
    auto = fit({"alpha": [0, "auto"]}, MixupClassifier(**{**SMALL, "max_epochs": 1}), cv=2)
    apart = fit([{"max_depth": [1]}, {"min_samples_leaf": [5]}], TREE)
    steps = Pipeline([("first", PCA()), ("then", TREE)])
    steps = fit({"first__random_state": [0], "then__random_state": [0, 1]}, steps)
    new = GridSearchCV(Ridge(), RIDGE)
    for draw, arguments, message in (
        (curve, {"search": fit({"tol": [1]})}, r"'alpha' was not searched.*\['tol'\]"),
        (curve, {"search": fit({"alpha": [1]}), "metric": "f1"}, "has only one metric"),
        (curve, {"search": auto}, "alpha must hold numbers .*'auto'"),
        (curve, {"search": new}, "not fitted"),
        (heat, {"search": fit(), "x": "tol"}, "'tol' was not searched"),
        (heat, {"search": fit(), "x": "alpha"}, "different parameters, got 'alpha' for both"),
        (heat, {"search": apart, **PAIR}, "No combination with max_depth and min_samples_leaf"),
        (heat, {"search": steps, "x": "random_state"}, r"any of \['first__random_state', 'th"),
    ):
        with pytest.raises(ValueError, match=message):
            draw(**arguments)


def test_bad_input_of_the_others():
    boundary, reliability = boundaries, ReliabilityDisplay
    samples, pair = MixedSamplesDisplay.from_rule, MixedPairDisplay.from_pair
    lam, loss = LambdaDisplay.from_alphas, LossCurveDisplay.from_estimator
    sound, blank = SpectrogramDisplay.from_waveform, np.where(X[0] == X, np.nan, X)
    svm, new, red = LinearSVC().fit(X, Y2), LogisticRegression(), Y3 == "red"
    two = {"one": LogisticRegression().fit(X[~red], Y3[~red]), "other": LINEAR3}
    pink, axes = np.where(red, "pink", Y3), Figure().subplots(2)
    for message, draw, *arguments in (
        (r"n_alphas = 2, got \(1, 2\)", AlphaCurveDisplay, [0, 1], [[1, 2]]),
        ("not fitted", AlphaCurveDisplay.from_estimator, MixupClassifier(alpha="auto")),
        (r"the shape .* = \(1, 2\)", SearchHeatMapDisplay, [1, 2], [3], [[0.5], [0.5]]),
        ("at least one finite", SearchHeatMapDisplay, [1, 2], [3], [[np.nan, np.inf]]),
        (r"y holds 'pink', .* \['bl", reliability.from_estimator, LINEAR3, X, pink),
        ("has no predict_proba.*Calibrated", reliability.from_estimator, svm, X, Y2),
        ("not fitted", reliability.from_estimator, new, X, Y2),
        ("at least one fitted classifier", reliability.from_estimator, {}, X, Y2),
        ("bins of at least one method", reliability.from_bins, {}),
        ("bins of at least one method", reliability.from_bins, {"none": pd.DataFrame()}),
        (r"two columns .*, got 3", boundary, {"one": LINEAR}, np.ones((60, 3)), Y2),
        ("at least one fitted classifier, got none", boundary, {}, X, Y2),
        (r"dict of .*, got LogisticRegr.*from_estimator", boundary, LINEAR, X, Y2),
        ("one has no predict_proba", boundary, {"one": svm}, X, Y2),
        (r"y holds .*, but one was fitted with .*'blue'", boundary, {"one": LINEAR3}, X, Y2),
        (r"must have the same classes.*\(other\)", boundary, two, X[~red], Y3[~red]),
        ("ax must hold 3 matplotlib Axes, got 2", MixedPairDisplay(YES, NO, NO, 0).plot, axes),
        ("at least two classes, got only 'red'", samples, X[red], Y3[red]),
        ("NaN", samples, blank, Y3),
        ("hidden layer", samples, X, Y3, OfHiddenLayers()),
        ("for regression", samples, X, Y3, OfValues()),
        ("alpha must be", partial(samples, alpha=-1), X, Y3),
        ("integer of at least 1, got 2.5", partial(samples, n_samples=2.5), X, Y3),
        ("alphas must hold at least one value of α", lam, []),
        ("alphas must hold at least one value of α", lam, [1, 0]),
        ("alphas must hold at least one value of α", lam, [np.nan]),
        ("integer of at least 0, got -1", partial(lam, n_draws=-1), [1]),
        ("one row for each of the 2 alphas, got 1", LambdaDisplay, [1, 2], [[0.5]]),
        ("not fitted", loss, MixupClassifier()),
        ("LogisticRegression has no loss_curve_", loss, LINEAR),
        (r"spectrogram must have .* got \(2, 3, 4\)", SpectrogramDisplay, np.ones((2, 3, 4))),
        (r"one clip of shape .*, got \(2, 300\)", sound, np.ones((2, 300)), Spectrogram()),
        (r"same shape, got \(40,\) and \(39,\)", pair, YES, NO[:-1], 0.5),
        (r"lam must lie in \[0, 1\], got 1.2", pair, YES, NO, 1.2),
        ("left the first example", partial(MixedPairDisplay.from_rule, alpha=0), YES, NO),
    ):
        with pytest.raises((ValueError, TypeError), match=message):
            draw(*arguments)
