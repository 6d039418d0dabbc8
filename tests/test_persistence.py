"""Model files: the same bits again, no pickle, nothing foreign, one clear error."""

import io
import json
import os
import zipfile
from datetime import timedelta, timezone
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import skrub
from hostile import archive, members, sealed
from sklearn.pipeline import Pipeline

from mixup_tab import MLP, ManifoldMixup, MixupClassifier, MixupRegressor, TableEncoder
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.fitting import Setting, make_net
from mixup_tab.compare.predict import predict_file
from mixup_tab.compare.saving import load_model, save_model
from mixup_tab.compare.task import prepare
from mixup_tab.persistence import is_model, read_model, write_model
from mixup_tab.persistence.net_weights import load_net
from mixup_tab.training import LearningRate

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
    steps = [("columns", TableEncoder(random_state=0)), ("net", net)][bool(params) :]
    return Pipeline(steps).fit(X if not params else X[["size"]].fillna(0), y)


def outputs(pipeline):
    X = table() if len(pipeline) > 1 else table()[["size"]].fillna(0)
    names = [name for name in ("predict_proba", "predict") if hasattr(pipeline, name)]
    return getattr(pipeline, names[0])(X)


def assembled(model):
    pipeline = model.pipeline()
    model.restore_net(pipeline[-1])
    return pipeline


def loaded(path):
    return assembled(read_model(path, "table"))


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


def of_categories(embedding, kind=MixupClassifier):
    """A fitted pipeline of a net alone, with numbers and two columns of categories."""
    X = table()[["size", "color"]].fillna({"size": 0}).astype({"color": "category"})
    X = X.assign(code=pd.Categorical(np.arange(ROWS) % 4), place=np.arange(ROWS))
    net = kind(0.3, hidden_layer_sizes=(8,), max_epochs=2, random_state=0, embedding=embedding)
    return Pipeline([("net", net)]).fit(X, np.arange(ROWS) % 3 / 1), X


@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
@pytest.mark.parametrize("embedding", ["none", "quantile", "target", "periodic"])
def test_embeddings_and_categories_are_saved(kind, embedding, tmp_path):
    pipeline, X = of_categories(embedding, kind)
    write_model(tmp_path / "m", "table", {}, pipeline, store_pipeline=True)
    model = read_model(tmp_path / "m", "table")
    again = model.pipeline()
    model.restore_net(again[-1], np.float64)
    assert np.array_equal(again.predict(X), pipeline.predict(X))
    assert again[-1].embedding_ == embedding


def changed(part, value):
    def change(stored, net):
        stored[f"input_layer.{part}"][0] = value

    return change


def without(part):
    def change(stored, net):
        del stored[f"input_layer.{part}"]

    return change


def setting(name, value):
    return lambda stored, net: setattr(net, name, value)


def shorter(stored, net):
    for name in ("column", "low", "step"):
        stored[f"input_layer.encoding.{name}"] = stored[f"input_layer.encoding.{name}"][1:]


BROKEN = {
    "a column that is not there": changed("encoding.column", 2),
    "a column before the first": changed("encoding.column", -1),
    "a bin without a width": changed("encoding.step", 0),
    "a bin that goes backwards": changed("encoding.step", -1),
    "an edge that is no number": changed("encoding.low", np.nan),
    "a gain that is infinite": changed("gain", np.inf),
    "no edges": without("encoding.low"),
    "no gain": without("gain"),
    "fewer bins": shorter,
    "another embedding": setting("embedding_", "periodic"),
    "an embedding that is not there": setting("embedding_", "x"),
    "no embedding": setting("embedding_", None),
    "no categories": setting("is_categorical_", None),
    "other categories": setting("is_categorical_", np.array([True, True, True, False])),
    "too few columns": setting("is_categorical_", np.array([False, True])),
    "numbers for a mask": setting("is_categorical_", np.arange(4)),
    "one list of levels": setting("categories_", [np.array(["a"], dtype=object)]),
    "levels twice": setting("categories_", [np.array([1, 1])] * 2),
    "other levels": setting("categories_", [np.arange(40)] * 2),
    "very many levels": setting("categories_", [np.arange(10**6)] * 2),
    "tables of levels": setting("categories_", [np.zeros((1, 1))] * 2),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_an_input_layer_that_does_not_fit_is_refused(change):
    pipeline, _ = of_categories("quantile")
    net = pipeline[-1]
    stored = {name: part.clone() for name, part in net.net_.module_.state_dict().items()}
    change(stored, net)
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        load_net(net, safetensors.torch.save(stored), np.float64)


def test_a_loaded_quantile_regressor_predicts_the_same_bits(tmp_path):
    levels = (0.1, 0.5, 0.9)
    pipeline = fitted(MixupRegressor, quantiles=levels)
    write_model(tmp_path / "model", "table", {}, pipeline, store_pipeline=True)
    X = table()[["size"]].fillna(0)
    expected = pipeline[-1].predict(X, quantiles=levels)
    again = loaded(tmp_path / "model")[-1]
    np.testing.assert_array_equal(again.predict(X, quantiles=levels), expected)
    np.testing.assert_array_equal(again.predict(X), expected[:, 1])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantiles", (0.1, 0.5)),
        ("quantiles", (0.5, 0.1, 0.9)),
        ("quantiles", None),
        ("quantile_shift_", np.zeros((1, 2))),
        ("quantile_shift_", np.full((1, 3), np.nan)),
        ("quantile_shift_", np.zeros((1, 3), np.float32)),
    ],
)
def test_quantiles_that_do_not_agree_with_the_net_are_refused(name, value, tmp_path):
    pipeline = fitted(MixupRegressor, quantiles=(0.1, 0.5, 0.9))
    setattr(pipeline[-1], name, value)
    write_model(tmp_path / "model", "table", {}, pipeline, store_pipeline=True)
    model = read_model(tmp_path / "model", "table")
    with pytest.raises(ValueError, match="cannot be put together"), model.assembling():
        assembled(model)


def test_a_shift_of_quantiles_that_are_none_is_refused(tmp_path):
    pipeline = fitted(MixupRegressor, quantiles=(0.5,))
    pipeline[-1].quantiles = None
    write_model(tmp_path / "model", "table", {}, pipeline, store_pipeline=True)
    model = read_model(tmp_path / "model", "table")
    with pytest.raises(ValueError, match="about the target is wrong"), model.assembling():
        assembled(model)


def test_the_file_says_what_it_is_and_holds_no_pickle(saved):
    path, pipeline = saved
    assert is_model(path)
    model = read_model(path, "table")
    assert (model.name, model.about) == ("model.mixup", ABOUT)
    assert model.versions["skrub"] == skrub.__version__
    assert np.array_equal(outputs(loaded(path)), outputs(pipeline))
    with zipfile.ZipFile(path) as archive:
        names = ["model.json", "net.safetensors", "pipeline.skops", "sha256"]
        assert sorted(archive.namelist()) == names
        head = json.loads(archive.read("model.json"))
        assert (head["format"], head["kind"]) == ("mixup-tab model 2", "table")
        with zipfile.ZipFile(io.BytesIO(archive.read("pipeline.skops"))) as inner:
            for name in inner.namelist():
                assert name.endswith((".json", ".npy"))
                if name.endswith(".npy"):
                    np.load(io.BytesIO(inner.read(name)), allow_pickle=False)


def with_member(path, member, content, target):
    """Write a copy of a model with one part replaced, and a right hash."""
    target.write_bytes(sealed({**members(path.read_bytes()), member: content}))
    return target


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"module": MLP}, "module=.* cannot be saved without pickle"),
        ({"callbacks": [LearningRate("constant")]}, "callbacks=.* cannot be saved without"),
        ({"mixing": ManifoldMixup()}, "holds mixup_tab.mixing.*ManifoldMixup, which no saved"),
    ],
)
def test_what_would_not_be_opened_again_is_not_saved(params, message, tmp_path):
    pipeline = fitted(batch_size=16, **params)
    with pytest.raises(ValueError, match=message):
        write_model(tmp_path / "m", "table", {}, pipeline, store_pipeline=True)
    assert not os.listdir(tmp_path)


def test_a_model_that_fails_its_check_is_not_saved(saved, tmp_path):
    def check(model):
        seen.append((model.about, outputs(assembled(model))))
        raise ValueError("other predictions")

    seen = []
    with pytest.raises(ValueError, match="other predictions"):
        write_model(tmp_path / "m", "table", ABOUT, saved[1], store_pipeline=True, check=check)
    assert not os.listdir(tmp_path)
    ((about, predicted),) = seen
    assert about == ABOUT
    assert np.array_equal(predicted, outputs(saved[1]))


def test_the_same_model_gives_the_same_bytes(saved, tmp_path):
    path, pipeline = saved
    for again in (pipeline, loaded(path)):
        write_model(tmp_path / "m", "table", ABOUT, again, store_pipeline=True)
        assert (tmp_path / "m").read_bytes() == path.read_bytes()


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
        with_member(path, "model.json", json.dumps(other).encode(), target)
        contents.append(target.read_bytes())
    parts = members(path.read_bytes())
    contents += [archive(*parts.items(), ("more", b"")), archive(*parts.items(), compression=8)]
    contents += [archive(*(parts | {"model.json": parts["model.json"] + b" "}).items())]
    bad = tmp_path / "bad"
    for content in contents:
        bad.write_bytes(content)
        with pytest.raises(ValueError, match="'bad' is not a model of mixup-tab, or is broken"):
            read_model(bad, "table")
    assert not is_model(tmp_path / "head0")
    with pytest.raises(ValueError, match=r"for tables, not for sounds\. Use mixup-tab predict"):
        read_model(path, "sound")


@pytest.mark.parametrize("member", ["net.safetensors", "pipeline.skops"])
def test_a_model_that_cannot_be_put_together(member, saved, tmp_path):
    model = read_model(with_member(saved[0], member, b"hello", tmp_path / "bad"), "table")
    with (
        pytest.raises(
            ValueError, match=r"'bad' cannot be put together here \(.*\)\. Make the m"
        ),
        model.assembling(),
    ):
        assembled(model)


def test_a_model_of_other_versions_says_what_made_it(saved, tmp_path):
    head = json.loads(members(saved[0].read_bytes())["model.json"])
    head["versions"]["skrub"] = "0.1"
    path = with_member(saved[0], "model.json", json.dumps(head).encode(), tmp_path / "old")
    model = read_model(with_member(path, "pipeline.skops", b"", tmp_path / "bad"), "table")
    assert np.array_equal(outputs(loaded(path)), outputs(saved[1]))
    with (
        pytest.raises(ValueError, match=r"It was saved with mixup-tab .*skrub 0\.1.*; this is"),
        model.assembling(),
    ):
        assembled(model)


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


# ---------------------------------------------------------------- columns of every dtype

DAYS = pd.date_range("2024-01-01", periods=ROWS, freq="7h")
ZONE = timezone(timedelta(hours=-3, minutes=-30))
NUMBERS = np.arange(ROWS) % 7
COLUMNS = {
    "dates in a zone": DAYS.tz_localize("Europe/Berlin"),
    "dates in UTC": DAYS.tz_localize("UTC"),
    "dates in an unnamed zone": DAYS.tz_localize(ZONE),
    "dates in milliseconds": DAYS.astype("datetime64[ms]").tz_localize("UTC"),
    "dates as text with a zone": DAYS.strftime("%Y-%m-%dT%H:%M:%S+02:00"),
    "dates as text": DAYS.strftime("%d.%m.%Y"),
    "dates with gaps": DAYS.tz_localize("UTC").where(NUMBERS > 1),
    "dates as objects": pd.Series([day.date() for day in DAYS], dtype=object),
    "durations": pd.to_timedelta(NUMBERS, "h"),
    "whole numbers with gaps": pd.array([None, *NUMBERS[1:]], dtype="Int64"),
    "decimals": pd.Series([Decimal(int(number)) / 3 for number in NUMBERS], dtype=object),
    "truth values": pd.array([None, *(NUMBERS[1:] > 3)], dtype="boolean"),
    "categories": pd.Categorical(NUMBERS.astype(str), ordered=True),
    "words": NUMBERS.astype(str).astype(object) + np.array("x", dtype=object),
    "text with control characters": [f"lot\x00{number}\x00" for number in range(ROWS)],
    "nothing": [None] * ROWS,
    "one value": ["x"] * ROWS,
    "one date": DAYS[:1].tz_localize("UTC").repeat(ROWS),
}


@pytest.mark.parametrize("column", COLUMNS.values(), ids=COLUMNS)
def test_a_model_of_any_column_is_saved_and_predicts_the_same(column, tmp_path):
    target = np.where(NUMBERS > 3, "yes", "no")
    frame = pd.DataFrame({"x": column, "size": NUMBERS / 3, "target": target})
    task = prepare(frame, Columns("target"))
    pipeline = make_net(task, Setting((0.3,)))
    pipeline[-1].set_params(max_epochs=1, hidden_layer_sizes=(4,), n_estimators=1)
    save_model(tmp_path / "m", pipeline.fit(task.X, task.y), task, 0.3)
    again, _ = load_model(tmp_path / "m")
    assert np.array_equal(again.predict_proba(task.X), pipeline.predict_proba(task.X))
    assert again.get_params().keys() == pipeline.get_params().keys()


def test_a_file_with_zones_is_predicted_for(tmp_path):
    frame = pd.DataFrame({"x": COLUMNS["dates in a zone"], "target": NUMBERS / 7})
    frame.to_parquet(tmp_path / "new.parquet")
    task = prepare(pd.read_parquet(tmp_path / "new.parquet"), Columns("target"), "regression")
    pipeline = make_net(task, Setting((0.3,)))
    pipeline[-1].set_params(max_epochs=1, hidden_layer_sizes=(4,))
    save_model(tmp_path / "m", pipeline.fit(task.X, task.y), task, 0.3)
    predicted, _ = predict_file(tmp_path / "m", tmp_path / "new.parquet")
    assert np.array_equal(predicted["prediction"], pipeline.predict(task.X))
