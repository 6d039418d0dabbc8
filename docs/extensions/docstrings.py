"""Docstrings as they are meant: our own methods only, and stars that are no emphasis."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

# "shape (batch, *features)"
_STAR = re.compile(r"(?<=[\s(])\*(?=[a-z_]+\b[,)])")


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect both, the second one before numpydoc."""
    app.connect("autodoc-skip-member", _skip_those_of_others)
    app.connect("autodoc-process-docstring", _escape_stars, priority=100)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _skip_those_of_others(
    app: Sphinx, what: str, name: str, member: object, skip: bool, options: object
) -> bool | None:
    function = member.fget if isinstance(member, property) else member
    home = getattr(function, "__module__", None) or ""
    return None if home.startswith("mixup_tab") else True


def _escape_stars(
    app: Sphinx, what: str, name: str, member: object, options: object, lines: list[str]
) -> None:
    lines[:] = [_STAR.sub(r"\\*", line) for line in lines]
