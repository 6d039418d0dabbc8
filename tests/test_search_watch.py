"""What a search shows while it runs, and how its tasks are told to stop."""

import re
import threading
import time

import numpy as np
import pytest
from sklearn.exceptions import FitFailedWarning
from torch import nn

import mixup_tab.search.run as cv
from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.search.watch import Watch
from mixup_tab.training import LearningRate
from mixup_tab.training.stopping import TrainingAborted


class Linear(nn.Module):
    """A user's module, which is trained by itself."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(x)


def fit(data, grid=None, scoring=None, n_jobs=2, verbose=0, checkpoint=None, **params):
    net = {"hidden_layer_sizes": (4,), "max_epochs": 3, "random_state": 0, **params}
    grid = {"alpha": [0, 0.3], "hidden_layer_sizes": [(3,), (4,)]} if grid is None else grid
    settings = {"scoring": scoring, "n_jobs": n_jobs, "verbose": verbose, "cv": 2}
    search = MixupSearchCV(
        MixupClassifier(**net), grid, checkpoint=checkpoint, refit=False, **settings
    )
    return search.fit(*data)


def counts(watch):
    return {task.description: (task.completed, task.total) for task in watch._bars.tasks}


@pytest.fixture
def watches(monkeypatch):
    """The watches of the searches that are made."""
    made = []

    class Noted(Watch):
        def __init__(self, *args):
            super().__init__(*args)
            made.append(self)

    monkeypatch.setattr(cv, "Watch", Noted)
    return made


# ------------------------------------------------------------------------ what is shown


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_nothing_is_shown_unless_asked_for(n_jobs, two_classes, capfd):
    fit(two_classes, n_jobs=n_jobs)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_chunks_and_epochs_are_shown_on_standard_error(n_jobs, two_classes, capfd):
    fit(two_classes, n_jobs=n_jobs, verbose=1)
    shown = capfd.readouterr()
    assert shown.out == ""
    assert re.search(r"chunks .* 2/2", shown.err)
    assert re.search(r"epochs .* 24/24", shown.err)


def talkative(estimator, X, y):
    print("scored")
    return 1.0


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_scorer_prints_stays_on_standard_output(
    terminal, two_classes, capsys, monkeypatch
):
    """The bars must not draw what belongs into a file to the terminal."""
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    fit(two_classes, scoring=talkative, verbose=1)
    shown = capsys.readouterr()
    assert shown.out.count("scored") == 8
    assert "scored" not in shown.err


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"n_jobs": 1},
        {"max_epochs": "auto", "grid": {"alpha": [0]}},
        {"alpha": "auto", "grid": {"dropout": [0, 0.1]}},
        {"early_stopping": True, "max_epochs": 30, "n_iter_no_change": 2},
        {"module": Linear, "grid": {"alpha": [0, 0.3]}},
        {
            "callbacks": [LearningRate("constant")],
            "grid": {"max_epochs": [1, 2, 5], "alpha": [0, 0.3]},
        },
    ],
)
def test_the_counts_reach_their_totals(params, two_classes, watches):
    fit(two_classes, **params)
    (watch,) = watches
    for done, total in counts(watch).values():
        assert done == total > 0
    assert watch.fits_done == watch.fits


def test_failed_fits_count(two_classes, watches):
    grid = {"learning_rate_init": [0.01, 1e30]}
    with (
        pytest.warns(UserWarning, match="non-finite"),
        pytest.warns(FitFailedWarning),
    ):
        fit(two_classes, grid)
    assert counts(watches[0]) == {"chunks": (1, 1), "epochs": (12, 12)}


def test_chunks_of_a_checkpoint_count(two_classes, watches, tmp_path):
    for _ in "ab":
        fit(two_classes, checkpoint=tmp_path / "search.jsonl")
    assert counts(watches[0]) == counts(watches[1]) == {"chunks": (2, 2), "epochs": (24, 24)}


# ------------------------------------------------------------------- how tasks are told


def open_watch():
    return Watch(fits=4, epochs=20, chunks=2, visible=False)


def test_epochs_are_counted_while_a_chunk_is_trained():
    with open_watch() as watch:
        Watch.report(watch.token, 0, 4)
        Watch.report(watch.token, 1, 3)
        assert counts(watch) == {"chunks": (0, 2), "epochs": (7, 20)}
        watch.chunk_done(0, 2, 10)  # six of its epochs nobody has reported
        assert counts(watch) == {"chunks": (1, 2), "epochs": (13, 20)}
        watch.chunk_done(1, 2, 10)
        assert counts(watch) == {"chunks": (2, 2), "epochs": (20, 20)}
        assert watch.fits_done == 4


def test_reports_from_many_threads_are_all_counted():
    def work(watch, chunk):
        for _ in range(100):
            Watch.report(watch.token, chunk, 1)

    with open_watch() as watch:
        threads = [threading.Thread(target=work, args=(watch, chunk)) for chunk in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert counts(watch)["epochs"][0] == 800


def test_a_task_without_a_watch_goes_on():
    with open_watch() as watch:
        pass
    Watch.report(watch.token, 0, 1)  # of a search that has ended
    Watch.report(-1, 0, 1)  # of a search of another process
    assert counts(watch) == {"chunks": (0, 2), "epochs": (0, 20)}


def test_a_task_of_a_search_that_was_stopped_is_ended():
    with pytest.raises(KeyboardInterrupt), open_watch() as watch:
        raise KeyboardInterrupt
    with pytest.raises(TrainingAborted):
        Watch.report(watch.token, 0, 1)
    with pytest.raises(TrainingAborted), Watch.task(watch.token):
        raise AssertionError("not to be begun")


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_stops_the_search(error):
    watch = open_watch()
    with pytest.raises(error), watch:
        raise error
    with pytest.raises(TrainingAborted):
        Watch.report(watch.token, 0, 1)


def test_a_stopped_search_waits_for_its_tasks():
    done = []

    def work(begun):
        with Watch.task(watch.token):
            begun.set()
            time.sleep(0.3)
            done.append(True)

    watch, begun = open_watch(), threading.Event()
    watch.__enter__()
    threading.Thread(target=work, args=(begun,)).start()
    begun.wait()
    watch.__exit__(KeyboardInterrupt, None, None)
    assert done == [True]


def test_a_search_that_was_stopped_stops_no_other():
    with pytest.raises(ValueError, match="enough"), open_watch():
        raise ValueError("enough")
    with open_watch() as watch:
        Watch.report(watch.token, 0, 1)
    assert counts(watch)["epochs"] == (1, 20)


def test_nothing_is_kept_of_a_finished_search(two_classes):
    before = dict(Watch._open)
    fit(two_classes)
    assert Watch._open == before


def fit_and_fail(data, n_jobs):
    def scorer(estimator, X, y):
        raise RuntimeError("no score")

    net = MixupClassifier(hidden_layer_sizes=(4,), max_epochs=1, random_state=0)
    params = {"scoring": scorer, "error_score": "raise", "n_jobs": n_jobs, "cv": 2}
    with pytest.raises(RuntimeError, match="no score"):
        MixupSearchCV(net, {"hidden_layer_sizes": [(3,), (4,)]}, **params).fit(*data)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_nothing_is_kept_of_failed_searches(n_jobs, two_classes):
    """Once their threads have ended."""
    before, threads = dict(Watch._open), set(threading.enumerate())
    for _ in "abc":
        fit_and_fail(two_classes, n_jobs)
    deadline = time.monotonic() + 60
    while set(threading.enumerate()) - threads:
        assert time.monotonic() < deadline, "threads go on after a minute"
        time.sleep(0.01)
    assert Watch._open == before


def test_two_searches_at_a_time_have_their_own_counts(two_classes, watches):
    threads = [threading.Thread(target=fit, args=(two_classes,)) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({watch.token for watch in watches}) == 2
    for watch in watches:
        assert counts(watch) == {"chunks": (2, 2), "epochs": (24, 24)}


def test_scores_do_not_depend_on_what_is_shown(two_classes):
    loud, silent = (fit(two_classes, verbose=verbose).cv_results_ for verbose in (1, 0))
    np.testing.assert_array_equal(loud["mean_test_score"], silent["mean_test_score"])
