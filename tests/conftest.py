"""Small tables and a net of a user's, shared by the tests of the estimators."""

import numpy as np
import pytest
from torch import nn


class NoisyNet(nn.Module):
    """What a user might write: batch normalisation and dropout."""

    def __init__(self, in_features, out_features, dropout=0.0):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(in_features, 8),
            nn.BatchNorm1d(8),
            nn.ReLU(),
            nn.Dropout(max(dropout, 0.3)),
            nn.Linear(8, out_features),
        )

    def forward(self, x):
        return self.body(x)


@pytest.fixture
def noisy_net():
    """A module class with BatchNorm and Dropout."""
    return NoisyNet


@pytest.fixture
def two_classes():
    """Sixty rows, four columns, labels 0 and 1 with some noise."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] + 0.3 * rng.normal(size=60) > 0).astype(int)


@pytest.fixture
def three_classes():
    """Sixty rows, four columns, labels 0 to 2."""
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1, 2], 20)
    return (rng.normal(size=(60, 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32), y


@pytest.fixture
def line():
    """Sixty rows, four columns, one value that is linear in them with some noise."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    return X, X @ np.array([1.0, -2.0, 0.5, 0.0]) + 0.1 * rng.normal(size=60)
