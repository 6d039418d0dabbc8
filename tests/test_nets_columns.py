import copy
import pickle
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_wine
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from mixup_tab import MixupClassifier, MixupRegressor, MixupSearchCV
from mixup_tab.nets import Columns, Periodic, PiecewiseLinear, RobustScale

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
ALL = np.column_stack(list(COLUMNS.values()))
TARGETS = {
    "two classes": (COLUMNS["normal"] > 0.2).astype(int),
    "ten classes": RNG.integers(0, 10, 300),
    "values": RNG.normal(size=(300, 1)) + COLUMNS["normal"][:, None],
    "pairs of values": RNG.normal(size=(300, 2)),
}


# --------------------------------------------------------------------------------- bins


def quantile_edges(values, bins):
    cuts = np.unique(values)
    if len(cuts) > bins + 1:
        cuts = np.unique(np.quantile(values, np.linspace(0, 1, bins + 1)))
    return cuts if len(cuts) > 2 else cuts[:0]


def tree_edges(values, y, weight, bins):
    kind = DecisionTreeClassifier if y.ndim == 1 else DecisionTreeRegressor
    tree = kind(max_leaf_nodes=bins, min_samples_leaf=20, random_state=0)
    # Of ranks, for single precision moves thresholds: half of a rank is between neighbours.
    distinct, rank = np.unique(values, return_inverse=True)
    tree = tree.fit(rank[:, None], y, weight).tree_
    below = tree.threshold[tree.feature == 0].astype(int)
    cuts = [values.min(), *((distinct[k] + distinct[k + 1]) / 2 for k in below), values.max()]
    return np.unique(cuts) if len(cuts) > 2 and len(distinct) > 2 else np.empty(0)


def bins_by_numpy(edges, x):
    """Equation 1 of Gorishniy et al., one number at a time, shape (rows, bins)."""
    rows = [
        [
            min(max((row[k] - low) / (high - low), 0), 1)
            for k, cuts in enumerate(edges)
            for low, high in pairwise(cuts)
        ]
        for row in x
    ]
    return np.array(rows).reshape(len(x), -1)


@pytest.mark.parametrize("bins", [2, 5, 16])
def test_quantile_bins_spread_columns_as_the_equation_says(bins):
    x = np.concatenate([ALL[:40], ALL[:20] * 3 - 1, ALL[:20] - 100])
    layer = PiecewiseLinear.fit(torch.from_numpy(ALL), bins=bins)
    edges = [quantile_edges(column, bins) for column in ALL.T]
    assert_allclose(layer(torch.from_numpy(x)), bins_by_numpy(edges, x), atol=1e-7)


@pytest.mark.parametrize("y", TARGETS.values(), ids=TARGETS)
@pytest.mark.parametrize("weight", [None, RNG.exponential(size=300).astype(np.float32)])
def test_bins_of_a_tree_end_at_its_thresholds(y, weight):
    layer = PiecewiseLinear.fit(torch.from_numpy(ALL), y, weight, bins=8)
    edges = [tree_edges(column, y, weight, 8) for column in ALL.T]
    assert sum(map(len, edges)) > 5
    assert_allclose(layer(torch.from_numpy(ALL)), bins_by_numpy(edges, ALL), atol=1e-6)


@pytest.mark.parametrize("target", [None, "two classes", "values"])
def test_bins_are_those_of_rtdl_num_embeddings(target):
    rtdl = pytest.importorskip("rtdl_num_embeddings")
    names = ["normal", "skewed", "integers", "mostly zero"]
    x = torch.from_numpy(np.column_stack([COLUMNS[name] for name in names])).float()
    options = {}
    if target is not None:
        y = torch.from_numpy(TARGETS[target].squeeze()).float()
        options = {"y": y, "regression": target == "values"}
        options["tree_kwargs"] = {"min_samples_leaf": 20, "random_state": 0}
    edges = rtdl.compute_bins(x, 16, **options)
    theirs = rtdl.PiecewiseLinearEncoding(edges)(x)
    y = None if target is None else TARGETS[target]
    ours = PiecewiseLinear.fit(x.double(), y, bins=16)
    # Theirs goes on beyond the outer edges and has no columns of one bin less.
    spread = theirs.split([len(cuts) - 1 for cuts in edges], -1)
    kept = [part for part, cuts in zip(spread, edges, strict=True) if len(cuts) > 2]
    assert len(kept) > 2
    assert_allclose(ours(x.double()), torch.cat(kept, -1), atol=1e-4)


@pytest.mark.parametrize("name", ["constant", "binary"])
@pytest.mark.parametrize("y", [None, TARGETS["two classes"]])
def test_columns_of_at_most_two_values_have_no_bins(name, y):
    x = torch.from_numpy(COLUMNS[name]).unsqueeze(1)
    assert len(PiecewiseLinear.fit(x, y).column) == 0


MOVES = {
    "far": lambda x: x + 2.0**40,
    "tiny": lambda x: x * 2.0**-1030,  # subnormal
    "large": lambda x: x * 2.0**1000,
    "whole numbers beyond 2**53": lambda x: x.long() + 2**61,
    "the smallest integers": lambda x: x.long() - 2**63,
}


@pytest.mark.parametrize("move", MOVES.values(), ids=MOVES)
@pytest.mark.parametrize("values", [np.arange(200) % 40, np.arange(200) ** 2])
@pytest.mark.parametrize("embedding", ["quantile", "target", "periodic"])
def test_columns_of_any_scale_are_embedded_alike(move, values, embedding):
    x = torch.from_numpy(values.astype(float)).unsqueeze(1)
    y = np.arange(200) // 30
    layer = Columns.fit(x, y, embedding=embedding)
    moved = Columns.fit(move(x), y, embedding=embedding)
    assert len(layer.gain) > 3
    assert_allclose(moved(move(x)), layer(x), atol=1e-5)


@pytest.mark.parametrize("embedding", ["quantile", "target"])
def test_edges_of_either_end_of_double_precision(embedding):
    x = torch.linspace(-1, 1, 50, dtype=torch.float64).unsqueeze(1) * 1.7e308
    layer = Columns.fit(x, np.arange(50) // 20, embedding=embedding)
    assert torch.isfinite(layer(x)).all()
    assert (layer(x).diff(dim=0) >= 0).all()


def test_values_that_lie_next_to_each_other_stay_finite():
    tiny = 5e-324  # one over it is too large for double precision
    x = torch.tensor([[0.0], [tiny], [1.0], [2.0], [3.0], [4.0]], dtype=torch.float64)
    assert torch.isfinite(Columns.fit(x)(x)).all()


# ------------------------------------------------------------------------------ cosines


def test_cosines_are_those_of_the_equation():
    layer = Periodic.draw(3, 5, seed=0)
    z = RNG.normal(size=(7, 3)).astype(np.float32)
    f, b = layer.frequency.numpy(), layer.phase.numpy()
    expected = np.cos(2 * np.pi * (z[:, :, None] * f + b)).reshape(7, -1)
    assert_allclose(layer(torch.from_numpy(z)), expected, atol=1e-6)
    assert_array_equal(layer.column, np.repeat(np.arange(3), 5))


def test_cosines_are_those_of_rtdl_num_embeddings():
    rtdl = pytest.importorskip("rtdl_num_embeddings")
    theirs = rtdl.PeriodicEmbeddings(3, n_frequencies=4, frequency_init_scale=0.5, lite=False)
    frequency, x = theirs.periodic.weight.detach(), torch.randn(7, 3)
    # cos(a − ¼ turn) = sin(a)
    phase = torch.cat([torch.zeros(3, 4), torch.full((3, 4), -0.25)], 1)
    ours = Periodic(torch.cat([frequency, frequency], 1), phase)
    assert_allclose(ours(x), theirs.periodic(x).detach().flatten(1), atol=1e-5)


def test_cosines_are_drawn_from_their_seed_alone():
    x = torch.from_numpy(ALL)
    state = torch.get_rng_state()
    one, same, other = (Columns.fit(x, embedding="periodic", seed=seed) for seed in (1, 1, 2))
    assert torch.equal(state, torch.get_rng_state())
    assert torch.equal(one(x), same(x))
    assert not torch.equal(one(x), other(x))


# -------------------------------------------------------------------------------- Columns


def with_categories(rows=300):
    """A table whose columns 1 and 3 are codes, one of them rare, one never seen."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(rows, 5))
    X[:, 1], X[:, 3] = rng.integers(-1, 3, rows), rng.integers(0, 2, rows)
    X[5, 3] = 2
    return torch.from_numpy(X), [(1, 3), (3, 4)]


def encoded_by_numpy(x, layer):
    """What stands behind the scaled numbers, before standardisation."""
    numbers = x[:, [0, 2, 4]]
    scaled = layer.scale(numbers)
    parts = []
    if layer.encoding is not None:
        of_scaled = isinstance(layer.encoding, Periodic)
        parts.append(layer.encoding(scaled if of_scaled else numbers).numpy())
    for column, count in ((1, 3), (3, 4)):
        parts.append((x[:, [column]].numpy() == np.arange(count)).astype(float))
    return scaled.numpy(), np.concatenate(parts, 1)


@pytest.mark.parametrize("embedding", ["none", "quantile", "target", "periodic"])
def test_outputs_are_scaled_numbers_and_standardised_embeddings_and_levels(embedding):
    x, categories = with_categories()
    y = (x[:, 0] > 0).long().numpy()
    layer = Columns.fit(x, y, embedding=embedding, categories=categories)
    scaled, encoded = encoded_by_numpy(x, layer)
    mean, std = encoded.mean(0), encoded.std(0)
    expected = (encoded - mean) / np.maximum(std, 0.1) * (std > 0)
    used = scaled.shape[1] + encoded.shape[1]
    out = layer(x).numpy()
    assert_array_equal(out[:, :3], scaled)
    assert_allclose(out[:, 3:used], expected, atol=1e-4)
    assert out.shape[1] == layer.width == len(layer.groups)
    assert not out[:, used:].any()
    assert 0 <= layer.width - used < 32
    assert layer.width % 32 == 0
    assert_array_equal(scaled, RobustScale.fit(x[:, [0, 2, 4]])(x[:, [0, 2, 4]]))


@pytest.mark.parametrize("embedding", ["none", "quantile", "periodic"])
def test_groups_name_the_column_that_an_output_changes_with(embedding):
    x, categories = with_categories()
    layer = Columns.fit(x, embedding=embedding, categories=categories)
    for column in range(5):
        changed = x.clone()
        changed[:, column] = x[:, column].flip(0)
        differs = (layer(changed) != layer(x)).any(0)
        assert differs.any()
        assert (layer.groups[differs] == column).all()


def test_an_unknown_category_is_none_of_the_levels():
    x, categories = with_categories()
    layer = Columns.fit(x, embedding="none", categories=categories)
    x[0, 1], x[1, 1] = -1, 99
    one, other = layer(x[:2])[:, layer.groups == 1]
    assert_allclose(one, (layer.offset[:3]))
    assert torch.equal(one, other)


def test_a_level_or_bin_that_is_constant_in_training_stays_zero():
    x, categories = with_categories()
    layer = Columns.fit(x, embedding="none", categories=categories)
    x[0, 3] = 3  # which the fit has not seen
    assert layer(x)[0, 3 + 3 + 3] == 0


def test_tables_without_numbers():
    x = torch.tensor([[0, 1], [1, 0], [1, 1]], dtype=torch.int16)
    layer = Columns.fit(x, embedding="quantile", categories=[(0, 2), (1, 2)])
    layer.follow(x)
    assert layer(x).shape == (3, 32)
    assert_array_equal(layer.sources(x), x.float())


def test_sources_are_scaled_numbers_and_codes():
    x, categories = with_categories()
    layer = Columns.fit(x, categories=categories)
    numbers = [0, 2, 4]
    assert_array_equal(layer.sources(x)[:, numbers], layer(x)[:, :3])
    assert_array_equal(layer.sources(x)[:, [1, 3]], x[:, [1, 3]].float())


@pytest.mark.parametrize("embedding", ["quantile", "periodic"])
def test_many_columns_get_about_2048_outputs_in_all(embedding):
    few = Columns.fit(torch.from_numpy(RNG.normal(size=(50, 300))), embedding=embedding)
    assert len(few.gain) == 300 * (2048 // 300)
    none = Columns.fit(torch.from_numpy(RNG.normal(size=(5, 3000))), embedding=embedding)
    assert (len(none.gain), none.width) == (0, 3008)


@pytest.mark.parametrize("embedding", ["quantile", "target", "periodic"])
def test_single_and_double_precision_give_the_same_bits(embedding):
    x, y = torch.from_numpy(ALL).float(), TARGETS["ten classes"]
    layer, same = (Columns.fit(part, y, embedding=embedding) for part in (x, x.double()))
    for outputs in (layer(x.double()), same(x), same(x.double())):
        assert torch.equal(outputs, layer(x))
    assert layer(x.double()).dtype == torch.float32


def test_leading_axes_make_no_difference_and_inputs_are_not_changed():
    x, categories = with_categories(24)
    layer, before = Columns.fit(x, categories=categories), x.clone()
    assert torch.equal(layer(x.view(2, 3, 4, 5)).view(24, -1), layer(x))
    assert torch.equal(x, before)


def test_many_rows_are_sampled_evenly():
    x = torch.arange(1000.0).unsqueeze(1)
    few, same = Columns.fit(x, max_rows=100), Columns.fit(x[::10])
    assert torch.equal(few(x), same(x))


@pytest.mark.parametrize("embedding", ["none", "quantile", "target", "periodic"])
def test_a_state_holds_all_that_was_learned_and_the_layer_can_be_exported(embedding):
    x, categories = with_categories()
    y = (x[:, 0] > 0).long().numpy()
    layer = Columns.fit(x, y, embedding=embedding, categories=categories)
    other = copy.deepcopy(layer)
    for part in other.state_dict().values():
        part.zero_()
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(x), layer(x))
    exported = torch.export.export(layer, (x[:8],)).module()
    assert torch.equal(exported(x[8:16]), layer(x[8:16]))
    assert layer.to(torch.float16)(x).dtype == torch.float32


def test_a_target_is_needed_for_target_aware_bins():
    with pytest.raises(ValueError, match="embedding='target' needs y, got None"):
        Columns.fit(torch.from_numpy(ALL), embedding="target")


# ------------------------------------------------------------------------------ the net

SMALL = {"hidden_layer_sizes": (16,), "embedding": "quantile", "random_state": 0}


@pytest.mark.parametrize("embedding", ["quantile", "target"])
def test_without_hidden_layers_it_follows_a_band_of_one_column(embedding):
    X = np.random.default_rng(1).uniform(size=(400, 2)).astype(np.float32)
    y = ((X[:, 0] > 0.3) & (X[:, 0] < 0.7)).astype(int)
    setting = {"hidden_layer_sizes": (), "learning_rate_init": 0.02, "random_state": 0}
    setting["weight_decay"] = 0.1
    binned, scaled = (
        MixupClassifier(0.1, embedding=each, max_epochs=60, **setting)
        for each in (embedding, "none")
    )
    assert binned.fit(X, y).score(X, y) > 0.9 > scaled.fit(X, y).score(X, y)


@pytest.mark.parametrize("mixing", ["mixup", "cutmix"])
@pytest.mark.parametrize("embedding", ["quantile", "target", "periodic"])
def test_estimators_with_it(mixing, embedding, line):
    X, y = line
    net = MixupRegressor(**{**SMALL, "embedding": embedding}, mixing=mixing, max_epochs=40)
    fitted = net.fit(X, y)
    assert fitted.score(X, y) > 0.7
    for copied in (copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))):
        assert_array_equal(copied(fitted).predict(X), fitted.predict(X))


def test_a_search_over_mixing_and_embedding(three_classes):
    X, y = three_classes
    grid = {"mixing": ["mixup", "cutmix"], "embedding": ["none", "quantile", "target"]}
    net = MixupClassifier(0.3, hidden_layer_sizes=(8,), max_epochs=5, random_state=0)
    search = MixupSearchCV(net, grid, cv=2, error_score="raise").fit(X, y)
    best = net.set_params(**search.best_params_).fit(X, y)
    assert len(search.cv_results_["params"]) == 6
    assert_array_equal(search.predict_proba(X), best.predict_proba(X))


def test_double_precision_rows_do_not_depend_on_their_company():
    X, y = load_wine(return_X_y=True)
    fitted = MixupClassifier(**SMALL, max_epochs=3).fit(X, y)
    assert_allclose(fitted.predict_proba(X)[:1], fitted.predict_proba(X[:1]), rtol=1e-9)
