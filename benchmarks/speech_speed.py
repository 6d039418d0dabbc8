"""The cost of reading and transforming sound files beside the net itself, on the CPU.

Clips of one second at 16 kHz; our spectrograms against those of torchaudio and, if installed,
librosa, called clip by clip::

    python benchmarks/speech_speed.py
    python benchmarks/speech_speed.py --rows memory --clips 100000
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from time import perf_counter
from typing import Any

import numpy as np
import soundfile
import torch
from measuring import (
    Row,
    compare,
    human,
    limited,
    memory,
    memory_row,
    print_table,
    seconds,
)
from skorch.callbacks import Callback

from mixup_tab.audio import SpectrogramLayer, read_clips, speech_classifier

SAMPLES, WORDS, BATCH = 16_000, 10, 100
WINDOW, HOP = 320, 160  # 20 and 10 ms


def make_clips(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return seconds of noise as int16, of shape (count, 16,000), and labels."""
    block = np.random.default_rng(0).integers(-3000, 3000, (256, SAMPLES), dtype=np.int16)
    return np.resize(block, (count, SAMPLES)), np.arange(count) % WORDS


def write_files(folder: str, count: int) -> list[str]:
    """Write one-second WAV files and return their names."""
    paths = [f"{folder}/{k}.wav" for k in range(count)]
    for path, clip in zip(paths, make_clips(count)[0], strict=True):
        soundfile.write(path, clip, SAMPLES)
    return paths


def spectrogram_of(library: str, log: bool) -> Callable[[np.ndarray], np.ndarray]:
    """Return a function for the spectrogram of a clip, as users of a library write it."""
    if library == "torchaudio":
        from torchaudio.transforms import Spectrogram

        window = {"window_fn": torch.hamming_window, "pad_mode": "constant"}
        transform = Spectrogram(WINDOW, hop_length=HOP, power=1.0, **window)
        magnitudes = lambda clip: transform(torch.from_numpy(clip)).numpy()  # noqa: E731
    else:
        import librosa

        shape = {"n_fft": WINDOW, "hop_length": HOP, "window": "hamming"}
        magnitudes = lambda clip: np.abs(librosa.stft(clip, **shape))  # noqa: E731

    def spectrogram(clip: np.ndarray) -> np.ndarray:
        values = magnitudes(clip / np.float32(32768))[1:]
        if not log:
            return values**2
        values = np.log1p(values)
        return (values - values.mean()) / values.std()

    return spectrogram


def spectrograms(library: str, log: bool, pairs: int, clips: int = 256) -> Row:
    """Compare our spectrograms of many clips with a library's, clip by clip."""
    X, _ = make_clips(clips)
    layer = SpectrogramLayer() if log else SpectrogramLayer(kind="power", normalize=None)
    theirs = spectrogram_of(library, log)
    return compare(
        pairs,
        f"{clips} {'normalised log' if log else 'power'} spectrograms",
        f"{library}, clip by clip",
        lambda: layer(torch.from_numpy(X)),
        lambda: np.stack([theirs(clip) for clip in X]),
        {"threads": None},
    )


class _BatchClock(Callback):
    """Add up the time of an epoch between steps, in which batches are made."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        self.making, self.since = 0.0, perf_counter()

    def on_batch_begin(self, net: Any, **kwargs: Any) -> None:
        self.making += perf_counter() - self.since

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        self.since = perf_counter()


def share_of_epoch(level: str, model: str = "vgg11") -> Row:
    """Return the share of an epoch spent on reading files and making batches.

    Files are read once before training; here they count as if read in every epoch.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(folder, BATCH)
        reading = seconds(partial(read_clips, paths))
    X, y = make_clips(BATCH)
    clock = _BatchClock()
    setting = {"batch_size": BATCH, "max_epochs": 2, "random_state": 0, "callbacks": [clock]}
    net = speech_classifier(model, kind="log", level=level, **setting)[-1].fit(X, y).net_
    epoch, making = net.history[-1, "dur"], clock.making
    if level == "waveform":  # spectrograms are computed inside the net
        making += seconds(partial(net.module_.spectrogram, torch.from_numpy(X)))
    share = (reading + making) / (reading + epoch)
    figures = f"{human(reading)} + {human(making)} of {human(epoch)} for {BATCH} clips"
    what = f"reading files and making augmented batches, {level}s mixed"
    return Row(what, f"an epoch of {model}", [share], figures)


def one_clip(model: str, **options: Any) -> Row:
    """Return the time from one file to its label, on one thread, after loading."""
    with tempfile.TemporaryDirectory() as folder, limited(1):
        paths = write_files(folder, 20)
        options |= {"augment": False, "max_epochs": 1, "random_state": 0}
        pipeline = speech_classifier(model, **options).fit(paths, np.arange(20) % WORDS)
        times = [seconds(partial(pipeline.predict, [path])) for path in paths][1:]
    figures = f"{human(statistics.median(times))} ({human(min(times))} – {human(max(times))})"
    return Row(f"one file to its label, {model}, one thread", "", [], figures)


def peak_of_training(clips: int) -> float:
    """Return the increase of this process's peak memory by clips and an epoch, in bytes."""
    before = 0.0
    for count in (BATCH, clips):
        before = memory("VmRSS")
        net = speech_classifier("lenet", batch_size=BATCH, max_epochs=1, random_state=0)[-1]
        net.fit(*make_clips(count))
    return max(memory("VmHWM") - before, 0)


def main(arguments: list[str] | None = None) -> None:
    """Measure the chosen rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=10_000, help="for the row of memory")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side that count")
    parser.add_argument("--rows", nargs="+", default=["*"], help="names or patterns of rows")
    args = parser.parse_args(arguments)
    rows: dict[str, Callable[[], Row]] = {
        f"{'log' if log else 'power'}/{library}": partial(
            spectrograms, library, log, args.pairs
        )
        for log in (False, True)
        for library in ("torchaudio", "librosa")
        if find_spec(library)
    }
    rows |= {f"epoch/{at}": partial(share_of_epoch, at) for at in ("spectrogram", "waveform")}
    rows["clip/lenet"] = partial(one_clip, "lenet", kind="log")
    rows["clip/bcresnet"] = partial(one_clip, "bcresnet")
    what = f"peak memory of training on {args.clips:,} clips beyond that on {BATCH}"
    rows["memory"] = partial(memory_row, what, peak_of_training, args.clips)
    print_table(rows, args.rows, f"Clips of one second, median of {args.pairs} pairs")


if __name__ == "__main__":
    main()
