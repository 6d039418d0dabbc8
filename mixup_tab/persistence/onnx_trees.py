"""scikit-learn's gradient boosting as one ONNX operator."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixup_tab._extras import import_extra
from mixup_tab.persistence.onnx_graph import ML, Graph


def boosted(graph: Graph, model: Any, x: str) -> str:
    """Return the raw predictions of HistGradientBoosting, shape (rows, trees per round).

    Splits of categories become splits of extra columns: −1 for levels that go left; or, if
    missing values go left, 1 for levels that go right.
    """
    order, encoder = _columns(model)
    splits: list[Any] = []
    attributes: dict[str, Any] = {}
    for round_ in model._predictors:
        for target, tree in enumerate(round_):
            _write_tree(attributes, splits, tree, target, order, model.n_features_in_)
    if splits:
        x = graph("Concat", x, _sides(graph, x, encoder, splits), axis=1)
    names = {"nodes_values": np.float64, "target_weights": np.float64}
    make = import_extra("onnx.numpy_helper", "onnx").from_array
    for name, dtype in names.items():
        attributes[f"{name}_as_tensor"] = make(np.array(attributes.pop(name), dtype), name)
    base = np.ravel(model._baseline_prediction)
    raw = graph(
        "TreeEnsembleRegressor",
        x,
        domain=ML,
        n_targets=len(base),
        aggregate_function="SUM",
        post_transform="NONE",
        **attributes,
    )
    return graph("Add", graph.cast(raw, np.float64), base.astype(np.float64))


def boosted_probabilities(graph: Graph, model: Any, x: str) -> str:
    """Return the probabilities of HistGradientBoostingClassifier."""
    raw = boosted(graph, model, x)
    if len(model.classes_) == 2:  # as softmax of (0, raw)
        raw = graph("MatMul", raw, np.array([[0.0, 1.0]]))
    return graph.cast(graph("Softmax", raw, axis=1), np.float32)


def _columns(model: Any) -> tuple[np.ndarray, dict[int, np.ndarray]]:
    """Return the column of each feature of the trees, and levels of categories by column."""
    columns = np.arange(model.n_features_in_)
    if model._preprocessor is None:
        return columns, {}
    chosen = model.is_categorical_
    levels = model._preprocessor.named_transformers_["encoder"].categories_
    known = dict(zip(columns[chosen].tolist(), levels, strict=True))
    return np.concatenate([columns[chosen], columns[~chosen]]), known


def _write_tree(
    attributes: dict[str, Any],
    splits: list[Any],
    tree: Any,
    target: int,
    order: np.ndarray,
    width: int,
) -> None:
    number = attributes["nodes_treeids"][-1] + 1 if attributes else 0
    for place, node in enumerate(tree.nodes):
        leaf = bool(node["is_leaf"])
        column, edge = int(order[node["feature_idx"]]), float(node["num_threshold"])
        if node["is_categorical"] and not leaf:
            bits = tree.raw_left_cat_bitsets[node["bitset_idx"]]
            left = np.unpackbits(bits.view(np.uint8), bitorder="little")
            splits.append((column, left, bool(node["missing_go_to_left"])))
            column, edge = width + len(splits) - 1, 0.5 if splits[-1][2] else -0.5
        row = {
            "nodes_treeids": number,
            "nodes_nodeids": place,
            "nodes_featureids": 0 if leaf else column,
            "nodes_values": 0.0 if leaf else edge,
            "nodes_modes": "LEAF" if leaf else "BRANCH_LEQ",
            "nodes_truenodeids": 0 if leaf else int(node["left"]),
            "nodes_falsenodeids": 0 if leaf else int(node["right"]),
            "nodes_missing_value_tracks_true": int(node["missing_go_to_left"]),
        }
        if leaf:
            row |= {
                "target_treeids": number,
                "target_nodeids": place,
                "target_ids": target,
                "target_weights": float(node["value"]),
            }
        for name, value in row.items():
            attributes.setdefault(name, []).append(value)


def _sides(graph: Graph, x: str, encoder: dict[int, np.ndarray], splits: list[Any]) -> str:
    """Return the extra columns: the level of a row times the side of each level."""
    places = [(column, k) for column, levels in encoder.items() for k in range(len(levels))]
    sides = np.zeros((len(places), len(splits)))
    for number, (column, left, missing_left) in enumerate(splits):
        for row, (other, k) in enumerate(places):
            if other == column:
                sides[row, number] = (not left[k]) if missing_left else -float(left[k])
    chosen = graph("Gather", x, np.array([column for column, _ in places]), axis=1)
    known = np.array([encoder[column][k] for column, k in places], np.float64)
    level = graph.cast(graph("Equal", chosen, known), np.float64)
    return graph("MatMul", level, sides)
