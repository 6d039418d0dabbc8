"""Ctrl-C while a search is running."""

import gc
import json
import re
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
from skorch.callbacks import Callback
from torch import nn

import mixup_tab.search.run as cv
from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.search.chunk import run_chunk
from mixup_tab.search.watch import Watch


def wait_for_threads(before):
    deadline = time.monotonic() + 60
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline, "threads go on after a minute"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
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


def table(rows=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] > 0).astype(int)


def net(**params):
    params = {"hidden_layer_sizes": (4,), "max_epochs": 3, "random_state": 0, **params}
    return MixupClassifier(**params)


def search(estimator, grid, **params):
    return MixupSearchCV(estimator, grid, **{"cv": 2, "n_jobs": 1, **params})


def learned(estimator):
    return [name for name in vars(estimator) if name.endswith("_")]


def chunks_in(path):
    _, *lines, _half = path.read_text().split("\n")
    return [json.loads(line)["chunk"] for line in lines]


@pytest.fixture
def reports(monkeypatch):
    """Every report of epochs: chunk and number."""
    noted = []
    real = Watch.report

    def report(token, chunk, epochs):
        noted.append((chunk, epochs))
        real(token, chunk, epochs)

    monkeypatch.setattr(Watch, "report", report)
    return noted


@pytest.fixture
def press_in(monkeypatch):
    """A function that has Ctrl-C pressed, once, while a chunk is trained."""

    def have_pressed(number):
        waits = [number]
        real = Watch.report

        def report(token, chunk, epochs):
            if chunk in waits:
                waits.remove(chunk)
                press_ctrl_c()
            real(token, chunk, epochs)

        monkeypatch.setattr(Watch, "report", report)

    return have_pressed


class Press(Callback):
    """Presses Ctrl-C once, after the second epoch of a net with so many rows."""

    waits: ClassVar[list] = []

    def __init__(self, rows):
        self.rows = rows

    def on_epoch_end(self, net, dataset_train=None, **kwargs):
        due = len(net.history) == 2 and len(dataset_train) == self.rows
        if due and self.waits:
            self.waits.clear()
            press_ctrl_c()


class Linear(nn.Module):
    """A user's module, which is trained by itself."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(x)


# ------------------------------------------------------------- in this process, and how


TWO_CHUNKS = {"alpha": [0, 0.3], "hidden_layer_sizes": [(3,), (4,)]}


def test_ctrl_c_tells_how_far_the_search_has_come(press_in):
    press_in(1)
    with pytest.raises(
        KeyboardInterrupt, match=r"when 4 of 8 fits were done\. Give checkpoint="
    ):
        search(net(), TWO_CHUNKS).fit(*table())


def test_ctrl_c_leaves_a_search_that_is_not_fitted(press_in):
    press_in(1)
    interrupted = search(net(), TWO_CHUNKS)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(*table())
    assert not learned(interrupted)
    assert interrupted.fit(*table()).best_score_ > 0  # nobody presses twice


def test_ctrl_c_leaves_what_was_fitted_before(press_in):
    fitted = search(net(), TWO_CHUNKS).fit(*table())
    before = dict(vars(fitted))
    press_in(0)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(*table())
    assert vars(fitted) == before


def test_ctrl_c_names_the_file_to_go_on_from(press_in, tmp_path):
    path = tmp_path / "search.jsonl"
    interrupted = search(net(), TWO_CHUNKS, checkpoint=path)
    press_in(1)
    with pytest.raises(KeyboardInterrupt, match=r"4 of 8 fits were done.*search\.jsonl"):
        interrupted.fit(*table())
    assert chunks_in(path) == [0]
    interrupted.fit(*table())
    assert chunks_in(path) == [0, 1]
    expected = search(net(), TWO_CHUNKS).fit(*table())
    for key in ("mean_test_score", "split1_test_score"):
        np.testing.assert_array_equal(interrupted.cv_results_[key], expected.cv_results_[key])


def test_ctrl_c_counts_the_fits_of_the_file(press_in, tmp_path):
    interrupted = search(net(), TWO_CHUNKS, checkpoint=tmp_path / "search.jsonl")
    for _ in "ab":
        press_in(1)
        with pytest.raises(KeyboardInterrupt, match="4 of 8 fits"):
            interrupted.fit(*table())


def test_ctrl_c_in_a_scorer_ends_the_search():
    def scorer(estimator, X, y):
        press_ctrl_c()
        return 1.0

    with pytest.raises(KeyboardInterrupt, match="0 of 2 fits"):
        search(net(), {"alpha": [0]}, scoring=scorer).fit(*table())


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


def test_ctrl_c_in_the_last_fit_ends_the_search():
    interrupted = search(net(callbacks=[Press(rows=60)]), {"alpha": [0]})
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(*table())
    assert not learned(interrupted)


def test_ctrl_c_between_chunks_comes_without_advice_about_iterators(monkeypatch):
    def done(watch, *args):
        press_ctrl_c()

    monkeypatch.setattr(Watch, "chunk_done", done)
    grid = {"hidden_layer_sizes": [(n,) for n in range(3, 9)]}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        with pytest.raises(KeyboardInterrupt):
            search(net(max_epochs=50), grid, n_jobs=2).fit(*table())
        gc.collect()
    assert not [str(warning.message) for warning in seen]


class Epochs(Callback):
    """Counts the epochs of all nets."""

    count: ClassVar[list] = []

    def on_epoch_end(self, net, **kwargs):
        self.count.append(0)


def test_threads_stop_soon_after_ctrl_c(reports, press_in):
    """In less than half of the epochs that they were to train."""
    press_in(0)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        search(net(max_epochs=1000), TWO_CHUNKS, n_jobs=2).fit(*table())
    wait_for_threads(before)
    assert sum(epochs for _, epochs in reports) < 8 * 1000 / 2


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_threads_that_choose_alpha_stop_soon_after_ctrl_c(n_jobs):
    """In less than half of the epochs of one cross-validation."""
    Epochs.count.clear()
    watched = [Press(rows=24), Epochs()]  # four fifths of a fold
    estimator = net(alpha="auto", max_epochs=100, callbacks=watched)
    before = set(threading.enumerate())
    with pytest.raises(KeyboardInterrupt):
        search(estimator, {"dropout": [0]}, n_jobs=n_jobs).fit(*table())
    wait_for_threads(before)
    assert len(Epochs.count) < 20 * 100 / 2


# ----------------------------------------------------------------- in a process of its own


CODE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from test_search_interrupt import learned, long_search, table
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
    return search(net(max_epochs=60), grid, **params)


def send_after_a_chunk(process, path):
    """Send Ctrl-C as soon as there is a finished chunk."""
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") > 1):
        assert process.poll() is None, "ended before it was interrupted"
        assert time.monotonic() < deadline, "no chunk after a minute"
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """A script that is interrupted twice: how it ended, what it said, and the files."""
    if sys.platform == "win32":
        pytest.skip("sends SIGINT as a terminal does")
    path = tmp_path_factory.mktemp("script") / "search"
    process = subprocess.Popen(
        [sys.executable, "-c", CODE, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    paths = {n_jobs: path.with_name(f"search-{n_jobs}") for n_jobs in (1, 2)}
    for file in paths.values():
        send_after_a_chunk(process, file)
    shown, errors = process.communicate(timeout=60)
    return process.returncode, shown.splitlines(), errors, paths


@pytest.fixture(scope="module")
def undisturbed():
    return long_search(None, 1).fit(*table(1000))


def test_a_script_that_is_interrupted_ends_as_python_does(script):
    code, _, errors, _ = script
    assert code == -signal.SIGINT, errors
    assert "KeyboardInterrupt: The search was stopped when" in errors


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_script_is_told_how_far_the_search_has_come(n_jobs, script):
    _, shown, _, paths = script
    kept = len(chunks_in(paths[n_jobs]))
    assert 0 < kept < 4
    found = re.fullmatch(r"\[\] .* when (\d+) of 16 fits were done\. (.*)", shown[n_jobs - 1])
    assert int(found[1]) in (4 * kept, 4 * kept - 4)  # between writing and counting
    assert f"{paths[n_jobs]}" in found[2]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_script_that_was_interrupted_can_go_on(n_jobs, script, undisturbed, monkeypatch):
    *_, paths = script
    left = sorted({0, 1, 2, 3} - set(chunks_in(paths[n_jobs])))
    trained = []

    def counting(X, y, chunk, *rest):
        trained.append(chunk)
        return run_chunk(X, y, chunk, *rest)

    monkeypatch.setattr(cv, "run_chunk", counting)
    goes_on = long_search(paths[n_jobs], 1).fit(*table(1000))
    assert trained == left
    for fold in range(4):
        key = f"split{fold}_test_score"
        np.testing.assert_array_equal(goes_on.cv_results_[key], undisturbed.cv_results_[key])
