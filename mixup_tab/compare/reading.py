"""From a file to a DataFrame."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

_PACKED = (".gz", ".bz2", ".xz", ".zst")


def read_table(path: str | os.PathLike, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table from a file, whose extension says which format it has.

    Parameters
    ----------
    path : str or path-like
        CSV (commas or semicolons), TSV, Parquet, Feather or JSON lines. Text formats may be
        compressed, as in ``table.csv.gz``.
    text : sequence of str, default=()
        Columns of a CSV or TSV file to read as text, so that leading zeros are kept.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        If the file does not exist, has an unknown format, is broken or empty, or if two
        columns have the same name.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"file {str(path)!r} is a folder. Give the path of a table.")
    reader = _reader_for(path)
    if not path.is_file():
        raise ValueError(f"file {str(path)!r} does not exist. Give the path of a table.")
    with _clear_errors(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # pandas would drop fields
        return reader(path, text)


def _reader_for(path: Path) -> Callable[[Path, Sequence[str]], pd.DataFrame]:
    *_, extension = ["", *path.suffixes[-2:]]
    packed = extension.lower() in _PACKED
    extension = (Path(path.stem).suffix if packed else extension).lower()
    if extension in _WHOLE and not packed:
        return _WHOLE[extension]
    if extension in _OF_TEXT:
        return _OF_TEXT[extension]
    known = ", ".join((*_OF_TEXT, *_WHOLE))
    raise ValueError(
        f"file {path.name!r} has an unknown extension. Known are: {known}; text formats also "
        f"compressed ({', '.join(_PACKED)}). Rename the file or save it as one of these."
    )


@contextmanager
def _clear_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except _Refused:
        raise
    except ImportError as error:
        raise ValueError(
            f"file {path.name!r} needs a package that is not installed "
            f"({str(error).splitlines()[0]}). Parquet and Feather need pyarrow: "
            'python -m pip install "mixup-tab[files]".'
        ) from error
    except UnicodeError as error:
        raise ValueError(
            f"file {path.name!r} is not text in UTF-8 ({error}). Save it as UTF-8."
        ) from error
    except pd.errors.ParserWarning as error:
        raise ValueError(
            f"file {path.name!r} has rows with more fields than its header. Name every column "
            "in the first line, or fix those rows."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"file {path.name!r} is empty.") from error
    except Exception as error:  # every format raises errors of its own
        message = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"file {path.name!r} cannot be read ({message[0]}). Check that it is complete and "
            "that its extension is right."
        ) from error


class _Refused(ValueError):
    """Its message is clear already."""


def _read_csv(path: Path, text: Sequence[str], separator: str = "") -> pd.DataFrame:
    plain = partial(pd.read_csv, path, skipinitialspace=True)
    if not separator:
        first = plain(sep="\0", header=None, nrows=1, dtype=str, quoting=3).iat[0, 0]
        separator = ";" if ";" in first and "," not in first else ","
    header = plain(sep=separator, header=None, nrows=1, dtype=str).iloc[0].dropna()
    _refuse_duplicates(path, header.tolist())
    return plain(
        sep=separator, dtype=dict.fromkeys(text, str), low_memory=False, index_col=False
    )


def _read_lines(path: Path, text: Sequence[str]) -> pd.DataFrame:
    return pd.read_json(path, lines=True, dtype=False)


def _read_arrow(path: Path, text: Sequence[str], read: Callable) -> pd.DataFrame:
    import pyarrow  # which pandas needs for it

    table = read(path)
    if not isinstance(table, pyarrow.Table):
        raise TypeError("not a table")
    _refuse_duplicates(path, table.column_names)
    frame = table.to_pandas()
    return frame.reset_index(drop=True)


def _parquet(path: Path) -> Any:
    from pyarrow import parquet

    return parquet.ParquetFile(path).read()


def _feather(path: Path) -> Any:
    from pyarrow import feather

    return feather.read_table(path)


def _refuse_duplicates(path: Path, names: list[str]) -> None:
    seen = pd.Index(names)
    twice = list(dict.fromkeys(seen[seen.duplicated()]))
    if twice:
        raise _Refused(
            f"file {path.name!r} has more than one column called {twice[0]!r}. Give every "
            "column its own name."
        )


_OF_TEXT: dict[str, Callable[[Path, Sequence[str]], pd.DataFrame]] = {
    ".csv": _read_csv,
    ".tsv": partial(_read_csv, separator="\t"),
    ".tab": partial(_read_csv, separator="\t"),
    ".jsonl": _read_lines,
    ".ndjson": _read_lines,
    ".json": _read_lines,
}
_WHOLE: dict[str, Callable[[Path, Sequence[str]], pd.DataFrame]] = {
    ".parquet": partial(_read_arrow, read=_parquet),
    ".feather": partial(_read_arrow, read=_feather),
}
