"""The playground as one HTML file that works offline."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Sequence
from importlib.resources import files
from numbers import Integral
from pathlib import Path
from typing import Any

from mixup_tab._extras import import_extra
from mixup_tab._files import check_writable, write_whole
from mixup_tab.mixing._draw import check_alpha
from mixup_tab.playground.measuring import (
    ALPHAS,
    MIXINGS,
    describe,
    draw_samples,
    fit_scenes,
    log_norms,
    settings,
)
from mixup_tab.playground.scenes import Scene, table_scene, toy_scenes

_MOST_ALPHAS = 25
_SCRIPTS = ("contour.js", "canvas.js", "panels.js", "controls.js")


def write_playground(
    output: str | os.PathLike,
    *,
    table: str | os.PathLike | None = None,
    x: str | None = None,
    y: str | None = None,
    target: str | None = None,
    alphas: Sequence[float] = ALPHAS,
    random_state: int = 0,
) -> Path:
    """Write an interactive page that shows what mixing does to a net.

    A slider moves α; switches choose mixup, CutMix or both, and, unless the page shows a table
    of yours, how much noise and how many training rows there are. The page shows the decision
    boundary of a net, the mixed examples, the density of λ, and, on held-out rows, the
    reliability curve, the error and the log-loss, and whether mixing helps. A
    :class:`~mixup_tab.MixupClassifier` with its defaults is trained for every setting, all at
    once as stacks. The address of the page keeps the setting. The file works offline; its
    content policy forbids loading anything else.

    Parameters
    ----------
    output : str or path-like
        File to write, with the ending ``.html``. It is replaced only when the page is complete.
    table : str or path-like, default=None
        A table in a file: CSV, TSV, Parquet, Feather or JSON lines. None shows two moons and
        two circles.
    x, y : str, default=None
        Two columns of numbers in the table.
    target : str, default=None
        Its column of classes, 2 to 10 of them.
    alphas : sequence of float, default=0, 0.1, … 16
        Values of α on the slider, at most 25; 0 is always included.
    random_state : int, default=0
        Seed of data, nets and mixed examples. The same seed gives the same page.

    Returns
    -------
    Path
        Path of the page.

    Raises
    ------
    ValueError
        If an argument or the table is not as described here.
    OSError
        If the file cannot be written.
    ImportError
        If the extra ``cli`` is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from mixup_tab.playground import write_playground
    >>> page = write_playground(Path(tempfile.mkdtemp()) / "page.html", alphas=[0.2])
    >>> page.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    True
    """
    output = Path(output)
    _check_arguments(output, table, {"x": x, "y": y, "target": target}, random_state)
    alphas = _check_alphas(alphas)
    if table is None or x is None or y is None or target is None:
        scenes = toy_scenes(random_state)
    else:
        scenes = [table_scene(table, x, y, target, random_state)]
    check_writable(output)
    write_whole(output, make_page(scenes, alphas, random_state).encode())
    return output


def _check_arguments(
    output: Path, table: Any, columns: dict[str, str | None], random_state: int
) -> None:
    if output.is_dir() or output.suffix.lower() not in (".html", ".htm"):
        raise ValueError(f"output must be a file that ends in .html, got {str(output)!r}.")
    for name, value in columns.items():
        if table is None and value is not None:
            raise ValueError(f"{name}={value!r} is a column, but no table is given.")
        if table is not None and value is None:
            raise ValueError(
                f"table={str(table)!r} needs x, y and target, but {name} is missing."
            )
    whole = isinstance(random_state, Integral) and not isinstance(random_state, bool)
    if not whole or not 0 <= random_state < 2**32:
        raise ValueError(
            f"random_state must be an integer from 0 to {2**32 - 1}, got {random_state!r}."
        )


def _check_alphas(alphas: Sequence[float]) -> list[float]:
    rising = sorted({0.0, *map(check_alpha, alphas)})
    if not 2 <= len(rising) <= _MOST_ALPHAS:
        raise ValueError(
            f"alphas must hold 1 to {_MOST_ALPHAS - 1} different values above 0, got "
            f"{len(rising) - 1}."
        )
    return rising


def make_page(scenes: Sequence[Scene], alphas: Sequence[float], random_state: int = 0) -> str:
    """Train the nets and return the page as HTML; ``alphas`` rise from 0."""
    nets = fit_scenes(scenes, alphas, random_state)
    sizes = sorted({len(scene.y) for scene in scenes})
    data = {
        "alphas": list(alphas),
        "logNorms": log_norms(alphas),
        "mixings": MIXINGS,
        "samples": {size: draw_samples(size, alphas, random_state) for size in sizes},
        "scenes": [describe(*pair) for pair in zip(scenes, nets, strict=True)],
    }
    script = "\n".join(['"use strict";', *map(_source, _SCRIPTS)])
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    # Without "<", no text of the user's can end the script element that holds the data.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    jinja2 = import_extra("jinja2", "cli")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("mixup_tab.playground", "."),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("playground.html").render(
        data=data,
        json=text.replace("<", "\\u003c"),
        script=script,
        digest=digest,
        settings=settings(alphas),
        # As MixupClassifier has it by default.
        start=min(range(len(alphas)), key=lambda k: abs(alphas[k] - 0.5)),
        choices=_choices(scenes),
        facts=_facts(scenes, nets, random_state),
    )


def _source(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _choices(scenes: Sequence[Scene]) -> list[tuple[str, str, dict[str, str], str]]:
    """Return key, legend, values with their names, and the first value of every switch."""
    first = scenes[0]
    found = [
        ("data", "Data", {scene.data: scene.data for scene in scenes}, first.data),
        ("noise", "Noise", {scene.noise: scene.noise for scene in scenes}, "much"),
        ("rows", "Rows", {str(len(s.y)): str(len(s.y)) for s in scenes}, str(len(first.y))),
        ("mixing", "Mixing", MIXINGS, "mixup+cutmix"),
    ]
    return [choice for choice in found if len(choice[2]) > 1]


def _facts(
    scenes: Sequence[Scene], nets: Sequence[Sequence[Any]], random_state: int
) -> dict[str, str]:
    """Return the settings that the foot of the page lists."""
    from mixup_tab import __version__

    epochs = {len(scene.y): own[0].n_iter_ for scene, own in zip(scenes, nets, strict=True)}
    lengths = [f"{count} epochs for {rows:,} rows" for rows, count in epochs.items()]
    return {
        "Nets": f"MixupClassifier with its defaults; {', '.join(lengths)}",
        "Held-out rows": f"{len(scenes[0].y_held_out):,}",
        "Seed": str(random_state),
        "mixup-tab": __version__,
    }
