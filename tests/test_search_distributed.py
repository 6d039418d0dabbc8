"""Chunks of a search on other processes, through joblib's own backends."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import joblib
import numpy as np
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.search.watch import Watch

SIZES = [(n,) for n in range(3, 11)]  # every size is a chunk of its own


def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] + 0.5 * rng.normal(size=60) > 0).astype(int)


def fit(sizes=SIZES, pipeline=False, max_epochs=3, rate=0.01, **params):
    net = MixupClassifier(max_epochs=max_epochs, learning_rate_init=rate, random_state=0)
    model = make_pipeline(StandardScaler(), net) if pipeline else net
    prefix = "mixupclassifier__" if pipeline else ""
    grid = {f"{prefix}alpha": [0, 0.3], f"{prefix}hidden_layer_sizes": sizes}
    params = {"cv": 2, "scoring": "neg_log_loss", "n_jobs": None, **params}
    return MixupSearchCV(model, grid, **params).fit(*table())


def assert_same(first, second):
    keys = [key for key in first.cv_results_ if "_time" not in key]
    assert keys == [key for key in second.cv_results_ if "_time" not in key]
    for key in keys:
        np.testing.assert_array_equal(
            first.cv_results_[key], second.cv_results_[key], err_msg=key
        )


def chunks_in(path):
    _, *lines = path.read_text().splitlines()
    return [json.loads(line)["chunk"] for line in lines]


# -------------------------------------------------------------------------------- Ray


RAY = """
import joblib, ray
from ray.util.joblib import register_ray
from test_search_distributed import SIZES, assert_same, fit
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
register_ray()
with joblib.parallel_config("ray"):
    everywhere = fit(SIZES[:3], pipeline=True)
assert_same(everywhere, fit(SIZES[:3], pipeline=True))
print(len(everywhere.cv_results_["params"]))
ray.shutdown()
"""


def test_ray_gives_the_scores_of_one_process():
    pytest.importorskip("ray")
    done = subprocess.run(
        [sys.executable, "-c", RAY],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent,
        timeout=120,
    )
    assert done.stdout.split() == ["6"], done.stderr


# ------------------------------------------------------------------------------- Dask


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each."""
    distributed = pytest.importorskip("distributed")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def dask(client):
    client.wait_for_workers(2)
    with joblib.parallel_config("dask"):
        yield client


@pytest.mark.parametrize("pipeline", [False, True])
def test_dask_gives_the_scores_of_one_process(pipeline, dask):
    everywhere = fit(pipeline=pipeline, return_train_score=True)
    with joblib.parallel_config("threading"):
        here = fit(pipeline=pipeline, return_train_score=True, n_jobs=1)
    assert_same(everywhere, here)
    X, _ = table()
    np.testing.assert_array_equal(everywhere.predict_proba(X), here.predict_proba(X))


def process(estimator, X, y):
    return os.getpid()


def test_chunks_run_on_the_workers(dask):
    results = fit(SIZES[:4], scoring=process, refit=False).cv_results_
    found = {*results["split0_test_score"], *results["split1_test_score"]}
    assert found <= set(dask.run(os.getpid).values())


@pytest.fixture
def after_chunk(monkeypatch):
    """A function that has something done when so many chunks are finished."""

    def have_done(number, action):
        count = 0
        real = Watch.chunk_done

        def chunk_done(watch, *args):
            nonlocal count
            real(watch, *args)
            count += 1
            if count == number:
                action()

        monkeypatch.setattr(Watch, "chunk_done", chunk_done)

    return have_done


def press_ctrl_c():
    raise KeyboardInterrupt


def test_ctrl_c_keeps_what_workers_have_finished(dask, after_chunk, tmp_path):
    path = tmp_path / "search.jsonl"
    after_chunk(2, press_ctrl_c)
    with pytest.raises(KeyboardInterrupt, match="when 8 of 32 fits were done") as caught:
        fit(checkpoint=path)
    assert str(path) in str(caught.value)
    assert len(chunks_in(path)) == 2
    assert_same(fit(checkpoint=path), fit())
    assert sorted(chunks_in(path)) == list(range(len(SIZES)))


def test_an_error_on_a_worker_is_raised_here(dask):
    with pytest.raises(ValueError, match="Lower the learning rate") as caught:
        fit(SIZES[:2], rate=1e30, error_score="raise")
    assert "on fold" in str(caught.value.__notes__)


def token():
    return Watch(fits=1, epochs=1, chunks=1, visible=False).token


def test_searches_of_different_processes_have_different_tokens(dask):
    """A chunk must not take a search that a worker has had for its own."""
    tokens = [token(), *dask.run(token).values()]
    assert len(set(tokens)) == 3


def test_a_worker_that_is_killed_takes_nothing_with_it(dask, after_chunk, tmp_path):
    path = tmp_path / "search.jsonl"
    with joblib.parallel_config("threading"):
        here = fit(max_epochs=50, n_jobs=1)
    victim = min(dask.run(os.getpid).values())
    after_chunk(2, lambda: os.kill(victim, signal.SIGKILL))
    assert_same(fit(max_epochs=50, checkpoint=path), here)
    assert sorted(chunks_in(path)) == list(range(len(SIZES)))
