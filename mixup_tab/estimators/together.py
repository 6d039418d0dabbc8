"""Fitting many estimators side by side."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Integral
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from sklearn.base import clone
from torch import nn

from mixup_tab.estimators.checks import takes_any_shape
from mixup_tab.training import LearningRate
from mixup_tab.training.callbacks import ReadOff
from mixup_tab.training.device import pick_device
from mixup_tab.training.stack import NetFit, fit_stacked
from mixup_tab.training.stopping import propagate_interrupt

if TYPE_CHECKING:
    from mixup_tab.estimators.base import BaseMixup
    from mixup_tab.training import MixupNet


class Rows(NamedTuple):
    """What an estimator is fitted on: the arguments of its ``fit``."""

    X: Any
    y: Any
    sample_weight: Any = None


def fit_together(
    estimators: Sequence[BaseMixup],
    rows: Sequence[Rows],
    on_epochs: Callable[[int], None] = lambda epochs: None,
) -> list[Exception | None]:
    """Fit estimators side by side; each ends as its own ``fit`` would leave it.

    Data is checked once per object, not per estimator, and nets that can be are
    trained as stacks. Estimators that differ in ``max_epochs`` alone and keep their
    learning rate constant share one run.

    Parameters
    ----------
    estimators : sequence of MixupClassifier or MixupRegressor
        What to fit. None may share a callback object with another.
    rows : sequence of Rows
        Training data of each; those that share data share the object.
    on_epochs : callable, default=no action
        Called with the number of epochs that have been finished since the last call. A
        TrainingAborted or KeyboardInterrupt that it raises ends everything.

    Returns
    -------
    list of Exception or None
        The error that ended the fit of each, if one did; that estimator is not fitted.
    """
    errors: list[Exception | None] = [None] * len(estimators)
    tasks: dict[int, NetFit] = {}
    checked: dict = {}
    before = [dict(vars(estimator)) for estimator in estimators]
    for position, (estimator, data) in enumerate(zip(estimators, rows, strict=True)):
        try:
            if _alone(estimator):
                with propagate_interrupt():
                    estimator._fit(*data, on_epochs=on_epochs)
            else:
                tasks[position] = _make_task(estimator, data, checked)
        except Exception as error:  # a module of the user's may raise anything
            errors[position] = error
    runs = _share_runs(estimators, tasks)
    failed = fit_stacked([tasks[run.last] for run in runs], on_epochs)
    for run, error in zip(runs, failed, strict=True):
        errors[run.last] = error
        run.forget_readers(tasks[run.last].net)
        for reader in run.readers:
            errors[reader] = run.error_of(tasks[reader], error)
    for position, task in tasks.items():
        estimator = estimators[position]
        if errors[position] is None:
            vars(estimator).update(estimator._learned(task.net))
        else:
            vars(estimator).clear()
            vars(estimator).update(before[position])
    return errors


def _alone(estimator: BaseMixup) -> bool:
    """Whether fitting involves more than training one net for the first time."""
    return (
        estimator.chooses_alpha()
        or hasattr(estimator, "net_")
        or hasattr(estimator, "_skl_callbacks")
    )


def _make_task(estimator: BaseMixup, rows: Rows, checked: dict) -> NetFit:
    """Check parameters and data and make the net, as ``fit`` does."""
    estimator._check_params()
    class_weight = repr(getattr(estimator, "class_weight", None))
    key = (type(estimator), id(rows), class_weight, takes_any_shape(estimator.module))
    if key not in checked:
        probe = clone(estimator)
        before = set(vars(probe))
        data = probe._check_training_data(*rows, goes_on=False)
        seen = {k: v for k, v in vars(probe).items() if k not in before}
        checked[key] = data, seen
    data, seen = checked[key]
    vars(estimator).update(seen)
    estimator.alpha_ = float(estimator.alpha)
    return NetFit(estimator._make_net(data, partial=False), data.X, data.y, data.weight)


@dataclass
class _SharedRun:
    """A net that is trained, and those that read their weights off on the way.

    Attributes
    ----------
    last : int
        Position of the one that is trained.
    readers : list of int
        Positions of the others.
    read_off : ReadOff
        The callback that serves them.
    """

    last: int
    readers: list[int]
    read_off: ReadOff

    def error_of(self, reader: NetFit, error: Exception | None) -> Exception | None:
        """Return what training a reader alone would have raised."""
        if reader.net in self.read_off.waiting_:
            return error
        try:
            reader.net._check_finite(reader.X)
        except ValueError as own:
            return own
        return None

    def forget_readers(self, net: MixupNet) -> None:
        """Leave the trained net without a trace of the others."""
        net.callbacks_ = [pair for pair in net.callbacks_ if pair[1] is not self.read_off]


def _share_runs(estimators: Sequence[BaseMixup], tasks: dict[int, NetFit]) -> list[_SharedRun]:
    """Find estimators whose training is the beginning of another's."""
    paths: dict[Any, list[int]] = {}
    for position, task in tasks.items():
        path = path_of(estimators[position])
        data = tuple(id(values) for values in task[1:])
        key = position if path is None else (path, data)
        paths.setdefault(key, []).append(position)
    runs = []
    for path in paths.values():
        *readers, last = sorted(path, key=lambda p: tasks[p].net.max_epochs)
        run = _SharedRun(last, readers, ReadOff([tasks[p].net for p in readers]))
        if readers:
            tasks[last].net.callbacks_.append(("read_off", run.read_off))
        runs.append(run)
    return runs


def path_of(estimator: BaseMixup) -> str | None:
    """Return what decides the way that an estimator's weights go, however far.

    Estimators for which this is the same, and whose data is, differ in ``max_epochs``
    alone: the longest training passes through the ends of the others.

    Parameters
    ----------
    estimator : MixupClassifier or MixupRegressor
        An estimator.

    Returns
    -------
    str or None
        None if the learning rate depends on the number of epochs, if a seed is drawn anew
        for every fit, or if ``module`` holds layers, which do not print all that they are.
    """
    params = estimator.get_params(deep=False)
    callbacks = params.pop("callbacks")
    constant = (
        callbacks is not None
        and [type(callback) for callback in callbacks] == [LearningRate]
        and callbacks[0].policy == "constant"
    )
    epochs, seed = params.pop("max_epochs"), params["random_state"]
    if not constant or epochs == "auto" or not isinstance(seed, Integral):
        return None
    module = params["module"]
    if any(isinstance(part, nn.Module) for part in getattr(module, "keywords", {}).values()):
        return None
    module = id(getattr(module, "func", module))  # those that a function makes share names
    return repr((type(estimator), module, sorted(params.items())))


# Weights, gradients and Adam's two moments of a stack; 16 nets of 30-128-128-2. Measured
# with two threads: larger stacks gain nothing and fall out of the cache, smaller ones
# spend their time on calls.
_STACK_BYTES = 16 * 16 * 20_738
_MOST_MEMBERS = 64

# Of a GPU's memory. Not measured: larger stacks cost a GPU little more than small ones.
_SHARE_OF_GPU = 0.25


def plan_chunks(n_weights: Sequence[int], device: str = "cpu") -> list[list[int]]:
    """Cut a list of fits into chunks that are trained as one stack each.

    The plan depends on nothing but the fits, so that results do not depend on the number
    of workers.

    Parameters
    ----------
    n_weights : sequence of int
        Number of weights that each fit trains, in an order that keeps like with like.
    device : str, default="cpu"
        Where: stacks fit a CPU's cache, or a share of a GPU's memory.

    Returns
    -------
    list of list of int
        Positions of the fits of each chunk.
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


def count_weights(estimator: BaseMixup, n_features: int, n_outputs: int) -> int:
    """Return the number of weights of an estimator's nets, roughly for other modules."""
    sizes = [n_features, *np.atleast_1d(estimator.hidden_layer_sizes).tolist(), n_outputs]
    weights = sum((a + 1) * b for a, b in pairwise(sizes))
    return int(weights * estimator.n_members())
