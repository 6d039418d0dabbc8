"""Parameters that are NumPy's numbers: as Python's in every respect, messages included."""

import pickle

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from small_nets import make, proba, table
from torch import nn

import mixup_tab.mixing as rules
from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupRegressor,
    MixupSearchCV,
)
from mixup_tab._plain import as_python, shown
from mixup_tab.displays import LambdaDisplay
from mixup_tab.estimators import RescaledClassifier
from mixup_tab.losses import MixedCrossEntropy
from mixup_tab.metrics import calibration_bins, resampled_interval
from mixup_tab.nets import VGG11, PreActResNet18, ResNet10
from mixup_tab.robustness import corrupt_labels, evaluate_adversarial
from mixup_tab.sampling import VicinalSampler
from mixup_tab.training import KeepBestWeights, LearningRate

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}

# By name: values that mean the same as Python's.
VALUES = {
    "alpha": [np.float32(0.5), np.float64(0.5), np.int64(1), np.str_("auto")],
    "mixing": [np.str_("mixup"), rules.DirichletMixup(n_mixed=np.int64(3))],
    "hidden_layer_sizes": [np.array([8, 4]), np.int64(8), (np.int64(8), np.uint8(4))],
    "n_estimators": [np.int64(2), np.uint8(2), np.array(2)],
    "learning_rate_init": [np.float32(0.01), np.float64(0.01)],
    "weight_decay": [np.float32(0.01)],
    "dropout": [np.float32(0.25)],
    "batch_size": [np.int64(16), np.uint8(16), np.array(16)],
    "max_epochs": [np.int64(2), np.int8(2)],
    "mixing_span": [np.array([0.0, 0.5]), (np.float32(0), np.float64(0.5))],
    "early_stopping": [np.bool_(True)],
    "validation_fraction": [np.float32(0.2)],
    "n_iter_no_change": [np.int64(1)],
    "warm_start": [np.bool_(True)],
    "callbacks": [[LearningRate("step", np.int64(1), np.float32(0.5))]],
    "device": [np.str_("cpu")],
    "random_state": [np.int64(3), np.uint32(3), np.array(3)],
    "verbose": [np.int64(0), np.bool_(False)],
}


def numpy_scalars(net):
    """What a fitted net holds of NumPy's types."""
    groups = net.optimizer_.param_groups
    held = [
        *net.get_params(deep=False).items(),
        *(i for row in net.history for i in row.items()),
    ]
    held += [item for group in groups for item in group.items()]
    return [item for item in held if isinstance(item[1], (np.generic, np.ndarray))]


@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
def test_estimators_take_numpys_numbers(kind, name):
    for value in VALUES[name]:
        if kind is MixupRegressor and getattr(value, "task", "any") == "classification":
            continue
        held_out = {"early_stopping": True} if "n" in name else {}
        params = {**SMALL, **held_out, name: value}
        given = kind(**params).fit(X, Y)
        python = kind(**{**params, name: as_python(value)}).fit(X, Y)
        assert_array_equal(given.predict(X), python.predict(X))
        assert given.get_params()[name] is value
        assert numpy_scalars(given.net_) == []
        pickle.dumps(given.net_)
        if not isinstance(value, str):
            given.partial_fit(X, Y)
            assert given.get_params()[name] is value


def test_what_is_built_on_them_takes_numpys_numbers():
    candidate = {"alpha": np.float32(0.2), "max_epochs": np.int64(2), "batch_size": np.uint8(9)}
    ensemble = MixupEnsembleClassifier(
        candidates=[candidate], cv=np.int64(2), random_state=np.int64(0)
    )
    assert ensemble.fit(X, Y).candidates[0] is candidate
    grid = {"batch_size": np.array([16, 8]), "n_estimators": [np.uint8(1)]}
    search = MixupSearchCV(MixupClassifier(**SMALL), grid, cv=np.int64(2), n_jobs=np.int64(1))
    assert search.fit(X, Y).best_params_["batch_size"] in (16, 8)
    net = MixupClassifier(**{**SMALL, "mixing": "mixup", "batch_size": np.int64(16)})
    assert RescaledClassifier(net).fit(X, Y).predict_proba(X).shape == (60, 2)
    sampler = VicinalSampler(size=np.int64(9), n_mixed=np.int64(3), random_state=np.int64(0))
    assert sampler.fit_resample(X, Y)[0].shape == (9, 4)


def test_the_net_takes_numpys_numbers():
    X_net, y = table()
    values = {"alpha": np.array([0.5, 0.5]), "n_members": np.int64(2), "lr": np.float32(0.25)}
    values |= {"batch_size": np.int64(16), "max_epochs": np.int8(2), "n_outputs": np.int64(2)}
    net = make(**values, random_state=np.array([1, 2])).fit(X_net, y)
    python = {name: as_python(value) for name, value in values.items()}
    assert_array_equal(proba(net), proba(make(**python, random_state=[1, 2]).fit(X_net, y)))
    assert numpy_scalars(net) == []
    net.set_params(batch_size=np.int64(8), max_epochs=np.int64(1))
    assert numpy_scalars(net.partial_fit(X_net, y)) == []


# ------------------------------------------------------------------------------ messages

WRONG = [np.float64(-0.5), np.float32(-2), np.int64(-3), np.str_("wrong"), np.float64("nan")]
CLASSES = MixupClassifier(**SMALL).fit(X, Y)
FUNCTIONS = {
    "alpha of a rule": lambda v: rules.Mixup().draw(v, (3,), generator=None),
    "lam_per": lambda v: rules.Mixup(lam_per=v),
    "n_mixed": lambda v: rules.DirichletMixup(n_mixed=v),
    "cutmix": lambda v: rules.MixupCutMix(cutmix=v),
    "axes": lambda v: rules.CutMix(axes=v),
    "kappa": lambda v: rules.Remix(kappa=v),
    "tau": lambda v: rules.Remix(tau=v),
    "class_counts": lambda v: rules.Remix(class_counts=(v,)),
    "bandwidth": lambda v: rules.CMixup(bandwidth=v),
    "eta": lambda v: rules.RegMixup(eta=v),
    "layers": lambda v: rules.ManifoldMixup(layers=v),
    "policy": lambda v: LearningRate(v).initialize(),
    "every": lambda v: LearningRate("step", every=v).initialize(),
    "factor": lambda v: LearningRate("step", factor=v).initialize(),
    "label_smoothing": MixedCrossEntropy,
    "width of PreActResNet18": lambda v: PreActResNet18(3, 2, width=v),
    "width of VGG11": lambda v: VGG11(3, 2, width=v),
    "width of ResNet10": lambda v: ResNet10(3, 2, width=v),
    "n_bins": lambda v: calibration_bins([0, 1], [[0.5, 0.5]] * 2, n_bins=v),
    "test_share": lambda v: resampled_interval([0.1, 0.2], test_share=v),
    "level": lambda v: resampled_interval([0.1, 0.2], test_share=0.2, level=v),
    "rate": lambda v: corrupt_labels(Y, v),
    "eps": lambda v: evaluate_adversarial(CLASSES, X, Y, v),
    "n_steps": lambda v: evaluate_adversarial(CLASSES, X, Y, 0.1, "ifgsm", n_steps=v),
    "clip": lambda v: evaluate_adversarial(CLASSES, X, Y, 0.1, clip=(v, v)),
    "n_draws": lambda v: LambdaDisplay.from_alphas([0.5], n_draws=v),
    "batch_size of a net": lambda v: make(batch_size=v).fit(*table()),
    "alpha of a net": lambda v: make(alpha=v).fit(*table()),
    "mixing_span of a net": lambda v: make(mixing_span=(v, v)).fit(*table()),
    "patience": lambda v: KeepBestWeights(patience=v).initialize(),
}


def messages(function, *args, **kwargs):
    try:
        function(*args, **kwargs)
    except (ValueError, TypeError) as error:
        return [str(error)]
    return []


@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
def test_messages_of_estimators_show_plain_values(kind):
    said = [
        (name, text)
        for name in set(kind().get_params()) - {"callbacks"}
        for wrong in [*WRONG, np.array(-1.5), (np.float64(-1), np.float64(7))]
        for text in messages(kind(**{**SMALL, name: wrong}).fit, X, Y)
    ]
    assert len(said) > 60
    assert [each for each in said if "np." in each[1] or "array(" in each[1]] == []


def test_messages_of_meta_estimators_show_plain_values():
    said = []
    for wrong in WRONG:
        grid = {"alpha": [wrong], "n_estimators": [np.int64(1)]}
        for search in (
            MixupSearchCV(MixupClassifier(**SMALL), grid, cv=2),
            MixupSearchCV(MixupClassifier(**SMALL), {}, cv=2, verbose=wrong),
            MixupEnsembleClassifier(candidates=[{"alpha": wrong}]),
            MixupEnsembleClassifier(cv=wrong),
        ):
            said += messages(search.fit, X, Y)
        for name in ("alpha", "size", "n_neighbors", "n_mixed", "labels", "random_state"):
            said += messages(VicinalSampler(**{name: wrong}).fit, X, Y)
    assert len(said) > 30
    assert [text for text in said if "np." in text] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_messages_of_functions_show_plain_values(name):
    said = [text for wrong in WRONG for text in messages(FUNCTIONS[name], wrong)]
    assert said or name == "patience"
    assert [text for text in said if "np." in text] == []


@pytest.mark.parametrize(
    "value",
    [
        0.5,
        -3,
        True,
        None,
        "np.float64(3)",
        (1, "a"),
        {"a": [0.5]},
        nn.ReLU,
        "it's (np.int64(1)",
    ],
)
def test_python_values_are_shown_as_they_are(value):
    assert shown(value) == repr(value)


def test_numpys_values_are_shown_as_pythons():
    nested = {"a": (np.float64(0.1), [np.int64(-2)]), "b": np.str_("(c)"), "d": np.False_}
    assert shown(nested) == repr(as_python(nested))
    assert shown([np.float32("nan"), np.float64("-inf")]) == "[nan, -inf]"
