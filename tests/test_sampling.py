"""VicinalSampler: the vicinal distribution, labels, containers, errors, contracts."""

import importlib
import sys
from datetime import datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse, special, stats
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from mixup_tab.sampling import VicinalSampler
from mixup_tab.sampling._draws import draw_mixes, mixing_weights, size_biased
from mixup_tab.sampling._tables import check_labels, like, take

VARIANTS = [
    {},
    {"labels": "weighted", "keep": True},
    {"partners": "neighbors", "n_mixed": 3, "balance": True},
    {"partners": "same_class", "balance": True, "size": 40},
]
GOOD = np.arange(8.0).reshape(4, 2)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


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
    for i, j in np.ndindex(n, n):
        losses = log_losses(lam * CURVE[i] + (1 - lam) * CURVE[j])
        one, other = losses[:, CURVE_LABELS[[i, j]]].T
        mixed = lam[:, 0] * one + (1 - lam[:, 0]) * other
        total += np.average(mixed if both else one, weights=weights) / n**2
    return total


def mean_loss(labels, **params):
    """Weighted mean loss of one form of labels on a large sample, with its standard error."""
    sampler = VicinalSampler(labels=labels, random_state=0, size=40_000, **params)
    X, y = sampler.fit_resample(CURVE, CURVE_LABELS)
    y = y if labels == "soft" else np.eye(3)[y]
    losses = (log_losses(X) * y).sum(1) * sampler.sample_weight_
    losses = losses.reshape(sampler.n_mixed if labels == "weighted" else 1, -1).sum(0)
    return losses.mean(), losses.std() / np.sqrt(len(losses))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 2.5])
def test_unmixed_labels_have_the_expected_loss_of_mixed_ones(alpha):
    mixed = expected(alpha, alpha, both=True)
    assert expected(alpha + 1, alpha, both=False) == pytest.approx(mixed, rel=1e-9)
    for labels in ("soft", "unmixed", "weighted"):
        mean, error = mean_loss(labels, alpha=alpha)
        assert abs(mean - mixed) < 4 * error


@pytest.mark.parametrize(
    "params",
    [
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
    soft, soft_error = mean_loss("soft", **params)
    unmixed, error = mean_loss("unmixed", **params)
    assert mean_loss("weighted", **params)[0] == pytest.approx(soft, rel=1e-9)  # the same rows
    assert abs(unmixed - soft) < 4 * np.hypot(soft_error, error)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1, 8])
@pytest.mark.parametrize("n_mixed", [2, 3, 5])
def test_weights_are_dirichlet_and_the_size_biased_ones_too(alpha, n_mixed):
    weights = mixing_weights(alpha, 4000, n_mixed, generator=source())
    assert (weights >= 0).all()
    assert_allclose(weights.sum(1), 1)
    rest = (n_mixed - 1) * alpha
    marginal = stats.beta(alpha, rest)
    for one in weights.numpy().T:
        # Many weights are below 1e-12 if alpha is small, and make no difference to a row.
        assert stats.kstest(one.clip(1e-12), marginal.cdf).pvalue > 1e-5 or alpha < 0.1
        assert abs(one.mean() - 1 / n_mixed) < 4 * marginal.std() / np.sqrt(4000)
        assert one.std() == pytest.approx(marginal.std(), rel=0.1)
    if alpha >= 0.1:  # Dirichlet(α + 1, α, …, α)
        own, *others = size_biased(weights, generator=source(1)).numpy().T
        assert stats.kstest(own, stats.beta(alpha + 1, rest).cdf).pvalue > 1e-5
        for one in others:
            assert stats.kstest(one, stats.beta(alpha, rest + 1).cdf).pvalue > 1e-5


# ------------------------------------------------------------------- which rows are drawn


CODES = np.repeat([0, 1, 2], [4, 6, 20])
TABLE = np.random.default_rng(0).normal(size=(30, 3)) + CODES[:, None]


def mixes(**params):
    return draw_mixes(VicinalSampler(random_state=0, **params), TABLE, CODES)


@pytest.mark.parametrize(
    ("size", "count"), [(1.0, 30), (0.5, 15), (0.001, 1), (2.5, 75), (1, 1), (7, 7)]
)
def test_size_is_a_share_or_a_number(size, count):
    rows, weights = mixes(size=size, n_mixed=3)
    assert rows.shape == weights.shape == (count, 3)


def test_every_row_comes_first_equally_often_with_any_partner():
    rows, _ = mixes(size=3000)
    assert_array_equal(np.bincount(rows[:, 0]), 100)
    assert set(rows[:, 1]) == set(range(30))
    assert abs(np.corrcoef(rows.T)[0, 1]) < 0.06


def test_partners_of_the_same_class():
    rows, _ = mixes(size=300, n_mixed=3, partners="same_class")
    assert (CODES[rows] == CODES[rows[:, :1]]).all()
    assert len(np.unique(rows[:, 1])) == 30


@pytest.mark.parametrize("labels", ["soft", "unmixed"])
def test_partners_are_nearest_neighbours(labels):
    rows, _ = mixes(size=600, n_mixed=3, partners="neighbors", n_neighbors=2, labels=labels)
    near = NearestNeighbors(n_neighbors=2).fit(TABLE).kneighbors(return_distance=False)
    allowed = [{row, *near[row]} for row in range(30)]
    first = [set(mixed) <= allowed[mixed[0]] for mixed in rows.tolist()]
    some = [any(set(mixed) <= allowed[row] for row in mixed) for mixed in rows.tolist()]
    assert all(some)
    assert all(first) is (labels == "soft")  # any of the rows gives an unmixed label


@pytest.mark.parametrize("partners", ["any", "same_class", "neighbors"])
def test_balance_draws_first_rows_and_partners_of_all_classes_equally(partners):
    rows, _ = mixes(size=6000, balance=True, partners=partners, labels="soft")
    assert (np.diff(rows[:, 0]) < 0).any()
    of_row = np.bincount(rows[:, 0])
    for code in range(3):  # evenly over the classes, and over the rows of each class
        assert of_row[code == CODES].sum() == 2000
        assert np.ptp(of_row[code == CODES]) <= 1
        of_partner = np.bincount(rows[:, 1], minlength=30)[code == CODES]
        if partners == "any":
            assert stats.chisquare(of_partner).pvalue > 1e-5
        if partners != "neighbors":
            assert abs(of_partner.sum() - 2000) < 200
    odd, _ = mixes(size=7, balance=True)
    assert sorted(np.bincount(CODES[odd[:, 0]])) == [2, 2, 3]


# ----------------------------------------------------------------------------- labels


def test_soft_labels_are_mixed_as_the_rows_are(three_classes):
    _, y = three_classes
    X_drawn, y_drawn = draw(np.eye(3)[y], y, labels="soft", n_mixed=3, alpha=1.0)
    assert_allclose(y_drawn, X_drawn)
    assert y_drawn.shape == (60, 3)
    assert len(np.unique(X_drawn, axis=0)) > 40
    _, soft = draw(np.eye(3)[y], y, labels="soft", partners="same_class", alpha=1.0)
    assert ((soft > 1 - 1e-12) | (soft < 1e-12)).all()


def test_unmixed_labels_are_those_of_one_of_the_rows(three_classes):
    _, y = three_classes
    sampler = VicinalSampler(random_state=0, alpha=1.0)
    X_drawn, y_drawn = sampler.fit_resample(np.eye(3)[y], y)
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
    assert_allclose(weighted.reshape(n_mixed, 25, 3).sum(0), soft, atol=1e-12)
    assert_array_equal(y_drawn, y[sampler.sample_indices_])


def test_values_are_mixed_as_the_rows_are(line):
    X, _ = line
    target = X @ np.array([[1.0, 0.0], [-2.0, 1.0], [0.5, 3.0], [0.0, 0.0]])
    X_drawn, y_drawn = draw(X, target, labels="values", n_mixed=3, size=2.0)
    assert y_drawn.shape == (120, 2)
    assert_allclose(y_drawn[:, 0], X_drawn @ [1.0, -2.0, 0.5, 0.0], atol=1e-5)
    whole = (10 * X[:, 0]).astype(int)
    assert draw(X, whole, labels="values")[1].dtype == np.float64
    assert_array_equal(draw(X, whole > 0, labels="soft")[0], draw(X, whole, labels="values")[0])


def test_strategy_counts_the_labels_drawn():
    X, y = np.arange(12.0).reshape(-1, 1), np.repeat(["a", "b"], [9, 3])
    sampler = VicinalSampler(balance=True, size=20, keep=True, random_state=0)
    _, y_drawn = sampler.fit_resample(X, y)
    assert sampler.sampling_strategy_ == {"a": 10, "b": 10}
    assert np.unique(y_drawn, return_counts=True)[1].tolist() == [19, 13]


@pytest.mark.parametrize(
    "y", [["b", "a", "c"], [7, 1, 9], [True, False, True], np.array(["b", "a"], object)]
)
def test_labels_of_any_kind(y):
    classes, codes = check_labels(np.array(y))
    assert_array_equal(classes, np.unique(y))
    assert_array_equal(classes[codes], y)


@pytest.mark.parametrize("labels", ["unmixed", "soft"])
def test_one_hot_labels_dense_and_sparse(two_classes, labels):
    X, y = two_classes
    one_hot = np.eye(2, dtype=int)[y]
    sampler = VicinalSampler(labels=labels, random_state=0)
    _, dense = sampler.fit_resample(X, one_hot)
    assert sampler.classes_.tolist() == [0, 1]
    _, drawn = sampler.fit_resample(X, sparse.csr_matrix(one_hot))
    assert_array_equal(drawn.toarray() if sparse.issparse(drawn) else drawn, dense)


# ------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("labels", ["unmixed", "soft", "weighted", "values"])
def test_rows_given_come_first(two_classes, labels):
    X, y = two_classes
    sampler = VicinalSampler(labels=labels, keep=True, size=10, random_state=0)
    X_drawn, y_drawn = sampler.fit_resample(X, y)
    assert_array_equal(X_drawn[:60], X)
    assert_array_equal(y_drawn[:60], np.eye(2)[y] if labels == "soft" else y)
    assert_array_equal(sampler.sample_indices_[:60], np.arange(60))
    assert_array_equal(sampler.sample_weight_[:60], np.ones(60))
    assert len(X_drawn) == len(y_drawn) == len(sampler.sample_weight_)
    assert len(X_drawn) == 60 + (20 if labels == "weighted" else 10)
    without, _ = clone(sampler).set_params(keep=False).fit_resample(X, y)
    assert_array_equal(X_drawn[60:], without)


@pytest.mark.parametrize("params", [{}, {"n_mixed": 3}, {"partners": "neighbors"}], ids=str)
def test_without_alpha_rows_are_drawn_as_they_are(two_classes, params):
    X, y = two_classes
    sampler = VicinalSampler(0, **params, random_state=0)
    X_drawn, y_drawn = sampler.fit_resample(X, y)
    assert_array_equal(X_drawn, X[sampler.sample_indices_])
    assert_array_equal(y_drawn, y[sampler.sample_indices_])
    assert sorted(sampler.sample_indices_) == list(range(60))


def test_a_value_that_all_rows_share_is_kept_to_the_last_bit():
    X_drawn, _ = draw(np.full((8, 1), 0.1), list("abababab"), n_mixed=4, size=100)
    assert_array_equal(X_drawn, np.full((100, 1), 0.1))


@pytest.mark.parametrize("params", VARIANTS, ids=str)
def test_sparse_rows_are_mixed_as_dense_ones(two_classes, params):
    X, y = two_classes
    X = X * (np.abs(X) > 0.5)
    mixed, _ = draw(sparse.csr_array(X), y, **params)
    assert_allclose(mixed.toarray(), draw(X, y, **params)[0], rtol=1e-5)


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


# --------------------------------------------------------------------------- containers


def test_a_table_with_names_comes_back_as_one():
    X = pd.DataFrame({"a": np.arange(8, dtype=np.float32), "b": range(8)}, index=range(3, 11))
    y = pd.Series(list("xyxyxyxy"), name="label", index=X.index)
    sampler = VicinalSampler(random_state=0, size=2.0)
    X_drawn, y_drawn = sampler.fit_resample(X, y)
    assert sampler.feature_names_in_.tolist() == X_drawn.columns.tolist() == ["a", "b"]
    assert X_drawn.dtypes.tolist() == [np.float32, np.float64]  # integers are mixed too
    assert_allclose(X_drawn["a"], X_drawn["b"], rtol=1e-6)
    assert y_drawn.name == "label"
    assert y_drawn.dtype == y.dtype
    assert X_drawn.index.equals(y_drawn.index)
    assert X_drawn.index[0] == 0
    _, soft = draw(X, y, labels="soft")
    assert soft.columns.tolist() == ["x", "y"]


def test_targets_stay_in_their_container():
    rows = np.array([2, 0, 0])
    assert take(["a", "b", "c"], rows) == ["c", "a", "a"]
    series = pd.Series(["a", "b", "a"], name="label", dtype="category", index=[5, 6, 7])
    same = pd.Series(["a"] * 3, name="label", dtype=series.dtype)
    pd.testing.assert_series_equal(take(series, rows), same)
    frame = take(pd.DataFrame({"label": [1, 2, 3]}, index=[5, 6, 7]), rows)
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"label": [3, 1, 1]}))
    assert take(pl.Series("label", ["a", "b", "c"]), rows).to_list() == ["c", "a", "a"]


def test_mixed_tables_come_back_in_their_container():
    mixed = np.array([[0.5, 1.0], [1.5, 2.0]])
    assert like([[1, 2]], mixed) == mixed.tolist()
    assert like(pd.Series([1, 2], name="y"), mixed[:, 0]).name == "y"
    polars = pl.DataFrame({"a": [1], "b": [2]}, schema={"a": pl.Float32, "b": pl.Int64})
    assert like(polars, mixed).schema == {"a": pl.Float32, "b": pl.Float64}
    assert like(sparse.csc_matrix((2, 2)), sparse.csr_matrix(mixed)).format == "csc"
    twins = pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"])
    assert like(twins, np.ones((3, 2))).shape == (3, 2)


# ------------------------------------------------------------------------------ errors


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
def test_bad_parameters(params, message):
    for method in ("fit", "fit_resample"):
        with pytest.raises(ValueError, match=message):
            getattr(VicinalSampler(**params), method)(GOOD, [0, 1, 0, 1])


def test_true_is_no_size():
    with pytest.raises(TypeError, match="size must be a number, got True"):
        VicinalSampler(size=True).fit(GOOD, [0, 1, 0, 1])


DATES = pl.DataFrame({"n": [1.0, 2.0], "d": [datetime(2020, 1, 1), datetime(2020, 1, 2)]})
CATEGORIES = pd.DataFrame({"c": pd.Categorical([1, 2]), "d": pd.to_datetime([0, 1])})


@pytest.mark.parametrize(
    ("X", "y", "error", "message"),
    [
        (np.where(GOOD > 6, np.nan, GOOD), [0, 1, 0, 1], ValueError, "NaN(.|\n)*impute"),
        ([["a"], ["b"]], [0, 1], ValueError, "(.|\n)*Encode and impute"),
        (pd.DataFrame({"c": ["a", "b"]}), [0, 1], ValueError, "(.|\n)*TableEncoder"),
        (CATEGORIES, [0, 1], TypeError, r"\['c', 'd'\] of X hold categories or dates.*Encode"),
        (DATES, [0, 1], TypeError, r"Columns \['d'\] of X hold categories or dates.*Encode"),
        (GOOD, pd.array(["a", None, "b", "a"], "string"), TypeError, "NA(.|\n)*Drop rows"),
        (GOOD, [0.1, 0.2, 0.3, 0.4], ValueError, "y holds fractions.*labels='values'"),
        (GOOD, [0, 1, np.nan, 0], ValueError, "y contains NaN(.|\n)*Drop rows without"),
        (GOOD, [0, 1, 0], ValueError, "inconsistent numbers of samples"),
        (GOOD, [1, 1, 1, 1], ValueError, "only one class, 1; at least 2"),
        (GOOD, np.eye(4)[:, :2] + 1, ValueError, "Multilabel and multioutput"),
        (GOOD, [[1, 1], [0, 1], [1, 0], [1, 0]], ValueError, "Multilabel.*one label per row"),
        (GOOD, np.array(["a", None, "b", "a"], object), TypeError, "all be numbers.*without a"),
        (GOOD, np.array(["a", 1, "b", "a"], object), TypeError, "must all be strings"),
        (GOOD, np.array([b"a", b"b", b"a", b"b"]), TypeError, "represented as bytes"),
    ],
)
def test_bad_tables(X, y, error, message):
    with pytest.raises(error, match=message):
        VicinalSampler().fit_resample(X, y)


def test_text_is_no_value():
    with pytest.raises(TypeError, match=r"of numbers.*labels='unmixed'"):
        VicinalSampler(labels="values").fit(GOOD, list("abab"))


# -------------------------------------------------- scikit-learn and imbalanced-learn


@parametrize_with_checks(
    [VicinalSampler(random_state=0, **params) for params in ({}, VARIANTS[2])]
)
def test_scikit_learn_contract(estimator, check):
    check(estimator)


def test_imbalanced_learn_is_not_needed(monkeypatch, two_classes):
    monkeypatch.setitem(sys.modules, "imblearn", None)
    for name in [name for name in sys.modules if name.startswith("mixup_tab.sampling")]:
        monkeypatch.delitem(sys.modules, name)
    sampler = importlib.import_module("mixup_tab.sampling").VicinalSampler(random_state=0)
    X_drawn, y_drawn = sampler.fit_resample(*two_classes)
    assert LogisticRegression().fit(X_drawn, y_drawn).score(*two_classes) > 0.8


@pytest.fixture
def imblearn():
    return pytest.importorskip("imblearn", reason="needs the extra 'imbalance'")


def test_imbalanced_learn_contract(imblearn):
    checks = importlib.import_module("imblearn.utils.estimator_checks")
    names = {name for name in vars(checks) if name.startswith("check_sampler")}
    names -= {"check_samplers_string", "check_samplers_nan"}  # cannot be mixed
    names -= {"check_samplers_sample_indices"}  # asks for tags of imbalanced-learn's own
    names |= {"check_target_type", "check_param_validation"}
    names |= {"check_dataframe_column_names_consistency"}
    assert len(names) > 14
    for name in sorted(names):
        for params in VARIANTS[:3]:
            sampler = VicinalSampler(random_state=0, **params)
            getattr(checks, name)("VicinalSampler", sampler)
    assert imblearn.base.is_sampler(sampler)


@pytest.fixture
def pipeline(imblearn):
    make = importlib.import_module("imblearn.pipeline").make_pipeline
    return lambda **params: make(
        StandardScaler(), VicinalSampler(random_state=0, **params), LogisticRegression()
    )


def test_a_pipeline_trains_on_drawn_rows_and_predicts_the_given_ones(pipeline, three_classes):
    X, y = three_classes
    fitted = pipeline(size=4.0).fit(X, y)
    assert fitted.predict(X[:7]).shape == (7,)
    scaler, _, alone = (step for _, step in fitted.steps)
    drawn = draw(scaler.transform(X), y, size=4.0)
    assert_array_equal(alone.coef_, LogisticRegression().fit(*drawn).coef_)


def test_a_search_over_the_sampler_in_a_pipeline(pipeline, three_classes):
    grid = {"vicinalsampler__alpha": [0, 0.2], "vicinalsampler__balance": [False, True]}
    search = GridSearchCV(pipeline(), grid, cv=2, error_score="raise").fit(*three_classes)
    assert len(search.cv_results_["params"]) == 4


def test_probabilities_are_calibrated_on_rows_that_were_not_drawn(pipeline, two_classes):
    X, y = two_classes
    rare = np.flatnonzero((y == 0) | (np.arange(len(y)) % 4 == 0))
    X, y = X[rare], y[rare]
    balanced = pipeline(balance=True, size=4.0)
    raw = balanced.fit(X, y).predict_proba(X)[:, 1].mean()
    calibrated = CalibratedClassifierCV(balanced, method="sigmoid", cv=3).fit(X, y)
    assert raw > y.mean() + 0.1
    assert abs(calibrated.predict_proba(X)[:, 1].mean() - y.mean()) < 0.05
