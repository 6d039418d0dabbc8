import numpy as np
import pytest
import torch
from scipy import stats

from mixup_tab.sampling.draws import (
    balanced_rounds,
    mixing_weights,
    rounds,
    rows_of_classes,
    size_biased,
    swap_first,
)

CODES = torch.tensor([0, 2, 2, 1, 2, 0, 2, 2])


def source(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("n", "count"), [(5, 5), (5, 12), (5, 3), (1, 4), (7, 1)])
def test_rounds_draw_all_numbers_equally_often_or_once_more(n, count):
    drawn = rounds(n, count, generator=source())
    counts = drawn.bincount(minlength=n)
    assert len(drawn) == count
    assert len(counts) == n
    assert counts.min() == count // n
    assert counts.max() == -(-count // n)


def test_rounds_are_in_random_order():
    assert rounds(50, 50, generator=source()).tolist() != list(range(50))
    assert (
        rounds(50, 50, generator=source(1)).tolist()
        != rounds(50, 50, generator=source(2)).tolist()
    )


@pytest.mark.parametrize("count", [3, 10, 31])
def test_balanced_rounds_balance_classes_and_rows_within_them(count):
    drawn = balanced_rounds(CODES, count, generator=source())
    of_class = CODES[drawn].bincount(minlength=3)
    assert int(of_class.sum()) == count
    assert of_class.max() - of_class.min() <= 1
    of_row = drawn.bincount(minlength=len(CODES))
    for code in range(3):
        rows = of_row[code == CODES]
        assert rows.max() - rows.min() <= 1


def test_rows_of_classes_are_uniform_within_their_class():
    asked = torch.arange(3).repeat(20_000).view(-1, 2)
    drawn = rows_of_classes(asked, CODES, generator=source())
    assert torch.equal(CODES[drawn], asked)
    for code in range(3):
        counts = drawn.flatten().bincount(minlength=len(CODES))[code == CODES]
        assert len(counts) == 1 or stats.chisquare(counts.numpy()).pvalue > 1e-5


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1, 8])
@pytest.mark.parametrize("n_mixed", [2, 3, 5])
def test_weights_are_dirichlet(alpha, n_mixed):
    weights = mixing_weights(alpha, 4000, n_mixed, generator=source()).numpy()
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(1), 1)
    marginal = stats.beta(alpha, (n_mixed - 1) * alpha)
    for one in weights.T:
        # Weights below 1e-12 are many when alpha is small, and all the same to a mixed row.
        assert stats.kstest(one.clip(1e-12), marginal.cdf).pvalue > 1e-5 or alpha < 0.1
        assert abs(one.mean() - 1 / n_mixed) < 4 * marginal.std() / np.sqrt(4000)
        assert one.std() == pytest.approx(marginal.std(), rel=0.1)


@pytest.mark.parametrize("n_mixed", [2, 4])
def test_without_alpha_the_first_row_is_all(n_mixed):
    weights = mixing_weights(0, 3, n_mixed, generator=source())
    assert torch.equal(weights, torch.eye(n_mixed, dtype=torch.float64)[[0, 0, 0]])
    assert torch.equal(size_biased(weights, generator=source()), weights)


@pytest.mark.parametrize("n_mixed", [2, 3])
def test_weights_are_equal_for_a_huge_alpha(n_mixed):
    weights = mixing_weights(1e300, 9, n_mixed, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(weights, torch.full_like(weights, 1 / n_mixed), rtol=1e-6)


def test_weights_refuse_a_negative_alpha():
    with pytest.raises(ValueError, match=r"alpha must be .* at least 0 .* got -1"):
        mixing_weights(-1, 3, 3, generator=source())


@pytest.mark.parametrize("alpha", [0.2, 1.0, 3.0])
@pytest.mark.parametrize("n_mixed", [2, 3, 4])
def test_size_biased_weights_have_a_larger_first_parameter(alpha, n_mixed):
    """Dirichlet(α + 1, α, …, α), whose marginals are Beta distributions."""
    drawn = mixing_weights(alpha, 4000, n_mixed, generator=source())
    own, *others = size_biased(drawn, generator=source(1)).numpy().T
    rest = (n_mixed - 1) * alpha
    assert stats.kstest(own, stats.beta(alpha + 1, rest).cdf).pvalue > 1e-5
    for one in others:
        assert stats.kstest(one, stats.beta(alpha, rest + 1).cdf).pvalue > 1e-5


def test_swap_first_swaps_and_changes_nothing_in_place():
    values = torch.arange(8).view(2, 4)
    swapped = swap_first(values, torch.tensor([[3], [0]]))
    assert swapped.tolist() == [[3, 1, 2, 0], [4, 5, 6, 7]]
    assert torch.equal(values, torch.arange(8).view(2, 4))
