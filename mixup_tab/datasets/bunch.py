"""Tables as scikit-learn's fetchers return them."""

from __future__ import annotations

from typing import Any

import pandas as pd
from sklearn.utils import Bunch

from mixup_tab.datasets.plain import TARGET


def to_bunch(
    frame: pd.DataFrame, *, task: str, as_frame: bool, return_X_y: bool, **more: Any
) -> Bunch | tuple:
    """Return a table in the form that was asked for.

    Parameters
    ----------
    frame : DataFrame
        Features, then ``target``.
    task : {"classification", "regression"}
        What is predicted.
    as_frame, return_X_y : bool
        As in scikit-learn.
    **more
        Other entries of the Bunch.

    Returns
    -------
    Bunch, or tuple (data, target)
    """
    data, target = frame.drop(columns=TARGET), frame[TARGET]
    if not as_frame:
        data, target = data.to_numpy(), target.to_numpy()
    if return_X_y:
        return data, target
    names = [column for column in frame if column != TARGET]
    labels = sorted(frame[TARGET].unique().tolist()) if task == "classification" else None
    return Bunch(
        data=data,
        target=target,
        frame=frame if as_frame else None,
        feature_names=names,
        target_names=labels,
        task=task,
        **more,
    )
