"""Google's Speech Commands at full size, in the setting of the BC-ResNet paper.

Kim et al. 2021 (arXiv 2106.04140) and the authors' code: batches of 100, SGD with momentum 0.9
and weight decay 0.001, a learning rate that rises to 0.1 over 5 of 200 epochs and then falls to
0 along a cosine. Clips are shifted by up to 0.1 s, 80 % get background noise, and for τ ≥ 1.5
two stripes of time and two of frequency are hidden. Dropout 0.1, no mixup::

    python benchmarks/speech_commands.py --task 12 --tau 8 --device cuda

What differs: noise is added at 5 to 35 dB, not at a volume of up to 0.1; bands are normalised;
silence is cut from the recordings; "unknown" and "silence" of the test part are other clips
than in the official test archive. ``--schedule recipe`` trains as ``speech_classifier`` does,
with its own optimiser and changes of the clips; ``--alpha 0.2`` adds mixup to either.
"""

from __future__ import annotations

import argparse
import math
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.stats import binomtest
from sklearn.utils import Bunch
from skorch.callbacks import Callback
from study import start

from mixup_tab import MixupNet
from mixup_tab._terminal import ProgressBar, make_console
from mixup_tab.audio import SpecAugment, WaveAugment, fetch_speech_commands, speech_classifier
from mixup_tab.audio.negatives import as_recordings, read_noise
from mixup_tab.audio.splitting import SUBSETS, LabelledClips, read_rows
from mixup_tab.audio.train import fit
from mixup_tab.benchmark import markdown_table

# Accuracy in percent on v0.02 by words, net and τ, as in the paper.
PUBLISHED = {(12, "bcresnet", 1.0): 96.9, (12, "bcresnet", 8.0): 98.7}
# Maximum width of masked stripes, in bands of 40, by τ.
MASKS = {1.5: 1, 2.0: 3, 3.0: 5, 6.0: 7, 8.0: 7}


class WarmUpCosine(Callback):
    """Set the learning rate of every step: five epochs up to ``net.lr``, then a cosine."""

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count earlier steps, because training may have been resumed."""
        steps = math.ceil(len(dataset_train) / net.batch_size)
        self.step_, self.last_ = (len(net.history) - 1) * steps, net.max_epochs * steps
        self.risen_ = min(5, net.max_epochs / 2) * steps

    def on_batch_begin(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Set the rate."""
        self.step_ += training
        left = min((self.last_ - self.step_) / (self.last_ - self.risen_), 1)
        share = min(self.step_ / self.risen_, 1) * (1 - math.cos(math.pi * left)) / 2
        for group in net.optimizer_.param_groups:
            group["lr"] = net.lr * share


def make_net(args: argparse.Namespace, classes: int, samples: int, noise: Any) -> Any:
    """Return a trainer: a ``MixupNet`` as in the paper, or our own classifier."""
    params = {"tau": args.tau} if args.net == "bcresnet" else None
    common = {"alpha": args.alpha, "max_epochs": args.epochs, "batch_size": args.batch_size}
    common |= {"random_state": args.seed, "device": args.device}
    classifier = speech_classifier(args.net, net_params=params, noise=noise, **common)[-1]
    if args.schedule == "recipe":
        return classifier
    width = MASKS.get(args.tau, 0) / 40
    masks = SpecAugment(2, 2, time_width=20 / 101, freq_width=width) if width else None
    augment = WaveAugment(0.1, 0, filter_db=0, snr=(5, 35), noise_share=0.8, noise=noise)
    return MixupNet(
        partial(classifier.module, augment=augment, masks=masks),
        module__out_features=classes,
        module__input_shape=(samples,),
        module__dropout=0.1,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=0.001,
        lr=0.1,
        callbacks=[WarmUpCosine()],
        callbacks__learning_rate=None,
        verbose=0,
        **common,
    )


def read(clips: Bunch, reader: Any, limit: int) -> tuple[list[LabelledClips], Any]:
    """Return the parts as waveforms and class codes, and noise (None if there is none)."""
    frame = clips.frame.reset_index(drop=True).groupby(["label", "subset"]).head(limit)
    parts = []
    with ProgressBar("clip read", len(frame)) as bar:
        for name in SUBSETS:
            rows = frame.index[frame["subset"] == name].to_numpy()
            X, y, _ = read_rows(clips, rows, [reader], "raise", -1, bar.advance)
            parts.append(LabelledClips(X, np.searchsorted(clips.label_names, y), []))
    paths = sorted(Path(frame["path"].iloc[0]).parents[1].glob("_background_noise_/*.wav"))
    # As for silence, the rest of each recording is for validation and test.
    noise = read_noise([str(path) for path in paths], reader, 0.2, "raise").training
    return parts, as_recordings(noise)


def score(net: MixupNet, clips: LabelledClips) -> str:
    """Return the accuracy in percent with its 95 % interval (Wilson)."""
    proba = torch.from_numpy(net.raw_outputs(clips.X)).double().softmax(-1).mean(0)
    right = int((proba.argmax(-1).numpy() == clips.y).sum())
    low, high = binomtest(right, len(clips.y)).proportion_ci(method="wilson")
    return f"{100 * right / len(clips.y):.2f} ({100 * low:.1f} to {100 * high:.1f})"


def main(arguments: list[str] | None = None) -> None:
    """Train, then score the test part once."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--task", type=int, choices=(10, 12, 35), default=12, help="words")
    parser.add_argument("--net", choices=("bcresnet", "resnet"), default="bcresnet")
    parser.add_argument("--schedule", choices=("paper", "recipe"), default="paper")
    parser.add_argument("--data-home", type=Path, help="folder of the set [downloads 2.3 GB]")
    parser.add_argument("--limit", type=int, default=10**6, help="clips per word and part")
    defaults = {"tau": 1.0, "epochs": 200, "batch-size": 100, "alpha": 0.0, "seed": 0}
    defaults |= {"device": "auto", "resume": "speech-commands.resume"}
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"[{value}]")
    args = parser.parse_args(arguments)
    clips = fetch_speech_commands(task=args.task, data_home=args.data_home)
    reader = speech_classifier()[0]
    (training, validation, test), noise = read(clips, reader, args.limit)
    net = make_net(args, len(clips.label_names), training.X.shape[1], noise)
    try:
        fit([reader, net], training, validation, Path(args.resume), make_console())
    except KeyboardInterrupt:
        sys.exit(f"Stopped. The same command resumes from {args.resume}.")
    net = getattr(net, "net_", net)
    row = {"words": args.task, "net": args.net, "τ": args.tau}
    row["weights"] = sum(weight.numel() for weight in net.module_.parameters())
    row |= {"clips": len(training.y), "epochs": len(net.history)}
    row |= {"hours": round(sum(net.history[:, "dur"]) / 3600, 2)}
    row |= {"validation %": score(net, validation), "test %": score(net, test)}
    row["the paper's %"] = PUBLISHED.get((args.task, args.net, args.tau), "")
    print(markdown_table(pd.DataFrame([row])))


if __name__ == "__main__":
    start(main)
