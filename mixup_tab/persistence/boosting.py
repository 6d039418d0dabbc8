"""A fitted HistGradientBoosting model as plain JSON and arrays, checked when it is loaded.

scikit-learn's compiled code walks trees without checking bounds, so trees from a file are used
only if no row can lead outside of their arrays. All but trees and baseline is made by
scikit-learn itself, by fitting a model to a few rows that show every class and category.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from mixup_tab._plain import as_python

_FIELDS = PREDICTOR_RECORD_DTYPE.names
_TYPES = HistGradientBoostingClassifier, HistGradientBoostingRegressor
_KINDS = {kind.__name__: kind for kind in _TYPES}
# Parameters on which the result of that fit depends.
_DECIDING = ("loss", "quantile")
# scikit-learn's limit of 255, and one for missing values.
_MOST_LEVELS = 256
# Maximum number of values in those rows; 80 MB.
_MOST_VALUES = 10_000_000


def to_plain(model: Any) -> dict[str, Any]:
    """Return what a model needs for predicting, as JSON, lists and arrays of numbers.

    Raises
    ------
    ValueError
        If one of its parameters cannot be saved.
    """
    plain: dict[str, Any] = {"params": _params(model)}
    if hasattr(model, "_predictors"):
        trees = [tree for iteration in model._predictors for tree in iteration]
        nodes = np.concatenate([tree.nodes for tree in trees])
        plain |= {
            "features": int(model.n_features_in_),
            "classes": getattr(model, "classes_", None),
            "is_categorical": model.is_categorical_,
            "categories": _categories(model),
            "baseline": model._baseline_prediction,
            "nodes": {name: nodes[name].copy() for name in _FIELDS},
            "sizes": np.array([len(tree.nodes) for tree in trees]),
            "bitsets": np.concatenate([tree.raw_left_cat_bitsets for tree in trees]),
            "bitset_sizes": np.array([len(tree.raw_left_cat_bitsets) for tree in trees]),
        }
    return plain


def from_plain(kind: str, plain: dict[str, Any]) -> Any:
    """Return the model of :func:`to_plain`.

    Parameters
    ----------
    kind : {"HistGradientBoostingClassifier", "HistGradientBoostingRegressor"}
        Its type.
    plain : dict
        Its plain form.

    Raises
    ------
    Exception
        Of any type, if the content is inconsistent.
    """
    if any(isinstance(part, np.ma.MaskedArray) for part in _parts(plain)):
        raise ValueError(
            "an array of a boosting model is masked"
        )  # would evade the checks below
    params = json.loads(plain["params"])
    model = _KINDS[kind](**{name: params[name] for name in _DECIDING if name in params})
    if "nodes" in plain:
        _fit(model, plain)
        trees, outputs = _trees(plain, model), model.n_trees_per_iteration_
        _check_baseline(plain["baseline"], model)
        if len(trees) % outputs:
            raise ValueError("a boosting model has too few trees")
        model._predictors = [trees[k : k + outputs] for k in range(0, len(trees), outputs)]
        model._baseline_prediction = plain["baseline"]
    return model.set_params(**params)


def _parts(plain: dict[str, Any]) -> list[Any]:
    nested = [*plain.get("categories", ()), *plain.get("nodes", {}).values()]
    return [*plain.values(), *nested]


def _params(model: Any) -> str:
    params = as_python(model.get_params())
    if isinstance(params["random_state"], np.random.RandomState):
        params["random_state"] = None  # as in all other estimators of a file
    for name, value in params.items():
        if not _is_json(value):
            raise ValueError(
                f"this model cannot be saved: it holds a {type(model).__name__} with "
                f"{name}={value!r:.60}. Fit it with another {name}."
            )
    return json.dumps(params)


def _is_json(value: Any) -> bool:
    try:
        return json.loads(json.dumps(value)) == value
    except TypeError:
        return False


def _categories(model: Any) -> list[np.ndarray]:
    if model._preprocessor is None:
        return []
    return model._preprocessor.named_transformers_["encoder"].categories_


def _fit(model: Any, plain: dict[str, Any]) -> None:
    """Fit a model to rows with all of its classes and categories."""
    mask, classes, categories = (plain[k] for k in ("is_categorical", "classes", "categories"))
    X = _blank_rows(plain)
    if mask is not None:
        for column, levels in zip(np.flatnonzero(mask), categories, strict=True):
            X[:, column] = np.resize(levels, len(X))
    y = np.ones(len(X)) if classes is None else np.resize(classes, len(X))
    model.set_params(max_iter=1, early_stopping=False, categorical_features=mask).fit(X, y)
    pairs = zip(_categories(model), categories, strict=True)
    same = all(np.array_equal(made, known, equal_nan=True) for made, known in pairs)
    if not same or (classes is not None and not np.array_equal(model.classes_, classes)):
        raise ValueError("a boosting model has wrong classes or categories")


def _blank_rows(plain: dict[str, Any]) -> np.ndarray:
    """Return as many rows as a model needs, after checking that they are not too many."""
    features, outputs = plain["features"], len(plain["baseline"][0])
    levels = max(map(len, plain["categories"]), default=0)
    fine = levels <= _MOST_LEVELS and (
        plain["classes"] is None or len(plain["classes"]) == max(outputs, 2)
    )
    mask = plain["is_categorical"]
    fine = fine and (mask is None or (mask.dtype == np.bool_ and mask.shape == (features,)))
    if not fine:
        raise ValueError("a boosting model has wrong classes or categories")
    # Twice, because scikit-learn warns if every row has its own class.
    rows = max(2 * outputs, levels, 2)
    most = _MOST_VALUES // rows
    if type(features) is not int or not 1 <= features <= most or outputs > most:
        raise ValueError(f"a boosting model has {features!r:.20} features, {outputs} outputs")
    return np.zeros((rows, features))


def _check_baseline(baseline: np.ndarray, model: Any) -> None:
    made = model._baseline_prediction
    same = baseline.dtype == made.dtype and baseline.shape == made.shape
    if not (same and np.isfinite(baseline).all()):
        raise ValueError("a boosting model has a wrong baseline")


def _trees(plain: dict[str, Any], model: Any) -> list[TreePredictor]:
    """Return the trees, after checking that no row can lead outside of their arrays."""
    nodes = np.zeros(len(plain["nodes"]["value"]), PREDICTOR_RECORD_DTYPE)
    for name in _FIELDS:
        column = plain["nodes"][name]
        if column.dtype != nodes.dtype[name] or column.shape != nodes.shape:
            raise ValueError("the nodes of a boosting model are wrong")
        nodes[name] = column
    bitsets = np.ascontiguousarray(plain["bitsets"])
    if bitsets.dtype != np.uint32 or bitsets.ndim != 2 or bitsets.shape[1] != 8:
        raise ValueError("the categories of a boosting model are wrong")
    sizes = _sizes(plain["sizes"], len(nodes), least=1)
    bitset_sizes = _sizes(plain["bitset_sizes"], len(bitsets), least=0)
    _check_splits(nodes, sizes, bitset_sizes, model)
    parts = np.split(nodes, sizes.cumsum()[:-1])
    bits = np.split(bitsets, bitset_sizes.cumsum()[:-1])
    return [TreePredictor(*one, one[1]) for one in zip(parts, bits, strict=True)]


def _sizes(sizes: np.ndarray, total: int, least: int) -> np.ndarray:
    usual = sizes.dtype == np.int64 and sizes.ndim == 1 and len(sizes) > 0
    # Each size is checked first, because their sum could overflow.
    if not (usual and ((sizes >= least) & (sizes <= total)).all() and sizes.sum() == total):
        raise ValueError("the trees of a boosting model declare wrong sizes")
    return sizes


def _check_splits(
    nodes: np.ndarray, sizes: np.ndarray, bitset_sizes: np.ndarray, model: Any
) -> None:
    """Check all indices that compiled code uses, and that children come after parents."""
    if len(sizes) != len(bitset_sizes) or not np.isfinite(nodes["value"]).all():
        raise ValueError("the trees of a boosting model are wrong")
    split = nodes["is_leaf"] == 0
    place = np.arange(len(nodes)) - np.repeat(sizes.cumsum() - sizes, sizes)
    size, bits = np.repeat(sizes, sizes)[split], np.repeat(bitset_sizes, sizes)[split]
    nodes, place = nodes[split], place[split]
    for child in (nodes["left"], nodes["right"]):
        if ((child <= place) | (child >= size)).any():
            raise ValueError("a tree of a boosting model has a branch that leads outside")
    feature, known = nodes["feature_idx"], model._is_categorical_remapped
    if ((feature < 0) | (feature >= model.n_features_in_)).any():
        raise ValueError("a tree of a boosting model uses a column that does not exist")
    by_category = nodes["is_categorical"] != 0
    allowed = np.zeros(len(nodes), bool) if known is None else known[feature]
    if (by_category & ~(allowed & (nodes["bitset_idx"] < bits))).any():
        raise ValueError("a tree of a boosting model uses categories that do not exist")
