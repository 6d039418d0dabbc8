"""Whether runs killed at random times and resumed give the same result bit for bit, on Linux.

::

    python benchmarks/kills.py
    python benchmarks/kills.py --times 10 --rows fit compare

Each case runs undisturbed once. Then it is repeated in new folders: killed by SIGKILL up to
three times at random, then run to the end. The rows that kill a worker kill one process of the
search instead, and repeat the search if it did not survive.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
import traceback
import zipfile
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

import joblib
import numpy as np
import pandas as pd
import psutil
import soundfile
from sklearn.datasets import load_iris

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.training import ResumeFile

# Processes import first, so that a kill hits the work and not the imports.
PROCESSES = multiprocessing.get_context("forkserver")
IMPORTED = ["mixup_tab.audio.train", "mixup_tab.benchmark", "mixup_tab.cli.app"]
IMPORTED += ["mixup_tab.compare.run", "torchaudio"]
STARTED, RESULT, LOG = "started", "result.npy", "log"


def table() -> tuple[np.ndarray, np.ndarray]:
    """Return a small table with two classes."""
    X = np.random.default_rng(0).normal(size=(400, 8)).astype(np.float32)
    return X, X[:, 0] * X[:, 1] > 0


def fit() -> None:
    """Train a net with a ResumeFile."""
    X, y = table()
    net = MixupClassifier(max_epochs=60, callbacks=[ResumeFile("fit.resume")], random_state=0)
    np.save(RESULT, net.fit(X, y).predict_proba(X))


def search(**options: object) -> None:
    """Search with a checkpoint."""
    net = MixupClassifier(max_epochs=40, random_state=0)
    grid = {"alpha": [0, 0.2, 1], "hidden_layer_sizes": [(n,) for n in (8, 16, 24, 32)]}
    options = {"cv": 2, "n_jobs": 1, "checkpoint": "search.jsonl", **options}
    found = MixupSearchCV(net, grid, scoring="neg_log_loss", **options).fit(*table())
    scores = [found.cv_results_[f"split{k}_test_score"] for k in (0, 1)]
    np.save(RESULT, [*np.ravel(scores), *found.predict_proba(table()[0])[:, 0]])


def loky() -> None:
    """Search in joblib's processes."""
    with joblib.parallel_config("loky"):
        search(n_jobs=2)


def dask() -> None:
    """Search in dask's processes."""
    from dask.distributed import Client, LocalCluster

    Path(STARTED).unlink()
    with (
        LocalCluster(2, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
        joblib.parallel_config("dask"),
    ):
        client.wait_for_workers(2)
        Path(STARTED).touch()
        search(n_jobs=2)


def command(*arguments: str) -> None:
    """Run mixup-tab."""
    from mixup_tab.cli import main

    sys.argv = ["mixup-tab", *arguments]
    main()


def compare() -> None:
    """Compare mixup with plain training on a file."""
    options = "--target target --output out --folds 3 --repeats 1 --alpha 0.3 --jobs 1"
    command("compare", "table.csv", *options.split())


def benchmark() -> None:
    """Run mixup-tab benchmark."""
    command("benchmark", "--datasets", "iris", "--repeats", "4", "--output", "out")


def train() -> None:
    """Train on a folder of clips."""
    small = (
        "--model lenet --epochs 30 --seconds 0.2 --sample-rate 8000 --device cpu --alpha 0.2"
    )
    command("speech", "train", "clips", "--output", "model.speech", *small.split())


def numbers(folder: Path) -> bytes:
    """Return the result that a script has saved."""
    return (folder / RESULT).read_bytes()


def results(folder: Path) -> bytes:
    """Return the results of a command, without times."""
    frame = pd.read_csv(folder / "out" / "results.csv", dtype=str)
    kept = [name for name in frame if not name.endswith("seconds")]
    return frame[kept].to_csv().encode()


def weights(folder: Path) -> bytes:
    """Return the weights of a saved model."""
    with zipfile.ZipFile(folder / "model.speech") as archive:
        return archive.read("weights.safetensors")


class Row(NamedTuple):
    """A row of the table."""

    title: str
    work: Callable[[], None]
    result: Callable[[Path], bytes]
    workers: str = (
        ""  # a word in the command of the processes to kill; empty kills the whole group
    )


ROWS = {
    "fit": Row("fit with `ResumeFile`", fit, numbers),
    "search": Row("search with `checkpoint=`", search, numbers),
    "loky": Row("search, a loky worker killed", loky, numbers, "loky.backend.popen_loky"),
    "dask": Row("search, a dask worker killed", dask, numbers, "spawn_main"),
    "compare": Row("`mixup-tab compare`", compare, results),
    "benchmark": Row("`mixup-tab benchmark`", benchmark, results),
    "train": Row("`mixup-tab speech train`", train, weights),
}


def lay_out(folder: Path) -> None:
    """Write the files that the commands read."""
    folder.mkdir()
    frame = load_iris(as_frame=True).frame
    frame.sample(40, random_state=0).to_csv(folder / "table.csv", index=False)
    rng = np.random.default_rng(0)
    for word, pitch in (("low", 400), ("top", 3000)):
        (folder / "clips" / word).mkdir(parents=True)
        for take in range(12):
            tone = np.sin(np.arange(1600) * pitch / 1273) + rng.normal(size=1600)
            path = folder / "clips" / word / f"{word}_{'abcd'[take % 4]}_{take}.wav"
            soundfile.write(path, tone / 9, 8000)


def work_in(folder: Path, name: str) -> None:
    """Do the work of a row, in a separate process."""
    os.setsid()  # its children are killed with it
    os.chdir(folder)
    log = os.open(LOG, os.O_CREAT | os.O_APPEND | os.O_WRONLY)
    os.dup2(log, 1)
    os.dup2(log, 2)
    Path(STARTED).touch()
    code = 1
    try:
        ROWS[name].work()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    except Exception:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without waiting for workers


class Run:
    """A process that works in a folder."""

    def __init__(self, folder: Path, name: str) -> None:
        (folder / STARTED).unlink(missing_ok=True)
        self.row = ROWS[name]
        self.process = PROCESSES.Process(target=work_in, args=(folder, name))
        self.process.start()
        while self.process.is_alive() and not (folder / STARTED).exists():
            time.sleep(0.002)

    def ends(self, seconds: float | None = None) -> bool:
        """Wait up to some seconds; return whether it has ended."""
        self.process.join(seconds)
        if self.process.is_alive():
            return False
        with suppress(ProcessLookupError):  # children that it left behind
            os.killpg(self.process.pid, signal.SIGKILL)
        return True

    def kill(self) -> bool:
        """Kill it, or one of its workers; return whether there was something to kill."""
        if not self.row.workers:
            os.killpg(self.process.pid, signal.SIGKILL)
            return True
        children = psutil.Process(self.process.pid).children(recursive=True)
        workers = [child for child in children if self.row.workers in " ".join(child.cmdline())]
        if workers:
            workers[-1].kill()
        return bool(workers)


def finish(folder: Path, name: str) -> tuple[bytes, float]:
    """Run to the end; return the result and the seconds."""
    run, begun = Run(folder, name), time.monotonic()
    run.ends()
    if run.process.exitcode:
        raise SystemExit(f"{name} failed:\n{(folder / LOG).read_text()[-3000:]}")
    return ROWS[name].result(folder), time.monotonic() - begun


def disturb(folder: Path, name: str, seconds: float, rng: random.Random) -> int:
    """Kill the process in a folder at random times; return how often."""
    kills = 0
    for _ in range(1 if ROWS[name].workers else rng.randint(1, 3)):
        run = Run(folder, name)
        if not run.ends(rng.uniform(0, seconds)):
            kills += run.kill()
            run.ends()
        if run.process.exitcode == 0:
            break
    return kills


def line(name: str, times: int, seed: int) -> str:
    """Return a row of the table."""
    rng, same, kills = random.Random(f"{seed} {name}"), 0, 0
    with tempfile.TemporaryDirectory() as place:
        lay_out(first := Path(place, "first"))
        expected, seconds = finish(first, name)
        for number in range(times):
            lay_out(folder := Path(place, str(number)))
            kills += disturb(folder, name, seconds, rng)
            same += finish(folder, name)[0] == expected
    return f"| {ROWS[name].title} | {kills} | {same} of {times} |"


def main(arguments: list[str] | None = None) -> None:
    """Print a table with one row per case."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=100, help="runs of each row")
    parser.add_argument("--rows", nargs="+", default=["*"], help=f"names among {list(ROWS)}")
    parser.add_argument("--seed", type=int, default=0, help="of the random times")
    args = parser.parse_args(arguments)
    PROCESSES.set_forkserver_preload(IMPORTED)
    print("| killed and resumed | kills | same bits |\n|---|---:|---:|")
    for name in ROWS:
        if any(fnmatch(name, pattern) for pattern in args.rows):
            print(line(name, args.times, args.seed), flush=True)


if __name__ == "__main__":
    main()
