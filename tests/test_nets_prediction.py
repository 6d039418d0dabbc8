import copy
import pickle
import weakref

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from torch import nn

from mixup_tab import MLP, MixupClassifier, MixupNet
from mixup_tab.nets import Columns, PiecewiseLinear, RobustScale, prediction
from mixup_tab.nets.prediction import Predictor, predictor_of

RNG = np.random.default_rng(0)
NUMBERS = np.column_stack(
    [
        RNG.normal(size=200),
        RNG.lognormal(sigma=3, size=200),
        np.full(200, 7.0),
        RNG.integers(0, 2, 200) * 3.0,
        np.where(RNG.random(200) < 0.9, 0.0, RNG.random(200)),
    ]
)
Y = (NUMBERS[:, 0] > 0).astype(int)
CODES = np.column_stack([RNG.integers(-1, 3, 200), RNG.integers(0, 5, 200)]).astype(float)
CATEGORIES = [(1, 3), (6, 5)]
TABLE = np.insert(NUMBERS, [1, 5], CODES, axis=1)
BOTH = pytest.mark.parametrize("members", [1, 3])


def layer_for(x, embedding, categories=()):
    return Columns.fit(torch.from_numpy(x), Y, embedding=embedding, categories=categories)


def net_for(layer, columns=None, hidden=(16, 8), members=1):
    width = layer.width if columns is None else columns
    generators = [torch.Generator().manual_seed(member) for member in range(members)]
    return MLP(
        width, 3, hidden, n_members=members, generators=generators, input_layer=layer
    ).eval()


def in_double(layer, x):
    """What an input layer is defined to be, in double precision."""
    categories = dict(getattr(layer, "categories", ()))
    numbers = x[:, [k for k in range(x.shape[1]) if k not in categories]]
    scale = getattr(layer, "scale", None) if categories or isinstance(layer, Columns) else layer
    z = np.clip((numbers - scale.center.numpy()) / scale.scale.numpy(), -1e9, 1e9)
    z = z / np.sqrt(1 + (z / 3) ** 2)
    if not isinstance(layer, Columns):
        return z
    encoded, bins = [], layer.encoding
    if bins is not None:
        lows, steps = bins.low.numpy(), bins.step.numpy()
        encoded.append(np.clip((numbers[:, bins.column.numpy()] - lows) / steps, 0, 1))
    for column, count in categories.items():
        encoded.append(x[:, [column]] == np.arange(count))
    encoded = np.hstack([*encoded, np.empty((len(x), 0))])
    encoded = encoded * layer.gain.double().numpy() + layer.offset.double().numpy()
    found = np.hstack([z, encoded])
    return np.pad(found, [(0, 0), (0, layer.width - found.shape[1])])


def outputs_in_double(net, x):
    x = x if net.input_layer is None else in_double(net.input_layer, x)
    found = np.broadcast_to(x, (net.n_members, *x.shape))
    for k, (weight, bias) in enumerate(net.layers()):
        found = np.maximum(found, 0) if k else found
        found = found @ weight.detach().double().numpy().swapaxes(1, 2)
        found = found + bias.detach().double().numpy()
    return found


def by_row(predictor, x):
    return np.concatenate([predictor.row(x[k : k + 1]) for k in range(len(x))], axis=1)


def check(net, x):
    predictor = predictor_of(net)
    found, expected = predictor.rows(torch.from_numpy(x)).numpy(), outputs_in_double(net, x)
    assert_allclose(found, expected, rtol=1e-11, atol=1e-12)
    assert_allclose(by_row(predictor, x), found, rtol=1e-11, atol=1e-12)
    called = net(torch.from_numpy(x)).detach().numpy().reshape(found.shape)
    assert_allclose(found, called, rtol=1e-4, atol=1e-5)


def beyond(x):
    """Rows beyond the outer edges, on them, and with codes of no level."""
    far = [x.min(0), x.max(0), x.min(0) - 1, x.max(0) + 1, np.full(x.shape[1], 1e300)]
    return np.vstack([x, *far, np.full(x.shape[1], -1e300), np.full(x.shape[1], 0.5)])


@BOTH
@pytest.mark.parametrize("hidden", [(), (16,), (16, 8)])
@pytest.mark.parametrize("embedding", ["none", "quantile", "target"])
def test_outputs_are_those_of_the_definition(embedding, hidden, members):
    net = net_for(layer_for(NUMBERS, embedding), hidden=hidden, members=members)
    check(net, beyond(NUMBERS))


@BOTH
@pytest.mark.parametrize("embedding", ["none", "target"])
def test_with_categories(embedding, members):
    check(net_for(layer_for(TABLE, embedding, CATEGORIES), members=members), beyond(TABLE))


def test_of_tables_without_numbers_and_without_bins():
    codes = CODES.copy()
    check(net_for(layer_for(codes, "target", [(0, 3), (1, 5)])), beyond(codes))
    flat = NUMBERS[:, 2:4]  # a constant, and two values
    check(net_for(layer_for(flat, "target")), beyond(flat))


@BOTH
def test_without_embedding_and_without_input_layer(members):
    scale = RobustScale.fit(torch.from_numpy(NUMBERS))
    check(net_for(scale, 5, members=members), beyond(NUMBERS))
    check(net_for(None, 5, members=members), NUMBERS)


@pytest.mark.parametrize("layer", [layer_for(NUMBERS, "periodic"), nn.BatchNorm1d(5).double()])
def test_behind_other_layers_the_first_product_stays(layer):
    net = net_for(layer.eval(), getattr(layer, "width", 5))
    predictor, x = predictor_of(net), torch.from_numpy(NUMBERS)
    called = net(x).detach().numpy()
    assert_allclose(predictor.rows(x).detach().numpy()[0], called, rtol=1e-12)
    assert_allclose(by_row(predictor, NUMBERS)[0], called, rtol=1e-12)


def test_edges_at_either_end_of_double_precision():
    x = np.array([[-1.7e308], [0.0], [5e-324], [1e-300], [1.0], [1.7e308]] * 10)
    layer = Columns.fit(torch.from_numpy(x), embedding="quantile")
    predictor, found = predictor_of(net_for(layer)), []
    for values in (x, np.nextafter(x, np.inf), np.nextafter(x, -np.inf)):
        rows = predictor.rows(torch.from_numpy(values)).numpy()
        assert np.isfinite(rows).all()
        assert_allclose(by_row(predictor, values), rows, rtol=1e-11)
        found.append(rows)
    called = net_for(layer)(torch.from_numpy(x)).detach().numpy()
    assert_allclose(found[0][0], called, rtol=1e-4, atol=1e-5)


def test_infinity_and_nan_give_what_the_net_gives():
    x = np.repeat(NUMBERS[:1], 15, 0)
    for k, value in enumerate((np.nan, np.inf, -np.inf)):
        x[range(5 * k, 5 * k + 5), range(5)] = value
    net = net_for(layer_for(NUMBERS, "target"))
    called, predictor = net(torch.from_numpy(x)).detach().numpy(), predictor_of(net)
    assert_allclose(predictor.rows(torch.from_numpy(x)).numpy()[0], called, rtol=1e-4)
    assert_allclose(by_row(predictor, x)[0], called, rtol=1e-4)


@pytest.mark.parametrize("dtype", [np.int16, np.int64, np.uint64, bool])
def test_whole_numbers_are_taken_as_they_are(dtype):
    x = RNG.integers(0, 2, (200, 3)).astype(dtype)
    if np.dtype(dtype).itemsize == 8:  # beyond what double precision holds
        x = x * 3 + np.array([1, 2**54, 2**60], dtype)
    net = net_for(layer_for(x, "target"))
    net_ = net_of(net)
    called = net(torch.from_numpy(x)).detach().numpy()
    assert_allclose(net_.raw_outputs(x)[0], called, rtol=1e-4, atol=1e-5)
    alone = np.concatenate([net_.raw_outputs(x[k : k + 1])[0] for k in range(20)])
    assert_allclose(alone, net_.raw_outputs(x)[0, :20], rtol=1e-12)


@pytest.mark.parametrize("embedding", ["target", "periodic"])
def test_arrays_may_be_read_only_and_of_any_layout(embedding):
    net, x = net_of(net_for(layer_for(NUMBERS, embedding))), NUMBERS.copy()
    x.flags.writeable = False
    expected = net.raw_outputs(NUMBERS)
    for table in (x, np.asfortranarray(x), x[:, ::-1].copy()[:, ::-1], x.astype(">f8")):
        assert_allclose(net.raw_outputs(table), expected, rtol=1e-12)
        assert_allclose(net.raw_outputs(table[:1]), expected[:, :1], rtol=1e-12)


def test_bins_that_are_not_in_order_are_no_table():
    column, low = torch.tensor([0, 0, 0]), torch.tensor([0.0, 2.0, 1.0]).double()
    scale = RobustScale.fit(torch.from_numpy(NUMBERS[:, :1]))
    layer = Columns(scale, PiecewiseLinear(column, low, torch.ones(3).double()), n_columns=1)
    net, x = net_for(layer), torch.linspace(-1, 4, 40, dtype=torch.float64).unsqueeze(1)
    assert_allclose(predictor_of(net).rows(x).numpy()[0], net(x).detach().numpy(), rtol=1e-12)


def test_a_net_is_not_kept():
    net = net_for(layer_for(NUMBERS, "target"))
    predictor_of(net).row(NUMBERS[:1])
    alive = weakref.ref(net)
    del net
    assert alive() is None


def test_the_tables_of_many_nets_are_not_all_kept(monkeypatch):
    nets = [net_for(None, 5) for _ in range(4)]
    size = Predictor(nets[0]).size
    monkeypatch.setattr(prediction, "_MOST", 2 * size)
    kept = [predictor_of(net) for net in nets]
    assert all(predictor_of(net) is one for net, one in zip(nets[2:], kept[2:], strict=True))
    first = predictor_of(nets[0])
    assert first is not kept[0]
    assert_array_equal(first.row(NUMBERS[:1]), kept[0].row(NUMBERS[:1]))


# ------------------------------------------------------------------------ when it is used


def net_of(module):
    net = MixupNet(MLP, module__in_features=1, module__out_features=1, device="cpu")
    net.initialize().module_ = module
    return net.set_params(verbose=0)


class Doubled(MLP):
    def forward(self, x):
        return 2 * super().forward(x)


def test_other_nets_are_called():
    x = NUMBERS[:20]
    for net in (Doubled(5, 3), net_for(None, 5).double(), nn.Linear(5, 3)):
        assert predictor_of(net) is None
    net = Doubled(5, 3).eval()
    expected = net(torch.from_numpy(x)).detach().numpy()
    assert_array_equal(net_of(net).raw_outputs(x)[0], expected)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ">f4"])
def test_with_tables_rows_in_single_precision_are_predicted_in_double(dtype):
    net, x = net_of(net_for(layer_for(NUMBERS, "target"))), (NUMBERS % 100).astype(dtype)
    expected = net.raw_outputs(x.astype(np.float64))
    assert_array_equal(net.raw_outputs(x), expected)
    assert_allclose(net.raw_outputs(x[:1]), expected[:, :1], rtol=1e-12)


def test_without_an_input_layer_they_stay_in_single_precision():
    net, x = net_for(None, 5), NUMBERS.astype(np.float32)
    outputs = net_of(net).raw_outputs(x)
    assert outputs.dtype == np.float32
    assert_array_equal(outputs[0], net(torch.from_numpy(x)).detach().numpy())


def test_hooks_are_called_and_the_net_is_free_after_them():
    net, calls = net_for(layer_for(NUMBERS, "target")), []
    whole = net_of(net)
    before = whole.raw_outputs(NUMBERS)
    for module in (net, net.input_layer):
        handle = module.register_forward_hook(lambda *args: calls.append(args))
        assert_allclose(whole.raw_outputs(NUMBERS), before, rtol=1e-4, atol=1e-5)
        handle.remove()
    assert len(calls) == 2
    assert_array_equal(whole.raw_outputs(NUMBERS), before)
    assert len(calls) == 2


def test_many_rows_on_several_threads_give_the_same_bits():
    net = net_of(net_for(layer_for(NUMBERS, "target"), hidden=(128,), members=2))
    x, threads = np.tile(NUMBERS, (20, 1)), torch.get_num_threads()
    alone = net.raw_outputs(x)
    try:
        torch.set_num_threads(2)
        assert_array_equal(net.raw_outputs(x), alone)
    finally:
        torch.set_num_threads(threads)


# ---------------------------------------------------------------- nets that are changed


@torch.no_grad()
def add_in_place(net):
    net.weight1.add_(0.1)


def write_data(net):
    net.weight0.data[0, 3, 0] += 0.1


def write_data_of_a_bias(net):
    net.bias2.data.mul_(2)


def write_array(net):
    net.weight0.detach().numpy()[0, 0, 0] = 5


def put_other_data(net):
    net.weight0.data = net.weight0.data * 2


def put_other_parameter(net):
    net.weight2 = nn.Parameter(net.weight2.detach() * 2)


def load_state(net):
    net.load_state_dict({**net.state_dict(), "weight1": torch.ones(1, 64, 64)})


def step_of_an_optimizer(net):
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.from_numpy(NUMBERS)).square().mean().backward()
    optimizer.step()


def put_other_layer(net):
    net.input_layer = layer_for(NUMBERS * 2 + 1, "target")


def put_other_scale(net):
    net.input_layer.scale = RobustScale.fit(torch.from_numpy(NUMBERS * 2))


def follow(net):
    net.input_layer.scale.follow(torch.from_numpy(NUMBERS * 3 + 1), first=True)


def join_and_train(net):
    stack = MLP.join([net, net_for(net.input_layer, hidden=(64, 64))])
    with torch.inference_mode():
        stack.weight0.mul_(0.5)


CHANGES = [
    *(add_in_place, write_data, write_data_of_a_bias, write_array, put_other_data),
    *(put_other_parameter, load_state, step_of_an_optimizer, put_other_layer, put_other_scale),
    *(follow, join_and_train, lambda net: net.reset_parameters()),
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_net_that_was_changed_predicts_what_it_is_now(change):
    net = net_for(layer_for(NUMBERS, "target"), hidden=(64, 64))
    whole, one = net_of(net), NUMBERS[:1]
    before = whole.raw_outputs(NUMBERS), whole.raw_outputs(one)
    change(net)
    now = Predictor(copy.deepcopy(net))
    assert_array_equal(whole.raw_outputs(one), now.row(one))
    assert_allclose(whole.raw_outputs(NUMBERS), now.rows(torch.from_numpy(NUMBERS)), rtol=1e-12)
    assert not np.allclose(before[0], whole.raw_outputs(NUMBERS), rtol=1e-6)
    assert not np.allclose(before[1], whole.raw_outputs(one), rtol=1e-6)


def test_a_stack_whose_nets_are_seen_between_steps():
    net = net_for(layer_for(NUMBERS, "target"), hidden=(64, 64))
    stack, whole = MLP.join([net, net_for(net.input_layer, hidden=(64, 64))]), net_of(net)
    for _ in range(3):
        expected = Predictor(copy.deepcopy(net)).row(NUMBERS[:1])
        assert_array_equal(whole.raw_outputs(NUMBERS[:1]), expected)
        with torch.inference_mode():
            stack.weight1.add_(0.01)


def test_training_further_and_training_anew():
    fitted = MixupClassifier(max_epochs=2, embedding="target", random_state=0).fit(NUMBERS, Y)
    trainings = [
        lambda *table: fitted.partial_fit(*table),
        lambda *table: fitted.net_.partial_fit(*table),
        lambda *table: fitted.fit(*table),
    ]
    for train in trainings:
        before = fitted.predict_proba(NUMBERS[:1])
        assert_array_equal(fitted.predict_proba(NUMBERS[:1]), before)
        train(NUMBERS[::-1].copy(), Y)
        after = fitted.predict_proba(NUMBERS[:1])
        assert (after != before).any()
        assert_array_equal(copy.deepcopy(fitted).predict_proba(NUMBERS[:1]), after)


def test_copies_and_files_are_as_large_as_before():
    fitted = MixupClassifier(max_epochs=2, embedding="target", random_state=0).fit(NUMBERS, Y)
    size = len(pickle.dumps(fitted.net_.module_))
    found = fitted.predict_proba(NUMBERS)
    assert len(pickle.dumps(fitted.net_.module_)) == size
    assert_array_equal(copy.deepcopy(fitted).predict_proba(NUMBERS), found)
    assert_array_equal(pickle.loads(pickle.dumps(fitted)).predict_proba(NUMBERS), found)
