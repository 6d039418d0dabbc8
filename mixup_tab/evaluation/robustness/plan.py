"""What ``mixup-tab benchmark robustness`` trains, on which rows, and how it is attacked."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from sklearn.preprocessing import QuantileTransformer

from mixup_tab.estimators import MixupClassifier
from mixup_tab.evaluation.protocols.options import check_count, check_home, check_seed
from mixup_tab.evaluation.protocols.raw import load_raw
from mixup_tab.evaluation.protocols.splits import repeat_of
from mixup_tab.nets import MLP
from mixup_tab.robustness.adversarial import evaluate_adversarial
from mixup_tab.robustness.corruption import evaluate_corruption
from mixup_tab.training.device import pick_device

TEST_SHARE = 0.25
DATASETS = ("digits", "statlog-image")
ERM, MIXUP = "ERM", "mixup"
# Shares of wrong labels, and the α that the paper has for each (Zhang et al. 2017, table 2).
ALPHAS = {0.2: 8.0, 0.5: 32.0, 0.8: 32.0}
# The usual share of dropout, and one as high as the paper's for wrong labels.
DROPOUTS = (0.5, 0.8)
# α of the nets that are attacked: the paper's for ImageNet, and for CIFAR.
ATTACKED = {ERM: 0.0, "mixup α=0.2": 0.2, "mixup α=1": 1.0}
# Pixels of digits run from 0 to 1. The columns of other tables are mapped to a standard normal
# distribution, by their quantiles on the training rows: heavy tails are on no common scale.
EPS = (0.02, 0.05, 0.1, 0.2)
# Seeds of the nets that black-box examples are made on lie this far from the others.
_OTHER = 1_000_000

# The same for every net. Without weight decay, and for long enough that ERM fits wrong labels;
# chosen by the error on training rows alone.
NET = {
    "module": MLP,
    "mixing": "mixup",
    "hidden_layer_sizes": (256, 256),
    "n_estimators": 1,
    "learning_rate_init": 0.002,
    "weight_decay": 0.0,
    "batch_size": 32,
}


class Job(NamedTuple):
    """What one process does at a time: one net on wrong labels, or an attack on all nets."""

    part: str
    dataset: str
    repeat: int
    method: str = ""
    rate: float = 0.0


@dataclass(frozen=True)
class RobustnessPlan:
    """Nets on tables; see :meth:`make`."""

    datasets: tuple[str, ...]
    repeats: int
    epochs: int
    seed: int
    device: str
    data_home: str | None

    @classmethod
    def make(
        cls,
        datasets: Sequence[str] | None = None,
        *,
        repeats: int = 5,
        epochs: int = 200,
        seed: int = 0,
        device: str = "cpu",
        data_home: str | os.PathLike | None = None,
    ) -> RobustnessPlan:
        """Check options.

        Parameters
        ----------
        datasets : sequence of str, default=None
            "digits" is scikit-learn's; other names are UCI tables of numbers. None takes
            digits and statlog-image.
        repeats : int, default=5
            Random stratified splits into 75 % training and 25 % test rows.
        epochs : int, default=200
            Epochs of every net.
        seed : int, default=0
            Repeat r uses ``seed + r`` for the split, the wrong labels and every net.
        device : str, default="cpu"
            Where nets are trained.
        data_home : str or path-like, default=None
            Where UCI tables lie.

        Returns
        -------
        RobustnessPlan

        Raises
        ------
        ValueError
            For anything that is not as described here.
        """
        home = check_home(data_home)
        names = tuple(dict.fromkeys(datasets or DATASETS))
        check_count("repeats", repeats)
        check_count("epochs", epochs)
        check_seed(seed)
        for name in names:
            _check_table(name, *load_table(name, home))
        return cls(names, repeats, epochs, seed, pick_device(device), home)

    def jobs(self) -> list[Job]:
        """Return everything that is to be done, whole repeats after each other."""
        methods = [ERM, *map(_dropout_name, DROPOUTS), MIXUP]
        return [
            job
            for repeat in range(self.repeats)
            for name in self.datasets
            for job in [
                Job("adversarial", name, repeat),
                *(Job("corruption", name, repeat, m, rate) for rate in ALPHAS for m in methods),
            ]
        ]

    def perform(self, job: Job) -> dict[str, pd.DataFrame]:
        """Train and test.

        Parameters
        ----------
        job : Job
            One of :meth:`jobs`.

        Returns
        -------
        dict of str to DataFrame
            Rows for "corruption" and "curves", or for "adversarial".
        """
        run = self._attack if job.part == "adversarial" else self._corrupt
        return {
            name: frame.assign(dataset=job.dataset, repeat=job.repeat)
            for name, frame in run(job).items()
        }

    def _corrupt(self, job: Job) -> dict[str, pd.DataFrame]:
        seed = self.seed + job.repeat
        X_train, y_train, X_test, y_test = self._rows(job)
        results, curves = evaluate_corruption(
            self._net(seed, **_corruption_params(job)),
            X_train,
            y_train,
            job.rate,
            X_test=X_test,
            y_test=y_test,
            random_state=seed,
            return_curves=True,
        )
        parts = {"corruption": results, "curves": curves}
        return {
            name: frame.drop(columns="split").assign(method=job.method)
            for name, frame in parts.items()
        }

    def _attack(self, job: Job) -> dict[str, pd.DataFrame]:
        seed = self.seed + job.repeat
        X_train, y_train, X_test, y_test = self._rows(job)
        # Digits are pixels between 0 and 1; other tables have no range.
        clip = (0.0, 1.0) if job.dataset == "digits" else None
        other = self._net(seed + _OTHER, alpha=0.0).fit(X_train, y_train)
        parts = []
        for method, alpha in ATTACKED.items():
            net = self._net(seed, alpha=alpha).fit(X_train, y_train)
            parts += [
                evaluate_adversarial(
                    net, X_test, y_test, EPS, attack, source, clip=clip
                ).assign(method=method)
                for source in (None, other)
                for attack in ("fgsm", "ifgsm")
            ]
        return {"adversarial": pd.concat(parts, ignore_index=True)}

    def _net(self, seed: int, **params: Any) -> MixupClassifier:
        common = {"max_epochs": self.epochs, "random_state": seed, "device": self.device}
        return MixupClassifier(**{**NET, **common, **params})

    def _rows(self, job: Job) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Training rows, their labels, test rows and theirs, on a common scale."""
        X, y = load_table(job.dataset, self.data_home)
        train, test = repeat_of(y, TEST_SHARE, self.seed + job.repeat)
        X_train, X_test = X[train], X[test]
        if job.dataset != "digits":
            scaler = QuantileTransformer(
                n_quantiles=min(200, len(train)), output_distribution="normal", random_state=0
            )
            X_train, X_test = scaler.fit_transform(X_train), scaler.transform(X_test)
        return X_train, y[train], X_test, y[test]


def _dropout_name(share: float) -> str:
    return f"dropout {share:g}"


def _corruption_params(job: Job) -> dict[str, float]:
    if job.method == MIXUP:
        return {"alpha": ALPHAS[job.rate]}
    shares = {_dropout_name(share): share for share in DROPOUTS}
    return {"alpha": 0.0, "dropout": shares.get(job.method, 0.0)}


def load_table(name: str, data_home: str | None) -> tuple[np.ndarray, np.ndarray]:
    """Return inputs and classes of a table.

    Parameters
    ----------
    name : str
        "digits" for scikit-learn's, with pixels between 0 and 1; else a UCI table.
    data_home : str or None
        Where UCI tables lie.

    Returns
    -------
    X : ndarray of float64 of shape (rows, features)
    y : ndarray of int of shape (rows,)

    Raises
    ------
    ValueError
        If the table is not known or holds anything but numbers.
    """
    if name == "digits":
        from sklearn.datasets import load_digits

        X, y = load_digits(return_X_y=True)
        return X / 16, y
    X, y = load_raw(name, data_home)
    try:
        numbers = X.to_numpy(dtype=np.float64)
    except (ValueError, TypeError):
        numbers = np.full(1, np.nan)
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"datasets={name}: it has categories or missing values, which cannot be moved by a "
            "small amount. Give tables of numbers."
        )
    return numbers, y


def _check_table(name: str, X: np.ndarray, y: np.ndarray) -> None:
    n_classes, most = len(np.unique(y)), max(ALPHAS)
    if most >= (n_classes - 1) / n_classes:
        raise ValueError(
            f"datasets={name}: with {n_classes} classes and {most:.0%} wrong labels, the right "
            "class is not the most frequent label any more. Give tables of at least "
            f"{int(1 / (1 - most)) + 1} classes."
        )
