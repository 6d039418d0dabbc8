import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from mixup_tab.displays.class_colors import class_colors
from sklearn.datasets import make_blobs
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from mixup_tab import MixupClassifier
from mixup_tab.displays.boundary import MixupBoundaryDisplay

X, CODES = make_blobs(60, centers=3, random_state=0)
Y3 = np.array(["red", "green", "blue"])[CODES]
Y2 = CODES > 0
LINEAR, LINEAR3 = LogisticRegression().fit(X, Y2), LogisticRegression().fit(X, Y3)
draw = MixupBoundaryDisplay.from_estimators


def shown(ax):
    """The meshes of probabilities."""
    return [part for part in ax.collections if isinstance(part, QuadMesh)]


def test_the_probabilities_of_two_classes():
    display = draw({"one": LINEAR}, X, Y2, grid_resolution=7)
    boundary = display.boundaries["one"]
    grid = np.c_[boundary.xx0.ravel(), boundary.xx1.ravel()]
    expected = LINEAR.predict_proba(grid)[:, 1]
    (mesh,) = shown(display.axes_[0])
    np.testing.assert_allclose(mesh.get_array().ravel(), expected)
    assert mesh.get_clim() == (0, 1)
    for end, color in zip((0.0, 1.0), class_colors(2), strict=True):
        np.testing.assert_allclose(mesh.cmap(end)[:3], color)
    assert display.colorbar_.ax.get_ylabel() == "probability of class True"


def test_the_probabilities_of_three_classes():
    display = draw({"one": LINEAR3}, X, Y3, grid_resolution=7)
    boundary = display.boundaries["one"]
    proba = LINEAR3.predict_proba(np.c_[boundary.xx0.ravel(), boundary.xx1.ravel()])
    meshes = shown(display.axes_[0])
    for k, (mesh, color) in enumerate(zip(meshes, class_colors(3), strict=True)):
        own = mesh.get_array().ravel()
        np.testing.assert_array_equal(~np.ma.getmaskarray(own), proba.argmax(axis=1) == k)
        np.testing.assert_allclose(own.compressed(), proba[proba.argmax(axis=1) == k, k])
        np.testing.assert_allclose(mesh.cmap(1.0)[:3], color)
        assert mesh.get_clim() == (1 / 3, 1)
    assert display.colorbar_ is None


def test_side_by_side_on_the_same_limits():
    scaled = make_pipeline(StandardScaler(), LogisticRegression(C=0.01)).fit(X, Y2)
    display = draw({"one": LINEAR, "other": scaled}, X, Y2, grid_resolution=9)
    assert [ax.get_title() for ax in display.axes_] == ["one", "other"]
    for ax in display.axes_:
        for limits, column in ((ax.get_xlim(), X[:, 0]), (ax.get_ylim(), X[:, 1])):
            margin = 0.1 * np.ptp(column)
            # pcolormesh draws half a cell beyond the outermost points of the grid.
            cell = 1.2 * np.ptp(column) / 8 / 2
            expected = [column.min() - margin - cell, column.max() + margin + cell]
            np.testing.assert_allclose(limits, expected, rtol=1e-4)


def test_points_have_the_colours_of_their_classes():
    ax = draw([LINEAR3], X, Y3, grid_resolution=5).axes_[0]
    points = [part for part in ax.collections if part.get_label() in ("blue", "green", "red")]
    for part, color in zip(points, class_colors(3), strict=True):
        np.testing.assert_allclose(part.get_facecolors()[0, :3], color)
        own = X[part.get_label() == Y3]
        np.testing.assert_allclose(part.get_offsets(), own, rtol=1e-6)


def test_a_table_keeps_its_columns():
    table = pd.DataFrame(X, columns=["height", "weight"])
    clf = LogisticRegression().fit(table, Y2)
    (ax,) = draw({"one": clf}, table, Y2, grid_resolution=5).axes_
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("height", "weight")


def test_a_sequence_is_named_by_class_and_alpha():
    nets = [
        MixupClassifier(alpha, n_estimators=1, max_epochs=1, random_state=0).fit(X, Y2)
        for alpha in (0, 0.4)
    ]
    display = draw([*nets, LINEAR, LINEAR], X, Y2, grid_resolution=5)
    assert list(display.boundaries) == [
        "MixupClassifier, α = 0",
        "MixupClassifier, α = 0.4",
        "LogisticRegression",
        "4: LogisticRegression",
    ]


def test_a_classifier_that_always_predicts_the_same_has_no_line(recwarn):
    sure = LogisticRegression().fit(X, Y2)
    sure.intercept_ = np.array([1000.0])
    draw({"sure": sure}, X, Y2, grid_resolution=5)
    assert not recwarn.list


@pytest.mark.parametrize("flip", [(1, 1), (1, -1), (-1, 1), (-1, -1)])
def test_the_legend_keeps_to_an_empty_corner(flip):
    points = np.array([[0, 0], [0, 1], [1, 0], [0.1, 0.1], [0.5, 0.5]]) * flip
    y = [0, 1, 0, 1, 0]
    ax = draw([LogisticRegression().fit(points, y)], points, y, grid_resolution=5).axes_[0]
    ax.figure.canvas.draw()
    box = ax.get_legend().get_window_extent().transformed(ax.transAxes.inverted())
    centre = (np.array([box.x0 + box.x1, box.y0 + box.y1]) - 1) * flip
    assert (centre > 0).all()


def test_given_axes_are_drawn_in_and_pyplot_hears_of_nothing():
    before = plt.get_fignums()
    axes = Figure().subplots(2)
    estimators = {"one": LINEAR, "other": LINEAR}
    display = draw(estimators, X, Y2, grid_resolution=5, axes=axes)
    assert list(display.axes_) == list(axes)
    assert plt.get_fignums() == before
    with pytest.raises(ValueError, match="axes must be 2 matplotlib Axes, got 1"):
        display.plot(axes[:1])


def test_arguments_that_make_no_picture():
    with pytest.raises(ValueError, match=r"two columns .*, got 3"):
        draw([LINEAR], np.ones((60, 3)), Y2)
    with pytest.raises(ValueError, match="at least one fitted classifier, got none"):
        draw({}, X, Y2)
    with pytest.raises(TypeError, match=r"in a dict, by name, or in a list, got Logistic"):
        draw(LINEAR, X, Y2)
    with pytest.raises(NotFittedError):
        draw([LogisticRegression()], X, Y2)
    with pytest.raises(TypeError, match="LinearSVC has no predict_proba"):
        draw([LinearSVC().fit(X, Y2)], X, Y2)
    with pytest.raises(ValueError, match=r"one has \[False, True\] and other has \['blue'"):
        draw({"one": LINEAR, "other": LINEAR3}, X, Y2)
    with pytest.raises(ValueError, match=r"does not know: \['pink'\]"):
        draw([LINEAR3], X, np.where(Y3 == "red", "pink", Y3))
