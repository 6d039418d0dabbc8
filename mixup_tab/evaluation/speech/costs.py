"""What training from waveforms costs beside the net itself: time, memory, one clip."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from mixup_tab.audio import read_clips, speech_classifier
from mixup_tab.evaluation.speed.measuring import (
    STATUS,
    Row,
    human,
    in_fresh_process,
    read_status,
    seconds,
    single_figure,
)

SAMPLES = 16_000
MODEL = "vgg11"
WORDS = 10
# What this project asks of itself.
SHARE_GOAL, CLIP_SECONDS, BYTES_PER_CLIP = 0.10, 0.030, 4e9 / 100_000


def make_clips(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return seconds of noise and labels.

    Parameters
    ----------
    count : int
        Clips, at least ``WORDS``.

    Returns
    -------
    X : ndarray of int16, shape (count, 16_000)
    y : ndarray of int64, shape (count,)
    """
    block = np.random.default_rng(0).integers(-3000, 3000, (256, SAMPLES), dtype=np.int16)
    X = np.empty((count, SAMPLES), dtype=np.int16)
    for start in range(0, count, len(block)):
        X[start : start + len(block)] = block[: count - start]
    return X, np.arange(count) % WORDS


def rows_of_costs(clips: int = 10_000) -> Iterator[Row]:
    """Measure what is beside forward and backward passes, latency and memory.

    Parameters
    ----------
    clips : int, default=10_000
        Clips of the measurement of memory.

    Yields
    ------
    Row
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = _write_files(Path(folder))
        for what, options in (
            ("augmented, spectrograms mixed", {"kind": "log"}),
            ("augmented, waveforms mixed", {"kind": "log", "level": "waveform"}),
        ):
            yield row_of_share(what, options, paths)
        for model, options in (("lenet", {"kind": "log"}), ("bcresnet", {})):
            yield row_of_one_clip(model, options, paths[:20])
    if STATUS.exists():
        yield row_of_memory(clips)


def row_of_share(what: str, options: dict[str, Any], paths: list[str]) -> Row:
    """Measure the share of an epoch of VGG-11 that goes into reading and making batches.

    Files are read once before training; here it counts as if they were read in every epoch.

    Parameters
    ----------
    what : str
        Name of the row.
    options : dict
        Arguments of ``speech_classifier("vgg11")``.
    paths : list of str
        Files, which make one batch.

    Returns
    -------
    Row
    """
    reading = seconds(partial(read_clips, paths))
    X, y = read_clips(paths).waveforms, np.arange(len(paths)) % WORDS
    settings = {"batch_size": len(X), "max_epochs": 2, "random_state": 0, **options}
    net = speech_classifier(MODEL, **settings)["classifier"].fit(X, y).net_
    epoch = net.history[-1, "dur"]
    batches = next(net._epochs(X, y, net._start_training()))
    net.module_.train()
    making = statistics.median(seconds(partial(list, batches)) for _ in range(5))
    if net.module_.level == "waveform":  # its spectrograms are made on the way through the net
        making += seconds(partial(net.module_.spectrogram, torch.from_numpy(X)))
    return single_figure(
        f"VGG-11, {what}: reading and making batches",
        "an epoch",
        (reading + making) / (reading + epoch),
        SHARE_GOAL,
        f"{human(reading)} + {human(making)} of {human(epoch)} for {len(X)} clips",
    )


def row_of_one_clip(model: str, options: dict[str, Any], paths: list[str]) -> Row:
    """Measure the time from one file to its label, on one core, after loading.

    Parameters
    ----------
    model : str
        Name of a net.
    options : dict
        Other arguments of ``speech_classifier``.
    paths : list of str
        Files.

    Returns
    -------
    Row
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        pipeline = speech_classifier(
            model, augment=False, max_epochs=1, random_state=0, **options
        ).fit(paths, np.arange(len(paths)) % WORDS)
        pipeline.predict(paths[:1])
        times = [seconds(partial(pipeline.predict, [path])) for path in paths]
    finally:
        torch.set_num_threads(threads)
    median = statistics.median(times)
    what = f"one clip, file to label, {model}, one core"
    return Row(
        what,
        "30 ms",
        median / CLIP_SECONDS,
        min(times) / CLIP_SECONDS,
        max(times) / CLIP_SECONDS,
        1.0,
        human(median),
    )


def row_of_memory(clips: int) -> Row:
    """Measure the memory of clips and their training, in a process of its own."""
    extra = in_fresh_process(f"{__name__}:peak_of_training", str(clips))
    return single_figure(
        f"peak memory with {clips:,} clips of one second",
        f"{BYTES_PER_CLIP * clips / 1e9:.1f} GB",
        extra / (BYTES_PER_CLIP * clips),
        1.0,
        f"{extra / 1e6:,.0f} MB beyond what a fit on 100 clips takes",
    )


def peak_of_training(clips: str) -> float:
    """Return by how many bytes clips and an epoch with them raise this process's peak.

    Parameters
    ----------
    clips : str
        How many.

    Returns
    -------
    float
    """
    X, y = make_clips(100)
    _train_lenet(X, y)
    before = read_status("VmRSS")
    X, y = make_clips(int(clips))
    _train_lenet(X, y)
    return max(read_status("VmHWM") - before, 0)


def _train_lenet(X: np.ndarray, y: np.ndarray) -> None:
    model = speech_classifier("lenet", batch_size=100, max_epochs=1, random_state=0)
    model["classifier"].fit(X, y)


def _write_files(folder: Path, count: int = 100) -> list[str]:
    """Write one-second WAV files and return their names."""
    import soundfile

    X, _ = make_clips(count)
    paths = [str(folder / f"{k}.wav") for k in range(count)]
    for path, clip in zip(paths, X, strict=True):
        soundfile.write(path, clip, SAMPLES)
    return paths
