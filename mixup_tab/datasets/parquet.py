"""Convert Parquet files larger than memory to arrays on disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import DTypeLike

from mixup_tab._extras import import_extra
from mixup_tab._files import new_folder
from mixup_tab._plain import shown

# Values to read at a time: 64 MB in double precision.
_BATCH_VALUES = 1 << 23
_MOST_ROWS = 65_536  # pyarrow's own default


def parquet_to_array(
    path: str | os.PathLike,
    out: str | os.PathLike,
    *,
    target: str,
    columns: Sequence[str] | None = None,
    dtype: DTypeLike = np.float32,
) -> tuple[np.ndarray, np.ndarray]:
    """Convert a Parquet file to memory-mapped arrays for training.

    The file may be larger than memory: it is read by row group, at most 65,536 rows at a time.
    Needs pyarrow (``pip install "mixup-tab[files]"``).

    Parameters
    ----------
    path : str or path-like
        A Parquet file.
    out : str or path-like
        Folder to create, with the files ``X.npy`` and ``y.npy``. It appears once both are
        complete.
    target : str
        Column for ``y``. Its values must fit in memory.
    columns : sequence of str, default=None
        Columns of ``X``, in this order; None takes all but the target. They must hold
        numbers or booleans, without missing values.
    dtype : dtype, default=numpy.float32
        Type of ``X``. float32 takes half the space of float64 and keeps seven digits; values
        that an integer type cannot hold raise an error.

    Returns
    -------
    X : memmap of shape (n_samples, n_features)
        Read-only.
    y : memmap of shape (n_samples,)
        Read-only, in the type of the column.

    Raises
    ------
    ValueError
        If ``path`` is not a Parquet file; if a column does not exist, is not numeric, or has
        missing values or values that ``dtype`` cannot hold; or if the disk has no space for
        the arrays.
    FileExistsError
        If ``out`` exists.
    OSError
        If ``out`` cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import pandas as pd
    >>> from mixup_tab.datasets import parquet_to_array
    >>> table = pd.DataFrame({"a": [1.5, 2, 3], "b": [4, 5, 6], "kind": ["x", "y", "x"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     table.to_parquet(f"{folder}/table.parquet")
    ...     arrays = parquet_to_array(f"{folder}/table.parquet", f"{folder}/new", target="kind")
    ...     X, y = map(np.array, arrays)
    >>> X
    array([[1.5, 4. ],
           [2. , 5. ],
           [3. , 6. ]], dtype=float32)
    >>> y
    array(['x', 'y', 'x'], dtype='<U1')
    """
    path, out, kind = Path(path), Path(out), np.dtype(dtype)
    if kind.kind not in "fiu":
        raise ValueError(f"dtype must be a floating point or integer type, got {kind.name}.")
    if out.exists():
        raise FileExistsError(f"{str(out)!r} exists. Delete it, or choose another path as out.")
    arrow = import_extra("pyarrow", "files")
    parquet = import_extra("pyarrow.parquet", "files")
    with _refusing_damage(path, arrow):
        opened = parquet.ParquetFile(path)
    with opened as file:
        names = _check_columns(arrow, file.schema_arrow, target, columns)
        rows = _check_rows(file.metadata.num_rows, len(names), kind, out)
        with new_folder(out) as new:
            with (new / "X.npy").open("wb") as X_file:
                batches = _read(path, arrow, file, [*names, target])
                labels = _write(X_file, batches, rows, names, target, kind)
            np.save(new / "y.npy", labels)
    X, y = (np.load(out / name, mmap_mode="r") for name in ("X.npy", "y.npy"))
    return X, y


@contextmanager
def _refusing_damage(path: Path, arrow: Any) -> Iterator[None]:
    """Turn errors in the file's content into ValueError."""
    try:
        yield
    except (arrow.ArrowException, OSError) as error:
        if (
            getattr(error, "errno", None) is not None
        ):  # of the system: missing file, no permission
            raise
        raise ValueError(
            f"{str(path)!r} cannot be read as a Parquet file: {error}. Use a file that "
            "pandas.read_parquet can read."
        ) from error


def _read(path: Path, arrow: Any, file: Any, columns: list[str]) -> Iterator[Any]:
    """Yield the rows, a few at a time."""
    at_once = min(max(_BATCH_VALUES // len(columns), 1), _MOST_ROWS)
    with _refusing_damage(path, arrow):
        yield from file.iter_batches(at_once, columns=columns, use_threads=False)


def _check_columns(
    arrow: Any, schema: Any, target: str, columns: Sequence[str] | None
) -> list[str]:
    """Return the names of the columns of X."""
    names = [name for name in schema.names if name != target] if columns is None else [*columns]
    for name in (target, *names):
        if schema.names.count(name) != 1:
            many = (
                "occurs more than once in the file"
                if name in schema.names
                else "is not in the file"
            )
            raise ValueError(
                f"The column {name!r} {many}; the columns are {shown(schema.names)}. Use "
                "names that occur once as target and columns."
            )
    for name in names:
        kind = schema.field(name).type
        number = arrow.types.is_integer(kind) or arrow.types.is_floating(kind)
        if name == target or not (number or arrow.types.is_boolean(kind)):
            what = "is the target" if name == target else f"holds {kind}, not numbers"
            raise ValueError(
                f"The column {name!r} {what}. Encode it as numbers first, or leave it out of "
                "columns."
            )
    if not names:
        raise ValueError("X has no columns. Name at least one in columns.")
    return names


def _check_rows(rows: int, width: int, kind: np.dtype, out: Path) -> int:
    """Return the number of rows; ValueError if there are none, or too many for the disk."""
    if rows < 1:
        raise ValueError(f"The file has {rows} rows (n_samples={rows}). Use one with rows.")
    place = next(folder for folder in out.absolute().parents if folder.exists())
    needed, free = rows * width * kind.itemsize, shutil.disk_usage(place).free
    if needed > free:
        raise ValueError(
            f"X takes {needed:,} bytes ({rows:,} rows of {width} {kind.name}), but {place} has "
            f"{free:,} left. Free space, choose another path as out, or fewer columns."
        )
    return rows


def _write(
    X_file: BinaryIO,
    batches: Iterator[Any],
    rows: int,
    names: list[str],
    target: str,
    kind: np.dtype,
) -> np.ndarray:
    """Write the columns as one array, and return the target."""
    # Not into a memory map, which would kill the process on a full disk.
    header = {"descr": kind.str, "fortran_order": False, "shape": (rows, len(names))}
    np.lib.format.write_array_header_1_0(X_file, header)
    labels: list[np.ndarray] = []
    done = 0
    for batch in batches:
        block = np.empty((len(batch), len(names)), kind)
        for place, name in enumerate(names):
            block[:, place] = _numbers(batch.column(name), name, kind, done)
        X_file.write(block.data)
        _check_complete(batch.column(target), target, done)
        values = batch.column(target).to_numpy(zero_copy_only=False)
        labels.append(values.astype(str) if values.dtype == object else values)
        done += len(block)
    if done != rows:
        raise ValueError(
            f"The Parquet file declares {rows} rows, but has {done}. Write it again."
        )
    return np.concatenate(labels)


def _check_complete(column: Any, name: str, done: int) -> None:
    if column.null_count:
        raise ValueError(
            f"The column {name!r} has missing values in the {len(column)} rows after row "
            f"{done}. Fill them in, drop these rows, or leave the column out of columns."
        )


def _numbers(column: Any, name: str, kind: np.dtype, done: int) -> np.ndarray:
    """Return a column in the type of X; ValueError if that would change its values."""
    _check_complete(column, name, done)
    values = column.to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        numbers = values.astype(kind)
        fine = np.isfinite(numbers) if kind.kind == "f" else numbers == values
    if not fine.all():
        wrong = int(np.flatnonzero(~fine)[0])
        raise ValueError(
            f"The column {name!r} holds {values[wrong]!s} in row {done + wrong}, which "
            f"{kind.name} cannot hold. Replace it, use another dtype, or leave the column out "
            "of columns."
        )
    return numbers
