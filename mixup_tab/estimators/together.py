"""Fitting many estimators side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone

from mixup_tab.estimators.data import takes_any_shape
from mixup_tab.estimators.fitting import (
    MixupEstimator,
    choose_embedding,
    make_net,
    use_python_numbers,
)
from mixup_tab.training.device import pick_device
from mixup_tab.training.stack import NetFit, fit_stacked
from mixup_tab.training.stopping import propagate_interrupt
from mixup_tab.training.torch_state import with_torch_defaults


class Rows(NamedTuple):
    """Training rows: the arguments of ``fit``."""

    X: Any
    y: Any
    sample_weight: Any = None


@with_torch_defaults
def fit_together(
    estimators: Sequence[MixupEstimator],
    rows: Sequence[Rows],
    on_epochs: Callable[[int], None] = lambda epochs: None,
    held_out: Rows | None = None,
) -> list[Exception | None]:
    """Fit estimators side by side, with the same results as their own ``fit``.

    Nets are trained as stacks where possible. Estimators with the same data should share the
    ``Rows`` object, which is then validated once; they must not share callbacks. Returns the
    error of each fit, or None; an estimator whose fit fails is not changed.

    With ``held_out`` rows, every net stops early by its loss on them, as with
    ``early_stopping``.

    ``on_epochs`` is called with the number of epochs finished since the last call. A
    TrainingAborted or KeyboardInterrupt that it raises ends everything.
    """
    errors: list[Exception | None] = [None] * len(estimators)
    fits: dict[int, NetFit] = {}
    checked: dict = {}
    before = [dict(vars(estimator)) for estimator in estimators]
    given = [use_python_numbers(estimator) for estimator in estimators]
    for position, (estimator, data) in enumerate(zip(estimators, rows, strict=True)):
        try:
            if _is_one_net(estimator):
                fits[position] = _prepare(estimator, data, checked, held_out)
            else:
                with propagate_interrupt():
                    estimator._fit(*data, on_epochs=on_epochs)
        except Exception as error:  # a user's module may raise anything
            errors[position] = error
    for position, stopped in zip(fits, fit_stacked([*fits.values()], on_epochs), strict=True):
        estimator = estimators[position]
        if stopped is None:
            vars(estimator).update(estimator._learned(fits[position].net))
        errors[position] = stopped
    for estimator, failed, state in zip(estimators, errors, before, strict=True):
        if failed is not None:
            vars(estimator).clear()
            vars(estimator).update(state)
    for estimator, params in zip(estimators, given, strict=True):
        vars(estimator).update(params)
    return errors


def _is_one_net(estimator: MixupEstimator) -> bool:
    """Whether fitting means training a single new net."""
    return not (
        estimator._cross_fits()
        or hasattr(estimator, "net_")
        or hasattr(estimator, "_skl_callbacks")
    )


def _prepare(
    estimator: MixupEstimator, rows: Rows, checked: dict, held_out: Rows | None
) -> NetFit:
    """Check parameters and data and make the net, as ``fit`` does."""
    estimator._validate_params()
    names = ("class_weight", "categorical_features", "quantiles")
    decide = [repr(getattr(estimator, name, None)) for name in names]
    key = (type(estimator), id(rows), *decide, takes_any_shape(estimator.module))
    if key not in checked:
        probe = clone(estimator)
        before = set(vars(probe))
        data = probe._check_training_data(*rows, resume=False)
        seen = {k: v for k, v in vars(probe).items() if k not in before}
        valid = held_out and probe._check_training_data(*held_out, resume=True)
        checked[key] = data, seen, valid
    data, seen, valid = checked[key]
    vars(estimator).update(seen)
    estimator.alpha_ = float(estimator.alpha)
    estimator.embedding_ = choose_embedding(estimator, len(data.X))
    return NetFit(make_net(estimator, data, held_out=valid), data.X, data.y, data.weight)


# Bytes of weights, gradients and Adam's two moments of a stack: 16 nets of 30-128-128-2.
# Measured with two threads: larger stacks exceed the cache and gain nothing, smaller ones
# spend their time on calls.
_STACK_BYTES = 16 * 16 * 20_738
_MOST_MEMBERS = 64

# Share of a GPU's memory. Not measured: larger stacks cost a GPU little more than small ones.
_SHARE_OF_GPU = 0.25


def plan_chunks(n_weights: Sequence[int], device: str = "cpu") -> list[list[int]]:
    """Cut a list of fits into chunks, each of which is trained as a stack.

    The plan depends only on the fits, so results do not depend on the number of workers.
    """
    count = len(n_weights)
    if not count:
        return []
    place = torch.device(pick_device(device))
    if place.type == "cuda":
        memory = torch.cuda.get_device_properties(place).total_memory
        chunks = max(16 * sum(n_weights) / (_SHARE_OF_GPU * memory), 1)
    else:
        chunks = max(16 * sum(n_weights) / _STACK_BYTES, count / _MOST_MEMBERS)
    if place.type != "cuda" and count >= 8 and chunks < 8:  # to keep cores busy
        chunks = 2 ** np.ceil(np.log2(max(chunks, 2)))
    parts = np.array_split(np.arange(count), min(int(np.ceil(chunks)), count))
    return [part.tolist() for part in parts]
