"""Problems of the clips in a folder, as sentences or errors."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.audio.answers import UNKNOWN
from mixup_tab.audio.negatives import SILENCE
from mixup_tab.audio.survey import FACTS, INAUDIBLE, QUIET

_CLIPPED = 10  # clipped samples; fewer are hardly audible
_LOST = 0.1  # share of the sound outside of the window
_SHORT = 0.1  # seconds
_FEW = 20  # clips of a word
_UNBALANCED = 5  # times as many clips of one word as of another
_OFFSET = 0.05  # of full scale
_MOST = 0.5  # share of the clips by one speaker


def clip_table(folder: Bunch, facts: np.ndarray) -> pd.DataFrame:
    """Return one row per clip: path, word, speaker, part, and FACTS (NaN if not read)."""
    table = pd.DataFrame({"path": folder.data, "word": folder.target})
    unknown = np.full(len(table), None, dtype=object)
    table["speaker"] = unknown if folder.speakers is None else folder.speakers
    table["part"] = unknown if folder.subset is None else folder.subset
    known = pd.DataFrame({name: facts[name] for name in FACTS.names or ()})
    known["digest"] = [f"{digest:016x}" for digest in facts["digest"]]
    return pd.concat([table, known.where(known["rate"] > 0)], axis=1)


def find_faults(
    clips: pd.DataFrame, folder: Bunch, seconds: float, sample_rate: int, unknown: bool = True
) -> list[str]:
    """Return the problems of clips as sentences, the worst first.

    ``clips`` are rows of :func:`clip_table`; unread ones are not checked. ``seconds`` and
    ``sample_rate`` are those of the net, which also learns other sounds if ``unknown`` is True.
    """
    read = clips[clips["rate"] > 0]
    return [
        *_copies(read),
        *_lengths(read, seconds),
        *_levels(read),
        *_rates(read, sample_rate),
        *_balance(clips),
        *_speakers(clips),
        *_others(folder, unknown),
    ]


def summarize(findings: list[str], most: int = 8) -> list[str]:
    """Return the first findings, and a hint where to see the rest."""
    if len(findings) <= most:
        return findings
    more = len(findings) - most + 1
    return [*findings[: most - 1], f"{more} more findings: mixup-tab speech check DIR."]


def _say(clips: pd.DataFrame, one: str, many: str, remedy: str = "") -> Iterator[str]:
    """Yield "3 clips MANY, such as PATH. REMEDY", or nothing without clips."""
    if len(clips):
        what = (
            f"1 clip {one}: " if len(clips) == 1 else f"{len(clips):,} clips {many}, such as "
        )
        yield f"{what}{clips['path'].iloc[0]}.{remedy and ' '}{remedy}"


def _copies(clips: pd.DataFrame) -> Iterator[str]:
    """Files with the same samples; silence is not a copy."""
    same = clips[clips["peak"] > 0].groupby(["digest", "seconds"], sort=False)
    copies = clips[clips["peak"] > 0][same["path"].transform("size") > 1]
    groups = copies.groupby(["digest", "seconds"], sort=False)
    for column, what, remedy in (
        ("word", "words", "One of the words is wrong."),
        ("part", "parts", "Test clips were trained on: delete one of them."),
    ):
        across = copies[groups[column].transform("nunique") > 1]
        if len(across):
            pair = across[across["digest"] == across["digest"].iloc[0]]["path"]
            yield (
                f"{len(across):,} clips are copies of each other under different {what}, such "
                f"as {pair.iloc[0]} and {pair.iloc[-1]}. {remedy}"
            )
    spare = copies[groups.cumcount() > 0]
    yield from _say(spare, "is a copy of another", "are copies of others")


def _lengths(clips: pd.DataFrame, seconds: float) -> Iterator[str]:
    longer = clips[clips["seconds"] > seconds * 1.001]
    losing = longer[longer["lost"] > _LOST]
    if len(longer):
        number = "1 clip is" if len(longer) == 1 else f"{len(longer):,} clips are"
        text = f"{number} longer than the window of {seconds:g} s, up to "
        text += f"{longer['seconds'].max():.1f} s; the part with most sound is used."
        if len(losing):
            text += f" {len(losing):,} of them {'has' if len(losing) == 1 else 'have'} sound "
            text += f"outside of it, such as {losing['path'].iloc[0]}. Trim them, or use "
            text += "--seconds."
        yield text
    short = clips[clips["seconds"] < min(_SHORT, seconds / 2)]
    limit = min(_SHORT, seconds / 2)
    yield from _say(short, f"is shorter than {limit:g} s", f"are shorter than {limit:g} s")


def _levels(clips: pd.DataFrame) -> Iterator[str]:
    peak = clips["peak"]
    yield from _say(
        clips[peak == 0],
        "is silent: all zeros",
        "are silent: all zeros",
        "Delete or replace it.",
    )
    quiet = clips[(peak > 0) & (peak < QUIET)]
    words = "nearly silent, 60 dB below full scale"
    yield from _say(quiet, f"is {words}", f"are {words}")
    cut = clips[clips["clipped"] >= _CLIPPED]
    yield from _say(
        cut, "is clipped", "are clipped", "Record again with the microphone turned down."
    )
    shifted = clips[clips["offset"].abs() > _OFFSET]
    yield from _say(shifted, "has a DC offset", "have a DC offset")
    for remark, group in clips[clips["remark"].fillna("") != ""].groupby("remark", sort=True):
        yield from _say(group, "is adjusted", "are adjusted", f"{remark}.".capitalize())


def _rates(clips: pd.DataFrame, sample_rate: int) -> Iterator[str]:
    rates = clips["rate"].value_counts().sort_index()
    if len(rates) > 1:
        counts = ", ".join(f"{rate:,.0f} ({count:,})" for rate, count in rates.items())
        yield f"Clips differ in samples per second: {counts}. They are converted."
    low = clips[clips["rate"] < sample_rate]
    words = f"fewer than the {sample_rate:,} samples per second of the model"
    remedy = "It may learn the missing high frequencies instead of words."
    if 0 < len(low) < len(clips):
        yield from _say(low, f"has {words}", f"have {words}", remedy)
    elif len(low):
        yield (
            f"All clips have {words}. Use --sample-rate {low['rate'].max():.0f}: it is faster."
        )


def _balance(clips: pd.DataFrame) -> Iterator[str]:
    counts = clips["word"].value_counts()
    few = counts[counts < _FEW].sort_index().sort_values(kind="stable")
    if len(few):
        shown = ", ".join(f"{word} ({count})" for word, count in few[:5].items())
        more = ", …" if len(few) > 5 else ""
        yield f"Fewer than {_FEW} clips: {shown}{more}. More clips help most here."
    if counts.max() >= _UNBALANCED * counts.min():
        yield (
            f"Words differ in clips: {counts.idxmax()} has {counts.max():,}, {counts.idxmin()} "
            f"has {counts.min():,}. Rare words are recognised less often."
        )


def _speakers(clips: pd.DataFrame) -> Iterator[str]:
    if clips["speaker"].isna().all():
        yield (
            "Speakers are unknown, so the same voices are in training and validation: expect "
            "less with new voices. File names can tell speakers, as in ann_nohash_0.wav."
        )
        return
    per_word = clips.groupby("word")["speaker"].nunique()
    alone = per_word[per_word == 1].index.tolist()
    if alone:
        yield (
            f"Words by a single speaker: {', '.join(alone[:5])}{', …' if alone[5:] else ''}. "
            "The net may learn the voice instead of the word."
        )
    shares = clips["speaker"].value_counts(normalize=True)
    if len(shares) > 2 and shares.iloc[0] > _MOST:
        most = shares.index[0]
        yield f"{100 * shares.iloc[0]:.0f} % of the clips are by one speaker, {most}."


def _others(folder: Bunch, unknown: bool) -> Iterator[str]:
    if unknown and not folder.unknown:
        yield (
            "There are no clips of other words and sounds (folder _unknown_). Training on some "
            "reduces false alarms."
        )
    if not folder.noise:
        yield (
            "There are no recordings of noise from the place of use (folder "
            "_background_noise_)."
        )


# ------------------------------------------------------------------------------ errors


def check_names(words: Sequence[str], unknown: bool) -> None:
    """Raise ValueError if words cannot be learned because of their names."""
    for word in words:
        if str(word).encode(errors="ignore").decode() != word:
            raise ValueError(f"word {str(word)!r} is not UTF-8. Rename its folder.")
        if unknown and word.casefold() == UNKNOWN != word:
            raise ValueError(
                f"the folder {word!r} is easily mistaken for {UNKNOWN!r}, the answer to other "
                f"sounds. Rename it to {UNKNOWN!r} if it holds such sounds; if it is a word, "
                "use --no-unknown."
            )
    if unknown and [*words] == [UNKNOWN]:
        raise ValueError(
            "there are only other sounds, and no words. Add a folder with clips of a word."
        )


def check_words(
    clips: pd.DataFrame, train: np.ndarray, lost_labels: Collection[str], unknown: bool
) -> None:
    """Raise ValueError unless every word has a training clip that can be learned from.

    ``clips`` are rows of :func:`clip_table`, and ``train`` positions of those for training.
    """
    training = clips.iloc[train]
    training = training[training["rate"] > 0]
    free = {UNKNOWN} if unknown else set()  # can be synthesised
    lacking = {*clips["word"], *lost_labels} - {*training["word"]} - free
    if lacking:
        raise ValueError(
            f"word {str(min(lacking))!r} has no training clip that can be read. Fix its files, "
            "or remove its folder."
        )
    heard = training[training["peak"] - training["offset"].abs() >= INAUDIBLE]
    silent = {*training["word"]} - {*heard["word"]} - free - {*SILENCE}
    if silent:
        raise ValueError(
            f"all training clips of the word {str(min(silent))!r} are silent. Record them "
            "again, or remove its folder."
        )
