"""benchmarks/arena.py: our estimators as models of TabArena's harness."""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_diabetes, load_iris

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
if not BENCHMARKS.is_dir():
    pytest.skip("benchmarks/ is not in an installed package", allow_module_level=True)
pytest.importorskip("tabarena", reason="tabarena is missing: python -m pip install tabarena")
sys.path.append(str(BENCHMARKS))

import arena  # noqa: E402

pytestmark = pytest.mark.slow  # the maintainers' studies
TABLES = {"multiclass": load_iris, "regression": load_diabetes}


def fit(kind, path, **params):
    """Fit as the harness does, on a table with a category and a hole."""
    X, y = TABLES[kind](return_X_y=True, as_frame=True)
    X["colour"] = pd.Categorical(np.where(np.arange(len(X)) % 3, "red", "blue"))
    X.iloc[3, 0] = np.nan
    limit = params.pop("time_limit", None)
    model = arena.MixupModel(problem_type=kind, hyperparameters=params, path=str(path))
    return model.fit(X=X, y=y, time_limit=limit, num_cpus=1, num_gpus=0), X, y


@pytest.mark.parametrize("kind", TABLES)
def test_the_model_fits_predicts_and_is_loaded_again(kind, tmp_path):
    model, X, y = fit(kind, tmp_path, max_epochs=20, random_state=3)
    net = model.model[-1]
    assert type(net).__name__ == f"Mixup{'Regressor' if kind == 'regression' else 'Classifier'}"
    assert (net.random_state, net.n_iter_, net.alpha) == (3, 20, type(net)().alpha)
    predicted = np.asarray(model.predict(X))
    score = (predicted == y).mean() if kind == "multiclass" else np.corrcoef(predicted, y)[0, 1]
    assert score > 0.6
    loaded = arena.MixupModel.load(model.save())
    assert np.array_equal(np.asarray(loaded.predict(X)), predicted)


def test_training_ends_at_the_time_limit(tmp_path):
    started = time.time()
    model, *_ = fit("multiclass", tmp_path, max_epochs=1_000_000, time_limit=1)
    assert time.time() - started < 60
    assert 0 < model.model[-1].n_iter_ < 1_000_000


def test_what_is_tuned_is_known_to_both_estimators():
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    for make in (arena.MixupClassifier, arena.MixupRegressor):
        for name, space in arena.SPACE.items():
            for value in getattr(space, "data", [getattr(space, "default", None)]):
                make(max_epochs=1, **{name: value}).fit(X, y)


def test_a_table_becomes_a_task(tmp_path):
    frame = pd.DataFrame({"size": range(60), "colour": ["red", "blue"] * 30})
    frame["target"] = np.where(np.arange(60) % 3, "a", "b")
    frame.loc[0, "target"] = None
    frame.to_csv(tmp_path / "mine.csv.gz", index=False)
    task, described = arena.user_task(
        tmp_path / "mine.csv.gz", "classification", 3, 0, tmp_path
    )
    assert described.problem_type == "binary"
    loaded = task.load()
    parts = [loaded.get_split_indices(fold=k, repeat=0, sample=0) for k in range(3)]
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(59))
