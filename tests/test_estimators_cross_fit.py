"""Folds of the training rows, and alpha="auto": α chosen by cross-validation on them."""

import copy
import pickle
import random
import re

import joblib
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.utils import compute_sample_weight
from skorch.callbacks import Callback
from torch import nn

from mixup_tab import MixupClassifier, MixupEnsembleClassifier, MixupRegressor
from mixup_tab.estimators.cross_fit import ALPHAS, assign_folds, cross_fit
from mixup_tab.estimators.data import TrainingData
from mixup_tab.training import LearningRate

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
KINDS = {"classes": MixupClassifier, "values": MixupRegressor}


def make(kind="classes", **params):
    return KINDS[kind](**{**SMALL, **params})


def auto(kind="classes", **params):
    return make(kind, **{"alpha": "auto", **params})


def outputs(estimator, X):
    if hasattr(estimator, "predict_proba"):
        return estimator.predict_proba(X)
    return estimator.predict(X)


def scores(estimator):
    """Scores of all values of α and folds, shape (values, folds)."""
    return np.array(list(estimator.alpha_scores_.values()))


@pytest.fixture(params=KINDS)
def kind(request):
    return request.param


@pytest.fixture
def rows(kind, three_classes, line):
    """Sixty rows for a classifier or a regressor."""
    return three_classes if kind == "classes" else line


@pytest.fixture
def weights():
    """Weights of sixty rows that differ a hundredfold."""
    return np.random.default_rng(5).uniform(0.05, 5, 60)


@pytest.fixture(scope="module")
def fits():
    return {}


@pytest.fixture
def fitted(kind, rows, fits):
    """An estimator that has chosen α, to be looked at or copied."""
    if kind not in fits:
        fits[kind] = auto(kind).fit(*rows)
    return fits[kind]


# ------------------------------------------------------------------------------- folds


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 3), min_size=2, max_size=60), st.integers(2, 7), st.integers(0))
def test_folds_differ_by_one_row_at_most_in_all_and_in_every_class(codes, folds, seed):
    y = np.array(codes)
    fold_of = assign_folds(y, folds, seed)
    for rows in (fold_of, *(fold_of[y == k] for k in np.unique(y))):
        sizes = np.bincount(rows, minlength=folds)
        assert len(sizes) == folds
        assert np.ptp(sizes) <= 1
    assert_array_equal(fold_of, assign_folds(y, folds, seed))


def test_rows_with_values_are_assigned_at_random():
    y = np.arange(30.0).reshape(-1, 1)
    one, other = assign_folds(y, 5, 0), assign_folds(y, 5, 1)
    assert np.bincount(one).tolist() == [6] * 5
    assert (one != other).any()
    assert_array_equal(one, assign_folds(-y, 5, 0))


def predict(estimator, rows):
    return estimator.predict(rows.X), rows


@pytest.mark.parametrize("weighted", [False, True])
def test_every_job_is_the_estimator_alone_without_its_fold(weighted, kind, rows, weights):
    X, y = rows
    y = y if kind == "classes" else y.reshape(-1, 1)
    weight = weights.astype(np.float32) if weighted else None
    fold_of = assign_folds(y, 3, 0)
    variants = [{}, {"embedding": "quantile"}, {"mixing": "cutmix", "dropout": 0.2}]
    jobs = [(make(kind, **params), fold) for params in variants for fold in range(3)]
    data = TrainingData(X, y, weight, 3 if kind == "classes" else 1)
    found = cross_fit(jobs, data, fold_of, predict, n_jobs=1 + weighted)
    for (one, fold), (predicted, left_out) in zip(jobs, found, strict=True):
        kept = fold_of != fold
        alone = clone(one).fit(X[kept], y[kept], weight[kept] if weighted else None)
        assert_array_equal(left_out.X, X[~kept])
        assert_array_equal(left_out.y, y[~kept])
        if weighted:
            assert_array_equal(left_out.sample_weight, weight[~kept])
        assert_allclose(predicted, alone.predict(X[~kept]).reshape(predicted.shape), atol=1e-3)
        assert_allclose(outputs(one, X), outputs(alone, X), atol=1e-3)


def test_cross_fit_reports_epochs_and_raises_what_a_fit_raises(two_classes):
    fold_of, data = assign_folds(two_classes[1], 3, 0), TrainingData(*two_classes, None, 2)
    epochs = []
    jobs = [(make(), fold) for fold in range(3)]
    cross_fit(jobs, data, fold_of, predict, on_epochs=epochs.append)
    assert sum(epochs) == 3 * 2
    jobs = [(make(learning_rate_init=1e30), fold) for fold in range(3)]
    with pytest.raises(ValueError, match="learning_rate_init"):
        cross_fit(jobs, data, fold_of, predict)


# -------------------------------------------------------------------------- the choice


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_estimators": 2, "callbacks": [LearningRate("constant")]},
        {"early_stopping": True},
    ],
    ids=["plain", "ensemble", "early stopping"],
)
def test_the_best_alpha_is_chosen_and_fitted(params, kind, rows):
    fitted = auto(kind, **params).fit(*rows)
    means = {alpha: values.mean() for alpha, values in fitted.alpha_scores_.items()}
    assert list(means) == list(ALPHAS) == [0.0, 0.3, 1.0]
    assert scores(fitted).shape == (3, 3)
    assert (scores(fitted) < 0).all()
    assert means[fitted.alpha_] == max(means.values())
    plain = clone(fitted).set_params(alpha=fitted.alpha_).fit(*rows)
    assert_array_equal(outputs(fitted, rows[0]), outputs(plain, rows[0]))
    assert fitted.loss_curve_ == plain.loss_curve_
    assert not hasattr(plain, "alpha_scores_")


def scores_by_hand(kind, X, y, weight, params):
    """Fit every α on every fold, one after the other; standardised targets."""
    if kind == "values":
        mean = np.average(y, weights=weight)
        y = (y - mean) / np.average((y - mean) ** 2, weights=weight) ** 0.5
    fold_of = assign_folds(y if kind == "classes" else y[:, None], 3, 0)
    table = np.empty((len(ALPHAS), 3))
    for row, alpha in enumerate(ALPHAS):
        for fold in range(3):
            train, test = fold_of != fold, fold_of == fold
            net = make(kind, **{**params, "alpha": alpha})
            found = outputs(net.fit(X[train], y[train], weight[train]), X[test])
            options = {"sample_weight": weight[test]}
            if kind == "classes":
                table[row, fold] = -log_loss(y[test], found, labels=net.classes_, **options)
            else:
                table[row, fold] = -mean_squared_error(y[test], found, **options)
    return table


@pytest.mark.parametrize("weighted", [False, True])
def test_scores_are_those_of_fits_made_one_by_one(weighted, kind, rows, weights):
    weight = weights if weighted else np.ones(60)
    params = {"dropout": 0.2, "n_estimators": 2} if weighted else {}
    fitted = auto(kind, **params).fit(*rows, weight)
    assert_allclose(scores(fitted), scores_by_hand(kind, *rows, weight, params), rtol=1e-3)


def test_of_a_large_table_a_sample_chooses(kind, rows, weights, monkeypatch):
    monkeypatch.setattr("mixup_tab.estimators.cross_fit.MOST_ROWS", 40)
    fitted = auto(kind).fit(*rows, weights)
    chosen = np.sort(np.random.default_rng(0).choice(60, 40, replace=False))
    monkeypatch.undo()
    part = auto(kind).fit(*(values[chosen] for values in (*rows, weights)))
    if kind == "classes":  # values are standardised by all rows
        assert_allclose(scores(fitted), scores(part), rtol=1e-5)
    plain = clone(fitted).set_params(alpha=fitted.alpha_).fit(*rows, weights)
    assert_array_equal(outputs(fitted, rows[0]), outputs(plain, rows[0]))
    assert (scores(fitted) != scores(auto(kind).fit(*rows, weights))).any()


def test_class_weights_are_weights_of_rows(two_classes):
    X, y = two_classes[0], (np.arange(60) % 4 == 0).astype(int)
    balanced = auto(class_weight="balanced").fit(X, y)
    explicit = auto().fit(X, y, compute_sample_weight("balanced", y))
    assert_allclose(scores(balanced), scores(explicit), rtol=1e-6)
    named = auto(class_weight={"no": 1.0, "yes": 7.0}).fit(X, np.array(["no", "yes"])[y])
    explicit = auto().fit(X, y, np.array([1.0, 7.0])[y])
    assert_allclose(scores(named), scores(explicit), rtol=1e-6)


def test_weights_are_relative_and_zero_removes_a_row(kind, rows, weights):
    weights[::3] = 0
    kept = weights > 0
    one = auto(kind).fit(*rows, 4 * weights)
    other = auto(kind).fit(rows[0][kept], rows[1][kept], weights[kept])
    assert_allclose(scores(one), scores(other), rtol=1e-5)


def test_labels_units_and_names_do_not_matter(fitted, kind, rows):
    X, y = rows
    other_y = np.array(["ant", "bee", "cow"])[y] if kind == "classes" else 1000 * y + 5
    frame = pd.DataFrame(X, columns=list("abcd"))
    before = copy.deepcopy(rows)
    assert_allclose(scores(auto(kind).fit(frame, other_y)), scores(fitted), rtol=1e-3)
    assert_array_equal(X, before[0])


def test_several_outputs(line):
    fitted = auto("values").fit(line[0], np.c_[line[1], -line[1]])
    assert scores(fitted).shape == (3, 3)
    assert fitted.predict(line[0]).shape == (60, 2)


# ------------------------------------------------------------------------- randomness


def global_state():
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    return random.getstate(), numpy_state, torch.get_rng_state().tolist()


def test_the_same_seed_gives_the_same_bits_whatever_else(kind, rows, fitted):
    threads, before = torch.get_num_threads(), global_state()
    torch.set_num_threads(3)
    try:
        again = clone(fitted).fit(*rows)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(threads)
    assert global_state() == before
    assert_array_equal(scores(again), scores(fitted))
    assert_array_equal(outputs(again, rows[0]), outputs(fitted, rows[0]))


@pytest.mark.parametrize("seeds", [(0, 1), (None, None), [np.random.RandomState(0)] * 2])
def test_another_seed_gives_other_scores(seeds, two_classes):
    one, other = (auto(random_state=seed).fit(*two_classes) for seed in seeds)
    assert not np.allclose(scores(one), scores(other))


# ------------------------------------------------------------- rare classes, tiny tables


def test_rare_classes_and_tiny_tables(two_classes, line):
    X, y = two_classes
    rare = auto().fit(X, np.where(np.arange(60) < 1, 9, y))
    assert rare.classes_.tolist() == [0, 1, 9]
    assert np.isfinite(scores(rare)).all()
    tiny = auto().fit(X[:4], np.arange(4) % 2)
    assert scores(tiny).shape == (3, 3)
    assert scores(auto("values").fit(line[0][:3], line[1][:3])).shape == (3, 3)


CROSS_VALIDATES = r"alpha='auto' runs a cross-validation.*Set alpha to a number"


def test_tables_that_are_too_small_are_refused(two_classes):
    X, _ = two_classes
    cases = [
        (auto(), [0, 1], "only one class"),
        (auto(), [0, 1, 1, 1, 1], "only one class"),
        (auto("values"), [0.5, 1.5], "1 sample"),
    ]
    for net, targets, message in cases:
        with pytest.raises(ValueError, match=f"(?s){CROSS_VALIDATES}.*{message}"):
            net.fit(X[: len(targets)], targets)


class GivesNaN(nn.Linear):
    """Gives NaN for large inputs, if it has seen none in training."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)
        self.register_buffer("top", torch.zeros(1))

    def forward(self, x):
        if self.training:
            self.top = torch.maximum(self.top, x.amax()).detach()
        unknown = (x.amax(1, keepdim=True) > 20) & (self.top < 20)
        return super().forward(x) + 0 * torch.sqrt(1.0 - 2.0 * unknown)


def test_predictions_that_are_not_finite_are_no_score(kind, rows, two_classes):
    """The first alpha was the best, and an ensemble preferred the net that gives NaN."""
    X, y = rows[0].copy(), rows[1]
    X[7] = 50.0
    with pytest.raises(ValueError, match=f"(?s){CROSS_VALIDATES}.*infinite or NaN for rows"):
        auto(kind, module=GivesNaN).fit(X, y)
    kinds = [{"max_epochs": 1}, {"module": GivesNaN, "max_epochs": 1}]
    ensemble = MixupEnsembleClassifier(candidates=kinds, cv=2, random_state=0)
    with pytest.warns(FitFailedWarning, match="infinite or NaN for rows"):
        ensemble.fit(X, two_classes[1])
    assert_array_equal(ensemble.weights_, [1, 0])


def test_a_subclass_that_changes_rows_changes_them_once(kind, rows):
    """Rows have passed its ``fit`` when alpha is chosen."""

    class Scales(KINDS[kind]):
        def fit(self, X, y, sample_weight=None):
            return super().fit(9 * X, y, sample_weight)

        def predict(self, X):
            return super().predict(9 * X)

        def predict_log_proba(self, X):
            return super().predict_log_proba(9 * X)

    X, y = rows
    own, plain = Scales(**SMALL, alpha="auto").fit(X, y), auto(kind).fit(9 * X, y)
    assert_array_equal(scores(own), scores(plain))


def test_an_error_leaves_the_estimator_as_it_was(fitted, rows):
    net = copy.deepcopy(fitted).set_params(learning_rate_init=1e30)
    before = vars(net).copy()
    with pytest.raises(ValueError, match=f"(?s){CROSS_VALIDATES}.*Lower the learning rate"):
        net.fit(*rows)
    assert vars(net) == before


def test_a_batch_of_all_rows_is_no_reason_to_warn(kind, rows):
    assert auto(kind, batch_size=60).fit(*rows).net_.batch_size == 60


# ------------------------------------------------------- partial_fit, warm_start, copies


def test_partial_fit_refuses_to_choose_but_keeps_what_fit_chose(kind, rows, fitted):
    net = auto(kind)
    with pytest.raises(ValueError, match=r"does not work with partial_fit.*Use fit"):
        net.partial_fit(*rows)
    assert not hasattr(net, "alpha_")
    net = copy.deepcopy(fitted).partial_fit(*rows)
    assert net.alpha_ == net.net_.alpha == fitted.alpha_
    assert net.n_iter_ == 3
    assert_array_equal(scores(net), scores(fitted))


def test_a_warm_start_keeps_what_was_chosen_and_a_cold_fit_chooses_anew(fitted, rows):
    warm = copy.deepcopy(fitted).set_params(warm_start=True, random_state=7)
    warm.fit(rows[0][::2], rows[1][::2])
    assert warm.alpha_ == warm.net_.alpha == fitted.alpha_
    assert warm.n_iter_ == 4
    assert_array_equal(scores(warm), scores(fitted))
    cold = copy.deepcopy(fitted).fit(rows[0][::2], rows[1][::2])
    assert not np.allclose(scores(cold), scores(fitted))
    plain = cold.set_params(alpha=0.4).fit(*rows)
    assert plain.alpha_ == 0.4
    assert not hasattr(plain, "alpha_scores_")


def test_copies(fitted, rows):
    pickled = pickle.loads(pickle.dumps(fitted))
    assert_array_equal(scores(pickled), scores(fitted))
    assert_array_equal(outputs(pickled, rows[0]), outputs(fitted, rows[0]))
    assert clone(fitted).alpha == "auto"
    assert not hasattr(clone(fitted), "alpha_scores_")


# ------------------------------------------------------------ callbacks and other tools


class Counter(Callback):
    """Counts the fits and epochs that it sees."""

    def __init__(self):
        self.fits_ = self.epochs_ = 0

    def on_train_begin(self, net, **kwargs):
        self.fits_ += 1

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1


def test_callbacks_and_lines_are_of_the_final_fit_alone(kind, rows, capsys):
    counter = Counter()
    auto(kind, callbacks=[counter], verbose=1).fit(*rows)
    assert (counter.fits_, counter.epochs_) == (1, 2)
    assert len(re.findall(r"^ +\d+ ", capsys.readouterr().out, flags=re.M)) == 2


class Tasks:
    """A callback of scikit-learn's that notes what begins and ends."""

    def __init__(self):
        self.names = []

    def setup(self, estimator, context):
        self.names.append("setup")

    def teardown(self, estimator, context):
        self.names.append("teardown")

    def on_fit_task_begin(self, estimator, context, *, X=None, y=None):
        self.names.append(context.task_name)

    def on_fit_task_end(self, estimator, context, *, X=None, y=None, fitted_estimator=None):
        return False


def test_scikit_learns_callbacks_see_the_final_fit_alone(kind, rows):
    pytest.importorskip("sklearn.callback")
    tasks = Tasks()
    auto(kind).set_callbacks(tasks).fit(*rows)
    assert tasks.names == ["setup", "fit", "epoch", "epoch", "teardown"]


def test_in_a_parallel_grid_search_it_is_one_of_the_values(two_classes):
    settings = {"param_grid": {"alpha": [0.0, "auto"]}, "cv": 2, "error_score": "raise"}
    one, two = (GridSearchCV(auto(), n_jobs=jobs, **settings) for jobs in (1, 2))
    with joblib.parallel_config("threading"):
        found = [
            search.fit(*two_classes).cv_results_["mean_test_score"] for search in (one, two)
        ]
    assert_array_equal(*found)
