import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_wine

from mixup_tab import BinnedMLP, MixupClassifier, MixupRegressor, MixupSearchCV
from mixup_tab.nets import PiecewiseLinear, RobustScale

RNG = np.random.default_rng(0)
COLUMNS = {
    "normal": RNG.normal(size=300),
    "skewed": RNG.lognormal(sigma=3, size=300),
    "constant": np.full(300, 7.0),
    "binary": RNG.integers(0, 2, 300) * 3.0,
    "three values": RNG.choice([-1.0, 0.0, 5.0], 300),
    "mostly zero": np.where(RNG.random(300) < 0.9, 0.0, RNG.random(300)),
    "integers": RNG.integers(0, 200, 300) * 1.0,
}


def edges_by_numpy(values, bins):
    cuts = np.unique(values)
    if len(cuts) > bins + 1:
        cuts = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    return cuts if len(cuts) > 2 else cuts[:0]


def bins_by_numpy(seen, x, bins):
    """Equation 1 of Gorishniy et al., one number at a time, shape (rows, bins)."""
    edges = [edges_by_numpy(column, bins) for column in seen.T]
    rows = [
        [
            min(max((row[k] - low) / (high - low), 0), 1) - 0.5
            for k, cuts in enumerate(edges)
            for low, high in pairwise(cuts)
        ]
        for row in x
    ]
    return np.array(rows).reshape(len(x), -1)


@pytest.mark.parametrize("names", [[name] for name in COLUMNS] + [list(COLUMNS)])
@pytest.mark.parametrize("bins", [2, 5, 16])
def test_spreads_columns_as_the_equation_says(names, bins):
    seen = np.column_stack([COLUMNS[name] for name in names])
    x = np.concatenate([seen[:40], seen[:20] * 3 - 1, seen[:20] - 100])
    front = PiecewiseLinear.fit(torch.from_numpy(seen), bins=bins)
    out = front(torch.from_numpy(x)).numpy()
    spread = bins_by_numpy(seen, x, bins)
    n_columns, used = seen.shape[1], seen.shape[1] + spread.shape[1]
    scaled = RobustScale.fit(torch.from_numpy(seen))(torch.from_numpy(x))
    assert_array_equal(out[:, :n_columns], scaled)
    assert_allclose(out[:, n_columns:used], spread, atol=1e-7)
    assert not out[:, used:].any()
    assert out.shape[1] == front.width
    assert front.width % 32 == 0
    assert 0 <= front.width - used < 32


@pytest.mark.parametrize("name", ["constant", "binary"])
def test_columns_of_at_most_two_values_have_no_bins(name):
    x = torch.from_numpy(COLUMNS[name]).unsqueeze(1)
    assert len(PiecewiseLinear.fit(x).column) == 0


def test_many_columns_get_about_2048_bins_in_all():
    few = PiecewiseLinear.fit(torch.from_numpy(RNG.normal(size=(50, 300))))
    assert len(few.column) == 300 * (2048 // 300)
    none = PiecewiseLinear.fit(torch.from_numpy(RNG.normal(size=(5, 3000))))
    assert (len(none.column), none.width) == (0, 3008)


def test_single_and_double_precision_give_the_same_bits():
    x = torch.from_numpy(np.column_stack([COLUMNS["normal"], COLUMNS["integers"]])).float()
    front, same = PiecewiseLinear.fit(x), PiecewiseLinear.fit(x.double())
    for outputs in (front(x.double()), same(x), same(x.double())):
        assert torch.equal(outputs, front(x))
    assert front(x.double()).dtype == torch.float32


MOVES = {
    "far": lambda x: x + 2.0**40,
    "tiny": lambda x: x * 2.0**-1030,  # subnormal
    "large": lambda x: x * 2.0**1000,
    "whole numbers beyond 2**53": lambda x: x.long() + 2**61,
    "the smallest integers": lambda x: x.long() - 2**63,
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("values", [np.arange(200) % 40, np.arange(200) ** 2])
def test_columns_of_any_scale_have_the_same_bins(move, values):
    x = torch.from_numpy(values.astype(float)).unsqueeze(1)
    front, moved = PiecewiseLinear.fit(x), PiecewiseLinear.fit(move(x))
    assert len(front.column) == 16
    assert_allclose(moved(move(x)), front(x), atol=1e-6)


def test_edges_of_either_end_of_double_precision():
    x = torch.linspace(-1, 1, 50, dtype=torch.float64).unsqueeze(1) * 1.7e308
    front = PiecewiseLinear.fit(x)
    assert torch.isfinite(front(x)).all()
    assert (front(x).diff(dim=0) >= 0).all()


def test_leading_axes_make_no_difference():
    x = torch.from_numpy(RNG.normal(size=(24, 3)))
    front = PiecewiseLinear.fit(x)
    assert torch.equal(front(x.view(2, 3, 4, 3)).view(24, -1), front(x))


def test_inputs_are_not_changed():
    x = torch.from_numpy(RNG.normal(size=(24, 3)))
    before = x.clone()
    PiecewiseLinear.fit(x)(x)
    assert torch.equal(x, before)


def test_values_that_lie_next_to_each_other_stay_finite():
    tiny = 5e-324  # one over it is too large for double precision
    x = torch.tensor([[0.0], [tiny], [1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)
    assert torch.isfinite(PiecewiseLinear.fit(x)(x)).all()


def test_many_rows_are_sampled_evenly():
    x = torch.arange(1000.0).unsqueeze(1)
    few = PiecewiseLinear.fit(x, max_rows=100)
    assert_array_equal(few.low, PiecewiseLinear.fit(x[::10]).low)


# ------------------------------------------------------------------------------ the net

SMALL = {"hidden_layer_sizes": (16,), "module": BinnedMLP, "random_state": 0}


def test_without_hidden_layers_it_follows_a_band_of_one_column():
    X = np.random.default_rng(1).uniform(size=(400, 2)).astype(np.float32)
    y = ((X[:, 0] > 0.3) & (X[:, 0] < 0.7)).astype(int)
    setting = {"hidden_layer_sizes": (), "learning_rate_init": 0.02, "random_state": 0}
    binned, scaled = (
        MixupClassifier(0.1, module=module, max_epochs=60, **setting)
        for module in (BinnedMLP, None)
    )
    assert binned.fit(X, y).score(X, y) > 0.9 > scaled.fit(X, y).score(X, y)


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
def test_estimators_with_it(mixing, line):
    X, y = line
    fitted = MixupRegressor(**SMALL, mixing=mixing, max_epochs=40).fit(X, y)
    assert fitted.score(X, y) > 0.7
    for copied in (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        assert_array_equal(copied(fitted).predict(X), fitted.predict(X))


def test_a_search_over_mixing_and_module(three_classes):
    X, y = three_classes
    grid = {"mixing": ["mixup", "cutmix"], "module": [None, BinnedMLP]}
    net = MixupClassifier(0.3, hidden_layer_sizes=(8,), max_epochs=5, random_state=0)
    search = MixupSearchCV(net, grid, cv=2, error_score="raise").fit(X, y)
    best = net.set_params(**search.best_params_).fit(X, y)
    assert len(search.cv_results_["params"]) == 4
    assert_array_equal(search.predict_proba(X), best.predict_proba(X))


def test_double_precision_rows_do_not_depend_on_their_company():
    X, y = load_wine(return_X_y=True)
    fitted = MixupClassifier(**SMALL, max_epochs=3).fit(X, y)
    assert_allclose(fitted.predict_proba(X)[:1], fitted.predict_proba(X[:1]), rtol=1e-9)
