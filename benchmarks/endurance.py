"""Whether memory, open files and threads grow over many calls in one process, on Linux.

::

    python benchmarks/endurance.py
    python benchmarks/endurance.py --fits 100 --searches 20 --saves 20 --clips 50

Each kind of call is warmed up with a twentieth of its calls, at least 20. Growth is that of the
resident memory, from the mean over the first tenth of the calls to that over the last tenth.
"""

from __future__ import annotations

import argparse
import gc
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.audio import read_clip, speech_classifier
from mixup_tab.audio.saving import SpeechCard, load_speech_model, save_speech_model

NET = MixupClassifier(hidden_layer_sizes=(16,), max_epochs=5)
RECIPE = {"model": "lenet", "seconds": 0.2, "sample_rate": 8000, "max_epochs": 1}


def usage() -> list[int]:
    """Return this process's memory in kB, open files and threads."""
    status = Path("/proc/self/status").read_text().splitlines()
    lines = dict(line.split(":", 1) for line in status)
    files = len(os.listdir("/proc/self/fd"))
    return [int(lines["VmRSS"].split()[0]), files, int(lines["Threads"])]


def watch(what: str, call: Callable[[int], object], times: int) -> str:
    """Call a function many times; return a row of the table."""
    used = []
    for number in range(-max(20, times // 20), times):
        call(number % 1000)
        gc.collect()
        if number >= 0:
            used.append(usage())
    memory, files, threads = np.transpose(used)
    tenth = -(-times // 10)
    first, last = memory[:tenth].mean(), memory[-tenth:].mean()
    spans = " | ".join(f"{part.min()} – {part.max()}" for part in (files, threads))
    return f"| {times:,} {what} | {first / 1000:.0f} MB | {last / first - 1:+.2%} | {spans} |"


def table(rows: int = 200) -> tuple[np.ndarray, np.ndarray]:
    """Return a small table with two classes."""
    X = np.random.default_rng(0).normal(size=(rows, 6))
    return X, X[:, 0] * X[:, 1] > 0


def fit_and_predict(number: int) -> None:
    """Fit a net and predict with it."""
    X, y = table()
    NET.set_params(random_state=number).fit(X, y).predict_proba(X)


def search(number: int) -> None:
    """Choose α from three values on two folds."""
    grid = {"alpha": [0, 0.2, 1]}
    MixupSearchCV(NET.set_params(random_state=number), grid, cv=2, n_jobs=1).fit(*table())


def save_and_load(folder: Path) -> Callable[[int], object]:
    """Return a function that saves and loads a speech model."""
    words = ["low", "top"]
    clips = np.random.default_rng(0).integers(-3000, 3000, (20, 1600), dtype=np.int16)
    pipeline = speech_classifier(**RECIPE, device="cpu", random_state=0)
    pipeline[-1].fit(clips, np.repeat(words, 10))
    card = SpeechCard(words, RECIPE, 1600, 20, 0, None)

    def call(number: int) -> None:
        save_speech_model(folder / "model", pipeline, card)
        load_speech_model(folder / "model", device="cpu")[0][-1].predict_proba(clips)

    return call


def read(folder: Path) -> Callable[[int], object]:
    """Return a function that reads a clip of another format or rate each time."""
    sound = np.random.default_rng(0).normal(size=22_050) / 10
    kinds = [("wav", 16_000), ("flac", 22_050), ("ogg", 8_000), ("mp3", 44_100)]
    paths = [folder / f"clip.{kind}" for kind, _ in kinds]
    for path, (_, rate) in zip(paths, kinds, strict=True):
        soundfile.write(path, sound, rate)
    return lambda number: read_clip(paths[number % len(paths)])


def main(arguments: list[str] | None = None) -> None:
    """Print a table with one row per kind of call."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    counts = {"fits": 1000, "searches": 200, "saves": 50, "clips": 200}
    for name, count in counts.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    args = parser.parse_args(arguments)
    print("| what | memory | growth | open files | threads |\n|---|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        print(watch("fits and predictions", fit_and_predict, args.fits), flush=True)
        print(watch("searches", search, args.searches), flush=True)
        print(watch("saves and loads", save_and_load(folder), args.saves), flush=True)
        print(watch("clips read", read(folder), args.clips), flush=True)


if __name__ == "__main__":
    main()
