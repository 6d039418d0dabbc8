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
from sklearn.model_selection import GridSearchCV, cross_val_predict
from torch import nn

from mixup_tab import BinnedMLP, MixupClassifier, MixupRegressor
from mixup_tab.mixing import Mixup

SMALL = {"hidden_layer_sizes": (16,), "max_epochs": 4}


def wide_net(in_features, out_features):
    return nn.Sequential(
        nn.Linear(in_features, 1024), nn.ReLU(), nn.Dropout(0.2), nn.Linear(1024, out_features)
    )


CASES = {
    "plain": {},
    "dropout": {"dropout": 0.3},
    "ensemble": {"n_estimators": 3, "dropout": 0.3},
    "early stopping": {"early_stopping": True, "validation_fraction": 0.2},
    "other class": {"mixing": Mixup(partners="other_class")},
    "cutmix": {"mixing": "cutmix", "alpha": 0.5},
    "bins": {"module": BinnedMLP, "mixing": "cutmix"},
    "user module": {"module": wide_net},
    "user module, early stopping": {"module": wide_net, "early_stopping": True},
    "user module, ensemble": {"module": wide_net, "n_estimators": 2},
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


@all_cases
def test_twice_in_a_process(params, two_classes):
    assert_array_equal(proba(*two_classes, **params), proba(*two_classes, **params))


@all_cases
def test_another_seed_gives_another_net(params, two_classes):
    one, other = proba(*two_classes, **params), proba(*two_classes, 1, **params)
    assert np.abs(one - other).max() > 1e-4


@pytest.mark.parametrize("seed", [np.int64(5), np.uint8(5), 5])
def test_any_integer_is_the_same_seed(seed, two_classes):
    assert_array_equal(proba(*two_classes, seed), proba(*two_classes, 5))


@pytest.mark.parametrize("seed", [0, 2**31, 2**32 - 1, 2**40])
@pytest.mark.parametrize("early_stopping", [False, True])
def test_large_seeds(seed, early_stopping, two_classes):
    results = [proba(*two_classes, seed, early_stopping=early_stopping) for _ in range(2)]
    assert_array_equal(*results)


FIT_ELSEWHERE = """
import sys, numpy as np, torch
from mixup_tab import MixupClassifier
torch.manual_seed(123)
data = np.load(sys.argv[1])
net = MixupClassifier(hidden_layer_sizes=(16,), max_epochs=4, dropout=0.3, random_state=0)
np.save(sys.argv[2], net.fit(data["X"], data["y"]).predict_proba(data["X"]))
"""


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


def test_parallel_grid_search(two_classes):
    results = [
        GridSearchCV(
            MixupClassifier(**SMALL, random_state=0),
            {"alpha": [0, 0.2, 1.0]},
            scoring="neg_log_loss",
            cv=3,
            n_jobs=jobs,
        ).fit(*two_classes)
        for jobs in (1, 2)
    ]
    names = [f"split{k}_test_score" for k in range(3)]
    one, two = ([search.cv_results_[name] for name in names] for search in results)
    assert_array_equal(one, two)
    assert_array_equal(*(search.predict_proba(two_classes[0]) for search in results))


@pytest.mark.parametrize("name", ["plain", "ensemble", "user module", "early stopping"])
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


def test_the_number_of_threads_is_put_back_after_an_error(two_classes):
    X, y = two_classes
    with torch_threads(2):
        with pytest.raises(ValueError, match="learning_rate_init"):
            fitted(X, y, learning_rate_init=1e30)
        assert torch.get_num_threads() == 2


# ------------------------------------------------------- RandomState objects and None


def test_a_random_state_advances(two_classes):
    state = np.random.RandomState(3)
    first, second = proba(*two_classes, state), proba(*two_classes, state)
    assert np.abs(first - second).max() > 1e-4
    again = np.random.RandomState(3)
    assert_array_equal(proba(*two_classes, again), first)
    assert_array_equal(proba(*two_classes, again), second)


def test_none_varies(two_classes):
    assert np.abs(proba(*two_classes, None) - proba(*two_classes, None)).max() > 1e-4


@pytest.mark.usefixtures("kept_state")
def test_none_follows_numpys_global_seed(two_classes):
    results = []
    for _ in range(2):
        np.random.seed(7)  # noqa: NPY002
        results.append(proba(*two_classes, None))
    assert_array_equal(*results)


# ------------------------------------------------------------- the global random state


@all_cases
@pytest.mark.usefixtures("kept_state")
def test_the_global_state_is_neither_read_nor_changed(params, two_classes):
    results = []
    for seed in (1, 2):
        seed_everything(seed)
        before = global_state()
        net = fitted(*two_classes, **params)
        net.partial_fit(*two_classes)
        results.append(net.predict_proba(two_classes[0]))
        assert global_state() == before
    assert_array_equal(*results)


@pytest.mark.usefixtures("kept_state")
@pytest.mark.parametrize("params", [{}, {"early_stopping": True}, {"module": wide_net}])
def test_the_regressor_leaves_the_global_state_alone(params, line):
    results = []
    for seed in (1, 2):
        seed_everything(seed)
        before = global_state()
        net = MixupRegressor(**SMALL, **params, random_state=0).fit(*line)
        results.append(net.predict(line[0]))
        assert global_state() == before
    assert_array_equal(*results)
