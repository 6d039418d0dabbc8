"""That the benchmark compares like with like; what it measures is no test's business."""

import numpy as np
import pytest
import torch

from mixup_tab import MixupClassifier
from mixup_tab.evaluation.speed import contestants, measuring


@pytest.mark.parametrize(
    "fit", [contestants.fit_skorch, contestants.fit_torch, contestants.fit_ours]
)
def test_contestants_make_the_same_number_of_steps(fit, monkeypatch):
    steps = []
    X, y = contestants.make_table(100)
    original = torch.optim.Adam.step
    counted = lambda *args, **kwargs: (steps.append(1), original(*args, **kwargs))[1]  # noqa: E731
    monkeypatch.setattr(torch.optim.Adam, "step", counted)
    fitted = fit(X, y, 2)
    if isinstance(fitted, MixupClassifier):
        assert fitted.net_.history[-1]["train_batch_count"] * fitted.n_iter_ == 14
    else:
        assert len(steps) == 14


def test_nets_have_the_same_size():
    X, y = contestants.make_table(200)
    ours = contestants.fit_ours(X, y, 1).net_.module_
    theirs = contestants.fit_sklearn(X, y, 1)
    n_ours = sum(p.numel() for p in ours.parameters())
    assert n_ours == sum(p.numel() for p in contestants.plain_net().parameters())
    # scikit-learn has one output for two classes.
    n_theirs = sum(array.size for array in (*theirs.coefs_, *theirs.intercepts_))
    assert n_ours - n_theirs == 129


def test_ratio_is_the_median_over_pairs():
    row = measuring.ratio_of(
        "a", "b", lambda: None, lambda: np.linalg.inv(np.eye(300)), 1.0, pairs=3
    )
    assert 0 < row.low <= row.ratio <= row.high < 1
