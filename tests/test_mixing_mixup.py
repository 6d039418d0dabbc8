import pickle
import re
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
import torch

from mixup_tab.mixing import RULES, MixingRule, Mixup, as_rule

SHAPES = [
    ((5,), (3,)),  # vectors
    ((1,), (3,)),  # a batch of one
    ((6,), ()),  # numbers
    ((4,), (2, 8, 8)),  # images
    ((3, 5), (4,)),  # several batches
    ((2, 3, 5), (1, 6)),  # batches of a stack of nets
]


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(shape, rule=None, alpha=0.7, seed=0, labels=None):
    rule = Mixup() if rule is None else rule
    return rule, rule.draw(alpha, shape, generator=source(seed), labels=labels)


def mixed_by_numpy(values, mix, lead):
    """Loop over every example of every batch."""
    values, result = values.numpy(), np.empty(values.shape)
    lam, partner = mix.lam.double().numpy(), mix.partner.numpy()
    for at in np.ndindex(*lead):
        j = partner[at]
        result[at] = lam[at] * values[at] + (1 - lam[at]) * values[(*at[:-1], j)]
    return result


@pytest.mark.parametrize(("lead", "rest"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixes_inputs_and_targets_as_the_definition_says(lead, rest, dtype):
    x = torch.randn(*lead, *rest, generator=source(1), dtype=dtype)
    y = torch.randn(*lead, 3, generator=source(2), dtype=dtype)
    rule, mix = drawn(lead)
    for values, result in ((x, rule.mix_x(x, mix)), (y, rule.mix_y(y, mix))):
        assert result.dtype == dtype
        np.testing.assert_allclose(
            result.numpy(), mixed_by_numpy(values, mix, lead), rtol=1e-6, atol=1e-6
        )


def test_mixes_views_that_are_not_contiguous():
    x = torch.randn(3, 5, 4, generator=source()).transpose(0, 1)
    rule, mix = drawn((5, 3))
    assert torch.equal(rule.mix_x(x, mix), rule.mix_x(x.contiguous(), mix))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_mixes_in_half_precision(dtype):
    x = torch.randn(8, 3, generator=source()).to(dtype)
    rule, mix = drawn((8,))
    result = rule.mix_x(x, mix)
    assert result.dtype == dtype
    torch.testing.assert_close(result.float(), rule.mix_x(x.float(), mix), rtol=0, atol=0.05)


@pytest.mark.parametrize("rule", [Mixup(), Mixup(lam_per="batch"), Mixup(folded=True)])
def test_alpha_zero_is_bit_equal_to_not_mixing(rule):
    x = torch.randn(4, 33, 7, generator=source()) * 1e20
    rule, mix = drawn((4, 33), rule, alpha=0)
    assert torch.equal(rule.mix_x(x, mix), x)
    assert torch.equal(rule.mix_y(x, mix), x)


def test_tiny_alpha_picks_one_of_the_pair_bit_by_bit():
    x = torch.randn(200, 7, generator=source())
    rule, mix = drawn((200,), alpha=1e-7)
    expected = torch.where(mix.lam.unsqueeze(1) == 1, x, x[mix.partner])
    assert set(mix.lam.tolist()) == {0.0, 1.0}
    assert torch.equal(rule.mix_x(x, mix), expected)
    rule, folded = drawn((200,), Mixup(folded=True), alpha=1e-7)
    assert torch.equal(rule.mix_x(x, folded), x)


def test_folded_weights_are_the_larger_of_each_pair():
    _, plain = drawn((1000,))
    _, folded = drawn((1000,), Mixup(folded=True))
    assert plain.lam.min() < 0.5
    assert torch.equal(folded.lam, torch.maximum(plain.lam, 1 - plain.lam))
    assert torch.equal(folded.partner, plain.partner)


@pytest.mark.parametrize("folded", [False, True])
def test_lam_per_batch_is_one_number_for_each_batch(folded):
    _, mix = drawn((6, 5), Mixup(lam_per="batch", folded=folded))
    assert mix.lam.shape == (6, 5)
    assert torch.equal(mix.lam, mix.lam[:, :1].expand(6, 5))
    assert len(mix.lam[:, 0].unique()) == 6


def test_lam_per_example_differs_within_a_batch():
    _, mix = drawn((6, 5))
    assert len(mix.lam.unique()) == 30


def test_mixed_labels_sum_to_one():
    one_hot = torch.eye(4)[torch.randint(0, 4, (3, 50), generator=source())]
    rule, mix = drawn((3, 50))
    torch.testing.assert_close(rule.mix_y(one_hot, mix).sum(-1), torch.ones(3, 50))


@pytest.mark.parametrize("kind", ["same_class", "other_class"])
def test_partners_follow_the_labels(kind):
    labels = torch.randint(0, 3, (3, 50), generator=source())
    rule, mix = drawn((3, 50), Mixup(partners=kind), labels=labels)
    agree = labels.gather(-1, mix.partner) == labels
    assert rule.needs_labels
    assert agree.all() if kind == "same_class" else not agree.any()


def test_nothing_is_changed_in_place():
    x, labels = torch.randn(9, 4, generator=source()), torch.arange(9) % 3
    rule, mix = drawn((9,), Mixup(partners="other_class"), labels=labels)
    before = [tensor.clone() for tensor in (x, labels, *mix)]
    rule.mix_x(x, mix)
    rule.mix_y(x, mix)
    rule.draw(0.3, (9,), generator=source(), labels=labels)
    for tensor, copy in zip((x, labels, *mix), before, strict=True):
        assert torch.equal(tensor, copy)


def test_same_seed_gives_the_same_bits():
    for one, again in zip(drawn((40,))[1], drawn((40,))[1], strict=True):
        assert torch.equal(one, again)
    assert not torch.equal(drawn((40,))[1].lam, drawn((40,), seed=1)[1].lam)


# --------------------------------------------------------------- a rule is a value


def test_a_rule_is_frozen():
    with pytest.raises(FrozenInstanceError):
        Mixup().folded = True


def test_rules_are_equal_by_value():
    assert Mixup(folded=True) == Mixup(folded=True)
    assert Mixup(folded=True) != Mixup()
    assert len({Mixup(), Mixup(), Mixup(lam_per="batch")}) == 2


def test_a_rule_survives_pickle():
    rule = Mixup(lam_per="batch", folded=True, partners="same_class")
    assert pickle.loads(pickle.dumps(rule)) == rule


# ------------------------------------------------------------------ bad arguments


@pytest.mark.parametrize(
    ("argument", "value"), [("lam_per", "row"), ("partners", "nearest"), ("partners", None)]
)
def test_bad_arguments_are_named_with_their_value(argument, value):
    with pytest.raises(ValueError, match=f"{argument} must be .*got {value!r}"):
        Mixup(**{argument: value})


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf")])
def test_bad_alpha_is_refused_when_drawing(alpha):
    with pytest.raises(ValueError, match=f"alpha must be .*got {alpha!r}"):
        drawn((3,), alpha=alpha)


def test_partners_by_class_without_labels_are_refused():
    with pytest.raises(ValueError, match="needs class labels"):
        drawn((3,), Mixup(partners="same_class"))


def test_as_rule_knows_every_name_and_passes_rules_on():
    rule = Mixup(folded=True)
    assert as_rule(rule) is rule
    assert as_rule("mixup") == Mixup()
    assert as_rule("folded") == Mixup(folded=True)
    assert as_rule("same_class") == Mixup(partners="same_class")
    rules = [as_rule(name) for name in RULES]
    assert all(isinstance(one, MixingRule) for one in rules)
    assert len(set(rules)) == len(RULES)


def test_as_rule_refuses_an_unknown_name():
    names = re.escape(str(sorted(RULES)))
    with pytest.raises(ValueError, match=f"mixing must be one of {names}.*got 'mixdown'"):
        as_rule("mixdown")


@pytest.mark.parametrize("mixing", [3, None, Mixup, ["mixup"]])
def test_as_rule_refuses_what_is_neither_name_nor_rule(mixing):
    with pytest.raises(TypeError, match="mixing must be one of") as error:
        as_rule(mixing)
    assert repr(mixing) in str(error.value)
