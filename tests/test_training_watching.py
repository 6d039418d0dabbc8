"""A callback that only watches changes nothing, to the bit."""

import functools
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from skorch.callbacks import Callback, EpochScoring, ProgressBar, TrainEndCheckpoint
from skorch.callbacks import Checkpoint as SkorchCheckpoint

import mixup_tab
from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupRegressor,
    MixupSearchCV,
)
from mixup_tab.robustness.corruption import _TestErrors
from mixup_tab.training import LearningRate, ResumeFile
from mixup_tab.training.callbacks import EpochProgress

SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 8, "random_state": 0, "device": "cpu"}
RNG = np.random.default_rng(0)
X = RNG.normal(size=(61, 3)).astype(np.float32)
CODES = (X[:, 0] + RNG.normal(size=61) > 0).astype(np.int64)
VALUES = X @ [1.0, -2.0, 0.5]
WEIGHT = RNG.uniform(0.5, 2, 61)


class Rude(Callback):
    """Looks at everything, and leaves the net and the global random streams otherwise."""

    def look(self, net):
        net.predict_proba(X[:7])
        torch.manual_seed(0)
        torch.rand(3)
        np.random.seed(1)  # noqa: NPY002
        net.module_.eval()
        net.module_.zero_grad()

    def on_train_begin(self, net, **kwargs):
        self.look(net)

    def on_epoch_begin(self, net, **kwargs):
        self.look(net)

    def on_epoch_end(self, net, **kwargs):
        self.look(net)
        net.history.record("seen", len(net.history))


class RudeToBatches(Rude):
    """The same around every batch."""

    def on_batch_begin(self, net, **kwargs):
        net.predict_proba(X[:7])
        torch.rand(3)
        net.module_.eval()

    on_batch_end = on_batch_begin

    def on_grad_computed(self, net, named_parameters, **kwargs):
        self.norm = sum(p.grad.square().sum() for _, p in named_parameters)
        torch.rand(3)


BAR = SimpleNamespace(update=lambda *args, **kwargs: None)


def validation(folder):
    from mixup_tab.audio.train import Validation

    return Validation(X[:9], np.zeros(9, np.int64), BAR)


def steps(folder):
    from mixup_tab.audio.train import StepProgress

    return StepProgress(BAR)


OURS = {
    "EpochProgress": lambda folder: EpochProgress(lambda epochs: None),
    "ResumeFile": lambda folder: ResumeFile(folder / "a", every=5),
    "_TestErrors": lambda folder: _TestErrors(X[:9], np.zeros(9, np.int64)),
    "Validation": validation,
    "StepProgress": steps,
}
OTHERS = {
    "scoring": lambda folder: EpochScoring("neg_log_loss", on_train=True, name="score"),
    "checkpoint": lambda folder: SkorchCheckpoint(dirname=folder, monitor="train_loss_best"),
    "checkpoint at the end": lambda folder: TrainEndCheckpoint(dirname=folder),
    "progress bar": lambda folder: ProgressBar(),
    "rude": lambda folder: Rude(),
    "rude to batches": lambda folder: RudeToBatches(),
}
# They change training, as they say, or are tested elsewhere.
CHANGING = {"LearningRate", "KeepBestWeights"}
ELSEWHERE = {"_ReportEpochs"}  # tests below, with scikit-learn's callbacks


def test_every_callback_of_ours_is_listed_here():
    files = Path(mixup_tab.__file__).parent.rglob("*.py")
    found = [re.findall(r"^class (\w+)\(Callback\)", f.read_text("utf-8"), re.M) for f in files]
    assert {name for names in found for name in names} == {*OURS} | CHANGING | ELSEWHERE


def result(net):
    """All that training leaves."""
    weights = [tensor.detach().clone() for tensor in net.net_.module_.state_dict().values()]
    return [*weights, np.array(net.loss_curve_)]


def assert_same(one, other):
    assert len(one) == len(other)
    for mine, theirs in zip(one, other, strict=True):
        assert_array_equal(mine, theirs)


CASES = {
    "classes": (MixupClassifier, {"n_estimators": 1}, CODES),
    "dropout, members and weights": (
        MixupClassifier,
        {"dropout": 0.2, "n_estimators": 3},
        CODES,
    ),
    "values": (MixupRegressor, {"mixing_span": (0.2, 0.7), "batch_size": 7}, VALUES),
    "early stopping": (MixupClassifier, {"early_stopping": True, "n_estimators": 2}, CODES),
    "hidden layers": (MixupClassifier, {"mixing": "manifold", "dropout": 0.1}, CODES),
}


def fitted(case, callbacks, **more):
    kind, params, y = CASES[case]
    weight = WEIGHT if "weights" in case else None
    return result(kind(callbacks=callbacks, **{**SMALL, **params, **more}).fit(X, y, weight))


alone = functools.cache(functools.partial(fitted, callbacks=None))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", [*OURS, *OTHERS])
def test_a_fit_that_is_watched_ends_with_the_same_bits(case, name, tmp_path):
    if name == "ResumeFile" and case == "early stopping":
        pytest.skip("a ResumeFile refuses early stopping")
    if name in ("scoring", "_TestErrors", "Validation") and case == "values":
        pytest.skip("for classes")
    if name == "Validation":
        pytest.importorskip("torchaudio")
    assert_same(fitted(case, [{**OURS, **OTHERS}[name](tmp_path)]), alone(case))


@pytest.mark.parametrize("name", ["ResumeFile", "rude to batches", "scoring"])
def test_so_does_a_users_net(name, noisy_net, tmp_path):
    users = {"module": noisy_net, "n_estimators": 2}
    watched = fitted("classes", [{**OURS, **OTHERS}[name](tmp_path)], **users)
    assert_same(watched, fitted("classes", None, **users))


def test_the_default_schedule_by_name_is_the_default():
    assert_same(fitted("classes", [LearningRate("cosine")]), alone("classes"))
    assert not np.array_equal(
        fitted("classes", [LearningRate("constant")])[0], alone("classes")[0]
    )


# ---------------------------------------------------- nets that are trained side by side

TOGETHER = ["EpochProgress", "scoring", "rude"]


@functools.cache
def searched(name, folder):
    callbacks = [{**OURS, **OTHERS}[name](folder)] if name else None
    net = MixupClassifier(**{**SMALL, "n_estimators": 1, "callbacks": callbacks})
    grid = {"alpha": [0.0, 0.5], "dropout": [0.0, 0.3]}
    search = MixupSearchCV(net, grid, scoring="neg_log_loss", cv=2).fit(X, CODES)
    scores = [search.cv_results_[f"split{k}_test_score"] for k in range(2)]
    return [*scores, *result(search.best_estimator_)]


@pytest.mark.parametrize("name", TOGETHER)
def test_a_search_whose_nets_are_watched_finds_the_same(name, tmp_path):
    assert_same(searched(name, tmp_path), searched(None, None))


@pytest.mark.parametrize("name", TOGETHER)
def test_a_watched_ensemble_predicts_the_same(name, tmp_path):
    def ensemble(callbacks):
        kind = {"hidden_layer_sizes": 16, "max_epochs": 5, "callbacks": callbacks}
        kinds = [{**kind, "alpha": 0.2}, {**kind, "mixing": "cutmix", "max_epochs": 7}]
        net = MixupEnsembleClassifier(candidates=kinds, cv=3, random_state=0, device="cpu")
        return net.fit(X, CODES).predict_proba(X)

    watched = ensemble([{**OURS, **OTHERS}[name](tmp_path)])
    assert_array_equal(watched, ensemble(None))


@pytest.mark.parametrize("name", ["EpochProgress", "rude", "ResumeFile"])
def test_a_watched_choice_of_alpha_is_the_same(name, tmp_path):
    def chosen(callbacks):
        params = {**SMALL, "n_estimators": 1, "max_epochs": 3, "callbacks": callbacks}
        net = MixupClassifier("auto", **params).fit(X, CODES)
        return [*net.alpha_scores_.values(), *result(net)]

    assert_same(chosen([{**OURS, **OTHERS}[name](tmp_path)]), chosen(None))


# ------------------------------------------------------------- scikit-learn's callbacks


@pytest.mark.parametrize(
    "make",
    [
        lambda: MixupClassifier(**SMALL),
        lambda: MixupClassifier("auto", **{**SMALL, "n_estimators": 1}),
        lambda: MixupSearchCV(MixupClassifier(**SMALL), {"alpha": [0.0, 0.5]}, cv=2),
        lambda: MixupClassifier(module=None, early_stopping=True, dropout=0.2, **SMALL),
    ],
)
def test_scikit_learns_callbacks_change_nothing(make, capsys):
    callback = pytest.importorskip("sklearn.callback")  # 1.9
    watched, not_watched = make(), make().fit(X, CODES)
    watched.set_callbacks(callback.ProgressBar()).fit(X, CODES)
    assert_array_equal(watched.predict_proba(X), not_watched.predict_proba(X))
