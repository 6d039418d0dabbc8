"""Every kind of mixing against mixup and against none, on raw tables."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import skrub

from mixup_tab.estimators import MixupClassifier
from mixup_tab.evaluation.protocols.ablation import describe
from mixup_tab.evaluation.protocols.options import check_count
from mixup_tab.evaluation.protocols.raw import RawPlan, load_raw
from mixup_tab.evaluation.protocols.splits import folds_of
from mixup_tab.evaluation.runs import Plan, Task, Trial
from mixup_tab.mixing import DirichletMixup, MixingRule

ALPHA = 0.2
N_TABLES, LEAST_ROWS, MOST_ROWS = 10, 300, 5000
REFERENCE = "mixup"


class Kind(NamedTuple):
    """One kind of mixing.

    Attributes
    ----------
    mixing : str or MixingRule
        The rule.
    alpha : float
        Its α.
    weight : float
        How long a fit takes beside mixup, roughly.
    span : (float, float)
        During which share of the training.
    """

    mixing: str | MixingRule
    alpha: float = ALPHA
    weight: float = 1
    span: tuple[float, float] = (0.0, 1.0)


KINDS: dict[str, Kind] = {
    REFERENCE: Kind("mixup"),
    "ERM": Kind("mixup", alpha=0),
    "folded": Kind("folded"),
    "same class": Kind("same_class"),
    "3 examples": Kind(DirichletMixup(3)),
    "5 examples": Kind(DirichletMixup(5)),
    "cutmix": Kind("cutmix"),
    "mixup+cutmix": Kind("mixup+cutmix"),
    "cutout": Kind("cutout"),
    "featmix": Kind("featmix"),
    "manifold": Kind("manifold", weight=3),
    "manifold α=2": Kind("manifold", alpha=2.0, weight=3),
    "regmixup α=10": Kind("regmixup", alpha=10.0, weight=2),
    "remix": Kind("remix"),
    "off at end": Kind("mixup", span=(0, 0.9)),
}


@dataclass(frozen=True)
class VariantsPlan(Plan):
    """Every kind of mixing on the same repeated stratified folds; use :meth:`make`.

    One net of :class:`~mixup_tab.MixupClassifier` each, with its defaults but for the mixing
    and α, which is 0.2 unless the name says otherwise. Nothing is chosen by looking at scores.
    """

    sizes: dict[str, tuple[int, int]]
    methods: tuple[str, ...]
    folds: int
    repeats: int
    seed: int
    device: str
    data_home: str | None

    @classmethod
    def make(
        cls,
        datasets: Sequence[str] | None = None,
        methods: Sequence[str] | None = None,
        *,
        folds: int = 4,
        repeats: int = 3,
        seed: int = 0,
        device: str = "cpu",
        data_home: str | os.PathLike | None = None,
    ) -> VariantsPlan:
        """Check options and list what to do.

        Parameters
        ----------
        datasets : sequence of str, default=None
            Names, or files of names. None takes the first ten by name of those in
            ``data_home`` that have 300 to 5000 rows, and of tables with the same numbers of
            rows and columns only the first, since they are the same rows with other labels.
        methods : sequence of str, default=None
            Kinds of mixing; mixup is added. None takes all.
        folds : int, default=4
            Stratified folds.
        repeats : int, default=3
            How often rows are shuffled and cut into folds again.
        seed : int, default=0
            Repeat r is shuffled with ``seed + r``; fold k of all folds is fitted with
            ``seed + k``.
        device : str, default="cpu"
            Where nets are trained.
        data_home : str or path-like, default=None
            Where the tables lie.

        Returns
        -------
        VariantsPlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        """
        raw = RawPlan.make(
            datasets,
            [],
            folds=folds,
            max_rows=sys.maxsize,
            seed=seed,
            device=device,
            data_home=data_home,
        )
        sizes = raw.sizes if datasets is not None else _default_tables(raw.sizes)
        return cls(
            sizes,
            _check_methods(methods),
            raw.folds,
            check_count("repeats", repeats),
            raw.seed,
            raw.device,
            raw.data_home,
        )

    def identity(self) -> dict[str, Any]:
        """Return what must be the same for a run to go on."""
        return {
            "protocol": "variants",
            "defaults": describe(MixupClassifier().get_params(deep=False)),
            "folds": self.folds,
            "seed": self.seed,
            "device": self.device,
            "data_home": self.data_home,
        }

    def tasks(self) -> list[Task]:
        """Return everything that is to be done."""
        return [
            Task("variants", name, method, fold, self.seed + fold, self._cost(name, method))
            for name in self.sizes
            for fold in range(self.repeats * self.folds)
            for method in self.methods
        ]

    def _cost(self, name: str, method: str) -> float:
        rows, features = self.sizes[name]
        return KINDS[method].weight * (500 + rows) * (10 + features) ** 0.5

    def prepare(self, task: Task) -> Trial:
        """Return what a task fits."""
        X, y = load_raw(task.dataset, self.data_home)
        repeat, fold = divmod(task.fold, self.folds)
        train, test = folds_of(y, self.folds, self.seed + repeat)[fold]
        kind = KINDS[task.method]
        net = MixupClassifier(
            mixing=kind.mixing,
            mixing_span=kind.span,
            alpha=kind.alpha,
            n_estimators=1,
            random_state=task.seed,
            device=self.device,
        )
        return Trial(skrub.tabular_pipeline(net), X, y, train, test, int(y.max()) + 1)


def _default_tables(sizes: dict[str, tuple[int, int]]) -> dict[str, tuple[int, int]]:
    """Return the first ten by name that are neither small nor large, no table twice."""
    chosen: dict[str, tuple[int, int]] = {}
    for name in sorted(sizes):
        fits = LEAST_ROWS <= sizes[name][0] <= MOST_ROWS
        if fits and sizes[name] not in chosen.values() and len(chosen) < N_TABLES:
            chosen[name] = sizes[name]
    if not chosen:
        raise ValueError(
            f"data_home holds no table of {LEAST_ROWS} to {MOST_ROWS} rows. Name tables in "
            "datasets."
        )
    return chosen


def _check_methods(methods: Sequence[str] | None) -> tuple[str, ...]:
    for name in methods or ():
        if name not in KINDS:
            raise ValueError(f"methods={name!r} not known here. Known: {', '.join(KINDS)}.")
    wanted = {REFERENCE, *(KINDS if methods is None else methods)}
    return tuple(name for name in KINDS if name in wanted)
