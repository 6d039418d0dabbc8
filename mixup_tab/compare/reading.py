"""Read tables from files: CSV, JSON, Parquet and Feather."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import re
import struct
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from mixup_tab._files import as_utf8
from mixup_tab.tables.columns import MISSING_WORDS
from mixup_tab.tables.number_formats import resembles

# Maximum size after unpacking, in bytes.
SIZE_LIMIT = 4_000_000_000
_ALL = "all"
_BYTES_PER_VALUE = 8


def read_table(
    path: str | os.PathLike,
    *,
    text: Collection[str] | str = (),
    size_limit: float = SIZE_LIMIT,
) -> pd.DataFrame:
    """Read a table from a file, in the format that its extension names.

    Parameters
    ----------
    path : str or path-like
        CSV (commas, semicolons, tabs or bars), TSV, Parquet, Feather or JSON (an object per
        line, or an array of objects). Text formats may be compressed, as in ``table.csv.gz``.
    text : collection of str or "all", default=()
        Columns of a CSV or TSV file to keep as text: leading zeros and words such as "NA" are
        kept, and only empty cells are missing. In other columns, numbers are parsed, and words
        such as "NA" are missing values. JSON values are always kept as written. Rows may be
        short: the cells at their end are missing.
    size_limit : float, default=4e9
        Maximum size of a compressed, Parquet or Feather file after unpacking, in bytes.

    Returns
    -------
    DataFrame
        The index of a DataFrame saved as Parquet or Feather becomes a column.

    Raises
    ------
    ValueError
        If the file does not exist, has an unknown format, is damaged or empty, or has two
        columns of the same name.
    """
    path = Path(path)
    extension = format_of(path)
    reader = _READERS[extension]
    with clear_errors(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas would drop fields
        return reader(path, text, size_limit)


def format_of(path: Path) -> str:
    """Return a file's extension, without that of its compression; check that it is known."""
    if path.is_dir():
        raise ValueError(f"file {str(path)!r} is a folder. Name a table.")
    *_, extension = ["", *path.suffixes[-2:]]
    packed = extension.lower() in _OPEN
    extension = (Path(path.stem).suffix if packed else extension).lower()
    if extension in (_OF_TEXT if packed else _READERS):
        if path.is_file():
            return extension
        if path.exists():
            raise ValueError(
                f"file {str(path)!r} is not a regular file. Name a table; to pipe CSV into "
                "predict or evaluate, use -."
            )
        raise ValueError(f"file {str(path)!r} does not exist. Check the path.")
    known = ", ".join(_READERS)
    raise ValueError(
        f"file {path.name!r} has an unknown extension. Use one of {known}; text formats may be "
        f"compressed ({', '.join(_OPEN)})."
    )


@contextmanager
def clear_errors(path: Path) -> Iterator[None]:
    """Turn any error in reading a file into a ValueError that names the file."""
    try:
        yield
    except FileProblem as error:
        raise ValueError(f"file {path.name!r} {error}") from error.__cause__
    except ImportError as error:
        raise ValueError(
            f"file {path.name!r} needs a package that is not installed "
            f"({str(error).splitlines()[0]}). Parquet, Feather and .zst need pyarrow: "
            'python -m pip install "mixup-tab[files]".'
        ) from error
    except UnicodeError as error:
        raise ValueError(
            f"file {path.name!r} is not text in UTF-8 ({error}). Save it as UTF-8; if it is in "
            "Latin-1 or Windows-1252, iconv -f WINDOWS-1252 -t UTF-8 converts it."
        ) from error
    except pd.errors.ParserWarning as error:
        raise ValueError(
            f"file {path.name!r} has rows with more fields than its header. Name every column "
            "in the first line, without comments above it, or fix those rows."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"file {path.name!r} is empty.") from error
    except Exception as error:  # every format raises errors of its own
        message = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"file {path.name!r} cannot be read ({message[0]}). Check that it is complete and "
            "that its extension is right."
        ) from error


class FileProblem(Exception):
    """A problem with a file; the message follows the name of the file."""


NOT_TEXT = (
    "is not text: it holds zero bytes. Check that its extension is right; if it is UTF-16, "
    "save it as UTF-8."
)


def check_unique(names: Iterable[str]) -> None:
    """Raise FileProblem if two columns have the same name."""
    names = list(names)
    if len(set(names)) < len(names):
        twice = next(name for place, name in enumerate(names) if name in names[:place])
        raise FileProblem(
            f"has more than one column called {twice!r}. Give every column its own name."
        )


def check_size(size: int, size_limit: float) -> None:
    """Raise FileProblem if a file takes more bytes than the limit."""
    if size > size_limit:
        raise FileProblem(
            f"takes more than {size_limit:,.0f} bytes when unpacked. If you trust it, raise "
            "--size-limit (size_limit)."
        )


# ---------------------------------------------------------------------------- text formats


def open_text(path: Path) -> BinaryIO:
    """Open a text file, decompressed according to its extension."""
    return _OPEN.get(path.suffix.lower(), open)(path, "rb")


def _read_text(path: Path, size_limit: float) -> bytes:
    """Return the content of a text file in UTF-8, without a byte-order mark."""
    packed = path.suffix.lower() in _OPEN
    data = _unpack(open_text(path), size_limit) if packed else path.read_bytes()
    data = as_utf8(data)
    if b"\0" in data:
        raise FileProblem(NOT_TEXT)
    return data


def _unpack(file: BinaryIO, size_limit: float) -> bytes:
    data = bytearray()
    with file:
        while chunk := file.read(2**20):
            data += chunk
            check_size(len(data), size_limit)
    return bytes(data)


def _open_zst(path: Path, mode: str) -> BinaryIO:
    import pyarrow

    return pyarrow.input_stream(str(path), compression="zstd")


def _read_csv(
    path: Path, text: Collection[str], size_limit: float, separator: str = ""
) -> pd.DataFrame:
    return _parse_csv(_read_text(path, size_limit).lstrip(b"\r\n"), text, separator)


def _parse_csv(data: bytes, text: Collection[str], separator: str) -> pd.DataFrame:
    first, _, rest = data.partition(b"\n")
    if declared := declared_separator(first):
        separator, data = declared, rest
    separator = separator or separator_of(first)
    options: dict[str, Any] = {
        "sep": separator,
        "skipinitialspace": True,
        "keep_default_na": False,
    }
    header = pd.read_csv(io.BytesIO(data), header=None, nrows=1, dtype=str, **options).iloc[0]
    check_unique(name for name in header if name)
    names = [name or f"Unnamed: {place}" for place, name in enumerate(header)]
    words = {True: [""], False: list(MISSING_WORDS)}
    as_written = set(names if text == _ALL else text).intersection(names)
    frame = pd.read_csv(
        io.BytesIO(data),
        index_col=False,
        dtype=dict.fromkeys(as_written, str),
        # The last entry is for trailing separators, which are not a column.
        na_values={name: words[name in as_written] for name in names} | {len(names): [""]},
        low_memory=False,
        **options,
    )
    if any(map(_is_written_number, frame.drop(columns=as_written).items())):
        # "1.234" may mean 1234 in this file, so columns that look plain are read as text too.
        return _parse_csv(data, _ALL, separator)
    nameless = [name for name, given in zip(names, header, strict=True) if not given]
    return frame.drop(columns=[name for name in nameless if frame[name].isna().all()])


def declared_separator(first: bytes) -> str:
    """Return the separator declared by a first line such as "sep=;" (Excel), or ""."""
    declared = re.fullmatch(rb'"?sep=(.)"?\r?\n?', first)
    return declared[1].decode() if declared else ""


def separator_of(first: bytes) -> str:
    """Return the separator that occurs most in the first line, outside of quotes."""
    bare = re.sub(rb'"[^"]*"', b"", first)
    return max(",;\t|", key=lambda mark: bare.count(mark.encode()))


def _is_written_number(item: tuple[str, pd.Series]) -> bool:
    _, column = item
    if pd.api.types.is_numeric_dtype(column.dtype):
        return False
    return resembles(column.dropna().astype(str).unique()) == "numbers"


def read_json(path: Path, text: Collection[str], size_limit: float) -> pd.DataFrame:
    """Read JSON, one object per line or an array of objects, with values as written."""
    data = _read_text(path, size_limit).decode().strip()
    if not data:
        raise pd.errors.EmptyDataError
    parse = json_decoder().decode
    rows = parse(data) if data[0] == "[" else [parse(x) for x in data.split("\n") if x.strip()]
    if not all(isinstance(row, dict) for row in rows):
        raise FileProblem('does not hold one object per row, such as {"size": 1.5}.')
    return pd.DataFrame(rows)


def json_decoder() -> json.JSONDecoder:
    """Return a decoder that keeps numbers and constants as text."""
    return json.JSONDecoder(
        object_pairs_hook=_json_row, parse_int=str, parse_float=str, parse_constant=str
    )


def _json_row(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    check_unique(name for name, _ in pairs)
    return {k: str(v).lower() if isinstance(v, bool) else v for k, v in pairs}


# -------------------------------------------------------------------------- binary formats


def _read_arrow(path: Path, text: Collection[str], size_limit: float) -> pd.DataFrame:
    schema, sizes, batches = open_arrow(path)
    check_size(sum(sizes), size_limit)
    kept, size = [], 0
    for batch in batches:
        kept.append(batch)
        size += checked_size(batch)
        check_size(size, size_limit)
    return arrow_frame(schema, kept)


def open_arrow(path: Path) -> tuple[Any, list[int], Iterator[Any]]:
    """Open Parquet or Feather; return schema, declared sizes of parts, and batches of rows."""
    opened = _feather(path) if path.suffix.lower() == ".feather" else _parquet(path)
    names = opened[0].names
    saved = (opened[0].pandas_metadata or {"columns": []})["columns"]
    check_unique(each["name"] or each["field_name"] for each in saved)
    check_unique([*names, *_ranges(opened[0])])
    return opened


def checked_size(batch: Any) -> int:
    """Return the approximate size of a batch in pandas, in bytes; raises if it is damaged."""
    batch.validate(full=True)  # finds text that is not UTF-8, offsets beyond the end
    return sum(map(_size, batch.columns))


def arrow_frame(schema: Any, batches: list[Any], first: int = 0) -> pd.DataFrame:
    """Return batches as a DataFrame; ``first`` is the position of their first row."""
    import pyarrow

    # Without pandas' metadata, an index is a column; integers beside missing values stay exact.
    frame = pyarrow.Table.from_batches(batches, schema).to_pandas(
        ignore_metadata=True, integer_object_nulls=True
    )
    for name, index in _ranges(schema).items():
        frame[name] = (first + np.arange(len(frame))) * index["step"] + index["start"]
    return frame


def _ranges(schema: Any) -> dict[str, dict[str, Any]]:
    """Return named RangeIndexes of a saved DataFrame, which are stored only by their ends."""
    saved = (schema.pandas_metadata or {"index_columns": []})["index_columns"]
    ranges = [each for each in saved if isinstance(each, dict)]
    return {each["name"]: each for each in ranges if each["name"] is not None}


def _size(column: Any) -> int:
    """Return the approximate size of an Arrow column in pandas, in bytes."""
    decode = getattr(column, "dictionary_decode", None)  # stores each value once
    return max((decode() if decode else column).nbytes, _BYTES_PER_VALUE * len(column))


def _parquet(path: Path) -> tuple[Any, list[int], Iterator[Any]]:
    from pyarrow import parquet, types

    file = parquet.ParquetFile(path)
    schema = file.schema_arrow
    # Small batches for text: repeated text is stored once, and grows when it is read.
    rows = 50_000 if all(map(types.is_primitive, schema.types)) else 1_000
    groups = map(file.metadata.row_group, range(file.metadata.num_row_groups))
    sizes = [_BYTES_PER_VALUE * group.num_rows * len(schema.names) for group in groups]
    return schema, sizes, file.iter_batches(rows)


def _feather(path: Path) -> tuple[Any, list[int], Iterator[Any]]:
    from pyarrow import BufferReader, ipc, memory_map

    file = ipc.open_file(str(path))
    stream = memory_map(str(path)).read_buffer().slice(8)
    sizes = [*map(_declared_size, ipc.MessageReader.open_stream(BufferReader(stream)))]
    return file.schema, sizes, map(file.get_batch, range(file.num_record_batches))


def _declared_size(message: Any) -> int:
    """Return the unpacked size of a message of Arrow, whose head is a FlatBuffer.

    In the format's Message.fbs, a message has the fields version, type and header, a header
    length, nodes, buffers and compression, a header of a dictionary id and header. Compressed
    buffers begin with their unpacked size.
    """
    head, body = memoryview(message.metadata), memoryview(message.body or b"")

    def number(form: str, position: int) -> int:
        return struct.unpack_from(form, head, position)[0]

    def field(table: int, place: int) -> int:
        known = table - number("<i", table)
        inside = 4 + 2 * place < number("<H", known)
        position = table + (number("<H", known + 4 + 2 * place) if inside else 0)
        return position + number("<I", position) if position > table else 0

    header = field(number("<I", 0), 2)
    if message.type == "dictionary":
        header = field(header, 1)
    if message.type == "schema" or not field(header, 3):
        return len(body)
    buffers, size = field(header, 2), 0
    for place in range(number("<I", buffers)):
        offset, length = struct.unpack_from("<qq", head, buffers + 4 + 16 * place)
        size += max(struct.unpack_from("<q", body, offset)[0], length) if length else 0
    return size


_OPEN: dict[str, Callable[[Path, str], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zst,
}
_Reader = Callable[[Path, Collection[str], float], pd.DataFrame]
_OF_TEXT: dict[str, _Reader] = {
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, separator="\t"),
    ".tab": partial(_read_csv, separator="\t"),
    ".jsonl": read_json,
    ".ndjson": read_json,
    ".json": read_json,
}
_READERS = {**_OF_TEXT, ".parquet": _read_arrow, ".feather": _read_arrow}
