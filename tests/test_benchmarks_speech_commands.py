"""The study of Google's Speech Commands, on a miniature of the archive."""

import math
import sys
from argparse import Namespace
from pathlib import Path

import numpy as np
import pytest
import torch
from skorch.callbacks import Callback
from speech_commands_archive import files, laid_out

from mixup_tab import MixupNet
from mixup_tab.training import ResumeFile

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ is not in an installed package", allow_module_level=True)
sys.path.append(str(BENCHMARKS))
pytestmark = pytest.mark.slow  # a maintainers' study
pytest.importorskip("soundfile", reason="soundfile is not installed")

EPOCHS, ROWS, BATCH = 12, 10, 4


@pytest.fixture(scope="module")
def study():
    import speech_commands

    return speech_commands


class Rates(Callback):
    """Remembers the learning rate of every step; may interrupt the training."""

    def __init__(self, stop_after=None):
        self.rates, self.stop_after = [], stop_after

    def on_batch_end(self, net, training=False, **kwargs):
        if training:
            self.rates.append(net.optimizer_.param_groups[0]["lr"])

    def on_epoch_begin(self, net, **kwargs):
        if self.stop_after is not None and len(net.history) > self.stop_after:
            raise KeyboardInterrupt


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.line = torch.nn.Linear(3, 2)

    def forward(self, x):
        return self.line(x)


def fit(study, *callbacks):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(ROWS, 3)).astype("float32"), np.arange(ROWS) % 2
    net = MixupNet(
        Line,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        lr=0.1,
        alpha=0,
        max_epochs=EPOCHS,
        batch_size=BATCH,
        callbacks=[study.WarmUpCosine(), *callbacks],
        callbacks__learning_rate=None,
        random_state=0,
        verbose=0,
        device="cpu",
    )
    return net.fit(X, y)


def test_the_rate_rises_and_falls_as_in_the_authors_code(study):
    watched = Rates()
    fit(study, watched)
    steps = math.ceil(ROWS / BATCH)
    rising, total, expected = 5 * steps, EPOCHS * steps, []
    for step in range(1, total + 1):
        falling = math.cos(math.pi * (step - rising) / (total - rising))
        expected.append(0.1 * (step / rising if step < rising else 0.5 * (1 + falling)))
    assert watched.rates == pytest.approx(expected, abs=1e-12)


@pytest.mark.filterwarnings("ignore:Training was interrupted")
def test_training_with_momentum_resumes_to_the_same_bits(study, tmp_path):
    whole = fit(study)
    fit(study, ResumeFile(tmp_path / "resume"), Rates(stop_after=3))
    rest = Rates()
    resumed = fit(study, ResumeFile(tmp_path / "resume"), rest)
    assert len(rest.rates) == (EPOCHS - 3) * math.ceil(ROWS / BATCH)
    pairs = zip(whole.module_.parameters(), resumed.module_.parameters(), strict=True)
    assert all(torch.equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("schedule", ["paper", "recipe"])
def test_every_task_runs_from_the_archive_to_a_score(study, schedule, tmp_path, capsys):
    tree = tmp_path / "SpeechCommands" / "speech_commands_v0.02"
    laid_out(files(of_training=3), tree)
    common = ["--data-home", tmp_path, "--device", "cpu", "--epochs", "1", "--limit", "3"]
    common += ["--schedule", schedule, "--resume", tmp_path / "resume"]
    task = {"paper": 12, "recipe": 35}[schedule]
    study.main([*map(str, common), "--task", str(task)])
    out = capsys.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith(f"| {task} |")]
    cells = [cell.strip() for cell in line.split("|")[1:-1]]
    weights = {12: "9232", 35: "9991"}[task]
    assert cells[:6] == [str(task), "bcresnet", "1.0", weights, str(3 * task), "1"]
    share, interval = cells[8].split(" (")
    assert 0 <= float(share) <= 100
    assert interval.endswith(")")
    assert cells[9] == {12: "96.9", 35: ""}[task]
    assert "epoch 1 of 1" in out


def test_the_setting_is_that_of_the_paper(study):
    args = Namespace(net="bcresnet", tau=8.0, alpha=0.0, epochs=200, batch_size=100, seed=0)
    args.device, args.schedule = "cpu", "paper"
    net = study.make_net(args, 12, 16_000, None).initialize()
    assert sum(p.numel() for p in net.module_.parameters()) == 321_068
    module, group = net.module_, net.optimizer_.param_groups[0]
    assert (group["momentum"], group["weight_decay"], net.lr) == (0.9, 0.001, 0.1)
    assert (module.augment.shift, module.augment.speed, module.augment.filter_db) == (0.1, 0, 0)
    assert (module.masks.freq_masks, module.masks.time_masks) == (2, 2)
    assert module.masks.freq_width * 40 == pytest.approx(7)
    assert module.masks.time_width * 101 == pytest.approx(20)
    drops = [part.p for part in module.modules() if isinstance(part, torch.nn.Dropout2d)]
    assert set(drops) == {0.1}
    args.tau = 1.0
    assert study.make_net(args, 12, 16_000, None).initialize().module_.masks is None
