"""VicinalSampler."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, _fit_context
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, RealNotInt, StrOptions

from mixup_tab._plain import PythonParams, shown
from mixup_tab.sampling._draws import draw_mixes
from mixup_tab.sampling._tables import (
    check_labels,
    check_rows,
    check_values,
    like,
    mix_rows,
    stack,
    take,
)


class VicinalSampler(PythonParams, OneToOneFeatureMixin, BaseEstimator):
    r"""Draws a table of mixed rows, to train any estimator with mixup.

    Training with mixup minimises the loss on the vicinal distribution of a table (Zhang et al.
    2017, arXiv 1710.09412, section 2), whose rows are

    .. math::
        \tilde x = \lambda x_i + (1-\lambda) x_j, \quad
        \tilde y = \lambda y_i + (1-\lambda) y_j, \quad
        \lambda \sim \mathrm{Beta}(\alpha, \alpha).

    The sampler draws such rows once, before training. It has the interface of
    imbalanced-learn's samplers and works in its ``Pipeline``, which skips it in prediction;
    imbalanced-learn itself is not required.

    Parameters
    ----------
    alpha : float, default=0.2
        Parameter of Beta(α, α), 0 ≤ α < ∞; 0 draws unmixed rows.
    size : float or int, default=1.0
        Number of rows to draw: a float > 0 relative to the rows of ``X`` (4.0 draws four times
        as many), an int ≥ 1 as a number.
    labels : {"unmixed", "soft", "weighted", "values"}, default="unmixed"
        - "unmixed": the label of one of the mixed rows, with the same expected loss as the
          mixed label; see Notes. Works with every classifier.
        - "soft": mixed one-hot labels, a matrix with one column per class.
        - "weighted": every mixed row is repeated for each of its rows, with the label of that
          row. Pass the mixing weights, ``sample_weight_``, to the classifier;
          imbalanced-learn's ``Pipeline`` cannot (its issue 833).
        - "values": numbers, mixed like the columns (regression).
    partners : {"any", "same_class", "neighbors"}, default="any"
        Partners of a row: any row, rows of its class, or its ``n_neighbors`` nearest rows of
        any class (by Euclidean distance: scale the columns first). For neighbours of the same
        class, use imbalanced-learn's ``SMOTE``.
    n_neighbors : int, default=5
        Number of neighbours, ≥ 1; only with ``partners="neighbors"``.
    n_mixed : int, default=2
        Number of rows in each mix, ≥ 2. The weights of more than two come from the Dirichlet
        distribution with all parameters α.
    balance : bool, default=False
        If True, all classes are drawn equally often, also as partners (except neighbours). A
        classifier trained on balanced rows overestimates the probability of rare classes; see
        Notes.
    keep : bool, default=False
        If True, the rows of ``X`` are returned too, before the drawn ones.
    random_state : int, RandomState or None, default=None
        Seed of all draws.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The labels, in the column order of "soft" labels. Not set with ``labels="values"``.
    sample_indices_ : ndarray of int64, shape (n_rows_drawn,)
        Row of each label: hard labels are ``y[sample_indices_]``. With "soft" and "values", the
        first row of each mix.
    sample_weight_ : ndarray of float64, shape (n_rows_drawn,)
        Mixing weights with ``labels="weighted"``, else 1.
    sampling_strategy_ : dict of label to int
        Number of drawn rows per label, as in imbalanced-learn.
    n_features_in_ : int
        Number of features.
    feature_names_in_ : ndarray of str
        Names of the features; set if ``X`` has string names.

    Notes
    -----
    The loss of a mixed label is linear in λ, and the density of Beta(α, α) times λ is half the
    density of Beta(α + 1, α). Since (i, j) and (j, i) are drawn equally often,

    .. math::
        \mathrm E_{\lambda \sim \mathrm{Beta}(\alpha, \alpha)}
            [\lambda \ell(f(\tilde x), y_i) + (1-\lambda) \ell(f(\tilde x), y_j)]
        = \mathrm E_{\lambda \sim \mathrm{Beta}(\alpha + 1, \alpha)} [\ell(f(\tilde x), y_i)]

    ("mixup: data-dependent data augmentation", inference.vc 2017). The same holds for k rows,
    with Dirichlet(α + 1, α, …, α) instead of Dirichlet(α, …, α), where the larger parameter
    belongs to the row of the label. Being a neighbour is not symmetric; with
    ``partners="neighbors"``, the label comes from any of the k rows with equal probability.

    Both mixing and balancing change predicted probabilities: mixed rows blur the classes,
    balanced rows change their frequencies. If you need probabilities, calibrate on real rows:
    ``CalibratedClassifierCV(make_pipeline(sampler, classifier), method="temperature")`` with
    imbalanced-learn's ``make_pipeline``. A temperature cannot undo ``balance``;
    ``method="sigmoid"`` can. To find more rows of a rare class without changing probabilities,
    lower the threshold with ``TunedThresholdClassifierCV``.

    Cross-validate a pipeline that contains the sampler. Mixed rows resemble the rows that they
    were made from, so a table drawn before the split leaks test rows into training.

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

    _estimator_type = "sampler"  # imbalanced-learn's mark of a sampler

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
        random_state: int | np.random.RandomState | None = None,
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

    @_fit_context(prefer_skip_nested_validation=True)
    def fit(self, X: Any, y: Any) -> VicinalSampler:
        """Check the parameters and the table without drawing.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Numbers.
        y : array-like of shape (n_samples,)
            Targets.

        Returns
        -------
        VicinalSampler
            The sampler itself.
        """
        self._check(X, y)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
    def fit_resample(self, X: Any, y: Any) -> tuple[Any, Any]:
        """Draw mixed rows.

        Parameters
        ----------
        X : array-like or sparse matrix of shape (n_samples, n_features)
            Numbers without missing values. Integers become float64.
        y : array-like of shape (n_samples,)
            Labels of any kind, or one-hot rows; with ``labels="values"``, numbers of shape
            (n_samples,) or (n_samples, n_outputs).

        Returns
        -------
        X_drawn : as ``X``, shape (n_rows_drawn, n_features)
            In the same container, with the same column names.
        y_drawn : as ``y``, shape (n_rows_drawn,)
            "Soft" labels have the shape (n_rows_drawn, n_classes) and come as a DataFrame if
            ``y`` is a pandas object, else as an array.

        Raises
        ------
        TypeError
            For categories and dates, labels with mixed types or missing values, and targets
            that are not numbers with ``labels="values"``.
        ValueError
            For parameters out of range, text, missing values, a single class, targets that are
            not labels, and too few rows for ``n_neighbors``.
        """
        table, codes, target = self._check(X, y)
        mixed, y_mixed, sources, weights = self._fit_resample(table, codes, target)
        self._describe(table.shape[0], codes, sources, weights)
        X_drawn = like(X, stack([table, mixed]) if self.keep else mixed)
        if y_mixed is None:  # hard labels
            return X_drawn, take(y, self.sample_indices_)
        return X_drawn, self._as_target(y, stack([target, y_mixed]) if self.keep else y_mixed)

    def _fit_resample(
        self, table: Any, codes: np.ndarray | None, target: np.ndarray | None
    ) -> tuple[Any, np.ndarray | None, np.ndarray, np.ndarray]:
        """Return mixed rows and targets, the row of each label, and weights."""
        rows, weights = draw_mixes(self, table, codes)
        mixed = mix_rows(table, rows, weights)
        if self.labels == "weighted":
            return stack([mixed] * self.n_mixed), None, rows.T.ravel(), weights.T.ravel()
        y_mixed = None if target is None else mix_rows(target, rows, weights)
        return mixed, y_mixed, rows[:, 0], np.ones(len(rows))

    def __sklearn_tags__(self) -> Tags:
        """Return scikit-learn's tags: a sampler that takes sparse tables and needs targets."""
        tags = super().__sklearn_tags__()
        tags.estimator_type = "sampler"
        tags.input_tags.sparse = True
        tags.target_tags.required = True
        return tags

    def _check(self, X: Any, y: Any) -> tuple[Any, np.ndarray | None, np.ndarray | None]:
        """Return the table, the class codes, and the targets to be mixed, if there are any."""
        if isinstance(self.size, bool):  # an int to scikit-learn's validation
            raise TypeError(
                f"size must be a number, got {shown(self.size)}. 1.0 draws as many rows as X "
                "has."
            )
        table, target = check_rows(self, X, y)
        codes = None
        if self.labels == "values":
            if self.balance or self.partners == "same_class":
                raise ValueError(
                    "balance=True and partners='same_class' need classes, but labels='values' "
                    f"are numbers: got balance={shown(self.balance)}, "
                    f"partners={self.partners!r}. Use balance=False and partners='any' or "
                    "'neighbors'."
                )
            target = check_values(target)
        else:
            self.classes_, codes = check_labels(target)
            target = np.eye(len(self.classes_))[codes] if self.labels == "soft" else None
        if self.partners == "neighbors" and table.shape[0] <= self.n_neighbors:
            raise ValueError(
                f"n_neighbors={self.n_neighbors} needs at least {self.n_neighbors + 1} rows, "
                f"got n_samples={table.shape[0]}. Use a smaller number."
            )
        return table, codes, target

    def _describe(
        self, n: int, codes: np.ndarray | None, sources: np.ndarray, weights: np.ndarray
    ) -> None:
        """Set the attributes about sources and weights of the drawn rows."""
        kept = n if self.keep else 0
        self.sample_indices_ = np.concatenate([np.arange(kept), sources])
        self.sample_weight_ = np.concatenate([np.ones(kept), weights])
        if codes is not None:
            counts = np.bincount(codes[sources], minlength=len(self.classes_)).tolist()
            self.sampling_strategy_ = dict(zip(self.classes_.tolist(), counts, strict=True))

    def _as_target(self, y: Any, mixed: np.ndarray) -> Any:
        """Return mixed targets in the container of ``y``, soft labels with class names."""
        if self.labels == "soft" and isinstance(y, pd.Series | pd.DataFrame):
            return pd.DataFrame(mixed, columns=self.classes_)
        return like(y, mixed)
