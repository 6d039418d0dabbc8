"""Every mixing rule against its definition, written with NumPy."""

import pickle
import re
from dataclasses import FrozenInstanceError, dataclass

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import mutual_info_score

from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.mixing import (
    CMixup,
    CutMix,
    Cutout,
    DirichletMixup,
    FeatMix,
    ManifoldMixup,
    Mix,
    MixingRule,
    Mixup,
    MixupCutMix,
    RegMixup,
    Remix,
    featmix,
)
from mixup_tab.mixing._draw import draw_lam
from mixup_tab.mixing._names import RULES, as_rule
from mixup_tab.mixing.cutmix import draw_keep
from mixup_tab.mixing.featmix import (
    information_of_rows,
    mutual_information,
    quantile_codes,
)
from mixup_tab.mixing.rule import draw_by_column

COUNTS = (300, 30, 100, 99)
EVERY = [
    Mixup(),
    Mixup(lam_per="batch"),
    Mixup(folded=True),
    Mixup(partners="same_class"),
    Mixup(partners="other_class"),
    CutMix(),
    CutMix(axes="time"),
    MixupCutMix(),
    Cutout(fill=-2.5),
    FeatMix(),
    DirichletMixup(),
    DirichletMixup(2),
    CMixup(0.3),
    Remix(class_counts=COUNTS),
    RegMixup(CutMix(), eta=0.5),
    ManifoldMixup(CutMix()),
]
every_rule = pytest.mark.parametrize("rule", EVERY, ids=repr)
# Leading axes and axes of one example: a batch of one, several batches, batches of a stack of
# nets, images with and without channels.
SHAPES = [((5,), (3,)), ((1,), (4,)), ((2, 3, 5), (7,)), ((6,), (4, 5)), ((2, 3), (2, 4, 5))]
every_shape = pytest.mark.parametrize(("lead", "features"), SHAPES)


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=1, dtype=torch.float32):
    return torch.randn(*shape, generator=source(seed), dtype=dtype)


def draw(rule, lead, features=(), alpha=0.7, seed=0):
    """Fit a rule to random rows if it must be, and draw; labels are codes below 4 or values."""
    if rule.task == "regression":
        labels = normal(*lead, seed=9)
    else:
        labels = torch.randint(0, 4, lead, generator=source(9))
    x = normal(labels.numel(), *features, seed=8)
    rule = rule.fit(lambda rows: x[rows], labels.flatten())
    mix = rule.draw(alpha, lead, features=features, generator=source(seed), labels=labels)
    return rule, mix, labels


def one_by_one(values, mix, weight):
    """Loop over all examples: weight · own value + (1 − weight) · partner's value."""
    values, weight = values.double().numpy(), np.asarray(weight, float)
    result = np.empty(values.shape)
    for at in np.ndindex(*mix.lam.shape):
        other = values[(*at[:-1], int(mix.partner[at]))]
        result[at] = weight[at] * values[at] + (1 - weight[at]) * other
    return result


def close(found, expected, atol=1e-6):
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=atol)


# ------------------------------------------------------------------------- all rules


@every_rule
@every_shape
def test_alpha_zero_changes_no_bit(rule, lead, features):
    x, y = normal(*lead, *features) * 1e20, normal(*lead, 3)
    rule, mix, _ = draw(rule, lead, features, alpha=0)
    for given_, mixed in ((x, rule.mix_x(x, mix)), (y, rule.mix_y(y, mix))):
        if rule.enlarges_batch:
            clean, mixed = mixed.split(lead[-1], len(lead) - 1)
            if given_ is x:
                assert torch.equal(clean, x)
                assert torch.equal(mixed, x)
        else:
            assert torch.equal(mixed, given_)


@every_rule
def test_draws_come_from_the_generator_and_nothing_is_changed_in_place(rule):
    x, y = normal(2, 9, 4), normal(2, 9, 3)
    rule, mix, labels = draw(rule, (2, 9), (4,))
    before = [part.clone() for part in (x, y, labels, *mix)]
    rule.mix_x(x, mix), rule.mix_y(y, mix)
    rule.draw(0.3, (2, 9), features=(4,), generator=source(), labels=labels)
    assert all(map(torch.equal, (x, y, labels, *mix), before))
    assert all(map(torch.equal, mix, draw(rule, (2, 9), (4,))[1]))
    assert not all(map(torch.equal, mix, draw(rule, (2, 9), (4,), seed=1)[1]))


@every_rule
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_any_dtype_and_views_that_are_not_contiguous(rule, dtype):
    x = normal(8, 3, 4, dtype=torch.float64)
    rule, mix, _ = draw(rule, (3, 8), (4,))
    expected = rule.mix_x(x.transpose(0, 1).contiguous(), mix)
    assert torch.equal(rule.mix_x(x.transpose(0, 1), mix), expected)
    mixed = rule.mix_x(x.transpose(0, 1).to(dtype), mix)
    assert mixed.dtype == dtype
    torch.testing.assert_close(mixed.double(), expected, rtol=0, atol=0.05)


@every_rule
def test_mixed_labels_sum_to_one(rule):
    rule, mix, labels = draw(rule, (3, 50), (4,))
    mixed = rule.mix_y(torch.eye(4)[labels.long().clamp(0, 3)], mix)
    assert (mixed >= 0).all()
    if rule.enlarges_batch:  # on average over both halves
        torch.testing.assert_close(mixed.sum(-1).mean(), torch.tensor(1.0))
    else:
        torch.testing.assert_close(mixed.sum(-1), torch.ones(3, 50))


@every_rule
def test_a_rule_is_a_value(rule):
    copy = pickle.loads(pickle.dumps(rule))
    assert copy == rule
    assert len({copy, rule}) == 1
    assert [one == rule for one in EVERY].count(True) == 1
    with pytest.raises(FrozenInstanceError):
        rule.anything = 1


def test_what_rules_say_about_themselves():
    swaps = {repr(rule) for rule in EVERY if rule.swaps_columns}
    assert swaps == {name for name in map(repr, EVERY) if "Cut" in name or "Feat" in name}
    said = {
        repr(rule): (rule.needs_labels, rule.task, rule.mixes_hidden, rule.enlarges_batch)
        for rule in [*EVERY, ManifoldMixup(Mixup(partners="same_class")), RegMixup(Remix())]
    }
    usual = (False, "any", False, False)
    by_class = (True, "classification", False, False)
    unusual = {
        Mixup(partners="same_class"): by_class,
        Mixup(partners="other_class"): by_class,
        Remix(class_counts=COUNTS): by_class,
        CMixup(0.3): (True, "regression", False, False),
        RegMixup(CutMix(), eta=0.5): (False, "any", False, True),
        ManifoldMixup(CutMix()): (False, "any", True, False),
        ManifoldMixup(Mixup(partners="same_class")): (True, "classification", True, False),
        RegMixup(Remix()): (True, "classification", False, True),
    }
    assert said == {**dict.fromkeys(said, usual), **{repr(k): v for k, v in unusual.items()}}


GROUPS = torch.tensor([0, 1, 2, 2, 1, 1, 2])


@every_rule
@pytest.mark.parametrize("lead", [(6,), (2, 3, 5)])
def test_values_that_come_from_one_column_are_swapped_together(rule, lead):
    """One decision per column, expanded by NumPy; rules that mix all values know no columns."""
    rule, mix, labels = draw(rule, lead, (3 if rule.swaps_columns else 7,))
    options = {"generator": source(0), "labels": labels}
    grouped = draw_by_column(rule, 0.7, lead, (GROUPS, 3), features=(7,), **options)
    expected = mix
    if rule.swaps_columns:
        expected = mix._replace(keep=torch.from_numpy(mix.keep.numpy()[..., GROUPS.numpy()]))
    for one, other in zip(grouped, expected, strict=True):
        np.testing.assert_array_equal(one, other)
    x = normal(*lead, 7)
    np.testing.assert_array_equal(rule.mix_x(x, grouped), rule.mix_x(x, expected))


@dataclass(frozen=True)
class Halfway(MixingRule):
    """A rule as a user writes it."""

    def draw(self, alpha, shape, *, features=(), generator, labels=None):
        return Mix(torch.full(shape, 0.5), torch.arange(shape[-1]).flip(0).expand(shape))


def test_a_rule_of_ones_own_needs_draw_alone():
    rule, x = Halfway(), normal(2, 4, 3)
    mix = rule.draw(1.0, (2, 4), generator=source())
    close(rule.mix_x(x, mix), (x + x.flip(1)) / 2)
    close(rule.mix_y(x, mix), (x + x.flip(1)) / 2)
    assert as_rule(rule) is rule.fit(lambda rows: x[rows], x) is rule


# ------------------------------------------------------------- mixup and several examples


@every_shape
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mixup_blends_inputs_and_targets_by_lambda(lead, features, dtype):
    rule, mix, _ = draw(Mixup(), lead, features)
    for shape in ((*lead, *features), (*lead, 3), lead):
        values = normal(*shape, dtype=dtype)
        close(rule.mix_x(values, mix), one_by_one(values, mix, mix.lam))
        assert torch.equal(rule.mix_y(values, mix), rule.mix_x(values, mix))


def test_tiny_alpha_picks_one_of_the_pair_bit_by_bit():
    x = normal(200, 7)
    rule, mix, _ = draw(Mixup(), (200,), alpha=1e-7)
    assert set(mix.lam.tolist()) == {0.0, 1.0}
    expected = torch.where(mix.lam.unsqueeze(1) == 1, x, x[mix.partner])
    assert torch.equal(rule.mix_x(x, mix), expected)
    rule, folded, _ = draw(Mixup(folded=True), (200,), alpha=1e-7)
    assert torch.equal(rule.mix_x(x, folded), x)


def test_lambda_per_example_per_batch_and_folded():
    plain = draw(Mixup(), (6, 50))[1]
    folded = draw(Mixup(folded=True), (6, 50))[1]
    assert len(plain.lam.unique()) == 300
    assert plain.lam.min() < 0.5
    assert torch.equal(folded.lam, torch.maximum(plain.lam, 1 - plain.lam))
    assert torch.equal(folded.partner, plain.partner)
    for also_folded in (False, True):
        mix = draw(Mixup(lam_per="batch", folded=also_folded), (6, 50))[1]
        assert torch.equal(mix.lam, mix.lam[:, :1].expand(6, 50))
        assert len(mix.lam[:, 0].unique()) == 6


@pytest.mark.parametrize("partners", ["same_class", "other_class"])
def test_partners_follow_the_labels(partners):
    _, mix, labels = draw(Mixup(partners=partners), (3, 50))
    agree = labels.gather(-1, mix.partner) == labels
    assert agree.all() if partners == "same_class" else not agree.any()


@pytest.mark.parametrize("n_mixed", [2, 3, 5])
@every_shape
def test_dirichlet_mixup_sums_the_examples_by_their_weights(lead, features, n_mixed):
    rule, mix, _ = draw(DirichletMixup(n_mixed), lead, features)
    assert mix.partner.shape == mix.share.shape == (n_mixed - 1, *lead)
    x = normal(*lead, *features, dtype=torch.float64)
    expected = np.empty(x.shape)
    for at in np.ndindex(*lead):
        expected[at] = float(mix.lam[at]) * x[at]
        for partner, share in zip(mix.partner, mix.share, strict=True):
            expected[at] += float(share[at]) * x[(*at[:-1], int(partner[at]))].numpy()
    close(rule.mix_x(x, mix), expected, atol=1e-12)
    assert torch.equal(rule.mix_y(x, mix), rule.mix_x(x, mix))


@pytest.mark.parametrize("alpha", [0.1, 4.0])
def test_dirichlet_mixup_of_two_examples_is_mixup(alpha):
    n = 20_000
    rule, mix, _ = draw(DirichletMixup(2), (n,), alpha=alpha)
    theirs = draw_lam(alpha, (n,), generator=source(1))
    assert stats.ks_2samp(mix.lam.numpy(), theirs.numpy()).pvalue > 1e-3
    as_mixup = Mixup().mix_x(normal(n, 4), Mix(mix.lam, mix.partner[0]))
    torch.testing.assert_close(rule.mix_x(normal(n, 4), mix), as_mixup)


def test_every_partner_of_dirichlet_mixup_is_a_permutation_of_its_own():
    partner = draw(DirichletMixup(4), (6, 30))[1].partner
    assert torch.equal(partner.sort(-1).values, torch.arange(30).expand(3, 6, 30))
    assert len(partner.view(-1, 30).unique(dim=0)) == 18


def test_dirichlet_mixup_with_tiny_alpha_picks_one_of_the_examples():
    mix = draw(DirichletMixup(), (500,), alpha=1e-9)[1]
    weights = torch.cat((mix.lam.unsqueeze(0), mix.share))
    assert set(weights.flatten().tolist()) == {0.0, 1.0}
    assert set(weights.argmax(0).tolist()) == {0, 1, 2}


# ---------------------------------------------------------------- swapped and blanked parts


def clipped(length, side):
    """Places of a box, its centre in each of ``length`` places, that lie within the axis."""
    places = np.arange(length)[:, None] + np.arange(side) - side // 2
    return ((places >= 0) & (places < length)).sum(1)


def boxes(lam, size, axes="both", count=4000):
    share, keep = draw_keep(torch.full((count,), lam), size, generator=source(), axes=axes)
    np.testing.assert_allclose(share, keep.double().mean((1, 2)), atol=1e-6)
    lost = (~keep).numpy()
    rows, columns = lost.any(2), lost.any(1)
    np.testing.assert_array_equal(lost, rows[:, :, None] & columns[:, None])
    for line in (rows, columns):  # in one piece
        assert (np.diff(line.astype(int), prepend=0) == 1).sum(1).max() <= 1
    return lost


@pytest.mark.parametrize("size", [(16, 9), (5, 40)])
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.9, 1.0])
def test_boxes_have_the_sides_of_the_paper_and_uniform_centres(size, lam):
    # Yun et al. 2019, eq. 2: sides W √(1 − λ) and H √(1 − λ), cut off at the edges.
    lost = boxes(lam, size)
    for axis, length in enumerate(size):
        found = lost.any(2 - axis).sum(1)
        expected = clipped(length, int(length * np.sqrt(1 - np.float32(lam))))
        assert set(found) == set(expected)
        assert abs(found.mean() - expected.mean()) < 0.05 * length
    assert lam == 1 or len(np.unique(lost.reshape(len(lost), -1), axis=0)) > 20


@pytest.mark.parametrize(("axes", "whole", "length"), [("time", 1, 10), ("frequency", 2, 8)])
def test_boxes_may_span_a_whole_axis(axes, whole, length):
    lost = boxes(0.4, (8, 10), axes)
    np.testing.assert_array_equal(lost.any(whole), lost.all(whole))
    one = np.float32(1)  # NumPy 1 would compute in double precision with a Python number
    expected = clipped(length, int(np.float32(length) * (one - np.float32(0.4))))
    assert abs(lost.mean() - expected.mean() / length) < 0.02


@every_shape
@pytest.mark.parametrize("axes", ["both", "time", "frequency"])
def test_cutmix_takes_columns_or_boxes_and_weighs_targets_by_their_share(lead, features, axes):
    rule, cut, _ = draw(CutMix(axes=axes), lead, features)
    x, y = normal(*lead, *features), normal(*lead, 3)
    keep = np.broadcast_to(cut.keep.numpy(), x.shape)
    mixed = rule.mix_x(x, cut)
    for at in np.ndindex(*lead):
        other = x[(*at[:-1], int(cut.partner[at]))]
        np.testing.assert_array_equal(mixed[at], np.where(keep[at], x[at], other))
        if len(features) == 3:  # the same box in all channels
            assert (keep[at] == keep[at][:1]).all()
    share = keep.reshape(*lead, -1).mean(-1)
    close(cut.lam, share)
    close(rule.mix_y(y, cut), one_by_one(y, cut, share))


@pytest.mark.parametrize("alpha", [0.2, 1.0, 5.0])
def test_the_share_of_many_columns_kept_follows_the_beta_distribution(alpha):
    share = draw(CutMix(), (400,), (4000,), alpha)[1].lam.double().numpy()
    assert stats.kstest(share, "beta", (alpha, alpha)).pvalue > 1e-3


def test_columns_are_kept_independently_of_their_place():
    kept = draw(CutMix(), (20_000,), (4,), alpha=1.0)[1].keep.double()
    np.testing.assert_allclose(kept.mean(0), 0.5, atol=0.02)
    pairs = (kept.T @ kept / len(kept)).numpy()[np.triu_indices(4, 1)]
    np.testing.assert_allclose(pairs, 1 / 3, atol=0.02)  # E p² under a uniform p
    kept = draw(Cutout(), (20_000,), (4,), alpha=1.0)[1].keep.double()
    np.testing.assert_allclose(kept.mean(0), 0.75, atol=0.02)  # E max(λ, 1 − λ)


@every_shape
def test_mixup_cutmix_mixes_every_value_by_its_share(lead, features):
    rule, mix, _ = draw(MixupCutMix(axes="time"), lead, features)
    x, y = normal(*lead, *features), normal(*lead, 3)
    other = normal(*lead, *features)
    for at in np.ndindex(*lead):
        other[at] = x[(*at[:-1], int(mix.partner[at]))]
    keep = mix.keep.expand(x.shape)
    close(rule.mix_x(x, mix), keep * x + (1 - keep) * other)
    close(rule.mix_y(y, mix), one_by_one(y, mix, mix.lam))
    close(mix.lam, keep.flatten(len(lead)).mean(-1))


@pytest.mark.parametrize("features", [(6,), (2, 6, 9)])
def test_mixup_cutmix_does_one_or_the_other_with_each_example(features):
    keep = draw(MixupCutMix(), (200,), features)[1].keep.flatten(1)
    cut = ((keep == 0) | (keep == 1)).all(1)
    assert (cut | (keep == keep[:, :1]).all(1)).all()
    assert 0.3 < cut.float().mean() < 0.7
    always, never = (draw(MixupCutMix(p), (200,), features)[1] for p in (1.0, 0.0))
    alone = draw(CutMix(), (200,), features)[1]
    assert torch.equal(always.keep.bool(), alone.keep)
    assert torch.equal(always.lam, alone.lam)
    assert torch.equal(never.keep.flatten(1), never.lam.unsqueeze(1).expand(keep.shape))


@every_shape
def test_cutout_blanks_parts_and_leaves_targets(lead, features):
    rule, cut, _ = draw(Cutout(fill=-2.5), lead, features, alpha=5.0)
    x, y = normal(*lead, *features), normal(*lead, 3)
    expected = np.where(cut.keep.expand(x.shape).numpy(), x.numpy(), np.float32(-2.5))
    np.testing.assert_array_equal(rule.mix_x(x, cut), expected)
    assert torch.equal(rule.mix_y(y, cut), y)
    assert (cut.lam == 1).all()
    assert torch.equal(cut.partner, torch.arange(lead[-1]).expand(lead))


def test_cutout_removes_at_most_half_and_more_with_a_larger_alpha():
    lost = [
        1 - draw(Cutout(), (200,), (3, 8, 9), alpha)[1].keep.float().mean((1, 2, 3))
        for alpha in (0.1, 1.0, 50.0)
    ]
    assert all(share.max() <= 0.5 for share in lost)
    means = [float(share.mean()) for share in lost]
    assert means == sorted(means)
    assert means[0] < 0.1 < means[2]


# -------------------------------------------------------------------------------- Feat-Mix


@every_shape
def test_featmix_cuts_as_cutmix_and_weighs_by_the_information_kept(lead, features):
    information = np.random.default_rng(0).exponential(size=features)
    rule = FeatMix(information=tuple(information.ravel()))
    _, cut, _ = draw(rule, lead, features)
    plain = draw(CutMix(), lead, features)[1]
    assert torch.equal(cut.keep, plain.keep)
    assert torch.equal(cut.partner, plain.partner)
    keep = np.broadcast_to(cut.keep.numpy(), (*lead, *features))
    share = (keep * information).reshape(*lead, -1).sum(-1) / information.sum()
    close(cut.lam, share)
    y = normal(*lead, 3, dtype=torch.float64)
    close(rule.mix_y(y, cut), one_by_one(y, cut, share))


@pytest.mark.parametrize("information", [0.0, 0.3])
@pytest.mark.parametrize("features", [(40,), (2, 4, 5)])
def test_featmix_of_equal_information_is_cutmix(information, features):
    cut = draw(FeatMix(information=(information,) * 40), (50,), features)[1]
    torch.testing.assert_close(cut.lam, draw(CutMix(), (50,), features)[1].lam)


def test_swapping_columns_without_information_leaves_the_label():
    cut = draw(FeatMix(information=(0.0, 5.0, 0.0)), (200,), (3,))[1]
    assert torch.equal(cut.lam, cut.keep[:, 1].float())


@pytest.mark.parametrize("features", [(4,), (2, 2)])
def test_featmix_is_fitted_to_the_information_of_the_training_rows(features):
    x = normal(90, *features)
    y = (x.flatten(1)[:, 1] > 0).long()
    rule = FeatMix(axes="time").fit(lambda rows: x[rows], y)
    assert rule.axes == "time"
    assert rule.information == tuple(mutual_information(x.flatten(1), y).tolist())
    assert int(np.argmax(rule.information)) == 1
    assert rule.fit(lambda rows: x[rows] * 0, y) is rule


def information_table(rows=300):
    """Noise, a rounded column, a constant, a copy of the class, and one of its classes."""
    y = torch.arange(rows) % 3
    x = normal(rows, 5, seed=0)
    x[:, 1] = x[:, 1].round()
    x[:, 2] = 7.0
    x[:, 3] = -2.0 * y
    x[:, 4] = torch.where(y == 0, 1.0, 0.0)
    return x, y


@pytest.mark.parametrize("bins", [2, 8, 50])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_features_are_cut_at_their_quantiles(rows, bins):
    x = information_table(rows)[0].double().T
    expected = []
    for column in x.numpy():
        ordered, place = np.sort(column), np.arange(1, bins) * rows // bins
        bounds = (ordered[np.maximum(place - 1, 0)] + ordered[place]) / 2
        expected.append([(bounds < v).sum() + (bounds <= v).sum() for v in column])
    np.testing.assert_array_equal(quantile_codes(x, bins), expected)


def test_bins_are_of_equal_size_and_two_values_stay_apart_however_rare_one_is():
    codes = quantile_codes(normal(1, 800))
    assert codes.unique(return_counts=True)[1].tolist() == [100] * 8
    for share in (0.02, 0.1, 0.9, 0.98):
        x = (torch.arange(500) < 500 * share).double()
        assert len(quantile_codes(x.unsqueeze(0)).unique()) == 2


def test_the_information_is_that_of_scikit_learn_in_the_same_bins(monkeypatch):
    x, y = information_table()
    codes = quantile_codes(x.T).numpy()
    found = mutual_information(x, y)
    close(found, [mutual_info_score(one, y.numpy()) for one in codes], atol=1e-12)
    close(found[3], np.log(3))
    assert found[2] == 0
    assert found[0] < 0.1 < found[4]
    values = torch.stack([x[:, 0] + x[:, 3], x[:, 4]], 1)
    of_values = quantile_codes(values.T).numpy()
    expected = [np.mean([mutual_info_score(one, v) for v in of_values]) for one in codes]
    close(mutual_information(x, values), expected, atol=1e-12)
    monkeypatch.setattr(featmix, "_VALUES_AT_ONCE", 700)  # two features at once
    close(mutual_information(x, values), expected, atol=1e-12)


def test_evenly_spaced_rows_of_a_large_table_are_read(monkeypatch):
    monkeypatch.setattr(featmix, "MAX_ROWS", 100)
    x, y = information_table(250)
    seen = []

    def take(rows):
        seen.append(rows)
        return x[rows].view(-1, 5, 1)

    rows = torch.arange(100) * 250 // 100
    assert torch.equal(information_of_rows(take, y), mutual_information(x[rows], y[rows]))
    assert torch.equal(seen[-1], rows)


def test_fewer_rows_are_read_of_many_features_and_few_features_at_once(monkeypatch):
    monkeypatch.setattr(featmix, "MAX_VALUES", 5 * 90)
    monkeypatch.setattr(featmix, "MIN_ROWS", 20)
    x, y = information_table(250)
    for copies, expected in ((1, 90), (3, 30), (100, 20)):
        wide, seen = x.repeat(1, copies), []

        def take(rows, wide=wide, seen=seen):
            seen.append(len(rows))
            return wide[rows]

        information_of_rows(take, y)
        assert seen[-1] == expected
    # Tables of counts bound the memory if there are more classes than rows.
    parts, one = [], featmix._information
    monkeypatch.setattr(
        featmix, "_information", lambda codes, y: parts.append(len(codes)) or one(codes, y)
    )
    monkeypatch.setattr(featmix, "_VALUES_AT_ONCE", 10 * 16 * 20)  # ten features at once
    mutual_information(normal(20, 300), torch.arange(20))
    assert parts == [10] * 30


# ------------------------------------------------------------- rules that look at targets


@pytest.mark.parametrize(
    "values",
    [[-1.0, 0.0, 0.4, 2.0], [[0.0, 0.0], [0.3, -0.4], [1.0, 1.0]], [[0.0], [0.1], [1.0]]],
)
@pytest.mark.parametrize("bandwidth", [0.3, 1.0])
def test_cmixup_draws_partners_by_the_kernel_of_their_distance(values, bandwidth):
    n, values = 6000, torch.tensor(values)
    labels = values.expand(n, *values.shape)
    mix = CMixup(bandwidth).draw(2.0, labels.shape[:2], generator=source(), labels=labels)
    points = values.numpy().reshape(len(values), -1)
    squared = ((points[:, None] - points[None]) ** 2).sum(-1)
    kernel = np.exp(-squared / (2 * bandwidth**2))
    expected = n * kernel / kernel.sum(1, keepdims=True)
    for own, wanted in enumerate(expected):
        counts = mix.partner[:, own].bincount(minlength=len(values)).numpy()
        # Five standard errors of a count.
        assert (abs(counts - wanted) <= 5 * np.sqrt(wanted * (1 - wanted / n)) + 1).all()
        assert counts[own] > 0


def test_cmixup_with_a_wide_and_a_narrow_kernel():
    values = normal(400)
    for bandwidth, scale in ((1e6, 1), (1e-4, 100)):
        rule = CMixup(bandwidth)
        partner = rule.draw(1.0, (400,), generator=source(), labels=values * scale).partner
        distance = (values[partner] - values).abs().max()
        assert distance < 1e-4 if bandwidth < 1 else len(partner.unique()) > 200


def test_cmixup_draws_partners_within_each_batch_and_blends_as_mixup():
    labels = torch.tensor([[0.0, 50.0, 0.0, 50.0], [50.0, 50.0, 0.0, 0.0]]).expand(3, 2, 4)
    mix = CMixup().draw(1.0, (3, 2, 4), generator=source(), labels=labels)
    assert torch.equal(labels.gather(-1, mix.partner), labels)
    x = normal(3, 2, 4, 5)
    close(CMixup().mix_x(x, mix), one_by_one(x, mix, mix.lam))
    assert torch.equal(CMixup().mix_y(x, mix), CMixup().mix_x(x, mix))


def remix_weight(n_i, n_j, lam, kappa, tau):
    """Chou et al. 2020, equation 4."""
    if n_i / n_j >= kappa and lam < tau:
        return 0.0
    if n_i / n_j <= 1 / kappa and 1 - lam < tau:
        return 1.0
    return lam


@pytest.mark.parametrize(
    ("kappa", "tau"), [(3.0, 0.5), (1.0, 0.9), (3.05, 1.0), (20.0, 0.5), (3.0, 0.0)]
)
def test_remix_weighs_labels_as_the_paper_and_mixes_inputs_as_mixup(kappa, tau):
    rule, mix, labels = draw(Remix(kappa, tau, COUNTS), (3, 200))
    expected = np.empty(labels.shape)
    for at in np.ndindex(*labels.shape):
        n_i, n_j = COUNTS[labels[at]], COUNTS[labels[at[0], int(mix.partner[at])]]
        expected[at] = remix_weight(n_i, n_j, float(mix.lam[at]), kappa, tau)
    np.testing.assert_array_equal(mix.lam_y, expected)
    y, x = torch.eye(4)[labels], normal(3, 200, 5)
    close(rule.mix_y(y, mix), one_by_one(y, mix, expected))
    assert torch.equal(rule.mix_x(x, mix), Mixup().mix_x(x, draw(Mixup(), (3, 200))[1]))


def test_remix_gives_rare_classes_more_of_the_labels():
    rule, mix, labels = draw(Remix(class_counts=COUNTS), (1, 4000), alpha=1.0)
    y = torch.eye(4)[labels]
    gained = (rule.mix_y(y, mix) - Mixup().mix_y(y, Mix(mix.lam, mix.partner))).mean((0, 1))
    assert gained[1] > 0.02
    assert gained[0] < -0.02


def test_remix_counts_the_classes_of_the_training_rows():
    y = torch.tensor([0, 2, 2, 0, 2])
    rule = Remix(kappa=2.0).fit(lambda rows: None, y)
    assert rule == Remix(kappa=2.0, class_counts=(2, 0, 3))
    assert rule.fit(lambda rows: None, y[:2]) is rule
    assert RegMixup(Remix()).fit(None, y) == RegMixup(Remix(class_counts=(2, 0, 3)))
    with pytest.raises(ValueError, match=r"class_counts must hold 3 numbers.*got \(5, 1\)"):
        Remix(class_counts=(5, 1)).fit(lambda rows: None, y)


# ------------------------------------------------------------------ rules around another one


@pytest.mark.parametrize("inner", [Mixup(), CutMix(), DirichletMixup()])
@every_shape
def test_regmixup_appends_the_mixed_batch_to_the_clean_one(lead, features, inner):
    rule, mix, _ = draw(RegMixup(inner, eta=0.5), lead, features)
    x, y, axis = normal(*lead, *features), normal(*lead, 3), len(lead) - 1
    clean, mixed = rule.mix_x(x, mix).split(lead[-1], axis)
    assert torch.equal(clean, x)
    assert torch.equal(mixed, inner.mix_x(x, mix))
    clean, mixed = rule.mix_y(y, mix).split(lead[-1], axis)
    close(clean, y * 2 / 1.5)
    close(mixed, inner.mix_y(y, mix) * 2 * 0.5 / 1.5)


@pytest.mark.parametrize("eta", [0.25, 1.0, 3.0])
@pytest.mark.parametrize("criterion", [MixedCrossEntropy(0.1), MixedSquaredError()])
def test_the_loss_of_regmixup_is_the_papers_up_to_a_factor(eta, criterion):
    rule, mix, _ = draw(RegMixup(eta=eta), (6,), alpha=10.0)
    x = normal(6, 3, dtype=torch.float64)
    y = torch.arange(6) % 3 if isinstance(criterion, MixedCrossEntropy) else x.flip(0)
    weight = torch.rand(6, generator=source(3), dtype=torch.float64) + 0.5
    targets = criterion.encode(y, weight, 3)
    loss = criterion(rule.mix_x(x, mix), rule.mix_y(targets, mix))  # of a net that is x → x
    clean = criterion(x, targets)
    mixed = criterion(Mixup().mix_x(x, mix), Mixup().mix_y(targets, mix))
    torch.testing.assert_close(loss, (clean + eta * mixed) / (1 + eta))


def test_manifold_mixup_mixes_states_as_the_inner_rule_mixes_inputs():
    x, inner = normal(3, 8, 5), CutMix()
    rule, mix, _ = draw(ManifoldMixup(inner), (3, 8), (5,))
    alone = draw(inner, (3, 8), (5,))[1]
    assert all(map(torch.equal, mix, alone))
    assert torch.equal(rule.mix_x(x, mix), inner.mix_x(x, alone))
    assert torch.equal(rule.mix_y(x, mix), inner.mix_y(x, alone))
    layers = ManifoldMixup(layers=["input", "layer2"])
    assert layers == ManifoldMixup(layers=("input", "layer2")) != ManifoldMixup()


# ---------------------------------------------------------------------- names and bad arguments


def test_every_name_is_another_rule():
    rules = {name: as_rule(name) for name in RULES}
    assert len(set(rules.values())) == len(RULES)
    expected = {
        "mixup": Mixup(),
        "folded": Mixup(folded=True),
        "same_class": Mixup(partners="same_class"),
        "cutmix": CutMix(),
        "mixup+cutmix": MixupCutMix(),
        "cutout": Cutout(),
        "featmix": FeatMix(),
        "dirichlet": DirichletMixup(n_mixed=3),
        "manifold": ManifoldMixup(),
        "regmixup": RegMixup(Mixup(), eta=1.0),
        "remix": Remix(),
        "cmixup": CMixup(),
    }
    assert {name: rules[name] for name in expected} == expected
    assert as_rule(rules["folded"]) is rules["folded"]


@pytest.mark.parametrize(
    ("mixing", "error"),
    [("mixdown", ValueError), (3, TypeError), (None, TypeError), (Mixup, TypeError)],
)
def test_what_is_no_rule_is_refused_with_all_names(mixing, error):
    message = f"mixing must be one of {re.escape(str(sorted(RULES)))}.*got "
    with pytest.raises(error, match=message) as raised:
        as_rule(mixing)
    assert repr(mixing) in str(raised.value)


nan, inf = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("rule", "arguments"),
    [
        (Mixup, {"lam_per": ["row"], "partners": ["nearest", None]}),
        (CutMix, {"axes": ["times"]}),
        (MixupCutMix, {"axes": ["times"], "cutmix": [1.5, -0.1]}),
        (Cutout, {"axes": ["x"]}),
        (FeatMix, {"information": [(1.0, -1.0), (1.0, nan), (inf,)]}),
        (DirichletMixup, {"n_mixed": [1, 0, 2.5, True, None]}),
        (CMixup, {"bandwidth": [0, -1.0, nan, inf]}),
        (Remix, {"kappa": [0.5], "tau": [-0.1, 1.5], "class_counts": [(3, -1)]}),
        (RegMixup, {"eta": [0, -1.0, nan, inf], "rule": [RegMixup(), ManifoldMixup()]}),
        (ManifoldMixup, {"rule": [RegMixup(), ManifoldMixup(), FeatMix()]}),
        (ManifoldMixup, {"layers": ["layer1", [], ()]}),
    ],
)
def test_bad_arguments_are_named_with_their_value(rule, arguments):
    for name, values in arguments.items():
        for value in values:
            with pytest.raises(ValueError, match=f"^{name} must ") as error:
                rule(**{name: value})
            assert f"got {value!r}" in str(error.value)


def test_arguments_of_other_types():
    assert DirichletMixup(np.int64(3)) == DirichletMixup(3)
    assert FeatMix(information=[1, 2]) == FeatMix(information=(1.0, 2.0))
    assert Remix(class_counts=[1, 2]) == Remix(class_counts=(1, 2))
    with pytest.raises(TypeError, match="rule must be a MixingRule"):
        ManifoldMixup("mixup")


CODES = torch.zeros(3, dtype=torch.int64)


@pytest.mark.parametrize(
    ("rule", "given_", "message"),
    [
        (Mixup(partners="same_class"), {}, "needs class labels"),
        (Remix(class_counts=COUNTS), {}, "Remix is for classification"),
        (CMixup(), {}, "CMixup is for regression"),
        (CutMix(), {}, r"single value.*mixing='mixup'"),
        (FeatMix(information=(1, 2)), {}, r"single value.*mixing='mixup'"),
        (FeatMix(), {"features": (2, 3)}, "Call its fit"),
        (FeatMix(information=(1, 2, 3)), {"features": (2, 3)}, r"must hold 6 numbers.*got 3"),
        (Remix(), {"labels": CODES}, "Call its fit"),
    ],
)
def test_draws_that_lack_labels_columns_or_a_fit_are_refused(rule, given_, message):
    with pytest.raises(ValueError, match=message):
        rule.draw(1.0, (3,), generator=source(), **given_)


@every_rule
def test_bad_alpha_is_refused(rule):
    with pytest.raises(ValueError, match=r"alpha must be .*got -1.0"):
        draw(rule, (3,), (4,), alpha=-1.0)
