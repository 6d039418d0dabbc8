"""What each column of a table is for."""

from __future__ import annotations

from typing import NamedTuple


class Columns(NamedTuple):
    """What the columns of a table are for; all but the named ones are features.

    Attributes
    ----------
    target : str
        The column to predict.
    id : str or None
        Names the rows.
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

    def no_features(self) -> list[str]:
        """Return the columns from which nothing is predicted."""
        named = (self.target, self.id, *self.drop, self.groups, self.time)
        return list(dict.fromkeys(name for name in named if name is not None))
