"""Reports as one self-contained HTML file: text, sortable tables, pictures."""

from __future__ import annotations

import base64
import hashlib
import io
import math
import re
import warnings
import wave
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mixup_tab._extras import import_extra
from mixup_tab._files import write_whole

# A larger SVG (many points) is embedded as PNG instead.
_LARGEST_SVG = 400_000


class Table(NamedTuple):
    """A table; a click on a column's header sorts it.

    Attributes
    ----------
    frame : DataFrame
        The cells, some of which may be a :class:`Sound`. A named index becomes the first
        column.
    caption : str
        A sentence below the table.
    formats : mapping of str to str or callable
        How to format the cells of a column, such as ``{"error": "{:.1f}"}``.
    """

    frame: pd.DataFrame
    caption: str = ""
    formats: Mapping[str, str | Callable[[Any], str]] = {}


class Picture(NamedTuple):
    """A picture, also written as ``pictures/<name>.png`` and ``.svg``.

    Attributes
    ----------
    figure : matplotlib Figure
        The picture.
    name : str
        Name of the picture's files: letters, digits, "-" and "_".
    alt : str
        Text for readers who cannot see the picture.
    caption : str
        A sentence below the picture.
    """

    figure: Any
    name: str
    alt: str
    caption: str = ""


@dataclass(eq=False)
class Sound:
    """A table cell with a playable sound.

    Attributes
    ----------
    samples : ndarray of int16, shape (samples,)
        The sound; it is embedded as a WAV file.
    sample_rate : int
        Samples per second.
    name : str
        Label for screen readers.
    picture : bytes, default=b""
        A PNG file to show above the controls.
    """

    samples: np.ndarray
    sample_rate: int
    name: str
    picture: bytes = b""

    def __html__(self) -> str:
        """Return the HTML of the cell."""
        content = io.BytesIO()
        with wave.open(content, "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(self.sample_rate)
            file.writeframes(self.samples.astype("<i2").tobytes())
        image = f'<img src="{_uri("image/png", self.picture)}" alt="">' if self.picture else ""
        source = _uri("audio/wav", content.getvalue())
        name = escape(self.name)
        audio = f'<audio controls preload="none" aria-label="{name}" src="{source}"></audio>'
        return f'<div class="sound">{image}{audio}</div>'


Parts = Sequence[str | Table | Picture]


def write_page(
    folder: str | Path,
    title: str,
    summary: str,
    sections: Mapping[str, Parts],
    *,
    details: Mapping[str, Parts] | None = None,
    facts: Mapping[str, str] | None = None,
    name: str = "report.html",
) -> Path:
    """Write a page and its pictures into a folder, which is created if there is none.

    Style, script, pictures and sounds are inside the page, and its content policy blocks
    everything else. All content is shown as text, never read as HTML.

    Parameters
    ----------
    folder : str or Path
        Where to write. The page appears, or replaces an older one, when it is complete.
    title : str
        Heading of the page.
    summary : str
        The result in a sentence or several, each on a line.
    sections : mapping of str to sequence of str, Table or Picture
        Headings and their content; a str is a paragraph.
    details : mapping like ``sections``, default=None
        Shown below the sections, collapsed until the heading is clicked.
    facts : mapping of str to str, default=None
        Facts about the run: versions, device, seed.
    name : str, default="report.html"
        Name of the page's file.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    ValueError
        If the name of a picture has other characters or is used twice, or a picture has no
        ``alt``.

    Examples
    --------
    >>> import tempfile
    >>> import pandas as pd
    >>> from mixup_tab._page import Table, write_page
    >>> scores = pd.DataFrame({"method": ["plain", "mixup"], "error %": [5.3, 4.5]})
    >>> sections = {"Errors": ["Lower is better.", Table(scores)]}
    >>> write_page(tempfile.mkdtemp(), "Iris", "Mixup lowers the error.", sections).name
    'report.html'
    """
    groups = [sections, details or {}]
    everything = [part for group in groups for parts in group.values() for part in parts]
    drawn = _draw_all(part for part in everything if isinstance(part, Picture))
    folder = Path(folder)
    (folder / "pictures" if drawn else folder).mkdir(parents=True, exist_ok=True)
    for picture, (svg, png) in drawn.items():
        write_whole(folder / "pictures" / f"{picture}.svg", svg)
        write_whole(folder / "pictures" / f"{picture}.png", png)
    shown = [
        {heading: [_shown(part, drawn) for part in parts] for heading, parts in group.items()}
        for group in groups
    ]
    html = _render(title=title, summary=summary, shown=shown, facts=facts or {})
    write_whole(folder / name, html.encode(errors="backslashreplace"))
    return folder / name


def literal(text: Any) -> str:
    """Escape text for matplotlib, which would read "$" as the start of a formula."""
    return str(text).replace("$", r"\$")


def _render(**content: Any) -> str:
    jinja2 = import_extra("jinja2", "cli")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = files("mixup_tab").joinpath("_page.html").read_text(encoding="utf-8")
    (script,) = re.findall("<script>(.*)</script>", source, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return environment.from_string(source).render(digest=digest, **content)


def _shown(part: str | Table | Picture, drawn: Mapping[str, tuple[bytes, bytes]]) -> dict:
    """Return the template's view of a part."""
    if isinstance(part, Table):
        return {"kind": "table", "caption": part.caption, **_table(part)}
    if isinstance(part, Picture):
        svg, png = drawn[part.name]
        kind, data = ("svg+xml", svg) if len(svg) <= _LARGEST_SVG else ("png", png)
        source = _uri(f"image/{kind}", data)
        width = round(96 * part.figure.get_figwidth())
        return {"kind": "picture", "source": source, "width": width, **part._asdict()}
    return {"kind": "text", "text": part}


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def _table(table: Table) -> dict[str, Any]:
    columns = [table.frame[name] for name in table.frame]
    if table.frame.index.name is not None:
        columns.insert(0, table.frame.index.to_series())
    shown = []
    for column in columns:
        form = table.formats.get(column.name) or _usual_format(column)
        text = form if callable(form) else form.format
        cells = zip(column, column.isna(), strict=True)
        shown.append([_cell(value, text, missing) for value, missing in cells])
    numeric = [pd.api.types.is_numeric_dtype(column.dtype) for column in columns]
    return {
        "names": [column.name for column in columns],
        "rows": list(zip(*shown, strict=True)),
        "right": [k for k, right in enumerate(numeric, 1) if right],
    }


def _cell(value: Any, text: Callable[[Any], str], missing: bool) -> str | Sound:
    if isinstance(value, Sound):
        return value
    return "" if missing else text(value)


def _usual_format(column: pd.Series) -> str:
    if not pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return "{}"
    return f"{{:,.{decimals(column)}f}}" if pd.api.types.is_float_dtype(column) else "{:,}"


def decimals(column: pd.Series) -> int:
    """Return the number of decimals that shows the largest number with four digits."""
    numbers = column[np.isfinite(column.astype(float))]
    largest = max(float(numbers.abs().max()), 1e-12) if len(numbers) else 1.0
    return 0 if (numbers % 1 == 0).all() else max(3 - math.floor(math.log10(largest)), 0)


def _draw_all(pictures: Iterable[Picture]) -> dict[str, tuple[bytes, bytes]]:
    """Return every picture as SVG and PNG; equal pictures give equal bytes."""
    drawn: dict[str, tuple[bytes, bytes]] = {}
    for figure, name, alt, _ in pictures:
        if not re.fullmatch(r"[\w-]+", name, re.ASCII):
            raise ValueError(f"name must be letters, digits, '-' and '_', got {name!r}.")
        if name in drawn:
            raise ValueError(f"name={name!r} is used for two pictures. Give each its own name.")
        if not alt.strip():
            raise ValueError(f"alt must say what the picture {name!r} shows, got {alt!r}.")
        svg, png = io.BytesIO(), io.BytesIO()
        hashsalt = import_extra("matplotlib", "plots").rc_context({"svg.hashsalt": name})
        with hashsalt, warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Glyph")  # the font may lack a script
            figure.savefig(svg, format="svg", metadata={"Date": None})
            figure.savefig(png, format="png", dpi=150)
        drawn[name] = svg.getvalue(), png.getvalue()
    return drawn
