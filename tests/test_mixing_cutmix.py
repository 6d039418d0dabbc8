import pickle

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from mixup_tab import CutMix, MixupClassifier, MixupRegressor

SHAPES = [((5,), 3), ((1,), 4), ((3, 5), 1), ((2, 3, 5), 7)]


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def drawn(lead, features, alpha=0.7, seed=0):
    return CutMix().draw(alpha, lead, features=(features,), generator=source(seed))


@pytest.mark.parametrize(("lead", "features"), SHAPES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_swaps_columns_as_the_definition_says(lead, features, dtype):
    x = torch.randn(*lead, features, generator=source(1)).to(dtype)
    cut = drawn(lead, features)
    swapped = CutMix().mix_x(x, cut)
    expected = np.empty(x.shape, x.numpy().dtype)
    for at in np.ndindex(*lead, features):
        row = at[:-1] if cut.keep[at] else (*at[:-2], int(cut.partner[at[:-1]]))
        expected[at] = x[(*row, at[-1])]
    assert swapped.dtype == dtype
    np.testing.assert_array_equal(swapped.numpy(), expected)


@pytest.mark.parametrize(("lead", "features"), SHAPES)
def test_mixes_targets_by_the_share_of_columns_kept(lead, features):
    y = torch.randn(*lead, 3, generator=source(2), dtype=torch.float64)
    cut = drawn(lead, features)
    share = cut.keep.double().mean(-1).numpy()
    np.testing.assert_allclose(cut.lam, share, rtol=1e-6)
    mixed, partner = CutMix().mix_y(y, cut), cut.partner.numpy()
    for at in np.ndindex(*lead):
        other = y[(*at[:-1], partner[at])]
        expected = share[at] * y[at] + (1 - share[at]) * other
        np.testing.assert_allclose(mixed[at], expected, atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 12),
    st.integers(1, 9),
    st.floats(0.01, 50),
    st.integers(0, 2**31),
)
def test_values_stay_in_their_column_and_targets_sum_to_one(rows, features, alpha, seed):
    # The value names its row and column.
    x = torch.arange(rows * features, dtype=torch.float64).view(rows, features)
    cut = drawn((rows,), features, alpha, seed)
    mixed = CutMix().mix_x(x, cut).long()
    own = torch.arange(rows).unsqueeze(1)
    came_from = mixed // features
    assert torch.equal(mixed % features, torch.arange(features).expand(rows, features))
    assert ((came_from == own) | (came_from == cut.partner.unsqueeze(1))).all()
    targets = CutMix().mix_y(torch.eye(rows), cut)
    torch.testing.assert_close(targets.sum(1), torch.ones(rows))
    assert ((targets >= 0) & (targets <= 1)).all()
    assert sorted(cut.partner.tolist()) == list(range(rows))


def test_alpha_zero_is_bit_equal_to_not_mixing():
    x = torch.randn(4, 33, 7, generator=source()) * 1e20
    cut = drawn((4, 33), 7, alpha=0)
    assert torch.equal(CutMix().mix_x(x, cut), x)
    assert torch.equal(CutMix().mix_y(x, cut), x)


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_the_share_kept_follows_the_beta_distribution(alpha):
    # Of 4000 columns the share is as good as the probability.
    share = drawn((400,), 4000, alpha).lam.double().numpy()
    assert kstest(share, "beta", (alpha, alpha)).pvalue > 1e-3


def test_columns_are_kept_independently_of_their_place():
    kept = drawn((20_000,), 4, alpha=1.0).keep.double()
    np.testing.assert_allclose(kept.mean(0), 0.5, atol=0.02)
    pairs = (kept.T @ kept / len(kept)).numpy()[np.triu_indices(4, 1)]
    np.testing.assert_allclose(pairs, 1 / 3, atol=0.02)  # E p² under a uniform p


def test_nothing_is_changed_in_place():
    x, cut = torch.randn(9, 4, generator=source()), drawn((9,), 4)
    before = [tensor.clone() for tensor in (x, *cut)]
    CutMix().mix_x(x, cut)
    CutMix().mix_y(x, cut)
    assert all(map(torch.equal, (x, *cut), before))


def test_same_seed_gives_the_same_bits():
    assert all(map(torch.equal, drawn((40,), 5), drawn((40,), 5)))
    assert not torch.equal(drawn((40,), 5).keep, drawn((40,), 5, seed=1).keep)


def test_a_rule_is_a_value():
    assert pickle.loads(pickle.dumps(CutMix())) == CutMix()
    assert len({CutMix(), CutMix()}) == 1


IMAGES = [((5,), (6, 9)), ((2, 3), (3, 8, 5)), ((4,), (2, 1, 7, 1))]


def drawn_boxes(lead, features, axes="both", alpha=0.7, seed=0):
    rule = CutMix(axes=axes)
    return rule, rule.draw(alpha, lead, features=features, generator=source(seed))


@pytest.mark.parametrize(("lead", "features"), IMAGES)
def test_pastes_boxes_over_the_last_two_axes_of_all_channels(lead, features):
    x = torch.randn(*lead, *features, generator=source(1))
    rule, cut = drawn_boxes(lead, features)
    mixed = rule.mix_x(x, cut)
    keep = cut.keep.expand(x.shape)
    for at in np.ndindex(*lead):
        other = x[(*at[:-1], int(cut.partner[at]))]
        np.testing.assert_array_equal(mixed[at], np.where(keep[at], x[at], other))
        assert (keep[at] == keep[at].reshape(-1, *features[-2:])[0]).all()


@pytest.mark.parametrize("axes", ["both", "time", "frequency"])
@pytest.mark.parametrize(("lead", "features"), IMAGES)
def test_mixes_targets_by_the_share_of_the_image_that_is_kept(lead, features, axes):
    _, cut = drawn_boxes(lead, features, axes)
    share = cut.keep.double().flatten(len(lead)).mean(-1)
    np.testing.assert_allclose(cut.lam, share, atol=1e-6)


def test_alpha_zero_keeps_images_bit_for_bit():
    x = torch.randn(4, 3, 8, 5, generator=source()) * 1e20
    rule, cut = drawn_boxes((4,), (3, 8, 5), alpha=0)
    assert torch.equal(rule.mix_x(x, cut), x)
    assert torch.equal(cut.lam, torch.ones(4))


def test_single_values_are_refused():
    with pytest.raises(ValueError, match=r"single value.*mixing='mixup'"):
        CutMix().draw(0.3, (5,), generator=source())


def test_unknown_axes_are_refused():
    with pytest.raises(ValueError, match=r"axes must be one of .*got 'times'"):
        CutMix(axes="times")


@pytest.mark.parametrize("alpha", [-1.0, float("nan"), float("inf")])
def test_bad_alpha_is_refused(alpha):
    with pytest.raises(ValueError, match=f"alpha must be .*got {alpha!r}"):
        drawn((3,), 2, alpha=alpha)


SMALL = {"hidden_layer_sizes": (16,), "learning_rate_init": 0.02, "random_state": 0}


@pytest.mark.parametrize("mixing", ["cutmix", CutMix()])
def test_the_classifier_learns_with_it(mixing, three_classes):
    X, y = three_classes
    fitted = MixupClassifier(**SMALL, mixing=mixing, alpha=0.5, max_epochs=30).fit(X, y)
    assert fitted.score(X, y) > 0.8


def test_the_regressor_learns_with_it(line):
    fitted = MixupRegressor(**SMALL, mixing="cutmix", alpha=0.2, max_epochs=60).fit(*line)
    assert fitted.score(*line) > 0.7
    erm, zero = (
        MixupRegressor(**SMALL, mixing=mixing, alpha=0, max_epochs=3).fit(*line)
        for mixing in ("mixup", "cutmix")
    )
    np.testing.assert_array_equal(erm.predict(line[0]), zero.predict(line[0]))
