import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from mixup_tab.mixing import beta, partners

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


def labelled(labels, kind, seed):
    labels = torch.tensor(labels)
    return partners(labels.shape, generator=source(seed), kind=kind, labels=labels)


# ------------------------------------------------------------------------ beta


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_beta_has_the_mean_and_variance_of_the_distribution(alpha, dtype):
    n = 200_000
    lam = beta(alpha, (n,), generator=source(), dtype=dtype).double().numpy()
    mean, variance, excess = stats.beta.stats(alpha, alpha, moments="mvk")
    # Five standard errors of a mean and of a variance.
    assert abs(lam.mean() - mean) < 5 * np.sqrt(variance / n)
    assert abs(lam.var() - variance) < 5 * variance * np.sqrt((excess + 2) / n)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_beta_is_as_close_to_scipy_as_two_samples_of_scipy_are(alpha, dtype):
    n = 40_000
    ours = beta(alpha, (n,), generator=source(1), dtype=dtype)
    theirs = torch.from_numpy(stats.beta.rvs(alpha, alpha, size=n, random_state=2)).to(dtype)
    distance = stats.ks_2samp(visible(ours), visible(theirs)).statistic
    assert ours.dtype == dtype
    assert distance < 1.95 * np.sqrt(2 / n)  # p = 0.001


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("alpha", [1e-3, 0.01, 1e3])
def test_beta_stays_in_the_unit_interval_where_naive_ratios_are_nan(alpha, dtype):
    lam = beta(alpha, (500_000,), generator=source(), dtype=dtype)
    assert not lam.isnan().any()
    assert lam.min() >= 0
    assert lam.max() <= 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_beta_of_zero_is_exactly_one(dtype):
    lam = beta(0, (3, 4), generator=source(), dtype=dtype)
    torch.testing.assert_close(lam, torch.ones(3, 4, dtype=dtype), rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(), (0,), (7,), (2, 3, 5)])
def test_beta_has_the_shape_asked_for(shape):
    assert beta(0.2, shape, generator=source()).shape == shape
    assert beta(0, shape, generator=source()).shape == shape


@pytest.mark.parametrize("alpha", [1, np.float32(0.5), np.float64(0.5), torch.tensor(0.5)])
def test_beta_takes_any_kind_of_number(alpha):
    drawn = beta(alpha, (5,), generator=source())
    assert torch.equal(drawn, beta(float(alpha), (5,), generator=source()))


@pytest.mark.parametrize("alpha", [-0.1, -1e-12, float("nan"), float("inf"), float("-inf")])
def test_beta_refuses_numbers_out_of_range(alpha):
    with pytest.raises(ValueError, match=f"alpha must be a finite number.*got {alpha!r}"):
        beta(alpha, (3,), generator=source())


@pytest.mark.parametrize("alpha", [True, False, "0.2", None, [0.2]])
def test_beta_refuses_what_is_no_number(alpha):
    with pytest.raises(TypeError, match="alpha must be a number") as error:
        beta(alpha, (3,), generator=source())
    assert repr(alpha) in str(error.value)


# ------------------------------------------------------------------- randomness


def draw_everything(seed):
    labels = torch.arange(12) % 3
    return [beta(0.2, (12,), generator=source(seed))] + [
        partners((12,), generator=source(seed), kind=kind, labels=labels)
        for kind in ("any", "same_class", "other_class")
    ]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_draws_are_a_function_of_the_generator_alone():
    with torch.random.fork_rng():
        torch.manual_seed(1)
        one = draw_everything(7)
        torch.manual_seed(2)
        again = draw_everything(7)
    assert same(one, again)
    assert not any(torch.equal(a, b) for a, b in zip(one, draw_everything(8), strict=True))


def test_draws_leave_the_global_generators_alone():
    torch_state, numpy_state = torch.get_rng_state(), np.random.get_state()  # noqa: NPY002
    draw_everything(0)
    assert torch.equal(torch.get_rng_state(), torch_state)
    assert np.array_equal(np.random.get_state()[1], numpy_state[1])  # noqa: NPY002


def test_draws_move_their_generator_on():
    generator = source()
    first = beta(0.2, (20,), generator=generator)
    assert not torch.equal(first, beta(0.2, (20,), generator=generator))


# --------------------------------------------------------------------- partners


@given(size=st.integers(1, 65), lead=st.sampled_from([(), (1,), (3,), (2, 2)]), seed=seeds)
@settings(deadline=None)
def test_any_partner_is_a_permutation_of_every_batch(size, lead, seed):
    partner = partners((*lead, size), generator=source(seed))
    assert partner.dtype == torch.int64
    expected = torch.arange(size).expand(*lead, size)
    assert torch.equal(partner.sort(-1).values, expected)


@given(labels=some_labels, seed=seeds)
@settings(deadline=None)
def test_same_class_partner_is_a_permutation_within_each_class(labels, seed):
    partner = labelled(labels, "same_class", seed)
    assert sorted(partner.tolist()) == list(range(len(labels)))
    assert [labels[j] for j in partner] == labels


@given(labels=some_labels, seed=seeds)
@settings(deadline=None)
def test_other_class_partner_has_another_class_or_is_the_example_itself(labels, seed):
    partner = labelled(labels, "other_class", seed).tolist()
    for own, other in enumerate(partner):
        if len(set(labels)) == 1:
            assert other == own
        else:
            assert labels[other] != labels[own]


@pytest.mark.parametrize("kind", ["same_class", "other_class"])
def test_batches_with_leading_axes_keep_to_their_own_labels(kind):
    labels = torch.randint(0, 3, (4, 2, 17), generator=source())
    partner = partners(labels.shape, generator=source(), kind=kind, labels=labels)
    agree = labels.gather(-1, partner) == labels
    assert agree.all() if kind == "same_class" else not agree.any()


@pytest.mark.parametrize("kind", ["any", "same_class"])
def test_permutations_are_equally_likely(kind):
    n = 12_000
    labels = torch.zeros(n, 3, dtype=torch.int64)
    partner = partners((n, 3), generator=source(3), kind=kind, labels=labels)
    _, counts = partner.unique(dim=0, return_counts=True)
    assert len(counts) == 6
    assert stats.chisquare(counts).pvalue > 1e-3


def test_other_class_partner_is_uniform_over_the_other_classes():
    n, labels = 12_000, torch.tensor([2, 0, 1, 1, 0, 2, 2])
    shape = (n, len(labels))
    partner = partners(
        shape, generator=source(4), kind="other_class", labels=labels.expand(shape)
    )
    for own in range(len(labels)):
        counts = partner[:, own].bincount(minlength=len(labels))
        assert stats.chisquare(counts[labels != labels[own]]).pvalue > 1e-3


def test_partners_refuses_an_unknown_kind():
    with pytest.raises(ValueError, match=r"partners must be one of .*got 'nearest'"):
        partners((4,), generator=source(), kind="nearest")


@pytest.mark.parametrize("kind", ["same_class", "other_class"])
def test_partners_by_class_need_labels(kind):
    with pytest.raises(ValueError, match=f"partners='{kind}' needs class labels"):
        partners((4,), generator=source(), kind=kind)
