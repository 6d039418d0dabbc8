"""Model files: the same bits again, no pickle, nothing foreign, one clear error."""

import io
import json
import os
import zipfile
from functools import partial

import numpy as np
import pandas as pd
import pytest
import skops.io
import skrub
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mixup_tab import MLP, MixupClassifier, MixupRegressor
from mixup_tab.persistence import is_model, read_model, write_model

ROWS = 40
ABOUT = {"target": "bought", "classes": ["ja", "naïve"]}


def table():
    """Columns of every kind, with missing values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=ROWS),
            "color": rng.choice(["red", "green", None], ROWS),
            "day": pd.date_range("2024-01-01", periods=ROWS),
            "wait": pd.to_timedelta(rng.integers(1, 100, ROWS), "h"),
            "about": [f"lot {number}" for number in rng.permutation(ROWS) + 30],
        }
    )
    frame.loc[::7, "size"] = np.nan
    return frame


def fitted(kind=MixupClassifier, **params):
    X = table()
    net = kind(0.3, hidden_layer_sizes=(8,), max_epochs=2, random_state=0, **params)
    y = np.arange(ROWS) % 3 / (1 if kind is MixupClassifier else 2)
    steps = skrub.tabular_pipeline(net).steps if not params else [("net", net)]
    return Pipeline(steps).fit(X if not params else X[["size"]].fillna(0), y)


def outputs(pipeline):
    X = table() if len(pipeline) > 1 else table()[["size"]].fillna(0)
    names = [name for name in ("predict_proba", "predict") if hasattr(pipeline, name)]
    return getattr(pipeline, names[0])(X)


def loaded(path):
    model = read_model(path, "table")
    pipeline = model.pipeline()
    model.restore_net(pipeline[-1])
    return pipeline


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    pipeline = fitted()
    path = tmp_path_factory.mktemp("models") / "model.mixup"
    write_model(path, "table", ABOUT, pipeline, store_pipeline=True)
    return path, pipeline


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        (MixupRegressor, {}),
        (MixupRegressor, {"batch_size": 16}),
        (MixupClassifier, {"n_estimators": 3, "dropout": 0.2}),
        (MixupClassifier, {"early_stopping": True, "batch_size": 16}),
    ],
)
def test_a_loaded_pipeline_predicts_the_same_bits(kind, params, tmp_path):
    pipeline = fitted(kind, **params)
    before = outputs(pipeline)
    write_model(tmp_path / "m", "table", {}, pipeline, store_pipeline=True)
    again = loaded(tmp_path / "m")
    assert np.array_equal(outputs(again), before)
    assert np.array_equal(outputs(pipeline), before)  # saving leaves it as it was
    assert again[-1].get_params() == pipeline[-1].get_params()
    assert os.listdir(tmp_path) == ["m"]


def test_the_file_says_what_it_is_and_holds_no_pickle(saved):
    path, pipeline = saved
    assert is_model(path)
    model = read_model(path, "table")
    assert (model.name, model.about) == ("model.mixup", ABOUT)
    assert model.versions["skrub"] == skrub.__version__
    assert np.array_equal(outputs(loaded(path)), outputs(pipeline))
    with zipfile.ZipFile(path) as archive:
        assert sorted(archive.namelist()) == ["model.json", "net.safetensors", "pipeline.skops"]
        head = json.loads(archive.read("model.json"))
        assert (head["format"], head["kind"]) == ("mixup-tab model 1", "table")
        with zipfile.ZipFile(io.BytesIO(archive.read("pipeline.skops"))) as inner:
            for name in inner.namelist():
                assert name.endswith((".json", ".npy", ".npz"))
                if name.endswith(".npy"):
                    np.load(io.BytesIO(inner.read(name)), allow_pickle=False)


def with_member(path, member, content, target):
    """Write a copy of a model with one part replaced."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name == member else old.read(name))
    return target


@pytest.mark.parametrize(
    "func", [os.system, partial(os.system), skrub.datasets.fetch_bike_sharing]
)
def test_types_that_no_model_holds_are_refused(func, saved, tmp_path):
    evil = skops.io.dumps(make_pipeline(FunctionTransformer(func)))
    with_member(saved[0], "pipeline.skops", evil, tmp_path / "evil")
    with pytest.raises(ValueError, match=r"'evil' holds a .*It is not opened"):
        read_model(tmp_path / "evil", "table")


def test_modules_of_the_users_are_not_saved(tmp_path):
    pipeline = Pipeline([("net", MixupClassifier(module=MLP))])
    with pytest.raises(ValueError, match="cannot be saved without pickle"):
        write_model(tmp_path / "m", "table", {}, pipeline, store_pipeline=True)
    assert not os.listdir(tmp_path)


def test_files_that_are_no_model_are_one_clear_error(saved, tmp_path):
    path, _ = saved
    with pytest.raises(ValueError, match=r"is not a file\. Give a file that mixup-tab compare"):
        read_model(tmp_path / "nothing", "table")
    head = json.loads(zipfile.ZipFile(path).read("model.json"))
    heads = [[1, 2], {}, *(head | change for change in ({"format": "x"}, {"kind": "x"}))]
    heads += [head | {"versions": 1}, {"format": head["format"], "kind": "table"}]
    contents = [b"", b"hello", path.read_bytes()[:-40]]
    for number, other in enumerate(heads):
        target = tmp_path / f"head{number}"
        with_member(path, "model.json", json.dumps(other), target)
        contents.append(target.read_bytes())
    with_member(path, "pipeline.skops", b"hello", tmp_path / "skops")
    contents.append((tmp_path / "skops").read_bytes())
    bad = tmp_path / "bad"
    for content in contents:
        bad.write_bytes(content)
        with pytest.raises(ValueError, match="'bad' is not a model of mixup-tab, or is broken"):
            read_model(bad, "table")
    assert not is_model(tmp_path / "head0")
    with pytest.raises(ValueError, match=r"for tables, not for sounds\. Use mixup-tab predict"):
        read_model(path, "sound")


def test_a_model_that_does_not_fit_this_installation_says_what_made_it(saved, tmp_path):
    bad = with_member(saved[0], "net.safetensors", b"hello", tmp_path / "bad")
    model = read_model(bad, "table")
    with (
        pytest.raises(ValueError, match=r"'bad' cannot be put together here .*with mixup-tab"),
        model.assembling(),
    ):
        model.restore_net(model.pipeline()[-1])


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    old = tmp_path / "model"
    old.write_bytes(b"old")

    def fail(*paths):
        raise OSError(28, "full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=r"cannot be written \(full\)"):
        write_model(old, "table", {}, fitted(batch_size=16), store_pipeline=True)
    assert old.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]
