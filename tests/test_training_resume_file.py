"""A fit that was killed is resumed where it was, and ends with the same bits."""

import pickle
from functools import partial

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback, LRScheduler

from mixup_tab import MLP, MixupClassifier, MixupNet
from mixup_tab.nets import PreparedNet
from mixup_tab.training import LearningRate, ResumeFile
from mixup_tab.training.resume_file import _unpack

EPOCHS = 6


class Killed(Exception):
    pass


class KillAfter(Callback):
    """Ends training abruptly after an epoch, as a power cut would."""

    def __init__(self, epoch):
        self.epoch = epoch

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == self.epoch + 1:
            raise Killed


def table(rows=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def fitted(path, *, more=(), **params):
    params = {"max_epochs": EPOCHS, "dropout": 0.2, "random_state": 3, **params}
    clf = MixupClassifier(callbacks=[ResumeFile(path), *more], **params)
    return clf.fit(*table())


def numbers(clf):
    return torch.cat([p.flatten() for p in clf.net_.module_.parameters()])


class Small(torch.nn.Module):
    def __init__(self, in_features, out_features, dropout):
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Linear(in_features, 8),
            torch.nn.BatchNorm1d(8),
            torch.nn.Dropout(dropout),
            torch.nn.Linear(8, out_features),
        )

    def forward(self, x):
        return self.layers(x)


class Shaken(PreparedNet):
    augments = True

    def __init__(self, in_features, out_features, dropout):
        super().__init__()
        self.net = Small(in_features, out_features, dropout)

    def prepare(self, x):
        return x + torch.rand_like(x) if self.training else x

    def body(self, x):
        return self.net(x)


@pytest.mark.parametrize(
    ("params", "epoch"),
    [
        ({}, 1),
        ({"mixing_span": (0.2, 0.7)}, 4),
        ({"module": Small, "n_estimators": 2}, 4),
        ({"module": Shaken}, 2),
    ],
)
def test_a_killed_fit_is_resumed_to_the_same_bits(tmp_path, params, epoch):
    whole = fitted(tmp_path / "whole", **params)
    with pytest.raises(Killed):
        fitted(tmp_path / "part", more=[KillAfter(epoch)], **params)
    seen = []

    class Watch(Callback):
        def on_epoch_end(self, net, **kwargs):
            seen.append(len(net.history))

    resumed = fitted(tmp_path / "part", more=[Watch()], **params)
    assert seen == list(range(epoch + 1, EPOCHS + 1))
    assert torch.equal(numbers(whole), numbers(resumed))
    assert resumed.loss_curve_ == whole.loss_curve_
    assert resumed.n_iter_ == EPOCHS


def test_a_finished_fit_is_not_trained_again(tmp_path):
    first = fitted(tmp_path / "a")
    again = fitted(tmp_path / "a", more=[KillAfter(0)])
    assert torch.equal(numbers(first), numbers(again))


def test_only_every_so_many_epochs_and_the_last_are_written(tmp_path):
    path = tmp_path / "a"
    kept = []

    class Look(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if path.exists():
                kept.append(len(_unpack(path.read_bytes())["history"]))

        on_train_end = on_epoch_begin

    MixupClassifier(
        max_epochs=5, callbacks=[ResumeFile(path, every=2), Look()], random_state=0
    ).fit(*table())
    assert kept == [2, 2, 4, 5]


def test_nothing_but_the_file_is_left(tmp_path):
    fitted(tmp_path / "folder" / "a")
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["a"]


@pytest.mark.parametrize(
    "params",
    [
        {"alpha": 0.3},
        {"learning_rate_init": 0.1},
        {"random_state": 4},
        {"dropout": 0.3},
        {"hidden_layer_sizes": 64},
        {"mixing_span": (0.5, 1)},
        {"mixing": "mixup"},
        {"weight_decay": 0.5},
        {"more": [LearningRate("step", every=2)]},
    ],
)
def test_a_file_of_other_training_is_refused(tmp_path, params):
    fitted(tmp_path / "a")
    with pytest.raises(ValueError, match="is the file of another training"):
        fitted(tmp_path / "a", **params)


class Scaled(Small):
    """With a setting and a buffer that are neither printed nor in the state."""

    def __init__(self, in_features, out_features, factor=1.0, offset=0.0):
        super().__init__(in_features, out_features, 0.1)
        self.factor = factor
        self.register_buffer("offset", torch.full((1,), offset), persistent=False)

    def forward(self, x):
        return super().forward(x * self.factor + self.offset)


@pytest.mark.parametrize("other", [{"factor": 2.0}, {"offset": 1.0}])
def test_a_file_of_a_net_with_other_settings_is_refused(tmp_path, other):
    fitted(tmp_path / "a", module=partial(Scaled))
    fitted(tmp_path / "a", module=partial(Scaled))
    with pytest.raises(ValueError, match="is the file of another training"):
        fitted(tmp_path / "a", module=partial(Scaled, **other))


def test_a_file_of_a_warm_start_is_not_taken_for_a_fit_from_the_start(tmp_path):
    clf = fitted(tmp_path / "a", warm_start=True)
    clf.fit(*table())
    assert clf.n_iter_ == 2 * EPOCHS
    with pytest.raises(ValueError, match="is the file of another training"):
        fitted(tmp_path / "a")


def test_numbers_of_numpy_in_the_history_are_read_back(tmp_path):
    class Record(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            net.history.record_batch("size", np.int64(len(batch.x)))

    first = fitted(tmp_path / "a", more=[Record()])
    again = fitted(tmp_path / "a", more=[Record()])
    assert list(again.net_.history) == list(first.net_.history)


def test_a_file_of_other_rows_is_refused(tmp_path):
    fitted(tmp_path / "a")
    X, y = table()
    X[7] += 1
    clf = MixupClassifier(
        callbacks=[ResumeFile(tmp_path / "a")], max_epochs=EPOCHS, dropout=0.2, random_state=3
    )
    with pytest.raises(ValueError, match="is the file of another training"):
        clf.fit(X, y)


class Evil:
    def __reduce__(self):
        return print, ("run",)


@pytest.mark.parametrize("content", [b"", b"nonsense", pickle.dumps(Evil())])
def test_a_broken_or_foreign_file_is_refused(tmp_path, content, capsys):
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(ValueError, match="is not a file of ResumeFile, or is broken"):
        fitted(tmp_path / "a")
    assert capsys.readouterr().out == ""


def test_a_truncated_file_is_refused(tmp_path):
    fitted(tmp_path / "a")
    whole = (tmp_path / "a").read_bytes()
    (tmp_path / "a").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="or is broken"):
        fitted(tmp_path / "a")


def test_a_schedule_whose_state_is_not_in_the_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"LRScheduler\. Use .*LearningRate"):
        fitted(tmp_path / "a", more=[LRScheduler("StepLR", step_size=2)])


def test_early_stopping_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Use early_stopping=False"):
        fitted(tmp_path / "a", early_stopping=True)


def test_every_must_be_positive(tmp_path):
    with pytest.raises(ValueError, match="every must be at least 1, got 0"):
        MixupClassifier(callbacks=[ResumeFile(tmp_path / "a", every=0)]).fit(*table())


def test_it_works_in_a_net_of_its_own(tmp_path):
    def net():
        return MixupNet(
            MLP,
            module__in_features=4,
            module__out_features=2,
            max_epochs=3,
            random_state=0,
            verbose=0,
            callbacks=[ResumeFile(tmp_path / "a")],
        )

    X, y = table()
    first, again = net().fit(X, y), net().fit(X, y)
    assert len(again.history) == 3
    assert np.array_equal(first.predict_proba(X), again.predict_proba(X))


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder" / "inside").mkdir(parents=True)
    for place in (tmp_path / "folder", tmp_path / "file" / "a"):
        with pytest.raises(OSError, match=r"cannot be written .* another p"):
            fitted(place)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]
