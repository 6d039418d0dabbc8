"""How well ``mixup-tab speech train`` rejects words that it was not trained on.

``DIR`` holds ``INDEX.csv`` with the columns path, set, label, speaker and split_speaker. Three
of its ten words of Speech Commands are left out of training, several times. A third of the
training speakers is held out for the scores, and a tenth of the others chooses the threshold.
Other sounds are first those that ``train`` makes; then also recordings of two of the three
words, and the third is scored. Test speakers are not used.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab.audio import speech_classifier
from mixup_tab.audio.answers import UNKNOWN
from mixup_tab.audio.negatives import Noise
from mixup_tab.audio.other_sounds import add_others, with_threshold
from mixup_tab.audio.splitting import LabelledClips

LEFT_OUT = [
    ("up", "no", "stop"),
    ("yes", "left", "go"),
    ("down", "right", "off"),
    ("on", "stop", "yes"),
]


def read(root: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Return the clips of the training speakers, and their words and speakers."""
    index = pd.read_csv(root / "INDEX.csv")
    index = index[(index["set"] == "speech_commands") & (index["split_speaker"] == "train")]
    paths = [str(root / path) for path in index["path"]]
    return speech_classifier()[0].transform(paths), index.reset_index(drop=True)


def parts(index: pd.DataFrame, seed: int) -> np.ndarray:
    """Return the part of every clip, by speaker: train, validation or test."""
    speakers = np.random.default_rng(seed).permutation(np.unique(index["speaker"]))
    place = index["speaker"].map({one: k for k, one in enumerate(speakers)}) / len(speakers)
    return np.select([place < 1 / 3, place < 0.4], ["test", "validation"], "train")


def measure(
    X: np.ndarray,
    index: pd.DataFrame,
    left_out: tuple[str, ...],
    recorded: tuple[str, ...],
    args: argparse.Namespace,
) -> dict[str, Any]:
    """Train without some words; return the results on known words and on those."""
    part, label = parts(index, args.seed), index["label"].to_numpy(str)
    label = np.where(np.isin(label, recorded), UNKNOWN, label)
    taught = ~np.isin(label, left_out)
    clips = [
        LabelledClips(X[rows], label[rows].astype("<U9"), [])
        for rows in (taught & (part == name) for name in ("train", "validation"))
    ]
    none = Noise(X[:0], X[:0], [])
    training, validation, _, others = add_others(*clips, none, args.seed)
    started = process_time()
    params = {"max_epochs": args.epochs} if args.epochs else {}
    net = speech_classifier(args.model, random_state=args.seed, **params)[-1]
    net.fit(training.X, training.y)
    seconds = process_time() - started
    model, found, _ = with_threshold(net, validation.X, others, args.lost, args.false_alarms)
    held_out = part == "test"
    known = held_out & taught & (label != UNKNOWN)
    strange = held_out & np.isin(index["label"], left_out) & ~np.isin(index["label"], recorded)
    proba = net.predict_proba(X[known])
    words = net.classes_ != UNKNOWN
    best = net.classes_[words][proba[:, words].argmax(1)]
    answers = model.predict(X[known])
    assert found is not None
    return {
        "left out": ", ".join(w for w in left_out if w not in recorded),
        "other sounds": "made" + (f"; recordings of {', '.join(recorded)}" if recorded else ""),
        "right, nothing refused %": 100 * np.mean(best == label[known]),
        "known lost %": 100 * np.mean(answers == UNKNOWN),
        "known right %": 100 * np.mean(answers == label[known]),
        "left out refused %": 100 * np.mean(model.predict(X[strange]) == UNKNOWN),
        "threshold": f"{found.threshold:.3f}",
        "validation false alarms %": 100 * found.false_alarms,
        "processor s": seconds,
    }


def main() -> None:
    """Measure every choice, and print a row for each."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", type=Path, metavar="DIR")
    parser.add_argument("--model", default="resnet")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--lost", type=float, default=0.05)
    parser.add_argument("--false-alarms", type=float)
    parser.add_argument("--choices", type=int, default=len(LEFT_OUT))
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    X, index = read(args.root)
    rows = []
    for left_out in LEFT_OUT[: args.choices]:
        for recorded in ((), left_out[:2]):
            rows.append(measure(X, index, left_out, recorded, args))
            print(pd.DataFrame(rows[-1:]).to_markdown(index=False, floatfmt=".1f"), flush=True)
    table = pd.DataFrame(rows)
    print(table.to_markdown(index=False, floatfmt=".1f"))
    means = table.groupby(table["other sounds"] == "made").mean(numeric_only=True)
    print(means.rename({True: "made", False: "with recordings"}).to_markdown(floatfmt=".1f"))


if __name__ == "__main__":
    main()
