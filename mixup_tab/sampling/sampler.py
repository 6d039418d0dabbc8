"""VicinalSampler."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions

from mixup_tab.sampling.plan import draw_plan
from mixup_tab.sampling.tables import (
    check_labels,
    check_rows,
    check_values,
    like,
    mix_rows,
    stack,
    take,
)
from mixup_tab.sampling.tags import as_sampler


class VicinalSampler(OneToOneFeatureMixin, BaseEstimator):
    r"""Draws the mixed rows of mixup as a table, so that any estimator can be trained on them.

    mixup minimises the loss on the vicinal distribution of a table (Zhang et al. 2017, arXiv
    1710.09412, section 2): rows

    .. math::
        \tilde x = \lambda x_i + (1-\lambda) x_j, \quad
        \tilde y = \lambda y_i + (1-\lambda) y_j, \quad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha).

    This draws such rows once, before training. It has the interface of imbalanced-learn's
    samplers and works as a step of its ``Pipeline``, where nothing is drawn when predicting;
    imbalanced-learn itself is not needed.

    Parameters
    ----------
    alpha : float, default=0.2
        Parameter of Beta(α, α), 0 ≤ α < ∞; 0 draws the rows as they are.
    size : float or int, default=1.0
        How many rows are drawn: a float is a share of the rows given, > 0 (4.0 is four times as
        many), an int their number, ≥ 1.
    labels : {"unmixed", "soft", "weighted", "values"}, default="unmixed"
        - "unmixed": the label of one of the rows. The expected loss is that of mixed labels;
          see Notes. Every classifier can be trained on it.
        - "soft": mixed one-hot labels, a matrix with one column per class.
        - "weighted": every mixed row once for each row that it was mixed of, with the label of
          that row; the mixing weights are in ``sample_weight_`` and must be passed on to the
          classifier. imbalanced-learn's ``Pipeline`` cannot pass them (its issue 833).
        - "values": ``y`` holds numbers, which are mixed as the columns are (regression).
    partners : {"any", "same_class", "neighbors"}, default="any"
        What rows are mixed with: any rows, rows of their own class, or one of their
        ``n_neighbors`` nearest rows of any class (Euclidean distance of the columns as they
        are: scale them first). For neighbours within one class, the line that SMOTE draws on,
        take imbalanced-learn's ``SMOTE``.
    n_neighbors : int, default=5
        Number of neighbours, ≥ 1; only with ``partners="neighbors"``.
    n_mixed : int, default=2
        Number of rows that each drawn row is mixed of, ≥ 2; weights of more than two come from
        the Dirichlet distribution with all parameters α.
    balance : bool, default=False
        Whether all classes are drawn equally often, also as partners (neighbours are as they
        are). Probabilities of a classifier trained on such rows are too high for rare classes;
        see Notes.
    keep : bool, default=False
        Whether the rows given come first, followed by those drawn.
    random_state : int, RandomState or None, default=None
        Seed of all draws.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels; column order of "soft" ones. Not with ``labels="values"``.
    sample_indices_ : ndarray of int64, shape (n_rows_drawn,)
        Row that each label comes from: hard labels are ``y[sample_indices_]``. The first of
        the rows that were mixed for "soft" labels and "values".
    sample_weight_ : ndarray of float64, shape (n_rows_drawn,)
        Weights of the rows: mixing weights with ``labels="weighted"``, else 1.
    sampling_strategy_ : dict of label to int
        How many of the rows drawn have which label (see ``sample_indices_``); the name is
        imbalanced-learn's.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Their names, where the input had string names.

    Notes
    -----
    The loss of a mixed label is linear in λ, and the density of Beta(α, α) times λ is half the
    density of Beta(α + 1, α). As (i, j) and (j, i) are drawn equally often,

    .. math::
        \mathrm E_{\lambda \sim \mathrm{Beta}(\alpha, \alpha)}
            [\lambda \ell(f(\tilde x), y_i) + (1-\lambda) \ell(f(\tilde x), y_j)]
        = \mathrm E_{\lambda \sim \mathrm{Beta}(\alpha + 1, \alpha)} [\ell(f(\tilde x), y_i)]

    ("mixup: data-dependent data augmentation", inference.vc 2017). For k rows with weights from
    Dirichlet(α, …, α) the same holds with Dirichlet(α + 1, α, …, α), the larger parameter being
    that of the row that gives its label. A row may be no neighbour of its neighbour; there any
    of the k rows gives the label, each as often as the others.

    Rows that are mixed blur the classes, and classes that are balanced change how frequent they
    are: both move probabilities. Where these matter, calibrate on rows that were not drawn:
    ``CalibratedClassifierCV(make_pipeline(sampler, classifier), method="temperature")`` with
    imbalanced-learn's ``make_pipeline``, since a pipeline's sampler leaves alone what it
    predicts. A temperature cannot undo ``balance``; ``method="sigmoid"`` can. To find more rows
    of a rare class without touching probabilities, move the threshold instead, with
    ``TunedThresholdClassifierCV``.

    Rows that are close to each other must not be split: cross-validate a pipeline that holds
    the sampler, never a table that was drawn beforehand.

    See Also
    --------
    mixup_tab.MixupClassifier : Draws new mixed rows in every epoch.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.linear_model import LogisticRegression
    >>> from mixup_tab.sampling import VicinalSampler
    >>> X, y = load_iris(return_X_y=True)
    >>> X_drawn, y_drawn = VicinalSampler(size=300, random_state=0).fit_resample(X, y)
    >>> X_drawn.shape
    (300, 4)
    >>> bool(LogisticRegression(max_iter=1000).fit(X_drawn, y_drawn).score(X, y) > 0.9)
    True
    """

    _estimator_type = "sampler"

    _parameter_constraints: ClassVar[dict] = {
        "alpha": [Interval(Real, 0, np.inf, closed="left")],
        "size": [
            Interval(Integral, 1, None, closed="left"),
            Interval(RealNotInt, 0, np.inf, closed="neither"),
        ],
        "labels": [StrOptions({"unmixed", "soft", "weighted", "values"})],
        "partners": [StrOptions({"any", "same_class", "neighbors"})],
        "n_neighbors": [Interval(Integral, 1, None, closed="left")],
        "n_mixed": [Interval(Integral, 2, None, closed="left")],
        "balance": ["boolean"],
        "keep": ["boolean"],
        "random_state": ["random_state"],
    }

    def __init__(
        self,
        alpha: float = 0.2,
        *,
        size: float = 1.0,
        labels: str = "unmixed",
        partners: str = "any",
        n_neighbors: int = 5,
        n_mixed: int = 2,
        balance: bool = False,
        keep: bool = False,
        random_state: Any = None,
    ) -> None:
        self.alpha = alpha
        self.size = size
        self.labels = labels
        self.partners = partners
        self.n_neighbors = n_neighbors
        self.n_mixed = n_mixed
        self.balance = balance
        self.keep = keep
        self.random_state = random_state

    def fit(self, X: Any, y: Any) -> VicinalSampler:
        """Check the parameters and the table; draws nothing.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Numbers.
        y : array-like of shape (n_samples,)
            Targets.

        Returns
        -------
        VicinalSampler
        """
        self._check(X, y)
        return self

    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Draw mixed rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Numbers, without missing values. Mixed whole numbers become float64.
        y : array-like of shape (n_samples,)
            Labels of any kind, or one-hot rows; numbers of shape (n_samples,) or
            (n_samples, n_outputs) with ``labels="values"``.

        Returns
        -------
        X_drawn : as ``X``, shape (n_rows_drawn, n_features)
            In the same container, with the same column names.
        y_drawn : as ``y``, shape (n_rows_drawn,)
            For "soft" labels of shape (n_rows_drawn, n_classes), a DataFrame where ``y`` is a
            pandas object and else an array.

        Raises
        ------
        TypeError
            For categories and dates, labels of several kinds, missing ones among strings, and
            targets that are not numbers with ``labels="values"``.
        ValueError
            For parameters out of range, text, missing values, a single class, targets that
            are not labels, and fewer rows than neighbours.
        """
        table, codes, target = self._check(X, y)
        rows, weights = draw_plan(self, table, codes)
        mixed = mix_rows(table, rows, weights)
        sources, importance = rows[:, 0], np.ones(len(rows))
        if self.labels == "weighted":
            mixed = stack([mixed] * self.n_mixed)
            sources, importance = rows.T.ravel(), weights.T.ravel()
        self._describe(table.shape[0], codes, sources, importance)
        X_drawn = like(X, stack([table, mixed]) if self.keep else mixed)
        if self.labels in ("unmixed", "weighted"):
            return X_drawn, take(y, self.sample_indices_)
        y_mixed = mix_rows(target, rows, weights)
        return X_drawn, self._as_target(y, stack([target, y_mixed]) if self.keep else y_mixed)

    def __sklearn_tags__(self) -> Tags:
        """Say that this is a sampler, what it takes, and that rows can be traced."""
        return as_sampler(super().__sklearn_tags__())

    def _check(self, X: Any, y: Any) -> tuple[Any, np.ndarray | None, np.ndarray | None]:
        """Return the table, and the codes of its classes or, to be mixed, its targets."""
        self._validate_params()
        if isinstance(self.size, bool):
            raise TypeError(
                f"size must be a number, got {self.size!r}. 1.0 draws as many rows as given."
            )
        table, target = check_rows(self, X, y)
        if self.labels == "values":
            if self.balance or self.partners == "same_class":
                raise ValueError(
                    "balance=True and partners='same_class' need classes, but labels='values' "
                    f"are numbers: got balance={self.balance!r}, partners={self.partners!r}. "
                    "Use balance=False and partners='any' or 'neighbors'."
                )
            values = check_values(target)
            self._check_neighbors(table)
            return table, None, values
        self.classes_, codes = check_labels(target)
        self._check_neighbors(table)
        soft = np.eye(len(self.classes_))[codes] if self.labels == "soft" else None
        return table, codes, soft

    def _check_neighbors(self, table: Any) -> None:
        needed = self.n_neighbors + 1
        if self.partners == "neighbors" and table.shape[0] < needed:
            raise ValueError(
                f"n_neighbors={self.n_neighbors} needs at least {needed} rows, got "
                f"n_samples={table.shape[0]}. Set it to a smaller number."
            )

    def _describe(
        self, n: int, codes: np.ndarray | None, sources: np.ndarray, importance: np.ndarray
    ) -> None:
        """Keep where the rows drawn come from and what they weigh."""
        kept = n if self.keep else 0
        self.sample_indices_ = np.concatenate([np.arange(kept), sources])
        self.sample_weight_ = np.concatenate([np.ones(kept), importance])
        if codes is not None:
            counts = np.bincount(codes[sources], minlength=len(self.classes_)).tolist()
            self.sampling_strategy_ = dict(zip(self.classes_.tolist(), counts, strict=True))

    def _as_target(self, y: Any, mixed: np.ndarray) -> Any:
        """Return mixed targets in the container of ``y``, soft labels with their classes."""
        if self.labels == "soft" and isinstance(y, pd.Series | pd.DataFrame):
            return pd.DataFrame(mixed, columns=self.classes_)
        return like(y, mixed)
