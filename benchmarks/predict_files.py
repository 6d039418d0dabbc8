"""Time and memory of ``mixup-tab predict`` for files of any size.

::

    python benchmarks/predict_files.py
    python benchmarks/predict_files.py --rows 4 10000 --formats csv

Every file is predicted in a separate process with one thread, by the default classifier: 12
numeric columns, one of categories, one of dates; beside the time of ``import torch``. Linux
only.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

PART = 100_000
COMMAND = [sys.executable, "-m", "mixup_tab.cli"]


def part(rows: int, seed: int = 0) -> pd.DataFrame:
    """Return rows of a table."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(rng.normal(size=(rows, 12)).round(4)).add_prefix("x")
    frame["color"] = rng.choice(["red", "green", "blue"], rows)
    frame["day"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(rng.integers(0, 900, rows), "D")
    return frame.assign(y=np.where(frame["x0"] * frame["x1"] > 0, "yes", "no"))


def write(path: Path, rows: int) -> None:
    """Write a file of many rows, in parts."""
    if path.suffix == ".parquet":
        parts = [part(min(PART, rows - done), done) for done in range(0, rows, PART)]
        pd.concat(parts).to_parquet(path, row_group_size=PART)
        return
    for done in range(0, rows, PART):
        frame = part(min(PART, rows - done), done)
        if "json" in path.suffix:
            frame["day"] = frame["day"].dt.strftime("%Y-%m-%d")  # as CSV has it
            frame.to_json(path, orient="records", lines=True, mode="a" if done else "w")
        else:
            frame.to_csv(path, index=False, mode="a" if done else "w", header=not done)


def measure(command: Sequence[str]) -> tuple[float, float, float]:
    """Return seconds, processor seconds and peak megabytes of a process."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True,"
        "stdout=subprocess.DEVNULL); used = resource.getrusage(resource.RUSAGE_CHILDREN);"
        "print(used.ru_utime + used.ru_stime, used.ru_maxrss / 1e3)"
    )
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", code, *command],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    seconds = time.perf_counter() - started
    cpu, memory = map(float, done.stdout.split())
    return seconds, cpu, memory


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", type=int, nargs="+", default=[4, 100_000, 2_000_000])
    parser.add_argument("--formats", nargs="+", default=["csv", "jsonl", "parquet"])
    given = parser.parse_args(arguments)
    print("| rows | file, MB | s | CPU s | memory, MB | rows / s |\n" + "|---" * 6 + "|")
    seconds, cpu, memory = measure([sys.executable, "-c", "import torch"])
    print(f"| import torch | – | {seconds:.1f} | {cpu:.1f} | {memory:,.0f} | – |")
    with tempfile.TemporaryDirectory() as folder:
        table, model = Path(folder, "train.csv"), Path(folder, "model")
        part(1000).to_csv(table, index=False)
        train = [*COMMAND, "train", str(table), "--target", "y", "--output", str(model)]
        subprocess.run([*train, "-q"], check=True, stdout=subprocess.DEVNULL)
        for form in given.formats:
            for rows in given.rows:
                file = Path(folder, f"new.{form}")
                write(file, rows)
                place = str(Path(folder, "out.csv"))
                options = [str(model), str(file), "--output", place, "--force", "-q"]
                seconds, cpu, memory = measure([*COMMAND, "predict", *options])
                size, speed = file.stat().st_size / 1e6, rows / seconds
                row = f"| {rows:,} ({form}) | {size:,.1f} | {seconds:.1f} | {cpu:.1f}"
                print(f"{row} | {memory:,.0f} | {speed:,.0f} |", flush=True)


if __name__ == "__main__":
    main()
