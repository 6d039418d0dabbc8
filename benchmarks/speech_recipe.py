"""Effect of each choice behind ``speech_classifier`` on accuracy and processor time.

``DIR`` is a folder of sets, with an ``INDEX.csv`` of columns path, set, label, speaker and
split_speaker (train or test). Recipes are compared on held-out training speakers, in folds;
``--final`` fits the default on all of them and scores the test speakers.
"""

from __future__ import annotations

import argparse
import resource
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from sklearn.model_selection import GroupKFold

from mixup_tab.audio import SpecAugment, WaveAugment, speech_classifier

# Parameters of speech_classifier; ``layers`` are parts of its net for waveforms.
RECIPES: dict[str, dict[str, Any]] = {
    "default": {},
    "Adam, as many epochs": {"optimizer": "adam", "learning_rate_init": 0.004},
    "plain training": {"alpha": 0.0},
    "α = 0.5": {"alpha": 0.5},
    "mixed to the end": {"mixing_span": (0.0, 1.0)},
    "CutMix for half": {"mixing": "mixup+cutmix"},
    "learning rate 0.05": {"learning_rate_init": 0.05},
    "learning rate 0.2": {"learning_rate_init": 0.2},
    "batches of 16": {"batch_size": 16},
    "batches of 46": {"batch_size": 46},
    "batches of 62": {"batch_size": 62},
    "1.5 times the width": {"net_params": {"width": 0.375}},
    "1.5 times the width, batches of 62": {"net_params": {"width": 0.375}, "batch_size": 62},
    "twice the width": {"net_params": {"width": 0.5}},
    "a frame each 10 ms": {"layers": {"hop_seconds": 0.01}},
    "64 mel bands": {"layers": {"n_mels": 64}},
    "speed ± 25 %": {"layers": {"augment": WaveAugment(speed=0.25)}},
    "noise in 80 %, two masks": {
        "layers": {"augment": WaveAugment(noise_share=0.8), "masks": SpecAugment(2, 2)}
    },
    "no masks": {"layers": {"masks": None}},
    "no augmentation": {"augment": False},
    "BC-ResNet-1": {"model": "bcresnet"},
}


def make_pipeline(params: dict[str, Any], seed: int) -> Any:
    """Return an untrained pipeline, with some layers replaced."""
    params = {"random_state": seed, **params}
    layers = params.pop("layers", {})
    pipeline = speech_classifier(**params)
    parts = dict(pipeline[-1].module.keywords)
    spectrogram = parts["spectrogram"]
    names = ("sample_rate", "kind", "n_mels", "window_seconds", "hop_seconds", "normalize")
    options = {name: layers.get(name, getattr(spectrogram, name)) for name in names}
    parts["spectrogram"] = type(spectrogram)(**options)
    parts |= {name: layers[name] for name in ("augment", "masks") if name in layers}
    pipeline[-1].module = partial(pipeline[-1].module.func, **parts)
    return pipeline


def fit_and_score(
    params: dict[str, Any], clips: pd.DataFrame, held_out: pd.DataFrame, seed: int
) -> dict[str, float]:
    """Fit on some clips and score others; return errors, seconds of processor, and faults."""
    pipeline = make_pipeline(params, seed)
    X, others = (pipeline[0].fit_transform(part.path) for part in (clips, held_out))
    before = resource.getrusage(resource.RUSAGE_SELF)
    model = pipeline[-1].fit(X, clips.label)
    after = resource.getrusage(resource.RUSAGE_SELF)
    proba = model.predict_proba(others)
    codes = np.searchsorted(model.classes_, held_out.label)
    return {
        "accuracy": 100 * (proba.argmax(1) == codes).mean(),
        "log-loss": -np.log(proba[np.arange(len(codes)), codes].clip(1e-12)).mean(),
        "epochs": model.n_iter_,
        "user s": after.ru_utime - before.ru_utime,
        "system s": after.ru_stime - before.ru_stime,
        "minor faults": after.ru_minflt - before.ru_minflt,
    }


def read_index(directory: Path, name: str) -> pd.DataFrame:
    """Return the clips of one set, with full paths."""
    index = pd.read_csv(directory / "INDEX.csv")
    index = index[index["set"] == name].reset_index(drop=True)
    index["path"] = [str(directory / path) for path in index.path]
    return index


def compare(args: argparse.Namespace, train: pd.DataFrame) -> None:
    """Print a row per recipe: means over folds of training speakers."""
    splitter = GroupKFold(args.splits, shuffle=True, random_state=0)
    folds = list(splitter.split(train, groups=train.speaker))[: args.folds]
    for name in args.recipes or RECIPES:
        params = {**RECIPES[name], **({"max_epochs": args.epochs} if args.epochs else {})}
        rows = [
            fit_and_score(params, train.iloc[kept], train.iloc[left], args.seed)
            for kept, left in folds
        ]
        _print_row(name, pd.DataFrame(rows))


def _print_row(name: str, rows: pd.DataFrame) -> None:
    each = " ".join(f"{accuracy:.1f}" for accuracy in rows.accuracy)
    mean = rows.mean()
    print(
        f"| {name} | {mean.accuracy:.1f} ({each}) | {mean['log-loss']:.3f} "
        f"| {mean.epochs:.0f} | {mean['user s']:.0f} | {mean['system s']:.1f} "
        f"| {mean['minor faults']:,.0f} |",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> None:
    """Compare recipes, or score the default."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, metavar="DIR")
    parser.add_argument("--set", default="speech_commands")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, metavar="NAME")
    parser.add_argument("--splits", type=int, default=3, help="parts of the speakers")
    parser.add_argument("--folds", type=int, default=None, help="how many parts are held out")
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--final", action="store_true", help="score the test speakers")
    args = parser.parse_args(arguments)
    torch.set_num_threads(args.threads)
    clips = read_index(args.directory, args.set)
    train, test = (clips[clips.split_speaker == part] for part in ("train", "test"))
    print("| recipe | accuracy % | log-loss | epochs | user s | system s | minor faults |")
    print("|---|---:|---:|---:|---:|---:|---:|")
    if args.final:
        params = {"max_epochs": args.epochs} if args.epochs else {}
        row = fit_and_score(params, train, test, args.seed)
        _print_row("default, test speakers", pd.DataFrame([row]))
    else:
        compare(args, train)


if __name__ == "__main__":
    main()
