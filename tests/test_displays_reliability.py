import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from mixup_tab.displays.calibration_bands import accuracy_intervals
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mixup_tab.displays import ReliabilityDisplay
from mixup_tab.metrics import calibration_bins, expected_calibration_error


def predictions(rows=400, seed=0):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet([1, 1, 1], rows)
    return (rng.random((rows, 1)) < proba.cumsum(1)).argmax(1), proba


def test_curve_is_accuracy_against_confidence_of_the_bins_that_hold_rows():
    y, proba = predictions()
    display = ReliabilityDisplay.from_predictions(y, proba, n_bins=10)
    confidence, correct = proba.max(1), proba.argmax(1) == y
    expected = [
        (confidence[inside].mean(), correct[inside].mean())
        for k in range(10)
        if (inside := (confidence > k / 10) & (confidence <= (k + 1) / 10)).any()
    ]
    assert len(expected) < 10  # three classes: no confidence is below 1/3
    (line,) = display.lines_.values()
    np.testing.assert_allclose(line.get_xydata(), expected)


def test_histogram_shows_the_share_of_rows():
    y, proba = predictions()
    display = ReliabilityDisplay.from_predictions(y, proba, n_bins=10)
    (steps,) = display.histogram_ax_.patches
    shares, edges, _ = steps.get_data()
    expected = np.histogram(proba.max(1), bins=10, range=(0, 1))[0] / 4
    np.testing.assert_allclose(shares, expected)
    np.testing.assert_allclose(edges, np.linspace(0, 1, 11), atol=1e-9)


def test_several_methods_have_a_name_an_error_and_a_colour_each():
    y, proba = predictions()
    sharp = proba**3 / (proba**3).sum(1, keepdims=True)
    display = ReliabilityDisplay.from_predictions(y, {"mixup": proba, "ERM": sharp})
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    errors = [expected_calibration_error(calibration_bins(y, part)) for part in (proba, sharp)]
    assert labels == [
        "calibrated",
        f"mixup, ECE {errors[0]:.3f}",
        f"ERM, ECE {errors[1]:.3f}",
    ]
    colors = [line.get_color() for line in display.lines_.values()]
    assert len(set(colors)) == 2
    assert [steps.get_edgecolor() for steps in display.histogram_ax_.patches] == [
        pytest.approx(rgba) for rgba in map(_rgba, colors)
    ]


def _rgba(color):
    from matplotlib.colors import to_rgba

    return to_rgba(color)


def test_bins_of_folds_are_those_of_all_rows():
    y, proba = predictions()
    parts = [calibration_bins(y[rows], proba[rows]) for rows in np.split(np.arange(400), 4)]
    of_folds = ReliabilityDisplay.from_bins({"net": pd.concat(parts)})
    at_once = ReliabilityDisplay.from_bins(calibration_bins(y, proba))
    np.testing.assert_allclose(
        of_folds.lines_["net"].get_xydata(), at_once.lines_["predictions"].get_xydata()
    )


@pytest.mark.parametrize(
    ("place", "layout"), [("subplot", "constrained"), ("subplot", None), ("anywhere", None)]
)
def test_draws_where_it_is_told(place, layout):
    figure = Figure(layout=layout)
    ax = figure.subplots() if place == "subplot" else figure.add_axes([0.1, 0.4, 0.8, 0.5])
    display = ReliabilityDisplay.from_predictions(*predictions(), ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    # The shares lie below the curves and have the same confidences above each other.
    display.figure_.draw_without_rendering()
    upper, lower = ax.get_window_extent(), display.histogram_ax_.get_window_extent()
    assert lower.y1 < upper.y0
    assert (lower.x0, lower.x1) == pytest.approx((upper.x0, upper.x1))
    assert display.histogram_ax_.get_xlim() == ax.get_xlim() == (0, 1)


def test_the_legend_of_many_methods_covers_no_curve():
    y, proba = predictions()
    display = ReliabilityDisplay.from_predictions(y, {f"net {k}": proba for k in range(8)})
    display.figure_.draw_without_rendering()
    legend = display.ax_.get_legend().get_window_extent()
    assert legend.x0 >= display.ax_.get_window_extent().x1
    assert legend.x1 <= display.figure_.bbox.x1


def test_bands_are_the_intervals_of_the_bins():
    y, proba = predictions()
    display = ReliabilityDisplay.from_predictions(y, proba, n_bins=10, level=0.8)
    (band,) = display.bands_.values()
    corners = {tuple(corner) for corner in band.get_paths()[0].vertices.round(9)}
    expected = accuracy_intervals(calibration_bins(y, proba, 10), level=0.8).round(9)
    for end in ("low", "high"):
        assert set(zip(expected["confidence"], expected[end], strict=True)) <= corners
    assert band.get_facecolor()[0][:3] == pytest.approx(
        _rgba(display.lines_["predictions"].get_color())[:3]
    )


def test_bands_would_hide_each_other_where_there_are_many():
    y, proba = predictions()
    three = {f"net {k}": proba for k in range(3)}
    assert set(ReliabilityDisplay.from_predictions(y, three).bands_) == set(three)
    assert not ReliabilityDisplay.from_predictions(y, {**three, "net 3": proba}).bands_
    assert not ReliabilityDisplay.from_predictions(y, three, level=None).bands_
    assert not ReliabilityDisplay.from_bins(calibration_bins(y, proba), level=None).bands_


def words(rows=90):
    rng = np.random.default_rng(0)
    y = np.array(["pear", "apple", "fig"])[np.arange(rows) % 3]
    return (np.arange(rows) % 3)[:, None] + rng.normal(size=(rows, 2)), y


def test_estimators_are_drawn_by_name_whatever_their_labels():
    X, y = words()
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(X, y)
    codes = np.searchsorted(["apple", "fig", "pear"], y)
    expected = ReliabilityDisplay.from_predictions(codes, model.predict_proba(X), n_bins=5)
    display = ReliabilityDisplay.from_estimator(model, X, y, n_bins=5)
    np.testing.assert_allclose(
        display.lines_["LogisticRegression"].get_xydata(),
        expected.lines_["predictions"].get_xydata(),
    )
    two = ReliabilityDisplay.from_estimator({"one": model, "other": model}, X, y)
    assert list(two.lines_) == ["one", "other"]


def test_labels_that_an_estimator_does_not_know_are_refused():
    X, y = words()
    model = LogisticRegression().fit(X[y != "fig"], y[y != "fig"])
    with pytest.raises(ValueError, match=r"y holds .*fig.* LogisticRegression has not seen"):
        ReliabilityDisplay.from_estimator(model, X, y)


def test_what_gives_no_picture_is_refused():
    X, y = words()
    with pytest.raises(TypeError, match="LinearSVC has no predict_proba"):
        ReliabilityDisplay.from_estimator(LinearSVC().fit(X, y), X, y)
    with pytest.raises(NotFittedError):
        ReliabilityDisplay.from_estimator(LogisticRegression(), X, y)
    with pytest.raises(ValueError, match="at least one fitted classifier, got none"):
        ReliabilityDisplay.from_estimator({}, X, y)
    for bins in ({}, {"none": pd.DataFrame()}):
        with pytest.raises(ValueError, match="bins of at least one method"):
            ReliabilityDisplay.from_bins(bins)
