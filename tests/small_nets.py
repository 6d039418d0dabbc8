"""A table and a small net, shared by tests of MixupNet."""

import numpy as np
from sklearn.datasets import make_classification
from skorch.dataset import ValidSplit

from mixup_tab import MLP, MixupNet

HALF = ValidSplit(2, stratified=True)
SETTING = {
    "module__in_features": 6,
    "module__out_features": 2,
    "module__hidden_layer_sizes": (16, 8),
    "batch_size": 16,
    "max_epochs": 4,
    "lr": 0.01,
    "random_state": 0,
    "verbose": 0,
    "device": "cpu",
}


def table(rows=80):
    X, y = make_classification(rows, 6, class_sep=2.0, random_state=1)
    return X.astype(np.float32), y


def make(module=MLP, *args, **kwargs):
    return MixupNet(module, *args, **{**SETTING, **kwargs})


def proba(net):
    return net.predict_proba(table()[0])
