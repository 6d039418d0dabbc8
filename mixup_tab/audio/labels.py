"""Labels from the names of files or from a table."""

from __future__ import annotations

import io
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from mixup_tab.audio.layouts import part_of, places_by_folders
from mixup_tab.audio.lists import FileNames, plain, read_text
from mixup_tab.audio.speakers import search

# Usual names of columns, the best first.
COLUMNS = {
    "file": "path file filename file_name slice_file_name filepath file_path fname audio "
    "audio_file audio_path audio_filename wav wav_filename wav_file clip clip_name recording",
    "label": "label category class class_name classname word keyword command target classid "
    "class_id labels text transcript transcription sentence",
    "speaker": "speaker speaker_id speakerid client_id subject subject_id participant user "
    "user_id person spk spk_id",
    "fold": "fold folds",
    "split": "split subset set partition part",
}
_ENDINGS = (".csv", ".tsv", ".txt")
_ROLES = ("label", "speaker", "fold", "subset")


def is_table(label: Any) -> bool:
    """Whether ``label`` of :func:`~mixup_tab.audio.load_audio_folder` is a table."""
    named = isinstance(label, str) and label.lower().endswith(_ENDINGS)
    return named or isinstance(label, (os.PathLike, pd.DataFrame))


def labels_from_names(root: str, names: Sequence[str], label: Any) -> pd.DataFrame:
    """Return label, speaker, fold and subset of clips by the names of their files."""
    found = search(root, names, label, "label")
    if all(name is None for name in found):
        example = f", such as {names[0]!r}" if names else ""
        raise ValueError(
            f"label={label!r} finds no label in any of the {len(names)} names{example}. Use "
            "another expression, or label='folder'."
        )
    frame = _by_folders(names)
    labels = [None if name is None else plain(str(name)) for name in found]
    frame["label"] = pd.Series(labels, dtype=object)
    return frame


def labels_from_table(
    names: Sequence[str], table: Any, columns: Mapping[str, str] | None
) -> tuple[pd.DataFrame, list[str]]:
    """Return label, speaker, fold and subset of clips by a table, and remarks.

    Clips without a row have no label. Raises ValueError if the table cannot be understood.
    """
    title = "label" if isinstance(table, pd.DataFrame) else str(table)
    rows, notes = _rows(title, table, columns)
    rows["position"], missing = _positions(title, names, rows["file"])
    if rows["position"].isna().all():
        example = f"; the files are like {names[0]!r}" if names else ""
        raise ValueError(
            f"{title} names none of the folder's sound files, but {rows['file'].iloc[0]!r}"
            f"{example}. Check the folder and the table."
        )
    if missing:
        notes.append(
            f"{len(missing):,} of {len(rows):,} files in {title} are not in the folder, such "
            f"as {missing[0]}."
        )
    frame = _by_folders(names)
    rows = _unique(title, rows.dropna(subset="position"), names)
    for role in _ROLES:
        if role in rows:
            frame[role] = pd.Series(rows[role].to_numpy(), rows["position"], object)
    left = frame["label"].isna()
    if left.any():
        notes.append(
            f"{left.sum():,} of {len(names):,} sound files were left out, because they have "
            f"no row in {title}, such as {names[left.argmax()]}."
        )
    return frame, notes


def _by_folders(names: Sequence[str]) -> pd.DataFrame:
    places = pd.DataFrame(places_by_folders(names), columns=["label", "subset", "fold"])
    return places.assign(speaker=None).astype(object)


# ------------------------------------------------------------------------------ tables


def _rows(
    title: str, table: Any, columns: Mapping[str, str] | None
) -> tuple[pd.DataFrame, list[str]]:
    """Return a table with columns named by role: file, label, and others if there are any."""
    read = table if isinstance(table, pd.DataFrame) else _read(table)
    if not len(read):
        raise ValueError(f"{title} has no rows. It must have one row per sound file.")
    chosen = choose_columns(title, list(map(str, read.columns)), columns)
    positions = [list(map(str, read.columns)).index(column) for column in chosen.values()]
    rows = read.iloc[:, positions].set_axis(list(chosen), axis=1).reset_index(drop=True)
    text = rows.astype(object).where(rows.notna(), "").map(_as_text)
    for role in ("file", "label"):
        empty = text[role] == ""
        if empty.any():
            raise ValueError(
                f"{title}: row {empty.argmax() + 1:,} has no {role}. Fill it in, or remove it."
            )
    text["label"] = text["label"].map(plain)
    if "fold" in text:
        text["fold"] = text["fold"].map(lambda fold: f"fold {fold}" if fold else None)
    if "speaker" in text:
        text["speaker"] = text["speaker"].replace("", None)
    notes = []
    if "split" in text:
        splits = text.pop("split")
        parts = splits.map(part_of)
        if parts.notna().all():
            text["subset"] = parts
        elif columns and "split" in columns:
            raise ValueError(
                f"{title}: column {chosen['split']!r} holds {splits[parts.isna()].iloc[0]!r}. "
                "Parts are called train, validation and test."
            )
        else:
            notes.append(
                f"Column {chosen['split']!r} of {title} is not used: it does not name parts."
            )
    return text, notes


def _as_text(value: object) -> str:
    # A column of whole numbers with gaps is one of floats in pandas.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _read(path: str | os.PathLike) -> pd.DataFrame:
    text = read_text(os.path.expanduser(path))
    head = next((line for line in text.splitlines() if line.strip()), "")
    separator = max(",;\t|", key=head.count)
    try:
        # All as text: "007", "no" and "NA" are labels.
        return pd.read_csv(
            io.StringIO(text), sep=separator, dtype=str, keep_default_na=False, index_col=False
        )
    except (ValueError, pd.errors.ParserError) as error:
        raise ValueError(
            f"{path} cannot be read as a table ({str(error).strip()}). It must be a CSV file "
            "whose first line names the columns."
        ) from error


def choose_columns(
    title: str, names: Sequence[str], columns: Mapping[str, str] | None
) -> dict[str, str]:
    """Return the column for each role, from ``columns`` or else by usual names.

    Raises ValueError if there is none for files or labels.

    Examples
    --------
    >>> choose_columns("esc50.csv", ["filename", "fold", "target", "category"], None)
    {'file': 'filename', 'label': 'category', 'fold': 'fold'}
    """
    columns = columns or {}
    for role, column in columns.items():
        if role not in COLUMNS:
            raise ValueError(f"columns must name some of {', '.join(COLUMNS)}, got {role!r}.")
        if column not in names:
            raise ValueError(
                f"columns={dict(columns)!r}: {title} has no column {column!r}, but "
                f"{', '.join(names)}."
            )
    by_name = {_plain_column(name): name for name in reversed(names)}
    chosen: dict[str, Any] = {}
    for role, known in COLUMNS.items():
        guess = next((by_name[name] for name in known.split() if name in by_name), None)
        if role in columns or guess is not None:
            chosen[role] = columns.get(role) or guess
        elif role in ("file", "label"):
            raise ValueError(
                f"{title} has no column that is known to hold the {role}s; its "
                f"columns are {', '.join(names)}. Name it with --column {role}=... "
                f"(columns={{{role!r}: ...}})."
            )
    return chosen


def _plain_column(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")


def _positions(
    title: str, names: Sequence[str], wanted: Sequence[str]
) -> tuple[list[int | None], list[str]]:
    """Return the positions of the files of a table, and the files that are missing."""
    files, missing, positions = FileNames(names), [], []
    for name in wanted:
        try:
            positions.append(files.find(name))
        except ValueError as error:
            raise ValueError(f"{title}: {error}. Use more of the path.") from error
        if positions[-1] is None:
            missing.append(name)
    return positions, missing


def _unique(title: str, rows: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Remove duplicate rows; raise ValueError if rows contradict each other."""
    rows = rows.drop(columns="file").drop_duplicates()
    position, count = Counter(rows["position"]).most_common(1)[0]
    if count > 1:
        both = rows[rows["position"] == position].iloc[:2]
        differing = next(role for role in rows if both[role].nunique(dropna=False) > 1)
        raise ValueError(
            f"{title} has several rows for {names[int(position)]!r}, with {differing} "
            f"{both[differing].iloc[0]!r} and {both[differing].iloc[1]!r}. Keep one."
        )
    return rows
