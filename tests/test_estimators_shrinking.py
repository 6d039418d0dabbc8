import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose
from scipy.integrate import quad
from scipy.stats import beta as beta_distribution
from torch import nn

from mixup_tab import MixupClassifier
from mixup_tab.estimators.shrinking import mean_larger_weight, mean_prepared, shrunk_outputs
from mixup_tab.mixing._draw import draw_lam
from mixup_tab.nets import BinnedMLP, PreparedNet, RobustScale


class Halved(PreparedNet):
    """Prepares inputs without a trace of chance."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def prepare(self, x):
        return x.float() / 2 + 1

    def body(self, x):
        return self.layer(x)


class Noisy(Halved):
    """Prepares inputs at random in training."""

    augments = True

    def prepare(self, x):
        x = super().prepare(x)
        return x + torch.randn_like(x) if self.training else x


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1, 8])
def test_theta_is_the_mean_of_the_weights_above_one_half(alpha):
    above, _ = quad(beta_distribution(alpha, alpha).sf, 0.5, 1)  # P(λ > t) over t
    assert mean_larger_weight(alpha) == pytest.approx(0.5 + above / 0.5, rel=1e-5)
    lam = draw_lam(alpha, (200_000,), generator=torch.Generator().manual_seed(0)).numpy()
    assert mean_larger_weight(alpha) == pytest.approx(np.maximum(lam, 1 - lam).mean(), abs=2e-3)


def test_theta_between_no_mixing_and_halves():
    assert mean_larger_weight(0) == 1
    assert mean_larger_weight(1e-6) == pytest.approx(1, abs=1e-5)
    assert mean_larger_weight(1) == 0.75
    assert mean_larger_weight(1e6) == pytest.approx(0.5, abs=1e-3)
    with pytest.raises(ValueError, match="alpha must be a finite number of at least 0"):
        mean_larger_weight(-1)


def fitted(X, y, **params):
    net = {"mixing": "mixup", "max_epochs": 2, "random_state": 0, "device": "cpu", **params}
    return MixupClassifier(**net).fit(X, y)


@pytest.mark.parametrize("n_estimators", [1, 3])
def test_tables_are_moved_after_their_columns_were_scaled(three_classes, n_estimators):
    X, y = three_classes
    X = X * np.float32([1, 10, 100, 1000]) + 5
    net = fitted(X, y, hidden_layer_sizes=(8,), n_estimators=n_estimators).net_
    scaled = RobustScale.fit(torch.as_tensor(X))(torch.as_tensor(X)).double().numpy()
    mean = mean_prepared(net, X)
    assert_allclose(mean, scaled.mean(0), rtol=1e-5)
    moved = 0.7 * scaled + 0.3 * scaled.mean(0)
    weights = [
        (w.detach().double().numpy(), b.detach().double().numpy())
        for w, b in net.module_.layers()
    ]
    hidden = np.maximum(moved @ weights[0][0].swapaxes(1, 2) + weights[0][1], 0)
    expected = hidden @ weights[1][0].swapaxes(1, 2) + weights[1][1]
    assert_allclose(shrunk_outputs(net, X, mean, 0.7), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("module", [None, BinnedMLP, Halved, Noisy, "noisy_net"])
@pytest.mark.parametrize("n_estimators", [1, 2])
def test_with_theta_one_the_net_is_asked_about_the_rows_themselves(
    three_classes, noisy_net, module, n_estimators
):
    X, y = three_classes
    module = noisy_net if module == "noisy_net" else module
    net = fitted(X, y, module=module, n_estimators=n_estimators).net_
    mean = mean_prepared(net, X)
    assert_allclose(shrunk_outputs(net, X, mean, 1.0), net.raw_outputs(X), atol=1e-6)
    # With θ = 0 all rows are the mean.
    alike = shrunk_outputs(net, X, mean, 0.0)
    assert_allclose(alike, np.broadcast_to(alike[:, :1], alike.shape), atol=1e-6)


def test_what_a_net_prepares_is_moved_not_what_it_is_given(three_classes):
    X, y = three_classes
    raw = (100 * X).astype(np.int16)
    net = fitted(raw, y, module=Noisy).net_
    prepared = raw / 2 + 1
    assert_allclose(mean_prepared(net, raw), prepared.mean(0), rtol=1e-5)
    weight, bias = (p.detach().double().numpy() for p in net.module_.parameters())
    expected = (0.6 * prepared + 0.4 * prepared.mean(0)) @ weight.T + bias
    outputs = shrunk_outputs(net, raw, prepared.mean(0), 0.6)[0]
    assert_allclose(outputs, expected, rtol=1e-4, atol=1e-3)
