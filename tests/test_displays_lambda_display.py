import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure
from scipy import special

from mixup_tab.displays.lambda_display import LambdaDisplay

ALPHAS = [0.2, 1, 8]


def density(lam, alpha):
    """The definition: λ^(α−1) (1−λ)^(α−1) / B(α, α)."""
    return (lam * (1 - lam)) ** (alpha - 1) / special.beta(alpha, alpha)


def test_lines_are_densities():
    display = LambdaDisplay.from_alphas(ALPHAS)
    assert list(display.lines_) == ALPHAS
    for alpha, line in display.lines_.items():
        lam = line.get_xdata()
        np.testing.assert_allclose(line.get_ydata(), density(lam, alpha), rtol=1e-6)
    texts = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert texts == ["α = 0.2", "α = 1", "α = 8"]


@pytest.mark.parametrize("alpha", ALPHAS)
def test_histograms_of_the_real_draw_follow_the_density(alpha):
    display = LambdaDisplay.from_alphas([alpha], n_draws=100_000, random_state=1)
    height, edges, _ = display.histograms_[alpha].get_data()
    assert (height * np.diff(edges)).sum() == pytest.approx(1)
    share = np.diff(special.betainc(alpha, alpha, edges))  # exact, by bin
    error = np.sqrt(share * (1 - share) / 100_000)
    assert (np.abs(height * np.diff(edges) - share) < 5 * error + 1e-5).all()


def test_the_middle_is_in_sight_although_the_ends_have_no_bound():
    low, high = LambdaDisplay.from_alphas([0.1, 8]).ax_.get_ylim()
    assert low == 0
    assert density(0.5, 8) < high < 10 * density(0.5, 8)


def test_the_seed_decides():
    one, same, other = (
        LambdaDisplay.from_alphas([1], n_draws=50, random_state=seed).draws
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


def test_given_axes_are_drawn_on_and_pyplot_hears_of_nothing():
    before = plt.get_fignums()
    ax = Figure().subplots()
    assert LambdaDisplay.from_alphas([1], ax=ax).ax_ is ax
    assert plt.get_fignums() == before


@pytest.mark.parametrize("alphas", [[0], [1, -0.1], [np.inf]])
def test_alphas_without_density_are_refused(alphas):
    with pytest.raises(ValueError, match="alpha"):
        LambdaDisplay.from_alphas(alphas)


@pytest.mark.parametrize("n_draws", [-1, 2.5])
def test_no_number_of_draws_is_refused(n_draws):
    with pytest.raises(ValueError, match=f"whole number of at least 0, got {n_draws}"):
        LambdaDisplay.from_alphas([1], n_draws=n_draws)


def test_draws_of_other_alphas_are_refused():
    with pytest.raises(ValueError, match="a row for each of 2 alphas, got 1"):
        LambdaDisplay([1, 2], [[0.5]])


def test_one_alpha_can_be_given_as_a_number_but_none_is_too_few():
    assert LambdaDisplay.from_alphas(0.2).alphas == [0.2]
    with pytest.raises(ValueError, match="at least one value of α"):
        LambdaDisplay.from_alphas([])


def test_random_states_of_all_kinds():
    for state in (None, np.random.RandomState(0)):
        assert LambdaDisplay.from_alphas([1], n_draws=5, random_state=state).draws.size == 5
