"""Figure 4 of the mixup paper (Zhang et al. 2017): LeNet and VGG-11 on spoken words.

Normalised log spectrograms of 160 × 101, batches of 100, Adam at a rate that is divided by 10
after each third of the epochs, a sixth of them without mixing, no augmentation::

    python benchmarks/speech_figure4.py                      # Speech Commands, downloaded
    python benchmarks/speech_figure4.py DIR --alpha 0.2      # any folder <word>/*.wav

The paper has 65,000 clips, 30 epochs at 0.003 and full width. For fewer than 10,000 clips
VGG-11 has a quarter of its channels, and training takes 60 epochs at 0.001.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mixup_tab.benchmark import markdown_table, run_benchmark, write_text
from scipy import stats

from mixup_tab.audio import (
    fetch_speech_commands,
    load_audio_folder,
    read_clips,
    speech_classifier,
)
from mixup_tab.audio.parts import split_clips
from mixup_tab.metrics import classification_scores
from mixup_tab.training import LearningRate

# Errors in percent, validation and test, by net and α (figure 4 of the paper).
PUBLISHED = {
    ("lenet", 0.0): (9.8, 10.3),
    ("lenet", 0.1): (10.1, 10.8),
    ("lenet", 0.2): (10.2, 11.3),
    ("vgg11", 0.0): (5.0, 4.6),
    ("vgg11", 0.1): (4.0, 3.8),
    ("vgg11", 0.2): (3.9, 3.4),
}
# The code that the paper used has dropout in LeNet, and none in VGG-11.
DROPOUT = {"lenet": 0.5}
FULL_SIZE = 10_000


def make_net(net: str, alpha: float, options: argparse.Namespace) -> Any:
    """Return an untrained net for waveforms in the paper's setting."""
    pipeline = speech_classifier(
        net,
        net_params={"width": options.width} if net == "vgg11" else None,
        augment=False,
        kind="log",
        alpha=alpha,
        mixing="mixup",
        warmup_epochs=options.epochs // 6,
        max_epochs=options.epochs,
        batch_size=100,
        learning_rate_init=options.learning_rate,
        weight_decay=0.0,
        dropout=DROPOUT.get(net, 0.0),
        callbacks=[LearningRate("step", every=max(options.epochs // 3, 1))],
        device=options.device,
    )
    return pipeline[-1]


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
    keys = results["method"].str.extract(r"(?P<net>\S+) α=(?P<α>\S+)").astype({"α": float})
    errors = results.join(keys).assign(error=100 * results["error"])
    errors = errors.pivot(index=["net", "α", "seed"], columns="part", values="error").dropna()
    rows = []
    for (net, alpha), part in errors.groupby(level=["net", "α"], sort=False):
        row = {"net": net, "α": alpha, "seeds": len(part)}
        row |= {f"{name} %": part[name].mean() for name in ("validation", "test")}
        if alpha and (net, 0.0) in errors.index:
            change = (part.loc[net, alpha] - errors.loc[net, 0.0])["test"].dropna()
            row["test, mixup − plain training"] = interval(change.to_numpy())
        published = PUBLISHED.get((net, alpha), (np.nan, np.nan))
        rows.append(row | dict(zip(("paper: validation %", "paper: test %"), published)))
    note = (
        "Error in percent, means over seeds; α = 0 is plain training. In brackets the 95 % t "
        "interval of the mean difference; seeds change weights, batches and mixing, not clips."
    )
    table = pd.DataFrame(rows)
    table = markdown_table(table, {c: "{:.2f}" for c in table if c.endswith("%")})
    print(
        write_text(output, "Figure 4 of the mixup paper", about, table, note).read_text("utf-8")
    )


def interval(change: np.ndarray) -> str:
    """Return a mean with its 95 % t interval, which a single value has not."""
    if len(change) < 2:
        return "".join(f"{value:+.2f}" for value in change)
    low, high = stats.ttest_1samp(change, 0).confidence_interval()
    return f"{change.mean():+.2f} ({low:+.2f} to {high:+.2f})"


def main(arguments: list[str] | None = None) -> None:
    """Run the study; the same command with the same output resumes it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("directory", nargs="?", help="folder <word>/*.wav")
    parser.add_argument("--data-home", help="folder of downloads")
    parser.add_argument("--nets", nargs="+", default=["lenet", "vgg11"])
    parser.add_argument("--alpha", type=float, nargs="+", default=[0.1, 0.2], help="beside 0")
    parser.add_argument("--seeds", type=int, default=3, help="nets per setting")
    parser.add_argument("--seed", type=int, default=0, help="the first seed")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--learning-rate", type=float)
    parser.add_argument("--width", type=float, help="channels of VGG-11, 1 is the paper's")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--jobs", type=int, default=1, help="processes; -1 is one per core")
    parser.add_argument("--output", default="speech-figure4", help="folder of the results")
    options = parser.parse_args(arguments)
    if options.directory is None:
        clips = fetch_speech_commands("v0.01", task=30, data_home=options.data_home)
    else:
        clips = load_audio_folder(options.directory)
    small = len(clips.target) < FULL_SIZE
    options.epochs = options.epochs or (60 if small else 30)
    options.width = options.width or (0.25 if small else 1.0)
    options.learning_rate = options.learning_rate or (0.001 if small else 0.003)
    parts = split_clips(
        clips, validation_fraction=0.1, test_fraction=0.2, random_state=options.seed
    )
    split = parts.train, np.concatenate([parts.validation, parts.test])
    about = (
        f"{len(clips.label_names)} words; {len(parts.train):,} clips for training, "
        f"{len(parts.validation):,} for validation, {len(parts.test):,} for testing; "
        f"{options.epochs} epochs at {options.learning_rate:g}, VGG-11 at "
        f"{options.width:g} of its width."
    )
    run_benchmark(
        {
            f"{net} α={alpha:g}": make_net(net, alpha, options)
            for net in options.nets
            for alpha in (0.0, *options.alpha)
        },
        {"clips": (read_clips(clips.data).waveforms, clips.target)},
        {"clips": [split] * options.seeds},
        version="figure 4, 1",
        output=options.output,
        n_jobs=options.jobs,
        score=partial(score, len(parts.validation)),
        report=partial(report, about),
        random_state=options.seed,
    )


if __name__ == "__main__":
    main()
