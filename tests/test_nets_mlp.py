from itertools import pairwise

import pytest
import torch
from torch import nn

from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.mixing import Mixup
from mixup_tab.nets import MLP, RobustScale

IN, OUT, BATCH = 5, 3, 11
HIDDEN = [(), (7,), (4, 9, 5)]
CRITERIA = [MixedCrossEntropy(), MixedCrossEntropy(0.1), MixedSquaredError()]


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float32):
    return torch.randn(*shape, generator=source(seed), dtype=dtype)


def stack(members=3, hidden=(8, 6), **kwargs):
    generators = [source(seed) for seed in range(members)]
    return MLP(IN, OUT, hidden, n_members=members, generators=generators, **kwargs)


def sequential(mlp, member=0):
    """The same net made of torch's own layers."""
    sizes = [weight.shape[-1] for weight, _ in mlp.layers()] + [OUT]
    modules = []
    for (fan_in, fan_out), (weight, bias) in zip(pairwise(sizes), mlp.layers(), strict=True):
        linear = nn.Linear(fan_in, fan_out, dtype=weight.dtype)
        linear.weight.data, linear.bias.data = weight.data[member], bias.data[member, 0]
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def targets_for(criterion, members, dtype=torch.float64):
    rule = Mixup()
    mix = rule.draw(0.8, (members, BATCH), generator=source(4))
    weight = torch.rand(members, BATCH, generator=source(5), dtype=dtype) + 0.1
    if isinstance(criterion, MixedCrossEntropy):
        y = torch.randint(0, OUT, (members, BATCH), generator=source(6))
    else:
        y = normal(members, BATCH, OUT, seed=6, dtype=dtype)
    return rule.mix_y(criterion.encode(y, weight, OUT), mix)


def gradients(module):
    return [parameter.grad.clone() for parameter in module.parameters()]


# ---------------------------------------------------------------------- forward


@pytest.mark.parametrize("hidden", HIDDEN)
def test_one_net_is_a_sequence_of_linear_and_relu(hidden):
    mlp, x = MLP(IN, OUT, hidden, generators=[source()]), normal(BATCH, IN)
    torch.testing.assert_close(mlp(x), sequential(mlp)(x))


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_member_of_a_stack_is_the_single_net(hidden):
    mlp, x = stack(3, hidden), normal(3, BATCH, IN)
    outputs, shared = mlp(x), mlp(x[0])
    for member in range(3):
        net = sequential(mlp, member)
        torch.testing.assert_close(outputs[member], net(x[member]))
        torch.testing.assert_close(shared[member], net(x[0]))


@pytest.mark.parametrize(
    ("members", "inputs", "outputs"),
    [
        (1, (BATCH, IN), (BATCH, OUT)),
        (1, (1, BATCH, IN), (1, BATCH, OUT)),
        (3, (BATCH, IN), (3, BATCH, OUT)),
        (3, (3, BATCH, IN), (3, BATCH, OUT)),
        (3, (3, 1, IN), (3, 1, OUT)),
    ],
)
def test_shapes(members, inputs, outputs):
    assert stack(members)(normal(*inputs)).shape == outputs


def test_the_inputs_set_the_precision():
    mlp, x = stack(), normal(BATCH, IN, dtype=torch.float64)
    outputs = mlp(x)
    exact = torch.stack([sequential(mlp, member).double()(x) for member in range(3)])
    assert outputs.dtype == torch.float64
    torch.testing.assert_close(outputs, exact, rtol=1e-12, atol=1e-14)
    assert mlp(x.float()).dtype == torch.float32


def test_forward_does_not_change_its_inputs():
    x = normal(BATCH, IN)
    before = x.clone()
    stack(hidden=())(x)
    stack()(x)
    assert torch.equal(x, before)


def test_dropout_is_active_in_training_only():
    mlp, x = stack(dropout=0.5), normal(BATCH, IN)
    plain = stack()(x)
    assert not torch.equal(mlp.train()(x), plain)
    assert torch.equal(mlp.eval()(x), plain)


def test_the_input_layer_is_applied_to_raw_inputs_only():
    x = normal(BATCH, IN)
    scale = RobustScale.fit(x)
    mlp = stack(input_layer=scale)
    torch.testing.assert_close(mlp(x), stack()(scale(x)))
    assert torch.equal(mlp.prepare(x), scale(x))
    assert torch.equal(mlp.body(mlp.prepare(x)), mlp(x))
    assert torch.equal(stack().prepare(x), x)


# ---------------------------------------------------------------- initial weights


@pytest.mark.parametrize("member", range(3))
def test_initial_weights_of_a_member_depend_on_its_generator_alone(member):
    alone = MLP(IN, OUT, (8, 6), generators=[source(member)])
    for name, tensor in stack().member_tensors(member).items():
        assert torch.equal(tensor, alone.member_tensors(0)[name])


def test_initial_weights_are_uniform_like_torchs():
    mlp = MLP(64, 400, (400,), generators=[source()])
    for weight, bias in mlp.layers():
        bound = weight.shape[-1] ** -0.5
        for tensor in (weight, bias):
            assert tensor.abs().max() <= bound
            assert abs(tensor.std() / bound - 3**-0.5) < 0.05
            assert abs(tensor.mean()) < 0.1 * bound


def test_initial_weights_leave_the_global_generator_alone():
    before = torch.get_rng_state()
    mlp = stack()
    mlp.reset_parameters([source(9)] * 3)
    assert torch.equal(torch.get_rng_state(), before)
    assert not torch.equal(mlp.weight0, stack().weight0)


def test_member_tensors_are_views():
    mlp = stack()
    mlp.member_tensors(1)["weight0"].zero_()
    assert not mlp.weight0[1].any()
    assert mlp.weight0[0].any()


# --------------------------------------------------------------------- backward


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@pytest.mark.parametrize("hidden", HIDDEN)
@pytest.mark.parametrize("members", [1, 3])
def test_backward_writes_the_gradients_of_autograd(criterion, hidden, members):
    mlp = stack(members, hidden, input_layer=RobustScale.fit(normal(50, IN))).double()
    x = mlp.prepare(normal(members, BATCH, IN, dtype=torch.float64))
    targets = targets_for(criterion, members)
    criterion(mlp.body(x), targets).backward()
    expected = gradients(mlp)
    mlp.zero_grad()
    for _ in range(2):  # The second time the gradients are replaced, not added to.
        outputs = mlp.backward(x, targets, criterion, [])
        torch.testing.assert_close(outputs, mlp.body(x))
        for grad, autograd in zip(gradients(mlp), expected, strict=True):
            torch.testing.assert_close(grad, autograd, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_backward_with_dropout_is_autograd_under_the_same_masks(criterion, hidden):
    keep, members = 0.7, 3
    mlp = stack(members, hidden, dropout=1 - keep).double()
    x, targets = (
        normal(members, BATCH, IN, dtype=torch.float64),
        targets_for(criterion, members),
    )
    mlp.backward(x, targets, criterion, [source(20 + k) for k in range(members)])
    by_hand = gradients(mlp)

    replay = [source(20 + k) for k in range(members)]
    outputs = x
    for layer, (weight, bias) in enumerate(mlp.layers()):
        if layer:
            blank = torch.empty_like(outputs[0])
            masks = [torch.bernoulli(blank.fill_(keep), generator=g) for g in replay]
            outputs = outputs.relu() * torch.stack(masks) / keep
        outputs = outputs @ weight.mT + bias
    mlp.zero_grad()
    criterion(outputs, targets).backward()
    for grad, autograd in zip(by_hand, gradients(mlp), strict=True):
        torch.testing.assert_close(grad, autograd, rtol=1e-10, atol=1e-14)


def test_backward_changes_neither_inputs_nor_targets():
    criterion = MixedCrossEntropy()
    x, targets = normal(3, BATCH, IN), targets_for(criterion, 3, torch.float32)
    copies = x.clone(), targets.clone()
    stack(dropout=0.2).backward(x, targets, criterion, [source(k) for k in range(3)])
    assert torch.equal(x, copies[0])
    assert torch.equal(targets, copies[1])


# --------------------------------------------------------- dropout of every member

SHARES = [0.0, 0.5, 0.2]


def mixed_dropout(hidden=(8, 6)):
    """A stack whose members differ in their share of dropout, in double precision."""
    return MLP.join([single(member, hidden, dropout=d) for member, d in enumerate(SHARES)])


def single(member, hidden=(8, 6), **kwargs):
    return MLP(IN, OUT, hidden, generators=[source(member)], **kwargs).double()


def inputs(criterion, members=3):
    x = normal(members, BATCH, IN, dtype=torch.float64)
    return x, targets_for(criterion, members)


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_member_has_the_dropout_that_it_has_alone(criterion, hidden):
    x, targets = inputs(criterion)
    mlp = mixed_dropout(hidden)
    outputs = mlp.backward(x, targets, criterion, [source(30 + k) for k in range(3)])
    for k, share in enumerate(SHARES):
        alone = single(k, hidden, dropout=share)
        own = alone.backward(x[[k]], targets[[k]], criterion, [source(30 + k)])
        torch.testing.assert_close(outputs[[k]], own)
        for grad, expected in zip(gradients(mlp), gradients(alone), strict=True):
            torch.testing.assert_close(grad[[k]], expected, rtol=1e-10, atol=1e-14)


def test_a_member_without_dropout_draws_nothing():
    generators = [source(k) for k in range(3)]
    mixed_dropout().backward(*inputs(CRITERIA[0]), CRITERIA[0], generators)
    untouched = [g.get_state().equal(source(k).get_state()) for k, g in enumerate(generators)]
    assert untouched == [True, False, False]


def test_shares_are_dropped_and_the_rest_is_scaled_up():
    ones = [MLP(1, 1, (4000,), dropout=share) for share in SHARES]
    mlp = MLP.join(ones)
    with torch.no_grad():
        for weight, bias in mlp.layers():
            weight.fill_(1.0)
            bias.zero_()
    generators = [source(k) for k in range(3)]
    outputs = mlp.body(torch.ones(3, 20, 1), generators)[..., 0] / 4000
    torch.testing.assert_close(outputs[0], torch.ones(20))
    torch.testing.assert_close(outputs.mean(1), torch.ones(3), rtol=0.02, atol=0)
    expected = torch.tensor([share / (1 - share) / 4000 for share in SHARES]).sqrt()
    torch.testing.assert_close(outputs.std(1), expected, rtol=0.5, atol=1e-6)


def test_dropout_of_members_is_off_in_prediction():
    x = normal(BATCH, IN, dtype=torch.float64)
    mlp = mixed_dropout()
    outputs = mlp.eval()(x)
    for member in range(3):
        torch.testing.assert_close(outputs[member], single(member)(x))
    assert not torch.equal(mlp.train().body(x, [source()] * 3), outputs)


def test_dropout_of_members_without_generators_takes_the_global_one():
    x = normal(BATCH, IN, dtype=torch.float64)
    mlp = mixed_dropout().train()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one, other = mlp(x), mlp(x)
    torch.testing.assert_close(one[0], other[0])
    assert not torch.equal(one[1], other[1])


# ------------------------------------------------------------------ padded batches


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@pytest.mark.parametrize("hidden", HIDDEN)
def test_rows_of_padding_do_not_count(criterion, hidden):
    x, targets = inputs(criterion)
    rows = [BATCH, 4, 7]
    padded_x, padded_targets = torch.zeros_like(x), torch.zeros_like(targets)
    for k, n in enumerate(rows):
        padded_x[k, :n] = x[k, :n]
        padded_targets[k, :n] = targets[k, :n] * (BATCH / n)
    mlp = mixed_dropout(hidden)
    generators = [source(30 + k) for k in range(3)]
    with torch.no_grad():
        outputs = mlp.bind(criterion, generators, rows)(padded_x, padded_targets)
    for k, (n, share) in enumerate(zip(rows, SHARES, strict=True)):
        alone = single(k, hidden, dropout=share)
        own = alone.backward(x[[k], :n], targets[[k], :n], criterion, [source(30 + k)])
        torch.testing.assert_close(outputs[[k], :n], own)
        for grad, expected in zip(gradients(mlp), gradients(alone), strict=True):
            torch.testing.assert_close(grad[[k]], expected, rtol=1e-10, atol=1e-14)


def test_a_bound_step_follows_the_parameters():
    criterion, x = CRITERIA[0], normal(3, BATCH, IN)
    targets = targets_for(criterion, 3, torch.float32)
    mlp = stack()
    with torch.no_grad():
        step = mlp.bind(criterion, [])
        for _ in range(3):
            torch.testing.assert_close(step(x, targets), mlp.body(x))
            for parameter in mlp.parameters():
                parameter.sub_(0.1 * parameter.grad)


def test_a_bound_step_takes_batches_of_any_size():
    criterion, mlp = CRITERIA[0], stack()
    x, targets = normal(3, BATCH, IN), targets_for(criterion, 3, torch.float32)
    with torch.no_grad():
        step = mlp.bind(criterion, [])
        for rows in (BATCH, 2, BATCH, 1):
            step(x[:, :rows], targets[:, :rows])
            found = gradients(mlp)
            mlp.backward(x[:, :rows], targets[:, :rows], criterion, [])
            for grad, expected in zip(found, gradients(mlp), strict=True):
                assert torch.equal(grad, expected)


# ---------------------------------------------------------------- join and leave


def storages(*nets):
    return [p.untyped_storage().data_ptr() for net in nets for p in net.parameters()]


@pytest.mark.parametrize("hidden", HIDDEN)
def test_a_joined_stack_has_the_members_in_order(hidden):
    nets = [single(0, hidden), stack(3, hidden).double(), single(5, hidden)]
    expected = [net(normal(BATCH, IN, dtype=torch.float64)) for net in nets]
    joined = MLP.join(nets)
    outputs = joined(normal(BATCH, IN, dtype=torch.float64))
    assert joined.n_members == 5
    members = torch.cat([expected[0][None], expected[1], expected[2][None]])
    torch.testing.assert_close(outputs, members)


def test_nets_follow_the_stack_that_they_have_joined():
    nets = [single(0), stack(2).double()]
    identities = [id(p) for net in nets for p in net.parameters()]
    joined = MLP.join(nets)
    with torch.no_grad():
        joined.weight0[1].fill_(7.0)
    assert (nets[1].weight0[0] == 7).all()
    assert not (nets[1].weight0[1] == 7).any()
    assert not (nets[0].weight0 == 7).any()
    assert set(storages(*nets)) == set(storages(joined))
    assert [id(p) for net in nets for p in net.parameters()] == identities


def test_a_net_that_leaves_keeps_its_values_and_goes_its_own_way():
    nets = [single(0), single(1)]
    joined = MLP.join(nets)
    with torch.no_grad():
        joined.weight0.fill_(7.0)
    nets[0].leave()
    with torch.no_grad():
        joined.weight0.zero_()
    assert (nets[0].weight0 == 7).all()
    assert not nets[1].weight0.any()
    for parameter in nets[0].parameters():
        assert parameter.untyped_storage().nbytes() == parameter.numel() * 8


def test_nets_may_join_again():
    nets = [single(k) for k in range(3)]
    expected = [net(normal(BATCH, IN, dtype=torch.float64)) for net in nets]
    MLP.join(nets)
    again = MLP.join(nets[1:])
    nets[0].leave()
    with torch.no_grad():
        again.bias2.add_(1.0)
    for net, old, more in zip(nets, expected, (0, 1, 1), strict=True):
        torch.testing.assert_close(net(normal(BATCH, IN, dtype=torch.float64)), old + more)


def test_a_joined_stack_has_no_input_layer():
    front = RobustScale.fit(normal(50, IN, dtype=torch.float64))
    net, x = single(0, input_layer=front), normal(BATCH, IN, dtype=torch.float64)
    expected = net(x)
    joined = MLP.join([net])
    assert torch.equal(joined.prepare(x), x)
    torch.testing.assert_close(joined(net.prepare(x)), expected)
    torch.testing.assert_close(net(x), expected)


def test_a_net_of_another_class_joins_a_plain_stack():
    class Named(MLP):
        pass

    nets = [Named(IN, OUT, (4,)), Named(IN, OUT, (4,))]
    assert MLP.join(nets).n_members == 2
