"""Exported files predict what the model does, also in a process without torch."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import make_classification, make_regression
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from mixup_tab import (
    MLP,
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupRegressor,
    MixupSearchCV,
    TableEncoder,
)
from mixup_tab.audio import AudioReader, FromWaveform, Spectrogram, SpectrogramLayer
from mixup_tab.estimators import RescaledClassifier, RescaledRegressor
from mixup_tab.nets import VGG11, BCResNet, LeNet, PreActResNet18, ResNet10
from mixup_tab.persistence.onnx_export import export_onnx

pytest.importorskip("onnx", reason="onnx is not installed")
ort = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
pytest.importorskip("skl2onnx", reason="skl2onnx is not installed")

X, y = make_classification(
    120, 5, n_informative=4, n_redundant=0, n_classes=3, n_clusters_per_class=1, random_state=0
)
X = X * [1, 1e3, 1e-3, 5, 1] + [0, 1e6, 0, 0, 2]
values = X[:, 0] + X[:, 3]
QUICK = {"max_epochs": 2, "hidden_layer_sizes": (8,), "random_state": 0}
Classifier, Regressor = partial(MixupClassifier, **QUICK), partial(MixupRegressor, **QUICK)


def session_of(model, folder, **options):
    path = folder / "model.onnx"
    export_onnx(model, path, **options)
    return ort.InferenceSession(path)


def feeds_of(session, X):
    """Return the inputs of a file for rows: one matrix, or each column."""
    names = [(value.name, value.type) for value in session.get_inputs()]
    if [name for name, _ in names] == ["X"]:
        return {"X": np.asarray(X)}
    return {
        name: X[[name]].fillna("").to_numpy(object)
        if "string" in kind
        else X[[name]].to_numpy(np.float64)
        for name, kind in names
    }


def run(session, X):
    return session.run(None, feeds_of(session, X))


def assert_same(model, folder, X, atol=1e-5):
    session = session_of(model, folder)
    for rows in (X, X[:1]):  # any number of rows
        found = run(session, rows)
        if hasattr(model, "predict_proba"):
            np.testing.assert_allclose(found[0], model.predict_proba(rows), atol=atol)
            assert found[1].tolist() == np.asarray(model.predict(rows)).tolist()
        else:
            np.testing.assert_allclose(found[0], model.predict(rows), rtol=1e-5, atol=atol)
    return session


def pack(kind, **params):
    quick = {"max_epochs": 2, "hidden_layer_sizes": (6,)}
    nets = [{**quick, "embedding": name} for name in ("target", "periodic", "none")]
    return kind(candidates=[*nets, *params.pop("others", [])], cv=2, random_state=0, **params)


CLASSIFIERS = {
    "default": Classifier(),
    "no embedding": Classifier(embedding="none"),
    "quantile": Classifier(embedding="quantile", hidden_layer_sizes=()),
    "periodic": Classifier(embedding="periodic", hidden_layer_sizes=(8, 8)),
    "members": Classifier(n_estimators=3),
    "rescaled": RescaledClassifier(Classifier(mixing="mixup", n_estimators=2)),
    "MLP as module": Classifier(module=MLP, n_estimators=2),
    "ensemble": pack(MixupEnsembleClassifier),
    "temperature": CalibratedClassifierCV(Classifier(), method="temperature", cv=2),
    "sigmoid": CalibratedClassifierCV(Classifier(n_estimators=2), cv=2),
    "frozen": CalibratedClassifierCV(
        FrozenEstimator(Classifier().fit(X, y)), method="temperature"
    ),
    "search": MixupSearchCV(Classifier(), {"alpha": [0.1]}, cv=2),
    "pipeline": make_pipeline(StandardScaler(), Classifier()),
    "calibrated pipeline": CalibratedClassifierCV(
        make_pipeline(SimpleImputer(), Classifier()), method="temperature", cv=2
    ),
}


@pytest.mark.parametrize("name", CLASSIFIERS)
@pytest.mark.filterwarnings("ignore:The number of unique classes")
def test_classifiers(name, tmp_path):
    assert_same(CLASSIFIERS[name].fit(X, y), tmp_path, X)


@pytest.mark.parametrize("name", ["default", "members", "rescaled", "ensemble", "temperature", "sigmoid"])
def test_two_classes(name, tmp_path):
    assert_same(CLASSIFIERS[name].fit(X, y > 0), tmp_path, X)


REGRESSORS = {
    "default": Regressor(),
    "bins": Regressor(embedding="target", n_estimators=2),
    "rescaled": RescaledRegressor(Regressor(n_estimators=2)),
    "ensemble": pack(MixupEnsembleRegressor, others=[HistGradientBoostingRegressor(max_iter=3)]),
    "pipeline": make_pipeline(StandardScaler(), Regressor()),
}


@pytest.mark.parametrize("name", REGRESSORS)
@pytest.mark.parametrize("targets", [values, np.stack([values, 1e6 * X[:, 1]], 1)])
def test_regressors(name, targets, tmp_path):
    if name == "ensemble" and targets.ndim == 2:
        pytest.skip("gradient boosting has one target")
    assert_same(REGRESSORS[name].fit(X, targets), tmp_path, X)


@pytest.mark.parametrize("targets", [values, np.stack([values, X[:, 4]], 1)])
def test_quantiles(targets, tmp_path):
    model = Regressor(quantiles=[0.1, 0.5, 0.9], n_estimators=2).fit(X, targets)
    session = session_of(model, tmp_path)
    wanted = model.predict(X, quantiles=[0.1, 0.5, 0.9])
    np.testing.assert_allclose(run(session, X)[0], wanted, rtol=1e-5, atol=1e-5)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["quantiles"]) == [0.1, 0.5, 0.9]
    assert json.loads(facts["output"]) == session.get_outputs()[0].name == "quantiles"


def with_categories(kind):
    """Return a table with a category of a dtype, and labels that depend on it."""
    rng = np.random.default_rng(0)
    levels = {"text": ["low", "mid", "high"], "number": [3.0, 7.0, 5.5], "code": [0, 1, 2]}
    found = rng.choice(levels[kind], 200)
    frame = pd.DataFrame({"a": rng.normal(size=200), "b": found, "c": rng.normal(size=200)})
    y = (frame["a"] + (frame["b"] == levels[kind][1]) > 0.3).to_numpy()
    return frame.astype({"b": "category"}), y


@pytest.mark.parametrize("kind", ["text", "number", "code"])
def test_categories(kind, tmp_path):
    frame, y = with_categories(kind)
    boosting = HistGradientBoostingClassifier(max_iter=5, categorical_features=[1])
    ensemble = pack(MixupEnsembleClassifier, others=[boosting])
    for number, model in enumerate([Classifier(n_estimators=2), ensemble]):
        (tmp_path / str(number)).mkdir()
        model.fit(frame, y)
        if number:
            assert model.estimators_
        assert_same(model, tmp_path / str(number), frame)


def test_unknown_and_missing_categories_have_no_level(tmp_path):
    frame, y = with_categories("text")
    model = Classifier().fit(frame, y)
    session = session_of(model, tmp_path)
    odd = frame[:2].astype({"b": object})
    odd["b"] = ["other", None]
    found = run(session, odd)[0]
    np.testing.assert_allclose(found, model.predict_proba(odd), atol=1e-5)


def raw_table():
    """Return a table with all that TableEncoder knows but free text."""
    rng = np.random.default_rng(0)
    rows = 300
    size = rng.normal(50, 9, rows)
    size[::7] = np.nan
    codes = rng.choice([f"c{k}" for k in range(40)], rows)
    color = rng.choice(["red", "blue", "green", None], rows, p=[0.5, 0.3, 0.1, 0.1])
    frame = pd.DataFrame(
        {
            "size": size,
            "share": [f"{v} %" for v in rng.integers(0, 99, rows)],
            "code": codes,
            "day": pd.Timestamp("1960-02-28") + pd.to_timedelta(rng.integers(0, 9**9, rows) * 5, unit="s"),
            "color": color,
            "took": pd.to_timedelta(rng.integers(0, 9**5, rows), unit="s"),
            "id": [f"id{k}" for k in range(rows)],
            "flag": rng.random(rows) > 0.5,
            "none": 1.0,
        }
    )
    y = np.where(frame["size"].fillna(55) + 9 * (frame["color"] == "red") > 55, "yes", "no")
    return frame, y


def as_inputs(frame):
    """Return a table as numbers and words, as the guide says."""
    seconds = (frame["day"] - pd.Timestamp("1970-01-01")) / pd.Timedelta(seconds=1)
    share = frame["share"].str.removesuffix(" %").astype(float)
    took = frame["took"] / pd.Timedelta(seconds=1)
    return frame.assign(day=seconds, share=share, took=took)


@pytest.mark.parametrize("categories", ["category", "one-hot"])
@pytest.mark.parametrize("name", ["default", "ensemble", "temperature"])
def test_raw_tables(name, categories, tmp_path):
    frame, y = raw_table()
    encoder = TableEncoder(categories, random_state=0)
    if name == "temperature":
        model = make_pipeline(encoder, Classifier())
        model = CalibratedClassifierCV(model, method="temperature", cv=2)
    else:
        model = make_pipeline(encoder, CLASSIFIERS[name])
    model.fit(frame, y)
    session = session_of(model, tmp_path)
    found, label = run(session, as_inputs(frame))
    np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-5)
    assert label.tolist() == model.predict(frame).tolist()


def test_dates_are_read_as_in_python(tmp_path):
    days = pd.date_range("1896-02-20", "2104-03-05", freq="35h")
    frame = pd.DataFrame({"when": days, "x": np.arange(len(days)) % 7.0})
    month_ends = days.month.isin([2, 7]) & (days.hour > 12) ^ (days.day_of_week == 6)
    model = make_pipeline(TableEncoder(), Classifier(max_epochs=1)).fit(frame, month_ends)
    seconds = (frame["when"] - pd.Timestamp("1970-01-01")) / pd.Timedelta(seconds=1)
    found = run(session_of(model, tmp_path), frame.assign(when=seconds))[0]
    np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-5)


# ------------------------------------------------------------------ nets of other shapes

pictures = np.random.default_rng(0).normal(size=(12, 1, 32, 32)).astype(np.float32)
kinds = np.arange(12) % 3
NETS = {
    "LeNet": LeNet,
    "VGG11": partial(VGG11, width=0.05),
    "ResNet10": partial(ResNet10, width=4),
    "BCResNet": BCResNet,
    "PreActResNet18": partial(PreActResNet18, width=4, channels=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_nets_for_pictures(name, tmp_path):
    model = MixupClassifier(module=NETS[name], max_epochs=1, random_state=0)
    assert_same(model.fit(pictures, kinds), tmp_path, pictures)


def test_a_net_of_the_users(noisy_net, tmp_path):
    model = MixupClassifier(module=noisy_net, n_estimators=2, max_epochs=1, random_state=0)
    assert_same(make_pipeline(StandardScaler(), model).fit(X, y), tmp_path, X)


def test_a_rescaled_net_of_the_users(noisy_net, tmp_path):
    model = RescaledRegressor(MixupRegressor(module=noisy_net, max_epochs=1, random_state=0))
    Z = StandardScaler().fit_transform(X)
    assert_same(model.fit(Z, values), tmp_path, Z)


clips = (np.random.default_rng(0).normal(size=(9, 4000)) * 3000).astype(np.int16)
sounds = partial(FromWaveform, net=partial(BCResNet, tau=1))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["log", "power", "mel"])
def test_waveforms(kind, tmp_path):
    module = partial(sounds, spectrogram=SpectrogramLayer(kind=kind))
    model = MixupClassifier(module=module, max_epochs=1, random_state=0)
    model.fit(clips, np.arange(9) % 3)
    assert_same(model, tmp_path, clips)


@pytest.mark.slow
def test_a_pipeline_of_sound_files(tmp_path):
    soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")
    paths = [str(tmp_path / f"{k}.wav") for k in range(9)]
    for path, clip in zip(paths, clips, strict=True):
        soundfile.write(path, clip, 16_000)
    model = make_pipeline(
        AudioReader(seconds=0.25, dtype="float32"),
        Spectrogram(kind="mel"),
        MixupClassifier(module=LeNet, max_epochs=1, random_state=0),
    ).fit(paths, np.arange(9) % 3)
    session = session_of(model, tmp_path)
    waveforms = AudioReader(seconds=0.25, dtype="float32").transform(paths)
    found = session.run(None, {"X": waveforms})[0]
    np.testing.assert_allclose(found, model.predict_proba(paths), atol=1e-5)
    facts = session.get_modelmeta().custom_metadata_map
    assert (facts["sample_rate"], facts["samples"]) == ("16000", "4000")
