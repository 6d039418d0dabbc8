import pickle

import numpy as np
import pytest
import torch

from mixup_tab import MixupClassifier
from mixup_tab.mixing import Mix, Mixup, Remix, as_rule

COUNTS = (300, 30, 100, 99)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(shape=(3, 200), alpha=1.0, **params):
    rule = Remix(class_counts=COUNTS, **params)
    labels = torch.randint(0, 4, shape, generator=source(1))
    return rule, labels, rule.draw(alpha, shape, generator=source(), labels=labels)


def label_weight(n_i, n_j, lam, kappa, tau):
    """Equation 4 of the paper."""
    if n_i / n_j >= kappa and lam < tau:
        return 0.0
    if n_i / n_j <= 1 / kappa and 1 - lam < tau:
        return 1.0
    return lam


@pytest.mark.parametrize(("kappa", "tau"), [(3.0, 0.5), (1.0, 0.9), (3.05, 1.0), (20.0, 0.5)])
def test_labels_are_mixed_as_the_paper_says(kappa, tau):
    rule, labels, mix = drawn(kappa=kappa, tau=tau)
    y = torch.eye(4)[labels]
    mixed = rule.mix_y(y, mix)
    for at in np.ndindex(*labels.shape):
        j = (at[0], int(mix.partner[at]))
        n_i, n_j = COUNTS[labels[at]], COUNTS[labels[j]]
        lam = label_weight(n_i, n_j, float(mix.lam[at]), kappa, tau)
        assert float(mix.lam_y[at]) == lam
        np.testing.assert_allclose(mixed[at], lam * y[at] + (1 - lam) * y[j], atol=1e-6)


def test_inputs_are_mixed_as_by_mixup():
    rule, labels, mix = drawn()
    plain = Mixup().draw(1.0, labels.shape, generator=source())
    x = torch.randn(*labels.shape, 5, generator=source(2))
    assert torch.equal(rule.mix_x(x, mix), Mixup().mix_x(x, plain))


def test_rare_classes_get_more_of_the_labels_and_all_sum_to_one():
    rule, labels, mix = drawn((1, 4000))
    y = torch.eye(4)[labels]
    mixed, plain = rule.mix_y(y, mix), Mixup().mix_y(y, Mix(mix.lam, mix.partner))
    torch.testing.assert_close(mixed.sum(-1), torch.ones(1, 4000))
    gained = mixed.mean((0, 1)) - plain.mean((0, 1))
    assert gained[1] > 0.02
    assert gained[0] < -0.02


@pytest.mark.parametrize("params", [{"tau": 0.0}, {"kappa": 1000.0}])
def test_it_can_be_mixup(params):
    _, _, mix = drawn(**params)
    assert torch.equal(mix.lam_y, mix.lam)


def test_alpha_zero_changes_nothing():
    rule, labels, mix = drawn(alpha=0, tau=1.0)
    x = torch.randn(*labels.shape, 5, generator=source()) * 1e20
    assert torch.equal(rule.mix_x(x, mix), x)
    assert torch.equal(rule.mix_y(x, mix), x)


def test_it_counts_the_classes_of_the_training_rows():
    y = torch.tensor([0, 2, 2, 0, 2])
    rule = Remix(kappa=2.0).learn(lambda rows: None, y)
    assert rule == Remix(kappa=2.0, class_counts=(2, 0, 3))
    assert rule.learn(lambda rows: None, y[:2]) is rule


def test_counts_of_fewer_classes_than_there_are_are_refused():
    with pytest.raises(ValueError, match=r"class_counts must hold 3 numbers.*got \(5, 1\)"):
        Remix(class_counts=(5, 1)).learn(lambda rows: None, torch.tensor([0, 2, 1]))


def test_without_counts_or_labels_it_cannot_draw():
    with pytest.raises(ValueError, match="fit counts them"):
        Remix().draw(1.0, (3,), generator=source(), labels=torch.zeros(3, dtype=torch.int64))
    with pytest.raises(ValueError, match="needs class labels"):
        Remix(class_counts=COUNTS).draw(1.0, (3,), generator=source())


@pytest.mark.parametrize(
    "params", [{"kappa": 0.5}, {"tau": -0.1}, {"tau": 1.5}, {"class_counts": (3, -1)}]
)
def test_bad_arguments_are_named_with_their_value(params):
    ((name, value),) = params.items()
    with pytest.raises(ValueError, match=f"{name} must .*got ") as error:
        Remix(**params)
    assert repr(value) in str(error.value)


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("remix") == Remix()
    rule = Remix(class_counts=[1, 2])
    assert pickle.loads(pickle.dumps(rule)) == rule == Remix(class_counts=(1, 2))
    assert rule.kind == "classes"


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def test_the_classifier_finds_more_of_a_rare_class_with_it():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [400, 40])
    X = (rng.normal(size=(440, 2)) + 1.5 * y[:, None]).astype(np.float32)
    found = [
        MixupClassifier(**SMALL, mixing=mixing, alpha=1.0, max_epochs=20).fit(X, y).predict(X)
        for mixing in ("mixup", "remix")
    ]
    plain, rebalanced = (np.mean(one[y == 1]) for one in found)
    assert rebalanced > plain + 0.1
