"""Splits of tables with rare classes."""

import numpy as np

from mixup_tab.evaluation.protocols.splits import inner_folds, number_seen_first


def test_classes_of_training_rows_are_numbered_first():
    y = np.array([0, 1, 2, 3, 1, 2, 4])
    numbered = number_seen_first(y, np.array([1, 3, 4]))
    assert numbered.tolist() == [2, 0, 3, 1, 0, 3, 4]


def test_inner_folds_hold_out_every_row_once_and_hide_no_class():
    y = np.array([0] * 10 + [1] * 7 + [2] * 3 + [3] * 2 + [4])
    folds = inner_folds(y, 3, seed=0)
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(len(y)))
    for train, test in folds:
        assert set(y[train]) == {0, 1, 2, 3, 4}
        common = test[np.isin(y[test], [0, 1])]
        assert not np.isin(common, train).any()
