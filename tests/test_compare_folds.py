import numpy as np
import pandas as pd
import pytest

from mixup_tab.compare.folds import make_splits
from mixup_tab.compare.question import Question, Roles

ROWS = 90


def question(*, classes=("no", "yes"), groups=False, in_order=False):
    rng = np.random.default_rng(0)
    y = rng.integers(0, len(classes), ROWS) if classes else rng.normal(size=ROWS)
    return Question(
        pd.DataFrame({"x": rng.normal(size=ROWS)}),
        y,
        classes,
        np.arange(ROWS) // 6 if groups else None,
        in_order,
        Roles("y"),
    )


@pytest.mark.parametrize("classes", [("no", "yes"), ()])
@pytest.mark.parametrize("groups", [False, True])
def test_every_row_is_tested_once_per_repeat(classes, groups):
    splits = make_splits(question(classes=classes, groups=groups), 5, 2, seed=3)
    assert [(split.repeat, split.fold) for split in splits] == [
        (repeat, fold) for repeat in range(2) for fold in range(5)
    ]
    for repeat in range(2):
        tested = np.concatenate([s.test for s in splits if s.repeat == repeat])
        assert sorted(tested) == list(range(ROWS))
    for split in splits:
        assert sorted([*split.train, *split.test]) == list(range(ROWS))
        assert split.test_share == len(split.test) / ROWS
    assert not np.array_equal(splits[0].test, splits[5].test)
    again = make_splits(question(classes=classes, groups=groups), 5, 1, seed=4)
    assert all(np.array_equal(a.test, b.test) for a, b in zip(again, splits[5:], strict=True))


@pytest.mark.parametrize("classes", [("no", "yes"), ()])
def test_groups_stay_together(classes):
    asked = question(classes=classes, groups=True)
    for split in make_splits(asked, 5, 2, seed=0):
        assert not set(asked.groups[split.train]) & set(asked.groups[split.test])


def test_classes_have_the_same_share_in_every_fold():
    asked = question()
    for split in make_splits(asked, 5, 2, seed=0):
        assert abs(asked.y[split.test].mean() - asked.y.mean()) < 1.5 / len(split.test)


def test_time_goes_on_and_is_cut_once():
    splits = make_splits(question(in_order=True), 4, 3, seed=0)
    assert len(splits) == 4
    for split in splits:
        assert split.train.max() < split.test.min()


def test_training_rows_of_one_class_are_refused():
    asked = question(in_order=True)
    asked.y[:40] = 1
    with pytest.raises(ValueError, match=r"fold 1 hold class 'yes' only\. Use fewer --folds"):
        make_splits(asked, 5, 1, seed=0)


def test_training_rows_of_one_group_are_refused():
    asked = question(groups=True)
    asked.groups[:] = np.arange(ROWS) // 45
    with pytest.raises(ValueError, match="are one group"):
        make_splits(asked, 2, 1, seed=0)
