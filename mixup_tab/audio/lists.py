"""Match file names in lists and tables with clips."""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from mixup_tab._files import as_utf8
from mixup_tab.audio.sound_files import without_ending

LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
_LONGEST = 200_000_000  # bytes: millions of files


def read_text(path: str | os.PathLike) -> str:
    """Return a file as text: UTF-8, or UTF-16 with a byte-order mark. Raises ValueError."""
    try:
        if os.stat(path).st_size > _LONGEST:
            raise ValueError(f"it has more than {_LONGEST:,} bytes")
        text = as_utf8(Path(path).read_bytes()).decode()
        if "\0" in text:
            raise ValueError("it holds zero bytes")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(
            f"{path} cannot be read as text ({reason}). Fix or remove it."
        ) from error
    return text


def read_list(path: Path) -> set[str]:
    """Return the files ``<label>/<file>`` in a list; empty if there is no list."""
    if not path.is_file():
        return set()
    return {tidy(line) for line in read_text(path).splitlines() if line.strip()}


def below(root: str | os.PathLike, path: str) -> str:
    """Return a path relative to a folder that contains it, with forward slashes."""
    # Without pathlib, because there may be millions of paths.
    return path[len(os.fspath(root)) :].replace(os.sep, "/").lstrip("/")


def plain(name: str) -> str:
    """Return a name as people see it: accents composed, no spaces around it."""
    name = name if name.isascii() else unicodedata.normalize("NFC", name)
    return name.strip() or name


def tidy(name: str) -> str:
    """Return the name of a file with forward slashes and without ``./``."""
    # Concatenated lists have byte-order marks inside.
    parts = name.replace("\ufeff", "").strip().replace("\\", "/").split("/")
    return "/".join(part for part in parts if part not in ("", "."))


class FileNames:
    """Finds files by names that were written elsewhere, perhaps on another system.

    ``names`` are relative paths with forward slashes. A name to find may have fewer or more
    leading folders (an absolute path), and may differ in case, Unicode encoding, spaces around
    its parts, and file extension. The closest match wins.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._exact = {name: position for position, name in enumerate(names)}
        self._deepest = max((name.count("/") + 1 for name in names), default=0)
        self._indexes: dict[tuple[int, bool], dict[str, list[int]]] = {}

    def find(self, name: str) -> int | None:
        """Return the position of a file, or None; raise ValueError if the name is ambiguous."""
        name = tidy(name)
        if name in self._exact:
            return self._exact[name]
        stem = without_ending(name)
        for wanted, stems in ((name, False), (name, True), (stem, True)):
            found = self._closest(_keys(wanted), stems)
            if len(found) > 1:
                first, second = (self.names[position] for position in found[:2])
                raise ValueError(f"{name!r} may mean {first!r} and {second!r}")
            if found:
                return found[0]
        return None

    def _closest(self, parts: list[str], stems: bool) -> list[int]:
        """Return the files that share the most trailing parts."""
        found: list[int] = []
        if len(parts) <= self._deepest:
            found = self._index(len(parts), stems).get("/".join(parts), [])
        for length in range(min(len(parts) - 1, self._deepest), 0, -1):
            found = found or self._index(0, stems).get("/".join(parts[-length:]), [])
        return found

    def _index(self, length: int, stems: bool) -> dict[str, list[int]]:
        """Return positions by the trailing parts of names; by all parts for the length 0.

        An index, because comparing names one by one would be slow for thousands of files.
        """
        index = self._indexes.get((length, stems))
        if index is None:
            index = defaultdict(list)
            for position, name in enumerate(self.names):
                parts = _keys(without_ending(name) if stems else name)
                index["/".join(parts[-length:])].append(position)
            self._indexes[length, stems] = index
        return index


def _keys(name: str) -> list[str]:
    return [_key(part) for part in name.split("/")]


def _key(part: str) -> str:
    return plain(part).casefold()


def add_subsets(
    root: str, frame: pd.DataFrame, left_out: Sequence[str], *, lists: bool
) -> list[str]:
    """Fill the column "subset" of a table of clips, None without parts; return remarks.

    With ``lists``, those in ``root`` take precedence over the column; files that they do not
    name keep their part.
    """
    own = frame["subset"].tolist()
    notes: list[str] = []
    if lists or set(own) == {None}:
        listed, notes = read_subsets(root, frame["name"].tolist(), left_out)
        if listed is not None:
            pairs = zip(listed, own, strict=True)
            own = [old if old and new == "train" else new for new, old in pairs]
    if set(own) != {None}:
        own = [subset or "train" for subset in own]
    frame["subset"] = pd.Series(own, frame.index, object)
    return notes


def read_subsets(
    root: str, names: Sequence[str], left_out: Sequence[str]
) -> tuple[list[str] | None, list[str]]:
    """Return "train", "validation" or "test" for each file, and remarks; None without lists.

    ``left_out`` are further files that a list may name.
    """
    lists = {subset: read_list(Path(root, file)) for subset, file in LISTS.items()}
    if not any(lists.values()):
        return None, []
    files = FileNames([*names, *left_out])
    subsets = ["train"] * len(files.names)
    notes: list[str] = []
    for subset, listed in lists.items():
        missing = []
        for name in sorted(listed):
            position = _find(files, name, Path(root, LISTS[subset]))
            if position is None:
                missing.append(name)
            elif subsets[position] not in ("train", subset):
                raise ValueError(
                    f"{' and '.join(LISTS.values())} in {root} both name {name!r}. Remove it "
                    "from one of them."
                )
            else:
                subsets[position] = subset
        if missing:
            notes.append(
                f"{len(missing):,} of {len(listed):,} files in {LISTS[subset]} are not in the "
                f"folder, such as {missing[0]}."
            )
    if set(subsets) == {"train"}:
        named = next(iter(lists["validation"] | lists["test"]))
        raise ValueError(
            f"The lists in {root} match none of its files: they name {named!r}, and the files "
            f"are like {names[0]!r}. Fix or remove the lists."
        )
    return subsets[: len(names)], notes


def _find(files: FileNames, name: str, source: Path) -> int | None:
    try:
        return files.find(name)
    except ValueError as error:
        raise ValueError(f"{source}: {error}. Use <label>/<file>.") from error
