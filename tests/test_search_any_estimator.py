"""Searches over estimators that are fitted as they are: GridSearchCV's scores, to the bit."""

import numpy as np
import pytest
import sklearn
from imblearn.over_sampling import RandomOverSampler
from imblearn.pipeline import Pipeline as SamplingPipeline
from imblearn.pipeline import make_pipeline as make_sampling_pipeline
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import KMeans
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import VotingClassifier
from sklearn.exceptions import FitFailedWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import get_scorer
from sklearn.model_selection import GridSearchCV, TunedThresholdClassifierCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupRegressor,
    MixupSearchCV,
    VicinalSampler,
)
from mixup_tab.estimators import RescaledClassifier

TINY = {"hidden_layer_sizes": (4,), "max_epochs": 1, "n_estimators": 1, "random_state": 0}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4)).astype(np.float32)
Y = (X[:, 0] + X[:, 1] + 0.3 * RNG.normal(size=60) > 0.5).astype(int)


def tiny(**params):
    return MixupClassifier(**{**TINY, **params})


class BothWays(Pipeline):
    """Turns the answers of its net round."""

    def predict_proba(self, X):
        return super().predict_proba(X)[:, ::-1]


class Squares(MixupClassifier):
    """Is trained on something else than it is given."""

    def fit(self, X, y, sample_weight=None):
        return super().fit(np.asarray(X) ** 2, 1 - np.asarray(y), sample_weight)


class Unsure(MixupClassifier):
    """Does not say what its net says."""

    def predict_proba(self, X):
        return 0.5 + 0.1 * super().predict_proba(X)


OVERSAMPLES = RandomOverSampler(random_state=0)
SCALED = make_pipeline(StandardScaler(), tiny())
ALPHA = [0, 1.0]
# An estimator, the name of alpha or a grid, and what differs from a search of two classes.
ESTIMATORS = {
    "imbalanced-learn, oversampling": (
        SamplingPipeline([("sample", OVERSAMPLES), ("net", tiny())]),
        {"net__alpha": [0.5], "sample__random_state": [0, 1]},
    ),
    "imbalanced-learn, VicinalSampler": (
        make_sampling_pipeline(StandardScaler(), VicinalSampler(random_state=0), tiny()),
        "mixupclassifier__alpha",
    ),
    "imbalanced-learn, no sampler": (
        make_sampling_pipeline(StandardScaler(), tiny()),
        "mixupclassifier__alpha",
    ),
    "a pipeline of one's own": (BothWays(SCALED.steps), "mixupclassifier__alpha"),
    "a pipeline in a pipeline": (
        Pipeline([("inner", SCALED)]),
        "inner__mixupclassifier__alpha",
    ),
    "fit of one's own": (Squares(**TINY), "alpha"),
    "predict_proba of one's own": (Unsure(**TINY), "alpha"),
    "calibrated": (CalibratedClassifierCV(tiny(), cv=2), "estimator__alpha"),
    "threshold": (TunedThresholdClassifierCV(tiny(), thresholds=5, cv=2), "estimator__alpha"),
    "one against the rest": (OneVsRestClassifier(tiny()), "estimator__alpha"),
    "voting": (
        VotingClassifier([("net", tiny()), ("linear", LogisticRegression())], voting="soft"),
        {"net__alpha": [0.5], "linear": ["drop", LogisticRegression(C=0.1)]},
    ),
    "rescaled": (RescaledClassifier(tiny(mixing="mixup")), "estimator__alpha"),
    "an ensemble": (
        MixupEnsembleClassifier(candidates=[{"max_epochs": 1}], cv=2, random_state=0),
        {"class_weight": ["balanced"]},
    ),
    "a transformed target": (
        TransformedTargetRegressor(
            MixupRegressor(**TINY), func=np.negative, inverse_func=np.negative
        ),
        "regressor__alpha",
        {"y": X[:, 0], "scoring": "neg_mean_squared_error"},
    ),
    "a chain": (
        ClassifierChain(tiny(), random_state=0),
        "estimator__alpha",
        {"y": np.stack([Y, 1 - Y], 1), "scoring": "jaccard_samples"},
    ),
    "no net": (LogisticRegression(), {"C": [0.1, 1]}),
    "no target": (
        KMeans(random_state=0),
        {"n_clusters": [2, 3]},
        {"y": None, "scoring": None},
    ),
}


def both(estimator, grid, X=X, y=Y, fit_params=None, **options):
    """Fit ours and scikit-learn's with the same arguments."""
    options = {"cv": 2, "scoring": "neg_log_loss", "return_train_score": True, **options}
    return [
        kind(estimator, grid, **options).fit(X, y, **fit_params or {})
        for kind in (MixupSearchCV, GridSearchCV)
    ]


def assert_same(ours, theirs, atol=0.0):
    assert list(ours.cv_results_) == list(theirs.cv_results_)
    for key, column in theirs.cv_results_.items():
        if "_test_" in key or "_train_" in key:
            assert_allclose(ours.cv_results_[key], column, rtol=0, atol=atol, err_msg=key)
    assert str(ours.best_params_) == str(theirs.best_params_)


@pytest.mark.parametrize("case", ESTIMATORS.values(), ids=ESTIMATORS)
def test_what_is_not_a_net_is_fitted_as_it_is(case):
    estimator, grid, *options = case
    grid = {grid: [0, 1.0]} if isinstance(grid, str) else grid
    options = {"error_score": "raise", **(options[0] if options else {})}
    ours, theirs = both(estimator, grid, **options)
    assert_same(ours, theirs)
    assert_array_equal(ours.predict(X), theirs.predict(X))
    assert type(ours.best_estimator_) is type(estimator)


def test_nets_and_others_in_one_grid():
    grid = {"mixupclassifier": [LogisticRegression(), tiny(), Squares(**TINY)]}
    ours, theirs = both(SCALED, grid, error_score="raise")
    assert_same(ours, theirs, atol=1e-5)
    assert_array_equal(
        ours.cv_results_["split0_test_score"][::2], theirs.cv_results_["split0_test_score"][::2]
    )


def test_weights_reach_what_is_fitted_as_it_is():
    given = {"fit_params": {"sample_weight": np.linspace(0.1, 3, 60)}}
    assert_same(*both(Squares(**TINY), {"alpha": ALPHA}, **given))
    with sklearn.config_context(enable_metadata_routing=True):
        net = tiny().set_fit_request(sample_weight=True)
        scaler = StandardScaler().set_fit_request(sample_weight=True)
        scorer = get_scorer("neg_log_loss").set_score_request(sample_weight=True)
        steps = [("scale", scaler), ("net", net)]
        for model in (
            SamplingPipeline(steps),
            Pipeline(steps, transform_input=[]),
        ):
            assert_same(*both(model, {"net__alpha": ALPHA}, scoring=scorer, **given))


def test_a_file_of_what_is_fitted_as_it_is(tmp_path):
    model = make_sampling_pipeline(OVERSAMPLES, tiny())
    search = MixupSearchCV(
        model, {"mixupclassifier__alpha": ALPHA}, cv=2, checkpoint=tmp_path / "search"
    )
    first = search.fit(X, Y).cv_results_
    assert len((tmp_path / "search").read_bytes().splitlines()) == 5
    assert_array_equal(search.fit(X, Y).cv_results_["mean_fit_time"], first["mean_fit_time"])


# ---------------------------------------------------------------------- lists of any length

WORDS = [["long"] * (k % 3 + 1) + ["up"] * int(v > 0) for k, v in enumerate(X[:, 0])]
WORDS_AS_OBJECTS = np.empty(60, dtype=object)
WORDS_AS_OBJECTS[:] = WORDS


def words(row):
    return row


def dense(rows):
    return rows.toarray()


@pytest.mark.parametrize("rows", [WORDS, WORDS_AS_OBJECTS], ids=["lists", "an array of lists"])
@pytest.mark.parametrize("kind", [Pipeline, SamplingPipeline])
def test_rows_may_be_lists_of_unequal_length(kind, rows):
    steps = [CountVectorizer(analyzer=words), FunctionTransformer(dense)]
    model = kind([("count", steps[0]), ("dense", steps[1]), ("net", tiny())])
    grid = {"net__hidden_layer_sizes": [(8,), [4, 4]], "count__min_df": [1, 0.5]}
    ours, theirs = both(model, grid, X=rows, error_score="raise")
    assert_same(ours, theirs, atol=1e-5)
    for name in ("param_net__hidden_layer_sizes", "param_count__min_df"):
        assert ours.cv_results_[name].tolist() == theirs.cv_results_[name].tolist()


def test_steps_that_give_data_frames():
    model = make_pipeline(StandardScaler(), tiny()).set_output(transform="pandas")
    ours, theirs = both(model, {"mixupclassifier__alpha": ALPHA}, error_score="raise")
    assert_same(ours, theirs, atol=1e-5)
    assert_array_equal(*(s.best_estimator_[-1].feature_names_in_ for s in (ours, theirs)))


# ------------------------------------------------------------------------------------- NaN


class DropsRows(TransformerMixin, BaseEstimator):
    """Leaves rows out, which a pipeline of scikit-learn's cannot take."""

    def fit(self, X, y=None):
        return self

    def transform(self, X):
        return X[::2]


class SometimesFails(MixupClassifier):
    """Does not like some values of alpha."""

    def fit(self, X, y, sample_weight=None):
        if self.alpha in (0.1, 0.2) and X[0, 0] == self.dropout:
            raise RuntimeError(f"no alpha of {self.alpha}")
        return super().fit(X, y, sample_weight)


def message_of(kind, error, *args, **options):
    with pytest.raises(error) as caught:
        kind(*args, **{"cv": 2, **options}).fit(X, Y)
    return str(caught.value)


def test_fits_that_all_fail_are_an_error():
    for step in (DropsRows(), OVERSAMPLES):
        model = Pipeline([("step", step), ("net", tiny())])
        grid = {"net__alpha": ALPHA}
        ours, theirs = (
            message_of(kind, ValueError, model, grid) for kind in (MixupSearchCV, GridSearchCV)
        )
        assert "All the 4 fits failed" in ours
        assert ours.splitlines()[:4] == theirs.splitlines()[:4]
        assert theirs.splitlines()[-1].split(": ")[-1] in ours


def never(estimator, X, y):
    return np.nan


def fails(estimator, X, y):
    raise RuntimeError("no score")


@pytest.mark.filterwarnings("ignore:.*non-finite|Scoring failed:UserWarning")
@pytest.mark.parametrize(
    "estimator", [tiny(), SCALED, Squares(**TINY)], ids=["net", "pipeline", "own"]
)
def test_no_candidate_is_the_best_if_none_has_a_score(estimator):
    for scoring in (never, fails):
        found = message_of(MixupSearchCV, ValueError, estimator, {}, scoring=scoring)
        assert "No candidate has a score" in found
        search = MixupSearchCV(estimator, {}, scoring=scoring, cv=2, refit=False).fit(X, Y)
        assert np.isnan(search.cv_results_["mean_test_score"]).all()
        assert not hasattr(search, "best_index_")
    several = MixupSearchCV(
        estimator, {}, scoring={"a": "accuracy", "b": never}, refit="a", cv=2
    ).fit(X, Y)
    assert np.isnan(several.cv_results_["mean_test_b"]).all()
    with pytest.raises(ValueError, match="No candidate has a score"):
        several.set_params(refit="b").fit(X, Y)
    assert several.set_params(refit=lambda results: 0).fit(X, Y).best_index_ == 0


@pytest.mark.filterwarnings("ignore:.*non-finite:UserWarning")
def test_a_candidate_without_a_score_is_never_the_best():
    """Nor one that fails on one fold; one whose scores are minus infinity is better."""
    net = SometimesFails(**TINY, dropout=0)
    first, second = np.arange(30), np.arange(30, 60)
    table = X.copy()
    table[0, 0] = 0.0  # the first row of one training fold
    grid = {"alpha": [0.1, 0.3, 0.2]}
    found = []
    for kind in (MixupSearchCV, GridSearchCV):
        search = kind(net, grid, cv=[(first, second), (second, first)], scoring="neg_log_loss")
        with pytest.warns(FitFailedWarning) as told:
            found.append((search.fit(table, Y), str(told[0].message)))
    (ours, our_text), (theirs, their_text) = found
    assert_same(ours, theirs)
    assert ours.best_params_ == {"alpha": 0.3}
    assert ours.cv_results_["rank_test_score"].tolist() == [2, 1, 2]
    assert our_text.splitlines()[:4] == their_text.splitlines()[:4]
    assert "'alpha': 0.1}: " in our_text

    def worst(estimator, X, y):
        return np.nan if estimator.alpha == 0 else -np.inf

    search = MixupSearchCV(tiny(), {"alpha": ALPHA}, cv=2, scoring=worst)
    with np.errstate(invalid="ignore"):
        assert search.fit(X, Y).best_params_ == {"alpha": 1.0}


def test_an_error_names_the_candidate_if_it_is_to_be_raised():
    model = make_sampling_pipeline(DropsRows(), tiny())
    search = MixupSearchCV(model, {"mixupclassifier__alpha": [0.7]}, cv=2, error_score="raise")
    with pytest.raises(ValueError, match="inconsistent") as caught:
        search.fit(X, Y)
    assert "{'mixupclassifier__alpha': 0.7} on fold 0" in caught.value.__notes__[0]
