import numpy as np
import pytest
import torch
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from torch import nn

from mixup_tab import (
    BinnedMLP,
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupRegressor,
    MixupSearchCV,
)
from mixup_tab.robustness.gradients import differentiable, loss_direction

SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 4, "random_state": 0, "device": "cpu"}
STEP = 1e-5


def numeric_gradient(clf, X, codes, step):
    """Central differences of the log-loss, shape of X."""
    gradient = np.empty(X.shape)
    rows = np.arange(len(X))
    for place in np.ndindex(X.shape[1:]):
        losses = []
        for sign in (1, -1):
            moved = X.copy()
            moved[(slice(None), *place)] += sign * step
            losses.append(-np.log(clf.predict_proba(moved)[rows, codes]))
        gradient[(slice(None), *place)] = (losses[0] - losses[1]) / (2 * step)
    return gradient


def classifiers(noisy_net):
    two = [{**SMALL, "alpha": 0.2}, {**SMALL, "alpha": 0, "module": BinnedMLP}]
    two = [{k: v for k, v in one.items() if k not in ("random_state", "device")} for one in two]
    return {
        "one net": MixupClassifier(n_estimators=1, **SMALL),
        "ensemble": MixupClassifier(n_estimators=3, **SMALL),
        "bins": MixupClassifier(module=BinnedMLP, n_estimators=2, **SMALL),
        "own modules": MixupClassifier(module=noisy_net, n_estimators=2, **SMALL),
        "cross-fitted": MixupEnsembleClassifier(two, cv=2, random_state=0, device="cpu"),
        "search": MixupSearchCV(MixupClassifier(**SMALL), {"alpha": [0, 0.3]}, cv=2),
    }


def unevenly_weighted(clf, X, y):
    """Give the nets of a cross-fitted ensemble other weights and another temperature."""
    nets = [MixupClassifier(alpha, **SMALL).fit(X, y) for alpha in (0, 1)]
    clf.estimators_, clf.weights_, clf.temperature_ = (
        [nets[:1], nets],
        np.array([0.9, 0.1]),
        0.5,
    )
    return clf


@pytest.mark.parametrize(
    "name", ["one net", "ensemble", "bins", "own modules", "cross-fitted", "search"]
)
def test_signs_are_those_of_finite_differences(name, three_classes, noisy_net):
    X, y = three_classes
    clf = classifiers(noisy_net)[name].fit(X, y)
    if name == "cross-fitted":
        clf = unevenly_weighted(clf, X, y)
    X = X.astype(np.float64) + 1e-3  # off the edges of bins
    # Own modules compute in single precision, which has room for few digits.
    step, least = (1e-2, 1e-2) if name == "own modules" else (STEP, 1e-6)
    expected = numeric_gradient(clf, X, y, step)
    clear = abs(expected) > least
    assert clear.mean() > 0.8
    signs = loss_direction(differentiable(clf), X, y)
    same = (signs == np.sign(expected))[clear].mean()
    # A step of this width may cross a kink of a ReLU.
    assert same > 0.97 if name == "own modules" else same == 1


def test_a_net_that_is_sure_of_itself_can_be_attacked(two_classes):
    X, y = two_classes
    clf = MixupClassifier(n_estimators=1, **SMALL).fit(X, y)
    expected = np.sign(numeric_gradient(clf, X.astype(np.float64), y, STEP))
    with torch.no_grad():  # which of two classes is the likelier one remains
        for parameter in list(clf.net_.module_.parameters())[-2:]:
            parameter.mul_(1e6)
    assert (clf.predict_proba(X).max(1) == 1).mean() > 0.9
    np.testing.assert_array_equal(loss_direction(clf, X, y), expected)


def test_images_keep_their_axes():
    class OnImages(nn.Module):
        def __init__(self, input_shape, out_features):
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(12, out_features))

        def forward(self, x):
            return self.layers(x)

    X = np.random.default_rng(0).normal(size=(30, 1, 3, 4)).astype(np.float32)
    y = np.arange(30) % 2
    clf = MixupClassifier(module=OnImages, max_epochs=2, random_state=0).fit(X, y)
    signs = loss_direction(clf, X, y)
    weight = clf.net_.module_.layers[1].weight.detach().numpy()
    towards = np.sign(weight[1] - weight[0]).reshape(1, 3, 4)
    np.testing.assert_array_equal(signs, np.where(y, -1, 1)[:, None, None, None] * towards)


def test_training_mode_is_not_used(three_classes, noisy_net):
    X, y = three_classes
    clf = MixupClassifier(module=noisy_net, **SMALL).fit(X, y)
    clf.net_.module_.train()
    before = {k: v.clone() for k, v in clf.net_.module_.state_dict().items()}
    first, second = (loss_direction(clf, X, y) for _ in "ab")
    np.testing.assert_array_equal(first, second)
    for name, tensor in clf.net_.module_.state_dict().items():
        assert torch.equal(tensor, before[name])


class Rounded(nn.Module):
    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(self.seen(x))

    def seen(self, x):
        return x.round()


class Detached(Rounded):
    def seen(self, x):
        return x.detach()


@pytest.mark.parametrize(
    ("module", "message"),
    [(Rounded, "zero for every row"), (Detached, "No gradient gets from the outputs")],
)
def test_nets_that_give_no_gradient(module, message, three_classes):
    clf = MixupClassifier(module=module, max_epochs=1, random_state=0).fit(*three_classes)
    with pytest.raises(ValueError, match=message):
        loss_direction(clf, *three_classes)


def test_what_cannot_be_differentiated(three_classes, line):
    net = MixupClassifier(**SMALL)
    with pytest.raises(NotFittedError):
        differentiable(net)
    pipeline = make_pipeline(StandardScaler(), net).fit(*three_classes)
    with pytest.raises(TypeError, match=r"source is a Pipeline.* give pipeline\[-1\]"):
        differentiable(pipeline, "source")
    for other in (
        LogisticRegression().fit(*three_classes),
        MixupRegressor(**SMALL).fit(*line),
    ):
        with pytest.raises(TypeError, match=f"estimator={type(other).__name__} has no grad"):
            differentiable(other)
