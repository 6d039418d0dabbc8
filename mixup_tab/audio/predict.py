"""``mixup-tab speech predict``: words for sound files, batch by batch."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO, NamedTuple, TextIO

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab._extras import import_extra
from mixup_tab._files import check_writable, explained
from mixup_tab._terminal import list_skipped
from mixup_tab.audio.files import ClipError, check_on_error, read_clip, read_clips
from mixup_tab.audio.saving import load_speech_model
from mixup_tab.audio.waveforms import to_int16
from mixup_tab.estimators import MixupClassifier
from mixup_tab.persistence.model_file import SIZE_LIMIT, finite, predicting

_HEADER = ("path", "label", "probability")
_BEGINNING = ",".join(_HEADER).encode()
# How WAV, FLAC, OGG, MP3 with tags, an MPEG frame, and AIFF begin; names of files do not.
_SOUND = re.compile(
    rb"(RIFF|RF64).{4}WAVE|fLaC\0|OggS\0|ID3[\2-\4]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]|FORM.{4}AIF",
    re.DOTALL,
)
_NO_TEXT = re.compile(rb"[\1-\x08\x0e-\x1f]")


class PredictedBatch(NamedTuple):
    """Files that could be read, their positions among all files, and their probabilities.

    ``proba`` has the shape (files, words); ``skipped`` are unreadable files, with reasons.
    """

    paths: list[str]
    positions: np.ndarray
    proba: np.ndarray
    skipped: list[tuple[str, str]]


def predict_files(
    pipeline: Pipeline,
    paths: Iterable[str],
    *,
    on_error: str = "raise",
    batch_size: int = 256,
    n_jobs: int | None = None,
) -> Iterator[PredictedBatch]:
    """Yield predictions for files, with one batch in memory at a time.

    ``paths`` may be endless. Unreadable files are listed with ``on_error="skip"``; with "raise"
    the files before the first one are predicted before the ValueError.
    """
    check_on_error(on_error)
    reader, net = pipeline[0], pipeline[-1]
    settings = reader.get_params() | {"on_error": "skip", "n_jobs": n_jobs}
    files, start = iter(paths), 0
    while batch := list(islice(files, batch_size)):
        clips = read_clips(batch, **settings)
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
        start += len(batch)


def _probabilities(net: MixupClassifier, waveforms: np.ndarray) -> np.ndarray:
    with predicting("the model"):
        return finite(net.predict_proba(waveforms))


def _unreadable(path: str, reason: str) -> ValueError:
    return ValueError(
        f"{path} {reason}. Fix or remove it, or skip such files with --on-error skip."
    )


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
    """Write a line of CSV for every file: path, label, probability.

    Lines are written and flushed batch by batch, so they survive any later error. Skipped files
    are listed on standard error at the end. The file "-" reads standard input: names of files,
    one per line or separated by zero bytes (``find -print0``), or the bytes of a single clip.
    ``every`` adds the probability of every word, ``probability_<word>``. ``size_limit`` is the
    largest size of the model's file in bytes.

    Raises ValueError if the model is unusable, ``output`` is another kind of file, or a file
    cannot be read and ``on_error="raise"``; the message says how many lines were written.
    """
    check_on_error(on_error)
    pipeline, _ = load_speech_model(model, device=device, size_limit=size_limit)
    import_extra("soundfile", "speech")  # if missing, do not leave a file with only a header
    batches = _batches(files, pipeline, on_error, n_jobs, stdin or sys.stdin.buffer)
    words = [str(word) for word in pipeline[-1].classes_]
    written, skipped = 0, []
    with _open_output(output, stdout) as target:
        writer = csv.writer(target, lineterminator="\n")
        more = [f"probability_{word}" for word in words] if every else []
        writer.writerow([*_HEADER, *more])
        try:
            for batch in batches:
                skipped += batch.skipped
                writer.writerows(_rows(batch, words, every))
                target.flush()
                written += len(batch.paths)
        except ValueError as error:
            raise ValueError(f"{error} Lines written: {written:,}.") from error
        finally:
            list_skipped(skipped)


def _batches(
    files: Sequence[str],
    pipeline: Pipeline,
    on_error: str,
    n_jobs: int | None,
    stdin: BinaryIO,
) -> Iterable[PredictedBatch]:
    """Predict for files, or for names or a clip on standard input."""
    if "-" in files and len(files) > 1:
        raise ValueError("files: - (standard input) cannot be combined with other files.")
    names: Iterable[str] = files
    if "-" in files:
        head = stdin.read(12)
        if _SOUND.match(head):
            return _predict_bytes(pipeline, head + stdin.read(), on_error)
        names = _names(head, stdin)
    return predict_files(pipeline, names, on_error=on_error, n_jobs=n_jobs)


def _names(head: bytes, stdin: BinaryIO) -> Iterator[str]:
    """Yield names from standard input, one per line or separated by zero bytes."""
    first = head + stdin.readline()
    if _NO_TEXT.search(first):
        raise ValueError(
            "files: - is neither a list of names nor a clip (WAV, FLAC, OGG, MP3 or AIFF). "
            "Give names of files, one per line, or the bytes of a clip."
        )
    lines = (first + stdin.read()).split(b"\0") if b"\0" in first else first.splitlines()
    for line in chain(lines, stdin):
        name = os.fsdecode(line if b"\0" in first else line.strip(b"\r\n"))
        if name:
            yield name


def _predict_bytes(
    pipeline: Pipeline, content: bytes, on_error: str
) -> Iterator[PredictedBatch]:
    """Predict for one clip, named "-"."""
    settings = pipeline[0].get_params()
    options = {name: settings[name] for name in ("sample_rate", "seconds", "align")}
    try:
        waveform = read_clip(content, **options)
    except ClipError as error:
        if on_error == "raise":
            raise _unreadable("-", error.reason) from error
        yield PredictedBatch([], np.zeros(0, int), np.zeros((0, 0)), [("-", error.reason)])
        return
    if settings["dtype"] == "int16":
        waveform = to_int16(waveform)
    proba = _probabilities(pipeline[-1], waveform[np.newaxis])
    yield PredictedBatch(["-"], np.zeros(1, int), proba, [])


def _rows(batch: PredictedBatch, words: Sequence[str], every: bool) -> Iterator[list[str]]:
    for path, proba in zip(batch.paths, batch.proba, strict=True):
        best = int(proba.argmax())
        shown = [proba[best], *proba] if every else [proba[best]]
        yield [path, words[best], *(f"{share:.6f}" for share in shown)]


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
        except OSError:  # such as a full disk: half a line would look like a whole one
            if output.is_file():
                os.truncate(output, output.read_bytes().rfind(b"\n") + 1)
            raise


def _check_replaceable(output: Path) -> None:
    """Raise ValueError rather than overwrite anything but predictions, such as a clip."""
    if not output.is_file():
        return
    with output.open("rb") as file:
        beginning = file.read(len(_BEGINNING))
    if beginning not in (b"", _BEGINNING):
        raise ValueError(
            f"output={str(output)!r} exists and does not hold predictions. Give another path, "
            "or delete it."
        )
