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
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from mixup_tab import MLP, MixupClassifier, MixupRegressor
from mixup_tab.compare.choosing import Setting, make_net
from mixup_tab.compare.predicting import predict_file, write_predictions
from mixup_tab.compare.question import Roles, ask
from mixup_tab.compare.saving import Card, load_model, save_model

ROWS = 90
ROLES = {
    "classification": Roles("bought", id="code", drop=("price",)),
    "regression": Roles("price", drop=("bought", "code")),
}
SMALL = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}


def table():
    """Columns of every kind, with missing values."""
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "code": [f"{number:04}" for number in range(ROWS)],
            "size": rng.normal(size=ROWS),
            "color": rng.choice(["red", "green", None], ROWS),
            "zip": rng.choice(["01", "02", "1a"], ROWS),
            "member": rng.choice([True, False], ROWS),
            "day": pd.date_range("2024-01-01", periods=ROWS),
            "wait": pd.to_timedelta(rng.integers(1, 100, ROWS), "h"),
            "about": [f"some words {number} on it" for number in rng.integers(0, 10**6, ROWS)],
            "price": rng.normal(size=ROWS),
            "bought": rng.choice(["no", "yes", "maybe"], ROWS),
        }
    )
    frame.loc[::7, "size"] = np.nan
    return frame


def fitted(task):
    question = ask(table(), ROLES[task])
    kind = MixupClassifier if question.classifies else MixupRegressor
    pipeline = skrub.tabular_pipeline(kind(0.3, **SMALL)).fit(question.X, question.y)
    return question, pipeline


@pytest.fixture(scope="module", params=ROLES)
def saved(request, tmp_path_factory):
    question, pipeline = fitted(request.param)
    path = tmp_path_factory.mktemp("models") / "model.mixup"
    save_model(path, pipeline, Card.of(question, 0.3))
    return path, question, pipeline


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    question, pipeline = fitted("classification")
    path = tmp_path_factory.mktemp("models") / "model.mixup"
    save_model(path, pipeline, Card.of(question, 0.3))
    return path, question, pipeline


def outputs(pipeline, X):
    return pipeline.predict_proba(X) if hasattr(pipeline, "classes_") else pipeline.predict(X)


def test_a_loaded_model_predicts_the_same_bits(saved):
    path, question, pipeline = saved
    loaded, card = load_model(path)
    new = question.X.sample(frac=1, random_state=0)
    assert np.array_equal(outputs(loaded, new), outputs(pipeline, new))
    assert card.kinds == question.kinds
    assert tuple(card.classes) == question.classes
    assert (card.target, card.id, card.alpha) == (question.roles.target, question.roles.id, 0.3)
    assert card.versions["skrub"] == skrub.__version__


def test_saving_leaves_the_model_as_it_was(saved, tmp_path):
    path, question, pipeline = saved
    before = outputs(pipeline, question.X)
    save_model(tmp_path / "again", pipeline, load_model(path)[1])
    assert np.array_equal(outputs(pipeline, question.X), before)
    assert os.listdir(tmp_path) == ["again"]


@pytest.mark.parametrize(
    "params",
    [{"n_estimators": 3}, {"batch_size": 32}, {"early_stopping": True}, {"dropout": 0.2}],
    ids=str,
)
def test_other_parameters_of_the_net(params, classifier, tmp_path):
    _, question, _ = classifier
    net = MixupClassifier(0.3, **SMALL, **params)
    pipeline = skrub.tabular_pipeline(net).fit(question.X, question.y)
    save_model(tmp_path / "m", pipeline, Card.of(question, 0.3))
    loaded, _ = load_model(tmp_path / "m")
    assert np.array_equal(outputs(loaded, question.X), outputs(pipeline, question.X))
    assert loaded[-1].get_params() == pipeline[-1].get_params()


@pytest.mark.parametrize("target", ["bought", "price"])
def test_a_table_of_numbers(target, tmp_path):
    question = ask(table()[["size", "member", target]], Roles(target))
    pipeline = make_net(question, Setting((0.3,)))
    pipeline[-1].set_params(**SMALL)
    pipeline.fit(question.X, question.y)
    save_model(tmp_path / "m", pipeline, Card.of(question, 0.3))
    loaded, _ = load_model(tmp_path / "m")
    assert np.array_equal(outputs(loaded, question.X), outputs(pipeline, question.X))


def test_the_file_holds_no_pickle(saved):
    with zipfile.ZipFile(saved[0]) as archive:
        assert archive.namelist() == ["model.json", "pipeline.skops", "net.safetensors"]
        with zipfile.ZipFile(io.BytesIO(archive.read("pipeline.skops"))) as inner:
            for name in inner.namelist():
                assert name.endswith((".json", ".npy", ".npz"))
                if name.endswith(".npy"):
                    np.load(io.BytesIO(inner.read(name)), allow_pickle=False)


def with_member(path, member, content, target):
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            new.writestr(name, content if name == member else old.read(name))


@pytest.mark.parametrize(
    "func", [os.system, partial(os.system), skrub.datasets.fetch_bike_sharing]
)
def test_types_that_no_model_holds_are_refused(func, classifier, tmp_path):
    path, _, _ = classifier
    evil = skops.io.dumps(Pipeline([("evil", FunctionTransformer(func))]))
    with_member(path, "pipeline.skops", evil, tmp_path / "evil")
    with pytest.raises(ValueError, match=r"'evil' holds a .*It is not opened"):
        load_model(tmp_path / "evil")


def test_modules_of_the_users_are_not_saved(classifier, tmp_path):
    _, question, _ = classifier
    pipeline = Pipeline([("net", MixupClassifier(module=MLP))])
    with pytest.raises(ValueError, match="cannot be saved without pickle"):
        save_model(tmp_path / "m", pipeline, Card.of(question, 0.3))
    assert not os.listdir(tmp_path)


def test_files_that_are_no_model(classifier, tmp_path):
    path, _, _ = classifier
    with pytest.raises(ValueError, match=r"is not a file\. Give what --save"):
        load_model(tmp_path / "nothing")
    bad = tmp_path / "bad"
    for content in (b"", b"hello", path.read_bytes()[:-40]):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match="'bad' is not a model of mixup-tab, or is broken"):
            load_model(bad)
    with_member(path, "model.json", b'{"format": "another"}', bad)
    with pytest.raises(ValueError, match="'bad' is not a model"):
        load_model(bad)
    with_member(path, "net.safetensors", b"hello", bad)
    with pytest.raises(ValueError, match=r"cannot be put together here .*saved with mixup-tab"):
        load_model(bad)


def test_a_failed_save_leaves_the_old_file(classifier, tmp_path, monkeypatch):
    path, _, pipeline = classifier
    old = tmp_path / "model"
    old.write_bytes(b"old")
    monkeypatch.setattr(
        os, "replace", lambda *paths: (_ for _ in ()).throw(OSError(28, "full"))
    )
    with pytest.raises(OSError, match=r"cannot be written \(full\)"):
        save_model(old, pipeline, load_model(path)[1])
    assert old.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["model"]


# ------------------------------------------------------------------------ predicting


def test_predictions_for_a_file(saved, tmp_path):
    path, question, pipeline = saved
    frame = table().iloc[:20]
    frame.to_parquet(tmp_path / "new.parquet")
    predicted, notes = predict_file(path, tmp_path / "new.parquet")
    expected = outputs(pipeline, question.X.iloc[:20])
    if question.classifies:
        columns = ["code", "prediction", *(f"probability_{c}" for c in question.classes)]
        assert list(predicted) == columns
        assert predicted["code"].tolist() == frame["code"].tolist()
        assert np.array_equal(predicted[columns[2:]], expected)
        best = [question.classes[k] for k in expected.argmax(axis=1)]
        assert predicted["prediction"].tolist() == best
        assert notes == ["Columns that the model does not know are ignored: price."]
    else:
        assert list(predicted) == ["prediction"]
        assert np.array_equal(predicted["prediction"], expected)


def test_columns_hold_the_same_whatever_the_file(classifier, tmp_path):
    """Text that looks like numbers, dates as text, no other value in a column."""
    path, question, pipeline = classifier
    rows = question.X["zip"].isin(["01", "02"]).to_numpy()
    frame = table()[rows].drop(columns=["bought", "price"])
    frame["wait"] = frame["wait"].astype(str)
    frame.to_csv(tmp_path / "new.csv", index=False)
    predicted, notes = predict_file(path, tmp_path / "new.csv")
    expected = pipeline.predict_proba(question.X[rows])
    np.testing.assert_allclose(predicted.iloc[:, 2:], expected, rtol=1e-6)
    assert predicted["code"].tolist() == frame["code"].tolist()
    assert notes == []


def test_missing_values_and_new_categories(classifier, tmp_path):
    path, _, _ = classifier
    frame = table().iloc[:5].assign(color="blue", about=None, size=None, zip=None, member=None)
    frame.drop(columns=["code", "bought", "price"]).to_csv(tmp_path / "new.csv", index=False)
    predicted, notes = predict_file(path, tmp_path / "new.csv")
    np.testing.assert_allclose(predicted.iloc[:, 1:].sum(axis=1), 1)
    assert any("no column 'code'" in note for note in notes)
    assert any("Categories that the model has not seen" in note for note in notes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: f.drop(columns=["size", "zip"]), "has no column 'size', 'zip'"),
        (lambda f: f.assign(size="big"), "column 'size' should hold values of kind 'number'"),
        (lambda f: f.assign(day="soon"), "column 'day' should hold values of kind 'date'"),
        (lambda f: f.iloc[:0], "has no rows"),
    ],
)
def test_files_that_do_not_fit_the_model(change, message, classifier, tmp_path):
    change(table()).to_csv(tmp_path / "new.csv", index=False)
    with pytest.raises(ValueError, match=message):
        predict_file(classifier[0], tmp_path / "new.csv")


def test_predictions_are_written_as_csv(classifier, tmp_path):
    frame = table().iloc[:4]
    frame.to_csv(tmp_path / "new.csv", index=False)
    predictions = predict_file(classifier[0], tmp_path / "new.csv")
    write_predictions(predictions, tmp_path / "out.csv")
    read = pd.read_csv(tmp_path / "out.csv", dtype={"code": str})
    pd.testing.assert_frame_equal(read, predictions.frame, check_dtype=False)
    with pytest.raises(OSError, match="cannot be written"):
        write_predictions(predictions, tmp_path / "nowhere" / "out.csv")


def test_the_card_is_plain_json(saved):
    with zipfile.ZipFile(saved[0]) as archive:
        about = json.loads(archive.read("model.json"))
    assert about["format"] == "mixup-tab model 1"
    assert about["target"] == saved[1].roles.target
