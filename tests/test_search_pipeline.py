"""Searches over pipelines: what is done once, and that it gives what GridSearchCV gives."""

import threading
import types
from typing import ClassVar

import joblib
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import sklearn
import skrub
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.metrics import log_loss, make_scorer
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MinMaxScaler,
    OneHotEncoder,
    StandardScaler,
)

from mixup_tab import MixupClassifier, MixupRegressor, MixupSearchCV

TINY = {
    "hidden_layer_sizes": (8,),
    "learning_rate_init": 0.02,
    "max_epochs": 2,
    "random_state": 0,
}
LOG_LOSS = "neg_log_loss"
ALPHAS = {"net__alpha": [0, 1.0]}


def tiny(**params):
    return MixupClassifier(**{**TINY, **params})


def before_a_net(*steps, **params):
    """A pipeline of some steps and a net."""
    named = [(f"step{k}" if k else "step", step) for k, step in enumerate(steps)]
    return Pipeline([*named, ("net", tiny())], **params)


def both(estimator, grid, X, y, fit_params=types.MappingProxyType({}), **options):
    """Fit ours and scikit-learn's with the same arguments."""
    options = {
        "cv": 2,
        "error_score": "raise",
        "refit": False,
        "scoring": LOG_LOSS,
        **options,
    }
    return [
        kind(estimator, grid, **options).fit(X, y, **fit_params)
        for kind in (MixupSearchCV, GridSearchCV)
    ]


def assert_agree(ours, theirs):
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    assert getattr(ours, "best_params_", None) == getattr(theirs, "best_params_", None)
    for key, column in theirs.cv_results_.items():
        if "_test_" in key or "_train_" in key:
            assert_allclose(ours.cv_results_[key], column, atol=1e-3, err_msg=key)


@pytest.fixture
def weights():
    return np.random.default_rng(5).uniform(0.1, 4, 60)


# ------------------------------------------------------------------------ how often


class Noted(TransformerMixin, BaseEstimator):
    """Shifts columns, and notes which rows it is fitted on; the first column tells rows."""

    seen: ClassVar[list] = []
    lock = threading.Lock()

    def __init__(self, shift=0.0):
        self.shift = shift

    def fit(self, X, y=None):
        with self.lock:
            self.seen.append((self.shift, tuple(X[:, 0].astype(int).tolist())))
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return X + self.shift


@pytest.fixture
def seen():
    Noted.seen.clear()
    return Noted.seen


@pytest.fixture
def numbered(three_classes):
    """A table whose first column is the number of the row."""
    X, y = three_classes
    return np.column_stack([np.arange(60), X]).astype(np.float32), y


def training_rows(cv, X, y):
    return [tuple(train.tolist()) for train, _ in cv.split(X, y)]


CV = KFold(3, shuffle=True, random_state=0)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_step_is_fitted_once_per_fold_and_setting_of_its_own(n_jobs, seen, numbered):
    """Whatever the settings of the net, and in whichever grids they stand."""
    grid = [
        {"net__alpha": [0, 1.0], "net__hidden_layer_sizes": [(4,), (3, 3)]},
        {"net": [tiny(n_estimators=2)], "step__shift": [1.0]},
        {"step__shift": [1.0], "net__dropout": [0.1]},
        {},
    ]
    search = MixupSearchCV(before_a_net(Noted()), grid, cv=CV, refit=False, n_jobs=n_jobs)
    search.fit(*numbered)
    rows = training_rows(CV, *numbered)
    assert sorted(seen) == sorted((shift, part) for shift in (0.0, 1.0) for part in rows)


def test_the_last_fit_is_of_the_whole_pipeline_on_all_rows(seen, numbered):
    search = MixupSearchCV(before_a_net(Noted()), ALPHAS, cv=CV).fit(*numbered)
    assert seen[-1] == (0.0, tuple(range(60)))
    assert len(seen) == 4
    best = before_a_net(Noted()).set_params(**search.best_params_).fit(*numbered)
    assert_array_equal(search.predict_proba(numbered[0]), best.predict_proba(numbered[0]))


# --------------------------------------------------------------------- what the steps do


class Flat(TransformerMixin, BaseEstimator):
    """Looks at the targets."""

    def fit(self, X, y):
        self.offset_ = X[y == 0].mean(axis=0)
        return self

    def transform(self, X):
        return X - self.offset_


STEPS = {
    "scaler": [StandardScaler()],
    "lambda": [FunctionTransformer(lambda X: X**2)],
    "none": [None],
    "nothing": [],
    "several": [StandardScaler(), "passthrough", PCA(2, random_state=0)],
    "targets": [Flat(), SelectKBest(k=3)],
    "a pipeline": [make_pipeline(MinMaxScaler(), PCA(3, random_state=0))],
}


@pytest.mark.parametrize("steps", STEPS.values(), ids=STEPS)
def test_steps(steps, three_classes, weights):
    pipeline, given = before_a_net(*steps), {"net__sample_weight": weights}
    assert_agree(*both(pipeline, ALPHAS, *three_classes, given, return_train_score=True))


GRIDS = {
    "components": {"step__n_components": [1, 3], "net__alpha": [0, 1.0]},
    "another step": {"step": [PCA(2), StandardScaler(), "passthrough", None]},
    "another net and its parameters": {"net": [tiny(), tiny(n_estimators=2)], **ALPHAS},
    "other steps": {"steps": [[("only", tiny())], [("s", PCA(1)), ("net", tiny())]]},
    "a list": [{"step": ["passthrough"], "net__max_epochs": [1, 2]}, {"step__whiten": [True]}],
    "nothing": {},
}


def test_parameters_of_any_step(three_classes):
    for grid in GRIDS.values():
        assert_agree(*both(before_a_net(PCA(2)), grid, *three_classes))


def test_a_regressor_at_the_end(line):
    pipeline = make_pipeline(PCA(), MixupRegressor(**TINY))
    grid = {"pca__n_components": [1, 4], "mixupregressor__alpha": [0, 1.0]}
    assert_agree(*both(pipeline, grid, *line, scoring=None, return_train_score=True))


def test_the_memory_of_a_pipeline(tmp_path, three_classes):
    pipeline = before_a_net(StandardScaler(), memory=str(tmp_path))
    assert_agree(*both(pipeline, ALPHAS, *three_classes))
    assert any(tmp_path.rglob("*.pkl"))


def test_attributes_of_a_search_over_a_pipeline(three_classes):
    X, y = three_classes
    frame = pd.DataFrame(X, columns=list("abcd"))
    ours, theirs = both(before_a_net(StandardScaler()), ALPHAS, frame, y, refit=True)
    for name in ("n_features_in_", "n_splits_", "multimetric_", "best_index_"):
        assert getattr(ours, name) == getattr(theirs, name)
    assert ours.feature_names_in_.tolist() == list("abcd")
    assert_array_equal(ours.classes_, [0, 1, 2])
    assert_array_equal(ours.predict(frame), ours.best_estimator_.predict(frame))
    assert_allclose(ours.score(frame, y), -log_loss(y, ours.predict_proba(frame)))


# ------------------------------------------------------------------------- raw columns


@pytest.fixture
def raw_table():
    """Words, dates, missing values, and labels that depend on them."""
    rng = np.random.default_rng(3)
    colour = rng.choice(["red", "green", "blue"], 60)
    size = rng.normal(size=60)
    size[::9] = np.nan
    when = pd.date_range("2026-01-01", periods=60)
    frame = pd.DataFrame({"colour": colour, "size": size, "when": when})
    frame.loc[::7, "colour"] = None
    return frame, np.where((colour == "red") | (np.nan_to_num(size) > 1), "yes", "no")


def test_a_pipeline_of_skrub(raw_table):
    pipeline = skrub.tabular_pipeline(tiny())
    given = {"mixupclassifier__sample_weight": np.linspace(0.1, 5, 60)}
    grid = {"mixupclassifier__alpha": [0, 1.0]}
    ours, theirs = both(pipeline, grid, *raw_table, given, refit=True)
    assert_agree(ours, theirs)
    assert set(ours.predict(raw_table[0])) <= {"yes", "no"}
    assert hasattr(ours, "feature_names_in_") == hasattr(theirs, "feature_names_in_")


def dense(X):
    return X.toarray()


def test_a_list_of_texts():
    texts = [f"{'good' if k % 2 else 'bad'} thing number {k % 7}" for k in range(60)]
    pipeline = before_a_net(TfidfVectorizer(), FunctionTransformer(dense))
    grid = {"step__ngram_range": [(1, 1), (1, 2)]}
    assert_agree(*both(pipeline, grid, texts, np.arange(60) % 2, refit=True))


def test_a_sparse_table(three_classes):
    X, y = three_classes
    sparse = scipy.sparse.csr_array(np.maximum(X, 0))
    pipeline = before_a_net(TruncatedSVD(2, random_state=0))
    assert_agree(*both(pipeline, ALPHAS, sparse, y, return_train_score=True))


# ----------------------------------------------------------------------------- scoring


class NotesWhatItScores:
    """A user's own scorer."""

    def __init__(self):
        self.seen = []

    def __call__(self, estimator, X, y):
        self.seen.append((type(estimator).__name__, list(estimator.named_steps), list(X)))
        return estimator.score(X, y)


@pytest.mark.parametrize("several", [False, True], ids=["alone", "in a dict"])
def test_a_scorer_of_ones_own_sees_the_pipeline_and_raw_rows(several, raw_table):
    frame, y = raw_table
    own = NotesWhatItScores()
    scoring = {"own": own, "accuracy": "accuracy"} if several else own
    grid = {"mixupclassifier__alpha": [0, 1.0]}
    search = MixupSearchCV(
        skrub.tabular_pipeline(tiny()),
        grid,
        scoring=scoring,
        refit=False,
        cv=2,
        error_score="raise",
    )
    search.fit(frame, y)
    steps = list(skrub.tabular_pipeline(tiny()).named_steps)
    assert own.seen == [("Pipeline", steps, list(frame))] * 4


class Shrinks(TransformerMixin, BaseEstimator):
    """Like a TargetEncoder: what it makes of training rows is not what it makes of others."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def fit_transform(self, X, y=None):
        return 0.5 * self.fit(X).transform(X)

    def transform(self, X):
        return X + 1


@pytest.mark.parametrize("scoring", [None, ["accuracy", LOG_LOSS]])
def test_training_rows_are_scored_as_other_rows_are(scoring, three_classes):
    pipeline = before_a_net(Shrinks()).set_params(net__max_epochs=8)
    options = {"scoring": scoring, "return_train_score": True}
    assert_agree(*both(pipeline, ALPHAS, *three_classes, **options))


# ---------------------------------------------------------------------- sample weights


def test_weights_of_single_steps(three_classes, weights):
    given = {"net__sample_weight": weights, "step__sample_weight": weights[::-1]}
    ours, theirs = both(before_a_net(StandardScaler()), ALPHAS, *three_classes, given)
    assert_agree(ours, theirs)
    plain, _ = both(before_a_net(StandardScaler()), ALPHAS, *three_classes)
    assert np.abs(ours.best_score_ - plain.best_score_) > 1e-4


@pytest.mark.parametrize("scaler_asks", [False, True])
def test_weights_are_routed_through_a_pipeline(scaler_asks, three_classes, weights):
    with sklearn.config_context(enable_metadata_routing=True):
        scaler = StandardScaler().set_fit_request(sample_weight=scaler_asks)
        net = tiny().set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        pipeline = Pipeline([("step", scaler), ("net", net)])
        given = {"sample_weight": weights}
        ours, theirs = both(
            pipeline, ALPHAS, *three_classes, given, scoring=None, refit=lambda results: 0
        )
        assert_agree(ours, theirs)


def test_weights_are_routed_to_a_scorer_of_a_pipeline(three_classes, weights):
    with sklearn.config_context(enable_metadata_routing=True):
        pipeline = before_a_net(StandardScaler().set_fit_request(sample_weight=False))
        pipeline[-1].set_fit_request(sample_weight=False)
        scorer = make_scorer(
            log_loss, greater_is_better=False, response_method="predict_proba"
        ).set_score_request(sample_weight=True)
        given = {"sample_weight": weights}
        assert_agree(*both(pipeline, ALPHAS, *three_classes, given, scoring=scorer))


# ------------------------------------------------------------------------ what can fail


def both_warn(estimator, grid, X, y):
    """Fit both where some fits are expected to fail; also return what ours says."""
    fitted, told = [], []
    for kind in (MixupSearchCV, GridSearchCV):
        search = kind(estimator, grid, cv=2, scoring=LOG_LOSS, error_score=-9.0)
        with pytest.warns(FitFailedWarning) as caught:
            fitted.append(search.fit(X, y))
        told.append([str(warning.message) for warning in caught])
    assert len(told[0]) == 1
    return *fitted, told[0][0]


def test_a_setting_with_which_a_step_fails_is_scored_as_an_error(three_classes):
    grid = {"step__n_components": [2, 40], "net__learning_rate_init": [0.02, 1e30]}
    ours, theirs, told = both_warn(before_a_net(PCA()), grid, *three_classes)
    assert_agree(ours, theirs)
    assert "'net__learning_rate_init': 1e+30" in told
    assert "'step__n_components': 40" in told


def test_a_step_that_fails_raises_if_asked_to(three_classes):
    grid = {"step__n_components": [2, 40]}
    search = MixupSearchCV(before_a_net(PCA()), grid, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="n_components=40"):
        search.fit(*three_classes)
    assert not hasattr(search, "cv_results_")


class Fails(TransformerMixin, BaseEstimator):
    """Raises something that is no ValueError."""

    def fit(self, X, y=None):
        raise RuntimeError("not on these rows")

    def transform(self, X):
        return X


def test_whatever_a_step_raises_does_not_stop_the_search(three_classes):
    grid = {"step": ["passthrough", Fails()]}
    ours, theirs, told = both_warn(before_a_net("passthrough"), grid, *three_classes)
    assert_agree(ours, theirs)
    assert "2 fits failed" in told
    assert told.count("not on these rows") == 1


@pytest.mark.parametrize("scoring", [LOG_LOSS, None])
def test_test_rows_that_a_step_refuses_are_scored_as_an_error(scoring, three_classes):
    X, y = three_classes
    word = np.where(np.arange(60) == 7, "rare", "usual")  # in one test fold only
    table = ColumnTransformer([("word", OneHotEncoder(), [1])], remainder="passthrough")
    fitted = []
    for kind in (MixupSearchCV, GridSearchCV):
        options = {"cv": CV, "scoring": scoring, "refit": False, "error_score": -9.0}
        search = kind(before_a_net(table), ALPHAS, **options)
        with pytest.warns(UserWarning, match="(?s)Scoring failed.*unknown categories"):
            fitted.append(search.fit(pd.DataFrame({"a": X[:, 0], "word": word}), y))
    assert_agree(*fitted)


# ---------------------------------------------------------------------- reproducibility


@pytest.mark.parametrize("backend", ["threading", pytest.param("loky", marks=pytest.mark.slow)])
def test_the_backend_does_not_change_a_bit(backend, three_classes):
    pipeline = before_a_net(StandardScaler(), PCA(random_state=0))
    grid = {"step1__n_components": [1, 3], "net__alpha": [0, 1.0]}
    search = MixupSearchCV(pipeline, grid, cv=3, scoring=LOG_LOSS, refit=False)
    expected = search.set_params(n_jobs=1).fit(*three_classes).cv_results_
    with joblib.parallel_config(backend=backend, n_jobs=2):
        results = search.set_params(n_jobs=None).fit(*three_classes).cv_results_
    assert_array_equal(results["mean_test_score"], expected["mean_test_score"])
