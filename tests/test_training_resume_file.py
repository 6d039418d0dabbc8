"""A fit that was killed is resumed where it was, and ends with the same bits."""

import hashlib
import json
import os
import pickle
import random
import re
import signal
import subprocess
import sys
from functools import partial

import hostile
import numpy as np
import pytest
import torch
from skorch.callbacks import (
    Callback,
    EarlyStopping,
    EpochScoring,
    Freezer,
    GradientNormClipping,
    LRScheduler,
)
from skorch.dataset import ValidSplit

from mixup_tab import MLP, Mixup, MixupClassifier, MixupNet, RegMixup
from mixup_tab.nets import PreparedNet
from mixup_tab.training import LearningRate, ResumeFile
from mixup_tab.training.resume_file import FORMAT, _unpack

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


class Convolved(torch.nn.Module):
    """Weights in channels last, as fast convolutions want them."""

    def __init__(self, in_features, out_features, dropout):
        super().__init__()
        self.layer = torch.nn.Conv2d(2, out_features, (2, 1))
        self.layer.weight.data = self.layer.weight.data.contiguous(
            memory_format=torch.channels_last
        )

    def forward(self, x):
        return self.layer(x.view(-1, 2, 2, 1)).flatten(1)


@pytest.mark.parametrize(
    ("params", "epoch"),
    [
        ({}, 1),
        ({"max_epochs": 12, "alpha": 0.5}, 5),  # in the middle of epochs made at once
        ({"mixing_span": (0.2, 0.7)}, 4),
        ({"max_epochs": 24, "early_stopping": True, "n_estimators": 2}, 12),
        ({"module": Small, "n_estimators": 2}, 4),
        ({"module": Shaken}, 2),
        ({"module": Convolved}, 2),
        ({"module": Convolved, "optimizer": "muon", "learning_rate_init": 0.1}, 2),
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
    assert seen == list(range(epoch + 1, whole.n_iter_ + 1))
    assert torch.equal(numbers(whole), numbers(resumed))
    assert resumed.loss_curve_ == whole.loss_curve_
    assert resumed.n_iter_ == params.get("max_epochs", EPOCHS)
    assert torch.equal(*(clf.net_.epoch_losses_["train"] for clf in (whole, resumed)))


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
        {"mixing": RegMixup(Mixup(folded=True))},
        {"max_epochs": 7},
        {"batch_size": 15},
        {"more": [GradientNormClipping(0.5)]},
        {"weight_decay": 0.5},
        {"more": [LearningRate("step", every=2)]},
    ],
)
def test_a_file_of_other_training_is_refused(tmp_path, params):
    fitted(tmp_path / "a")
    with pytest.raises(ValueError, match="belongs to another training"):
        fitted(tmp_path / "a", **params)


class Scaled(Small):
    """With settings and a buffer that are neither printed nor in the state."""

    def __init__(self, in_features, out_features, factor=1.0, offset=0.0, more=None):
        super().__init__(in_features, out_features, 0.1)
        self.factor, self.more = factor, more
        self.register_buffer("offset", torch.full((1,), offset), persistent=False)

    def forward(self, x):
        return super().forward(x * self.factor + self.offset)


class OtherCode(Scaled):
    def forward(self, x):
        return super().forward(x * self.factor - self.offset)


OtherCode.__qualname__ = "Scaled"

OTHER_NETS = {
    "number": partial(Scaled, factor=2.0),
    "buffer": partial(Scaled, offset=1.0),
    "list": partial(Scaled, more=[1]),
    "dict": partial(Scaled, more={"a": np.zeros(2)}),
    "tensor": partial(Scaled, more=(torch.zeros(2),)),
    "function": partial(Scaled, more=lambda x: 2 * x),
    "code": OtherCode,
}


@pytest.mark.parametrize("other", OTHER_NETS.values(), ids=OTHER_NETS)
def test_a_file_of_a_net_with_other_settings_is_refused(tmp_path, other):
    fitted(tmp_path / "a", module=partial(Scaled))
    fitted(tmp_path / "a", module=Scaled)
    with pytest.raises(ValueError, match="belongs to another training: net differs"):
        fitted(tmp_path / "a", module=other)


def test_a_file_of_a_warm_start_is_not_taken_for_a_fit_from_the_start(tmp_path):
    clf = fitted(tmp_path / "a", warm_start=True)
    clf.fit(*table())
    assert clf.n_iter_ == 2 * EPOCHS
    with pytest.raises(ValueError, match="belongs to another training"):
        fitted(tmp_path / "a")


def test_numbers_of_numpy_in_the_history_are_read_back(tmp_path):
    class Record(Callback):
        def on_batch_end(self, net, batch, training, **kwargs):
            net.history.record_batch("size", np.int64(len(batch.x)))

    first = fitted(tmp_path / "a", more=[Record()])
    again = fitted(tmp_path / "a", more=[Record()])
    assert list(again.net_.history) == list(first.net_.history)


def big_table():
    rng = np.random.default_rng(1)
    return rng.normal(size=(2500, 3)).astype(np.float32), np.arange(2500) % 2


def net_on_big_table(path, X, y, weight=None, **params):
    kept = {
        "module__in_features": 3,
        "module__out_features": 2,
        "module__hidden_layer_sizes": (),
    }
    setting = {"batch_size": 500, "max_epochs": 1, "random_state": 0, "verbose": 0, **kept}
    setting |= {"callbacks": [ResumeFile(path)], **params}
    return MixupNet(MLP, **setting).partial_fit(X, y, sample_weight=weight)


@pytest.mark.parametrize("what", ["X", "y", "weight"])
def test_one_other_number_in_any_row_is_noticed(tmp_path, what):
    data = dict(zip("Xy", big_table(), strict=True)) | {"weight": np.ones(2500)}
    net_on_big_table(tmp_path / "a", **data)
    net_on_big_table(tmp_path / "a", **data)
    for row in (1, 1234, 2499):
        other = {name: values.copy() for name, values in data.items()}
        other[what][row] = other[what][row] + 1 if what == "weight" else 1 - other[what][row]
        with pytest.raises(ValueError, match=r"to another training: data differ\."):
            net_on_big_table(tmp_path / "a", **other)


def test_the_rows_held_out_and_their_rule_are_data(tmp_path):
    X, y = big_table()
    split = {"train_split": ValidSplit(5)}
    net_on_big_table(tmp_path / "a", X, y, **split)
    with pytest.raises(ValueError, match="data differ"):
        net_on_big_table(tmp_path / "a", X, y, train_split=ValidSplit(4))
    with pytest.raises(ValueError, match="data differ"):
        net_on_big_table(tmp_path / "a", X, y)


def test_another_version_is_named(tmp_path, monkeypatch):
    X, y = big_table()
    net_on_big_table(tmp_path / "a", X, y)
    monkeypatch.setattr(torch, "__version__", "2.0")
    with pytest.raises(ValueError, match=r"torch was .* and is 2\.0"):
        net_on_big_table(tmp_path / "a", X, y)


class Evil:
    def __reduce__(self):
        return print, ("run",)


def whole_and_part(folder):
    """A fit to its end, and the bytes of its file after three of four epochs."""
    X, y = big_table()
    X, y, path = X[:40], y[:40], folder / "whole"
    setting = {"max_epochs": 4, "module__hidden_layer_sizes": (5,), "module__dropout": 0.2}
    seen = []

    class Keep(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if path.exists():
                seen.append(path.read_bytes())

    net = net_on_big_table(path, X, y, callbacks=[ResumeFile(path), Keep()], **setting)

    def resumed(content):
        (folder / "part").write_bytes(content)
        return net_on_big_table(folder / "part", X, y, **setting)

    return net, seen[-1], resumed


def same_bits(one, other):
    tensors = [net.module_.state_dict().values() for net in (one, other)]
    return list(map(torch.equal, *tensors)) and losses(one) == losses(other)


def losses(net):
    return net.history[:, "train_loss"]


REFUSED = "was not written by ResumeFile, or is damaged|belongs to another training"
REFUSED += "|became infinite or NaN"


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\n" * 300, pickle.dumps(Evil())])
def test_a_foreign_file_is_refused_and_runs_nothing(tmp_path, content, capsys):
    _, _, resumed = whole_and_part(tmp_path)
    with pytest.raises(ValueError, match=REFUSED):
        resumed(content)
    assert capsys.readouterr().out == ""


def outcome(resumed, content):
    """The net that was resumed; None if the file, or numbers forged into it, were refused."""
    try:
        return resumed(content)
    except ValueError as error:
        if not re.search(REFUSED, str(error)):
            raise
        return None


def test_damaged_files_are_noticed(tmp_path):
    net, part, resumed = whole_and_part(tmp_path)
    rng, refused = random.Random(0), 0
    for _ in range(hostile.number_of_cases(60)):
        found = outcome(resumed, hostile.mutate_bytes(part, rng))
        refused += found is None
        assert found is None or same_bits(net, found)
    assert refused > 0.9 * hostile.number_of_cases(60)
    assert same_bits(net, resumed(part))


def signed(head, numbers):
    """A file with these contents whose hash is right."""
    body = json.dumps(head).encode() + b"\n" + numbers
    return f"{FORMAT} {hashlib.sha256(body).hexdigest()}\n".encode() + body


def test_forged_files_are_refused_or_used_without_another_error(tmp_path):
    _, part, resumed = whole_and_part(tmp_path)
    _, head, numbers = part.split(b"\n", 2)
    head, rng = json.loads(head), random.Random(0)
    assert outcome(resumed, part)  # what resuming imports is imported
    results = []
    with hostile.watched() as done:
        for _ in range(hostile.number_of_cases(90)):
            bits = rng.random() < 0.3
            forged = rng.randbytes(999) + numbers[999:] if bits else numbers
            results.append(
                outcome(
                    resumed, signed(head if bits else hostile.mutate_json(head, rng), forged)
                )
            )
    assert None in results
    assert any(results)
    assert not [event for event in done if str(tmp_path) not in event[1]]


def test_a_file_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "part").touch()
    os.truncate(tmp_path / "part", 1 << 40)  # takes no space on the disk
    with pytest.raises(ValueError, match=REFUSED):
        net_on_big_table(tmp_path / "part", *big_table())


def test_what_cannot_be_kept_is_named(tmp_path):
    class Record(Callback):
        def on_epoch_end(self, net, **kwargs):
            net.history.record("x", {1, 2})

    with pytest.raises(TypeError, match=r"cannot save a set, which a callback .* net\.history"):
        fitted(tmp_path / "a", more=[Record()])
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- one fit, and a full disk


def test_a_second_fit_on_the_same_file_is_refused_and_leaves_the_first_alone(tmp_path):
    errors = []

    class FitAgain(Callback):
        def on_epoch_end(self, net, **kwargs):
            with pytest.raises(ValueError, match="in use by another run") as caught:
                fitted(tmp_path / "a")
            errors.append(caught.value)

    first = fitted(tmp_path / "a", more=[FitAgain()], max_epochs=2)
    assert len(errors) == 2
    assert torch.equal(numbers(first), numbers(fitted(tmp_path / "b", max_epochs=2)))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_fit_that_fails_lets_go_of_the_file(tmp_path):
    with pytest.raises(Killed) as held:  # as a notebook keeps the last error
        fitted(tmp_path / "a", more=[KillAfter(2)])
    assert fitted(tmp_path / "a").n_iter_ == EPOCHS
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert held


FULL = """
import resource, sys
from mixup_tab import MixupClassifier
from mixup_tab.training import ResumeFile
from skorch.callbacks import Callback
import numpy as np

class Fill(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 3:
            resource.setrlimit(resource.RLIMIT_FSIZE, (2000, -1))

X = np.random.default_rng(0).normal(size=(60, 4)).astype("float32")
MixupClassifier(callbacks=[ResumeFile(sys.argv[1]), Fill()], max_epochs=6, dropout=0.2,
                random_state=3).fit(X, X[:, 0] > 0)
"""


@pytest.mark.slow
def test_a_full_disk_ends_the_fit_and_keeps_what_was_written(tmp_path):
    pytest.importorskip("resource")
    command = [sys.executable, "-c", FULL, str(tmp_path / "a")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    last = ended.stderr.strip().splitlines()[-1]
    assert re.match(r"OSError: .*a' cannot be written \(File too large\)", last)
    assert "ended after epoch 3 of 6. The next fit resumes after epoch 2, which is" in last
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert torch.equal(numbers(fitted(tmp_path / "a")), numbers(fitted(tmp_path / "b")))


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from test_training_resume_file import Callback, fitted

class Kill(Callback):
    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) == 4:
            os.kill(os.getpid(), signal.SIGKILL)

fitted(sys.argv[1], more=[Kill()])
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_process_that_was_killed_blocks_nobody(tmp_path):
    script = KILLED.format(tests=os.path.dirname(__file__))
    command = [sys.executable, "-c", script, str(tmp_path / "a")]
    ended = subprocess.run(command, check=False)
    assert ended.returncode == -signal.SIGKILL
    resumed = fitted(tmp_path / "a")
    assert torch.equal(numbers(resumed), numbers(fitted(tmp_path / "b")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_schedule_whose_state_is_not_in_the_file_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"LRScheduler\. Use .*LearningRate"):
        fitted(tmp_path / "a", more=[LRScheduler("StepLR", step_size=2)])


def test_a_callback_that_freezes_at_an_epoch_is_refused(tmp_path):
    with pytest.raises(ValueError, match="the state of skorch's Freezer"):
        fitted(tmp_path / "a", more=[Freezer("weight0", at=2)])


def test_best_scores_are_resumed_as_well(tmp_path):
    def scored(path, *more):
        score = EpochScoring("accuracy", on_train=True, name="score", lower_is_better=False)
        return fitted(path, more=[score, *more], max_epochs=12)

    whole = scored(tmp_path / "a")
    with pytest.raises(Killed):
        scored(tmp_path / "b", KillAfter(7))
    best = [clf.net_.history[:, "score_best"] for clf in (whole, scored(tmp_path / "b"))]
    assert best[0] == best[1]
    assert sum(best[0][:7]) > 1


def test_skorchs_early_stopping_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"EarlyStopping\. Use .*KeepBestWeights"):
        fitted(tmp_path / "a", more=[EarlyStopping()])


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
