"""What training and predicting from sound files costs beside the net itself, on the CPU.

Clips of one second at 16 kHz; spectrograms are compared with torchaudio's and, where it is
installed, librosa's, called clip by clip::

    python benchmarks/speech_speed.py                                    # half a minute
    python benchmarks/speech_speed.py --rows memory --clips 100000
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import soundfile
import torch
from measuring import (
    Row,
    compare,
    human,
    in_fresh_process,
    limited,
    memory,
    print_table,
    seconds,
)
from skorch.callbacks import Callback

from mixup_tab.audio import SpectrogramLayer, read_clips, speech_classifier

SAMPLES, WORDS = 16_000, 10
WINDOW, HOP = 320, 160  # 20 and 10 ms


def make_clips(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return seconds of noise as int16, of shape (count, 16,000), and labels."""
    block = np.random.default_rng(0).integers(-3000, 3000, (256, SAMPLES), dtype=np.int16)
    return np.resize(block, (count, SAMPLES)), np.arange(count) % WORDS


def power(library: str, clip: np.ndarray) -> np.ndarray:
    """Return the power spectrogram of a clip as a user of a library computes it."""
    if library == "torchaudio":
        from torchaudio.transforms import Spectrogram

        transform = Spectrogram(
            WINDOW, hop_length=HOP, window_fn=torch.hamming_window, pad_mode="constant"
        )
        return transform(torch.from_numpy(clip) / 32768)[1:].numpy()
    import librosa

    clip = clip / np.float32(32768)
    return np.abs(librosa.stft(clip, n_fft=WINDOW, hop_length=HOP, window="hamming"))[1:] ** 2


def log_power(library: str, clip: np.ndarray) -> np.ndarray:
    """Return the normalised log spectrogram of a clip."""
    values = np.log1p(np.sqrt(power(library, clip)))
    return (values - values.mean()) / values.std()


def spectrograms(library: str, log: bool, pairs: int, clips: int = 256) -> Row:
    """Compare our spectrograms of many clips with a library's, clip by clip."""
    X, _ = make_clips(clips)
    layer = SpectrogramLayer() if log else SpectrogramLayer(kind="power", normalize=None)
    transform = log_power if log else power

    def other() -> np.ndarray:
        return np.stack([transform(library, clip) for clip in X])

    kind = "normalised log" if log else "power"
    return compare(
        f"{clips} {kind} spectrograms",
        f"{library}, clip by clip",
        lambda: layer(torch.from_numpy(X)),
        other,
        pairs=pairs,
        threads=None,
    )


class BatchClock(Callback):
    """Sums up the time in which no step is made: batches are made then."""

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Start afresh, so that the last epoch counts."""
        self.making, self.since = 0.0, perf_counter()

    def on_batch_begin(self, net: Any, **kwargs: Any) -> None:
        """Add the time since the last step."""
        self.making += perf_counter() - self.since

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Remember when the step ended."""
        self.since = perf_counter()


def share_of_epoch(level: str, model: str = "vgg11", clips: int = 100) -> Row:
    """Return the share of an epoch that goes into reading files and making batches.

    Files are read once before training; here it counts as if they were read in every epoch.
    """
    with tempfile.TemporaryDirectory() as folder:
        paths = write_files(Path(folder), clips)
        reading = seconds(partial(read_clips, paths))
        X, y = read_clips(paths).waveforms, np.arange(clips) % WORDS
    clock = BatchClock()
    setting = {"batch_size": clips, "max_epochs": 3, "random_state": 0, "callbacks": [clock]}
    net = speech_classifier(model, kind="log", level=level, **setting)[-1].fit(X, y).net_
    epoch, making = net.history[-1, "dur"], clock.making
    if level == "waveform":  # its spectrograms are made inside of the net
        making += seconds(partial(net.module_.spectrogram, torch.from_numpy(X)))
    share = (reading + making) / (reading + epoch)
    figures = f"{human(reading)} + {human(making)} of {human(epoch)} for {clips} clips"
    what = f"reading files and making augmented batches, {level}s mixed"
    return Row(what, f"an epoch of {model}", [share], figures)


def one_clip(model: str, **options: Any) -> Row:
    """Return the time from one file to its label, on one thread, after loading."""
    with tempfile.TemporaryDirectory() as folder, limited(1):
        paths = write_files(Path(folder), 20)
        options |= {"augment": False, "max_epochs": 1, "random_state": 0}
        pipeline = speech_classifier(model, **options).fit(paths, np.arange(20) % WORDS)
        times = [seconds(partial(pipeline.predict, [path])) for path in [paths[0], *paths]][1:]
    figures = f"{human(statistics.median(times))} ({human(min(times))} – {human(max(times))})"
    return Row(f"one file to its label, {model}, one thread", "", [], figures)


def memory_of_training(clips: int) -> Row:
    """Return the memory of clips and an epoch with them."""
    what = f"peak memory of training on {clips:,} clips"
    extra = in_fresh_process(peak_of_training, clips)
    return Row(what, "", [], f"{extra / 1e6:,.0f} MB beyond what 100 clips take")


def peak_of_training(clips: int) -> float:
    """Return by how many bytes clips and an epoch with them raise this process's peak."""
    before = 0.0
    for count in (100, clips):
        before, (X, y) = memory("VmRSS"), make_clips(count)
        model = speech_classifier("lenet", batch_size=100, max_epochs=1, random_state=0)
        model[-1].fit(X, y)
    return max(memory("VmHWM") - before, 0)


def write_files(folder: Path, count: int) -> list[str]:
    """Write one-second WAV files and return their names."""
    paths = [str(folder / f"{k}.wav") for k in range(count)]
    for path, clip in zip(paths, make_clips(count)[0], strict=True):
        soundfile.write(path, clip, SAMPLES)
    return paths


def main(arguments: list[str] | None = None) -> None:
    """Measure the chosen rows."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clips", type=int, default=10_000, help="for the row of memory")
    parser.add_argument("--pairs", type=int, default=5, help="runs of each side that count")
    parser.add_argument("--rows", nargs="+", default=["*"], help="names or patterns of rows")
    options = parser.parse_args(arguments)
    rows: dict[str, Callable[[], Row]] = {
        f"{'log' if log else 'power'}/{library}": partial(
            spectrograms, library, log, options.pairs
        )
        for log in (False, True)
        for library in ("torchaudio", "librosa")
        if find_spec(library)
    }
    rows |= {f"epoch/{level}": partial(share_of_epoch, level) for level in LEVELS}
    rows["clip/lenet"] = partial(one_clip, "lenet", kind="log")
    rows["clip/bcresnet"] = partial(one_clip, "bcresnet")
    if Path("/proc/self/status").exists():
        rows["memory"] = partial(memory_of_training, options.clips)
    print_table(rows, options.rows, f"Clips of one second, median of {options.pairs} pairs")


LEVELS = ("spectrogram", "waveform")

if __name__ == "__main__":
    main()
