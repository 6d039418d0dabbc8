import numpy as np
import pytest
import torch
from sklearn.metrics import mean_pinball_loss
from torch.nn.functional import cross_entropy, one_hot

from mixup_tab.losses import MixedCrossEntropy, MixedPinballLoss, MixedSquaredError
from mixup_tab.mixing import Mixup

BATCH, CLASSES = 13, 4


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=source(seed), dtype=torch.float64)


def codes(*shape, seed=1):
    return torch.randint(0, CLASSES, shape, generator=source(seed))


def weights(*shape, seed=2):
    return torch.rand(*shape, generator=source(seed), dtype=torch.float64) + 0.1


def draw(*shape):
    rule = Mixup()
    return rule, rule.draw(0.8, shape, generator=source(3))


def autograd_gradient(criterion, outputs, targets):
    outputs = outputs.clone().requires_grad_()
    criterion(outputs, targets).backward()
    return outputs.grad


def stacked_targets(criterion, members=3):
    """Mixed and weighted targets of a stack, and outputs of the right shape."""
    rule, mix = draw(members, BATCH)
    if isinstance(criterion, MixedCrossEntropy):
        y, n_outputs = codes(members, BATCH), CLASSES
    else:
        y = normal(members, BATCH, 2, seed=5)
        n_outputs = 2 * len(getattr(criterion, "quantiles", [0.5]))
    targets = rule.mix_y(criterion.encode(y, weights(members, BATCH), n_outputs), mix)
    return normal(members, BATCH, n_outputs), targets


QUANTILES = (0.1, 0.5, 0.75)
CRITERIA = [
    MixedCrossEntropy(),
    MixedCrossEntropy(0.1),
    MixedSquaredError(),
    MixedPinballLoss(QUANTILES),
]


# ----------------------------------------------------------------- cross-entropy


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_mixed_cross_entropy_is_the_mixture_of_two_cross_entropies(weighted, smoothing):
    y, logits = codes(BATCH), normal(BATCH, CLASSES)
    weight = weights(BATCH) if weighted else torch.ones(BATCH, dtype=torch.float64)
    rule, mix = draw(BATCH)
    lam, other = mix.lam.double(), mix.partner
    criterion = MixedCrossEntropy(smoothing)
    targets = rule.mix_y(criterion.encode(y, weight if weighted else None, CLASSES), mix)

    def torchs_own(y):
        return cross_entropy(logits, y, reduction="none", label_smoothing=smoothing)

    expected = lam * weight * torchs_own(y) + (1 - lam) * weight[other] * torchs_own(y[other])
    tolerance = {"rtol": 1e-12, "atol": 0} if weighted else {"rtol": 1e-6, "atol": 1e-6}
    torch.testing.assert_close(criterion.rows(logits, targets.double()), expected, **tolerance)
    torch.testing.assert_close(
        criterion(logits, targets.double()), expected.mean(), **tolerance
    )


def test_unmixed_labels_give_torchs_cross_entropy():
    y, logits = codes(BATCH), normal(BATCH, CLASSES)
    criterion = MixedCrossEntropy()
    torch.testing.assert_close(
        criterion(logits, criterion.encode(y, None, CLASSES)), cross_entropy(logits, y)
    )


@pytest.mark.parametrize("smoothing", [0.05, 0.5, 0.99])
def test_label_smoothing_is_torchs(smoothing):
    y, logits = codes(BATCH), normal(BATCH, CLASSES)
    criterion = MixedCrossEntropy(label_smoothing=smoothing)
    targets = criterion.encode(y, None, CLASSES)
    torch.testing.assert_close(targets.sum(-1), torch.ones(BATCH))
    torch.testing.assert_close(
        criterion.rows(logits, targets.double()),
        cross_entropy(logits, y, reduction="none", label_smoothing=smoothing),
        rtol=1e-6,
        atol=1e-6,
    )


def test_codes_and_soft_labels_are_encoded_alike():
    y, weight = codes(3, BATCH), weights(3, BATCH)
    criterion = MixedCrossEntropy(0.1)
    soft = one_hot(y, CLASSES).double()
    expected = criterion.encode(soft, weight, CLASSES)
    assert torch.equal(criterion.encode(y, weight, CLASSES), expected)
    assert criterion.encode(y, None, CLASSES).shape == (3, BATCH, CLASSES)


def test_a_row_of_targets_sums_to_its_weight():
    weight = weights(BATCH)
    targets = MixedCrossEntropy(0.3).encode(codes(BATCH), weight, CLASSES)
    torch.testing.assert_close(targets.sum(-1), weight)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0, 2, float("nan")])
def test_label_smoothing_out_of_range_is_refused(smoothing):
    with pytest.raises(
        ValueError, match=rf"label_smoothing must lie in \[0, 1\), got {smoothing}"
    ):
        MixedCrossEntropy(label_smoothing=smoothing)


def test_cross_entropy_predicts_probabilities():
    probabilities = MixedCrossEntropy().predict(normal(BATCH, CLASSES))
    torch.testing.assert_close(probabilities, normal(BATCH, CLASSES).softmax(-1))


# ----------------------------------------------------------------- squared error


@pytest.mark.parametrize("outputs", [1, 3])
def test_squared_error_is_the_weighted_definition(outputs):
    values, y, weight = normal(BATCH, outputs), normal(BATCH, outputs, seed=1), weights(BATCH)
    criterion = MixedSquaredError()
    targets = criterion.encode(y, weight, outputs)
    expected = weight * ((values - y) ** 2).mean(-1)
    torch.testing.assert_close(criterion.rows(values, targets), expected)
    torch.testing.assert_close(criterion(values, targets), expected.mean())


def test_unweighted_mixed_squared_error_is_the_error_against_the_mixed_value():
    values, y = normal(BATCH, 2), normal(BATCH, 2, seed=1)
    rule, mix = draw(BATCH)
    criterion = MixedSquaredError()
    targets = rule.mix_y(criterion.encode(y, None, 2), mix)
    torch.testing.assert_close(
        criterion.rows(values, targets), ((values - rule.mix_y(y, mix)) ** 2).mean(-1)
    )


def test_integer_values_are_encoded_as_floats():
    targets = MixedSquaredError().encode(torch.arange(3).unsqueeze(1), None, 1)
    assert torch.equal(targets, torch.tensor([[0.0, 1], [1, 1], [2, 1]]))


def test_squared_error_has_the_gradient_of_the_mixture_of_two_errors():
    values, y, weight = normal(BATCH, 2), normal(BATCH, 2, seed=1), weights(BATCH)
    rule, mix = draw(BATCH)
    lam, other = mix.lam.double().unsqueeze(1), mix.partner
    weight_i, weight_j = weight.unsqueeze(1), weight[other].unsqueeze(1)
    criterion = MixedSquaredError()
    targets = rule.mix_y(criterion.encode(y, weight, 2), mix)
    gradient = autograd_gradient(criterion, values, targets)

    values.requires_grad_()
    pair = lam * weight_i * (values - y) ** 2 + (1 - lam) * weight_j * (values - y[other]) ** 2
    pair.mean(-1).mean().backward()
    torch.testing.assert_close(gradient, values.grad, rtol=1e-12, atol=1e-14)


def test_squared_error_predicts_the_outputs():
    assert torch.equal(MixedSquaredError().predict(normal(BATCH, 2)), normal(BATCH, 2))


# ------------------------------------------------------------------------- pinball


@pytest.mark.parametrize("weighted", [False, True])
def test_pinball_loss_is_scikit_learns_for_every_quantile_of_every_value(weighted):
    y, outputs, weight = normal(BATCH, 2, seed=1), normal(BATCH, 6), weights(BATCH)
    weight = weight if weighted else None
    criterion = MixedPinballLoss(QUANTILES)
    parts = [
        mean_pinball_loss(y[:, value], outputs[:, 3 * value + k], sample_weight=weight, alpha=q)
        for value in range(2)
        for k, q in enumerate(QUANTILES)
    ]
    # scikit-learn divides by the sum of the weights, the criterion by the number of rows.
    expected = np.mean(parts) * (1 if weight is None else weight.mean())
    loss = criterion(outputs, criterion.encode(y, weight, 6).double())
    assert loss.item() == pytest.approx(float(expected), rel=1e-6)


def test_mixed_pinball_loss_is_the_loss_against_the_mixed_value():
    y, outputs, weight = normal(BATCH, 1, seed=1), normal(BATCH, 3), weights(BATCH)
    rule, mix = draw(BATCH)
    criterion = MixedPinballLoss(QUANTILES)
    mixed_weight = rule.mix_y(weight, mix)
    mixed = rule.mix_y(y[:, 0] * weight, mix) / mixed_weight
    targets = rule.mix_y(criterion.encode(y, weight, 3), mix)
    expected = mixed_weight * criterion.rows(outputs, criterion.encode(mixed[:, None], None, 3))
    torch.testing.assert_close(criterion.rows(outputs, targets), expected)


@pytest.mark.parametrize("level", [0.1, 0.5, 0.75])
def test_the_best_constant_for_the_pinball_loss_is_the_quantile(level):
    y, criterion = normal(101, 1), MixedPinballLoss([level])
    targets = criterion.encode(y, None, 1)
    losses = torch.stack([criterion(value.expand(101, 1), targets) for value in y])
    assert y[losses.argmin()] == torch.quantile(y, level, interpolation="nearest")


def test_at_the_target_the_slope_is_half_way():
    criterion, y = MixedPinballLoss([0.25]), normal(BATCH, 1)
    targets = criterion.encode(y, None, 1)
    expected = torch.full_like(y, (0.5 - 0.25) / BATCH)
    torch.testing.assert_close(criterion.gradient(y, targets), expected)


@pytest.mark.parametrize("quantiles", [(), (0, 0.5), (0.5, 1), (0.9, 0.1), (0.5, 0.5), 0.5])
def test_quantiles_that_are_none_are_refused(quantiles):
    with pytest.raises(
        ValueError, match=r"quantiles must be numbers above 0 and below 1.*got"
    ) as e:
        MixedPinballLoss(quantiles)
    assert str(quantiles) in str(e.value)


# ------------------------------------------------------------------------- all


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_gradient_is_that_of_autograd(criterion):
    outputs, targets = stacked_targets(criterion)
    gradient = criterion.gradient(outputs.clone(), targets)
    torch.testing.assert_close(
        gradient, autograd_gradient(criterion, outputs, targets), rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_gradient_changes_nothing_in_place(criterion):
    outputs, targets = stacked_targets(criterion)
    copies = outputs.clone(), targets.clone()
    criterion.gradient(outputs, targets)
    assert torch.equal(outputs, copies[0])
    assert torch.equal(targets, copies[1])


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_the_loss_of_a_stack_is_the_sum_over_its_members(criterion):
    outputs, targets = stacked_targets(criterion)
    alone = sum(criterion(*pair) for pair in zip(outputs, targets, strict=True))
    torch.testing.assert_close(criterion(outputs, targets), alone)
    gradient = autograd_gradient(criterion, outputs, targets)
    for member in range(len(outputs)):
        own = autograd_gradient(criterion, outputs[member], targets[member])
        torch.testing.assert_close(gradient[member], own)


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_of_zeros_cost_nothing(criterion, dtype):
    outputs, targets = (part.to(dtype) for part in stacked_targets(criterion))
    expected = criterion.rows(outputs, targets)
    targets[:, 5:] = 0
    losses = criterion.rows(100 * outputs, targets)
    assert losses[:, 5:].abs().max() < 1e-30
    torch.testing.assert_close(criterion.rows(outputs, targets)[:, :5], expected[:, :5])


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_rows_of_zeros_have_no_gradient(criterion, dtype):
    outputs, targets = (part.to(dtype) for part in stacked_targets(criterion))
    targets[:, 5:] = 0
    gradient = criterion.gradient(outputs, targets)
    assert not gradient[:, 5:].any()
    assert gradient[:, :5].all()
    by_autograd = autograd_gradient(criterion, outputs, targets)
    torch.testing.assert_close(gradient, by_autograd)


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
def test_a_batch_filled_up_with_zeros_is_the_smaller_batch_with_larger_targets(criterion):
    outputs, targets = stacked_targets(criterion)
    expected = criterion(outputs[:, :5], targets[:, :5])
    filled = torch.zeros_like(targets)
    filled[:, :5] = targets[:, :5] * (BATCH / 5)
    torch.testing.assert_close(criterion(outputs, filled), expected)
    gradient = criterion.gradient(outputs[:, :5].contiguous(), targets[:, :5])
    torch.testing.assert_close(criterion.gradient(outputs, filled)[:, :5], gradient)


def test_squared_errors_of_tiny_weights_are_kept():
    criterion, values = MixedSquaredError(), normal(BATCH, 1)
    for weight in (1e-6, 1e-20):
        weights_ = torch.full((BATCH,), weight, dtype=torch.float64)
        targets = criterion.encode(normal(BATCH, 1, seed=1), weights_, 1)
        expected = weight * ((values - normal(BATCH, 1, seed=1)) ** 2).mean(-1)
        torch.testing.assert_close(criterion.rows(values, targets), expected, atol=0, rtol=1e-9)
