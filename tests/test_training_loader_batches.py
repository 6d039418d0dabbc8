import pytest
import torch

from mixup_tab.losses import MixedCrossEntropy
from mixup_tab.mixing import Mixup
from mixup_tab.training.batches import LoaderBatches, Mixing
from mixup_tab.training.randomness import Streams


def streams(*seeds):
    return [Streams.from_seed(seed, "cpu") for seed in seeds]


def encode(y, weight):
    return MixedCrossEntropy().encode(y, weight, 3)


def identity(n):
    """Row i is the i-th unit vector, so that a mixed row shows what it is made of."""
    return torch.eye(n, dtype=torch.float64)


def joined(epoch):
    """Inputs and targets of an epoch, shape (members, rows, ...)."""
    return tuple(torch.cat(parts, 1) for parts in zip(*epoch, strict=True))


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
    for batch in source:
        torch.testing.assert_close(batch.targets.double(), batch.x @ labels)


@pytest.mark.parametrize("kind", ["same_class", "other_class"])
def test_loader_batches_give_rules_their_labels(kind):
    source = LoaderBatches(loader(), encode, "cpu", streams(0, 1))
    source.mixing = Mixing(Mixup(partners=kind), [1.0, 1.0])
    pure = torch.cat([(batch.targets.max(-1).values == 1).flatten() for batch in source])
    assert pure.all() if kind == "same_class" else not pure.all()


def test_loader_batches_of_several_inputs_are_refused():
    source = LoaderBatches([([torch.ones(2), torch.ones(2)], None)], encode, "cpu", streams(0))
    with pytest.raises(
        TypeError, match="Only one tensor per batch can be mixed, got <class 'list"
    ):
        next(iter(source))
