import numpy as np
import pytest
import torch

from mixup_tab.losses import MixedCrossEntropy
from mixup_tab.mixing import FeatMix, Mixup
from mixup_tab.training import table
from mixup_tab.training.batches import LoaderBatches, MixedBatches, Mixing, PlainBatches
from mixup_tab.training.randomness import Streams
from mixup_tab.training.table import Examples, Table

SIZES = [(23, 5), (7, 1), (1, 10), (700, 3)]


def streams(*seeds):
    return [Streams.from_seed(seed, "cpu") for seed in seeds]


def encode(y, weight):
    return MixedCrossEntropy().encode(y, weight, 3)


def identity(n):
    """Row i is the i-th unit vector, so that a mixed row shows what it is made of."""
    return torch.eye(n, dtype=torch.float64)


def batches(
    n, batch_size, *, seeds=(0,), alphas=None, rule=None, rows=None, weight=None, **maps
):
    """Batches of unit vectors whose class is their number modulo 3."""
    examples = Examples(
        Table(identity(n), "cpu"),
        Table(torch.arange(n) % 3, "cpu"),
        None if weight is None else Table(weight, "cpu"),
        **{"encode": encode, **maps},
    )
    result = MixedBatches(examples, rows=rows, batch_size=batch_size, streams=streams(*seeds))
    if alphas is not None:
        result.mixing = Mixing(Mixup() if rule is None else rule, alphas)
    return result


def joined(epoch):
    """Inputs and targets of an epoch, shape (members, rows, ...)."""
    return tuple(torch.cat(parts, 1) for parts in zip(*epoch, strict=True))


# ------------------------------------------------------------------ order of the rows


@pytest.mark.parametrize(("n", "batch_size"), SIZES)
def test_every_member_sees_every_row_once_per_epoch(n, batch_size):
    seeds = (0, 1, 2)
    source = batches(n, batch_size, seeds=seeds)
    for _ in range(2):
        epoch = list(source)
        sizes = [batch.x.shape[1] for batch in epoch]
        assert len(epoch) == len(source) == -(-n // batch_size)
        assert set(sizes[:-1]) <= {batch_size}
        assert sum(sizes) == n
        x, targets = joined(epoch)
        assert torch.equal(x.sum(1), torch.ones(len(seeds), n, dtype=torch.float64))
        assert torch.equal(targets.argmax(-1), x.argmax(-1) % 3)


def test_the_order_differs_by_epoch_member_and_seed():
    source = batches(30, 7, seeds=(0, 1))
    first, second = (joined(source)[0].argmax(-1) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[0], first[1])


def test_only_the_chosen_rows_are_seen():
    rows = torch.tensor([8, 3, 3, 5, 0])
    x, _ = joined(batches(9, 2, rows=rows))
    assert sorted(x[0].argmax(-1).tolist()) == [0, 3, 3, 5, 8]


def test_mixing_does_not_change_the_order():
    plain = batches(23, 5, seeds=(4,))
    mixed = batches(23, 5, seeds=(4,), alphas=[0.4], rule=Mixup(folded=True))
    for _ in range(3):  # A folded weight leaves the example itself the larger part.
        assert torch.equal(joined(plain)[0].argmax(-1), joined(mixed)[0].argmax(-1))


# ------------------------------------------------------------------------- mixing


def test_alpha_zero_is_bit_equal_to_no_mixing():
    for plain, zero in zip(batches(23, 5), batches(23, 5, alphas=[0]), strict=True):
        assert torch.equal(plain.x, zero.x)
        assert torch.equal(plain.targets, zero.targets)


@pytest.mark.parametrize(("n", "batch_size"), SIZES)
@pytest.mark.parametrize("weighted", [False, True])
def test_targets_are_mixed_like_inputs_within_the_batch(n, batch_size, weighted):
    weight = torch.rand(n, dtype=torch.float64) + 0.5 if weighted else None
    rows = np.eye(3)[np.arange(n) % 3] * (weight.numpy()[:, None] if weighted else 1)
    plain = batches(n, batch_size, seeds=(0, 1), weight=weight)
    source = batches(n, batch_size, seeds=(0, 1), weight=weight, alphas=[0.5, 2.0])
    for batch, unmixed in zip(source, plain, strict=True):
        assert (batch.x.sum(-1) - 1).abs().max() < 1e-12
        assert ((batch.x > 0).sum(-1) <= 2).all()
        for member in range(2):
            here = unmixed.x[member].sum(0)  # marks the rows of this batch
            assert not batch.x[member, :, here == 0].any()
        np.testing.assert_allclose(batch.targets, batch.x.numpy() @ rows, atol=1e-6)
        assert len(batch.x) == 2


def test_batches_are_the_rules_draws_from_the_members_stream():
    n, size = 13, 4
    epoch = list(batches(n, size, seeds=(5,), alphas=[0.6]))
    [stream] = streams(5)
    x = np.eye(n)[torch.randperm(n, generator=stream.order).numpy()]
    blocks = [x[: n // size * size].reshape(-1, size, n), x[n // size * size :][None]]
    expected = []
    for block in blocks:
        mix = Mixup().draw(0.6, block.shape[:2], generator=stream.mix)
        lam = mix.lam.double().numpy()[..., None]
        for own, weight, partner in zip(block, lam, mix.partner.numpy(), strict=True):
            expected.append(weight * own + (1 - weight) * own[partner])
    for batch, reference in zip(epoch, expected, strict=True):
        np.testing.assert_allclose(batch.x[0], reference, atol=1e-12)


# ------------------------------------------------- short epochs, several at a time


@pytest.mark.parametrize(("n", "batch_size"), SIZES)
def test_the_order_of_every_epoch_is_the_next_of_its_stream(n, batch_size):
    source, [stream] = batches(n, batch_size, seeds=(7,)), streams(7)
    for _ in range(12):
        order = torch.randperm(n, generator=stream.order)
        assert torch.equal(joined(source)[0][0].argmax(-1), order)


@pytest.mark.parametrize(("n", "batch_size"), SIZES)
def test_a_member_equals_itself_alone_over_many_epochs(n, batch_size):
    alphas = [0.0, 0.3, 8.0]
    stack = batches(n, batch_size, seeds=(0, 1, 2), alphas=alphas)
    alone = [batches(n, batch_size, seeds=(k,), alphas=[a]) for k, a in enumerate(alphas)]
    for _ in range(9):
        (x, targets), *single = (joined(source) for source in (stack, *alone))
        assert torch.equal(x, torch.cat([one for one, _ in single]))
        assert torch.equal(targets, torch.cat([own for _, own in single]))


def test_epochs_made_ahead_are_mixed_each_in_its_own_way():
    seen = [joined(batches_)[0] for batches_ in [batches(20, 5, alphas=[1.0])] * 9]
    assert len({x.numpy().tobytes() for x in seen}) == 9


def test_a_change_of_mixing_holds_from_the_next_epoch():
    source = batches(20, 5, alphas=[1.0])
    for _ in range(6):  # now some are made ahead
        list(source)
    source.mixing = None
    for _ in range(6):
        assert set(joined(source)[0].unique().tolist()) == {0.0, 1.0}
    source.mixing = Mixing(Mixup(), [1.0])
    for _ in range(6):
        assert len(joined(source)[0].unique()) > 2


@pytest.mark.parametrize("kind", ["same_class", "other_class"])
def test_rules_that_need_labels_get_those_of_the_batch(kind):
    rule = Mixup(partners=kind, folded=True)
    for batch in batches(60, 16, seeds=(0, 1), alphas=[1.0, 1.0], rule=rule):
        pure = batch.targets.max(-1).values > 1 - 1e-6
        assert pure.all() if kind == "same_class" else not pure.all()


def test_what_rules_are_fitted_to_is_augmented_in_parts_that_fit_and_moves_no_stream():
    source, before = batches(30, 8), streams(0)[0].augment.get_state()
    sizes = []

    def augment(member, x):
        sizes.append(len(x))
        return x + torch.rand(x.shape, generator=source.streams[member].augment)

    source.augment = augment
    rule = FeatMix()
    assert source.fit_rule(rule) == source.fit_rule(rule) != rule
    assert max(sizes) == 8
    assert torch.equal(source.streams[0].augment.get_state(), before)


@pytest.mark.parametrize("most", [0, 1 << 20])
def test_inputs_are_prepared_before_mixing_in_small_tables_and_in_large_ones(monkeypatch, most):
    monkeypatch.setattr(table, "PREPARED_VALUES", most)
    source = batches(10, 4, alphas=[1.0], prepare=lambda x: x**2 + 1)
    for batch in source:
        torch.testing.assert_close(batch.x.sum(-1), torch.full_like(batch.x[..., 0], 11))


def test_large_tables_give_the_same_batches_as_small_ones(monkeypatch):
    def epoch():
        weight = torch.linspace(0.5, 1.5, 23)
        settings = {"prepare": lambda x: 3 * x - 1, "weight": weight, "alphas": [1.0]}
        return joined(batches(23, 4, rule=Mixup(partners="other_class"), **settings))

    small = epoch()
    monkeypatch.setattr(table, "PREPARED_VALUES", 0)
    for one, other in zip(small, epoch(), strict=True):
        assert torch.equal(one, other)


def test_plain_batches_are_the_rows_in_order_for_all_members():
    tables = Table(identity(7), "cpu"), Table(torch.arange(7) % 3, "cpu"), None
    examples = Examples(*tables, encode=encode, prepare=lambda x: 2 * x)
    settings = {"batch_size": 3, "members": 2}
    x, targets = joined(PlainBatches(examples, rows=None, **settings))
    assert torch.equal(x, 2 * identity(7).expand(2, 7, 7))
    assert torch.equal(targets, encode(torch.arange(7) % 3, None).expand(2, 7, 3))
    x, _ = joined(PlainBatches(examples, rows=torch.tensor([4, 1]), **settings))
    assert torch.equal(x[1], 2 * identity(7)[[4, 1]])


# ------------------------------------------------------------------- from a loader


def loader():
    return [(identity(6)[:4], torch.arange(4) % 3), (identity(6)[4:], torch.arange(4, 6) % 3)]


def test_loader_batches_are_shared_by_the_members_and_mixed_for_each():
    source = LoaderBatches(loader(), encode, "cpu", streams(0, 1))
    for batch, (x, y) in zip(source, loader(), strict=True):
        assert torch.equal(batch.x, x.expand(2, *x.shape))
        assert torch.equal(batch.targets, encode(y, None).expand(2, len(y), 3))
    source.mixing = Mixing(Mixup(), [0.0, 1.0])
    labels = torch.eye(3, dtype=torch.float64)[torch.arange(6) % 3]
    plain, mixed = joined(source)[0]
    assert torch.equal(plain, identity(6))
    assert not torch.equal(mixed, identity(6))
    for batch, block in zip(source, source.blocks(), strict=True):
        torch.testing.assert_close(batch.targets.double(), batch.x @ labels)
        assert block.x.shape == (1, *batch.x.shape)


@pytest.mark.parametrize("kind", ["same_class", "other_class"])
def test_loader_batches_give_rules_their_labels(kind):
    source = LoaderBatches(loader(), encode, "cpu", streams(0, 1))
    source.mixing = Mixing(Mixup(partners=kind), [1.0, 1.0])
    pure = torch.cat([(batch.targets.max(-1).values == 1).flatten() for batch in source])
    assert pure.all() if kind == "same_class" else not pure.all()


def test_loader_batches_of_several_inputs_are_refused():
    source = LoaderBatches([([torch.ones(2), torch.ones(2)], None)], encode, "cpu", streams(0))
    with pytest.raises(
        TypeError, match="A loader must yield one tensor per batch, got <class 'list"
    ):
        next(iter(source))
