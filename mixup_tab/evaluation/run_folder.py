"""The folder of a run: results.csv, reliability.csv and run.json, safe to go on in."""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import sys
import time
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import joblib
import pandas as pd

from mixup_tab.evaluation.runs import Outcome, Plan, Task

COLUMNS = (
    "protocol",
    "dataset",
    "method",
    "fold",
    "seed",
    "n_train",
    "n_test",
    "n_classes",
    "accuracy",
    "error",
    "log_loss",
    "brier",
    "ece",
    "fit_seconds",
    "predict_seconds",
    "alpha",
)
KEY = ("protocol", "dataset", "method", "fold")
BIN_COLUMNS = (*KEY, "low", "high", "count", "confidence", "correct")

PACKAGES = (
    "mixup-tab",
    "torch",
    "torchaudio",
    "soundfile",
    "numpy",
    "scipy",
    "scikit-learn",
    "skorch",
    "skrub",
    "pandas",
    "joblib",
    "scikit-posthocs",
    "statsmodels",
    "lightgbm",
    "catboost",
    "pytabkit",
)


class RunFolder:
    """Where a run writes down what it does, and reads what was done before.

    Parameters
    ----------
    output : Path or None
        The folder; None makes a new one under the current folder.
    plan : Plan
        What is run. A folder of the same identity is gone on with.
    settings : dict
        What else there is to know about this run, for ``run.json``.

    Raises
    ------
    OSError
        If the folder cannot be made or written to.
    ValueError
        If it holds another run.
    """

    def __init__(self, output: Path | None, plan: Plan, settings: dict[str, Any]) -> None:
        identity = json.loads(json.dumps(plan.identity()))
        name = f"mixup-tab-benchmark-{identity['protocol']}"
        output = Path(time.strftime(f"{name}-%Y%m%d-%H%M%S")) if output is None else output
        _check_writable(output)
        self.path = output
        self.record = self._read_record(identity)
        self.record["sessions"].append({"start": _now(), **_surroundings(), **settings})
        _cut_half_line(self._file("results"), COLUMNS)
        _cut_half_line(self._file("reliability"), BIN_COLUMNS)
        self._drop_orphans()
        self._write_record()

    def _file(self, name: str) -> Path:
        return self.path / f"{name}.csv"

    def _read_record(self, identity: dict[str, Any]) -> dict[str, Any]:
        path = self.path / "run.json"
        if not path.exists():
            if self._file("results").exists():
                raise ValueError(
                    f"output={str(self.path)!r} holds a results.csv but no run.json, so it is "
                    "not a run to go on with. Give another folder with --output."
                )
            return {"identity": identity, "sessions": []}
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            known, _ = dict(record["identity"]), record["sessions"].append
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ValueError(
                f"{path} is not the record of a run. Give another folder with --output."
            ) from error
        keys = [*identity, *(key for key in known if key not in identity)]
        differs = [key for key in keys if known.get(key) != identity.get(key)]
        if differs:
            told = "; ".join(
                f"{k} {known.get(k)!r} there, {identity.get(k)!r} now" for k in differs
            )
            raise ValueError(
                f"output={str(self.path)!r} holds another run: {told}. Give another folder "
                "with --output."
            )
        return record

    def _drop_orphans(self) -> None:
        """Drop calibration bins whose result was not written any more."""
        bins, done = self.reliability(), self.done()
        kept = bins[[key in done for key in zip(*(bins[c] for c in KEY), strict=True)]]
        if len(kept) < len(bins):
            _write(self._file("reliability"), kept.to_csv(index=False, lineterminator="\n"))

    def done(self) -> set[tuple[Any, ...]]:
        """Return the keys of finished tasks."""
        results = self.results()
        return set(zip(*(results[column] for column in KEY), strict=True))

    def results(self) -> pd.DataFrame:
        """Return the results that there are."""
        return _read(self._file("results"))

    def reliability(self) -> pd.DataFrame:
        """Return the calibration bins that there are."""
        return _read(self._file("reliability"))

    def add(self, outcome: Outcome) -> None:
        """Write down an outcome that did not fail."""
        key = dict(zip(KEY, outcome.task.key, strict=True))
        # Bins first: without a result they are dropped when the run goes on.
        bins = [key | values for values in outcome.bins.to_dict("records")]
        bins = [values for values in bins if values["count"]]
        _append(self._file("reliability"), BIN_COLUMNS, bins)
        _append(self._file("results"), COLUMNS, [outcome.row])

    def close(self, finished: bool, tasks: Sequence[Task], failures: Sequence[Outcome]) -> None:
        """Write the end of this session into ``run.json``."""
        told = [{**_named(failed.task), "error": failed.error} for failed in failures]
        self.record["seeds"] = sorted({task.seed for task in tasks})
        self.record["sessions"][-1] |= {"end": _now(), "finished": finished, "failures": told}
        self._write_record()

    def _write_record(self) -> None:
        text = json.dumps(self.record, indent=1, ensure_ascii=False)
        _write(self.path / "run.json", text + "\n")


def _check_writable(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe = folder / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise OSError(
            f"output={str(folder)!r} cannot be written to ({error.strerror}). Give another "
            "folder with --output."
        ) from error


def _named(task: Task) -> dict[str, Any]:
    return dict(zip(KEY, task.key, strict=True))


def _cut_half_line(path: Path, columns: Sequence[str]) -> None:
    """Make a file whole again after a kill, or begin it."""
    text = path.read_bytes() if path.exists() else b""
    header = ",".join(columns).encode() + b"\n"
    whole = text[: text.rfind(b"\n") + 1]
    if header.startswith(text):
        path.write_bytes(header)
    elif not whole.startswith(header):
        raise ValueError(
            f"{path} has other columns than {', '.join(columns)}. Give another folder with "
            "--output."
        )
    elif len(whole) < len(text):
        os.truncate(path, len(whole))


def _append(path: Path, columns: Sequence[str], rows: Sequence[dict[str, Any]]) -> None:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    with path.open("ab") as file:
        file.write(text.getvalue().encode())


def _read(path: Path) -> pd.DataFrame:
    texts = dict.fromkeys(("protocol", "dataset", "method", "alpha"), str)
    return pd.read_csv(path, dtype=texts, keep_default_na=False)


def _write(path: Path, text: str) -> None:
    beside = path.with_name(f".{path.name}.new")
    beside.write_text(text, encoding="utf-8")
    os.replace(beside, path)


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S%z")


def _surroundings() -> dict[str, Any]:
    """Versions of all packages that take part, and what machine this is."""
    versions = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    machine = {
        "system": platform.platform(),
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        "cores_usable": joblib.cpu_count(),
    }
    return {"command": sys.argv, "versions": versions, "machine": machine}


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
