"""What is shown while a speech model is trained."""

import subprocess
import sys
from io import StringIO

import numpy as np
import pytest

from mixup_tab import MixupClassifier
from mixup_tab._terminal import ProgressBar, make_console
from mixup_tab.audio.train import StepProgress
from mixup_tab.nets import LeNet


class Recorder:
    """Stands for a bar."""

    def __init__(self):
        self.updates = []

    def update(self, done, total, remark, *, passing):
        assert passing
        self.updates.append((done, total, remark))


def fit(*callbacks):
    X = np.random.default_rng(0).normal(size=(10, 1, 16, 16)).astype("float32")
    y = np.arange(10) % 2
    options = {"batch_size": 4, "max_epochs": 3, "random_state": 0, "device": "cpu"}
    return MixupClassifier(module=LeNet, callbacks=list(callbacks), **options).fit(X, y)


def test_every_step_moves_the_bar_and_those_of_the_first_epoch_are_counted():
    bar = Recorder()
    watched, alone = fit(StepProgress(bar)), fit()
    steps = 3  # of 4, 4 and 2 rows
    done = [epoch + step / steps for epoch in range(3) for step in range(steps + 1)]
    assert [update[0] for update in bar.updates] == pytest.approx(done)
    assert {update[1] for update in bar.updates} == {3}
    remarks = [update[2] for update in bar.updates]
    assert remarks[:4] == [f"first epoch: step {k} of 3" for k in range(4)]
    assert set(remarks[4:]) == {""}
    assert watched.loss_curve_ == alone.loss_curve_


def test_without_a_terminal_steps_are_a_line_now_and_then(monkeypatch):
    import mixup_tab._terminal as terminal

    now = [0.0]
    monkeypatch.setattr(terminal.time, "monotonic", lambda: now[0])
    log = StringIO()
    with ProgressBar("epoch", console=make_console(log)) as bar:
        for step in range(100):
            now[0] = float(step)
            bar.update(step / 50, 4, f"first epoch: step {step} of 50", passing=True)
        bar.update(2, 4, "epoch 2 of 4: training loss 0.5")
    lines = log.getvalue().splitlines()
    assert len(lines) == 3 + 1
    assert lines[0] == "first epoch: step 31 of 50; 31 s, about 3 min left"
    assert lines[-1].startswith("epoch 2 of 4: training loss 0.5; 99 s")


def test_training_says_at_once_what_it_does(tmp_path):
    """Before torch is imported, which takes seconds; with --quiet it says nothing."""
    command = ["speech", "train", str(tmp_path), "--output", str(tmp_path / "m")]
    code = (
        "import sys; sys.modules['torch'] = None; from mixup_tab.cli import main;"
        f"sys.argv = ['mixup-tab', *{command!r}, *sys.argv[1:]]; main()"
    )
    for options, expected in (((), "Loading PyTorch …\n"), (("--quiet",), "")):
        done = subprocess.run(
            [sys.executable, "-c", code, *options],
            capture_output=True,
            encoding="utf-8",
            check=False,
            timeout=60,
        )
        assert done.returncode == 1
        assert done.stderr.startswith(expected)
        assert ("Loading" in done.stderr) == bool(expected)
