"""Classifiers that answer "unknown" when no word is probable enough."""

from __future__ import annotations

import math
from numbers import Real
from typing import Any, NamedTuple, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from mixup_tab._plain import as_python, shown
from mixup_tab.audio.answers import UNKNOWN, best_words, check_threshold


class RejectingClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Classifier that answers ``unknown`` where no label is probable enough.

    Labels other than ``unknown`` are called words here. The answer is the most probable word if
    its margin is at least ``threshold``, and ``unknown`` otherwise. The margin is the word's
    probability less that of the class ``unknown``, if there is such a class. Probabilities are
    those of the estimator.

    Parameters
    ----------
    estimator : classifier with ``predict_proba``
        What is fitted, usually on clips of the words and of other sounds.
    threshold : float, default=0.0
        Least margin of a word that is answered, in [−1, 1].
    unknown : str or int, default="unknown"
        The answer where no word is probable enough, of the same type as the other labels.

    Attributes
    ----------
    estimator_ : classifier
        The fitted estimator.
    classes_ : ndarray of shape (n_classes,)
        Labels that it was fitted to, in the order of the columns of ``predict_proba``.
    n_features_in_ : int
        Number of features seen in ``fit``.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.audio import RejectingClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> net = MixupClassifier(max_epochs=5, random_state=0)
    >>> model = RejectingClassifier(net, threshold=0.9, unknown=-1).fit(X, y)
    >>> unsure = model.predict_proba(X).max(axis=1) < 0.9
    >>> bool(((model.predict(X) == -1) == unsure).all())
    True
    """

    def __init__(
        self, estimator: Any, *, threshold: float = 0.0, unknown: Any = UNKNOWN
    ) -> None:
        self.estimator = estimator
        self.threshold = threshold
        self.unknown = unknown

    @classmethod
    def from_fitted(
        cls, estimator: Any, *, threshold: float = 0.0, unknown: Any = UNKNOWN
    ) -> RejectingClassifier:
        """Put a fitted estimator into a fitted ``RejectingClassifier``, without a copy.

        Parameters
        ----------
        estimator : classifier
            Fitted.
        threshold, unknown
            As in the class.

        Returns
        -------
        RejectingClassifier

        Raises
        ------
        TypeError, ValueError
            If ``threshold`` is not a number in [−1, 1], or ``unknown`` is of another type than
            the labels.
        """
        made = cls(estimator, threshold=threshold, unknown=unknown)
        made._keep(estimator)
        return made

    def fit(self, X: Any, y: Any, **fit_params: Any) -> Self:
        """Fit a copy of the estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Training rows.
        y : array-like of shape (n_samples,)
            Labels.
        **fit_params
            Passed to the estimator, such as ``sample_weight``.

        Returns
        -------
        RejectingClassifier

        Raises
        ------
        TypeError, ValueError
            If ``threshold`` is not a number in [−1, 1], ``unknown`` is of another type than the
            labels, or by the estimator's own ``fit``.
        """
        check_threshold(self.threshold)
        self._keep(clone(self.estimator).fit(X, y, **fit_params))
        return self

    def _keep(self, fitted: Any) -> None:
        check_threshold(self.threshold)
        classes = fitted.classes_
        if isinstance(self.unknown, str) != all(isinstance(label, str) for label in classes):
            raise TypeError(
                f"unknown={shown(self.unknown)} must be of the type of the labels, such as "
                f"{shown(classes[0])}."
            )
        if all(label == self.unknown for label in classes):
            raise ValueError(f"y holds no label but unknown={shown(self.unknown)}.")
        self.estimator_ = fitted

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities of the estimator.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Columns in the order of ``classes_``.
        """
        check_is_fitted(self)
        return self.estimator_.predict_proba(X)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable word of each row, or ``unknown``.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        return self.decide(self.predict_proba(X))

    def decide(self, proba: np.ndarray) -> np.ndarray:
        """Return the answers to rows of probabilities, as ``predict`` does to rows.

        Parameters
        ----------
        proba : ndarray of shape (n_samples, n_classes)
            From ``predict_proba``.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        check_threshold(self.threshold)
        best, margin = best_words(proba, self.classes_, self.unknown)
        words = self.classes_[best]
        refused = np.asarray(self.unknown, object if words.dtype == object else None)
        return np.where(margin >= self.threshold, words, refused)

    # Not kept, so that they cannot differ from those of the estimator.

    @property
    def classes_(self) -> np.ndarray:
        """Labels of the estimator."""
        return self.estimator_.classes_

    @property
    def n_features_in_(self) -> int:
        """Number of features seen in ``fit``."""
        return self.estimator_.n_features_in_

    @property
    def feature_names_in_(self) -> np.ndarray:
        """Names of the features, where the training rows had names of str."""
        return self.estimator_.feature_names_in_

    @property
    def net_(self) -> Any:
        """The fitted net of the estimator."""
        return self.estimator_.net_

    @property
    def _refusal(self) -> dict[str, Any]:
        """What an exported model needs to know to decide in the same way."""
        return {"threshold": float(self.threshold), "unknown": as_python(self.unknown)}

    def __sklearn_tags__(self) -> Any:
        """Say that what the estimator takes is taken."""
        tags, inner = super().__sklearn_tags__(), get_tags(self.estimator)
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        tags.classifier_tags = inner.classifier_tags
        return tags


class Threshold(NamedTuple):
    """A threshold, and what it does to the clips it was chosen on.

    ``false_alarms`` is the share of the other sounds that are taken for a word, ``lost`` that
    of the clips of words that are refused.
    """

    threshold: float
    false_alarms: float
    lost: float


def choose_threshold(
    known: np.ndarray,
    other: np.ndarray,
    *,
    lost: float = 0.05,
    false_alarms: float | None = None,
) -> Threshold:
    """Return a threshold for a share of lost clips, or for a share of false alarms.

    Of n clips of words, at most ⌊lost · n⌋ have a margin below the threshold, and it is the
    highest number of which that is true: the (⌊lost · n⌋ + 1)-th smallest margin. If a rate of
    false alarms is stated, that decides instead: of m other sounds, at most ⌊false_alarms · m⌋
    have a margin of at least the threshold, and it is the lowest number of which that is true:
    the next one above the (⌊false_alarms · m⌋ + 1)-th largest margin.

    ``known`` and ``other`` are margins by :func:`~.answers.best_words` of clips of words and of
    other sounds; neither is empty. Raises ValueError if a share is not in [0, 1], or only a
    threshold that refuses every clip of a word keeps to the rate of false alarms.
    """
    if false_alarms is None:
        check_share("lost", lost)
        allowed = _whole(lost, len(known))
        threshold = np.append(np.sort(known), 1.0)[allowed]
    else:
        check_share("false_alarms", false_alarms)
        allowed = _whole(false_alarms, len(other))
        threshold = np.nextafter(np.append(np.sort(other)[::-1], -1.0)[allowed], 2.0)
    threshold = float(threshold)
    if false_alarms is not None and threshold > known.max():
        raise ValueError(
            f"false_alarms={shown(false_alarms)} is kept by no threshold that leaves one of "
            f"{len(known):,} validation clips of words: the most certain has a margin of "
            f"{known.max():.3f}, and {100 * np.mean(other >= known.max()):.1f} % of "
            f"{len(other):,} other sounds reach that. State a higher rate, train for more "
            "epochs, or add clips of the words and recordings of other sounds."
        )
    return Threshold(
        threshold, float(np.mean(other >= threshold)), float(np.mean(known < threshold))
    )


def _whole(share: float, count: int) -> int:
    return math.floor(share * count + 1e-9)  # 0.29 · 100 is 28.999…


def check_share(name: str, share: Any) -> None:
    """Raise TypeError or ValueError unless a share is a number in [0, 1]."""
    number = isinstance(share, Real) and not isinstance(share, bool)
    if not number or not 0 <= share <= 1:
        kind = ValueError if number else TypeError
        raise kind(f"{name}={shown(share)} must be a share in [0, 1].")
