"""A search that records finished chunks in a file, and is resumed from it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import sklearn
import torch
from sklearn.base import clone
from sklearn.exceptions import FitFailedWarning
from sklearn.model_selection import KFold

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.search import run

NET = MixupClassifier(hidden_layer_sizes=(4,), max_epochs=3, random_state=0)
# Nets of different shapes are chunks of their own.
GRID = {"alpha": [0, 0.3], "hidden_layer_sizes": [(n,) for n in (3, 4, 5, 6)]}
CHUNKS = 4


def table():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4)).astype(np.float32)
    return X, (X[:, 0] + X[:, 1] + 0.5 * rng.normal(size=60) > 0).astype(int)


def make(path=None, estimator=NET, grid=GRID, **params):
    params = {"cv": 2, "scoring": "neg_log_loss", "refit": False, "n_jobs": 1, **params}
    return MixupSearchCV(estimator, grid, checkpoint=path, **params)


def make_long(path=None):
    return make(path, clone(NET).set_params(max_epochs=100))


def fit(path=None, *args, **params):
    return make(path, *args, **params).fit(*table())


def scores(search):
    """Everything in ``cv_results_`` but the seconds."""
    return {k: v for k, v in search.cv_results_.items() if "_time" not in k}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def chunks_in(path):
    """Numbers of the chunks in a file, every line of which is whole."""
    _, *lines = path.read_bytes().splitlines(keepends=True)
    assert all(line.endswith(b"\n") for line in lines)
    return [json.loads(line)["key"] for line in lines]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "search.jsonl"


@pytest.fixture(scope="module")
def plain():
    """Scores of a search without a checkpoint."""
    return scores(fit())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """What is in the file of a search that has ended."""
    path = tmp_path_factory.mktemp("finished") / "search.jsonl"
    fit(path)
    return path.read_bytes()


@pytest.fixture
def trained(monkeypatch):
    """Numbers of the chunks that are trained, as they are."""
    numbers = []

    def counting(chunk, *task):
        numbers.append(chunk)
        return real(chunk, *task)

    real = run._numbered
    monkeypatch.setattr(run, "_numbered", counting)
    return numbers


# ------------------------------------------------------------------ nothing is changed


def test_a_checkpoint_changes_no_score(path):
    params = {"return_train_score": True, "n_jobs": 2}
    path.touch()
    assert_same(scores(fit(path, **params)), scores(fit(**params)))
    assert sorted(chunks_in(path)) == list(range(CHUNKS))


def test_a_finished_search_is_read_not_trained(path, trained):
    first = fit(path, n_jobs=2, refit=True)
    assert sorted(trained) == list(range(CHUNKS))
    second = fit(str(path), n_jobs=1, refit=True)
    assert len(trained) == CHUNKS
    assert_same(first.cv_results_, second.cv_results_)
    X, _ = table()
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


# -------------------------------------------------------------------- ended in the middle


@pytest.mark.slow
def test_a_killed_search_is_resumed_where_it_was(path, trained):
    code = (
        "import sys\n"
        "from test_search_checkpoint import make_long, table\n"
        "make_long(sys.argv[1]).fit(*table())\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, path], cwd=Path(__file__).parent)
    deadline = time.monotonic() + 60
    while not (path.exists() and path.read_bytes().count(b"\n") > 1):
        assert process.poll() is None, "ended before it was killed"
        assert time.monotonic() < deadline, "no chunk after a minute"
        time.sleep(0.005)
    process.kill()
    assert process.wait() == (-signal.SIGKILL if sys.platform != "win32" else 1)
    kept = chunks_in(path)
    assert 0 < len(kept) < CHUNKS
    assert path.with_name(f".{path.name}.lock").exists()  # and nobody holds it
    search = make_long(path).fit(*table())
    assert os.listdir(path.parent) == [path.name]
    assert sorted(kept + trained) == list(range(CHUNKS))
    assert sorted(chunks_in(path)) == list(range(CHUNKS))
    assert_same(scores(search), scores(make_long().fit(*table())))


def test_a_search_that_fails_keeps_what_is_done(path, plain, monkeypatch):
    def failing(chunk, *task):
        if chunk == 2:
            raise RuntimeError("no more memory")
        return real(chunk, *task)

    real = run._numbered
    with monkeypatch.context() as patch:
        patch.setattr(run, "_numbered", failing)
        with pytest.raises(RuntimeError, match="no more memory"):
            fit(path)
    assert chunks_in(path) == [0, 1]
    assert_same(scores(fit(path)), plain)
    assert chunks_in(path) == list(range(CHUNKS))


def test_half_a_line_is_made_whole(path, finished, plain, trained):
    """What a process leaves that is killed while it writes, in the last line or the first."""
    cases = [(-1, [CHUNKS - 1]), (-100, [CHUNKS - 1]), (40, [*range(CHUNKS)])]
    for cut, left in cases:
        path.write_bytes(finished[:cut])
        trained.clear()
        assert_same(scores(fit(path)), plain)
        assert trained == left
        assert chunks_in(path) == list(range(CHUNKS))


# ------------------------------------------------------------------------ other searches


def other_rows(X, y):
    return make(), (X + 1, y), {}


def other_labels(X, y):
    return make(), (X, 1 - y), {}


def weights(X, y):
    return make(), (X, y), {"sample_weight": np.linspace(0.5, 1.5, len(y))}


def one_label(X, y):
    return make(), (X, np.r_[y[:-1], 1 - y[-1]]), {}


def other_grid(X, y):
    return make(grid={**GRID, "alpha": [0, 0.4]}), (X, y), {}


def more_of_the_grid(X, y):
    return make(grid={**GRID, "alpha": [0, 0.3, 1]}), (X, y), {}


def other_number_of_folds(X, y):
    return make(cv=3), (X, y), {}


def other_folds(X, y):
    return make(cv=KFold(2, shuffle=True, random_state=0)), (X, y), {}


def other_estimator(X, y):
    return make(estimator=clone(NET).set_params(random_state=1)), (X, y), {}


def other_scoring(X, y):
    return make(scoring="accuracy"), (X, y), {}


def more_scores(X, y):
    return make(return_train_score=True), (X, y), {}


def other_error_score(X, y):
    return make(error_score=0.0), (X, y), {}


def test_the_checkpoint_of_another_search_is_refused(path, finished, trained):
    changes = {
        "data": [other_rows, other_labels, one_label, weights],
        "param_grid": [other_grid, more_of_the_grid],
        "folds": [other_number_of_folds, other_folds],
        "estimator": [other_estimator],
        "scoring": [other_scoring, more_scores, other_error_score],
    }
    path.write_bytes(finished)
    for differs, each in changes.items():
        for change in each:
            search, data, params = change(*table())
            message = f"{path.name}.*another run \\(different .*{differs}"
            with pytest.raises(ValueError, match=message):
                search.set_params(checkpoint=path).fit(*data, **params)
            assert path.read_bytes() == finished
    assert not trained


def test_a_file_that_is_no_checkpoint_is_refused_and_left_alone(path, trained):
    contents = [
        *[
            b"notes of mine",
            b"notes of mine\nof two lines\n",
            b"\n",
            b"{}\n",
            b"[]\n",
            b"null\n",
        ],
        *[b'{"alpha": 0.1}\n{"alpha": 0.2}\n', b"a,b\n1,2\n", bytes(range(256)), bytes(100)],
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(
            ValueError, match=r"checkpoint='.*search\.jsonl' is not a file of finished"
        ):
            fit(path)
        assert path.read_bytes() == content
    assert not trained


def test_a_folder_is_made_or_the_error_comes_before_training(tmp_path, path, trained):
    fit(tmp_path / "new" / "search.jsonl")
    assert len(trained) == CHUNKS
    path.touch()
    with pytest.raises(OSError, match=r"cannot be written .* another path"):
        fit(path / "search.jsonl")
    assert len(trained) == CHUNKS


def a_scorer():
    """Return a function that is made anew every time, as in a script that runs again."""
    return lambda estimator, X, y: estimator.score(X, y)


def test_a_scorer_that_cannot_be_pickled_does_not_make_another_search(path, trained):
    scorers = a_scorer(), a_scorer()
    first, second = (fit(path, scoring=scorer) for scorer in scorers)
    assert len(trained) == CHUNKS
    assert_same(first.cv_results_, second.cv_results_)


def test_other_code_configuration_or_versions_make_another_search(path, monkeypatch):
    first, second = lambda net, X, y: net.score(X, y), lambda net, X, y: -net.score(X, y)
    fit(path, scoring=first)
    with pytest.raises(ValueError, match="different scoring"):
        fit(path, scoring=second)
    with (
        sklearn.config_context(transform_output="pandas"),
        pytest.raises(ValueError, match="different configuration"),
    ):
        fit(path, scoring=first)
    monkeypatch.setattr(torch, "__version__", "1.0")
    with pytest.raises(ValueError, match="different versions"):
        fit(path, scoring=first)


class Constant:
    """A scorer that cannot be pickled, and that shows nothing of what it holds.

    So does a lambda that lies at the address of one that is gone.
    """

    def __init__(self, value):
        self.score = lambda: value

    def __call__(self, estimator, X, y):
        return self.score()

    def __repr__(self):
        return "Constant()"


def test_another_scorer_that_cannot_be_pickled_makes_another_search(path):
    fit(path, scoring=Constant(1.0))
    with pytest.raises(ValueError, match=r"another run \(different scoring"):
        fit(path, scoring=Constant(2.0))


def test_an_estimator_that_was_fitted_is_not_another(path, finished, plain, trained):
    path.write_bytes(finished)
    assert_same(scores(fit(path, clone(NET).fit(*table()))), plain)
    assert not trained


# ----------------------------------------------------------------- what scores there are


def two_numbers(estimator, X, y):
    return {"right": np.float32(estimator.score(X, y)), "rows": np.int64(len(y))}


def one_number(estimator, X, y):
    return np.float32(estimator.score(X, y))


def test_scores_of_every_kind_come_back(path, trained):
    for scoring in [one_number, two_numbers, ["accuracy", "neg_log_loss"], None]:
        params = {"grid": {"alpha": [0.3]}, "scoring": scoring, "return_train_score": True}
        plain, first, second = (fit(p, **params) for p in (None, path, path))
        assert len(trained) == 2
        assert_same(scores(plain), scores(first))
        assert_same(first.cv_results_, second.cv_results_)
        trained.clear()
        path.unlink()


HALF_FAILS = {"learning_rate_init": [0.01, 1e30]}


def fit_in_part(path, **params):
    fails = pytest.warns(FitFailedWarning, match="2 fits failed out of a total of 4")
    with pytest.warns(UserWarning, match="non-finite"), fails:
        return fit(path, grid=HALF_FAILS, **params)


def test_failed_fits_come_back(path, trained):
    metrics = ["accuracy", "neg_log_loss"]
    plain, first, second = (fit_in_part(p, scoring=metrics) for p in (None, path, path))
    assert len(trained) == 2
    assert np.isnan(first.cv_results_["mean_test_accuracy"]).tolist() == [False, True]
    assert_same(scores(plain), scores(first))
    assert_same(first.cv_results_, second.cv_results_)


@pytest.mark.parametrize("error_score", [-0.5, np.float32(-2), np.int64(-3)])
def test_the_score_of_failed_fits_may_be_any_number(error_score, path):
    for _ in "ab":
        with pytest.warns(FitFailedWarning):
            search = fit(path, grid=HALF_FAILS, error_score=error_score)
        assert search.cv_results_["mean_test_score"][1] == error_score


@pytest.mark.slow
def test_a_recipe_with_tensors_is_recognised_in_another_process():
    pytest.importorskip("torchaudio.functional", reason="torchaudio does not work")
    code = (
        "from mixup_tab.audio import speech_classifier\n"
        "from mixup_tab.training.fingerprint import fingerprint\n"
        "print(fingerprint(speech_classifier()), fingerprint(speech_classifier(kind='log')))"
    )
    runs = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert runs[0] == runs[1]
    assert runs[0][0] != runs[0][1]
