import pickle

import numpy as np
import pytest
import torch
from scipy import stats

from mixup_tab import MixupClassifier
from mixup_tab.mixing import DirichletMixup, Mix, Mixup, as_rule, beta
from mixup_tab.mixing.dirichlet import dirichlet

SHAPES = [((5,), (3,)), ((6,), ()), ((3, 5), (4,)), ((2, 3, 5), (2, 4))]


def source(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("n_examples", [2, 3, 5])
@pytest.mark.parametrize(("lead", "rest"), SHAPES)
def test_mixes_inputs_and_targets_as_the_definition_says(lead, rest, n_examples):
    rule = DirichletMixup(n_examples)
    mix = rule.draw(0.7, lead, generator=source())
    x = torch.randn(*lead, *rest, generator=source(1), dtype=torch.float64)
    y = torch.randn(*lead, 3, generator=source(2), dtype=torch.float64)
    for values, result in ((x, rule.mix_x(x, mix)), (y, rule.mix_y(y, mix))):
        expected = np.empty(values.shape)
        for at in np.ndindex(*lead):
            own = float(mix.lam[at]) * values[at]
            others = [
                float(share[at]) * values[(*at[:-1], int(partner[at]))]
                for partner, share in zip(mix.partner, mix.share, strict=True)
            ]
            expected[at] = own + sum(others)
        assert result.dtype == values.dtype
        np.testing.assert_allclose(result, expected, atol=1e-12)


@pytest.mark.parametrize("alpha", [1e-40, 1e-7, 0.01, 0.2, 1.0, 100.0, 1e6])
def test_weights_lie_in_the_unit_interval_and_sum_to_one(alpha):
    weights = dirichlet(alpha, (4, 10_000), generator=source())
    assert ((weights >= 0) & (weights <= 1)).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(10_000))


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0, 8.0])
def test_weights_have_the_distribution_of_scipys(alpha):
    n, k = 20_000, 3
    ours = dirichlet(alpha, (k, n), generator=source()).numpy()
    # Rounded as ours are: close to 0 and to 1 there are few numbers.
    theirs = stats.dirichlet.rvs([alpha] * k, size=n, random_state=1).T.astype(np.float32)
    for one, other in zip(np.where(ours < 1e-30, 0, ours), theirs, strict=True):
        assert stats.ks_2samp(one, np.where(other < 1e-30, 0, other)).pvalue > 1e-3
    np.testing.assert_allclose(np.cov(ours), np.cov(theirs), atol=0.01)


@pytest.mark.parametrize("alpha", [0.1, 1.0, 4.0])
def test_with_two_examples_it_is_mixup(alpha):
    n = 20_000
    lam = DirichletMixup(2).draw(alpha, (n,), generator=source()).lam.numpy()
    assert stats.ks_2samp(lam, beta(alpha, (n,), generator=source(1)).numpy()).pvalue > 1e-3
    drawn = DirichletMixup(2).draw(alpha, (3, 7), generator=source())
    x = torch.randn(3, 7, 4, generator=source(2))
    as_mixup = Mixup().mix_x(x, Mix(drawn.lam, drawn.partner[0]))
    torch.testing.assert_close(DirichletMixup(2).mix_x(x, drawn), as_mixup)


def test_every_partner_is_a_permutation_of_its_own():
    mix = DirichletMixup(4).draw(1.0, (6, 30), generator=source())
    assert torch.equal(mix.partner.sort(-1).values, torch.arange(30).expand(3, 6, 30))
    assert len(mix.partner.view(-1, 30).unique(dim=0)) == 18


def test_alpha_zero_changes_nothing():
    x = torch.randn(4, 33, 7, generator=source()) * 1e20
    rule = DirichletMixup()
    mix = rule.draw(0, (4, 33), generator=source())
    assert torch.equal(rule.mix_x(x, mix), x)
    assert torch.equal(rule.mix_y(x, mix), x)


def test_tiny_alpha_picks_one_of_the_examples():
    mix = DirichletMixup().draw(1e-9, (500,), generator=source())
    weights = torch.cat((mix.lam.unsqueeze(0), mix.share))
    assert set(weights.flatten().tolist()) == {0.0, 1.0}
    assert set(weights.argmax(0).tolist()) == {0, 1, 2}


def test_a_rule_is_a_value_with_a_name():
    assert as_rule("dirichlet") == DirichletMixup(n_examples=3)
    assert pickle.loads(pickle.dumps(DirichletMixup(5))) == DirichletMixup(5)


@pytest.mark.parametrize("value", [1, 0, 2.5, True, None])
def test_fewer_than_two_examples_are_refused(value):
    with pytest.raises(ValueError, match=f"n_examples must be .*got {value!r}"):
        DirichletMixup(value)


def test_numbers_of_numpy_are_numbers():
    assert DirichletMixup(np.int64(3)) == DirichletMixup(3)


def test_bad_alpha_is_refused():
    with pytest.raises(ValueError, match="alpha must be a finite number"):
        DirichletMixup().draw(-1.0, (3,), generator=source())


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


def test_the_classifier_learns_with_it(three_classes):
    X, y = three_classes
    fitted = MixupClassifier(**SMALL, mixing="dirichlet", alpha=0.2, max_epochs=30).fit(X, y)
    assert fitted.score(X, y) > 0.8


def test_weights_are_equal_where_alpha_is_larger_than_floats_can_tell():
    weights = dirichlet(1e300, (3, 2), generator=torch.Generator().manual_seed(0))
    assert torch.allclose(weights, torch.tensor(1 / 3))
