"""alpha="auto": α chosen by cross-validation on the training rows."""

import copy
import pickle
import random
import re
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import clone
from sklearn.metrics import log_loss, mean_squared_error
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import compute_sample_weight
from skorch.callbacks import Callback

from mixup_tab import Mixup, MixupClassifier, MixupRegressor
from mixup_tab.estimators.alpha import ALPHAS
from mixup_tab.estimators.cross_fit import deal_folds
from mixup_tab.training import LearningRate

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
KINDS = {"classes": MixupClassifier, "values": MixupRegressor}


def auto(kind="classes", **params):
    return KINDS[kind](**{"alpha": "auto", **SMALL, **params})


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


# -------------------------------------------------------------------------- the choice

SETTINGS = {
    "plain": {},
    "ensemble with dropout": {"n_estimators": 2, "dropout": 0.3},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2},
    "batches and rule": {"batch_size": 40, "mixing": Mixup(folded=True)},
    "constant rate": {"callbacks": [LearningRate("constant")]},
}


@pytest.fixture(scope="module")
def fits():
    """Fits by kind and setting, for several tests that only look at them."""
    return {}


@pytest.fixture(params=SETTINGS)
def fitted(request, kind, rows, fits):
    """An estimator that has chosen α."""
    key = kind, request.param
    if key not in fits:
        fits[key] = auto(kind, **SETTINGS[request.param]).fit(*rows)
    return fits[key]


@pytest.fixture
def plainly_fitted(kind, rows, fits):
    """The one with default settings, to be looked at or copied."""
    key = kind, "plain"
    if key not in fits:
        fits[key] = auto(kind).fit(*rows)
    return fits[key]


def test_alpha_is_the_one_with_the_best_mean_score(fitted):
    means = {alpha: values.mean() for alpha, values in fitted.alpha_scores_.items()}
    assert list(means) == list(ALPHAS) == [0.0, 0.1, 0.3, 1.0]
    assert scores(fitted).shape == (4, 5)
    assert np.isfinite(scores(fitted)).all()
    assert (scores(fitted) < 0).all()
    assert means[fitted.alpha_] == max(means.values())


def test_the_fit_is_the_plain_fit_with_that_alpha(fitted, rows):
    plain = clone(fitted).set_params(alpha=fitted.alpha_).fit(*rows)
    assert plain.alpha_ == fitted.alpha_
    assert_array_equal(outputs(fitted, rows[0]), outputs(plain, rows[0]))
    assert fitted.loss_curve_ == plain.loss_curve_


def test_a_plain_fit_has_no_scores(kind, rows):
    plain = auto(kind, alpha=0.4).fit(*rows)
    assert plain.alpha_ == 0.4
    assert not hasattr(plain, "alpha_scores_")


def test_a_plain_fit_drops_the_scores_of_the_fit_before(plainly_fitted, rows):
    plain = copy.deepcopy(plainly_fitted).set_params(alpha=0.4).fit(*rows)
    assert plain.alpha_ == 0.4
    assert not hasattr(plain, "alpha_scores_")


# -------------------------------------------------------- what the scores are, in plain code


def reference_scores(kind, X, y, weight, params):
    """Fit every α on every fold, one after the other; standardised targets."""
    weight = np.ones(len(y)) if weight is None else weight
    if kind == "values":
        mean = np.average(y, weights=weight)
        y = (y - mean) / np.average((y - mean) ** 2, weights=weight) ** 0.5
    fold_of = deal_folds(y if kind == "classes" else y[:, None], 5, 0)
    table = np.empty((len(ALPHAS), 5))
    for row, alpha in enumerate(ALPHAS):
        for fold in range(5):
            train, test = fold_of != fold, fold_of == fold
            net = auto(kind, **{**params, "alpha": alpha})
            net.fit(X[train], y[train], weight[train])
            found = outputs(net, X[test])
            options = {"sample_weight": weight[test]}
            if kind == "classes":
                table[row, fold] = -log_loss(y[test], found, labels=net.classes_, **options)
            else:
                table[row, fold] = -mean_squared_error(y[test], found, **options)
    return table


@pytest.mark.parametrize(
    ("params", "weighted"),
    [({}, False), ({"dropout": 0.2, "n_estimators": 2}, True)],
    ids=["plain", "everything"],
)
def test_scores_are_those_of_fits_made_one_by_one(params, weighted, kind, rows, weights):
    weight = weights if weighted else None
    fitted = auto(kind, **params).fit(*rows, weight)
    expected = reference_scores(kind, *rows, weight, params)
    assert_allclose(scores(fitted), expected, rtol=1e-3)


def test_class_weights_are_weights_of_rows(two_classes):
    X, y = two_classes[0], (np.arange(60) % 4 == 0).astype(int)
    balanced = auto(class_weight="balanced").fit(X, y)
    explicit = auto().fit(X, y, compute_sample_weight("balanced", y))
    assert_allclose(scores(balanced), scores(explicit), rtol=1e-6)
    assert not np.allclose(scores(balanced), scores(auto().fit(X, y)))


def test_class_weights_by_name_count(two_classes):
    X, y = two_classes
    fitted = auto(class_weight={"no": 1.0, "yes": 7.0}).fit(X, np.array(["no", "yes"])[y])
    explicit = auto().fit(X, y, np.array([1.0, 7.0])[y])
    assert_allclose(scores(fitted), scores(explicit), rtol=1e-6)


def test_only_relative_weights_count(line, weights):
    one, other = (auto("values").fit(*line, factor * weights) for factor in (1, 4))
    assert_allclose(scores(one), scores(other), rtol=1e-5)


def test_rows_of_weight_zero_take_no_part(kind, rows, weights):
    weights[::3] = 0
    kept = weights > 0
    one = auto(kind).fit(*rows, weights)
    other = auto(kind).fit(rows[0][kept], rows[1][kept], weights[kept])
    assert_allclose(scores(one), scores(other), rtol=1e-5)
    assert_allclose(outputs(one, rows[0]), outputs(other, rows[0]), rtol=1e-5)


def test_labels_do_not_matter(three_classes):
    X, y = three_classes
    names = np.array(["ant", "bee", "cow"])[y]
    assert_array_equal(scores(auto().fit(X, y)), scores(auto().fit(X, names)))


def test_units_of_the_target_do_not_matter(line):
    X, y = line
    one, other = auto("values").fit(X, y), auto("values").fit(X, 1000 * y + 5)
    assert_allclose(scores(one), scores(other), rtol=1e-3)


def test_several_outputs(line):
    X, y = line
    fitted = auto("values").fit(X, np.c_[y, -y])
    assert scores(fitted).shape == (4, 5)
    assert fitted.predict(X).shape == (60, 2)


def test_folds_are_even_and_hold_every_class_evenly():
    y = np.repeat([0, 1, 2, 3], [31, 17, 5, 3])
    fold_of = deal_folds(y, 5, 0)
    sizes = np.bincount(fold_of, minlength=5)
    assert sizes.max() - sizes.min() <= 1
    for label in range(4):
        counts = np.bincount(fold_of[y == label], minlength=5)
        assert counts.max() - counts.min() <= 1


def test_folds_depend_on_the_seed_alone():
    y = np.arange(20.0)[:, None]
    assert_array_equal(deal_folds(y, 5, 3), deal_folds(-y, 5, 3))
    assert not np.array_equal(deal_folds(y, 5, 3), deal_folds(y, 5, 4))


# ------------------------------------------------------------------------- randomness


def test_the_same_seed_gives_the_same_bits(fitted, rows):
    again = clone(fitted).fit(*rows)
    assert_array_equal(scores(again), scores(fitted))
    assert_array_equal(outputs(again, rows[0]), outputs(fitted, rows[0]))


@pytest.mark.parametrize("seeds", [(0, 1), (None, None), [np.random.RandomState(0)] * 2])
def test_another_seed_gives_other_scores(seeds, two_classes):
    one, other = (auto(random_state=seed).fit(*two_classes) for seed in seeds)
    assert not np.allclose(scores(one), scores(other))


@contextmanager
def torch_threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [1, 3])
def test_the_number_of_threads_does_not_matter(threads, plainly_fitted, rows):
    with torch_threads(threads):
        again = clone(plainly_fitted).fit(*rows)
        assert torch.get_num_threads() == threads
    assert_array_equal(scores(again), scores(plainly_fitted))


def global_state():
    numpy_state = str(np.random.get_state())  # noqa: NPY002
    return random.getstate(), numpy_state, torch.get_rng_state().tolist()


def test_the_global_random_state_is_neither_read_nor_changed(kind, rows):
    net = auto(kind, dropout=0.3)
    before, one = global_state(), scores(net.fit(*rows))
    assert global_state() == before
    with torch.random.fork_rng():
        torch.manual_seed(99)
        assert_array_equal(scores(net.fit(*rows)), one)


# ------------------------------------------------------------- rare classes, tiny tables


@pytest.mark.parametrize("count", [1, 4])
def test_a_rare_class_is_no_obstacle(count, two_classes):
    X, y = two_classes[0], np.where(np.arange(60) < count, 9, two_classes[1])
    fitted = auto().fit(X, y)
    assert fitted.classes_.tolist() == [0, 1, 9]
    assert np.isfinite(scores(fitted)).all()


def test_many_classes_of_a_few_rows():
    y = np.repeat(np.arange(12), 2)
    X = np.eye(12)[y] + 0.1 * np.random.default_rng(0).normal(size=(24, 12))
    assert np.isfinite(scores(auto().fit(X, y))).all()


@pytest.mark.parametrize("n", [4, 7])
def test_tiny_tables_of_two_classes(n, two_classes):
    X, y = two_classes[0][:n], np.arange(n) % 2
    fitted = auto().fit(X, y)
    assert scores(fitted).shape == (4, min(n, 5))
    assert fitted.predict_proba(X).shape == (n, 2)


@pytest.mark.parametrize("n", [3, 7])
def test_tiny_tables_of_values(n, line):
    X, y = line[0][:n], line[1][:n]
    fitted = auto("values").fit(X, y)
    assert scores(fitted).shape == (4, min(n, 5))
    assert fitted.predict(X).shape == (n,)


CROSS_VALIDATES = r"alpha='auto' cross-validates on the training rows.*alpha as a number"


@pytest.mark.parametrize("y", [[0, 1], [0, 1, 1], [0, 1, 1, 1, 1]], ids=len)
def test_tables_too_small_for_folds_of_both_classes_are_refused(y, two_classes):
    with pytest.raises(ValueError, match=f"(?s){CROSS_VALIDATES}.*only one class"):
        auto().fit(two_classes[0][: len(y)], y)


def test_two_values_are_too_few(line):
    with pytest.raises(ValueError, match=f"(?s){CROSS_VALIDATES}.*1 sample"):
        auto("values").fit(line[0][:2], line[1][:2])


def test_folds_too_small_to_stop_early_are_refused(two_classes):
    X, y = two_classes[0], np.where(np.arange(60) < 2, 9, two_classes[1])
    with pytest.raises(ValueError, match=f"(?s){CROSS_VALIDATES}.*early_stopping=False"):
        auto(early_stopping=True).fit(X, y)


def test_an_error_leaves_the_estimator_as_it_was(plainly_fitted, rows):
    net = copy.deepcopy(plainly_fitted).set_params(learning_rate_init=1e30)
    before = vars(net).copy()
    with pytest.raises(ValueError, match=f"(?s){CROSS_VALIDATES}.*Lower the learning rate"):
        net.fit(*rows)
    assert vars(net) == before


@pytest.mark.parametrize("alpha", ["Auto", "best", ""])
def test_other_words_are_refused(alpha, kind, rows):
    message = f"alpha must be 'auto' or a number of at least 0 .*, got {alpha!r}"
    with pytest.raises(TypeError, match=message):
        auto(kind, alpha=alpha).fit(*rows)


def test_a_batch_of_all_rows_is_no_reason_to_warn(kind, rows):
    assert auto(kind, batch_size=60).fit(*rows).net_.batch_size == 60


# ------------------------------------------------------- partial_fit, warm_start, copies


def test_partial_fit_refuses_to_choose(kind, rows):
    net = auto(kind)
    with pytest.raises(ValueError, match=r"alpha='auto' needs all training rows.*Use fit"):
        net.partial_fit(*rows)
    assert not hasattr(net, "net_")
    assert not hasattr(net, "alpha_")


def test_partial_fit_goes_on_with_what_fit_has_chosen(plainly_fitted, rows):
    net = copy.deepcopy(plainly_fitted).partial_fit(*rows)
    assert net.alpha_ == net.net_.alpha == plainly_fitted.alpha_
    assert net.n_iter_ == 3
    assert_array_equal(scores(net), scores(plainly_fitted))


def test_a_warm_start_keeps_what_was_chosen(plainly_fitted, rows):
    net = copy.deepcopy(plainly_fitted).set_params(warm_start=True, random_state=7)
    net.fit(rows[0][::-2], rows[1][::-2])
    assert net.alpha_ == net.net_.alpha == plainly_fitted.alpha_
    assert net.n_iter_ == 4
    assert_array_equal(scores(net), scores(plainly_fitted))


def test_the_first_fit_of_a_warm_start_is_a_plain_one(plainly_fitted, kind, rows):
    warm = auto(kind, warm_start=True).fit(*rows)
    assert_array_equal(scores(warm), scores(plainly_fitted))
    assert_array_equal(outputs(warm, rows[0]), outputs(plainly_fitted, rows[0]))


def test_a_fit_chooses_anew(plainly_fitted, rows):
    net = copy.deepcopy(plainly_fitted).fit(rows[0][::2], rows[1][::2])
    assert not np.allclose(scores(net), scores(plainly_fitted))
    assert_array_equal(scores(net.fit(*rows)), scores(plainly_fitted))


def test_clones_choose_for_themselves(plainly_fitted):
    other = clone(plainly_fitted)
    assert other.get_params() == plainly_fitted.get_params()
    assert other.alpha == plainly_fitted.alpha == "auto"
    assert not hasattr(other, "alpha_")
    assert not hasattr(other, "alpha_scores_")


def test_a_pickled_estimator_keeps_scores_and_choice(plainly_fitted, rows):
    other = pickle.loads(pickle.dumps(plainly_fitted))
    assert other.alpha_ == plainly_fitted.alpha_
    assert_array_equal(scores(other), scores(plainly_fitted))
    assert_array_equal(outputs(other, rows[0]), outputs(plainly_fitted, rows[0]))


def test_names_of_columns_are_kept(plainly_fitted, kind, rows):
    frame = pd.DataFrame(rows[0], columns=list("abcd"))
    fitted = auto(kind).fit(frame, rows[1])
    assert fitted.feature_names_in_.tolist() == list("abcd")
    assert_array_equal(scores(fitted), scores(plainly_fitted))


def test_the_data_is_left_as_it_is(kind, rows, weights):
    data = *rows, weights
    before = copy.deepcopy(data)
    auto(kind).fit(*data)
    for part, old in zip(data, before, strict=True):
        assert_array_equal(part, old)


def test_a_users_module(kind, rows, noisy_net):
    fitted = auto(kind, module=noisy_net, max_epochs=1).fit(*rows)
    assert scores(fitted).shape == (4, 5)
    plain = clone(fitted).set_params(alpha=fitted.alpha_).fit(*rows)
    assert_array_equal(outputs(fitted, rows[0]), outputs(plain, rows[0]))


# --------------------------------------------------------------------------- callbacks


class Counter(Callback):
    """Counts the fits and epochs that it sees."""

    def __init__(self):
        self.fits_ = self.epochs_ = 0

    def on_train_begin(self, net, **kwargs):
        self.fits_ += 1

    def on_epoch_end(self, net, **kwargs):
        self.epochs_ += 1


def test_a_callback_of_the_users_sees_the_final_fit_alone(kind, rows):
    counter = Counter()
    auto(kind, callbacks=[counter]).fit(*rows)
    assert (counter.fits_, counter.epochs_) == (1, 2)


def test_callbacks_work_in_every_fold(plainly_fitted, kind, rows):
    constant = auto(kind, callbacks=[LearningRate("constant")]).fit(*rows)
    assert not np.allclose(scores(constant), scores(plainly_fitted))


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


def test_lines_are_printed_for_the_final_fit_alone(kind, rows, capsys):
    auto(kind, verbose=1).fit(*rows)
    assert len(re.findall(r"^ +\d+ ", capsys.readouterr().out, flags=re.M)) == 2


# ---------------------------------------------------------------------- inside other tools


def test_in_a_pipeline(kind, rows):
    X, y = rows
    model = make_pipeline(StandardScaler(), auto(kind)).fit(X, y)
    scaled = StandardScaler().fit_transform(X)
    alone = auto(kind).fit(scaled, y)
    assert_array_equal(scores(model[-1]), scores(alone))
    assert_array_equal(outputs(model[-1], scaled), outputs(alone, scaled))


def test_in_a_parallel_grid_search_it_is_one_of_the_values(two_classes):
    settings = {"param_grid": {"alpha": [0.0, "auto"]}, "cv": 2, "error_score": "raise"}
    one, two = (GridSearchCV(auto(), n_jobs=jobs, **settings) for jobs in (1, 2))
    found = [search.fit(*two_classes).cv_results_["mean_test_score"] for search in (one, two)]
    assert_array_equal(*found)
    best = auto(**two.best_params_).fit(*two_classes)
    assert_array_equal(two.predict_proba(two_classes[0]), best.predict_proba(two_classes[0]))
