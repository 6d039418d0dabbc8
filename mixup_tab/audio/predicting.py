"""``mixup-tab speech predict``: words for files, written as they come."""

from __future__ import annotations

import csv
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab._files import check_writable
from mixup_tab._terminal import list_skipped
from mixup_tab.audio.clips import ClipError, read_clip
from mixup_tab.audio.labelling import (
    Labelled,
    check_on_error,
    label_files,
    unreadable,
)
from mixup_tab.audio.reading import to_int16
from mixup_tab.audio.saving import load_speech_model
from mixup_tab.audio.speech_extra import import_soundfile

_HEADER = ("path", "label", "probability")
_BEGINNING = ",".join(_HEADER).encode()
# How WAV, FLAC, OGG, MP3 with tags, an MPEG frame, and AIFF begin; names of files do not.
_SOUND = re.compile(
    rb"(RIFF|RF64).{4}WAVE|fLaC\0|OggS\0|ID3[\2-\4]|\xff[\xe2\xe3\xf2\xf3\xfa\xfb]|FORM.{4}AIF",
    re.DOTALL,
)
_NO_TEXT = re.compile(rb"[\1-\x08\x0e-\x1f]")


@dataclass
class Counts:
    """How far a prediction has come: lines that are written, files that were passed over."""

    written: int = 0
    skipped: list[tuple[str, str]] = field(default_factory=list)


def predict_to(
    model: str | os.PathLike,
    files: Sequence[str],
    *,
    output: Path | None = None,
    every: bool = False,
    on_error: str = "raise",
    device: str = "auto",
    n_jobs: int | None = None,
    stdin: BinaryIO | None = None,
    stdout: TextIO | None = None,
) -> Counts:
    """Write a line of CSV for every file: path, label, probability.

    Lines are written and flushed batch by batch, so whatever happens, those of the files
    before are there. Files that are passed over are listed on standard error at the end,
    however that comes.

    Parameters
    ----------
    model : str or path-like
        What ``mixup-tab speech train`` has written.
    files : sequence of str
        Sound files. "-" stands for what comes on standard input: names of files, one per
        line or with zero bytes between (``find -print0``), or the bytes of a single clip.
    output : Path, default=None
        Where to write; None is standard output. A file that is there is replaced if it holds
        predictions.
    every : bool, default=False
        Whether to add the probability of every word, ``probability_<word>``.
    on_error : {"raise", "skip"}, default="raise"
        What becomes of files that cannot be read.
    device : str, default="auto"
        Where the net predicts.
    n_jobs : int, default=None
        Threads that read.
    stdin, stdout : file objects, default=None
        None are those of the process.

    Returns
    -------
    Counts

    Raises
    ------
    ValueError
        If the model cannot be used, ``output`` is some other file, or a file cannot be read
        and ``on_error="raise"``; the message says how many lines are there.
    """
    check_on_error(on_error)
    pipeline, _ = load_speech_model(model, device=device)
    import_soundfile()  # missing, it leaves no file with a header alone
    batches = _batches(files, pipeline, on_error, n_jobs, stdin or sys.stdin.buffer)
    words = [str(word) for word in pipeline[-1].classes_]
    counts = Counts()
    with _target(output, stdout) as target:
        writer = csv.writer(target, lineterminator="\n")
        more = [f"probability_{word}" for word in words] if every else []
        writer.writerow([*_HEADER, *more])
        try:
            for batch in batches:
                counts.skipped += batch.skipped
                writer.writerows(_rows(batch, words, every))
                target.flush()
                counts.written += len(batch.paths)
        except ValueError as error:
            raise ValueError(f"{error} Lines that are written: {counts.written:,}.") from error
        finally:
            list_skipped(counts.skipped)
    return counts


def _batches(
    files: Sequence[str],
    pipeline: Pipeline,
    on_error: str,
    n_jobs: int | None,
    stdin: BinaryIO,
) -> Iterable[Labelled]:
    """Predict for files, or for what comes on standard input."""
    if "-" in files and len(files) > 1:
        raise ValueError("files: - for standard input stands alone. Leave the others out.")
    if "-" not in files:
        return label_files(pipeline, files, on_error=on_error, n_jobs=n_jobs)
    head = stdin.read(12)
    if _SOUND.match(head):
        return _label_bytes(pipeline, head + stdin.read(), on_error)
    names = _names(head, stdin)
    return label_files(pipeline, names, on_error=on_error, n_jobs=n_jobs)


def _names(head: bytes, stdin: BinaryIO) -> Iterator[str]:
    """Yield the names on standard input, one per line or with zero bytes between."""
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


def _label_bytes(pipeline: Pipeline, clip: bytes, on_error: str) -> Iterator[Labelled]:
    """Predict for one clip, named "-"."""
    reader = pipeline[0]
    try:
        waveform = read_clip(
            clip, sample_rate=reader.sample_rate, seconds=reader.seconds, align=reader.align
        )
    except ClipError as error:
        if on_error == "raise":
            raise unreadable("-", error.reason) from error
        yield Labelled([], np.zeros(0, dtype=int), np.zeros((0, 0)), [("-", error.reason)])
        return
    if reader.dtype == "int16":
        waveform = to_int16(waveform)
    proba = pipeline[-1].predict_proba(waveform[np.newaxis])
    yield Labelled(["-"], np.zeros(1, dtype=int), proba, [])


def _rows(batch: Labelled, words: Sequence[str], every: bool) -> Iterator[list[str]]:
    for path, proba in zip(batch.paths, batch.proba, strict=True):
        best = int(proba.argmax())
        shown = [proba[best], *proba] if every else [proba[best]]
        yield [path, words[best], *(f"{share:.6f}" for share in shown)]


@contextmanager
def _target(output: Path | None, stdout: TextIO | None) -> Iterator[TextIO]:
    if output is None:
        target = stdout or sys.stdout
        if hasattr(target, "reconfigure"):  # names of files need not be UTF-8
            target.reconfigure(errors="surrogateescape")
        yield target
        return
    check_writable(output)
    _check_replaceable(output)
    with output.open("w", encoding="utf-8", errors="surrogateescape", newline="") as file:
        yield file


def _check_replaceable(output: Path) -> None:
    """Refuse to write over anything but predictions, such as a clip or the model."""
    if not output.is_file():
        return
    with output.open("rb") as file:
        beginning = file.read(len(_BEGINNING))
    if beginning not in (b"", _BEGINNING):
        raise ValueError(
            f"output={str(output)!r} exists and holds no predictions. Give another place, or "
            "remove it."
        )
