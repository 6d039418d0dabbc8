"""Classifiers whose probabilities can be drawn."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sklearn.utils.validation import check_is_fitted


def check_classifiers(named: Mapping[str, Any], argument: str) -> None:
    """Raise unless there are classifiers, fitted and with probabilities.

    Parameters
    ----------
    named : mapping of str to estimator
        The classifiers by name.
    argument : str
        What they were given as, for the message.

    Raises
    ------
    ValueError
        If there is none.
    TypeError
        If one has no ``predict_proba``.
    NotFittedError
        If one is not fitted.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> from mixup_tab.displays.fitted_classifiers import check_classifiers
    >>> check_classifiers({"prior": DummyClassifier().fit([[0]], [1])}, "estimators")
    """
    if not named:
        raise ValueError(f"{argument} must hold at least one fitted classifier, got none.")
    for name, estimator in named.items():
        check_is_fitted(estimator)
        if not hasattr(estimator, "predict_proba"):
            raise TypeError(
                f"{name} has no predict_proba, so its probabilities cannot be shown. Take "
                "a classifier that has, or wrap it in CalibratedClassifierCV."
            )
