"""Published results that ours are compared with."""

from __future__ import annotations

import pandas as pd

from mixup_tab.datasets.home import facts


def published_accuracies() -> pd.DataFrame:
    """Return the test accuracies of 179 classifiers on 121 data sets, in percent.

    Returns
    -------
    DataFrame of shape (121, 179)
        One row per data set, one column per classifier; NaN where the study has none.

    References
    ----------
    Fernández-Delgado, Cernadas, Barro and Amorim, "Do we need hundreds of classifiers to solve
    real world classification problems?", JMLR 15 (2014) 3133-3181.

    Examples
    --------
    >>> published_accuracies()["parRF_caret"].mean().round(1)
    np.float64(82.0)
    """
    path = facts("published") / "delgado2014_accuracy_179_classifiers.csv"
    return pd.read_csv(path, index_col="dataset")
