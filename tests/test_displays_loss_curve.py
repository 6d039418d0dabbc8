import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab import MixupClassifier
from mixup_tab.displays import LossCurveDisplay

SMALL = {"hidden_layer_sizes": (4,), "n_estimators": 1, "max_epochs": 6, "random_state": 0}


def texts(display):
    labels = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    return " ".join([*labels, display.ax_.get_ylabel(), display.ax_.get_title()])


def test_the_curves_are_those_of_the_estimator(two_classes):
    net = MixupClassifier(alpha=0.3, early_stopping=True, **SMALL)
    pipeline = make_pipeline(StandardScaler(), net).fit(*two_classes)
    display = LossCurveDisplay.from_estimator(pipeline)
    net = pipeline[-1]
    np.testing.assert_array_equal(display.lines_["training"].get_ydata(), net.loss_curve_)
    np.testing.assert_array_equal(
        display.lines_["validation"].get_ydata(), net.validation_loss_curve_
    )
    assert display.lines_["training"].get_xdata().tolist() == [1, 2, 3, 4, 5, 6]
    assert "mixed examples" in texts(display)
    assert "accuracy" not in texts(display)


def shown(line):
    return line.get_xdata()[np.isfinite(line.get_ydata())].tolist()


def test_epochs_without_mixing_are_told_apart(two_classes):
    net = MixupClassifier(alpha=0.3, mixing_span=(1 / 3, 5 / 6), **SMALL).fit(*two_classes)
    lines = LossCurveDisplay.from_estimator(net).lines_
    assert shown(lines["plain"]) == [1, 2, 3, 6]
    assert shown(lines["training"]) == [3, 4, 5, 6]
    assert "validation" not in lines


def test_without_mixing_nothing_is_called_mixed(two_classes):
    net = MixupClassifier(alpha=0, mixing_span=(0.5, 1), **SMALL).fit(*two_classes)
    display = LossCurveDisplay.from_estimator(net)
    assert list(display.lines_) == ["training"]
    assert display.ax_.get_ylabel() == "loss"


def test_a_given_axes_is_drawn_in():
    ax = LossCurveDisplay([1.0]).plot().ax_
    ax.clear()
    display = LossCurveDisplay([3.0, 2.0], [2.5, 1.5]).plot(ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure
    assert len(ax.lines) == 2


def test_estimators_without_curves(two_classes):
    with pytest.raises(NotFittedError):
        LossCurveDisplay.from_estimator(MixupClassifier())
    with pytest.raises(TypeError, match="LogisticRegression has no loss_curve_"):
        LossCurveDisplay.from_estimator(LogisticRegression().fit(*two_classes))
