"""Tables in files of several kinds."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

_PACKED = (".gz", ".bz2", ".xz", ".zst")


def read_table(path: str | os.PathLike, *, text: Sequence[str] = ()) -> pd.DataFrame:
    """Read a table from a file; its ending says what kind of file it is.

    Parameters
    ----------
    path : str or path-like
        CSV (commas or semicolons), TSV, Parquet, Feather or JSON lines. The kinds made of
        text may be compressed, as in ``table.csv.gz``.
    text : sequence of str, default=()
        Columns that are to be kept as they are written, such as numbers with zeros in front.

    Returns
    -------
    DataFrame

    Raises
    ------
    ValueError
        If the file is not there, of another kind, broken or empty, or if two columns have
        the same name.
    """
    path = Path(path)
    if path.is_dir():
        raise ValueError(f"file {str(path)!r} is a folder. Give the path of a table.")
    reader = _reader_for(path)
    if not path.is_file():
        raise ValueError(f"file {str(path)!r} does not exist. Give the path of a table.")
    with _failures_in_plain_words(path), warnings.catch_warnings():
        warnings.simplefilter("error", pd.errors.ParserWarning)  # fields that it leaves out
        return reader(path, text)


def _reader_for(path: Path) -> Callable[[Path, Sequence[str]], pd.DataFrame]:
    *_, ending = ["", *path.suffixes[-2:]]
    packed = ending.lower() in _PACKED
    ending = (Path(path.stem).suffix if packed else ending).lower()
    if ending in _WHOLE and not packed:
        return _WHOLE[ending]
    if ending in _OF_TEXT:
        return _OF_TEXT[ending]
    known = ", ".join((*_OF_TEXT, *_WHOLE))
    raise ValueError(
        f"file {path.name!r} has an unknown ending. Known are: {known}; those made of text "
        f"also with {', '.join(_PACKED)} behind. Rename the file or save it as one of these."
    )


@contextmanager
def _failures_in_plain_words(path: Path) -> Any:
    try:
        yield
    except _Refused:
        raise
    except ImportError as error:
        raise ValueError(
            f"file {path.name!r} needs a package that is not installed "
            f"({str(error).splitlines()[0]}). For Parquet and Feather: "
            "python -m pip install pyarrow."
        ) from error
    except UnicodeError as error:
        raise ValueError(
            f"file {path.name!r} is not text in UTF-8 ({error}). Save it as UTF-8."
        ) from error
    except pd.errors.ParserWarning as error:
        raise ValueError(
            f"file {path.name!r} has rows with more fields than its header. Name every column "
            "in the first line, or mend those rows."
        ) from error
    except pd.errors.EmptyDataError as error:
        raise ValueError(f"file {path.name!r} is empty.") from error
    except Exception as error:  # every format has errors of its own
        told = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"file {path.name!r} cannot be read ({told[0]}). Check that it is whole and that "
            "its ending says what it is."
        ) from error


class _Refused(ValueError):
    """Already says what is wrong."""


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
