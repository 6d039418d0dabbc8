"""A table and small nets, shared by tests of MixupNet."""

import numpy as np
import torch
from sklearn.datasets import make_classification
from skorch.dataset import ValidSplit
from torch import nn

from mixup_tab import MLP, MixupNet

HALF = ValidSplit(2, stratified=True)
SETTING = {
    "module__in_features": 6,
    "module__out_features": 2,
    "batch_size": 16,
    "max_epochs": 4,
    "lr": 0.01,
    "random_state": 0,
    "verbose": 0,
    "device": "cpu",
}


class Net(nn.Module):
    """A user's module that draws in its constructor and in training."""

    def __init__(self, in_features, out_features, width=16, dropout=0.3):
        super().__init__()
        self.scale = nn.Parameter(1 + 0.1 * torch.randn(in_features))
        self.body = nn.Sequential(
            nn.Linear(in_features, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, out_features),
        )

    def forward(self, x):
        return self.body(x * self.scale)


class Double(MLP):
    """A stack whose parameters are float64, so that only mistakes make a difference."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.double()


def table(rows=80, classes=2):
    X, y = make_classification(
        rows, 6, n_informative=4, n_classes=classes, class_sep=2.0, random_state=1
    )
    return X.astype(np.float32), y


def make(module=MLP, *args, **kwargs):
    setting = dict(SETTING)
    if isinstance(module, type) and issubclass(module, MLP):
        setting["module__hidden_layer_sizes"] = (16, 8)
    return MixupNet(module, *args, **{**setting, **kwargs})


def proba(net):
    return net.predict_proba(table()[0])


def assert_same_bits(one, other):
    for a, b in zip(one.module_.parameters(), other.module_.parameters(), strict=True):
        assert torch.equal(a, b)
