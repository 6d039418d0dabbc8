"""MixupClassifier: labels, outputs, weights, training and inputs."""

import math
from functools import partial

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.datasets import load_digits, load_iris, load_wine, make_classification
from sklearn.model_selection import cross_val_score
from sklearn.utils import compute_sample_weight
from skorch.callbacks import Callback, EarlyStopping, LRScheduler
from torch import nn

from mixup_tab import MixupClassifier, MixupNet
from mixup_tab.mixing import Mixup
from mixup_tab.training import LearningRate
from mixup_tab.training.state import cycle_lengths

SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 4, "random_state": 0}
QUICK = {"hidden_layer_sizes": (32,), "learning_rate_init": 0.02, "random_state": 0}


def small(**params):
    return MixupClassifier(**{**SMALL, **params})


def proba(X, y, sample_weight=None, **params):
    return small(**params).fit(X, y, sample_weight).predict_proba(X)


class Recorder(Callback):
    """Keeps what training shows to callbacks."""

    def __init__(self):
        self.rates, self.targets, self.outputs, self.valid = [], [], [], []
        self.epochs = 0

    def on_epoch_begin(self, net, **kwargs):
        self.epochs += 1

    def on_batch_begin(self, net, batch=None, training=None, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])
            self.targets.append(batch.targets.clone())


class OutputRecorder(Recorder):
    """Keeps the outputs for some rows and the validation losses after every epoch."""

    def __init__(self, X):
        super().__init__()
        self.X = X

    def on_epoch_end(self, net, **kwargs):
        self.outputs.append(net.raw_outputs(self.X))
        self.valid.append(net.epoch_losses_["valid"].clone())


# ------------------------------------------------------------------------------ labels


@pytest.mark.parametrize(
    "names",
    [
        ["cat", "dog", "eel"],
        [0, 1, 7],
        [-3, -1, 2],
        [1.0, 2.0, 5.0],
        [False, True],
        np.array(["b", "a", "c"], dtype=object),
    ],
    ids=["str", "gap", "negative", "float", "bool", "object"],
)
def test_any_labels_come_back(names, three_classes):
    X, codes = three_classes
    names = np.asarray(names)
    y = names[codes % len(names)]
    fitted = MixupClassifier(**QUICK, max_epochs=30).fit(X, y)
    assert_array_equal(fitted.classes_, np.unique(names))
    assert fitted.classes_.dtype == names.dtype == fitted.predict(X).dtype
    assert fitted.score(X, y) > (0.85 if len(names) == 3 else 0.6)


def test_labels_and_their_containers_do_not_change_what_is_learned(three_classes):
    X, y = three_classes
    names = np.array(["a", "b", "c"])[y]
    for same in (names, pd.Series(names), pl.Series(names), pd.Categorical(names), [*names]):
        assert_array_equal(proba(X, same), proba(X, y))


def test_fitted_attributes(three_classes):
    X, y = three_classes
    frame = pd.DataFrame(X, columns=list("abcd"))
    fitted = small(early_stopping=True, validation_fraction=0.2).fit(frame, y)
    assert fitted.n_features_in_ == 4
    assert fitted.feature_names_in_.tolist() == list("abcd")
    assert fitted.n_iter_ == len(fitted.loss_curve_) == len(fitted.validation_loss_curve_) == 4
    assert isinstance(fitted.net_, MixupNet)
    assert np.isfinite(fitted.loss_curve_ + fitted.validation_loss_curve_).all()
    fitted.set_params(early_stopping=False).fit(X, y)
    assert not hasattr(fitted, "feature_names_in_")
    assert not hasattr(fitted, "validation_loss_curve_")


# ----------------------------------------------------------------------------- outputs


@pytest.mark.parametrize("n_estimators", [1, 3])
@pytest.mark.parametrize("data", ["two_classes", "three_classes"])
def test_outputs_agree_with_each_other(data, n_estimators, request):
    X, y = request.getfixturevalue(data)
    fitted = small(n_estimators=n_estimators).fit(X, y)
    p, scores = fitted.predict_proba(X), fitted.decision_function(X)
    assert_allclose(p.sum(1), 1, rtol=0, atol=1e-14)
    assert_allclose(np.exp(fitted.predict_log_proba(X)), p, rtol=1e-12)
    assert_array_equal(fitted.predict(X), fitted.classes_[p.argmax(1)])
    if p.shape[1] == 2:
        assert_allclose(scores, np.log(p[:, 1] / p[:, 0]), rtol=1e-9, atol=1e-12)
        assert_array_equal(fitted.predict(X), fitted.classes_[(scores > 0).astype(int)])
    else:
        assert_allclose(scores, np.log(p), rtol=1e-9)
    assert fitted.score(X, y) == (fitted.predict(X) == y).mean()


def test_log_proba_does_not_underflow():
    X = np.array([[-1.0], [1.0]] * 20)
    fitted = small(alpha=0, learning_rate_init=1.0, max_epochs=60).fit(X, [0, 1] * 20)
    assert np.isfinite(fitted.predict_log_proba(np.array([[-1e30], [1e30]]))).all()


def test_an_ensemble_averages_probabilities_of_its_members(three_classes):
    X, y = three_classes
    fitted = small(n_estimators=3).fit(X, y)
    logits = torch.from_numpy(fitted.net_.raw_outputs(X)).double()
    assert logits.shape == (3, 60, 3)
    assert_allclose(fitted.predict_proba(X), logits.softmax(-1).mean(0), atol=1e-12)
    assert len({tuple(member.flatten().tolist()) for member in logits}) == 3


@pytest.mark.parametrize("user", [False, True], ids=["MLP", "user module"])
def test_the_first_member_is_the_single_net(user, two_classes, noisy_net):
    X, y = two_classes
    module = noisy_net if user else None
    alone = small(module=module).fit(X, y).net_.raw_outputs(X)[0]
    first = small(module=module, n_estimators=3).fit(X, y).net_.raw_outputs(X)[0]
    assert_allclose(first, alone, rtol=1e-4, atol=1e-5)


# ----------------------------------------------------------------------------- weights


def test_only_relative_weights_matter(two_classes):
    X, y = two_classes
    weight = np.random.default_rng(0).uniform(0.1, 2, 60)
    assert_array_equal(proba(X, y, weight), proba(X, y, 4 * weight))
    assert_allclose(proba(X, y, weight), proba(X, y, 1000 * weight), rtol=1e-5)
    assert np.abs(proba(X, y, weight) - proba(X, y)).max() > 1e-4


def test_equal_weights_are_no_weights(two_classes):
    for uniform in (np.full(60, 2.0), [1] * 60, 3):
        assert_array_equal(proba(*two_classes, uniform), proba(*two_classes))


@pytest.mark.parametrize("early_stopping", [False, True])
def test_weight_zero_removes_a_row(early_stopping, two_classes):
    X, y = two_classes
    weight = np.arange(60) % 3
    with_zeros = small(early_stopping=early_stopping).fit(X, y, weight)
    without = small(early_stopping=early_stopping).fit(
        X[weight > 0], y[weight > 0], weight[weight > 0]
    )
    assert_array_equal(with_zeros.predict_proba(X), without.predict_proba(X))


def test_class_weight_is_a_weight_of_rows(two_classes):
    X, y = two_classes[0][:50], (np.arange(50) % 4 == 0).astype(int)
    for class_weight in ("balanced", {0: 1.0, 1: 5.0}, {0: 0.5}):
        explicit = compute_sample_weight(class_weight, y)
        assert_array_equal(proba(X, y, class_weight=class_weight), proba(X, y, explicit))


def test_class_weight_multiplies_sample_weight(two_classes):
    X, y = two_classes
    weight = 1.0 + np.arange(60) % 5
    both = proba(X, y, weight, class_weight={0: 1.0, 1: 4.0})
    assert_array_equal(both, proba(X, y, weight * np.where(y == 1, 4.0, 1.0)))


def test_a_heavy_class_is_predicted_more_often(two_classes):
    X, y = two_classes
    params = {**QUICK, "max_epochs": 10}
    heavy = MixupClassifier(**params, class_weight={0: 1, 1: 50}).fit(X, y)
    assert heavy.predict(X).mean() > MixupClassifier(**params).fit(X, y).predict(X).mean()


# ------------------------------------------------------------------------- continuing


def test_partial_fit_continues_one_epoch_at_a_time(three_classes):
    X, y = three_classes
    net = MixupClassifier(**QUICK)
    net.partial_fit(X[y < 2], y[y < 2], classes=[0, 1, 2])
    assert net.classes_.tolist() == [0, 1, 2]
    for _ in range(29):
        net.partial_fit(X, y)
    assert net.n_iter_ == len(net.loss_curve_) == 30
    assert net.loss_curve_[-1] < net.loss_curve_[1]
    assert net.score(X, y) > 0.85


@pytest.mark.parametrize("go_on", ["partial_fit", "fit"])
def test_continuing_starts_from_the_fitted_net(go_on, three_classes):
    X, y = three_classes
    net = small(learning_rate_init=1e-9, warm_start=go_on == "fit").fit(X, y)
    before = net.predict_proba(X)
    getattr(net.set_params(random_state=1), go_on)(X, y)
    assert_allclose(net.predict_proba(X), before, atol=1e-6)
    assert np.abs(proba(X, y, learning_rate_init=1e-9, random_state=1) - before).max() > 1e-3


def test_warm_start_counts_on_and_a_cold_fit_starts_over(three_classes):
    net = small(warm_start=True).fit(*three_classes).fit(*three_classes)
    assert net.n_iter_ == len(net.loss_curve_) == 8
    net.set_params(warm_start=False).fit(*three_classes)
    assert net.n_iter_ == 4


def warm_started(X, y, **changes):
    return small(warm_start=True).fit(X, y).set_params(**changes).fit(X, y).predict_proba(X)


@pytest.mark.parametrize(
    "changes",
    [{"alpha": 2.0}, {"learning_rate_init": 0.1}, {"weight_decay": 10.0}, {"batch_size": 7}],
    ids=str,
)
def test_continuing_uses_parameters_that_were_changed(changes, three_classes):
    X, y = three_classes
    assert np.abs(warm_started(X, y, **changes) - warm_started(X, y)).max() > 1e-4


def test_callbacks_hear_of_every_partial_fit(two_classes):
    recorder = Recorder()
    net = small(callbacks=[recorder])
    for _ in range(3):
        net.partial_fit(*two_classes)
    assert recorder.epochs == 3


# --------------------------------------------------------------------- early stopping


def test_early_stopping_keeps_the_best_epoch(two_classes):
    X, y = two_classes
    recorder = OutputRecorder(X)
    params = {"early_stopping": True, "validation_fraction": 0.3}
    fitted = MixupClassifier(**{**QUICK, **params}, max_epochs=900, callbacks=[recorder]).fit(
        X, y
    )
    assert fitted.n_iter_ in np.cumsum(cycle_lengths(900, fitted.net_.first_cycle))
    best = int(torch.stack(recorder.valid).argmin())
    assert_array_equal(fitted.net_.raw_outputs(X), recorder.outputs[best])


def test_large_tables_stop_early_and_end_cycles_without_mixing():
    X, y = make_classification(2000, 4, random_state=0)
    fitted = MixupClassifier(max_epochs=8, random_state=0).fit(X, y)
    assert len(fitted.validation_loss_curve_) == 8
    assert fitted.net_.mixing_span == (0, 0.75)
    fewer = MixupClassifier(max_epochs=1, random_state=0).fit(X[:1999], y[:1999])
    assert not hasattr(fewer, "validation_loss_curve_")
    assert fewer.net_.mixing_span == (0, 1)


def test_classes_too_rare_to_be_split_can_be_held_out():
    rng = np.random.default_rng(0)
    y = np.append(rng.integers(0, 2, 300), [2, 3, 3])
    X = rng.normal(size=(303, 2))
    params = {"early_stopping": True, "validation_fraction": 0.02, "max_epochs": 2}
    assert len(MixupClassifier(**params, random_state=0).fit(X, y).classes_) == 4


# ---------------------------------------------------------------------- a user's module


class ConvNet(nn.Module):
    def __init__(self, input_shape, out_features):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(input_shape[0], 4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10)
        )
        self.body(torch.zeros(1, *input_shape))

    def forward(self, x):
        return self.body(x)


def test_a_module_with_batch_norm_and_dropout_learns(three_classes, noisy_net):
    X, y = three_classes
    fitted = MixupClassifier(**QUICK, module=noisy_net, max_epochs=40).fit(X, y)
    assert isinstance(fitted.net_.module_, noisy_net)
    assert fitted.score(X, y) > 0.8
    assert_array_equal(fitted.predict_proba(X), fitted.predict_proba(X))


def test_a_partial_fixes_arguments(three_classes, noisy_net):
    X, y = three_classes
    fixed = small(module=partial(noisy_net, dropout=0.8)).fit(X, y)
    assert fixed.net_.module_.body[3].p == 0.8
    assert small(module=noisy_net, dropout=0.4).fit(X, y).net_.module_.body[3].p == 0.4


def test_images_go_through_a_convolution():
    images, y = load_digits(return_X_y=True)
    images = images[:300].reshape(-1, 1, 8, 8) / 16
    fitted = MixupClassifier(module=ConvNet, **QUICK, max_epochs=15).fit(images, y[:300])
    assert fitted.score(images, y[:300]) > 0.9


def test_a_module_gets_only_the_arguments_it_names(three_classes):
    given = {}

    def linear(in_features, dropout, *, out_features, **kwargs):
        given.update(kwargs, in_features=in_features, dropout=dropout)
        return nn.Linear(in_features, out_features)

    small(module=linear, dropout=0.25).fit(*three_classes)
    assert given == {"in_features": 4, "dropout": 0.25}


# ------------------------------------------------------------ callbacks and mixing rules


def test_the_learning_rate_falls_along_a_cosine_unless_a_callback_sets_it(two_classes):
    steps, rates = 4, {}
    policies = {"default": [], "ours": [LearningRate("constant")]}
    policies["skorch"] = [("schedule", LRScheduler("ExponentialLR", gamma=0.5))]
    for name, callbacks in policies.items():
        recorder = Recorder()
        small(callbacks=[*callbacks, recorder], batch_size=60, learning_rate_init=0.001).fit(
            *two_classes
        )
        rates[name] = recorder.rates
    cosine = [0.001 * (1 + math.cos(math.pi * step / steps)) / 2 for step in range(steps)]
    assert_allclose(rates["default"], cosine)
    assert rates["ours"] == [0.001] * steps
    assert_allclose(rates["skorch"], [0.001 * 0.5**step for step in range(steps)])


@pytest.mark.parametrize("params", [{}, {"dropout": 0.3}, {"n_estimators": 2}], ids=str)
def test_listening_to_batches_does_not_change_what_is_learned(params, two_classes):
    heard = proba(*two_classes, callbacks=[Recorder()], **params)
    assert_allclose(heard, proba(*two_classes, **params), rtol=1e-4)


def test_a_callback_of_skorchs_stops_training_without_a_warning(two_classes):
    stopping = EarlyStopping("train_loss", patience=2, threshold=0.9, sink=lambda text: None)
    assert (
        small(callbacks=[stopping], max_epochs=50).fit(*two_classes).n_iter_ == 3
    )  # 1 + patience


def test_from_paper_is_the_papers_setting(two_classes):
    X, y = two_classes
    recorder = Recorder()
    paper = MixupClassifier.from_paper(alpha=0, random_state=0)
    paper.set_params(callbacks=[*paper.callbacks, recorder]).fit(1e3 * X, y)
    sizes = [tuple(weight.shape[1:]) for weight, _ in paper.net_.module_.layers()]
    assert sizes == [(128, 4), (128, 128), (2, 128)]
    assert paper.net_.module_.input_layer is None
    assert recorder.rates == [0.001] * (10 * 4)
    assert [len(t[0]) for t in recorder.targets[:4]] == [16, 16, 16, 12]
    assert MixupClassifier.from_paper(max_epochs=3, alpha=1).get_params()["max_epochs"] == 3


def test_alpha_zero_is_training_without_mixing(two_classes):
    plain = proba(*two_classes, alpha=0)
    assert_array_equal(plain, proba(*two_classes, alpha=5.0, mixing_span=(0.95, 1)))
    assert np.abs(plain - proba(*two_classes, alpha=0.2)).max() > 1e-4


def mixed_targets(X, y, **params):
    recorder = Recorder()
    small(callbacks=[recorder], batch_size=60, alpha=1.0, **params).fit(X, y)
    return torch.cat(recorder.targets)


@pytest.mark.parametrize(
    ("rule", "holds"),
    [
        (Mixup(partners="same_class"), lambda t: ((t == 0) | (t == 1)).all()),
        (Mixup(partners="other_class"), lambda t: (t.amax(-1) < 1).all()),
        (Mixup(folded=True), lambda t: (t.amax(-1) >= 0.5).all()),
        (Mixup(lam_per="batch"), lambda t: max(len(b.unique()) for b in t) <= 4),
        ("mixup", lambda t: 0.3 < (t.amax(-1) < 1).double().mean() < 0.7),
    ],
    ids=["same class", "other class", "folded", "per batch", "mixup"],
)
def test_mixing_rules_reach_the_targets(rule, holds, two_classes):
    targets = mixed_targets(*two_classes, mixing=rule)
    assert_allclose(targets.sum(-1), 1, rtol=1e-6)
    assert holds(targets)


@pytest.mark.parametrize(
    ("load", "bound", "params"),
    [
        (load_iris, 0.92, {"max_epochs": 30}),
        (load_wine, 0.94, {"max_epochs": 30}),
        (load_digits, 0.9, {"max_epochs": 6}),
    ],
)
def test_learns(load, bound, params):
    X, y = load(return_X_y=True)
    scores = cross_val_score(MixupClassifier(**QUICK, **params), X, y, cv=3)
    assert scores.mean() > bound


# ------------------------------------------------------------------------------ inputs


def memmap(X, folder):
    np.save(folder / "X.npy", X)
    return np.load(folder / "X.npy", mmap_mode="r")


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


CONTAINERS = {
    "float32": lambda X: X.astype(np.float32),
    "float16": lambda X: X.astype(np.float16),
    "int64": lambda X: X.astype(np.int64),
    "uint8": lambda X: X.astype(np.uint8),
    "big endian": lambda X: X.astype(">f8"),
    "column order": np.asfortranarray,
    "reversed": lambda X: X[::-1].copy()[::-1],
    "read-only": read_only,
    "list": lambda X: X.tolist(),
    "pandas": pd.DataFrame,
    "pandas Int64": lambda X: pd.DataFrame(X.astype(int)).astype("Int64"),
    "polars": lambda X: pl.DataFrame(X, schema=list("abcd")),
}


def test_equal_values_give_equal_predictions(tmp_path):
    X = np.random.default_rng(0).integers(0, 9, (60, 4)).astype(float)
    y = (X[:, 0] > X[:, 1]).astype(int)
    expected = proba(X, y)
    containers = {**CONTAINERS, "memory map": lambda X: memmap(X, tmp_path)}
    for name, container in containers.items():
        same = container(X)
        found = small().fit(same, y).predict_proba(same)
        assert_allclose(found, expected, rtol=1e-5, err_msg=name)
    assert_array_equal(proba(X > 4, y), proba((X > 4).astype(float), y))
