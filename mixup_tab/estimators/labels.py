"""Labels of classifiers: validation, codes and prediction."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d

from mixup_tab.estimators.data import (
    TrainingData,
    check_weight,
    check_X,
    input_types,
    make_training_data,
)


class LabelsMixin(ClassifierMixin):
    """Mixin for classifiers with the parameters ``module`` and ``class_weight``."""

    classes_: np.ndarray

    def _check_training_data(
        self,
        X: Any,
        y: Any,
        sample_weight: Any,
        *,
        resume: bool,
        classes: Any = None,
        least: int = 2,
    ) -> TrainingData:
        dtype = input_types(self.module)
        X, y = check_X(self, X, y=y, reset=not resume, dtype=dtype)
        y = column_or_1d(y, warn=True)
        labels = labels_in(y if classes is None else classes)
        check_classification_targets(y)
        if resume:
            if classes is not None and not np.array_equal(labels, self.classes_):
                raise ValueError(
                    f"classes={classes!r} differ from those of the first call, "
                    f"{self.classes_.tolist()}. Pass the same, or None."
                )
        else:
            self.classes_ = labels
        codes = self._codes(y)
        weight = check_weight(sample_weight, X)
        if self.class_weight is not None:
            weight = weight * self._class_weights(y)
        if len(self.classes_) < 2:
            raise ValueError(
                f"y holds only one class, {self.classes_.tolist()[0]!r}, in "
                f"{len(y)} row{'s' * (len(y) > 1)} (n_samples={len(y)}); a classifier needs "
                "at least 2 classes."
            )
        return make_training_data(self, X, codes, weight, len(self.classes_), least)

    def _codes(self, y: np.ndarray) -> np.ndarray:
        codes = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        unknown = self.classes_[codes] != y
        if np.any(unknown):
            raise ValueError(
                f"y holds labels that are not among classes={self.classes_.tolist()}: "
                f"{np.unique(y[unknown]).tolist()}. Pass all labels in the first call."
            )
        return codes.astype(np.int64)

    def _class_weights(self, y: np.ndarray) -> np.ndarray:
        weight = compute_sample_weight(self.class_weight, y)
        if (weight < 0).any():
            raise ValueError(f"class_weight must not be negative, got {self.class_weight!r}.")
        return weight

    def decision_function(self, X: Any) -> np.ndarray:
        """Return log-odds of the second of two classes, or a log-probability per class.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
        """
        log_proba = self.predict_log_proba(X)
        return log_proba[:, 1] - log_proba[:, 0] if log_proba.shape[1] == 2 else log_proba

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable label of each row.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Rows.

        Returns
        -------
        ndarray of shape (n_samples,)
        """
        best = self.predict_proba(X).argmax(axis=1)
        return self.classes_[best]


def labels_in(y: Any) -> np.ndarray:
    """Return the distinct labels in order; raise TypeError if they cannot be ordered."""
    try:
        return np.unique(y)
    except TypeError as error:
        kinds = dict.fromkeys(type(label).__name__ for label in y)
        raise TypeError(
            f"The labels in y must have one type, got {', '.join(kinds)}. Convert all of them "
            "to strings or to numbers, and drop rows without a label."
        ) from error
