"""Waveforms through augmentation, mixing and spectrograms inside the fit loop."""

import itertools
from functools import partial

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV

from mixup_tab import MixupClassifier
from mixup_tab.audio import (
    FromWaveform,
    SpecAugment,
    SpectrogramLayer,
    WaveAugment,
    speech_classifier,
)
from mixup_tab.audio.from_waveform import LEVELS
from mixup_tab.estimators.fitting import batch_size, n_epochs
from mixup_tab.mixing import CutMix
from mixup_tab.nets import VGG11, BCResNet, LeNet

SAMPLES = 1600


class Mean(torch.nn.Module):
    """A linear layer on the mean spectrum, which is enough for tones."""

    def __init__(self, out_features, input_shape):
        super().__init__()
        self.layer = torch.nn.Linear(input_shape[1], out_features)
        self.seen = []

    def forward(self, x):
        self.seen.append(x.detach())
        return self.layer(x.mean((1, 3)))


def clips(n=24, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    time = np.arange(SAMPLES) / 16_000
    frequency = np.array([500, 1500, 4000])[y] * rng.uniform(0.95, 1.05, n)
    x = np.sin(2 * np.pi * frequency[:, None] * time) + 0.01 * rng.normal(size=(n, SAMPLES))
    return np.round(x * 15_000).astype(np.int16), np.array(["low", "mid", "high"])[y]


def classifier(**params):
    module = {key: params.pop(key) for key in ("level", "augment", "masks") if key in params}
    return MixupClassifier(
        module=partial(FromWaveform, net=Mean, **module),
        **{"max_epochs": 8, "random_state": 0, "learning_rate_init": 0.05, **params},
    )


def weights(clf):
    return torch.cat([p.detach().flatten() for p in clf.net_.module_.parameters()])


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("augment", [None, WaveAugment()])
def test_it_learns_tones(level, augment):
    clf = classifier(level=level, augment=augment, masks=SpecAugment(), max_epochs=20)
    clf.fit(*clips())
    X, y = clips(30, seed=1)
    assert clf.score(X, y) == 1


def test_integers_and_floats_are_the_same_clips():
    X, y = clips()
    clf = classifier().fit(X, y)
    assert clf.predict_proba(X / 32768.0) == pytest.approx(clf.predict_proba(X), abs=1e-4)
    floats = classifier().fit(X / np.float32(32768), y)
    assert torch.allclose(weights(clf), weights(floats), atol=1e-5)


def seen_in_training(level, alpha=1.0, batch=9):
    """Return what the net was given in the first step, and the clips."""
    X, y = clips(batch)
    clf = classifier(level=level, alpha=alpha, batch_size=batch, max_epochs=1).fit(X, y)
    steps = [x for x in clf.net_.module_.net.seen if len(x) == batch]
    return steps[0], torch.from_numpy(X)


@pytest.mark.parametrize("level", LEVELS)
def test_mixing_happens_at_the_chosen_level(level):
    """Every mixed example lies on the segment between two examples of that level."""
    mixed, X = seen_in_training(level)
    layer = SpectrogramLayer()
    lam = torch.linspace(0, 1, 101).view(-1, 1, 1, 1)
    for example in mixed[:2]:
        best = np.inf
        for i in range(len(X)):
            for j in range(i):
                if level == "spectrogram":
                    one, other = layer(X[[i, j]])
                    rest = (example - other).flatten()
                    line = (one - other).flatten()
                    place = (rest @ line / (line @ line)).clamp(0, 1)
                    best = min(best, (rest - place * line).norm() / rest.norm())
                else:
                    pair = X[[i, j]].float() / 32768
                    waves = lam[:, 0, 0] * pair[0] + (1 - lam[:, 0, 0]) * pair[1]
                    gap = (layer(waves) - example).flatten(1).norm(dim=1).min()
                    best = min(best, gap / example.norm())
        assert best < (1e-3 if level == "spectrogram" else 0.2)


def test_the_two_levels_differ_only_when_something_is_mixed():
    X, y = clips()
    plain, mixed = (
        [classifier(level=level, alpha=alpha).fit(X, y) for level in LEVELS] for alpha in (0, 1)
    )
    assert torch.allclose(*map(weights, plain), atol=1e-5)
    assert not torch.allclose(*map(weights, mixed), atol=1e-3)


def test_the_seed_decides_and_the_global_state_is_left_alone():
    X, y = clips()
    before = torch.get_rng_state()
    params = {"augment": WaveAugment(), "masks": SpecAugment()}
    one, same = classifier(**params).fit(X, y), classifier(**params).fit(X, y)
    other = classifier(**params, random_state=1).fit(X, y)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(weights(one), weights(same))
    assert not torch.equal(weights(one), weights(other))


def test_every_epoch_and_every_member_has_its_own_changes():
    X, y = clips(8)
    clf = classifier(
        augment=WaveAugment(), alpha=0, batch_size=8, max_epochs=2, n_estimators=2
    ).fit(X, y)
    steps = [x for net in clf.net_.module_.members for x in net.net.seen if len(x) == 8][:4]
    for k, one in enumerate(steps):
        for other in steps[k + 1 :]:
            assert torch.cdist(one.flatten(1), other.flatten(1)).min() > 1


def test_it_is_searched_like_anything_else():
    X, y = clips()
    modules = [partial(FromWaveform, net=Mean, level=level) for level in LEVELS]
    mixing = {"mixing": ["mixup"], "mixing_span": [(0.5, 1)]}
    grid = {"alpha": [0, 0.3], "module": modules, **mixing}
    search = GridSearchCV(classifier(max_epochs=3), grid, cv=2).fit(X, y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_boxes_and_stretches_can_be_mixed():
    for level, mixing in itertools.product(LEVELS, ["cutmix", "mixup+cutmix", "cutout"]):
        clf = classifier(level=level, mixing=mixing, alpha=1, max_epochs=1).fit(*clips())
        assert np.isfinite(clf.loss_curve_).all()


def test_cutmix_of_waveforms_takes_one_stretch_from_another_clip():
    rule, source = CutMix(), torch.Generator().manual_seed(0)
    x = torch.arange(20.0).repeat_interleave(500).view(20, 1, 500)
    cut = rule.draw(1.0, (20,), features=x.shape[1:], generator=source)
    mixed = rule.mix_x(x, cut)[:, 0]
    changes = mixed.diff(dim=1).ne(0).sum(1)
    assert (changes <= 2).all()
    assert changes.sum() > 10
    kept = (mixed == x[:, 0]).float().mean(1)
    other = cut.partner != torch.arange(20)
    assert torch.allclose(kept[other], cut.lam[other])


@pytest.mark.parametrize("net", [LeNet, partial(VGG11, width=1 / 16), BCResNet])
def test_it_takes_the_nets_of_the_package(net):
    X, y = clips(6)
    X = np.tile(X, 4)
    layer = SpectrogramLayer(kind="mel", window_seconds=0.03)
    module = partial(FromWaveform, net=net, spectrogram=layer)
    clf = MixupClassifier(module=module, max_epochs=1, dropout=0.1, random_state=0).fit(X, y)
    assert clf.predict_proba(X).shape == (6, 3)


def test_its_parts_are_not_changed_and_nothing_is_random_in_prediction():
    augment = WaveAugment()
    clf = clone(classifier(augment=augment, masks=SpecAugment()))
    X, y = clips()
    proba = clf.fit(X, y).predict_proba(X)
    assert augment.training
    assert clf.predict_proba(X[:1]) == pytest.approx(proba[:1], abs=1e-5)


@pytest.mark.parametrize(
    ("params", "message"),
    [({"level": "sample"}, "level must be one of"), ({}, "needs clips of shape")],
)
def test_wrong_use_is_explained(params, message):
    X, y = clips()
    X = X if params else X.reshape(len(X), 1, 40, 40)
    with pytest.raises(ValueError, match=message):
        classifier(**params).fit(X, y)


# ------------------------------------------------------------------------- recipe


def test_the_recipe_passes_its_parameters_on():
    pipeline = speech_classifier(
        "vgg11",
        net_params={"width": 0.25},
        alpha=0.3,
        level="waveform",
        seconds=0.5,
        kind="log",
    )
    net = pipeline["classifier"].module(out_features=3, input_shape=(8000,))
    assert pipeline["reader"].seconds == 0.5
    assert pipeline["classifier"].alpha == 0.3
    assert net.level == "waveform"
    assert net.spectrogram.kind == "log"
    assert isinstance(net.net, VGG11)
    assert net.augments
    pipeline = speech_classifier("bcresnet", augment=False)
    net = pipeline["classifier"].module(out_features=3, input_shape=(16_000,))
    assert not net.augments
    assert net.masks is None
    with pytest.raises(ValueError, match=r"model must be one of .*, got 'alexnet'"):
        speech_classifier("alexnet")


def test_the_recipe_learns_from_few_clips():
    X, y = clips(30)
    X[:, :400] = 0  # bands are centred over time, so a tone must begin
    model = speech_classifier(seconds=0.1, random_state=0)["classifier"]
    model.set_params(max_epochs=15).fit(X, y)
    assert model.score(*[clips(30, seed=1)[0] * (np.arange(SAMPLES) > 400), y]) > 0.9


@pytest.mark.parametrize(
    ("rows", "batch", "epochs"),
    [(60, 16, 200), (450, 16, 100), (1500, 32, 30), (5000, 50, 15), (100_000, 256, 15)],
)
def test_passes_of_the_recipe_follow_the_number_of_clips(rows, batch, epochs):
    model = speech_classifier()["classifier"]
    assert batch_size(model, rows) == batch
    assert n_epochs(model, rows, batch, stops=False) == epochs


def test_the_recipe_works_for_other_lengths_and_rates():
    for seconds, rate in ((0.2, 8_000), (2.5, 16_000), (0.5, 44_100)):
        pipeline = speech_classifier(seconds=seconds, sample_rate=rate)
        samples = round(seconds * rate)
        net = pipeline["classifier"].module(out_features=3, input_shape=(samples,))
        assert net(torch.zeros(2, samples, dtype=torch.int16)).shape == (2, 3)
