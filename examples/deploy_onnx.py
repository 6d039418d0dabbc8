"""
Predict without mixup_tab or torch
==================================

Train and export a model, then label a CSV file with onnxruntime and NumPy alone.

``python examples/deploy_onnx.py`` does both, in a new folder. With two files it only labels the
second, and needs neither mixup_tab nor torch: ``python examples/deploy_onnx.py wine.onnx
wine.csv``. It takes any model of a table whose columns are numbers and words.
"""

import csv
import itertools
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnxruntime


def predict_file(model: str | Path, table: str | Path) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the label and the probabilities of every row."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1  # enough for small nets
    session = onnxruntime.InferenceSession(model, options)
    columns = json.loads(session.get_modelmeta().custom_metadata_map["features"])
    with open(table, newline="", encoding="utf-8") as file:
        rows = csv.DictReader(file)
        while chunk := list(itertools.islice(rows, 1000)):
            feeds = {}
            for value in session.get_inputs():  # one of all columns, or one for each
                names = columns if value.shape[1] == len(columns) else [value.name]
                cells = [[row[name] for name in names] for row in chunk]
                if value.type != "tensor(string)":  # an empty cell is a missing number
                    cells = [[float(cell or "nan") for cell in row] for row in cells]
                dtype = object if value.type == "tensor(string)" else np.float64
                feeds[value.name] = np.array(cells, dtype)
            probabilities, labels = session.run(["probabilities", "label"], feeds)
            yield from zip(labels, probabilities, strict=True)


def train(folder: Path) -> tuple[Path, Path]:
    """Return the files of a model for wines, and of a table to predict."""
    from sklearn.datasets import load_wine
    from sklearn.model_selection import train_test_split

    from mixup_tab import MixupClassifier
    from mixup_tab.persistence import export_onnx

    data = load_wine(as_frame=True)
    train, test = train_test_split(data.frame, random_state=0)
    X, y = train.drop(columns="target"), train["target"]
    model = MixupClassifier(random_state=0).fit(X, y)
    export_onnx(model, folder / "wine.onnx", labels=["Barolo", "Grignolino", "Barbera"])
    test.to_csv(folder / "wine.csv", index=False)
    return folder / "wine.onnx", folder / "wine.csv"


if __name__ == "__main__":
    files = sys.argv[1:] or train(Path(tempfile.mkdtemp(prefix="mixup-tab-")))
    for label, probabilities in predict_file(*files):
        print(label, *np.round(probabilities, 3))
