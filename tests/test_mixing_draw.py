"""The draws of λ, of Dirichlet weights and of partners have the right distributions."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixup_tab.mixing._draw import draw_lam, draw_partners, draw_weights

ALPHAS = [1e-3, 1e-2, 0.1, 0.2, 1.0, 3.0, 32.0, 1e3]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]

some_labels = st.lists(st.integers(0, 3), min_size=1, max_size=33)
seeds = st.integers(0, 2**32)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def visible(lam):
    """Weights as NumPy's; below 1e-37 neither float32 nor SciPy's sampler is accurate."""
    lam = lam.double().numpy()
    return np.where(lam < 1e-37, 0.0, lam)


def labelled(labels, partners, seed=0):
    labels = torch.as_tensor(labels)
    return draw_partners(labels.shape, generator=source(seed), partners=partners, labels=labels)


# --------------------------------------------------------------------------- λ


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lambda_has_the_mean_and_variance_of_the_beta_distribution(alpha, dtype):
    n = 200_000
    lam = draw_lam(alpha, (n,), generator=source(), dtype=dtype).double().numpy()
    mean, variance, excess = stats.beta.stats(alpha, alpha, moments="mvk")
    # Five standard errors of a mean and of a variance.
    assert abs(lam.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(lam.var() - variance) < 5 * variance * np.sqrt((excess + 2) / n)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_lambda_is_as_close_to_scipys_as_two_samples_of_scipys_are(alpha):
    n = 40_000
    theirs = torch.from_numpy(stats.beta.rvs(alpha, alpha, size=n, random_state=2))
    for dtype in DTYPES:
        ours = draw_lam(alpha, (n,), generator=source(1), dtype=dtype)
        distance = stats.ks_2samp(visible(ours), visible(theirs.to(dtype))).statistic
        assert ours.dtype == dtype
        assert distance < 1.95 * np.sqrt(2 / n)  # p = 0.001


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [1e-3, 0.01, 1e3])
def test_lambda_stays_in_the_unit_interval_where_naive_ratios_are_nan(alpha, dtype):
    lam = draw_lam(alpha, (200_000,), generator=source(), dtype=dtype)
    assert not lam.isnan().any()
    assert 0 <= lam.min() <= lam.max() <= 1


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 5)])
def test_lambda_of_any_shape_is_exactly_one_without_alpha(shape):
    assert draw_lam(0.2, shape, generator=source()).shape == shape
    for dtype in DTYPES:
        ones = draw_lam(0, shape, generator=source(), dtype=dtype)
        assert torch.equal(ones, torch.ones(shape, dtype=dtype))


def test_alpha_is_any_kind_of_number():
    for alpha in (1, np.float32(0.5), np.float64(0.5), torch.tensor(0.5)):
        drawn = draw_lam(alpha, (5,), generator=source())
        assert torch.equal(drawn, draw_lam(float(alpha), (5,), generator=source()))


@pytest.mark.parametrize("draw", [draw_lam, draw_weights])
def test_what_is_no_alpha_is_refused(draw):
    for alpha in (-0.1, -1e-12, float("nan"), float("inf"), float("-inf")):
        with pytest.raises(ValueError, match=f"alpha must be a finite number.*got {alpha!r}"):
            draw(alpha, (3,), generator=source())
    for alpha in (True, False, "0.2", None, [0.2]):
        with pytest.raises(TypeError, match="alpha must be a number") as error:
            draw(alpha, (3,), generator=source())
        assert repr(alpha) in str(error.value)


# ----------------------------------------------------------- weights of several examples


@pytest.mark.parametrize("alpha", [1e-40, 1e-7, 0.01, 0.2, 1.0, 100.0, 1e6, 1e300])
def test_weights_lie_in_the_unit_interval_and_sum_to_one(alpha):
    weights = draw_weights(alpha, (4, 10_000), generator=source())
    assert ((weights >= 0) & (weights <= 1)).all()
    torch.testing.assert_close(weights.sum(0), torch.ones(10_000))
    if alpha == 1e300:
        torch.testing.assert_close(weights, torch.full_like(weights, 0.25))


@pytest.mark.parametrize("alpha", [0.05, 0.4, 1.0, 8.0])
def test_weights_have_the_distribution_of_scipys(alpha):
    n, k = 20_000, 3
    ours = draw_weights(alpha, (k, n), generator=source()).numpy()
    # Rounded as ours are: close to 0 and to 1 there are few numbers.
    theirs = stats.dirichlet.rvs([alpha] * k, size=n, random_state=1).T.astype(np.float32)
    for one, other in zip(np.where(ours < 1e-30, 0, ours), theirs, strict=True):
        assert stats.ks_2samp(one, np.where(other < 1e-30, 0, other)).pvalue > 1e-3
    np.testing.assert_allclose(np.cov(ours), np.cov(theirs), atol=0.01)


# ---------------------------------------------------------------------- randomness


def draw_everything(seed):
    labels = torch.arange(12) % 3
    one = [draw(0.2, (3, 12), generator=source(seed)) for draw in (draw_lam, draw_weights)]
    choices = ("any", "same_class", "other_class")
    return one + [labelled(labels, partners, seed) for partners in choices]


def test_draws_are_a_function_of_the_generator_alone():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = draw_everything(7)
        torch.manual_seed(2)
        again = draw_everything(7)
    assert all(map(torch.equal, one, again))
    assert not any(map(torch.equal, one, draw_everything(8)))


def test_draws_leave_the_global_generators_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    draw_everything(0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002


def test_draws_advance_their_generator():
    generator = source()
    first = draw_lam(0.2, (20,), generator=generator)
    assert not torch.equal(first, draw_lam(0.2, (20,), generator=generator))


# ------------------------------------------------------------------------ partners


@given(size=st.integers(1, 65), lead=st.sampled_from([(), (1,), (3,), (2, 2)]), seed=seeds)
@settings(deadline=None, max_examples=50)
def test_any_partner_is_a_permutation_of_every_batch(size, lead, seed):
    partner = draw_partners((*lead, size), generator=source(seed))
    assert partner.dtype == torch.int64
    assert torch.equal(partner.sort(-1).values, torch.arange(size).expand(*lead, size))


@given(labels=some_labels, seed=seeds)
@settings(deadline=None, max_examples=50)
def test_partners_by_class(labels, seed):
    same = labelled(labels, "same_class", seed).tolist()
    assert sorted(same) == list(range(len(labels)))
    assert [labels[j] for j in same] == labels
    for own, other in enumerate(labelled(labels, "other_class", seed).tolist()):
        assert other == own if len(set(labels)) == 1 else labels[other] != labels[own]


@pytest.mark.parametrize("partners", ["same_class", "other_class"])
def test_batches_with_leading_axes_keep_to_their_own_labels(partners):
    labels = torch.randint(0, 3, (4, 2, 17), generator=source())
    agree = labels.gather(-1, labelled(labels, partners)) == labels
    assert agree.all() if partners == "same_class" else not agree.any()


@pytest.mark.parametrize("partners", ["any", "same_class"])
def test_permutations_are_equally_likely(partners):
    partner = labelled(torch.zeros(12_000, 3, dtype=torch.int64), partners, seed=3)
    _, counts = partner.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_partners_of_another_class_are_uniform_over_the_other_classes():
    labels = torch.tensor([2, 0, 1, 1, 0, 2, 2])
    partner = labelled(labels.expand(12_000, 7), "other_class", seed=4)
    for own in range(7):
        counts = partner[:, own].bincount(minlength=7)
        assert stats.chisquare(counts[labels != labels[own]]).pvalue > 1e-3


def test_unknown_partners_and_missing_labels_are_refused():
    with pytest.raises(ValueError, match=r"partners must be one of .*got 'nearest'"):
        draw_partners((4,), generator=source(), partners="nearest")
    for partners in ("same_class", "other_class"):
        with pytest.raises(ValueError, match=f"partners='{partners}' needs class labels"):
            draw_partners((4,), generator=source(), partners=partners)
