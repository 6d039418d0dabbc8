"""Run any comparison: methods × tables × splits → one tidy DataFrame."""

from __future__ import annotations

import os
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import joblib
import numpy as np
import pandas as pd
import threadpoolctl
import torch
from sklearn.base import BaseEstimator, clone
from sklearn.utils import _safe_indexing

from mixup_tab._files import write_whole
from mixup_tab._plain import shown
from mixup_tab._resumable import Journal, check_n_jobs, in_processes, open_journal, plain
from mixup_tab._terminal import ProgressBar
from mixup_tab.metrics import classification_scores
from mixup_tab.training.stopping import propagate_interrupt

_IDENTITY = {"run": "mixup-tab benchmark"}

Method = Any  # an estimator, or a callable from a seed to one
Split = tuple[np.ndarray, np.ndarray]


def run_benchmark(
    methods: Mapping[str, Method],
    tables: Mapping[str, Any],
    splits: Any,
    *,
    version: str,
    output: str | os.PathLike | None = None,
    n_jobs: int | None = 1,
    score: Callable[..., Any] | None = None,
    report: Callable[[pd.DataFrame, Path], Any] | None = None,
    random_state: int = 0,
    show: bool = True,
) -> pd.DataFrame:
    """Fit and score every method on every split of every table.

    Each result is saved in ``output`` as soon as it is finished. After Ctrl-C or a kill, the
    same call with the same folder runs only what is missing. Every fit has one thread, and all
    methods of a split get the same rows and the same seed.

    Parameters
    ----------
    methods : dict of str to (estimator or callable)
        By name, in the order of the result. An estimator is cloned, and all its parameters
        ``random_state``, including nested ones, are set to the seed of the split. A callable
        takes that seed and returns a model for ``score``, such as an unfitted estimator.
    tables : dict of str to (Bunch, tuple (X, y) or callable)
        By name. A callable takes no argument and returns a Bunch or tuple.
    splits : splitter, callable or dict
        A splitter of scikit-learn; a callable from X and y to a list of ``(train, test)`` row
        numbers; or a dict of such lists by name of the table.
    version : str
        Version of the protocol. Saved results are reused only for the same version, table
        (name and contents), rows of the split, method (name and parameters) and seed. Change it
        when the code behind the results changes, including ``score``.
    output : path-like, default=None
        Folder for the results, with finished fits in ``finished.jsonl``; None saves nothing.
    n_jobs : int, default=1
        Number of processes; -1 uses all cores.
    score : callable, default=None
        Called as ``score(model, X_train, y_train, X_test, y_test)``; fits the model and returns
        the columns of its row as a dict, or several rows as a list of dicts or a DataFrame, of
        numbers, text, or lists of these. None is :func:`score_classifier`.
    report : callable, default=None
        Called as ``report(results, output)`` at the end, and after Ctrl-C, if there is an
        ``output`` and any result; such as :func:`~mixup_tab.benchmark.write_report`.
    random_state : int, default=0
        Split number r has the seed ``random_state + r``.
    show : bool, default=True
        Whether to show progress.

    Returns
    -------
    DataFrame
        One row per table, split and method in this order (several where ``score`` returns
        several), also written to ``results.csv``. Columns: ``table``, ``split``, ``method``,
        ``seed``, ``n_train``, ``n_test``, those of ``score``, ``failed`` (bool) and ``why``
        (str, empty unless failed). A method that raises gets a row with ``failed=True`` and is
        retried next time. ``results.attrs["finished"]`` is False after Ctrl-C; the result then
        holds what was finished.

    Raises
    ------
    ValueError
        If an argument is invalid, or ``output`` is in use, damaged, or holds something else.
    OSError
        If ``output`` cannot be written to, or a process was killed.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from sklearn.dummy import DummyClassifier
    >>> from sklearn.model_selection import StratifiedKFold
    >>> from mixup_tab.benchmark import run_benchmark
    >>> results = run_benchmark(
    ...     {"prior": DummyClassifier()},
    ...     {"iris": load_iris()},
    ...     StratifiedKFold(3),
    ...     version="1",
    ... )
    >>> results[["table", "split", "method", "n_test"]].to_numpy().tolist()
    [['iris', 0, 'prior', 50], ['iris', 1, 'prior', 50], ['iris', 2, 'prior', 50]]
    """
    _check(methods, tables, version, n_jobs, random_state)
    folder = None if output is None else Path(output)
    with nullcontext() if folder is None else open_journal(folder, _IDENTITY) as journal:
        job = partial(_Job, score or score_classifier)
        listed = _list(methods, tables, splits, version, int(random_state))
        jobs = [job(*parts) for parts in listed]
        outcomes, finished = _collect(jobs, journal, n_jobs, show)
        results = _gather(jobs, outcomes)
        results.attrs["finished"] = finished
        if folder is not None:
            write_whole(folder / "results.csv", results.to_csv(index=False).encode())
            if report is not None and len(results):
                report(results, folder)
    return results


def score_classifier(
    model: Any, X_train: Any, y_train: Any, X_test: Any, y_test: Any
) -> dict[str, Any]:
    """Fit a classifier and score its probabilities.

    Parameters
    ----------
    model : classifier
        Unfitted.
    X_train, X_test : array-like or DataFrame of shape (rows, features)
        Inputs.
    y_train, y_test : array-like of shape (rows,)
        Labels. Classes without a training row get probability 0.

    Returns
    -------
    dict of str to float
        ``error``, ``log_loss``, ``brier`` and ``ece`` as in
        :func:`~mixup_tab.metrics.classification_scores`; ``fit_seconds`` and
        ``predict_seconds``; ``fit_cpu_seconds`` and ``predict_cpu_seconds``, the processor time
        of all threads of the process, which depends less on other load.
    """
    scores, _, _ = fit_and_predict(model, X_train, y_train, X_test, y_test)
    return scores


def fit_and_predict(
    model: Any, X_train: Any, y_train: Any, X_test: Any, y_test: Any
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Return the scores of :func:`score_classifier`, test labels from 0 on, probabilities."""
    _, fit = timed("fit", model.fit, X_train, y_train)
    known, predict = timed("predict", model.predict_proba, X_test)
    classes = np.union1d(y_train, y_test)
    proba = np.zeros((len(known), max(len(classes), 2)))
    proba[:, np.searchsorted(classes, model.classes_)] = known
    y = np.searchsorted(classes, y_test)
    return classification_scores(y, proba) | fit | predict, y, proba


def timed(step: str, call: Callable[..., Any], *args: Any) -> tuple[Any, dict[str, float]]:
    """Call a function; return the result, and columns with wall-clock and CPU seconds."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = call(*args)
    clock, cpu = time.perf_counter() - clock, time.process_time() - cpu
    return result, {f"{step}_seconds": clock, f"{step}_cpu_seconds": cpu}


def make_model(method: Method, seed: int) -> Any:
    """Return a fresh model of a method, with every ``random_state`` set to the seed."""
    if not isinstance(method, BaseEstimator):
        return method(seed)
    model = clone(method)
    seeds = [n for n in model.get_params() if n.rpartition("__")[2] == "random_state"]
    return model.set_params(**dict.fromkeys(seeds, seed))


class _Job(NamedTuple):
    """One method on one split of one table."""

    score: Callable[..., Any]
    key: str  # hash of what must be the same to reuse a result
    row: dict[str, Any]  # the first columns
    method: Method
    data: tuple[Any, np.ndarray]
    split: Split

    def run(self) -> list[dict[str, Any]]:
        parts = [_safe_indexing(part, rows) for rows in self.split for part in self.data]
        with _one_thread(), _interruptible():
            rows = self.score(make_model(self.method, self.row["seed"]), *parts)
        if isinstance(rows, pd.DataFrame):
            rows = rows.to_dict("records")
        return plain([dict(rows)] if isinstance(rows, Mapping) else list(rows))


def _check(methods: Any, tables: Any, version: Any, n_jobs: Any, random_state: Any) -> None:
    for name, given in (("methods", methods), ("tables", tables)):
        if not isinstance(given, Mapping) or not given:
            raise ValueError(f"{name} must be a non-empty dict by name, got {given!r}.")
    for name, method in methods.items():
        if not isinstance(method, BaseEstimator) and not callable(method):
            raise ValueError(
                f"methods[{name!r}] must be an estimator or a callable that makes one, got "
                f"{method!r}."
            )
    if not isinstance(version, str):
        raise ValueError(f"version must be a str, got {version!r}.")
    check_n_jobs(n_jobs)
    if not isinstance(random_state, (int, np.integer)) or not 0 <= random_state < 2**31:
        raise ValueError(f"random_state must lie in [0, 2**31), got {shown(random_state)}.")


def _list(
    methods: Mapping[str, Method],
    tables: Mapping[str, Any],
    splits: Any,
    version: str,
    seed: int,
) -> Iterator[tuple[Any, ...]]:
    """Yield the fields of all jobs, without ``score``."""
    hashes = {name: _hash_model(method) for name, method in methods.items()}
    for table, source in tables.items():
        data = _load(source)
        contents = joblib.hash(data)
        for k, split in enumerate(_splits_of(splits, table, *data)):
            rows = joblib.hash(split)
            for name, method in methods.items():
                row = {"table": table, "split": k, "method": name, "seed": seed + k}
                key = row | {"version": version, "data": contents, "rows": rows}
                key["params"] = hashes[name]
                row |= {"n_train": len(split[0]), "n_test": len(split[1])}
                yield joblib.hash(key), row, method, data, split


def _load(source: Any) -> tuple[Any, np.ndarray]:
    if callable(source):
        source = source()
    X, y = (source["data"], source["target"]) if isinstance(source, Mapping) else source
    return X, np.asarray(y)


def _splits_of(splits: Any, table: str, X: Any, y: np.ndarray) -> list[Split]:
    if isinstance(splits, Mapping):
        parts = splits[table]
    else:
        parts = splits.split(X, y) if hasattr(splits, "split") else splits(X, y)
    return [(np.asarray(train), np.asarray(test)) for train, test in parts]


def _hash_model(method: Method) -> str:
    """Return a hash of a method's parameters."""
    try:
        return str(joblib.hash(make_model(method, 0)))
    except Exception:
        # It cannot be pickled, so that only its name counts; or it cannot be made, and running
        # it will say why.
        return ""


def _collect(
    jobs: Sequence[_Job], journal: Journal | None, n_jobs: int | None, show: bool
) -> tuple[dict[int, Any], bool]:
    """Return outcomes by job number, and whether all jobs were run."""
    kept = {} if journal is None else journal.finished
    outcomes = {n: kept[job.key] for n, job in enumerate(jobs) if job.key in kept}
    left = [(n, job) for n, job in enumerate(jobs) if n not in outcomes]
    # Split by split, so that after Ctrl-C all methods have the same splits; large tables first,
    # so that the last job is a short one.
    left.sort(key=lambda pair: (pair[1].row["split"], -pair[1].row["n_train"]))
    with ProgressBar("fit", len(jobs), done=len(outcomes), show=show) as bar:
        try:
            with closing(in_processes(_perform, left, n_jobs, threads=1)) as done:
                for number, outcome in done:
                    outcomes[number] = outcome
                    if journal is not None and not isinstance(outcome, str):
                        journal.add(jobs[number].key, outcome)
                    bar.advance()
        except KeyboardInterrupt:
            return outcomes, False
    return outcomes, True


def _perform(numbered: tuple[int, _Job]) -> tuple[int, Any]:
    """Run a job; an error becomes its message, which is not saved."""
    number, job = numbered
    try:
        return number, job.run()
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{os.path.basename(place.filename)}:{place.lineno}"
        return number, f"{type(error).__name__}: {error} ({where})"


def _gather(jobs: list[_Job], outcomes: dict[int, Any]) -> pd.DataFrame:
    rows = []
    for number, job in enumerate(jobs):
        outcome = outcomes.get(number, [])
        why = outcome if isinstance(outcome, str) else ""
        for row in [{}] if why else outcome:
            rows.append(job.row | row | {"failed": bool(why), "why": why})
    first, last = ["table", "split", "method", "seed", "n_train", "n_test"], ["failed", "why"]
    results = pd.DataFrame(rows, columns=None if rows else first + last)
    # A row that failed has none of the columns of the scores.
    return results[[*(name for name in results if name not in last), *last]]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit all libraries to one thread."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpoolctl.threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Let Ctrl-C end the benchmark, not just this fit, and silence warnings."""
    with warnings.catch_warnings(), propagate_interrupt():
        warnings.simplefilter("ignore")
        # On Ctrl-C, scikit-learn's net only ends training with a warning.
        warnings.filterwarnings("error", "Training (was )?interrupted")
        try:
            yield
        except (RuntimeWarning, UserWarning, SystemExit) as interruption:
            raise KeyboardInterrupt from interruption
