"""Standard input of ``mixup-tab speech predict``: names of files, or a clip."""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from mixup_tab.audio.streams import SOUND

_CHUNK = 2**16  # bytes to read at once
_LARGEST = 2**30  # bytes of a clip
_LONGEST = 2**16  # bytes of a name
_MPEG = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")  # start of an MP3 without tags
_MAY_BE_SOUND = (b"RIFF", b"RF64", b"FORM")  # followed by a size, which may hold any byte
# Control characters, or the byte-order mark of UTF-16, in which every other byte is zero.
_NO_TEXT = re.compile(rb"[\1-\x08\x0e-\x1f]|\A(\xff\xfe|\xfe\xff)")


def begins_sound(head: bytes) -> bool:
    """Whether bytes are the beginning of a sound file, not of a list of names."""
    return bool(SOUND.match(head) or _MPEG.match(head))


def read_head(stdin: Any) -> bytes:
    """Return the beginning of standard input: a name, or enough to recognise a clip."""
    head = b""
    while len(head) < 12:
        if (b"\n" in head or b"\0" in head) and not head.startswith(_MAY_BE_SOUND):
            break
        read = stdin.read1(_CHUNK)
        head += read
        if not read:
            break
    return head


def read_all(head: bytes, stdin: BinaryIO) -> bytes:
    """Return a clip from standard input, of limited size."""
    parts, size = [head], len(head)
    while part := stdin.read(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > _LARGEST:
            raise ValueError(
                f"files: - is a clip of more than {_LARGEST:,} bytes. Save it as a file, or "
                "use mixup-tab speech listen."
            )
    return b"".join(parts)


def read_names(head: bytes, stdin: Any) -> Iterator[list[str]]:
    """Yield names from standard input as they come, one per line or separated by zero bytes."""
    rest, more = head, bool(head)
    while more and not (b"\n" in rest or b"\0" in rest or len(rest) > _LONGEST):
        more = bool(read := stdin.read1(_CHUNK))
        rest += read
    rest = rest.removeprefix(codecs.BOM_UTF8)
    between = b"\0" if b"\0" in rest else b"\n"
    if _NO_TEXT.search(rest[:12] + rest.partition(between)[0]):
        raise ValueError(
            "files: - is neither a list of names nor a clip (WAV, FLAC, OGG, MP3 or AIFF). "
            "Send file names in UTF-8, one per line, or the bytes of a clip."
        )
    while more or rest:
        *lines, rest = rest.split(between) if more else [*rest.split(between), b""]
        if len(rest) > _LONGEST:
            raise ValueError(f"files: - holds a name of more than {_LONGEST:,} bytes.")
        if between == b"\n":
            lines = [line.strip(b"\r") for line in lines]
        yield [os.fsdecode(line) for line in lines if line]
        if not more:
            return
        more = bool(read := stdin.read1(_CHUNK))
        rest += read
