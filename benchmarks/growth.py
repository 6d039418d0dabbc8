"""How fit time, memory and prediction time grow with rows and columns, beside LightGBM.

Every point is measured in a separate process, which is stopped at a time limit::

    python benchmarks/growth.py                                   # 10³ to 10⁷ rows: hours
    python benchmarks/growth.py --rows 1000 10000 --columns 10 100 --limit 60

Rows grow at 10 columns, columns at 1,000 rows; float32, two classes, defaults, all cores.
Points in the output folder are not measured again. Linux only.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import sklearn
import torch
from measuring import memory
from speed_methods import make_table

from mixup_tab import MixupClassifier, MixupEnsembleClassifier

METHODS = {each.__name__: each for each in (MixupClassifier, MixupEnsembleClassifier)}
FIXED = {"rows": 10, "columns": 1000}  # columns while rows grow, rows while columns grow
FIGURES = ("fit, s", "fit, CPU s", "memory, MB", "predict, s")
WORSE = 1.2  # a slope above this counts as superlinear; single times vary
FROM = 10_000  # below this, the fixed number of steps dominates
ALL_MEMORY = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e6


def methods() -> dict[str, Any]:
    """Return constructors of estimators by name."""
    if find_spec("lightgbm") is None:
        return METHODS
    from lightgbm import LGBMClassifier

    return {**METHODS, "LightGBM": lambda random_state: LGBMClassifier(verbose=-1)}


def measure(method: str, rows: int, columns: int) -> dict[str, float]:
    """Fit and predict; memory is the peak minus that of the table and of imports."""
    make = methods()[method]
    small = make_table(200, 5, dtype=np.float32)
    make(random_state=0).fit(*small).predict_proba(small[0])  # import before measuring
    X, y = make_table(rows, columns, dtype=np.float32)
    before, start, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
    model = make(random_state=0).fit(X, y)
    fit, cpu = time.perf_counter() - start, time.process_time() - cpu
    peak = max(memory("VmHWM") - before, 0) / 1e6
    model.predict_proba(X)
    predict = time.perf_counter() - start - fit
    return dict(zip(FIGURES, (fit, cpu, peak, predict), strict=True))


def in_a_process(point: list[str], limit: float) -> dict[str, Any]:
    """Return the measurements of a point, or why there are none."""
    command = [sys.executable, __file__, "--point", *point]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired:
        return {"missing": f"more than {limit:g} s"}
    if done.returncode:
        return {"missing": (done.stderr.strip().splitlines() or ["killed: no memory?"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def measure_all(sizes: dict[str, list[int]], limit: float, file: Path) -> pd.DataFrame:
    """Measure missing points into a file of JSON lines; a method ends at its limit."""
    found = (
        [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
    )
    for axis, method in product(sizes, methods()):
        for size in sorted(sizes[axis]):
            point = {"axis": axis, "method": method, "size": size}
            result = next((known for known in found if point.items() <= known.items()), None)
            if result is None:
                shape = (size, FIXED[axis]) if axis == "rows" else (FIXED[axis], size)
                result = point | in_a_process([method, *map(str, shape)], limit)
                found.append(result)
                with file.open("a") as lines:
                    print(json.dumps(result), file=lines)
            if "missing" in result:
                break
    return pd.DataFrame(found, columns=["axis", "method", "size", *FIGURES, "missing"])


def slopes(points: pd.DataFrame) -> Iterator[str]:
    """Yield sentences on growth, and on where this machine's limits are."""
    yield "| method | figure | slope in rows | steepest step | this machine's end |"
    yield "|---|---|---:|---|---|"
    large = points[(points["axis"] == "rows") & (points["size"] >= FROM)].sort_values("size")
    for method, name in product(methods(), FIGURES):
        known = large[(large["method"] == method) & (large[name] > 0)]
        if len(known) < 2:
            continue
        x, y = (np.log10(known[column].to_numpy(float)) for column in ("size", name))
        slope, start = np.polyfit(x, y, 1)
        steps = np.diff(y) / np.diff(x)
        worst = int(steps.argmax())
        step = f"{steps[worst]:.2f} from {known['size'].iloc[worst]:,}"
        step += " (worse than linear)" * bool(steps[worst] > WORSE)
        most, what = (ALL_MEMORY, "its memory") if "MB" in name else (3600, "one hour")
        end = f"{what} at {10 ** ((np.log10(most) - start) / max(slope, 0.1)):.1e} rows"
        yield f"| {method} | {name} | {slope:.2f} | {step} | {end} |"


def draw(points: pd.DataFrame, path: Path) -> None:
    """Draw all measurements over rows and over columns."""
    figure, axes = plt.subplots(2, len(FIGURES), figsize=(16, 7), layout="constrained")
    for row, (axis, part) in zip(axes, points.groupby("axis", sort=False), strict=False):
        for ax, name in zip(row, FIGURES, strict=True):
            for method, line in part[part[name] > 0].sort_values("size").groupby("method"):
                ax.loglog(line["size"], line[name], "o-", label=method)
            ax.set(xlabel=axis, title=name)
    axes[0, 0].legend()
    figure.savefig(path, dpi=110)


def main(arguments: list[str] | None = None) -> None:
    """Measure missing points, print a table and draw a picture."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rows", nargs="*", type=int, default=[10**k for k in range(3, 8)])
    parser.add_argument("--columns", nargs="*", type=int, default=[10, 100, 1000, 10_000])
    parser.add_argument("--limit", type=float, default=1800, help="seconds per point")
    parser.add_argument("--output", type=Path, default=Path("benchmark-growth"))
    parser.add_argument("--point", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args(arguments)
    if args.point:
        print(json.dumps(measure(args.point[0], *map(int, args.point[1:]))))
        return
    args.output.mkdir(parents=True, exist_ok=True)
    sizes = {"rows": args.rows, "columns": args.columns}
    points = measure_all(sizes, args.limit, args.output / "points.jsonl")
    draw(points, args.output / "growth.png")
    print(f"{os.cpu_count()} cores, {ALL_MEMORY / 1000:.0f} GB, torch {torch.__version__}")
    print(f"scikit-learn {sklearn.__version__}\n")
    print(points.to_markdown(index=False, floatfmt=",.3g"), "", *slopes(points), sep="\n")


if __name__ == "__main__":
    main()
