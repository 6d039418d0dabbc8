"""Zip archives without compression, so that no member is larger than it looks."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping

_END, _END_64 = b"PK\x05\x06", b"PK\x06\x07"


def pack(members: Mapping[str, bytes]) -> bytes:
    """Return an archive of named members; the same members give the same bytes.

    Raises
    ------
    ValueError
        If there are more than 65,535 members, or 4 GB.
    """
    content = io.BytesIO()
    try:
        with zipfile.ZipFile(content, "w", allowZip64=False) as archive:
            for name, part in members.items():
                archive.writestr(zipfile.ZipInfo(name), part)
    except zipfile.LargeZipFile as error:
        raise ValueError(f"the model is too large for a file ({error})") from error
    return content.getvalue()


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the members of an archive that :func:`pack` made.

    Unlike with zipfile alone, they never take more memory than the archive.

    Raises
    ------
    ValueError or zipfile.BadZipFile
        If it is not such an archive.
    """
    end = data[-22:]  # zipfile alone would accept archives with a comment or above 4 GB
    if end[:4] != _END or end[-2:] != b"\x00\x00" or data[-42:-38] == _END_64:
        raise ValueError("it is not an archive, or is incomplete")
    # zipfile makes an object of half a kilobyte from every 46 bytes of the directory.
    if int.from_bytes(end[12:16], "little") > len(data) // 8 + 1000:
        raise ValueError("its directory is too large")
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = archive.infolist()
        if len({entry.filename for entry in entries}) < len(entries):
            raise ValueError("it holds two members of the same name")
        plain = all(
            entry.compress_type == zipfile.ZIP_STORED and entry.compress_size == entry.file_size
            for entry in entries
        )
        if not plain or sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("it holds members that are compressed or overlap")
        return {entry.filename: archive.read(entry) for entry in entries}
