"""Prediction time of fitted models for 1, 1,000 and 100,000 rows, on one thread.

    python benchmarks/latency.py
    python benchmarks/latency.py --rows "Mixup*" MLPClassifier --calls 500

The table has 3,000 rows of 30 numbers and two classes; all methods have their defaults. Calls
of all methods alternate, so that other load affects them alike. Peers that are not installed
are left out. The last lines compare starting Python, loading a model and predicting a row with
starting Python and importing torch.

All times are CPU time of the process, which on a quiet machine is the elapsed time.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from fnmatch import fnmatch
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import human, limited
from sklearn import ensemble
from sklearn.datasets import make_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from mixup_tab import MixupClassifier, MixupEnsembleClassifier

SIZES = (1, 1000, 100_000)
ONNX = ", ONNX"
Predict = Callable[[np.ndarray], Any]


def make_table(rows: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Return the table."""
    return make_classification(rows, 30, n_informative=15, random_state=0)


def lightgbm() -> Any:
    """Return LightGBM."""
    from lightgbm import LGBMClassifier

    return LGBMClassifier(n_jobs=1, verbose=-1, random_state=0)


def catboost() -> Any:
    """Return CatBoost."""
    from catboost import CatBoostClassifier

    options = {"verbose": False, "allow_writing_files": False}
    return CatBoostClassifier(thread_count=1, random_seed=0, **options)


def realmlp() -> Any:
    """Return the smaller RealMLP."""
    from pytabkit import RealMLP_TD_S_Classifier

    return RealMLP_TD_S_Classifier(device="cpu", n_threads=1, random_state=0)


# By name, with the required package.
METHODS: dict[str, tuple[Callable[[], Any], str]] = {
    "MixupClassifier": (lambda: MixupClassifier(random_state=0, device="cpu"), "torch"),
    "MixupEnsembleClassifier": (
        lambda: MixupEnsembleClassifier(random_state=0, n_jobs=1, device="cpu"),
        "torch",
    ),
    "MLPClassifier": (lambda: MLPClassifier(random_state=0), "sklearn"),
    "MLPClassifier (128, 128)": (lambda: MLPClassifier((128, 128), random_state=0), "sklearn"),
    "RandomForest": (lambda: ensemble.RandomForestClassifier(random_state=0), "sklearn"),
    "HistGradientBoosting": (
        lambda: ensemble.HistGradientBoostingClassifier(random_state=0),
        "sklearn",
    ),
    "LightGBM": (lightgbm, "lightgbm"),
    "CatBoost": (catboost, "catboost"),
    "RealMLP-TD-S": (realmlp, "pytabkit"),
}


def fitted(chosen: list[str], rows: int = 3000) -> dict[str, Any]:
    """Fit the installed methods whose names match a pattern."""
    models, table = {}, make_table(rows)
    for name, (make, library) in METHODS.items():
        if not any(fnmatch(name, pattern) for pattern in chosen):
            continue
        if find_spec(library) is None:
            print(f"{name} is left out: {library} is not installed.", file=sys.stderr)
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            models[name] = make().fit(*table)
    return models


def predictors(models: dict[str, Any], folder: Path) -> dict[str, Predict]:
    """Return functions that predict probabilities, for our models in ONNX too."""
    found: dict[str, Predict] = {}
    for name, model in models.items():
        found[name] = model.predict_proba
        if name.startswith("Mixup"):
            try:
                found[name + ONNX] = in_onnx(model, folder / f"{name}.onnx")
            except ImportError as error:
                print(f"{name}{ONNX} is left out: {error}", file=sys.stderr)
    return found


def in_onnx(model: Any, path: Path) -> Predict:
    """Export a model; return a function that predicts with it on one thread."""
    import onnxruntime

    from mixup_tab.persistence.onnx_export import export_onnx

    export_onnx(model, path)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    column = session.get_inputs()[0].name
    return lambda X: session.run(None, {column: X})


def measure(methods: dict[str, Predict], calls: int) -> dict[str, list[str]]:
    """Return times of calls by method: p50 and p99, or p50 alone for few calls."""
    cells: dict[str, list[str]] = {name: [] for name in methods}
    for rows in SIZES:
        X = np.random.default_rng(0).normal(size=(rows, 30))
        # Fewer calls for large tables; several single rows in a row, as in a service.
        in_a_row = 10 if rows == 1 else 1
        rounds = 3 if rows == SIZES[-1] else max(calls // (10 if rows == 1 else 20), 1)
        times: dict[str, list[float]] = {name: [] for name in methods}
        for _ in range(rounds):
            for name, predict in methods.items():
                predict(X)
                times[name] += [cpu_time(predict, X) for _ in range(in_a_row)]
        shares = (0.5, 0.99) if rows < SIZES[-1] else (0.5,)
        for name, found in times.items():
            cells[name] += [human(float(value)) for value in np.quantile(found, shares)]
    return cells


def cpu_time(predict: Predict, X: np.ndarray) -> float:
    """Return the seconds of a call."""
    start = time.process_time()
    predict(X)
    return time.process_time() - start


LOADED = """\
import numpy
from mixup_tab.persistence import load_model
load_model({path!r}).predict_proba(numpy.zeros((1, 30)))
"""


def from_start(model: Any, folder: Path, pairs: int) -> str:
    """Compare the first prediction in a new process with importing torch in one."""
    from mixup_tab.persistence import save_model

    path = str(folder / f"{type(model).__name__}.mixup")
    save_model(model, path)
    ours, torch_alone = LOADED.format(path=path), "import torch"
    times = [(cpu_seconds(ours), cpu_seconds(torch_alone)) for _ in range(pairs + 1)][1:]
    ratio = float(np.median([a / b for a, b in times]))
    least = [human(min(side)) for side in zip(*times, strict=True)]
    return f"{ratio:.2f} × `import torch` ({' against '.join(least)})"


def cpu_seconds(code: str) -> float:
    """Return the CPU seconds of a new Python process."""
    before = os.times()
    subprocess.run([sys.executable, "-c", code], check=True)
    after = os.times()
    parts = ("children_user", "children_system")
    return sum(getattr(after, part) - getattr(before, part) for part in parts)


def main(arguments: list[str] | None = None) -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--calls", type=int, default=2000, help="calls with one row")
    parser.add_argument("--rows", nargs="+", default=["*"], help="names or patterns of rows")
    parser.add_argument("--pairs", type=int, default=5, help="processes that are started")
    parser.add_argument("--size", type=int, default=3000, help="rows of the table")
    args = parser.parse_args(arguments)
    heads = ("1 row, p50", "p99", "1,000 rows, p50", "p99", "100,000 rows")
    with tempfile.TemporaryDirectory() as folder, limited(1):
        models = fitted(args.rows, args.size)
        cells = measure(predictors(models, Path(folder)), args.calls)
        print(f"torch {torch.__version__}, {os.cpu_count()} cores, one thread\n")
        print(f"| method | {' | '.join(heads)} |\n|---|{'---:|' * len(heads)}")
        for name, found in cells.items():
            print(f"| {name} | {' | '.join(found)} |")
        for name, model in models.items():
            if name.startswith("Mixup") and args.pairs:
                result = from_start(model, Path(folder), args.pairs)
                print(
                    f"\nFrom the start to the first row, {name}, and `import torch`: {result}"
                )


if __name__ == "__main__":
    main()
