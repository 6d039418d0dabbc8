"""Which fits a search makes, which are trained together, and what a fold is made of."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_array_equal
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import KFold, ParameterGrid
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.estimators.together import path_of
from mixup_tab.search.folds import Fold, run_steps
from mixup_tab.search.plan import Candidate, make_chunks, net_of
from mixup_tab.training import LearningRate

N_FOLDS = 3


def tiny(**params):
    return MixupClassifier(**{"hidden_layer_sizes": (8,), "random_state": 0, **params})


def with_steps(*steps):
    return Pipeline([*steps, ("net", tiny())])


def candidates_of(grid, base=None):
    return [Candidate(tiny() if base is None else base, p) for p in ParameterGrid(grid)]


def make_folds(fit_params=None, score_params=None):
    splits = enumerate(KFold(N_FOLDS).split(np.zeros(60)))
    return [
        Fold(k, train, test, fit_params or {}, score_params or {})
        for k, (train, test) in splits
    ]


def chunks_of(grid, base=None, members=None, n_features=4, n_outputs=3):
    candidates = candidates_of(grid, base)
    members = range(len(candidates)) if members is None else members
    return list(make_chunks(candidates, members, make_folds(), n_features, n_outputs))


# --------------------------------------------------------------------------------- nets


@pytest.mark.parametrize("net", [tiny(), MixupRegressor()])
def test_the_net_of_an_estimator_is_itself(net):
    assert net_of(net) is net


def test_the_net_of_a_pipeline_is_its_last_step():
    pipeline = with_steps(("scale", StandardScaler()))
    assert net_of(pipeline) is pipeline[-1]


@pytest.mark.parametrize(
    "estimator",
    [
        LogisticRegression(),
        Pipeline([("net", tiny()), ("end", LogisticRegression())]),
        Pipeline([("inner", Pipeline([("net", tiny())]))]),
        MixupClassifier,
        None,
        "net",
    ],
)
def test_other_estimators_have_no_net(estimator):
    with pytest.raises(TypeError, match=r"(?s)estimator must be.*got.*GridSearchCV"):
        net_of(estimator)


# --------------------------------------------------------------------------- candidates


def test_a_candidate_has_its_parameters_and_leaves_the_base_alone():
    base = with_steps(("scale", StandardScaler()))
    candidate = Candidate(base, {"net__alpha": 0.7, "scale__with_mean": False})
    assert net_of(candidate.estimator).alpha == 0.7
    assert candidate.estimator[0].with_mean is False
    assert base[0].with_mean
    assert base[-1].alpha == 0.2


def test_estimators_among_the_values_are_copied():
    params = {"net": tiny(), "scale": PCA()}
    candidate = Candidate(with_steps(("scale", StandardScaler())), params)
    assert candidate.estimator[-1] is not params["net"]
    assert candidate.estimator[0] is not params["scale"]
    assert candidate.params is params


def test_a_candidate_knows_the_name_of_its_step():
    assert Candidate(tiny(), {}).step == ""
    assert Candidate(with_steps(), {}).step == "net"


@pytest.mark.parametrize(
    ("params", "error"),
    [({"alpha": -1}, ValueError), ({"alpha": "x"}, TypeError), ({"alhpa": 1}, ValueError)],
)
def test_a_candidate_that_cannot_be_fitted_is_not_made(params, error):
    (name,) = params
    with pytest.raises(error, match=name):
        Candidate(tiny(), params)


SCALED = with_steps(("scale", StandardScaler()), ("pca", PCA()))


def steps_of(params):
    return Candidate(SCALED, params).steps


def test_settings_of_the_net_have_the_steps_in_common():
    alphas = [steps_of({"net__alpha": alpha}) for alpha in (0, 1.0)]
    assert {*alphas, steps_of({"net": tiny()}), steps_of({})} == {steps_of({})}


@pytest.mark.parametrize(
    "params",
    [
        {"pca__n_components": 2},
        {"scale__with_mean": False},
        {"scale": StandardScaler(with_std=False)},
        {"pca": "passthrough"},
        {"scale": FunctionTransformer(lambda X: X)},
    ],
)
def test_settings_of_a_step_are_told_apart(params):
    assert steps_of(params) != steps_of({})
    assert steps_of({**params, "net__alpha": 1.0}) == steps_of(params)


def test_the_order_of_the_names_does_not_matter():
    params = {"pca__n_components": 2, "net__alpha": 0.1, "scale__with_mean": False}
    assert steps_of(dict(reversed(params.items()))) == steps_of(params)


def test_functions_that_look_alike_are_told_apart():
    functions = [FunctionTransformer(lambda X, k=k: X * k) for k in (1, 2)]
    assert steps_of({"scale": functions[0]}) != steps_of({"scale": functions[1]})


# -------------------------------------------------------------------------------- chunks

CONSTANT = [[LearningRate("constant")]]


class Own(nn.Linear):
    """A user's module."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)


GRIDS = {
    "one": {},
    "two": {"alpha": [0, 1.0]},
    "many": {"alpha": np.linspace(0, 1, 70).tolist()},
    "shapes": {"hidden_layer_sizes": [(8,), (64, 64)], "n_estimators": [1, 2], "alpha": [0, 1]},
    "batches": {"batch_size": ["auto", 10, 20], "dropout": [0, 0.1]},
    "modules": {"module": [None, Own], "dropout": [0, 0.1]},
    "alpha chosen": {"alpha": ["auto", 0.3, 1.0], "dropout": [0, 0.1]},
    "epochs": {"max_epochs": [1, 9, "auto", 4], "alpha": [0, 1.0]},
    "constant rate": {"max_epochs": [1, 9, 4], "alpha": [0, 1.0], "callbacks": CONSTANT},
    "several grids": [{"alpha": [0, 1.0]}, {"n_estimators": [1, 3]}, {}],
}
grids = pytest.mark.parametrize("grid", GRIDS.values(), ids=GRIDS)


def fits_of(chunks):
    return [fit for chunk in chunks for fit in chunk]


def settings_of(net):
    params = net.get_params(deep=False)
    return {**params, "callbacks": repr(params["callbacks"]).partition(" at ")[0]}


@grids
def test_every_candidate_meets_every_fold_once(grid):
    candidates, fits = candidates_of(grid), fits_of(chunks_of(grid))
    assert sorted(fit.number for fit in fits) == list(range(N_FOLDS * len(candidates)))
    for fit in fits:
        candidate = candidates[fit.number // N_FOLDS]
        assert fit.fold == fit.number % N_FOLDS
        assert fit.name == str(candidate.params)
        assert settings_of(fit.estimator) == settings_of(candidate.estimator)


@grids
def test_nets_of_a_chunk_have_the_same_layers_and_batches(grid):
    for chunk in chunks_of(grid):
        nets = [fit.estimator for fit in chunk]
        for name in ("hidden_layer_sizes", "n_estimators", "batch_size", "module", "device"):
            assert len({repr(getattr(net, name)) for net in nets}) == 1
        assert len({net.chooses_alpha() for net in nets}) == 1


@grids
def test_fits_that_share_a_run_are_in_one_chunk(grid):
    home = {}
    for number, chunk in enumerate(chunks_of(grid)):
        for fit in chunk:
            path = path_of(fit.estimator)
            if path is not None:
                assert home.setdefault((path, fit.fold), number) == number


def longest_first(chunk):
    epochs = [fit.estimator.max_epochs for fit in chunk]
    numbers = [float("inf") if epoch == "auto" else epoch for epoch in epochs]
    return numbers == sorted(numbers, reverse=True)


def test_the_longest_trainings_come_first():
    chunks = chunks_of(GRIDS["epochs"])
    assert longest_first(fits_of(chunks))
    assert len(chunks) > 1


@grids
def test_the_plan_is_the_same_every_time(grid):
    plans = [[[fit.number for fit in chunk] for chunk in chunks_of(grid)] for _ in range(2)]
    assert plans[0] == plans[1]


def test_only_the_candidates_that_are_meant_are_planned():
    fits = fits_of(chunks_of({"alpha": [0, 0.1, 0.2, 0.3]}, members=[1, 3]))
    assert sorted({fit.number // N_FOLDS for fit in fits}) == [1, 3]
    assert len(fits) == 2 * N_FOLDS


def test_large_nets_get_smaller_chunks():
    grid = {"alpha": np.linspace(0, 1, 20).tolist()}
    small, large = (
        max(map(len, chunks_of(grid, tiny(hidden_layer_sizes=sizes))))
        for sizes in [(8,), (256, 256)]
    )
    assert large < small


def test_a_wide_table_gets_smaller_chunks():
    grid = {"alpha": np.linspace(0, 1, 20).tolist()}
    narrow, wide = (max(map(len, chunks_of(grid, n_features=n))) for n in (4, 40_000))
    assert wide < narrow


def test_the_fits_of_a_pipeline_are_nets_that_know_their_step():
    fits = fits_of(chunks_of({"net__alpha": [0, 1.0]}, SCALED))
    assert {fit.step for fit in fits} == {"net"}
    assert {type(fit.estimator) for fit in fits} == {MixupClassifier}
    assert sorted({fit.estimator.alpha for fit in fits}) == [0, 1.0]


# --------------------------------------------------------------------------------- folds

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(60, 4)), np.arange(60) % 3
WEIGHT = np.arange(60) + 1.0


@pytest.mark.parametrize("table", [X, pd.DataFrame(X, columns=list("abcd"))])
def test_a_fold_holds_its_rows_and_weights(table):
    fold = make_folds({"sample_weight": WEIGHT})[1]
    rows = fold.training(tiny(), table, Y)
    assert type(rows.X) is type(table)
    assert_array_equal(rows.X, X[fold.train])
    assert_array_equal(rows.y, Y[fold.train])
    assert_array_equal(rows.sample_weight, WEIGHT[fold.train])


@pytest.mark.parametrize("part", ["test", "train"])
def test_a_fold_is_scored_on_its_rows_and_weights(part):
    fold = make_folds({}, {"sample_weight": WEIGHT, "flag": True})[2]
    X_part, y_part, params = fold.held_out(tiny(), X, Y, part)
    rows = getattr(fold, part)
    assert_array_equal(X_part, X[rows])
    assert_array_equal(y_part, Y[rows])
    assert_array_equal(params["sample_weight"], WEIGHT[rows])
    assert params["flag"] is True


def test_steps_are_fitted_on_training_rows_and_make_both_parts():
    fold = make_folds()[0]
    ready = run_steps(SCALED, X, Y, fold, ["test"], True)
    steps = SCALED[:-1].fit(X[fold.train])
    rows = ready.ready
    assert_array_equal(rows.X, steps.transform(X[fold.train]))
    assert_array_equal(rows.y, Y[fold.train])
    assert list(ready.made) == ["test"]
    assert_array_equal(ready.made["test"], steps.transform(X[fold.test]))
    assert ready.training(tiny(), X, Y) is rows
    assert [name for name, _ in ready.steps] == ["scale", "pca"]
    assert ready.seconds > 0


def test_steps_get_arguments_of_their_own():
    given = {"net__sample_weight": WEIGHT, "scale__sample_weight": WEIGHT[::-1]}
    fold = make_folds(given)[0]
    ready = run_steps(SCALED, X, Y, fold, ["test"], True)
    expected = StandardScaler().fit(X[fold.train], sample_weight=WEIGHT[::-1][fold.train])
    assert_array_equal(ready.steps[0][1].mean_, expected.mean_)
    assert_array_equal(ready.ready.sample_weight, WEIGHT[fold.train])


def test_the_pipeline_whose_steps_are_run_stays_as_it_is():
    pipeline = with_steps(("scale", StandardScaler()))
    net = pipeline[-1]
    run_steps(pipeline, X, Y, make_folds()[0], ["test"], True)
    assert pipeline[-1] is net
    assert not hasattr(pipeline[0], "mean_")
