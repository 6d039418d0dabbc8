"""``mixup-tab speech predict``: words for files, written as they come."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import BinaryIO, TextIO

import numpy as np
from sklearn.pipeline import Pipeline

from mixup_tab.data.clips import read_clip
from mixup_tab.evaluation.comparison.files import check_writable
from mixup_tab.evaluation.speech.labelling import Labelled, check_on_error, label_files
from mixup_tab.evaluation.speech.saving import load_speech_model

# How WAV, FLAC, OGG and MP3 begin; the last two are an MPEG frame without tags.
_BEGINNINGS = (b"RIFF", b"fLaC", b"OggS", b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")


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
    before are there.

    Parameters
    ----------
    model : str or path-like
        What ``mixup-tab speech train`` has written.
    files : sequence of str
        Sound files. "-" stands for what comes on standard input: names of files, one per
        line, or the bytes of a single clip.
    output : Path, default=None
        Where to write; None is standard output.
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
        If the model cannot be used, or a file cannot be read and ``on_error="raise"``; the
        message says how many lines are there.
    """
    check_on_error(on_error)
    pipeline, _ = load_speech_model(model, device=device)
    batches = _batches(files, pipeline, on_error, n_jobs, stdin or sys.stdin.buffer)
    words = [str(word) for word in pipeline[-1].classes_]
    counts = Counts()
    with _target(output, stdout) as target:
        writer = csv.writer(target, lineterminator="\n")
        more = [f"probability_{word}" for word in words] if every else []
        writer.writerow(["path", "label", "probability", *more])
        try:
            for batch in batches:
                writer.writerows(_rows(batch, words, every))
                target.flush()
                counts.written += len(batch.paths)
                counts.skipped += batch.skipped
        except ValueError as error:
            raise ValueError(f"{error} Lines that are written: {counts.written:,}.") from error
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
    head = stdin.read(4)
    if head.startswith(_BEGINNINGS):
        return [_label_bytes(pipeline, head + stdin.read())]
    names = _names(head, stdin)
    return label_files(pipeline, names, on_error=on_error, n_jobs=n_jobs)


def _names(head: bytes, stdin: BinaryIO) -> Iterator[str]:
    """Yield the lines of standard input that are not empty."""
    for line in chain((head + stdin.readline()).splitlines(), stdin):
        name = os.fsdecode(line).strip("\r\n")
        if name:
            yield name


def _label_bytes(pipeline: Pipeline, clip: bytes) -> Labelled:
    reader = pipeline[0]
    waveform = read_clip(
        clip, sample_rate=reader.sample_rate, seconds=reader.seconds, align=reader.align
    )
    if reader.dtype == "int16":
        waveform = np.rint(waveform * 32768).clip(-32768, 32767).astype(np.int16)
    proba = pipeline[-1].predict_proba(waveform[np.newaxis])
    return Labelled(["-"], np.zeros(1, dtype=int), proba, [])


def _rows(batch: Labelled, words: Sequence[str], every: bool) -> Iterator[list[str]]:
    for path, proba in zip(batch.paths, batch.proba, strict=True):
        best = int(proba.argmax())
        shown = [proba[best], *proba] if every else [proba[best]]
        yield [path, words[best], *(f"{share:.6f}" for share in shown)]


@contextmanager
def _target(output: Path | None, stdout: TextIO | None) -> Iterator[TextIO]:
    if output is None:
        yield stdout or sys.stdout
        return
    check_writable(output)
    with output.open("w", encoding="utf-8", newline="") as file:
        yield file
