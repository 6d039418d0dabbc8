"""Torch's settings around a call: they change no bit, and return as they were."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from small_nets import Net, make, table

from mixup_tab import (
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupRegressor,
    MixupSearchCV,
)
from mixup_tab.audio import Spectrogram
from mixup_tab.displays import LambdaDisplay, MixedPairDisplay, MixedSamplesDisplay
from mixup_tab.estimators import RescaledClassifier
from mixup_tab.robustness import adversarial_examples
from mixup_tab.training.torch_state import torch_defaults

RNG = np.random.default_rng(0)
X = RNG.normal(size=(60, 4))
Y = (X[:, 0] > 0).astype(int)
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}


@contextmanager
def changed(put, new, old):
    put(new)
    try:
        yield
    finally:
        put(old)


SETTINGS = {
    "inference mode": torch.inference_mode,
    "no grad": torch.no_grad,
    "gradients off": lambda: changed(torch.set_grad_enabled, False, True),
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
    "device meta": lambda: changed(torch.set_default_device, "meta", None),
    "within meta": lambda: torch.device("meta"),
    "device cpu": lambda: changed(torch.set_default_device, "cpu", None),
    "float64": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "bfloat16": lambda: changed(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "deterministic": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "no subnormals": lambda: changed(torch.set_flush_denormal, True, False),
    "anomalies": lambda: changed(torch.autograd.set_detect_anomaly, True, False),
    "products": lambda: changed(torch.set_float32_matmul_precision, "medium", "highest"),
}
ESTIMATORS = {
    "classifier": lambda: MixupClassifier(**SMALL, dropout=0.2, early_stopping=True),
    "bins": lambda: MixupClassifier(**SMALL, embedding="quantile"),
    "net of the user's": lambda: MixupClassifier(**SMALL, module=Net, n_estimators=2),
    "hidden layers": lambda: MixupClassifier(**SMALL, mixing="manifold"),
    "regressor": lambda: MixupRegressor(**SMALL),
    "alpha chosen": lambda: MixupClassifier(**{**SMALL, "max_epochs": 1}, alpha="auto"),
    "ensemble": lambda: MixupEnsembleClassifier(
        candidates=[{"max_epochs": 1}], cv=2, random_state=0
    ),
    "search": lambda: MixupSearchCV(MixupClassifier(**SMALL), {"alpha": [0.1]}, cv=2),
    "rescaled": lambda: RescaledClassifier(MixupClassifier(**SMALL, mixing="mixup")),
}


def state():
    """What the settings change, as a caller could see it."""
    made = torch.empty(0)
    return (
        torch.is_inference_mode_enabled(),
        torch.is_grad_enabled(),
        torch.is_autocast_enabled("cpu"),
        made.device.type,
        made.dtype,
        torch.are_deterministic_algorithms_enabled(),
        torch.is_anomaly_enabled(),
        torch.get_float32_matmul_precision(),
        bool(np.float64(5e-324) * 1 == 0),
    )


def outputs(estimator):
    classes = hasattr(estimator, "predict_proba")
    return estimator.predict_proba(X) if classes else estimator.predict(X)


def trained(create):
    estimator = create().fit(X, Y)
    results = [outputs(estimator)]
    if hasattr(estimator, "partial_fit") and estimator.alpha != "auto":
        estimator.partial_fit(X, Y)
        results.append(outputs(estimator))
    return estimator, results


@pytest.mark.filterwarnings("ignore:Anomaly Detection:UserWarning")
@pytest.mark.parametrize("kind", ESTIMATORS)
def test_settings_change_no_bit_and_return(kind):
    create = ESTIMATORS[kind]
    usual, expected = trained(create)
    every = kind in ("classifier", "net of the user's")
    for name in SETTINGS if every else ("inference mode", "autocast", "within meta", "float64"):
        with SETTINGS[name]():
            before = state()
            estimator, results = trained(create)
            assert_array_equal(outputs(usual), expected[0 if len(expected) == 1 else 1])
            assert state() == before, name
        assert_array_equal(results, expected, err_msg=name)
        assert_array_equal(outputs(estimator), expected[-1], err_msg=name)
        if len(expected) > 1:
            estimator.partial_fit(X, Y)  # nothing of it belongs to inference mode


@pytest.mark.parametrize("name", ["inference mode", "autocast", "device meta", "no subnormals"])
def test_settings_of_another_thread(name):
    _, expected = trained(ESTIMATORS["net of the user's"])

    def job():
        with SETTINGS[name]():
            return trained(ESTIMATORS["net of the user's"])[1]

    with ThreadPoolExecutor(1) as pool:
        assert_array_equal(pool.submit(job).result(), expected)


def test_fits_in_several_threads_share_the_default_dtype():
    _, expected = trained(ESTIMATORS["net of the user's"])
    with SETTINGS["float64"](), ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(trained, ESTIMATORS["net of the user's"]) for _ in range(6)]
        for job in jobs:
            assert_array_equal(job.result()[1], expected)
        assert torch.get_default_dtype() == torch.float64


def test_the_last_thread_restores_what_the_first_one_found():
    inside, leave = threading.Barrier(2), threading.Event()

    def first():
        with torch_defaults():
            inside.wait()
            leave.wait()

    with SETTINGS["float64"]():
        thread = threading.Thread(target=first)
        thread.start()
        inside.wait()
        with torch_defaults():
            leave.set()
            thread.join()
            assert torch.get_default_dtype() == torch.float32
        assert torch.get_default_dtype() == torch.float64


@pytest.mark.parametrize("name", SETTINGS)
def test_states_return_after_an_error(name):
    with SETTINGS[name]():
        before = state()
        with pytest.raises(ValueError, match="learning_rate_init"):
            MixupClassifier(**SMALL, learning_rate_init=1e30).fit(X, Y)
        assert state() == before


def test_subnormal_numbers_are_seen_where_the_caller_flushes_them():
    x = np.round(X * 1000) * 2.0**-1070
    expected = MixupClassifier(**SMALL).fit(x, Y).predict_proba(x)
    with SETTINGS["no subnormals"]():
        assert_array_equal(MixupClassifier(**SMALL).fit(x, Y).predict_proba(x), expected)
        assert expected.std() > 1e-3


@pytest.mark.parametrize("name", SETTINGS)
def test_the_net_and_attacks_on_it(name):
    rows, y = table()
    net, user = make(), make(Net)
    expected = [each.fit(rows, y).predict_proba(rows) for each in (net, user)]
    classifier = MixupClassifier(**SMALL).fit(X, Y)
    attacked = adversarial_examples(classifier, X, Y, 0.1)
    with SETTINGS[name]():
        results = [make(*module).fit(rows, y).predict_proba(rows) for module in ((), (Net,))]
        assert_array_equal(adversarial_examples(classifier, X, Y, 0.1), attacked)
    assert_array_equal(results, expected)


@pytest.mark.parametrize("name", ["inference mode", "device meta", "float64", "bfloat16"])
def test_spectrograms_and_displays(name):
    clips = RNG.integers(-3000, 3000, (3, 800)).astype(np.int16)
    waves = clips / 2**15

    def computed():
        spectrogram = Spectrogram(8000, device="cpu")
        return [
            spectrogram.fit_transform(clips),
            MixedPairDisplay.from_rule(*waves[:2], "mixup", random_state=0).mixed,
            MixedSamplesDisplay.from_rule(X[:, :2], Y, n_samples=9).mixed,
            LambdaDisplay.from_alphas([0.2], n_draws=9).draws,
        ]

    expected = computed()
    with SETTINGS[name]():
        results = computed()
    for one, other in zip(results, expected, strict=True):
        assert_array_equal(one, other)
