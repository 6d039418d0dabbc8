"""How a search runs: progress, Ctrl-C, errors, and chunks in other processes."""

import contextlib
import gc
import json
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import ClassVar

import joblib
import numpy as np
import pytest
from joblib.externals.loky import get_reusable_executor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from skorch.callbacks import Callback
from torch import nn

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab._terminal import ProgressBar
from mixup_tab.estimators.monitor import Monitor
from mixup_tab.search import run

TWO_CHUNKS = {"alpha": [0, 0.3], "hidden_layer_sizes": [(3,), (4,)]}


def table(rows=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


def net(**params):
    params = {"hidden_layer_sizes": (4,), "max_epochs": 2, "random_state": 0, **params}
    return MixupClassifier(**params)


def search(estimator=None, grid=None, **params):
    estimator = net() if estimator is None else estimator
    return MixupSearchCV(estimator, grid or TWO_CHUNKS, **{"cv": 2, "n_jobs": 1, **params})


def learned(estimator):
    return [name for name in vars(estimator) if name.endswith("_")]


def chunks_in(path):
    _, *lines, _half = path.read_text().split("\n")
    return [json.loads(line)["key"] for line in lines]


def assert_same(first, second):
    keys = [key for key in first.cv_results_ if "_time" not in key]
    assert keys == [key for key in second.cv_results_ if "_time" not in key]
    for key in keys:
        np.testing.assert_array_equal(
            first.cv_results_[key], second.cv_results_[key], err_msg=key
        )


# ------------------------------------------------------------------------ what is shown


def talkative(estimator, X, y):
    print("scored")
    return 1.0


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_progress_bar_is_shown_on_standard_error_if_asked_for(n_jobs, capsys, monkeypatch):
    pytest.importorskip("rich")
    monkeypatch.setenv("FORCE_COLOR", "1")  # as in a terminal
    search(n_jobs=n_jobs, scoring=talkative, refit=False, verbose=1).fit(*table())
    shown = capsys.readouterr()
    assert re.search(r"fits.*8/8", shown.err, flags=re.S)
    assert shown.out.count("scored") == 8
    assert "scored" not in shown.err
    search(n_jobs=n_jobs, refit=False).fit(*table())
    assert capsys.readouterr() == ("", "")


def test_every_fit_is_counted(monkeypatch, tmp_path):
    """Those of a checkpoint too, and those that fail."""
    counts = []

    class Counted(ProgressBar):
        def __init__(self, what, total, show):
            super().__init__(what, total, show=show)
            counts.append([0, total])

        def advance(self, steps=1):
            counts[-1][0] += steps

    monkeypatch.setattr(run, "ProgressBar", Counted)
    for _ in "ab":
        search(refit=False, checkpoint=tmp_path / "search.jsonl").fit(*table())
    failing = search(grid={"learning_rate_init": [0.01, 1e30]}, error_score=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        failing.fit(*table())
    assert counts == [[8, 8], [8, 8], [4, 4]]


# ------------------------------------------------------------------------------- Ctrl-C


def wait_for_threads(before):
    deadline = time.monotonic() + 60
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, "threads run after a minute"
        time.sleep(0.01)


@pytest.fixture
def ctrl_c():
    """A runner in the background ignores the signal, and tests would with it."""
    threads = set(threading.enumerate())
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    Press.waits[:] = [True]
    yield
    wait_for_threads(threads)  # none may press in the next test
    signal.signal(signal.SIGINT, before)


def press_ctrl_c():
    signal.raise_signal(signal.SIGINT)


@pytest.fixture
def press_in(monkeypatch, ctrl_c):
    """A function that has Ctrl-C pressed, once, when the given number of chunks have begun."""

    def have_pressed(number):
        left = [number]
        real = Monitor.task

        def task(monitor):
            left[0] -= 1
            if left[0] == 0:
                press_ctrl_c()
            return real(monitor)

        monkeypatch.setattr(Monitor, "task", task)

    return have_pressed


class Press(Callback):
    """Presses Ctrl-C once, after the second epoch of a net with the given number of rows."""

    waits: ClassVar[list] = []
    epochs: ClassVar[list] = []

    def __init__(self, rows):
        self.rows = rows

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        self.epochs.append(1)
        due = len(net.history) == 2 and len(dataset_train) == self.rows
        if due and self.waits:
            self.waits.clear()
            press_ctrl_c()


class Linear(nn.Linear):
    """A user's module, which is trained by itself."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)


def test_ctrl_c_tells_how_far_the_search_has_come(press_in, tmp_path):
    path = tmp_path / "search.jsonl"
    interrupted = search()
    press_in(2)
    with pytest.raises(KeyboardInterrupt, match=r"after 4 of 8 fits\. Set checkpoint="):
        interrupted.fit(*table())
    assert not learned(interrupted)
    expected = interrupted.fit(*table())  # nobody presses twice
    before = dict(vars(expected))
    press_in(1)
    with pytest.raises(KeyboardInterrupt, match="0 of 8"):
        expected.fit(*table())
    assert vars(expected) == before
    press_in(2)
    resumed = search(checkpoint=path)
    with pytest.raises(KeyboardInterrupt, match=r"after 4 of 8 fits.*search\.jsonl"):
        resumed.fit(*table())
    assert chunks_in(path) == [0]
    press_in(1)
    with pytest.raises(KeyboardInterrupt, match="4 of 8 fits"):
        resumed.fit(*table())
    assert_same(resumed.fit(*table()), expected)
    assert chunks_in(path) == [0, 1]


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_in_a_scorer_or_in_the_last_fit_ends_the_search():
    def scorer(estimator, X, y):
        press_ctrl_c()
        return 1.0

    with pytest.raises(KeyboardInterrupt, match="0 of 2 fits"):
        search(grid={"alpha": [0]}, scoring=scorer).fit(*table())
    last = search(net(callbacks=[Press(rows=60)]), {"alpha": [0]})
    with pytest.raises(KeyboardInterrupt):
        last.fit(*table())
    assert not learned(last)


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("params", [{}, {"module": Linear}], ids=["callback", "module"])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_ctrl_c_ends_a_search_of_nets_that_are_trained_one_by_one(n_jobs, params, tmp_path):
    """A net by itself keeps what it has learned after Ctrl-C; a search does not."""
    path = tmp_path / "search.jsonl"
    estimator = net(callbacks=[Press(rows=30)], **params)
    interrupted = search(estimator, {"alpha": [0]}, checkpoint=path, n_jobs=n_jobs)
    with pytest.raises(KeyboardInterrupt, match="0 of 2 fits"):
        interrupted.fit(*table())
    assert not learned(interrupted)
    assert chunks_in(path) == []


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_between_chunks_comes_without_advice_about_iterators(monkeypatch):
    monkeypatch.setattr(run.ProgressBar, "advance", lambda bar, steps: press_ctrl_c())
    grid = {"hidden_layer_sizes": [(n,) for n in range(3, 9)]}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(KeyboardInterrupt):
            search(net(max_epochs=20), grid, n_jobs=2).fit(*table())
        gc.collect()
    assert not [str(warning.message) for warning in seen]


@pytest.mark.usefixtures("ctrl_c")
@pytest.mark.parametrize("alpha", [0.2, "auto"])
def test_threads_stop_soon_after_ctrl_c(alpha):
    """In less than half of the epochs that they were to train."""
    Press.epochs.clear()
    pressing = Press(rows=30 if alpha == 0.2 else 20)  # two thirds of a fold
    estimator = net(alpha=alpha, max_epochs=200, callbacks=[pressing])
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        search(estimator, {"dropout": [0.1]}, n_jobs=2).fit(*table())
    wait_for_threads(before)
    assert len(Press.epochs) < 200


def test_an_error_ends_the_search_and_a_search_beside_it_continues():
    def fails(estimator, X, y):
        raise RuntimeError("no score")

    before, found = set(threading.enumerate()), []
    beside = threading.Thread(target=lambda: found.append(search(n_jobs=2).fit(*table())))
    beside.start()
    with pytest.raises(RuntimeError, match="no score"):
        search(scoring=fails, error_score="raise", n_jobs=2).fit(*table())
    beside.join()
    wait_for_threads(before)
    assert_same(found[0], search().fit(*table()))


# ----------------------------------------------------------------- in a process of its own

CODE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from test_search_run import learned, long_search, table
for n_jobs in (1, 2):
    search = long_search(f"{sys.argv[1]}-{n_jobs}", n_jobs)
    try:
        search.fit(*table(1000))
    except KeyboardInterrupt as error:
        print(learned(search), error, flush=True)
        if n_jobs == 2:
            raise
"""


def long_search(path, n_jobs):
    grid = {"hidden_layer_sizes": [(n,) for n in (3, 4, 5, 6)]}
    params = {"cv": 4, "checkpoint": path, "n_jobs": n_jobs, "refit": False}
    return search(net(max_epochs=30), grid, **params)


def send_after_a_chunk(process, path):
    """Send Ctrl-C as soon as there is a finished chunk."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") > 1):
        assert process.poll() is None, "ended before it was interrupted"
        assert time.monotonic() < deadline, "no chunk after a minute"
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT as a terminal does")
def test_a_script_that_is_interrupted_ends_as_python_does_and_can_be_resumed(tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, tmp_path / "search"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    paths = [tmp_path / f"search-{n_jobs}" for n_jobs in (1, 2)]
    for path in paths:
        send_after_a_chunk(process, path)
    shown, errors = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGINT, errors
    assert "KeyboardInterrupt: The search was stopped after" in errors
    expected = long_search(None, 1).fit(*table(1000))
    for path, line in zip(paths, shown.splitlines(), strict=True):
        kept = len(chunks_in(path))
        found = re.fullmatch(r"\[\] .* after (\d+) of 16 fits\. (.*)", line)
        assert int(found[1]) in (4 * kept, 4 * kept - 4)  # between writing and counting
        assert str(path) in found[2]
        assert_same(long_search(path, 1).fit(*table(1000)), expected)
        assert sorted(chunks_in(path)) == [0, 1, 2, 3]


# ---------------------------------------------------------------------- other processes

SIZES = [(n,) for n in range(3, 11)]  # every size is a chunk of its own


def fit(sizes=SIZES, pipeline=False, rate=0.01, max_epochs=3, **params):
    model = net(max_epochs=max_epochs, learning_rate_init=rate)
    model = make_pipeline(StandardScaler(), model) if pipeline else model
    prefix = "mixupclassifier__" if pipeline else ""
    grid = {f"{prefix}alpha": [0, 0.3], f"{prefix}hidden_layer_sizes": sizes}
    params = {"scoring": "neg_log_loss", "n_jobs": None, **params}
    return search(model, grid, **params).fit(*table())


RAY = """
import joblib, ray
from ray.util.joblib import register_ray
from test_search_run import SIZES, assert_same, fit
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
register_ray()
with joblib.parallel_config("ray"):
    everywhere = fit(SIZES[:3], pipeline=True)
assert_same(everywhere, fit(SIZES[:3], pipeline=True))
print(len(everywhere.cv_results_["params"]))
ray.shutdown()
"""


@pytest.mark.slow
def test_ray_gives_the_scores_of_one_process():
    pytest.importorskip("ray")
    command = [sys.executable, "-c", RAY]
    cwd = Path(__file__).parent
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, timeout=120)
    assert done.stdout.split() == ["6"], done.stderr


@pytest.fixture(scope="module")
def client():
    """Two worker processes of one thread each."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": ":0"}
    with (
        distributed.LocalCluster(**options) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture
def dask(client):
    client.wait_for_workers(2)
    with joblib.parallel_config("dask"):
        yield client


def process_id(estimator, X, y):
    return os.getpid()


@pytest.mark.slow
def test_dask_gives_the_scores_of_one_process(dask):
    everywhere = fit(pipeline=True, return_train_score=True)
    with joblib.parallel_config("threading"):
        here = fit(pipeline=True, return_train_score=True, n_jobs=1)
    assert_same(everywhere, here)
    X, _ = table()
    np.testing.assert_array_equal(everywhere.predict_proba(X), here.predict_proba(X))
    results = fit(SIZES[:4], scoring=process_id, refit=False).cv_results_
    found = {*results["split0_test_score"], *results["split1_test_score"]}
    assert found <= set(dask.run(os.getpid).values())
    with pytest.raises(ValueError, match="Lower the learning rate") as caught:
        fit(SIZES[:2], rate=1e30, error_score="raise")
    assert "on fold" in str(caught.value.__notes__)


@pytest.fixture
def after_two_chunks(monkeypatch):
    """A function that has something done when two chunks are finished."""

    def have_done(action):
        count = []
        real = ProgressBar.advance

        def advance(bar, steps=1):
            real(bar, steps)
            count.append(steps)
            if len(count) == 2:
                action()

        monkeypatch.setattr(run.ProgressBar, "advance", advance)

    return have_done


def interrupt():
    raise KeyboardInterrupt


@pytest.mark.slow
def test_ctrl_c_keeps_what_workers_have_finished(dask, after_two_chunks, tmp_path):
    path = tmp_path / "search.jsonl"
    after_two_chunks(interrupt)
    with pytest.raises(KeyboardInterrupt, match="after 8 of 32 fits") as caught:
        fit(checkpoint=path)
    assert str(path) in str(caught.value)
    assert len(chunks_in(path)) == 2
    assert_same(fit(checkpoint=path), fit())
    assert sorted(chunks_in(path)) == list(range(len(SIZES)))


def dies_once(estimator, X, y):
    """Score, or kill the worker process if the file that says so is there."""
    order = os.environ.get("KILL_ONE_WORKER", "")
    if os.path.exists(order) and multiprocessing.parent_process() is not None:
        with contextlib.suppress(FileNotFoundError):  # another worker was faster
            os.unlink(order)
            os.kill(os.getpid(), signal.SIGKILL)
    return estimator.score(X, y)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_after_a_worker_was_killed_the_same_call_resumes(tmp_path, monkeypatch):
    """loky gives up, where dask begins once more with another worker."""
    path, order = tmp_path / "search.jsonl", tmp_path / "kill"
    monkeypatch.setenv("KILL_ONE_WORKER", str(order))
    get_reusable_executor().shutdown(wait=True)  # its workers do not know the variable
    with joblib.parallel_config("loky", n_jobs=2):
        for checkpoint, advice in (
            (None, "Set checkpoint=PATH"),
            (path, re.escape(str(path))),
        ):
            order.touch()
            with pytest.raises(BrokenExecutor, match=f"worker process ended .*{advice}"):
                fit(scoring=dies_once, checkpoint=checkpoint)
            assert not order.exists()
        kept = len(chunks_in(path))
        resumed = fit(scoring=dies_once, checkpoint=path)
    assert kept < len(SIZES)
    assert sorted(chunks_in(path)) == list(range(len(SIZES)))
    assert_same(resumed, fit(scoring=dies_once, n_jobs=1))


@pytest.mark.slow
def test_a_worker_that_is_killed_takes_nothing_with_it(dask, after_two_chunks, tmp_path):
    path = tmp_path / "search.jsonl"
    with joblib.parallel_config("threading"):
        here = fit(max_epochs=50, n_jobs=1)
    victim = min(dask.run(os.getpid).values())
    after_two_chunks(lambda: os.kill(victim, signal.SIGKILL))
    assert_same(fit(max_epochs=50, checkpoint=path), here)
    assert sorted(chunks_in(path)) == list(range(len(SIZES)))
