"""What a file is that libsndfile cannot read, or reads wrongly, by its first bytes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

_CONVERT = "convert it, for example with ffmpeg -i OLD NEW.wav"
_BEGINNINGS = (
    (rb".{4}ftyp", f"is MPEG-4 (m4a, AAC), which libsndfile cannot read: {_CONVERT}"),
    (rb"\x1aE\xdf\xa3", f"is WebM or Matroska, which libsndfile cannot read: {_CONVERT}"),
    (rb"\x30\x26\xb2\x75\x8e\x66", f"is WMA, which libsndfile cannot read: {_CONVERT}"),
    (rb"\xff[\xf0\xf1\xf8\xf9]", f"is AAC, which libsndfile cannot read: {_CONVERT}"),
    (rb"#!AMR", f"is AMR, which libsndfile cannot read: {_CONVERT}"),
    (rb"DSD |FRM8.{8}DSD ", f"is DSD, which libsndfile cannot read: {_CONVERT}"),
    (rb"MAC ", f"is Monkey's Audio, which libsndfile cannot read: {_CONVERT}"),
    (rb"wvpk", f"is WavPack, which libsndfile cannot read: {_CONVERT}"),
    (rb"TTA1", f"is True Audio, which libsndfile cannot read: {_CONVERT}"),
    (rb"BW64", f"is BW64, which libsndfile cannot read: {_CONVERT}"),
    (rb"MThd", "is MIDI, which is notes and no sound"),
    (rb"version https://git-lfs", "is a pointer of Git LFS: fetch the sound with git lfs pull"),
    (rb"\0\x05\x16\x07", "is a file of macOS about another file: delete it"),
    (rb"\s*<(!DOCTYPE|!doctype|html|HTML|\?xml)", "is a web page, not a sound"),
    (rb"PK\x03\x04|\x1f\x8b|7z\xbc\xaf|Rar!", "is an archive: unpack it"),
)
_KNOWN = [(re.compile(start, re.DOTALL), reason) for start, reason in _BEGINNINGS]
_FIRST_PAGE = b"OggS\0\2"
_PIECE = 2**20


def foreign_format(file: str | BinaryIO) -> str | None:
    """Return in words what a file is that libsndfile could not open; None if unknown."""
    with _from_start(file) as content:
        head = content.read(64)
    return next((reason for start, reason in _KNOWN if start.match(head)), None)


def count_streams(file: str | BinaryIO) -> int:
    """Return how many streams an OGG file holds."""
    count, rest = 0, b""
    with _from_start(file) as content:
        while piece := content.read(_PIECE):
            count += (rest + piece).count(_FIRST_PAGE)
            rest = piece[1 - len(_FIRST_PAGE) :]
    return count


@contextmanager
def _from_start(file: str | BinaryIO) -> Iterator[BinaryIO]:
    """Open a path; leave a file that is open where it was."""
    if isinstance(file, str):
        with open(file, "rb") as content:
            yield content
        return
    place = file.tell()
    file.seek(0)
    yield file
    file.seek(place)
