"""``mixup-tab predict``: predictions of a saved model for a file, chunk by chunk."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pandas as pd
from sklearn.pipeline import Pipeline

from mixup_tab._files import check_new_beside, explained, locked, open_whole
from mixup_tab._terminal import ProgressBar, print_note
from mixup_tab.compare.cells import CellReader, Problem, Skipped
from mixup_tab.compare.chunks import ROWS, read_chunks
from mixup_tab.compare.reading import SIZE_LIMIT as TABLE_LIMIT
from mixup_tab.compare.saving import Card, load_model
from mixup_tab.persistence.model_file import SIZE_LIMIT, finite, predicting

STANDARD = "-"  # standard input or output


class Predictions(NamedTuple):
    """Predictions, and notes on the file.

    Attributes
    ----------
    frame : DataFrame
        The ID column, if any; the prediction; the probability of each class or the value of
        each quantile.
    notes : list of str
    """

    frame: pd.DataFrame
    notes: list[str]


def predict_file(
    model: str | os.PathLike, file: str | os.PathLike, *, size_limit: float = SIZE_LIMIT
) -> Predictions:
    """Predict for every row of a file.

    Parameters
    ----------
    model : str or path-like
        A file that ``mixup-tab train`` or ``mixup-tab compare --save`` wrote.
    file : str or path-like
        A table with the columns that the model was fitted on, of any format that
        :func:`~.reading.read_table` reads.
    size_limit : float, default=1e9
        Maximum size of the model file in bytes; if above 4e9, also of a chunk of the table.

    Raises
    ------
    ValueError
        If the model cannot be used, or a column is missing or of another type.
    """
    reader = ModelOnFile(*load_model(model, size_limit=size_limit))
    chunks = reader.predict(Path(file), size_limit=size_limit)
    parts = [reader.columns(*chunk) for chunk in chunks]
    return Predictions(pd.concat(parts, ignore_index=True), [*reader.notes()])


def predict_to(
    model: str | os.PathLike,
    file: str,
    output: str | None = None,
    *,
    overwrite: bool = False,
    on_error: str = "raise",
    device: str = "cpu",
    size_limit: float = SIZE_LIMIT,
) -> None:
    """Write predictions for a file as CSV, chunk by chunk.

    Parameters
    ----------
    model : str or path-like
        As in :func:`predict_file`.
    file : str
        The table; "-" is standard input, which holds CSV.
    output : str, default=None
        File to write, which appears once it is complete; "-" is standard output, written chunk
        by chunk. None is ``<file>-predictions.csv`` in the current folder, or standard output
        if the table comes from standard input.
    overwrite : bool, default=False
        Whether to replace an existing file.
    on_error : {"raise", "skip"}, default="raise"
        "skip" lists unreadable cells and rows on standard error, treats such cells as empty and
        leaves such rows out.
    device : str, default="cpu"
        Device to predict on.
    size_limit : float, default=1e9
        As in :func:`predict_file`.

    Raises
    ------
    ValueError
        As in :func:`predict_file`; and if ``output`` exists, is in use, or is an input.
    OSError
        If ``output`` cannot be written.
    """
    place = _place(file, output)
    if place is not None:
        check_new_beside(place, overwrite, model, file)
    loaded = load_model(model, device=device, size_limit=size_limit)
    reader = ModelOnFile(*loaded, Skipped() if on_error == "skip" else None)
    messages, rows = sys.stderr if place is None else sys.stdout, 0
    with _opened(place) as target, ProgressBar("row") as bar:
        for chunk in reader.predict(Path(file), size_limit=size_limit):
            columns = reader.columns(*chunk)
            text = columns.to_csv(index=False, header=not rows, lineterminator="\n")
            target.write(text.encode(errors="backslashreplace"))
            target.flush()
            rows += len(columns)
            bar.advance(len(columns))
    for note in reader.notes():
        print_note(f"Note: {note}", messages)
    if place is not None:
        print_note(f"{rows:,} predictions: {place}", messages)


def _place(file: str, output: str | None) -> Path | None:
    """Return the file to write, or None for standard output."""
    if output is None:
        name = f"{Path(file).name.partition('.')[0]}-predictions.csv"
        return None if file == STANDARD else Path(name)
    return None if output == STANDARD else Path(output)


@contextmanager
def _opened(path: Path | None) -> Iterator[BinaryIO]:
    """Yield standard output, or a file that appears when the block ends."""
    if path is None:
        if sys.stdout is None:  # closed by the parent process
            raise ValueError("output='-' is standard output, which is closed. Name a file.")
        with explained(Path("standard output")):
            yield sys.stdout.buffer
        return
    with locked(path, f"output={str(path)!r}"), open_whole(path) as file:
        yield file


class ModelOnFile:
    """A saved model that predicts for files.

    Parameters
    ----------
    pipeline : Pipeline
        Fitted; see :func:`~.saving.load_model`.
    card : Card
    skip : callable, default=None
        Called for each unreadable cell or row. None raises ValueError.
    """

    def __init__(
        self, pipeline: Pipeline, card: Card, skip: Callable[[Problem], Any] | None = None
    ) -> None:
        self.pipeline, self.card = pipeline, card
        self._skip = skip
        formats = card.dtypes, card.date_formats, card.number_formats
        with predicting("the model"):
            self._cells = CellReader(*formats, _levels(pipeline), skip)
        self._warned: set[str] = set()
        self._names: list[str] = []
        quantiles = getattr(pipeline[-1], "quantiles", None)
        self.quantiles = () if quantiles is None else tuple(quantiles)

    def predict(
        self,
        path: Path,
        also: tuple[str, ...] = (),
        *,
        rows: int = ROWS,
        size_limit: float = SIZE_LIMIT,
    ) -> Iterator[tuple[pd.DataFrame, np.ndarray]]:
        """Yield chunks of a file and their predictions.

        Parameters
        ----------
        path : Path
            The file; "-" is standard input.
        also : tuple of str, default=()
            Columns that the file must have besides those of the model.
        rows : int, default=20,000
            Maximum number of rows per chunk.
        size_limit : float, default=1e9
            Maximum size of a chunk in bytes, if above 4e9.

        Yields
        ------
        frame : DataFrame
            Columns as in the file.
        values : ndarray of shape (rows, classes), (rows, quantiles) or (rows,)
        """
        stdin = None
        if str(path) == STANDARD:
            if sys.stdin is None:  # closed by the parent process
                raise ValueError("file '-' is standard input, which is closed. Name a file.")
            stdin, path = sys.stdin.buffer, Path("standard input")
        needed = [*self.card.dtypes, *also]
        frames = read_chunks(
            path,
            {*needed, *([self.card.id] if self.card.id else ())},
            stdin=stdin,
            rows=rows,
            size_limit=max(size_limit, TABLE_LIMIT),
            skip=self._skip and self._skip_row,
        )
        self._names = [*next(frames)]
        missing = [name for name in needed if name not in self._names]
        if {*missing} & {*also}:
            raise ValueError(
                f"file {path.name!r} has no column {missing[-1]!r}, the target. To "
                "predict without it, use mixup-tab predict."
            )
        if missing:
            raise ValueError(
                f"file {path.name!r} has no column {', '.join(map(repr, missing))}, which "
                "the model needs. Add it, with empty cells where it is unknown."
            )
        none = True
        for frame in frames:
            none = False
            yield frame, self._values(frame)
        if none:
            raise ValueError(f"file {path.name!r} has no rows to predict for.")

    def _skip_row(self, row: int, reason: str) -> None:
        assert self._skip is not None
        self._skip(Problem(row, reason))

    def _values(self, frame: pd.DataFrame) -> np.ndarray:
        more = {"quantiles": self.quantiles} if self.quantiles else {}
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            typed = self._cells.read(frame)
            with predicting("the model"):
                if self.card.classes:
                    values = finite(self.pipeline.predict_proba(typed))
                else:
                    values = finite(self.pipeline.predict(typed, **more))
        self._warned |= {str(each.message).partition("\n")[0] for each in caught}
        return values

    def columns(self, frame: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
        """Return the predictions of a chunk as a table to write."""
        if self.card.classes:
            best = np.array(self.card.classes, dtype=object)[values.argmax(axis=1)]
            names = [f"probability_{name}" for name in self.card.classes]
        elif self.quantiles:
            best = values[:, np.abs(np.array(self.quantiles) - 0.5).argmin()]
            names = [f"quantile_{level:g}" for level in self.quantiles]
        else:
            best, names, values = values, [], values[:, None][:, :0]
        predicted = pd.DataFrame(values, columns=names)
        predicted.insert(0, "prediction", best, allow_duplicates=True)
        if self.card.id in frame:
            ids = frame[self.card.id].to_numpy()
            predicted.insert(0, self.card.id, ids, allow_duplicates=True)
        return predicted

    def notes(self) -> Iterator[str]:
        """Yield remarks on a file that has been read."""
        card = self.card
        extra = [
            name for name in self._names if name not in {*card.dtypes, card.target, card.id}
        ]
        # Trailing separators make a column without a name.
        extra = [name for name in extra if not name.startswith("Unnamed: ")]
        if extra:
            names = ", ".join(extra[:10]) + (" …" if len(extra) > 10 else "")
            yield f"Columns unknown to the model are ignored: {names}."
        if card.id is not None and card.id not in self._names:
            yield f"The file has no column {card.id!r}; predictions are in the file's order."
        if unseen := self._cells.unseen():
            yield f"Categories not seen in training are treated as unknown: {unseen}."
        if isinstance(self._skip, Skipped):
            yield from self._skip.notes()
        yield from sorted(self._warned)


def _levels(pipeline: Pipeline) -> dict[str, Any]:
    """Return the known values of categorical columns, by column."""
    means = getattr(pipeline[0], "_means", {})
    codes = {name: known for name, (known, _) in means.items()}
    return {**getattr(pipeline[0], "levels_", {}), **codes}
