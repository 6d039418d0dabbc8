"""Make the net of an estimator; values of parameters that are "auto"."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from numbers import Integral
from typing import Any, Protocol

import numpy as np
from sklearn.model_selection import ShuffleSplit, StratifiedShuffleSplit
from sklearn.utils import check_random_state
from skorch.callbacks import Callback, LRScheduler
from skorch.dataset import ValidSplit
from skorch.helper import predefined_split
from torch import nn

from mixup_tab._plain import as_python, shown
from mixup_tab.estimators.data import TrainingData, takes_any_shape
from mixup_tab.mixing import MixingRule
from mixup_tab.mixing._names import as_rule
from mixup_tab.nets import MLP
from mixup_tab.training import KeepBestWeights, LeanAdamW, LearningRate, MixupNet, Muon

OPTIMIZERS = {"adam": LeanAdamW, "muon": Muon}

# In regression with fewer rows, trees for bins mostly fit noise.
_LEAST_FOR_TREES = 300
# From this many rows on, a tenth of them is held out for early stopping.
_LEAST_TO_STOP = 2000
# A cycle must lower the validation loss by this share, or training ends.
_LEAST_GAIN = 0.005


class MixupEstimator(Protocol):
    """The interface of estimators that the functions here, and those for many nets, use."""

    _criterion: Callable[..., nn.Module]
    _task: str
    alpha: float | str
    alpha_: float
    mixing: str | MixingRule
    hidden_layer_sizes: Sequence[int] | int
    module: Callable[..., nn.Module] | None
    embedding: str
    embedding_: str | None
    categorical_features: Any
    n_estimators: int
    learning_rate_init: float
    optimizer: str
    weight_decay: float | str
    dropout: float | str
    batch_size: int | str
    max_epochs: int | str
    mixing_span: tuple[float, float] | str
    early_stopping: bool | str
    validation_fraction: float
    n_iter_no_change: int
    callbacks: Sequence[Callback | tuple[str, Callback]] | None
    device: str
    random_state: int | np.random.RandomState | None
    verbose: int

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters."""

    def set_params(self, **params: Any) -> Any:
        """Set parameters."""

    def _validate_params(self) -> None: ...

    def _check_training_data(self, *args: Any, **kwargs: Any) -> TrainingData: ...

    def _fit(self, X: Any, y: Any, sample_weight: Any, **options: Any) -> Any: ...

    def _row_losses(self, X: np.ndarray, y: np.ndarray) -> np.ndarray: ...

    def _cross_fits(self) -> bool: ...

    def _learned(self, net: MixupNet) -> dict[str, Any]: ...


def make_net(
    estimator: MixupEstimator,
    data: TrainingData,
    *,
    partial: bool = False,
    held_out: TrainingData | None = None,
) -> MixupNet:
    """Make the untrained net of an estimator whose ``alpha_`` is set.

    ``partial`` is for one epoch of ``partial_fit``, always mixed and without early stopping.
    With ``held_out`` rows, the net stops early by its loss on them.
    """
    seed = integer_seed(estimator.random_state)
    rows = len(data.X)
    rows_per_batch = batch_size(estimator, rows, warns=not partial)
    stops = held_out is not None or (stops_early(estimator, rows) and not partial)
    split = None
    if stops and held_out is None:
        split = _validation_split(estimator, data.y, seed)
    return MixupNet(
        criterion=estimator._criterion,
        alpha=estimator.alpha_,
        mixing=mixing_rule(estimator),
        mixing_span=(0.0, 1.0) if partial else mixing_span(estimator, stops),
        first_cycle=first_cycle(rows, rows_per_batch) if stops else None,
        n_outputs=data.n_outputs,
        n_members=int(estimator.n_estimators),
        random_state=seed,
        max_epochs=1 if partial else n_epochs(estimator, rows, rows_per_batch, stops),
        train_split=split if held_out is None else predefined_split(held_out.dataset()),
        lr=estimator.learning_rate_init,
        optimizer=OPTIMIZERS[estimator.optimizer],
        optimizer__weight_decay=weight_decay(estimator),
        batch_size=rows_per_batch,
        verbose=estimator.verbose,
        device=estimator.device,
        **_callback_params(estimator, stops),
        **module_params(estimator, data, seed, split),
    ).initialize()


def use_python_numbers(estimator: MixupEstimator) -> dict[str, Any]:
    """Convert NumPy numbers among the parameters; return the original parameters."""
    given = estimator.get_params(deep=False)
    vars(estimator).update(as_python(given))
    return given


def is_auto(value: Any) -> bool:
    """Whether the value of a parameter is "auto"; also works for arrays."""
    return isinstance(value, str) and value == "auto"


def resolve_auto(estimator: MixupEstimator, rows: int) -> None:
    """Replace parameters that are "auto" by their values for a table of ``rows`` rows."""
    if estimator.module is None:
        estimator.set_params(embedding=choose_embedding(estimator, rows))
    estimator.set_params(
        early_stopping=stops_early(estimator, rows),
        weight_decay=weight_decay(estimator),
        dropout=dropout(estimator, rows),
    )


def choose_embedding(
    estimator: MixupEstimator, rows: int, *, partial: bool = False
) -> str | None:
    """Return the embedding; None for a user's module."""
    if estimator.module is not None:
        return None
    if not is_auto(estimator.embedding):
        return estimator.embedding
    few = estimator._task == "regression" and rows < _LEAST_FOR_TREES
    return "none" if partial or few else "target"


def weight_decay(estimator: MixupEstimator) -> float:
    """Return the weight decay; "auto" is stronger for tables, which have more inputs."""
    if not is_auto(estimator.weight_decay):
        return float(estimator.weight_decay)
    return 0.1 if takes_any_shape(estimator.module) else 0.3


def dropout(estimator: MixupEstimator, rows: int) -> float:
    """Return the share of hidden units set to zero in training."""
    if not is_auto(estimator.dropout):
        return float(estimator.dropout)
    large = rows >= _LEAST_TO_STOP and not takes_any_shape(estimator.module)
    return 0.1 if large else 0.0


def stops_early(estimator: MixupEstimator, rows: int) -> bool:
    """Whether to stop early; "auto": on tables that can spare the rows."""
    if not is_auto(estimator.early_stopping):
        return bool(estimator.early_stopping)
    return rows >= _LEAST_TO_STOP and not takes_any_shape(estimator.module)


def mixing_span(estimator: MixupEstimator, stops: bool) -> tuple[float, float]:
    """Return the share of training, or of each cycle, in which examples are mixed.

    "auto" ends each cycle with plain training, which corrects the low confidence that mixing
    leads to. Without early stopping that would overfit, so nets on small tables always mix.
    """
    if not isinstance(estimator.mixing_span, str):
        return estimator.mixing_span
    return (0.0, 0.75) if stops else (0.0, 1.0)


def first_cycle(rows: int, rows_per_batch: int) -> int:
    """Return the epochs of the first cycle: about 200 steps, but at least a few epochs."""
    steps = -(-rows // rows_per_batch)
    return max(200 // steps, 8 if rows < 100_000 else 4)


def mixing_rule(estimator: MixupEstimator) -> MixingRule:
    """Return the mixing rule."""
    if not is_auto(estimator.mixing):
        return as_rule(estimator.mixing)
    return as_rule("mixup" if takes_any_shape(estimator.module) else "mixup+cutmix")


def integer_seed(random_state: Any) -> int:
    """Return ``random_state`` as an integer, drawing one where it is None or a generator."""
    if isinstance(random_state, Integral):
        return int(random_state)
    return int(check_random_state(random_state).randint(2**31 - 1))


def batch_size(estimator: MixupEstimator, rows: int, *, warns: bool = True) -> int:
    """Return the number of rows per step.

    "auto" is a sixteenth, between 16 and 256. With Muon, which has fewer epochs, it is a
    thirty-second, between 16 and 32, or a hundredth, up to 256, from 3,200 rows on.
    """
    if isinstance(estimator.batch_size, str):
        if estimator.optimizer == "muon":  # for about 1,400 steps in all, or more
            return min(max(min(rows // 32, 32), rows // 100, 16), 256)
        return min(max(rows // 16, 16), 256)
    if estimator.batch_size > rows and warns:
        warnings.warn(
            f"batch_size={shown(estimator.batch_size)} is larger than the {rows} training "
            "rows, so every batch holds all of them. Lower it, or use 'auto'.",
            UserWarning,
            stacklevel=2,
        )
    return min(int(estimator.batch_size), rows)


def n_epochs(estimator: MixupEstimator, rows: int, rows_per_batch: int, stops: bool) -> int:
    """Return the number of passes over the rows.

    "auto" makes 1000 steps on small tables (at most 200 passes), then 40 passes, then 8000
    steps, and at least 10 passes; with early stopping it is the end of the fourth cycle. With
    Muon it is 45,000 rows in total, within 15 to 200 passes.
    """
    if not isinstance(estimator.max_epochs, str):
        return int(estimator.max_epochs)
    if stops:
        return 15 * first_cycle(rows, rows_per_batch)
    if estimator.optimizer == "muon":
        return min(max(45_000 // rows, 15), 200)
    steps = -(-rows // rows_per_batch)
    return min(max(1000 // steps, min(40, 8000 // steps), 10), 200)


def count_weights(estimator: MixupEstimator, n_features: int, n_outputs: int) -> int:
    """Return the number of weights of an estimator's nets; an estimate for other modules."""
    sizes = [n_features, *np.atleast_1d(estimator.hidden_layer_sizes).tolist(), n_outputs]
    return sum((a + 1) * b for a, b in pairwise(sizes)) * int(estimator.n_estimators)


def _validation_split(estimator: MixupEstimator, y: np.ndarray, seed: int) -> ValidSplit:
    """Return the split into training and validation rows."""
    share = f"validation_fraction={estimator.validation_fraction!r}"
    n_valid = max(int(np.ceil(estimator.validation_fraction * len(y))), 1)
    if n_valid >= len(y):
        raise ValueError(
            f"{share} leaves no training rows out of {len(y)}. Lower it, or use "
            "early_stopping=False."
        )
    if y.ndim > 1:
        return ValidSplit(ShuffleSplit(1, test_size=n_valid, random_state=seed))
    counts = np.bincount(y)
    strata = np.where(counts[y] * n_valid < 2 * len(y), counts.argmax(), y)
    return ValidSplit(_HoldOut(strata, n_valid, seed))


class _HoldOut:
    """A random split, stratified by classes that have enough rows."""

    def __init__(self, strata: np.ndarray, n_valid: int, seed: int) -> None:
        self.strata, self.n_valid, self.seed = strata, n_valid, seed

    def split(self, X: Any, y: Any = None, groups: Any = None) -> Iterator[Any]:
        """Return positions of training rows and of held-out rows."""
        split = StratifiedShuffleSplit(1, test_size=self.n_valid, random_state=self.seed)
        return split.split(self.strata, self.strata)


def _callback_params(estimator: MixupEstimator, stops: bool) -> dict[str, Any]:
    callbacks = list(estimator.callbacks or ())
    plain = [each[1] if isinstance(each, tuple) else each for each in callbacks]
    params: dict[str, Any] = {}
    if not estimator.verbose:  # it formats its table even if it does not print it
        params["callbacks__print_log"] = None
    if any(isinstance(callback, (LearningRate, LRScheduler)) for callback in plain):
        params["callbacks__learning_rate"] = None
    if stops:
        callbacks.append(KeepBestWeights(estimator.n_iter_no_change, tol=_LEAST_GAIN))
    return {"callbacks": callbacks or None, **params}


def module_params(
    estimator: MixupEstimator,
    data: TrainingData,
    seed: int = 0,
    split: ValidSplit | None = None,
) -> dict[str, Any]:
    """Return the module and the arguments that it accepts.

    The embedding is not fitted to rows that ``split`` holds out.
    """
    shape = data.X.shape[1:]
    offered = {
        "in_features": shape[0] if len(shape) == 1 else None,
        "out_features": data.n_outputs,
        "input_shape": shape,
        "hidden_layer_sizes": tuple(np.atleast_1d(estimator.hidden_layer_sizes).tolist()),
        "dropout": dropout(estimator, len(data.X)),
    }
    module = MLP if estimator.module is None else estimator.module
    if estimator.embedding_ is not None:
        rows = None if split is None else next(split.cv.split(data.X, data.y))[0]
        layer = data.input_layer(estimator.embedding_, seed, rows)
        offered |= {"in_features": layer.width, "input_layer": layer}
    accepted = inspect.signature(module).parameters
    fixed = getattr(module, "keywords", {})  # for a functools.partial
    params = {
        f"module__{name}": value
        for name, value in offered.items()
        if name in accepted and name not in fixed
    }
    return {"module": module, **params}
