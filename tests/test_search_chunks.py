"""Which fits a search makes, which are trained together, and what a fold is made of."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab._plain import as_python
from mixup_tab.search.chunks import Candidate, make_chunks, net_of
from mixup_tab.search.folds import SearchFold, fit_steps

N_FOLDS = 3


def tiny(**params):
    return MixupClassifier(**{"hidden_layer_sizes": (8,), "random_state": 0, **params})


def with_steps(*steps):
    return Pipeline([*steps, ("net", tiny())])


SCALED = with_steps(("scale", StandardScaler()), ("pca", PCA()))


def candidates_of(grid, base=None):
    return [Candidate(tiny() if base is None else base, p) for p in ParameterGrid(grid)]


def make_folds(fit_params=None, score_params=None):
    return [
        SearchFold(k, train, test, fit_params or {}, score_params or {})
        for k, (train, test) in enumerate(KFold(N_FOLDS).split(np.zeros(60)))
    ]


def chunks_of(grid, base=None, n_features=4):
    return list(make_chunks(candidates_of(grid, base), N_FOLDS, n_features, 3))


# ------------------------------------------------------------------ nets and candidates


class OwnPipeline(Pipeline):
    """May do anything."""


class OwnClassifier(MixupClassifier):
    """May do anything."""


def test_the_net_of_an_estimator_is_itself_or_the_last_step_of_a_plain_pipeline():
    for net in (tiny(), MixupRegressor()):
        assert net_of(net) is net
    assert net_of(SCALED) is SCALED[-1]
    others = [
        *[LogisticRegression(), OwnClassifier(), OwnPipeline(SCALED.steps)],
        Pipeline([("net", tiny()), ("end", LogisticRegression())]),
        Pipeline([("inner", Pipeline([("net", tiny())]))]),
    ]
    assert [net_of(other) for other in others] == [None] * 5


def test_a_candidate_is_a_copy_with_its_parameters():
    params = {"net": tiny(alpha=0.7), "scale": PCA(), "pca__n_components": 2}
    candidate = Candidate(SCALED, params)
    assert net_of(candidate.estimator).alpha == 0.7
    assert candidate.estimator[1].n_components == 2
    assert candidate.estimator[0] is not params["scale"]
    assert candidate.estimator[-1] is not params["net"]
    assert candidate.params is params
    assert candidate.step == "net"
    assert Candidate(tiny(), {}).step == ""
    assert SCALED[1].n_components is None


def key_of(params):
    return Candidate(SCALED, params).steps_key


def test_what_is_fitted_as_it_is_comes_alone():
    grid = [{"net": [LogisticRegression(), tiny()]}, {"net__alpha": [0.5]}]
    chunks = chunks_of(grid, SCALED)
    numbers = [[fit.number for fit in chunk] for chunk in chunks]
    assert numbers[:N_FOLDS] == [[0], [1], [2]]
    assert sorted(np.concatenate(numbers[N_FOLDS:])) == [3, 4, 5, 6, 7, 8]
    assert repr(chunks[0][0].net) == repr(clone(SCALED).set_params(net=LogisticRegression()))


def test_settings_of_the_net_share_the_steps_and_settings_of_a_step_do_not():
    plain = key_of({})
    for params in ({"net__alpha": 1.0}, {"net": tiny()}):
        assert key_of(params) == plain
    functions = [FunctionTransformer(lambda X, k=k: X * k) for k in (1, 2)]
    changes = [
        *[{"pca__n_components": 2}, {"pca": "passthrough"}, {"scale__with_mean": False}],
        *({"scale": function} for function in functions),
    ]
    keys = {key_of(params) for params in changes}
    assert len(keys | {plain}) == len(changes) + 1
    for params in changes:
        assert key_of({"net__alpha": 1.0, **params}) == key_of(params)
    both = {"pca__n_components": 2, "scale__with_mean": False}
    assert key_of(both) == key_of(dict(reversed(both.items())))


# -------------------------------------------------------------------------------- chunks


class Own(nn.Linear):
    """A user's module."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)


GRID = [
    {"alpha": [*np.linspace(0, 1, 70), "auto"]},
    {"hidden_layer_sizes": [(8,), (64, 64)], "n_estimators": [1, 2], "alpha": [0, 1]},
    {"batch_size": [10, 20], "module": [None, Own]},
    {"max_epochs": [1, 9, 4]},
]


def test_every_candidate_meets_every_fold_once_beside_nets_of_its_kind():
    candidates, chunks = candidates_of(GRID), chunks_of(GRID)
    fits = [fit for chunk in chunks for fit in chunk]
    assert sorted(fit.number for fit in fits) == list(range(N_FOLDS * len(candidates)))
    for fit in fits:
        candidate = candidates[fit.number // N_FOLDS]
        assert fit.fold == fit.number % N_FOLDS
        assert fit.name == str(as_python(candidate.params))
        assert repr(fit.net) == repr(candidate.estimator)
    for chunk in chunks:
        nets = [fit.net for fit in chunk]
        for name in ("hidden_layer_sizes", "n_estimators", "batch_size", "module"):
            assert len({repr(getattr(net, name)) for net in nets}) == 1
        assert len({net.alpha == "auto" for net in nets}) == 1
    again = chunks_of(GRID)
    assert [[f.number for f in c] for c in again] == [[f.number for f in c] for c in chunks]


def test_the_longest_trainings_come_first():
    chunks = chunks_of({"max_epochs": [1, 9, "auto", 4], "alpha": [0, 1.0]})
    epochs = [fit.net.max_epochs for chunk in chunks for fit in chunk]
    assert epochs == ["auto"] * 6 + [9] * 6 + [4] * 6 + [1] * 6
    assert len(chunks) > 1


def test_large_nets_and_wide_tables_get_smaller_chunks():
    grid = {"alpha": np.linspace(0, 1, 20)}
    small = max(map(len, chunks_of(grid)))
    assert max(map(len, chunks_of(grid, tiny(hidden_layer_sizes=(256, 256))))) < small
    assert max(map(len, chunks_of(grid, n_features=40_000))) < small


def test_candidates_with_the_same_steps_come_one_after_the_other():
    chunks = chunks_of({"net__n_estimators": [1, 2], "pca__n_components": [1, 2]}, SCALED)
    numbers = [{fit.number // N_FOLDS for fit in chunk} for chunk in chunks]
    assert numbers == [{0}, {2}, {1}, {3}]
    assert {fit.step for chunk in chunks for fit in chunk} == {"net"}


# --------------------------------------------------------------------------------- folds

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)), np.arange(60) % 3
WEIGHT = np.arange(60) + 1.0


@pytest.mark.parametrize("table", [X, pd.DataFrame(X, columns=list("abcd"))])
def test_a_fold_holds_its_rows_and_weights(table):
    fold = make_folds({"sample_weight": WEIGHT}, {"sample_weight": WEIGHT, "flag": True})[1]
    rows = fold.training_rows(tiny(), table, Y)
    assert type(rows.X) is type(table)
    assert_array_equal(rows.X, X[fold.train])
    assert_array_equal(rows.y, Y[fold.train])
    assert_array_equal(rows.sample_weight, WEIGHT[fold.train])
    for part, indices in (("test", fold.test), ("train", fold.train)):
        X_part, y_part, params = fold.scored_rows(tiny(), table, Y, part)
        assert_array_equal(X_part, X[indices])
        assert_array_equal(y_part, Y[indices])
        assert_array_equal(params["sample_weight"], WEIGHT[indices])
        assert params["flag"] is True


def test_steps_are_fitted_on_training_rows_with_arguments_of_their_own():
    given = {"net__sample_weight": WEIGHT, "scale__sample_weight": WEIGHT[::-1]}
    fold = make_folds(given)[0]
    fitted = fit_steps(SCALED, X, Y, fold, ["test"], True)
    scaler = StandardScaler().fit(X[fold.train], sample_weight=WEIGHT[::-1][fold.train])
    pca = PCA().fit(scaler.transform(X[fold.train]))
    rows = fitted.training_rows(tiny(), X, Y)
    assert_array_equal(rows.X, pca.transform(scaler.transform(X[fold.train])))
    assert_array_equal(rows.y, Y[fold.train])
    assert_array_equal(rows.sample_weight, WEIGHT[fold.train])
    assert list(fitted.transformed) == ["test"]
    expected = pca.transform(scaler.transform(X[fold.test]))
    assert_array_equal(fitted.transformed["test"], expected)
    assert [name for name, _ in fitted.steps] == ["scale", "pca"]
    assert fitted.seconds > 0
    assert isinstance(SCALED[-1], MixupClassifier)
    assert not hasattr(SCALED[0], "mean_")
