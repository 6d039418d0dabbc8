"""``mixup-tab speech check``: a summary of a folder of clips, and its problems."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console
from sklearn.utils import Bunch

from mixup_tab._files import write_whole
from mixup_tab._terminal import ProgressBar, make_console, terminal_table
from mixup_tab.audio.answers import UNKNOWN
from mixup_tab.audio.decoding import decode
from mixup_tab.audio.files import (
    SIZE_LIMIT,
    check_on_error,
    check_reading_params,
    describe_bad,
    for_each_file,
)
from mixup_tab.audio.findings import check_names, check_words, clip_table, find_faults
from mixup_tab.audio.folders import SPECIAL, load_audio_folder
from mixup_tab.audio.negatives import with_unknown
from mixup_tab.audio.splitting import split_clips
from mixup_tab.audio.survey import FACTS

_FORMATS = {"clips": "{:,}", "speakers": "{:,.0f}"} | dict.fromkeys(
    ("seconds", "shortest", "longest"), "{:.2f}"
)


@dataclass
class FolderCheck:
    """A summary of a folder of clips.

    Attributes
    ----------
    words : DataFrame
        One row per word, then one per folder of other sounds: number of clips and speakers;
        median, shortest and longest seconds; sample rates.
    files : DataFrame
        One row per clip: path, word, speaker, part, and facts such as its sample rate;
        ``problem`` says why it cannot be read.
    findings : list of str
        Problems and remarks, in sentences.
    error : str or None
        The error that ``speech train`` would raise for the folder.
    """

    words: pd.DataFrame
    files: pd.DataFrame
    findings: list[str]
    error: str | None


def check_folder(
    root: str | os.PathLike,
    *,
    seconds: float = 1.0,
    sample_rate: int = 16_000,
    validation_fraction: float = 0.1,
    folder_options: Mapping[str, Any] | None = None,
    unknown: bool = True,
    on_error: str = "raise",
    n_jobs: int | None = None,
    console: Console | None = None,
) -> FolderCheck:
    """Read all clips of a folder once, one by one, and find problems.

    Parameters
    ----------
    root : str or path-like
        The folder.
    seconds, sample_rate, validation_fraction
        As in training.
    folder_options : mapping, default=None
        Parameters of :func:`~mixup_tab.audio.load_audio_folder`.
    unknown : bool, default=True
        Whether the net will learn other sounds than the words.
    on_error : {"raise", "skip"}, default="raise"
        Whether training would stop at unreadable files, or leave them out.
    n_jobs : int or None, default=None
        Threads for reading; None means 1, −1 uses all cores.
    console : rich Console, default=None
        Where to show progress; None is standard output.

    Returns
    -------
    FolderCheck

    Raises
    ------
    ValueError
        If there is no such folder, or no usable clip in it.
    """
    check_on_error(on_error)
    check_reading_params(sample_rate, seconds, "sound", "int16", on_error)
    options = SPECIAL | dict(folder_options or {}) | {"min_labels": 1 if unknown else 2}
    folder = load_audio_folder(root, on_error="skip", **(options | {"min_labels": 1}))
    words = len(folder.data)
    folder = with_unknown(folder, UNKNOWN) if unknown else folder
    paths = [*folder.data, *folder.noise]
    facts = np.zeros(len(paths), FACTS)

    def survey(position: int) -> None:
        length = (
            seconds if position < len(folder.data) else None
        )  # noise is used in full length
        sound = decode(paths[position], sample_rate, length, "sound", SIZE_LIMIT)
        facts[position] = sound.facts

    with ProgressBar("clip", len(facts), console=console or make_console()) as bar:
        bad = for_each_file(survey, len(facts), n_jobs, bar.advance)
    files = _table(folder, facts, words, options)
    files["problem"] = pd.Series(bad, dtype=object).reindex(files.index)
    skipped = [*folder.skipped, *((paths[row], bad[row]) for row in bad)]
    findings = [*folder.notes, *_left_out(skipped)]
    good = files[:words][files["problem"][:words].isna()]
    findings += find_faults(good, folder, seconds, sample_rate, unknown)
    try:
        load_audio_folder(root, on_error=on_error, **options)
        check_names(folder.label_names, unknown)
        split = split_clips(folder, validation_fraction=validation_fraction)
        if bad and on_error == "raise":
            remedy = "Remove or replace them, or use on_error='skip' to leave them out."
            raise ValueError(describe_bad(paths, bad, remedy))
        clips = clip_table(folder, facts[: len(folder.data)])
        check_words(clips, split.train, folder.lost_labels, unknown)
        problem = None
    except ValueError as error:
        problem = str(error)
    return FolderCheck(_by_word(files), files, findings, problem)


def _table(
    folder: Bunch, facts: np.ndarray, words: int, options: Mapping[str, Any]
) -> pd.DataFrame:
    """Return a row per clip and per noise recording; the word of other sounds is the folder."""
    clips = clip_table(folder, facts[: len(folder.data)])
    clips.loc[words:, "word"] = options["unknown"]
    noise = np.full(len(folder.noise), options["noise"], object)
    recordings = Bunch(data=folder.noise, target=noise, speakers=None, subset=None)
    tables = [clips, clip_table(recordings, facts[len(clips) :])]
    return pd.concat([table for table in tables if len(table)], ignore_index=True)


def _left_out(skipped: list[tuple[str, str]]) -> list[str]:
    """Return a sentence for each reason for leaving out files."""
    by_reason: dict[str, list[str]] = {}
    for path, reason in skipped:
        by_reason.setdefault(reason, []).append(path)
    return [
        f"1 file is left out: {paths[0]} {reason}."
        if len(paths) == 1
        else f"{len(paths):,} files are left out, the first {paths[0]}: {reason}."
        for reason, paths in by_reason.items()
    ]


def _by_word(files: pd.DataFrame) -> pd.DataFrame:
    groups = files.groupby("word", sort=False)  # words are sorted, and before other sounds
    rates = files.dropna(subset="rate").groupby("word")["rate"]
    table = pd.DataFrame({"clips": groups.size()})
    if files["speaker"].notna().any():
        speakers = groups["speaker"].nunique()
        table["speakers"] = speakers.where(speakers > 0)
    table["seconds"] = groups["seconds"].median()
    table["shortest"], table["longest"] = groups["seconds"].min(), groups["seconds"].max()
    table["samples per second"] = rates.agg(
        lambda column: ", ".join(f"{rate:,.0f}" for rate in sorted(column.unique()))
    ).reindex(table.index)
    return table


def check(root: str | os.PathLike, *, output: Path | None = None, **options: Any) -> None:
    """Print what :func:`check_folder` finds; write a row of CSV per clip to ``output``.

    Raises the ValueError that training would raise.
    """
    console = make_console()
    found = check_folder(root, console=console, **options)
    console.print(terminal_table(found.words, _FORMATS))
    for finding in found.findings:
        console.print(f"- {finding}", soft_wrap=True)
    if not found.findings:
        console.print("No problems found.")
    if output is not None:
        content = found.files.to_csv(index=False, lineterminator="\n")
        write_whole(output, content.encode(errors="surrogateescape"))
        console.print(f"Clips: {output}", soft_wrap=True)
    if found.error is not None:
        raise ValueError(found.error)
