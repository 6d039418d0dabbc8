"""A table and nets with random parts, shared by tests of MixupNet."""

import numpy as np
import torch
from torch import nn

from mixup_tab import MLP, MixupNet


class Net(nn.Module):
    """A user's module that draws in its constructor and in training."""

    def __init__(self, in_features, out_features, width=8):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(in_features))
        self.body = nn.Sequential(
            nn.Linear(in_features, width),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(width, out_features),
        )

    def forward(self, x):
        return self.body(x * self.scale)


def table(rows=70):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    return X, (X[:, 0] > 0).astype(np.int64)


def make(module=MLP, *args, **kwargs):
    setting = {
        "module__in_features": 4,
        "module__out_features": 2,
        "batch_size": 16,
        "max_epochs": 3,
        "random_state": 0,
        "verbose": 0,
        "device": "cpu",
    }
    if module is MLP:
        setting |= {"module__hidden_layer_sizes": (8,), "module__dropout": 0.2}
    return MixupNet(module, *args, **{**setting, **kwargs})


def proba(net):
    return net.predict_proba(table()[0])
