"""The role of each column of a table."""

from __future__ import annotations

from typing import NamedTuple


class Columns(NamedTuple):
    """Roles of columns; all columns without one are features.

    Attributes
    ----------
    target : str
        Column to predict.
    id : str or None
        Identifies the rows.
    drop : tuple of str
        Left out.
    groups : str or None
        Rows with the same value stay together in a fold.
    time : str or None
        Orders the rows: training rows come before test rows.
    """

    target: str
    id: str | None = None
    drop: tuple[str, ...] = ()
    groups: str | None = None
    time: str | None = None

    def non_features(self) -> list[str]:
        """Return the columns that are not features."""
        named = (self.target, self.id, *self.drop, self.groups, self.time)
        return list(dict.fromkeys(name for name in named if name is not None))
