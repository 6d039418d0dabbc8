import pickle

import numpy as np
import pytest
import torch

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.mixing import CMixup, Mixup, as_rule


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def probabilities(values, bandwidth):
    """The definition, by NumPy."""
    values = np.asarray(values, float).reshape(len(values), -1)
    squared = ((values[:, None] - values[None]) ** 2).sum(-1)
    weights = np.exp(-squared / (2 * bandwidth**2))
    return weights / weights.sum(1, keepdims=True)


@pytest.mark.parametrize(
    "values",
    [[-1.0, 0.0, 0.4, 2.0], [[0.0, 0.0], [0.3, -0.4], [1.0, 1.0]], [[0.0], [0.1], [1.0]]],
)
@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
def test_partners_follow_the_kernel_of_their_distance(values, bandwidth):
    n, values = 6000, torch.tensor(values)
    labels = values.expand(n, *values.shape)
    mix = CMixup(bandwidth).draw(2.0, labels.shape[:2], generator=source(), labels=labels)
    expected = n * probabilities(values, bandwidth)
    for own, wanted in enumerate(expected):
        counts = mix.partner[:, own].bincount(minlength=len(values)).numpy()
        # Five standard errors of a count.
        assert (abs(counts - wanted) <= 5 * np.sqrt(wanted * (1 - wanted / n)) + 1).all()
        assert counts[own] > 0


def test_a_wide_kernel_draws_all_examples_alike_and_a_narrow_one_the_same_value():
    values = torch.randn(400, generator=source(1))
    wide = CMixup(1e6).draw(1.0, (400,), generator=source(), labels=values)
    assert len(wide.partner.unique()) > 200
    narrow = CMixup(1e-4).draw(1.0, (400,), generator=source(), labels=values * 100)
    assert (values[narrow.partner] - values).abs().max() < 1e-4


def test_batches_keep_to_their_own_values():
    labels = torch.tensor([[0.0, 50.0, 0.0, 50.0], [50.0, 50.0, 0.0, 0.0]]).expand(3, 2, 4)
    mix = CMixup().draw(1.0, (3, 2, 4), generator=source(), labels=labels)
    assert torch.equal(labels.gather(-1, mix.partner), labels)


@pytest.mark.parametrize(("lead", "rest"), [((5,), (3,)), ((2, 3), (4, 5)), ((1,), ())])
def test_mixes_inputs_and_targets_as_mixup_does(lead, rest):
    rule, labels = CMixup(), torch.randn(lead, generator=source(1))
    mix = rule.draw(0.7, lead, generator=source(), labels=labels)
    x = torch.randn(*lead, *rest, generator=source(2))
    assert torch.equal(rule.mix_x(x, mix), Mixup().mix_x(x, mix))
    assert torch.equal(rule.mix_y(x, mix), Mixup().mix_y(x, mix))
    assert mix.lam.shape == mix.partner.shape == lead
    assert ((mix.lam >= 0) & (mix.lam <= 1)).all()


def test_alpha_zero_changes_nothing():
    x = torch.randn(33, 7, generator=source()) * 1e20
    mix = CMixup().draw(0, (33,), generator=source(), labels=torch.arange(33.0))
    assert torch.equal(CMixup().mix_x(x, mix), x)
    assert torch.equal(CMixup().mix_y(x, mix), x)


def test_without_values_it_cannot_draw():
    with pytest.raises(ValueError, match="CMixup needs values of a regression"):
        CMixup().draw(1.0, (3,), generator=source())


@pytest.mark.parametrize("value", [0, -1.0, float("nan"), float("inf")])
def test_bad_bandwidths_are_refused(value):
    with pytest.raises(ValueError, match=f"bandwidth must be .*got {value!r}"):
        CMixup(value)


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("cmixup") == CMixup()
    assert pickle.loads(pickle.dumps(CMixup(0.2))) == CMixup(0.2)
    assert CMixup().kind == "values"


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def test_the_regressor_learns_with_it_in_any_unit(line):
    X, y = line
    params = {**SMALL, "mixing": CMixup(0.3), "alpha": 2.0, "max_epochs": 60}
    fitted = MixupRegressor(**params).fit(X, y)
    assert fitted.score(X, y) > 0.7
    scaled = MixupRegressor(**params).fit(X, 1024 * y)
    np.testing.assert_allclose(scaled.predict(X), 1024 * fitted.predict(X), rtol=1e-3)


def test_classes_are_refused(three_classes):
    with pytest.raises(ValueError, match="compares values of a regression"):
        MixupClassifier(mixing="cmixup").fit(*three_classes)
