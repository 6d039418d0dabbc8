"""The report page: sections of text, sorting tables, pictures and foldable details."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import jinja2
import pandas as pd

from mixup_tab.page.pieces import Best, Picture, Piece, Table, Text


class Fold(NamedTuple):
    """Pieces that are seen when their title is clicked."""

    title: str
    pieces: tuple[Piece, ...]


class Section(NamedTuple):
    """A heading with what is below it."""

    heading: str
    pieces: tuple[Piece, ...] = ()
    folds: tuple[Fold, ...] = ()


class Page:
    """A report that is built section by section and written as one HTML file.

    The file works offline: style, script and pictures are inside, and its content policy
    forbids everything else. Whatever it is given is shown as text, never read as HTML.

    Parameters
    ----------
    title : str
        Heading of the page.
    summary : str
        The sentence that a hurried reader should take away.
    facts : mapping of str to str, default=None
        What the run was: versions, device, seed.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from mixup_tab.page import Page
    >>> page = Page("Iris", "No difference can be shown.", {"seed": "0"})
    >>> page.add_text("Reading this page", "Errors are in percent.")
    >>> scores = pd.DataFrame({"method": ["ERM", "mixup"], "error %": [5.3, 4.5]})
    >>> page.add_table("Errors", scores, formats={"error %": "{:.1f}"}, best={"error %": "low"})
    >>> page.write(tempfile.mkdtemp()).name
    'report.html'
    """

    def __init__(
        self, title: str, summary: str, facts: Mapping[str, Any] | None = None
    ) -> None:
        self.title = title
        self.summary = summary
        self.facts = dict(facts or {})
        self.sections: list[Section] = []

    def add_text(self, heading: str, paragraphs: str | Sequence[str]) -> None:
        """Add a section of text.

        Parameters
        ----------
        heading : str
            Its heading.
        paragraphs : str or sequence of str
            One paragraph or several.
        """
        self.sections.append(Section(heading, (Text(paragraphs),)))

    def add_table(
        self,
        heading: str,
        frame: pd.DataFrame,
        caption: str = "",
        formats: Mapping[str, str | Callable] | None = None,
        best: Best | None = None,
    ) -> None:
        """Add a section with a table that sorts by the column whose header is clicked.

        Parameters
        ----------
        heading : str
            Its heading.
        frame, caption, formats, best
            See :class:`Table`.
        """
        self.sections.append(Section(heading, (Table(frame, caption, formats, best),)))

    def add_picture(
        self, heading: str, figure: Any, *, name: str, alt: str, caption: str = ""
    ) -> None:
        """Add a section with a picture.

        Parameters
        ----------
        heading : str
            Its heading.
        figure, name, alt, caption
            See :class:`Picture`.
        """
        self.sections.append(Section(heading, (Picture(figure, name, alt, caption),)))

    def add_details(
        self,
        heading: str,
        parts: Iterable[tuple[str, Sequence[Piece | str | pd.DataFrame]]],
    ) -> None:
        """Add a section of parts that are folded until their title is clicked.

        Parameters
        ----------
        heading : str
            Its heading.
        parts : iterable of (str, sequence)
            Title and content of every part. Content is :class:`Text` or str, :class:`Table` or
            DataFrame, and :class:`Picture`, in any number and order.

        Raises
        ------
        TypeError
            For content of another kind.
        """
        folds = tuple(Fold(title, tuple(map(_piece, content))) for title, content in parts)
        self.sections.append(Section(heading, folds=folds))

    def write(self, folder: str | Path) -> Path:
        """Write ``report.html``, and the pictures as ``pictures/<name>.png`` and ``.svg``.

        Parameters
        ----------
        folder : str or Path
            Made where it does not exist.

        Returns
        -------
        Path
            The page. It appears, or replaces an older one, when it is complete.

        Raises
        ------
        ValueError
            If two pictures have the same name.
        """
        pictures = [piece for piece in self._pieces() if isinstance(piece, Picture)]
        names = [picture.name for picture in pictures]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(
                f"name={twice.pop()!r} is that of two pictures. Name each differently."
            )
        html = self.render()
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        for picture in pictures:
            (folder / "pictures").mkdir(exist_ok=True)
            _write(folder / "pictures" / f"{picture.name}.png", picture.png)
            _write(folder / "pictures" / f"{picture.name}.svg", picture.svg)
        return _write(folder / "report.html", html.encode())

    def render(self) -> str:
        """Return the page as HTML.

        Returns
        -------
        str
        """
        script = files(__package__).joinpath("sort.js").read_text(encoding="utf-8")
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        return _template().render(page=self, script=script, digest=digest)

    def _pieces(self) -> Iterable[Piece]:
        for section in self.sections:
            yield from section.pieces
            for fold in section.folds:
                yield from fold.pieces


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mixup_tab.page", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("report.html")


def _piece(content: Piece | str | pd.DataFrame) -> Piece:
    if isinstance(content, Piece):
        return content
    if isinstance(content, str):
        return Text(content)
    if isinstance(content, pd.DataFrame):
        return Table(content)
    raise TypeError(
        "content must be text, a Table, a DataFrame or a Picture, got "
        f"{type(content).__name__}."
    )


def _write(path: Path, data: bytes) -> Path:
    """Write a file so that it is there whole or not at all."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(data)
        os.replace(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path
