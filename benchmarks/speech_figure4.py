"""Figure 4 of the mixup paper: LeNet and VGG-11 on spoken words, plain training and mixup.

Normalised log spectrograms of 160 × 101, batches of 100, Adam at a rate that is divided by 10
after each third of the epochs, a sixth of them without mixing, no augmentation. The paper has
65,000 clips, 30 epochs at 0.003 and full width; for fewer than 10,000 clips it is 60 epochs at
0.001, and a quarter of the channels of VGG-11.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from study import chosen, options, run, start

from mixup_tab.audio import fetch_speech_commands, load_audio_folder, speech_classifier
from mixup_tab.audio.splitting import split_clips
from mixup_tab.benchmark import markdown_table, write_text
from mixup_tab.benchmark.report import failures
from mixup_tab.metrics import classification_scores
from mixup_tab.training import LearningRate

# Errors in percent, validation and test, by net and α (figure 4 of the paper).
PUBLISHED = {
    "lenet 0": (9.8, 10.3),
    "lenet 0.1": (10.1, 10.8),
    "lenet 0.2": (10.2, 11.3),
    "vgg11 0": (5.0, 4.6),
    "vgg11 0.1": (4.0, 3.8),
    "vgg11 0.2": (3.9, 3.4),
}
# The code used for the paper has dropout in LeNet, but not in VGG-11.
DROPOUT = {"lenet": 0.5}
FULL_SIZE = 10_000
NOTE = (
    "Error in percent, means over seeds; a method is a net and its α, 0 is plain training. Δ: "
    "test error minus that of plain training with the same seed, with the 95 % t interval of "
    "its mean. Seeds change weights, batches and mixing, not clips."
)


def make_net(name: str, args: argparse.Namespace) -> Any:
    """Return an untrained net for waveforms in the paper's setting."""
    net, alpha = name.split()
    return speech_classifier(
        net,
        net_params={"width": args.width} if net == "vgg11" else None,
        augment=False,
        kind="log",
        alpha=float(alpha),
        mixing="mixup",
        mixing_span=(1 / 6, 1.0),
        max_epochs=args.epochs,
        batch_size=100,
        learning_rate_init=args.learning_rate,
        weight_decay=0.0,
        dropout=DROPOUT.get(net, 0.0),
        callbacks=[LearningRate("step", every=max(args.epochs // 3, 1))],
        device=args.device,
    )[-1]


def score(n_validation: int, model: Any, X: Any, y: Any, X_test: Any, y_test: Any) -> list:
    """Return a row for the validation clips, which come first, and one for the test clips."""
    codes = np.searchsorted(model.fit(X, y).classes_, y_test)
    proba = model.predict_proba(X_test)
    parts = {"validation": slice(n_validation), "test": slice(n_validation, None)}
    return [
        {"part": name, **classification_scores(codes[part], proba[part])}
        for name, part in parts.items()
    ]


def report(about: str, results: pd.DataFrame, output: Path) -> None:
    """Write mean errors beside the paper's, and paired differences over seeds."""
    done = results[~results["failed"]]
    errors = 100 * done.pivot(index="seed", columns=["method", "part"], values="error")
    rows = []
    for name in done["method"].unique():
        plain = (name.split()[0] + " 0", "test")
        ours = errors[name].dropna()
        row = {"method": name, "seeds": len(ours)}
        row |= {f"{part} %": f"{ours[part].mean():.2f}" for part in ("validation", "test")}
        change = (
            (ours["test"] - errors[plain]).dropna() if plain in errors else ours["test"][:0]
        )
        row["Δ test %"] = interval(change.to_numpy()) if name != plain[0] else ""
        published = PUBLISHED.get(name, ("", ""))
        rows.append(row | {"paper: validation %": published[0], "paper: test %": published[1]})
    table = markdown_table(pd.DataFrame(rows))
    write_text(output, "Figure 4 of the mixup paper", about, table, NOTE, failures(results))


def interval(change: np.ndarray) -> str:
    """Return a mean with its 95 % t interval; without one for a single value."""
    if len(change) < 2:
        return "".join(f"{value:+.2f}" for value in change)
    low, high = stats.ttest_1samp(change, 0).confidence_interval()
    return f"{change.mean():+.2f} ({low:+.2f} to {high:+.2f})"


def main() -> None:
    """Run the study."""
    parser = options("speech-figure4", __doc__, seeds=3, device="auto")
    parser.add_argument("directory", nargs="?", help="folder <word>/*.wav [Speech Commands]")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--width", type=float, help="of VGG-11, 1 is the paper's")
    args = parser.parse_args()
    if args.directory is None:
        clips = fetch_speech_commands("v0.01", task=30, data_home=args.data_home)
    else:
        clips = load_audio_folder(args.directory)
    small = len(clips.target) < FULL_SIZE
    args.epochs = args.epochs or (60 if small else 30)
    args.width = args.width or (0.25 if small else 1.0)
    args.learning_rate = args.learning_rate or (0.001 if small else 0.003)
    shares = {"validation_fraction": 0.1, "test_fraction": 0.2}
    parts = split_clips(clips, **shares, random_state=args.seed)
    split = parts.train, np.concatenate([parts.validation, parts.test])
    about = (
        f"{len(clips.label_names)} words; {len(parts.train):,} clips for training, "
        f"{len(parts.validation):,} for validation, {len(parts.test):,} for testing; "
        f"{args.epochs} epochs at {args.learning_rate:g}, width {args.width:g} of VGG-11."
    )
    names = chosen("methods", args.methods, PUBLISHED)
    run(
        args,
        {name: make_net(name, args) for name in names},
        {"clips": (speech_classifier("lenet")[0].fit_transform(clips.data), clips.target)},
        {"clips": [split] * args.seeds},
        "figure-4-1",
        partial(report, about),
        score=partial(score, len(parts.validation)),
    )


if __name__ == "__main__":
    start(main)
