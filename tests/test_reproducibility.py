"""An integer random_state gives the same bits, and touches no global random state."""

import random
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from numpy.testing import assert_array_equal
from sklearn.model_selection import cross_val_predict
from torch import nn

from mixup_tab import MixupClassifier, MixupRegressor
from mixup_tab.mixing import Mixup
from mixup_tab.mixing._names import as_rule

SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 4}


def wide_net(in_features, out_features):
    return nn.Sequential(
        nn.Linear(in_features, 1024), nn.ReLU(), nn.Dropout(0.2), nn.Linear(1024, out_features)
    )


CASES = {
    "members": {"n_estimators": 3, "dropout": 0.3},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2},
    "other class": {"mixing": Mixup(partners="other_class")},
    "bins": {"embedding": "quantile", "mixing": "cutmix"},
    "user module": {"module": wide_net, "n_estimators": 2, "early_stopping": True},
}
all_cases = pytest.mark.parametrize("params", CASES.values(), ids=CASES)


def fitted(X, y, random_state=0, **params):
    return MixupClassifier(**{**SMALL, **params}, random_state=random_state).fit(X, y)


def proba(X, y, random_state=0, **params):
    return fitted(X, y, random_state, **params).predict_proba(X)


@contextmanager
def torch_threads(number):
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def seed_everything(seed):
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002
    torch.manual_seed(seed)


def global_state():
    """The state of every global source of randomness, as comparable bytes."""
    numpy_state = np.random.get_state()  # noqa: NPY002
    return random.getstate(), str(numpy_state), torch.get_rng_state().numpy().tobytes()


@pytest.fixture
def kept_state():
    """Put the global random state back after a test that sets it."""
    state = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    yield
    random.setstate(state[0])
    np.random.set_state(state[1])  # noqa: NPY002
    torch.set_rng_state(state[2])


# ---------------------------------------------------------------------- the same bits


@pytest.mark.parametrize("seeds", [(2**32 - 1, np.uint32(2**32 - 1)), (2**31, np.int64(2**31))])
def test_any_integer_is_a_seed_however_large(seeds, two_classes):
    results = [proba(*two_classes, seed, early_stopping=True) for seed in seeds]
    assert_array_equal(*results)
    assert np.abs(results[0] - proba(*two_classes, early_stopping=True)).max() > 1e-4


FIT_ELSEWHERE = """
import sys, numpy as np, torch
from mixup_tab import MixupClassifier
torch.manual_seed(123)
data = np.load(sys.argv[1])
net = MixupClassifier(hidden_layer_sizes=(16,), max_epochs=4, dropout=0.3, random_state=0)
np.save(sys.argv[2], net.fit(data["X"], data["y"]).predict_proba(data["X"]))
"""


@pytest.mark.slow
def test_in_another_process(two_classes, tmp_path):
    X, y = two_classes
    np.savez(tmp_path / "data.npz", X=X, y=y)
    arguments = [tmp_path / "data.npz", tmp_path / "proba.npy"]
    subprocess.run([sys.executable, "-c", FIT_ELSEWHERE, *arguments], check=True)
    assert_array_equal(np.load(tmp_path / "proba.npy"), proba(X, y, dropout=0.3))


@pytest.mark.parametrize("params", [{}, {"n_estimators": 2, "dropout": 0.3}], ids=str)
def test_parallel_cross_validation(params, two_classes):
    net = MixupClassifier(**SMALL, **params, random_state=0)
    results = [
        cross_val_predict(net, *two_classes, cv=3, n_jobs=jobs, method="predict_proba")
        for jobs in (1, 2)
    ]
    assert_array_equal(*results)


@pytest.mark.parametrize("name", ["members", "user module"])
def test_fits_in_several_threads(name, two_classes):
    alone = [proba(*two_classes, seed, **CASES[name]) for seed in range(4)]
    with ThreadPoolExecutor(4) as pool:
        together = list(
            pool.map(lambda seed: proba(*two_classes, seed, **CASES[name]), range(4))
        )
    assert_array_equal(alone, together)


@contextmanager
def busy_threads():
    """Threads that draw from every global generator and use torch's thread pool."""
    done = threading.Event()

    def work():
        while not done.is_set():
            torch.rand(50, 50) @ torch.rand(50, 50)
            np.random.rand()  # noqa: NPY002
            random.random()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        done.set()
        for thread in threads:
            thread.join()


@all_cases
def test_while_other_threads_are_busy(params, two_classes):
    alone = proba(*two_classes, **params)
    with busy_threads():
        assert_array_equal(proba(*two_classes, **params), alone)


BIG = {"hidden_layer_sizes": (512, 512), "batch_size": 200, "max_epochs": 2}


@pytest.mark.parametrize(
    "params",
    [{}, BIG, {**BIG, "module": wide_net}, {**BIG, "n_estimators": 2}],
    ids=["small", "big", "user module", "big ensemble"],
)
def test_the_number_of_threads_does_not_matter(params):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(400, 60)).astype(np.float32), rng.integers(0, 2, 400)
    results = []
    for threads in (1, 2):
        with torch_threads(threads):
            results.append(proba(X, y, **params))
            assert torch.get_num_threads() == threads
    assert_array_equal(*results)


# ------------------------------------------------------- RandomState objects and None


@pytest.mark.usefixtures("kept_state")
def test_a_random_state_moves_on_and_none_is_numpys_global_one(two_classes):
    results = []
    for _ in range(2):
        state = np.random.RandomState(3)
        np.random.seed(3)  # noqa: NPY002
        results.append([proba(*two_classes, seed) for seed in (state, state, None, None)])
    assert_array_equal(*results)
    first, second, third, fourth = results[0]
    assert np.abs(first - second).max() > 1e-4
    assert_array_equal(third, first)
    assert_array_equal(fourth, second)


# ------------------------------------------------------------- the global random state


@all_cases
@pytest.mark.usefixtures("kept_state")
@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
def test_the_global_state_is_neither_read_nor_changed(params, kind, two_classes):
    if kind is MixupRegressor and as_rule(params.get("mixing", "mixup")).needs_labels:
        pytest.skip("a rule for classes")
    X, y = two_classes
    results = []
    for seed in (1, 2):
        seed_everything(seed)
        before = global_state()
        net = kind(**{**SMALL, **params}, random_state=0).fit(X, y)
        results.append(net.partial_fit(X, y).predict(X))
        assert global_state() == before
    assert_array_equal(*results)
