"""``mixup-tab speech predict``: recognise words in sound files, batch by batch."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby, islice
from math import ceil
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TextIO

import numpy as np

from mixup_tab._extras import import_extra
from mixup_tab._files import check_writable, explained
from mixup_tab._terminal import ProgressBar, list_skipped
from mixup_tab.audio.answers import UNKNOWN, best_words
from mixup_tab.audio.files import ClipError, check_on_error, read_clip, read_clips
from mixup_tab.audio.recogniser import load_recogniser
from mixup_tab.audio.standard_input import begins_sound, read_all, read_head, read_names
from mixup_tab.audio.streams import as_clip, duration, open_sound, windows
from mixup_tab.audio.waveforms import to_int16
from mixup_tab.persistence.model_file import SIZE_LIMIT, finite, predicting

# Files longer than this many clips are searched.
LONG = 3
_BATCH = 256  # files
_AT_ONCE = 32  # clips of a long file
_OPTIONS = ("sample_rate", "seconds", "align")  # of a reader
_HEADER = ("path", "label", "probability")
_BEGINNING = ",".join(_HEADER).encode()


class PredictedBatch(NamedTuple):
    """Files that could be read, their positions among all files, and their probabilities.

    ``proba`` has the shape (files, words); ``skipped`` are unreadable files, with reasons;
    ``second`` is where the most probable clip of a single long file begins.
    """

    paths: list[str]
    positions: np.ndarray
    proba: np.ndarray
    skipped: list[tuple[str, str]]
    second: float | None = None


def predict_files(
    pipeline: Sequence[Any],
    paths: Iterable[str],
    *,
    on_error: str = "raise",
    batch_size: int = 256,
    n_jobs: int | None = None,
) -> Iterator[PredictedBatch]:
    """Yield predictions for files, with one batch in memory at a time.

    ``paths`` may be endless. With ``on_error="skip"``, unreadable files are listed; with
    "raise", all files before the first of them are predicted before the ValueError.
    """
    check_on_error(on_error)
    files, start = iter(paths), 0
    while batch := list(islice(files, batch_size)):
        yield from _predict_batch(pipeline, batch, start, on_error, n_jobs)
        start += len(batch)


def _predict_batch(
    pipeline: Sequence[Any],
    batch: list[str],
    start: int,
    on_error: str,
    n_jobs: int | None,
) -> Iterator[PredictedBatch]:
    """Yield predictions for one batch of files, the first at position ``start``."""
    reader, net = pipeline[0], pipeline[-1]
    options = {each: getattr(reader, each) for each in (*_OPTIONS, "dtype")}
    clips = read_clips(batch, **options, on_error="skip", n_jobs=n_jobs)
    kept, skipped = clips.kept, clips.skipped
    failed = on_error == "raise" and bool(skipped)
    if failed:
        kept, skipped = kept[kept < batch.index(skipped[0][0])], []
    if len(kept) or skipped:
        proba = np.zeros((0, len(net.classes_)))
        if len(kept):
            proba = _probabilities(net, clips.waveforms[: len(kept)])
        yield PredictedBatch([batch[k] for k in kept], start + kept, proba, skipped)
    if failed:
        raise _unreadable(*clips.skipped[0])


def _probabilities(net: Any, waveforms: np.ndarray) -> np.ndarray:
    with predicting("the model"):
        return finite(net.predict_proba(waveforms))


def _unreadable(path: str, reason: str) -> ValueError:
    return ValueError(
        f"{path} {reason}. Fix or remove it, or skip such files with --on-error skip."
    )


# ----------------------------------------------------------------------------- long files


def _predict_runs(
    pipeline: Sequence[Any],
    batches: Iterable[list[str]],
    on_error: str,
    n_jobs: int | None,
) -> Iterator[PredictedBatch]:
    """Yield predictions for batches of files; long files are searched one by one."""
    for batch in batches:
        for long, run in groupby(batch, partial(_is_long, pipeline[0])):
            if not long:
                yield from _predict_batch(pipeline, list(run), 0, on_error, n_jobs)
                continue
            for path in run:
                yield _predict_one(pipeline, path, path, on_error)


def _is_long(reader: Any, source: str | bytes) -> bool:
    return duration(source) > LONG * reader.seconds


def _predict_one(
    pipeline: Sequence[Any], name: str, source: str | bytes, on_error: str
) -> PredictedBatch:
    """Return the prediction for one file, or report it as unreadable."""
    reader, net, second = pipeline[0], pipeline[-1], None
    try:
        if _is_long(reader, source):
            proba, second = search(pipeline, source)
        else:
            options = {each: getattr(reader, each) for each in _OPTIONS}
            clip = read_clip(source, **options)
            clip = to_int16(clip) if reader.dtype == "int16" else clip
            proba = _probabilities(net, clip[np.newaxis])[0]
    except ClipError as error:
        if on_error == "raise":
            raise _unreadable(name, error.reason) from error
        none = np.zeros((0, len(net.classes_)))
        return PredictedBatch([], np.zeros(0, int), none, [(name, error.reason)])
    return PredictedBatch([name], np.zeros(1, int), proba[np.newaxis], [], second)


def search(pipeline: Sequence[Any], source: str | bytes) -> tuple[np.ndarray, float]:
    """Return the probabilities of the clip of a file with the largest margin of a word.

    Also returns the second at which that clip begins. Clips overlap by four fifths, and only a
    few are in memory. Raises ClipError if the file cannot be read.
    """
    reader, net = pipeline[0], pipeline[-1]
    highest, best, second = -2.0, np.zeros(0), 0.0
    with open_sound(source) as sound, ProgressBar("second of sound searched") as bar:
        rate, frames = sound.sample_rate, sound.frames or 0
        length = ceil(reader.seconds * rate)
        cut = windows(sound.blocks, length, max(length // 5, 1))
        clips = ((start, as_clip(each, rate, reader).copy()) for start, each in cut)
        while some := list(islice(clips, _AT_ONCE)):
            starts, waveforms = zip(*some, strict=True)
            proba = _probabilities(net, np.stack(waveforms))
            _, margins = best_words(proba, net.classes_, getattr(net, "unknown", UNKNOWN))
            k = int(margins.argmax())
            if margins[k] > highest:
                highest, best, second = margins[k], proba[k], max(starts[k], 0) / rate
            bar.update(max(starts[-1], 0) // rate, frames // rate)
    return best, second


# -------------------------------------------------------------------------------- command


def predict_to(
    model: str | os.PathLike,
    files: Sequence[str],
    *,
    output: Path | None = None,
    every: bool = False,
    on_error: str = "raise",
    device: str = "auto",
    n_jobs: int | None = None,
    size_limit: float = SIZE_LIMIT,
    stdin: BinaryIO | None = None,
    stdout: TextIO | None = None,
) -> None:
    """Write a line of CSV for every file: path, label, probability, seconds.

    Probability is that of the most probable label. A file longer than three clips is searched
    for its most certain word, and seconds says where that clip begins; it is empty for other
    files.

    Lines are written and flushed batch by batch, so they survive any later error. Skipped files
    are listed on standard error at the end. The file "-" is standard input: names of files, one
    per line or separated by zero bytes (``find -print0``), answered as they come in, or the
    bytes of a single clip. ``every`` adds the probability of every word,
    ``probability_<word>``. ``size_limit`` is the maximum size of the model file in bytes.

    Raises ValueError if the model is unusable, ``output`` is another kind of file, or a file
    cannot be read and ``on_error="raise"``; the message says how many lines were written.
    """
    check_on_error(on_error)
    pipeline, _ = load_recogniser(model, device=device, size_limit=size_limit)
    import_extra("soundfile", "speech")  # before a file with only a header is left
    batches = _batches(files, pipeline, on_error, n_jobs, stdin or sys.stdin.buffer)
    words = [str(word) for word in pipeline[-1].classes_]
    written, skipped = 0, []
    with _open_output(output, stdout) as target:
        writer = csv.writer(target, lineterminator="\n")
        more = [f"probability_{word}" for word in words] if every else []
        writer.writerow([*_HEADER, "seconds", *more])
        try:
            for batch in batches:
                skipped += batch.skipped
                writer.writerows(_rows(batch, pipeline[-1], every))
                target.flush()
                written += len(batch.paths)
        except ValueError as error:
            raise ValueError(f"{error} Lines written: {written:,}.") from error
        finally:
            list_skipped(skipped)


def _batches(
    files: Sequence[str],
    pipeline: Sequence[Any],
    on_error: str,
    n_jobs: int | None,
    stdin: BinaryIO,
) -> Iterable[PredictedBatch]:
    """Predict for files, or for names or a clip on standard input."""
    if "-" in files and len(files) > 1:
        raise ValueError("files: - (standard input) cannot be combined with other files.")
    batches: Iterable[list[str]] = _split(files)
    if "-" in files:
        head = read_head(stdin)
        if begins_sound(head):
            return [_predict_one(pipeline, "-", read_all(head, stdin), on_error)]
        batches = (part for names in read_names(head, stdin) for part in _split(names))
    return _predict_runs(pipeline, batches, on_error, n_jobs)


def _split(names: Sequence[str]) -> Iterator[list[str]]:
    return (list(names[k : k + _BATCH]) for k in range(0, len(names), _BATCH))


def _rows(batch: PredictedBatch, net: Any, every: bool) -> Iterator[list[str]]:
    """Yield the lines of a batch."""
    unknown = getattr(net, "unknown", UNKNOWN)
    best, margins = best_words(batch.proba, net.classes_, unknown)
    for path, proba, word, margin in zip(batch.paths, batch.proba, best, margins, strict=True):
        found = margin >= getattr(net, "threshold", 0.0)
        label = str(net.classes_[word] if found else unknown)
        second = "" if batch.second is None or not found else f"{batch.second:.2f}"
        shares = [
            f"{share:.6f}" for share in ([proba.max(), *proba] if every else [proba.max()])
        ]
        yield [path, label, shares[0], second, *shares[1:]]


@contextmanager
def _open_output(output: Path | None, stdout: TextIO | None) -> Iterator[TextIO]:
    if output is None:
        target = stdout or sys.stdout
        if hasattr(target, "reconfigure"):  # as in a file; names of files need not be UTF-8
            target.reconfigure(encoding="utf-8", errors="surrogateescape")
        yield target
        return
    check_writable(output)
    _check_replaceable(output)
    with explained(output):
        try:
            with output.open("w", encoding="utf-8", errors="surrogateescape", newline="") as f:
                yield f
        except OSError:  # a full disk, for example: a cut line would look complete
            if output.is_file():
                os.truncate(output, output.read_bytes().rfind(b"\n") + 1)
            raise


def _check_replaceable(output: Path) -> None:
    """Raise ValueError rather than overwrite anything but predictions."""
    if not output.is_file():
        return
    with output.open("rb") as file:
        beginning = file.read(len(_BEGINNING))
    if beginning not in (b"", _BEGINNING):
        raise ValueError(
            f"output={str(output)!r} exists and does not hold predictions. Choose another "
            "path, or delete it."
        )
