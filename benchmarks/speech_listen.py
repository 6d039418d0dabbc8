"""How well and how cheaply ``listen`` finds words in a long stream.

    mixup-tab speech train FOLDER --output words.mixup
    python benchmarks/speech_listen.py words.mixup CLIPS --minutes 10

CLIPS is a folder <word>/*.wav of words that the model knows; with an INDEX.csv beside the
folder (columns path, split_speaker), only clips of ``--part`` are used. They are put into noise
at random gaps of 1 to 5 seconds, at random loudness. A hit is the right word within a second of
the middle of its clip; a word without a hit is a miss; all else that is heard is a false alarm.
"""

from __future__ import annotations

import argparse
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import soundfile

from mixup_tab.audio import Heard, listen
from mixup_tab.audio.recogniser import load_recogniser

RATE, NEAR = 16_000, 1.0


class Said(NamedTuple):
    """A word in the stream, and the second of its middle."""

    seconds: float
    word: str


def make_stream(
    paths: list[Path], minutes: float, snr: float, seed: int
) -> tuple[np.ndarray, list[Said]]:
    """Return int16 samples and the words in them; ``snr`` is in dB, of the median word."""
    rng = np.random.default_rng(seed)
    length = int(60 * minutes * RATE)
    # Noise whose power falls as 1 / f, at a level that drifts by ±6 dB over half a minute.
    spectrum = np.fft.rfft(rng.normal(size=length))
    noise = np.fft.irfft(spectrum / np.sqrt(np.arange(len(spectrum)) + 1.0), n=length)
    drift = np.cumsum(rng.normal(size=length // RATE + 2))
    drift = 6 * np.sin(2 * np.pi * np.arange(len(drift)) / 30 + drift / 10)
    noise *= 10 ** (np.interp(np.arange(length), np.arange(len(drift)) * RATE, drift) / 20)
    stream = 0.05 * 10 ** (-snr / 20) * noise / noise.std()
    said, place = [], int(rng.uniform(1, 5) * RATE)
    while True:
        path = paths[rng.integers(len(paths))]
        clip, rate = soundfile.read(path, dtype="float32")
        assert rate == RATE, f"{path} has {rate} samples per second"
        if place + len(clip) > length:
            break
        loudest = np.sqrt(np.convolve(clip**2, np.ones(4000) / 4000, "valid").max())
        gain = 0.05 * 10 ** (rng.uniform(-6, 6) / 20) / max(loudest, 1e-4)
        stream[place : place + len(clip)] += gain * clip
        said.append(Said((place + len(clip) / 2) / RATE, path.parent.name))
        place += len(clip) + int(rng.uniform(1, 5) * RATE)
    return np.clip(stream * 32768, -32768, 32767).astype(np.int16), said


def match(said: list[Said], heard: list[Heard]) -> tuple[int, int, int]:
    """Return hits, misses and false alarms; each word can be hit once."""
    left = list(said)
    for one in heard:
        near = [s for s in left if s.word == one.word and abs(s.seconds - one.seconds) <= NEAR]
        if near:
            left.remove(min(near, key=lambda s: abs(s.seconds - one.seconds)))
    hits = len(said) - len(left)
    return hits, len(left), len(heard) - hits


def blocks(stream: np.ndarray) -> Iterator[np.ndarray]:
    """Cut a stream into blocks, as from a microphone."""
    yield from np.array_split(stream, max(len(stream) // 800, 1))


def main() -> None:
    """Print hits, misses, false alarms per hour and the share of a core."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--part", default="train", help="of split_speaker in INDEX.csv")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--snr", type=float, nargs="+", default=[20.0, 10.0])
    parser.add_argument("--threshold", type=float, nargs="+", default=[None])
    parser.add_argument("--smoothing", type=int, nargs="+", default=[5])
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    paths, index = sorted(args.clips.glob("*/*.wav")), args.clips.parent / "INDEX.csv"
    if index.is_file():
        table = pd.read_csv(index).set_index("path")["split_speaker"]
        paths = [p for p in paths if table[str(p.relative_to(index.parent))] == args.part]
    pipeline, _ = load_recogniser(args.model, device="cpu")
    print("SNR dB  threshold  smoothing  words  hits  misses  false alarms/h  % of a core")
    for snr in args.snr:
        stream, said = make_stream(paths, args.minutes, snr, args.seed)
        for threshold in args.threshold:
            for smoothing in args.smoothing:
                before = resource.getrusage(resource.RUSAGE_SELF)
                options = {"threshold": threshold, "smoothing": smoothing}
                heard = list(listen(pipeline, blocks(stream), **options))
                after = resource.getrusage(resource.RUSAGE_SELF)
                used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
                hits, misses, false = match(said, heard)
                shown = "own" if threshold is None else threshold
                print(
                    f"{snr:6.0f}  {shown!s:>9}  {smoothing:9}  {len(said):5}  {hits:4}  "
                    f"{misses:6}  {false / args.minutes * 60:14.0f}  "
                    f"{100 * used / (60 * args.minutes):11.1f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
