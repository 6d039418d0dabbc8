"""Folders of small tables in the forms that the protocols read, for several test files."""

import numpy as np
import pandas as pd


def raw_table(rows=60, classes=3, seed=0):
    """Two numbers, a category and a column with holes; the classes can be told apart."""
    rng = np.random.default_rng(seed)
    y = np.arange(rows) % classes
    frame = pd.DataFrame(
        {
            "size": y + 0.3 * rng.normal(size=rows),
            "weight [kg]": rng.normal(size=rows),
            "colour": np.array(["red", "green", "blue"])[rng.integers(0, 3, rows)],
            "holes": np.where(np.arange(rows) % 7 == 0, np.nan, rng.normal(size=rows)),
            "target": np.array(["a", "b", "c", "d"])[y],
        }
    )
    frame.loc[3, "colour"] = None
    return frame


def write_raw(folder, **tables):
    folder.mkdir(parents=True, exist_ok=True)
    for name, frame in tables.items():
        frame.to_csv(folder / f"{name.replace('_', '-')}.csv.gz", index=False)
    return folder


def write_delgado(folder, *names, rows=40):
    for place in ("delgado121", "folds"):
        (folder / place).mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(names):
        rng = np.random.default_rng(seed)
        y = np.arange(rows) % 2
        frame = pd.DataFrame(rng.normal(size=(rows, 3)), columns=["f1", "f2", "f3"])
        frame["f1"] += 2 * y
        frame.assign(target=y).to_csv(folder / "delgado121" / f"{name}.csv.gz", index=False)
        folds = pd.DataFrame({"row": range(rows), "file": "all"})
        folds["tune"] = np.where(np.arange(rows) < rows // 2, "train", "valid")
        for k in range(1, 5):
            folds[f"fold{k}"] = np.where(rng.random(rows) < 0.25, "test", "train")
        folds.to_csv(folder / "folds" / f"{name}.csv.gz", index=False)
    return folder
