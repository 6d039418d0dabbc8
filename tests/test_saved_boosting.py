"""Boosting models inside of saved ensembles: the same bits again, no tree that leads astray."""

import copy

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)

from mixup_tab import MixupEnsembleClassifier, MixupEnsembleRegressor
from mixup_tab.persistence import load_model, save_model
from mixup_tab.persistence.boosting import from_plain, to_plain

ROWS = 400
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 5))
X[::5, 0] = np.nan
X[:, 2] = RNG.integers(0, 7, ROWS)
X[:, 4] = RNG.integers(0, 200, ROWS)
X[::11, 2] = np.nan
# Rows as they may come later: categories that are not known, large numbers, nothing.
NEW = np.where(RNG.random(X.shape) < 0.2, 300 * RNG.normal(size=X.shape), X)
NEW[0], NEW[1] = np.nan, 1e300
SUM = np.nan_to_num(X[:, 0]) + X[:, 1] + np.nan_to_num(X[:, 2]) % 2
FEW = {"max_iter": 8, "early_stopping": False}


def fitted(target="three", columns=(2, 4), **params):
    """A boosting model of a target: "two" or "three" classes, or "values"."""
    kind = (
        HistGradientBoostingRegressor if target == "values" else HistGradientBoostingClassifier
    )
    y = {"two": SUM > 0, "three": np.digitize(SUM, [0, 1]), "values": np.exp(SUM)}[target]
    columns = None if columns is None else list(columns)
    return kind(categorical_features=columns, **FEW, **params).fit(X, y)


def again(model):
    return from_plain(type(model).__name__, to_plain(model))


@pytest.mark.parametrize("columns", [None, (2, 4), (4,), (False, False, True, False, False)])
@pytest.mark.parametrize(
    ("target", "params"),
    [
        ("two", {"class_weight": "balanced"}),
        ("three", {"max_leaf_nodes": 3, "interaction_cst": "pairwise"}),
        ("values", {}),
        ("values", {"loss": "poisson", "l2_regularization": 1.5}),
        ("values", {"loss": "quantile", "quantile": 0.9}),
    ],
)
def test_a_model_from_its_plain_form_predicts_the_same_bits(target, params, columns):
    model = fitted(target, columns, **params)
    other = again(model)
    for rows in (X, NEW):
        np.testing.assert_array_equal(other.predict(rows), model.predict(rows))
        if target != "values":
            probabilities = model.predict_proba(rows)
            np.testing.assert_array_equal(other.predict_proba(rows), probabilities)
    assert other.get_params() == model.get_params()
    assert other.n_iter_ == model.n_iter_


def test_a_model_that_is_not_fitted_has_its_parameters():
    model = HistGradientBoostingRegressor(max_iter=7, loss="gamma", monotonic_cst=[0, 1])
    assert again(model).get_params() == model.get_params()
    assert not hasattr(again(model), "n_features_in_")


@pytest.mark.parametrize(
    "params", [{"scoring": max}, {"class_weight": {0: 1, 1: 2}}, {"interaction_cst": ({0},)}]
)
def test_parameters_that_are_no_json_are_named(params):
    model = HistGradientBoostingClassifier(**params)
    with pytest.raises(ValueError, match=f"cannot be saved: .* with {next(iter(params))}="):
        to_plain(model)


# ------------------------------------------------------------------------------ ensembles


def packed(candidate, target="three"):
    frame = pd.DataFrame(np.nan_to_num(X), columns=list("abcde"))
    frame["c"] = frame["c"].astype("category")
    kind = MixupEnsembleRegressor if target == "values" else MixupEnsembleClassifier
    net = {"hidden_layer_sizes": (2,), "max_epochs": 1}
    y = SUM if target == "values" else np.array(["ä", "b", "c"])[np.digitize(SUM, [0, 1])]
    return kind(candidates=[net, candidate], cv=2, random_state=0).fit(frame, y), frame


@pytest.mark.parametrize(
    ("kind", "target"),
    [(HistGradientBoostingClassifier, "three"), (HistGradientBoostingRegressor, "values")],
)
def test_an_ensemble_with_boosting_is_saved(kind, target, tmp_path):
    model, frame = packed(kind(categorical_features=[2], **FEW), target)
    assert model.weights_[1] > 0
    save_model(model, tmp_path / "m")
    loaded = load_model(tmp_path / "m")
    np.testing.assert_array_equal(loaded.predict(frame), model.predict(frame))
    assert loaded.candidates_[1].get_params() == model.candidates_[1].get_params()


def test_another_estimator_in_an_ensemble_is_named(tmp_path):
    model, _ = packed(RandomForestClassifier(2))
    with pytest.raises(ValueError, match=r"cannot be saved: .*RandomForestClassifier"):
        save_model(model, tmp_path / "m")


# --------------------------------------------------------------------------------- hostile


def node(field, value, flag="is_leaf", wanted=0):
    """Return how the field of the last node that is a split, or of another kind, changes."""

    def change(plain):
        nodes = plain["nodes"]
        place = np.flatnonzero(nodes[flag] == wanted)[-1]
        nodes[field][place] = value(plain, place) if callable(value) else value

    return change


def entry(name, value):
    def change(plain):
        plain[name] = value(plain[name]) if callable(value) else value

    return change


def field(name, value):
    return lambda plain: plain["nodes"].update({name: value(plain["nodes"][name])})


def own_place(plain, place):
    """The number that a node has in its own tree, which is the last."""
    return place - (len(plain["nodes"]["value"]) - plain["sizes"][-1])


CATEGORICAL = {"flag": "is_categorical", "wanted": 1}
BROKEN = {
    "a child beyond its tree": node("left", 2**32 - 1),
    "a child of the next tree": node("right", lambda p, k: p["sizes"][-1]),
    "a node that is its own child": node("left", own_place),
    "a child that is the root": node("right", 0),
    "a column beyond the last": node("feature_idx", 5),
    "a column before the first": node("feature_idx", -1),
    "categories of numbers": field("is_categorical", lambda a: np.ones_like(a)),
    "categories beyond the last": node("bitset_idx", 2**31, **CATEGORICAL),
    "a leaf that is a split": node("is_leaf", 0, wanted=1),
    "a value that is no number": node("value", np.nan, wanted=1),
    "a value that is infinite": node("value", np.inf, wanted=1),
    "nodes of another dtype": field("left", lambda a: a.astype(np.int64)),
    "fewer nodes in one array": field("gain", lambda a: a[1:]),
    "a table of nodes": field("gain", lambda a: a[:, None]),
    "no nodes": entry("nodes", {}),
    "other sizes": entry("sizes", lambda a: a + 1),
    "sizes below 0": entry("sizes", lambda a: np.r_[-1, a[1:-1], a[0] + a[-1] + 1]),
    "a tree without nodes": entry("sizes", lambda a: np.r_[0, a[0] + a[1], a[2:]]),
    "sizes that are no integers": entry("sizes", lambda a: a.astype(float)),
    "sizes that are too many": entry("bitset_sizes", lambda a: np.r_[a, 0]),
    "a tree too few": entry("sizes", lambda a: np.r_[a[:-2], a[-2] + a[-1]]),
    "sizes that hide": entry(
        "sizes", lambda a: np.ma.MaskedArray(np.r_[a, 7], np.r_[a < 0, True])
    ),
    "nodes that hide": field("left", lambda a: np.ma.MaskedArray(a + (a > 9), a > 9)),
    "categories that hide": entry(
        "categories", lambda c: [np.ma.MaskedArray(c[0], True), c[1]]
    ),
    "bits of other widths": entry("bitsets", lambda a: a[:, :7]),
    "bits of another dtype": entry("bitsets", lambda a: a.astype(np.uint64)),
    "bits that are missing": entry("bitsets", lambda a: a[:-1]),
    "more classes": entry("classes", lambda a: np.arange(4)),
    "very many classes": entry("classes", lambda a: np.arange(10**6)),
    "one class": entry("classes", lambda a: a[:1]),
    "classes in no order": entry("classes", lambda a: a[::-1]),
    "no classes": entry("classes", None),
    "very many features": entry("features", 10**9),
    "features that are no integer": entry("features", 5.0),
    "no features": entry("features", 0),
    "fewer features": entry("features", 4),
    "a mask of other columns": entry("is_categorical", lambda a: a[:3]),
    "a mask of numbers": entry("is_categorical", lambda a: a.astype(int)),
    "no mask": entry("is_categorical", None),
    "categories twice": entry("categories", lambda c: [c[0] * 0, c[1]]),
    "categories in no order": entry("categories", lambda c: [c[0], c[1][::-1]]),
    "very many categories": entry("categories", lambda c: [c[0], np.arange(10**6) / 1]),
    "categories of one column": entry("categories", lambda c: c[:1]),
    "a baseline for others": entry("baseline", lambda a: a[:, :2]),
    "a baseline that is no number": entry("baseline", lambda a: a * np.nan),
    "a baseline of another dtype": entry("baseline", lambda a: a.astype(np.float32)),
    "a wide baseline": entry("baseline", lambda a: np.zeros((1, 10**6))),
    "parameters that are no JSON": entry("params", "{"),
    "parameters that are not there": entry("params", '{"x": 1}'),
    "a loss that is not there": entry("params", '{"loss": "x"}'),
}


@pytest.fixture(scope="module")
def plain():
    model = fitted()
    assert model.n_features_in_ == 5
    return to_plain(model)


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_a_form_that_does_not_agree_with_itself_is_refused(change, plain):
    plain = copy.deepcopy(plain)
    change(plain)
    with pytest.raises((ValueError, TypeError, KeyError, IndexError)):
        from_plain("HistGradientBoostingClassifier", plain)


def test_any_change_of_a_tree_is_refused_or_predicts_numbers(plain):
    """Compiled code that read beyond an array would end this process, or give anything."""
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(100):
        changed = copy.deepcopy(plain)
        name = rng.choice([name for name in changed["nodes"] if name != "value"])
        array = changed["nodes"][name]
        limits = np.iinfo(array.dtype) if array.dtype.kind in "iu" else None
        values = [0, 1, 2, 7] if limits is None else [0, 1, 2, 7, limits.max, limits.min]
        array[rng.integers(len(array), size=rng.choice([1, 20]))] = rng.choice(values)
        try:
            model = from_plain("HistGradientBoostingClassifier", changed)
        except ValueError:
            refused += 1
            continue
        assert np.isfinite(model.predict_proba(NEW)).all()
    assert 0 < refused < 100
