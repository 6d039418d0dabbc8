"""Export fitted models to ONNX files, which predict without Python."""

from __future__ import annotations

import copy
import json
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection._search import BaseSearchCV
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from mixup_tab._extras import import_extra
from mixup_tab._files import check_new, write_whole
from mixup_tab._plain import shown
from mixup_tab.estimators import RescaledClassifier, RescaledRegressor
from mixup_tab.estimators.base import BaseMixup
from mixup_tab.estimators.pack import BasePack
from mixup_tab.nets import PreparedNet
from mixup_tab.persistence.onnx_graph import Graph
from mixup_tab.persistence.onnx_models import probabilities, quantiles, split_steps, values
from mixup_tab.persistence.onnx_rows import parts, rows_to_check
from mixup_tab.persistence.onnx_tables import Raw
from mixup_tab.tables import TableEncoder
from mixup_tab.training import MixupNet
from mixup_tab.training.torch_state import with_torch_defaults

# Maximum difference between predictions of the file and of Python: of probabilities, or of
# values in units of their spread or of the target's, whichever is larger.
_TOLERANCE = 1e-5
# Types that may end a pipeline.
_KNOWN = (BaseMixup, BasePack, RescaledClassifier, RescaledRegressor, CalibratedClassifierCV)


@with_torch_defaults
def export_onnx(
    model: Any,
    path: str | Path,
    *,
    labels: Sequence[Any] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a fitted model to an ONNX file, which predicts without Python and torch.

    The file holds everything between raw rows and predictions: the steps of a pipeline, scaling
    and embeddings of the columns, all members of an ensemble and their weights, and the
    temperature of a calibrated classifier. Before writing it, its predictions in onnxruntime
    are compared with those of the model on some rows.

    Parameters
    ----------
    model : estimator
        A fitted classifier or regressor of mixup_tab; or one at the end of a ``Pipeline``, in a
        search, or in a ``CalibratedClassifierCV``.
    path : str or Path
        Name of the file, such as ``"model.onnx"``.
    labels : sequence of str, default=None
        Names of the classes; None uses ``classes_`` of the model.
    overwrite : bool, default=False
        Whether to replace an existing file.

    Raises
    ------
    ValueError
        If the model is not fitted, the file exists, a part of the model cannot be exported, or
        the file would predict something else than the model.
    TypeError
        If the model holds no estimator of mixup_tab.
    ImportError
        If the extra ``onnx`` is not installed.
    OSError
        If the file cannot be written.

    Notes
    -----
    **Inputs.** ``X``, float64, shape (rows, columns). Where the model starts with a
    :class:`~mixup_tab.TableEncoder`, or with categories of text, one input per column that it
    uses, named like the column, shape (rows, 1): float64 with NaN for missing values (dates in
    seconds since 1970, durations in seconds), or text with "" for missing values (if "" is a
    category itself, any unknown text). A model for sounds takes waveforms instead of files,
    int16 or float32, shape (clips, samples).

    **Outputs.** ``probabilities``, float32, shape (rows, classes), and ``label``; or
    ``values``, float64, or ``quantiles``, as ``predict`` returns them.

    **Metadata**, each value as JSON, where it applies: ``mixup_tab`` (version), ``output``,
    ``classes``, ``features``, ``quantiles``, ``sample_rate``, ``samples``, ``threshold`` and
    ``unknown``. ``label`` is "unknown" where ``predict`` of the model answers that.

    Examples
    --------
    >>> import os, tempfile, numpy as np, onnxruntime
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.persistence import export_onnx
    >>> X, y = load_iris(return_X_y=True)
    >>> clf = MixupClassifier(max_epochs=5, random_state=0).fit(X, y)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = os.path.join(folder, "iris.onnx")
    ...     export_onnx(clf, path)
    ...     session = onnxruntime.InferenceSession(path)
    >>> probabilities, label = session.run(None, {"X": X})
    >>> bool(np.abs(probabilities - clf.predict_proba(X)).max() < 1e-5)
    True
    """
    path = Path(path)
    for name in ("onnx", "onnxruntime"):
        import_extra(name, "onnx")
    _check(model)
    check_new(path, overwrite)
    model = _on_cpu(model)
    write_whole(path, _content(model, _labels(model, labels)))


def _content(model: Any, names: list[Any] | None) -> bytes:
    """Return a file that predicts what the model does, in single precision if possible."""
    for in_double in (False, True):
        graph = Graph(in_double)
        raw = _inputs(graph, model)
        made = graph.finished(_outputs(graph, model, raw, names))
        for name, value in _metadata(model, raw, names).items():
            entry = made.metadata_props.add()
            entry.key, entry.value = name, json.dumps(value)
        content = made.SerializeToString()
        error = _largest_error(model, content, raw)
        if error <= _TOLERANCE:  # False for NaN as well
            return content
    suspects = ", ".join(dict.fromkeys(graph.converted))
    why = f" These parts were converted by skl2onnx: {suspects}." if suspects else ""
    raise ValueError(
        "the ONNX file would not predict what the model does: on test rows they differ by "
        f"{error:.1g}.{why} Nothing was written."
    )


def _check(model: Any) -> None:
    """Raise TypeError or ValueError unless it is a fitted model of this package."""
    if hasattr(model, "cv_results_") and not hasattr(model, "best_estimator_"):
        raise ValueError(
            "model is a search with refit=False, which has no fitted model. Use refit=True."
        )
    if not any(isinstance(part, (BaseMixup, BasePack)) for part in parts(model)):
        raise TypeError(
            f"model={' '.join(shown(model).split()):.80} holds no estimator of mixup_tab. Pass "
            "a MixupClassifier, MixupRegressor or ensemble, or a Pipeline that ends in one."
        )
    check_is_fitted(model)
    _, inner = split_steps(model)
    if not isinstance(inner, _KNOWN):
        raise ValueError(
            f"{type(inner).__name__} cannot be exported. Export the estimators of mixup_tab "
            "in it one by one."
        )
    if isinstance(inner, BaseMixup) and not hasattr(inner, "net_"):
        raise NotFittedError(
            f"this {type(inner).__name__} is still being fitted. Export it after fit returns."
        )


class _Waveforms(BaseEstimator):
    """Replaces a reader of files, and takes waveforms instead."""

    def __init__(self, reader: Any) -> None:
        self._waveforms, self.sample_rate = reader._waveforms, reader.sample_rate

    def fit(self, X: Any, y: Any = None) -> _Waveforms:
        return self

    def transform(self, X: Any) -> Any:
        return X


def _on_cpu(model: Any) -> Any:
    """Return a copy that predicts on the CPU, from inputs that an ONNX file can have.

    These are waveforms instead of files, and numbers instead of text that an encoder parses.
    """
    memo: dict[int, Any] = {}
    for part in parts(model):
        if isinstance(part, MixupNet):
            net = object.__new__(type(part))  # copying it would serialize the weights
            net.__dict__.update(vars(part))
            net.__dict__["module_"] = copy.deepcopy(part.module_).to("cpu").eval()
            net.__dict__["device"] = "cpu"
            memo[id(part)] = net
        elif hasattr(part, "_waveforms"):
            memo[id(part)] = _Waveforms(part)
        elif getattr(part, "callbacks", None) is not None:  # may hold anything
            memo[id(part.callbacks)] = None
    copied = copy.deepcopy(model, memo)
    for part in parts(copied):
        if isinstance(part, TableEncoder):
            part._formats = part._formats[0], {}
    return _without_search(copied)


def _without_search(model: Any) -> Any:
    """Replace searches by their best estimator, which can predict quantiles."""
    if isinstance(model, BaseSearchCV):
        return _without_search(model.best_estimator_)
    if isinstance(model, Pipeline):
        name, last = model.steps[-1]
        model.steps[-1] = name, _without_search(last)
    return model


# ------------------------------------------------------------------ what goes in and out


def _inputs(graph: Graph, model: Any) -> Raw:
    """Return the inputs of a model: rows of a table, images or waveforms."""
    first = _first(model)
    if hasattr(first, "_waveforms"):
        facts = first._waveforms
        return Raw(graph, (facts["samples"],), [], np.dtype(facts["dtype"]))
    width = int(first.n_features_in_)
    blank = getattr(first, "_blank_row", np.zeros((1, width)))
    # Only user-defined nets, and layers, take anything but rows of a table.
    module = getattr(getattr(first, "net_", None), "module_", None)
    is_table = blank.ndim == 2 and not isinstance(module, PreparedNet)
    if is_table and not hasattr(first, "_make_layer"):
        return Raw(graph, (width,), _column_names(first, width))
    dtype = blank.dtype if blank.dtype == np.int16 else np.dtype(np.float32)
    return Raw(graph, blank.shape[1:], [], dtype)


def _column_names(first: Any, width: int) -> list[str]:
    if isinstance(first, TableEncoder):  # it has names for nameless columns
        return list(first.kinds_)
    numbered = [f"x{k}" for k in range(width)]
    return [str(name) for name in getattr(first, "feature_names_in_", numbered)]


def _first(model: Any) -> Any:
    """Return the part that takes raw rows: the first step of a pipeline, or an estimator."""
    steps, inner = split_steps(model)
    if steps:
        return steps[0][1]
    if isinstance(inner, CalibratedClassifierCV):
        return _first(inner.calibrated_classifiers_[0].estimator)
    return getattr(inner, "estimator_", inner)  # of a RescaledClassifier


def _outputs(graph: Graph, model: Any, raw: Raw, names: list[Any] | None) -> dict[str, Any]:
    """Return outputs by name: value in the graph, dtype, and shape of a row."""
    if names is not None:
        found = probabilities(graph, model, raw)
        shares, answers = _with_rejection(graph, model, found, names)
        text = all(isinstance(name, str) for name in answers)
        known = np.array(answers, dtype=object if text else None)
        label = graph("Gather", known, graph("ArgMax", shares, axis=1, keepdims=0))
        return {
            "probabilities": (found, np.float32, [len(names)]),
            "label": (label, known.dtype, []),
        }
    name = "values"
    inner = _regressor(model)
    shape = [] if inner._one_column else [len(inner.target_mean_)]
    if levels := _quantiles(model):
        name, found = "quantiles", quantiles(graph, model, raw)
        shape = [*shape, len(levels)]
    else:
        found = values(graph, model, raw)
    return {name: (graph("Reshape", found, np.array([-1, *shape])), np.float64, shape)}


def _with_rejection(
    graph: Graph, model: Any, found: str, names: list[Any]
) -> tuple[str, list[Any]]:
    """Return scores, of which the largest decides the label, and the labels.

    For a RejectingClassifier there is one more column, which is largest where it rejects.
    """
    refusal = _refusal(model)
    if not refusal:
        return found, names
    other = np.asarray(model.classes_) == refusal["unknown"]
    unknown = names[other.argmax()] if other.any() else refusal["unknown"]
    words = graph("Gather", found, np.flatnonzero(~other), axis=1)
    margin = graph("ReduceMax", words, np.array([1]), keepdims=1)
    if other.any():
        margin = graph("Sub", margin, graph("Gather", found, np.flatnonzero(other), axis=1))
    refused = graph("Less", margin, np.float32(refusal["threshold"]))
    column = graph("Where", refused, np.float32(2), np.float32(-1))
    return graph("Concat", found, column, axis=1), [*names, unknown]


def _refusal(model: Any) -> dict[str, Any]:
    """Return threshold and answer of a RejectingClassifier; empty if there is none."""
    return next((part._refusal for part in parts(model) if hasattr(part, "_refusal")), {})


def _regressor(model: Any) -> Any:
    """Return the regressor of this package at the end of a model."""
    _, inner = split_steps(model)
    return getattr(inner, "estimator_", inner)  # of a RescaledRegressor


def _quantiles(model: Any) -> tuple[float, ...]:
    """Return the quantiles that a regressor was fitted for, if any."""
    _, inner = split_steps(model)
    return inner._fitted_quantiles() if hasattr(inner, "quantile_shift_") else ()


def _labels(model: Any, labels: Sequence[Any] | None) -> list[Any] | None:
    """Return the names of the classes; None for a regressor."""
    if not is_classifier(model):
        if labels is not None:
            raise ValueError(
                "labels are for classifiers, but the model is a regressor. Omit them."
            )
        return None
    names = np.asarray(model.classes_).tolist() if labels is None else list(labels)
    if len(names) != len(model.classes_):
        raise ValueError(f"labels has {len(names)} names for {len(model.classes_)} classes.")
    plain = all(isinstance(name, (bool, int, float)) for name in names)
    if all(isinstance(name, int) for name in names):
        plain = np.array(names).dtype.kind in "biu"  # larger ones would become floats
    return names if plain else [str(name) for name in names]


def _metadata(model: Any, raw: Raw, names: list[Any] | None) -> dict[str, Any]:
    """Return facts for users of the file."""
    from mixup_tab import __version__

    first, levels = _first(model), _quantiles(model)
    output = "probabilities" if names else "quantiles" if levels else "values"
    layer = getattr(getattr(getattr(first, "net_", None), "module_", None), "spectrogram", None)
    rate = getattr(first, "sample_rate", getattr(layer, "sample_rate", None))
    facts = {
        "mixup_tab": __version__,
        "output": output,
        "classes": names,
        "quantiles": levels,
        "features": raw.names,
        "sample_rate": rate,
        "samples": rate and raw.width[0],
        **_refusal(model),
    }
    return {name: value for name, value in facts.items() if value}


# --------------------------------------------------------------------------- the check


def _largest_error(model: Any, content: bytes, raw: Raw) -> float:
    """Return the largest difference between predictions in onnxruntime and in Python."""
    ort = import_extra("onnxruntime", "onnx")
    options = ort.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    try:
        session = ort.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about names of columns, or extreme rows
            X, feeds = rows_to_check(model, raw)
            wanted = _predicted(model, X)
        found = session.run(None, feeds)[0]
    except Exception as error:  # errors of onnxruntime have no common base
        reason = str(error).partition("\n")[0]
        raise ValueError(f"the ONNX file could not be checked: {reason}") from error
    return float((np.abs(found - wanted) / _spread(model, wanted)).max())


def _spread(model: Any, wanted: np.ndarray) -> Any:
    """Return the unit of errors, for every target."""
    if is_classifier(model):
        return 1.0
    inner = _regressor(model)
    scale = inner.target_scale_
    scale = scale[0] if inner._one_column else scale.reshape(-1, *[1] * (wanted.ndim - 2))
    return np.maximum(np.abs(wanted - wanted.mean(0)).max(0), scale)


def _predicted(model: Any, X: Any) -> np.ndarray:
    if is_classifier(model):
        return model.predict_proba(X)
    levels = _quantiles(model)
    return model.predict(X, quantiles=levels) if levels else model.predict(X)
