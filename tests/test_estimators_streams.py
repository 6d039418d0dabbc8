"""partial_fit on batches of a stream: its scaling is that of all rows seen so far."""

import pickle

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.nets import RobustScale

PARAMS = {"hidden_layer_sizes": (16,), "n_estimators": 1, "random_state": 0, "device": "cpu"}


def table(rows=600):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4)) * [1, 1, 100, 1] + [0, 0, 1e6, 0]
    X[:, 3] = rng.random(rows) < 0.01  # nearly always 0
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


def streamed(net, X, y, size, passes=1):
    for start in list(range(0, len(X), size)) * passes:
        net.partial_fit(X[start : start + size], y[start : start + size], classes=[0, 1])
    return net


def scaling(net):
    layer = net.net_.module_.input_layer
    return layer.center, layer.scale


@pytest.mark.parametrize("size", [3, 60])
def test_up_to_256_rows_the_scaling_is_that_of_all_rows(size):
    X, y = table(60)
    net = streamed(MixupClassifier(**PARAMS), X, y, size)
    whole = RobustScale.fit(torch.from_numpy(X))
    torch.testing.assert_close(scaling(net), (whole.center, whole.scale), rtol=1e-12, atol=0)


@pytest.mark.parametrize("size", [20, 1000])
@pytest.mark.parametrize("sort", [False, True])
def test_beyond_that_it_is_nearly_that_of_all_rows(size, sort):
    X, _ = table(3000)
    X = X[np.argsort(X[:, 0])] if sort else X
    layer = RobustScale.fit(torch.from_numpy(X[:size]))
    for start in range(0, len(X), size):
        layer.follow(torch.from_numpy(X[start : start + size]), first=start == 0)
    whole = RobustScale.fit(torch.from_numpy(X))
    shift = (layer.center - whole.center) / whole.scale
    assert_allclose(shift, 0, atol=0.05)
    assert_allclose(layer.scale / whole.scale, 1, atol=0.05)
    assert layer.scale[3] == 0.5  # half of the range, of values that are rare
    assert layer.n_seen == 3000
    assert len(layer.seen) == 256


def test_a_column_that_is_constant_in_the_first_batch_is_learned_all_the_same():
    X, y = table(900)
    X[:100, :2] = 0
    net = streamed(MixupClassifier(**PARAMS), X, y, 100, passes=10)
    assert net.score(X, y) > 0.9


def test_one_row_at_a_time():
    X, y = table(80)
    net = streamed(MixupClassifier(**{**PARAMS, "batch_size": 16}), X, y, 1)
    assert net.n_iter_ == 80
    assert net.score(*table(600)) > 0.7


def test_a_row_alone_is_mixed_with_itself():
    X, y = table(9)
    one, other = (MixupClassifier(alpha, **PARAMS) for alpha in (0, 1))
    for net in (one, other):
        streamed(net, X, y, 1)
    assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_after_fit_the_scaling_stays_but_of_columns_that_were_constant():
    X, y = table()
    constant = X * [1, 0, 1, 1]
    net = MixupClassifier(**PARAMS, embedding="none", max_epochs=3).fit(constant, y)
    before = [part.clone() for part in scaling(net)]
    net.partial_fit(10 * X, y)
    center, scale = scaling(net)
    kept = [0, 2, 3]
    assert torch.equal(center[kept], before[0][kept])
    assert torch.equal(scale[kept], before[1][kept])
    assert_allclose(scale[1], np.subtract(*np.quantile(10 * X[:, 1], [0.75, 0.25])))


def test_a_stream_goes_on_from_a_copy_and_from_a_state():
    X, y = table()
    net = streamed(MixupClassifier(**PARAMS), X[:400], y[:400], 200)
    again = pickle.loads(pickle.dumps(net))
    state = RobustScale.fit(torch.from_numpy(X[:9]))
    state.load_state_dict(net.net_.module_.input_layer.state_dict())
    state.follow(torch.from_numpy(X[400:]))
    for one in (net, again):
        one.partial_fit(X[400:], y[400:])
        torch.testing.assert_close(scaling(one), (state.center, state.scale), rtol=0, atol=0)


def test_bins_need_a_first_batch_of_some_size():
    X, y = table()
    net = MixupClassifier(embedding="quantile", **PARAMS)
    with pytest.raises(
        ValueError, match=r"embedding .* only 30 rows .*256 rows, or use embedding='none'"
    ):
        net.partial_fit(X[:30], y[:30])
    net.partial_fit(X[:300], y[:300]).partial_fit(X[300:301], y[300:301])
    assert net.net_.module_.input_layer.scale.n_seen == 301


def test_the_first_targets_of_a_stream_must_differ():
    X, _ = table()
    net = MixupRegressor(**PARAMS)
    with pytest.raises(
        ValueError, match=r"y \(n_samples=1\) holds a single value\. Start with"
    ):
        net.partial_fit(X[:1], X[:1, 0])
    net.partial_fit(X[:9], X[:9, 0]).partial_fit(X[9:10], X[9:10, 0])
    assert net.n_iter_ == 2
