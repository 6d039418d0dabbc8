import importlib
import sys
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_array_equal
from scipy import sparse, special
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixup_tab.sampling import VicinalSampler

VARIANTS = [
    {},
    {"labels": "weighted", "keep": True},
    {"partners": "neighbors", "n_mixed": 3},
    {"partners": "same_class", "balance": True, "size": 40},
]


@parametrize_with_checks(
    [VicinalSampler(random_state=0, **params) for params in ({}, VARIANTS[2])]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def draw(X, y, **params):
    return VicinalSampler(random_state=0, **params).fit_resample(X, y)


# ------------------------------------------------------------------- the vicinal risk


CURVE = np.array([[-1.0, 0.4], [0.3, -0.7], [0.8, 0.9], [2.0, -1.5]])
CURVE_LABELS = np.array([0, 1, 2, 1])


def log_losses(X):
    """Loss of a fixed classifier for each of three labels, shape (rows, 3)."""
    logits = np.stack([np.sin(3 * X[:, 0]), X[:, 1] ** 2, X[:, 0] - X[:, 1]], axis=1)
    return np.logaddexp.reduce(logits, axis=1, keepdims=True) - logits


def expected(p, q, both):
    """Mean over all pairs of a loss on the line between them, with λ ~ Beta(p, q).

    By Gauss-Jacobi quadrature, whose weight function is the density of λ.
    """
    nodes, weights = special.roots_jacobi(40, q - 1, p - 1)
    lam = ((nodes + 1) / 2)[:, None]
    total, n = 0.0, len(CURVE)
    for i in range(n):
        for j in range(n):
            losses = log_losses(lam * CURVE[i] + (1 - lam) * CURVE[j])
            one, other = losses[:, CURVE_LABELS[[i, j]]].T
            mixed = lam[:, 0] * one + (1 - lam[:, 0]) * other
            total += np.average(mixed if both else one, weights=weights) / n**2
    return total


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.5])
def test_unmixed_labels_have_the_expected_loss_of_mixed_ones(alpha):
    mixed = expected(alpha, alpha, both=True)
    assert expected(alpha + 1, alpha, both=False) == pytest.approx(mixed, rel=1e-9)
    for labels in ("soft", "unmixed", "weighted"):
        mean, error = mean_loss(labels, alpha=alpha, size=40_000)
        assert abs(mean - mixed) < 4 * error


def mean_loss(labels, **params):
    """Weighted mean loss of one label form on a large sample, with its standard error."""
    sampler = VicinalSampler(labels=labels, random_state=0, **params)
    X, y = sampler.fit_resample(CURVE, CURVE_LABELS)
    y = y if labels == "soft" else np.eye(3)[y]
    losses = (log_losses(X) * y).sum(1) * sampler.sample_weight_
    losses = losses.reshape(sampler.n_mixed if labels == "weighted" else 1, -1).sum(0)
    return losses.mean(), losses.std() / np.sqrt(len(losses))


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.2},
        {"alpha": 0.2, "n_mixed": 3},
        {"alpha": 1.0, "n_mixed": 4},
        {"partners": "neighbors", "n_neighbors": 1, "alpha": 1.0},
        {"partners": "neighbors", "n_neighbors": 1, "alpha": 0.5, "n_mixed": 3},
        {"partners": "same_class", "alpha": 1.0},
        {"balance": True, "alpha": 1.0},
    ],
    ids=str,
)
def test_all_forms_of_labels_have_the_same_mean_loss(params):
    soft, soft_error = mean_loss("soft", size=40_000, **params)
    unmixed, error = mean_loss("unmixed", size=40_000, **params)
    weighted, _ = mean_loss("weighted", size=40_000, **params)
    assert weighted == pytest.approx(soft, rel=1e-9)  # the same rows
    assert abs(unmixed - soft) < 4 * np.hypot(soft_error, error)


# ----------------------------------------------------------------------------- labels


def test_soft_labels_are_mixed_as_the_rows_are(three_classes):
    _, y = three_classes
    one_hot = np.eye(3)[y]
    X_drawn, y_drawn = draw(one_hot, y, labels="soft", n_mixed=3, alpha=1.0)
    np.testing.assert_allclose(y_drawn, X_drawn)
    assert y_drawn.shape == (60, 3)
    assert len(np.unique(X_drawn, axis=0)) > 40


def test_unmixed_labels_are_those_of_one_of_the_rows(three_classes):
    _, y = three_classes
    one_hot = np.eye(3)[y]
    sampler = VicinalSampler(random_state=0, alpha=1.0)
    X_drawn, y_drawn = sampler.fit_resample(one_hot, y)
    assert_array_equal(y_drawn, y[sampler.sample_indices_])
    assert (X_drawn[np.arange(60), y_drawn] > 0).all()
    assert X_drawn[np.arange(60), y_drawn].mean() > 0.6  # Beta(2, 1) has mean 2/3
    assert np.bincount(y_drawn).tolist() == [20, 20, 20]
    assert_array_equal(sampler.sample_weight_, np.ones(60))


@pytest.mark.parametrize("n_mixed", [2, 3])
def test_weighted_labels_add_up_to_soft_ones(three_classes, n_mixed):
    X, y = three_classes
    sampler = VicinalSampler(random_state=0, labels="weighted", n_mixed=n_mixed, size=25)
    X_drawn, y_drawn = sampler.fit_resample(X, y)
    X_soft, soft = draw(X, y, labels="soft", n_mixed=n_mixed, size=25)
    assert_array_equal(X_drawn, np.tile(X_soft, (n_mixed, 1)))
    weighted = np.eye(3)[y_drawn] * sampler.sample_weight_[:, None]
    np.testing.assert_allclose(weighted.reshape(n_mixed, 25, 3).sum(0), soft, atol=1e-12)
    assert_array_equal(y_drawn, y[sampler.sample_indices_])


def test_values_are_mixed_as_the_rows_are(line):
    X, _ = line
    target = X @ np.array([[1.0, 0.0], [-2.0, 1.0], [0.5, 3.0], [0.0, 0.0]])
    X_drawn, y_drawn = draw(X, target, labels="values", n_mixed=3, size=2.0)
    assert y_drawn.shape == (120, 2)
    np.testing.assert_allclose(y_drawn[:, 0], X_drawn @ [1.0, -2.0, 0.5, 0.0], atol=1e-5)


def test_rows_of_the_same_class_keep_their_label(three_classes):
    X, y = three_classes
    _, soft = draw(X, y, labels="soft", partners="same_class", alpha=1.0)
    assert ((soft > 1 - 1e-12) | (soft < 1e-12)).all()


def test_strategy_counts_the_labels_drawn():
    X, y = np.arange(12.0).reshape(-1, 1), np.repeat(["a", "b"], [9, 3])
    sampler = VicinalSampler(balance=True, size=20, keep=True, random_state=0)
    _, y_drawn = sampler.fit_resample(X, y)
    assert sampler.sampling_strategy_ == {"a": 10, "b": 10}
    assert np.unique(y_drawn, return_counts=True)[1].tolist() == [19, 13]


# ------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("labels", ["unmixed", "soft", "weighted", "values"])
def test_rows_given_come_first(two_classes, labels):
    X, y = two_classes
    sampler = VicinalSampler(labels=labels, keep=True, size=10, random_state=0)
    X_drawn, y_drawn = sampler.fit_resample(X, y)
    given = np.eye(2)[y] if labels == "soft" else y
    assert_array_equal(X_drawn[:60], X)
    assert_array_equal(y_drawn[:60], given)
    assert_array_equal(sampler.sample_indices_[:60], np.arange(60))
    assert_array_equal(sampler.sample_weight_[:60], np.ones(60))
    assert len(X_drawn) == len(y_drawn) == len(sampler.sample_weight_)
    assert len(X_drawn) == 60 + (20 if labels == "weighted" else 10)
    without, _ = clone(sampler).set_params(keep=False).fit_resample(X, y)
    assert_array_equal(X_drawn[60:], without)


@pytest.mark.parametrize("n_mixed", [2, 3])
def test_without_alpha_rows_are_drawn_as_they_are(two_classes, n_mixed):
    X, y = two_classes
    sampler = VicinalSampler(0, n_mixed=n_mixed, random_state=0)
    X_drawn, y_drawn = sampler.fit_resample(X, y)
    assert_array_equal(X_drawn, X[sampler.sample_indices_])
    assert_array_equal(y_drawn, y[sampler.sample_indices_])
    assert sorted(sampler.sample_indices_) == list(range(60))


def test_a_table_with_names_comes_back_as_one():
    X = pd.DataFrame({"a": np.arange(8, dtype=np.float32), "b": range(8)}, index=range(3, 11))
    y = pd.Series(list("xyxyxyxy"), name="label", index=X.index)
    sampler = VicinalSampler(random_state=0, size=2.0)
    X_drawn, y_drawn = sampler.fit_resample(X, y)
    assert sampler.feature_names_in_.tolist() == X_drawn.columns.tolist() == ["a", "b"]
    assert X_drawn.dtypes.tolist() == [np.float32, np.float64]
    np.testing.assert_allclose(X_drawn["a"], X_drawn["b"], rtol=1e-6)
    assert y_drawn.name == "label"
    assert y_drawn.dtype == y.dtype
    assert X_drawn.index.equals(y_drawn.index)
    _, soft = draw(X, y, labels="soft")
    assert soft.columns.tolist() == ["x", "y"]


@pytest.mark.parametrize("params", VARIANTS, ids=str)
def test_sparse_rows_are_mixed_as_dense_ones(two_classes, params):
    X, y = two_classes
    X = X * (np.abs(X) > 0.5)
    mixed, _ = draw(sparse.csr_array(X), y, **params)
    np.testing.assert_allclose(mixed.toarray(), draw(X, y, **params)[0], rtol=1e-5)


def test_random_state_alone_decides(two_classes):
    X, y = two_classes
    numpy_before, torch_before = np.random.get_state()[1], torch.get_rng_state()  # noqa: NPY002
    one, again = draw(X, y, n_mixed=3), draw(X, y, n_mixed=3)
    for first, second in zip(one, again, strict=True):
        assert_array_equal(first, second)
    other, _ = VicinalSampler(n_mixed=3, random_state=1).fit_resample(X, y)
    assert (other != one[0]).any()
    assert_array_equal(np.random.get_state()[1], numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_same_rows_for_all_labels_but_unmixed(two_classes):
    X, y = two_classes
    assert_array_equal(draw(X, y, labels="soft")[0], draw(X, y, labels="values")[0])


# ------------------------------------------------------------------------------ errors


GOOD = np.arange(8.0).reshape(4, 2)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"alpha": -0.1}, r"'alpha' parameter .* Got -0.1"),
        ({"alpha": float("nan")}, r"'alpha' parameter .* Got nan"),
        ({"alpha": float("inf")}, r"'alpha' parameter .* Got inf"),
        ({"alpha": "auto"}, r"'alpha' parameter .* Got 'auto'"),
        ({"size": 0}, r"'size' parameter .* Got 0"),
        ({"size": -1.5}, r"'size' parameter .* Got -1.5"),
        ({"labels": "hard"}, r"'labels' parameter .*'unmixed'.* Got 'hard'"),
        ({"partners": "other"}, r"'partners' parameter .*'same_class'.* Got 'other'"),
        ({"n_mixed": 1}, r"'n_mixed' parameter .* Got 1"),
        ({"partners": "neighbors"}, r"n_neighbors=5 needs at least 6 rows, got n_samples=4"),
        ({"labels": "values", "balance": True}, r"need classes.*balance=True"),
        ({"labels": "values", "partners": "same_class"}, r"need classes.*'same_class'"),
    ],
    ids=str,
)
@pytest.mark.parametrize("method", ["fit", "fit_resample"])
def test_bad_parameters(params, message, method):
    with pytest.raises(ValueError, match=message):
        getattr(VicinalSampler(**params), method)(GOOD, [0, 1, 0, 1])


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (np.where(GOOD > 6, np.nan, GOOD), [0, 1, 0, 1], ValueError, "NaN(.|\n)*impute first"),
        ([["a"], ["b"]], [0, 1], ValueError, "(.|\n)*Encode and impute"),
        (pd.DataFrame({"c": ["a", "b"]}), [0, 1], ValueError, "(.|\n)*OneHotEncoder"),
        (
            pd.DataFrame({"c": pd.Categorical([1, 2]), "d": pd.to_datetime([0, 1])}),
            [0, 1],
            TypeError,
            r"Columns \['c', 'd'\] of X hold categories or dates.*OneHotEncoder",
        ),
        (
            pl.DataFrame({"n": [1.0, 2.0], "d": [datetime(2020, 1, 1), datetime(2020, 1, 2)]}),
            [0, 1],
            TypeError,
            r"Columns \['d'\] of X hold categories or dates.*OneHotEncoder",
        ),
        (
            GOOD,
            pd.Series(["a", None, "b", "a"], dtype="string"),
            TypeError,
            "NA(.|\n)*Drop rows without",
        ),
        (GOOD, [0.1, 0.2, 0.3, 0.4], ValueError, "labels='values'"),
        (GOOD, [0, 1, np.nan, 0], ValueError, "y contains NaN(.|\n)*Drop rows without"),
        (GOOD, [0, 1, 0], ValueError, "inconsistent numbers of samples"),
        (GOOD, [1, 1, 1, 1], ValueError, "only one class, 1"),
    ],
)
def test_bad_tables(X, y, error, message):
    with pytest.raises(error, match=message):
        VicinalSampler().fit_resample(X, y)


def test_true_is_no_size():
    with pytest.raises(TypeError, match="size must be a number, got True"):
        VicinalSampler(size=True).fit(GOOD, [0, 1, 0, 1])


@pytest.mark.parametrize("labels", ["unmixed", "soft"])
def test_sparse_one_hot_labels(two_classes, labels):
    X, y = two_classes
    one_hot = np.eye(2, dtype=int)[y]
    sampler = VicinalSampler(labels=labels, random_state=0)
    _, dense = sampler.fit_resample(X, one_hot)
    _, drawn = sampler.fit_resample(X, sparse.csr_matrix(one_hot))
    drawn = drawn.toarray() if sparse.issparse(drawn) else drawn
    np.testing.assert_array_equal(drawn, dense)


def test_imbalanced_learn_is_not_needed(monkeypatch, two_classes):
    monkeypatch.setitem(sys.modules, "imblearn", None)
    for name in [name for name in sys.modules if name.startswith("mixup_tab.sampling")]:
        monkeypatch.delitem(sys.modules, name)
    sampler = importlib.import_module("mixup_tab.sampling").VicinalSampler(random_state=0)
    X_drawn, y_drawn = sampler.fit_resample(*two_classes)
    assert LogisticRegression().fit(X_drawn, y_drawn).score(*two_classes) > 0.8
