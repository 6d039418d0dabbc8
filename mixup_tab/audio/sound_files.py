"""Find the sound files below a folder, and describe what is left out."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

Reject = Callable[[str, str], None]

# Formats of libsndfile. Not RAW, which states no sample rate; MAT4 and MAT5, which are mostly
# other data; SD2, whose header is a second file.
ENDINGS_OF = {
    "AIFF": (".aif", ".aiff", ".aifc"),
    "AU": (".au", ".snd"),
    "AVR": (".avr",),
    "CAF": (".caf",),
    "FLAC": (".flac",),
    "HTK": (".htk",),
    "IRCAM": (".sf", ".ircam"),
    "MP3": (".mp3", ".mp2", ".mp1", ".mpga"),
    "MPC2K": (".snd",),
    "NIST": (".nist", ".sph"),
    "OGG": (".ogg", ".oga", ".opus"),
    "PAF": (".paf", ".fap"),
    "PVF": (".pvf",),
    "RF64": (".rf64",),
    "SDS": (".sds",),
    "SVX": (".svx", ".8svx", ".iff"),
    "VOC": (".voc",),
    "W64": (".w64",),
    "WAV": (".wav", ".wave", ".bwf"),
    "WAVEX": (".wav",),
    "WVE": (".wve",),
    "XI": (".xi",),
}
ENDINGS = frozenset(ending for endings in ENDINGS_OF.values() for ending in endings)
# Audio and video that ffmpeg can convert.
_MEDIA = """
.3g2 .3gp .aac .ac3 .adts .amr .ape .asf .avi .awb .dff .dsf .dts .eac3 .flv .m4a .m4b .m4r
.m4v .mka .mkv .mov .mp4 .mpc .mpeg .mpg .oma .ra .rm .shn .spx .tak .tta .weba .webm .wma .wmv
.wv
"""
_CONVERTIBLE = frozenset(_MEDIA.split())
_SYSTEM = {"#recycle", "#snapshot", "$recycle.bin", "@eadir", "@recycle", "@tmp", "__macosx"}
_SYSTEM |= {"__pycache__", "desktop.ini", "found.000", "lost+found", "recycler", "thumbs.db"}
_SYSTEM |= {"system volume information"}
_MOST_NAMED = 5


@dataclass
class Found:
    """The files below a folder.

    ``convertible`` are sounds in unsupported formats, ``others`` counts all other files by
    extension, ``ignored`` are folders whose name begins with ``_``, and ``repeated`` are links
    and folders whose files have been found already.
    """

    root: str
    sounds: list[str] = field(default_factory=list)
    convertible: list[str] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    ignored: list[str] = field(default_factory=list)
    repeated: list[str] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Return sentences on what is left out."""
        notes = [self.how_to_convert(self.convertible)] if self.convertible else []
        if self.others:
            kinds = _kinds(self.others)
            notes.append(f"Files that are not sounds were left out: {kinds}.")
        if self.ignored:
            notes.append(
                "Folders whose names begin with _ were left out: "
                f"{_listed(self.root, self.ignored)}."
            )
        if self.repeated:
            notes.append(
                "Links to folders that were read already, or that contain this one, were not "
                f"followed: {_listed(self.root, self.repeated)}."
            )
        return notes

    def how_to_convert(self, paths: list[str]) -> str:
        """Return a sentence on sounds in unsupported formats, and how to convert them."""
        counts = Counter(os.path.splitext(path)[1].lower() for path in paths)
        ending = counts.most_common(1)[0][0]
        return (
            f"Sounds in formats that libsndfile cannot read were left out: {_kinds(counts)}, "
            f"such as {_short(self.root, paths[0])}. Convert them with ffmpeg: find "
            f"{shlex.quote(self.root)} -iname '*{ending}' -exec ffmpeg -i {{}} {{}}.wav ';'"
        )


def find_sounds(root: str, reject: Reject, keep: Callable[[str, str], bool]) -> Found:
    """Find the sound files below a folder, sorted folder by folder.

    Links to folders are followed, and every folder is read once. ``keep(folder, name)`` decides
    whether to read a subfolder whose name begins with ``_``.
    """
    found = Found(root)
    for here, names in _walk(found, reject, keep):
        for name in names:
            if name.startswith(".") or name.lower() in _SYSTEM:
                continue
            ending = os.path.splitext(name)[1].lower()
            if ending in ENDINGS:
                found.sounds.append(os.path.join(here, name))
            elif ending in _CONVERTIBLE:
                found.convertible.append(os.path.join(here, name))
            elif not os.path.exists(
                os.path.join(here, name)
            ):  # may have been the folder of a word
                reject(os.path.join(here, name), "is a broken link")
            elif here != root:  # lists and licences lie in root
                found.others[ending] += 1
    # By folder: as text, "no way/1.wav" would come before "no/1.wav".
    found.sounds.sort(key=lambda path: path.replace(os.sep, "\0"))
    found.convertible.sort()
    return found


def without_ending(name: str) -> str:
    """Return the name of a sound file without its ending."""
    stem, ending = os.path.splitext(name)
    return stem if ending.lower() in ENDINGS | _CONVERTIBLE else name


def _walk(
    found: Found, reject: Reject, keep: Callable[[str, str], bool]
) -> Iterator[tuple[str, list[str]]]:
    """Yield folders and their files: real folders first, then the targets of links."""

    def unreadable(error: OSError) -> None:
        reject(str(error.filename), f"cannot be opened ({error.strerror})")

    def wanted(here: str, name: str) -> bool:
        if name.startswith(".") or name.lower() in _SYSTEM:
            return False
        if name.startswith("_") and not keep(here, name):
            found.ignored.append(os.path.join(here, name))
            return False
        return True

    real_root = os.path.realpath(found.root)
    seen: set[tuple[int, int]] = set()
    waiting = [found.root]
    for top in waiting:  # grows in the loop
        if top != found.root and _contains(os.path.realpath(top), real_root):
            found.repeated.append(top)
            continue
        for here, folders, files in os.walk(top, onerror=unreadable):
            state = os.stat(here)
            if (state.st_dev, state.st_ino) in seen:
                found.repeated.append(here)
                folders.clear()
                continue
            seen.add((state.st_dev, state.st_ino))
            folders[:] = sorted(name for name in folders if wanted(here, name))
            paths = (os.path.join(here, name) for name in folders)
            waiting += filter(os.path.islink, paths)
            yield here, files


def _contains(folder: str, other: str) -> bool:
    return other == folder or other.startswith(folder.rstrip(os.sep) + os.sep)


def _kinds(counts: Counter[str]) -> str:
    parts = [f"{n:,} {kind or 'without ending'}" for kind, n in counts.most_common(_MOST_NAMED)]
    rest = counts.total() - sum(n for _, n in counts.most_common(_MOST_NAMED))
    return ", ".join(parts) + (f" and {rest:,} more" if rest else "")


def _listed(root: str, paths: list[str]) -> str:
    names = ", ".join(_short(root, path) for path in sorted(paths)[:_MOST_NAMED])
    return names + (
        f" and {len(paths) - _MOST_NAMED:,} more" if len(paths) > _MOST_NAMED else ""
    )


def _short(root: str, path: str) -> str:
    return os.path.relpath(path, root).replace(os.sep, "/")


def fault(path: str) -> str | None:
    """Return what is wrong with a file, without reading it."""
    try:
        size = os.stat(path).st_size
    except OSError as error:
        return f"cannot be opened ({error.strerror})"
    if size == 0:
        return "is empty (0 bytes)"
    return None if os.access(path, os.R_OK) else "cannot be opened (Permission denied)"
