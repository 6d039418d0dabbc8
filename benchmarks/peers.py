"""Methods for raw tables, each with the preprocessing that suits it.

All take a seed; methods for both classification and regression also take a ``kind``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd
from sklearn import ensemble
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.model_selection import GridSearchCV, StratifiedKFold, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC
from skrub import StringEncoder, TableVectorizer, ToCategorical, tabular_pipeline

import mixup_tab
from mixup_tab import MixupClassifier, MixupEnsembleClassifier, MixupRegressor, TableEncoder
from mixup_tab.benchmark.uci import strata

CLASSIFIER, REGRESSOR = "Classifier", "Regressor"
SEARCH_ROWS, FOLDS = 2000, 4
GRID = {"C": [0.1, 1, 10, 100], "gamma": [0.1, 0.3, 1, 3]}


class CalibratedSVC(ClassifierMixin, BaseEstimator):
    """RBF support vector machine with probabilities; C and γ are chosen inside.

    C and γ are chosen by 4-fold cross-validation on at most 2,000 training rows; γ is in units
    of ``"scale"``, 1 / (columns · variance). Probabilities are Platt's sigmoids on decisions of
    4-fold cross-validation, with fewer folds if a class has fewer rows, or on the training
    rows' own decisions if a class has a single row.
    """

    def __init__(self, random_state: int = 0) -> None:
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> CalibratedSVC:
        """Choose, fit, calibrate."""
        some = np.arange(len(y))
        if len(y) > SEARCH_ROWS:
            some, _ = train_test_split(
                some,
                train_size=SEARCH_ROWS,
                stratify=strata(y, 2),
                random_state=self.random_state,
            )
        scale = 1 / (X.shape[1] * X.var()) if X.var() > 0 else 1.0
        grid = {"C": GRID["C"], "gamma": [scale * gamma for gamma in GRID["gamma"]]}
        search = GridSearchCV(SVC(), grid, cv=self._folds(FOLDS), refit=False)
        machine = SVC(**search.fit(X[some], y[some]).best_params_)
        rarest = int(np.unique(y, return_counts=True)[1].min())
        if rarest > 1:
            folds = self._folds(min(FOLDS, rarest))
            model = CalibratedClassifierCV(machine, ensemble=False, cv=folds)
        else:
            model = CalibratedClassifierCV(FrozenEstimator(clone(machine).fit(X, y)))
        self.model_ = model.fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def _folds(self, count: int) -> StratifiedKFold:
        return StratifiedKFold(count, shuffle=True, random_state=self.random_state)

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the probabilities of classes."""
        return self.model_.predict_proba(X)


class CatBoost(BaseEstimator):
    """CatBoost that detects categorical columns when it is fitted."""

    def __init__(self, kind: str = CLASSIFIER, random_state: int = 0) -> None:
        self.kind, self.random_state = kind, random_state

    def fit(self, X: pd.DataFrame, y: np.ndarray) -> CatBoost:
        """Fit with one thread."""
        import catboost

        self.model_ = getattr(catboost, f"CatBoost{self.kind}")(
            random_seed=self.random_state,
            thread_count=1,
            verbose=False,
            allow_writing_files=False,
            cat_features=list(X.select_dtypes(object).columns),
        ).fit(X, y)
        self.classes_ = getattr(self.model_, "classes_", None)
        return self

    def predict(self, X: pd.DataFrame) -> np.ndarray:
        """Return values or classes."""
        return self.model_.predict(X)

    def predict_proba(self, X: pd.DataFrame) -> np.ndarray:
        """Return the probabilities of classes."""
        return self.model_.predict_proba(X)


def ours(seed: int, *, kind: type = MixupClassifier, raw: bool = True, **params: Any) -> Any:
    """Return one of our estimators behind our encoder."""
    model = kind(**params, random_state=seed, device="cpu")
    return make_pipeline(TableEncoder(random_state=seed), model) if raw else model


def forest(seed: int, kind: str = CLASSIFIER) -> Pipeline:
    """Return a random forest of 500 trees."""
    make = getattr(ensemble, f"RandomForest{kind}")
    return tabular_pipeline(make(n_estimators=500, random_state=seed))


def hist_boosting(seed: int, kind: str = CLASSIFIER) -> Pipeline:
    """Return scikit-learn's boosting with its own handling of categories."""
    make = getattr(ensemble, f"HistGradientBoosting{kind}")
    return make_pipeline(_native(), make(categorical_features="from_dtype", random_state=seed))


def mlp(seed: int) -> Pipeline:
    """Return scikit-learn's net."""
    return tabular_pipeline(MLPClassifier(random_state=seed))


def svc(seed: int) -> Pipeline:
    """Return the support vector machine: one-hot, means for missing values, scaled."""
    imputer = SimpleImputer(add_indicator=True)
    return make_pipeline(TableVectorizer(), imputer, StandardScaler(), CalibratedSVC(seed))


def lightgbm(seed: int, kind: str = CLASSIFIER) -> Pipeline:
    """Return LightGBM with its own handling of categories and missing values."""
    import lightgbm

    model = getattr(lightgbm, f"LGBM{kind}")(random_state=seed, n_jobs=1, verbose=-1)
    return make_pipeline(_native(), FunctionTransformer(_numbered), model)


def catboost(seed: int, kind: str = CLASSIFIER) -> Pipeline:
    """Return CatBoost with its own handling of categories and missing values."""
    return make_pipeline(
        _native(), FunctionTransformer(_categories_as_text), CatBoost(kind, seed)
    )


def pytabkit(seed: int, kind: str = CLASSIFIER, *, name: str, **params: Any) -> Pipeline:
    """Return a method of pytabkit; missing numbers become means, the rest is its own."""
    import pytabkit

    for logger in ("lightning", "lightning.pytorch", "pytorch_lightning", "lightning_fabric"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    make = getattr(pytabkit, f"{name}_{kind}")
    model = make(random_state=seed, device="cpu", n_threads=1, **params)
    numbers = SimpleImputer(keep_empty_features=True)
    return make_pipeline(_native(numeric=numbers), FunctionTransformer(_numbered), model)


def _native(**params: Any) -> TableVectorizer:
    """Return skrub's vectorizer, categories of up to 255 levels left to the method."""
    encoder = StringEncoder(random_state=0)
    return TableVectorizer(
        cardinality_threshold=256,
        low_cardinality=ToCategorical(),
        high_cardinality=encoder,
        **params,
    )


def _numbered(frame: pd.DataFrame) -> pd.DataFrame:
    """Name columns by number: LightGBM rejects names with brackets and colons."""
    return frame.set_axis([f"column{k}" for k in range(frame.shape[1])], axis=1)


def _categories_as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Convert categories to text, including missing ones, as CatBoost needs."""
    categories = frame.select_dtypes("category").columns
    texts = frame[categories].astype(object).where(frame[categories].notna(), "missing")
    return frame.assign(**{name: texts[name].astype(str).astype(object) for name in categories})


ENSEMBLE, DEFAULTS, PLAIN = "MixupEnsembleClassifier", "MixupClassifier", "plain training"
OURS: dict[str, Callable[..., Any]] = {
    DEFAULTS: ours,
    ENSEMBLE: partial(ours, kind=MixupEnsembleClassifier, n_jobs=1),
    PLAIN: partial(ours, alpha=0),
}
QUANTILES = (0.1, 0.5, 0.9)
OUR_REGRESSORS = ("MixupRegressor", "MixupEnsembleRegressor")
# xRFM's default, leaves of 60,000 rows, takes kernel matrices of 14 GB.
XRFM: dict[str, Callable[..., Any]] = {
    "xRFM": partial(pytabkit, name="XRFM_D", max_leaf_samples=15_000),
    "xRFM-HPO": partial(pytabkit, name="XRFM_HPO", max_leaf_samples=15_000),
}
# By name, with the required package.
PEERS: dict[str, tuple[Callable[..., Any], str]] = {
    "RandomForest": (forest, "sklearn"),
    "HistGradientBoosting": (hist_boosting, "sklearn"),
    "LightGBM": (lightgbm, "lightgbm"),
    "CatBoost": (catboost, "catboost"),
    "RealMLP-TD-S": (partial(pytabkit, name="RealMLP_TD_S"), "pytabkit"),
    "RealMLP-TD": (partial(pytabkit, name="RealMLP_TD"), "pytabkit"),
    "TabM-D": (partial(pytabkit, name="TabM_D"), "pytabkit"),
    "xRFM": (XRFM["xRFM"], "xrfm"),
}
CLASSIFIERS_ONLY: dict[str, Callable[[int], Any]] = {"SVC": svc, "MLPClassifier": mlp}


def installed(kind: str = CLASSIFIER) -> dict[str, Callable[[int], Any]]:
    """Return the installed peers for classification or regression."""
    found = {name: make for name, (make, module) in PEERS.items() if find_spec(module)}
    return {name: partial(make, kind=kind) for name, make in found.items()}


def raw_methods() -> dict[str, Callable[[int], Any]]:
    """Return our classifiers and the installed peers."""
    return {**OURS, **CLASSIFIERS_ONLY, **installed()}


def regressors() -> dict[str, Callable[[int], Any]]:
    """Return our regressors and the installed peers."""
    kinds = {name: getattr(mixup_tab, name, None) for name in OUR_REGRESSORS}
    mine = {name: partial(ours, kind=kind) for name, kind in kinds.items() if kind}
    mine["MixupRegressor quantiles"] = partial(ours, kind=MixupRegressor, quantiles=QUANTILES)
    return {**mine, **installed(REGRESSOR)}
