"""Exported files predict what the model does, also in a process without torch."""

import importlib.util
import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.calibration import CalibratedClassifierCV
from sklearn.compose import TransformedTargetRegressor, make_column_transformer
from sklearn.datasets import make_classification
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    VotingRegressor,
)
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Binarizer, FunctionTransformer, OneHotEncoder, StandardScaler
from skorch.callbacks import Callback

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
        return {"X": np.asarray(X, np.float64 if isinstance(X, pd.DataFrame) else None)}
    return {
        name: X[[name]].astype(object).fillna("").to_numpy()
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


@pytest.mark.parametrize(
    "name", ["default", "members", "rescaled", "ensemble", "temperature", "sigmoid"]
)
def test_two_classes(name, tmp_path):
    assert_same(CLASSIFIERS[name].fit(X, y > 0), tmp_path, X)


REGRESSORS = {
    "default": Regressor(),
    "bins": Regressor(embedding="target", n_estimators=2),
    "rescaled": RescaledRegressor(Regressor(n_estimators=2)),
    "ensemble": pack(
        MixupEnsembleRegressor, others=[HistGradientBoostingRegressor(max_iter=3)]
    ),
    "pipeline": make_pipeline(StandardScaler(), Regressor()),
}


@pytest.mark.parametrize("name", REGRESSORS)
def test_regressors(name, tmp_path):
    assert_same(REGRESSORS[name].fit(X, values), tmp_path, X)


def test_several_targets(tmp_path):
    targets = np.stack([values, 1e6 * X[:, 1]], 1)
    assert_same(Regressor(n_estimators=2).fit(X, targets), tmp_path, X)


@pytest.mark.parametrize("steps", [[], [StandardScaler()]])
@pytest.mark.parametrize("targets", [values, np.stack([values, X[:, 4]], 1)])
def test_quantiles(targets, steps, tmp_path):
    net = Regressor(quantiles=[0.1, 0.5, 0.9], n_estimators=2)
    model = make_pipeline(*steps, net).fit(X, targets)
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
    assert_same(Classifier(n_estimators=2).fit(frame, y), tmp_path, frame)


@pytest.mark.parametrize("kind", ["text", "number"])
def test_boosting_splits_categories_beside_nets(kind, tmp_path):
    frame, y = with_categories(kind)
    frame["b"] = frame["b"].where(np.arange(200) % 7 > 0)  # some are missing
    boosting = HistGradientBoostingClassifier(
        max_iter=20, categorical_features=[1], min_samples_leaf=5
    )
    model = pack(MixupEnsembleClassifier, others=[boosting]).fit(frame, y)
    trees = [member for one in model.estimators_ for member in one][-1]
    assert any(tree.nodes["is_categorical"].any() for (tree,) in trees._predictors)
    assert_same(model, tmp_path, frame)


def test_boosting_of_values_beside_nets(tmp_path):
    boosting = HistGradientBoostingRegressor(max_iter=20, min_samples_leaf=5)
    model = pack(MixupEnsembleRegressor, others=[boosting]).fit(X, values)
    assert any(hasattr(one[0], "_predictors") for one in model.estimators_)
    assert_same(model, tmp_path, X)


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
            "day": pd.Timestamp("1960-02-28")
            + pd.to_timedelta(rng.integers(0, 9**9, rows) * 5, unit="s"),
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
    "ResNet10": partial(ResNet10, width=0.05),
    "BCResNet": BCResNet,
    "PreActResNet18": partial(PreActResNet18, width=4),
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


# -------------------------------------------------------------- pipelines of scikit-learn


def test_missing_numbers_are_imputed(tmp_path):
    gaps = np.where(np.random.default_rng(0).random(X.shape) < 0.1, np.nan, X)
    model = make_pipeline(SimpleImputer(add_indicator=True), Classifier()).fit(gaps, y)
    assert_same(model, tmp_path, gaps)


def test_columns_of_text_go_through_encoders_of_scikit_learn(tmp_path):
    frame, y = with_categories("text")
    columns = make_column_transformer(
        (OneHotEncoder(), ["b"]),
        (StandardScaler(), ["c", "a"]),
        verbose_feature_names_out=False,
    )
    frame = frame.astype({"b": str})
    assert_same(make_pipeline(columns, Classifier()).fit(frame, y), tmp_path, frame)


def test_a_forest_beside_nets(tmp_path):
    model = pack(MixupEnsembleClassifier, others=[RandomForestClassifier(5, random_state=0)])
    assert_same(model.fit(X, y), tmp_path, X)


def test_a_table_with_names(tmp_path):
    frame = pd.DataFrame(X, columns=list("abcde"))
    session = assert_same(
        make_pipeline(StandardScaler(), Classifier()).fit(frame, y), tmp_path, frame
    )
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["features"]) == list("abcde")


def test_a_step_that_cannot_be_converted_is_named(tmp_path):
    model = make_pipeline(FunctionTransformer(np.abs), Classifier()).fit(X, y)
    with pytest.raises(ValueError, match="step 'functiontransformer' of the pipeline"):
        export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_columns_may_have_any_names(tmp_path):
    names = ["X", "v1", "c0", "rows", "é ü"]
    frame = pd.DataFrame(X, columns=names).assign(v1=np.where(y == 1, "a", "b"))
    model = make_pipeline(TableEncoder(), Classifier()).fit(frame, y)
    session = session_of(model, tmp_path)
    feeds = {"X": frame[["X"]].to_numpy(), "v1": frame[["v1"]].to_numpy(object)}
    feeds |= {name: frame[[name]].to_numpy() for name in names[2:]}
    found = session.run(None, feeds)[0]
    np.testing.assert_allclose(found, model.predict_proba(frame), atol=1e-5)
    model.fit(frame.rename(columns={"X": "label"}), y)
    with pytest.raises(ValueError, match="column 'label' has the name of an output"):
        export_onnx(model, tmp_path / "other.onnx")


def test_free_text_is_named(tmp_path):
    rng = np.random.default_rng(0)
    words = [" ".join(rng.choice(list("abcdefghij"), 6)) for _ in y]
    frame = pd.DataFrame({"size": X[:, 0], "remark": words})
    model = make_pipeline(TableEncoder(random_state=0), Classifier()).fit(frame, y)
    with pytest.raises(ValueError, match="column 'remark' is free text"):
        export_onnx(model, tmp_path / "model.onnx")


# ------------------------------------------------------------------------- the file


@pytest.fixture(scope="module")
def fitted():
    return Classifier().fit(X, np.array(["a", "b", "c"])[y])


def test_the_file_says_what_it_is(fitted, tmp_path):
    session = session_of(fitted, tmp_path)
    facts = session.get_modelmeta().custom_metadata_map
    assert json.loads(facts["classes"]) == ["a", "b", "c"]
    assert json.loads(facts["features"]) == ["x0", "x1", "x2", "x3", "x4"]
    assert json.loads(facts["output"]) == "probabilities"
    assert "mixup_tab" in facts


def test_classes_can_have_other_names(fitted, tmp_path):
    session = session_of(fitted, tmp_path, labels=["ant", "bee", "cat"])
    probabilities, label = session.run(None, {"X": X})
    assert label.tolist() == np.array(["ant", "bee", "cat"])[probabilities.argmax(1)].tolist()
    with pytest.raises(ValueError, match="labels has 2 names for 3 classes"):
        export_onnx(fitted, tmp_path / "other.onnx", labels=["ant", "bee"])


def test_it_predicts_in_a_process_without_torch(fitted, tmp_path):
    model = pack(MixupEnsembleClassifier).fit(X, y)
    export_onnx(model, tmp_path / "model.onnx")
    np.save(tmp_path / "X.npy", X)
    code = """
import sys
for name in ("torch", "sklearn", "mixup_tab"):
    sys.modules[name] = None
import numpy, onnxruntime
session = onnxruntime.InferenceSession("model.onnx")
numpy.save("found.npy", session.run(["probabilities"], {"X": numpy.load("X.npy")})[0])
"""
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=60)
    found = np.load(tmp_path / "found.npy")
    np.testing.assert_allclose(found, model.predict_proba(X), atol=1e-5)


def test_it_is_not_much_larger_than_the_weights(tmp_path):
    model = MixupClassifier(max_epochs=1, random_state=0).fit(X, y)
    export_onnx(model, tmp_path / "model.onnx")
    weights = sum(4 * weight.numel() for weight in model.net_.module_.parameters())
    assert (tmp_path / "model.onnx").stat().st_size < 1.1 * weights


def test_nothing_is_said_and_the_model_stays(noisy_net, tmp_path, capfd):
    model = MixupClassifier(module=noisy_net, max_epochs=1, random_state=0).fit(X, y)
    model.net_.module_.train()
    before = {name: part.clone() for name, part in model.net_.module_.state_dict().items()}
    capfd.readouterr()
    export_onnx(model, tmp_path / "model.onnx")
    assert capfd.readouterr() == ("", "")
    assert model.net_.module_.training
    for name, part in model.net_.module_.state_dict().items():
        assert torch.equal(part, before[name])


def test_settings_of_torch_do_not_matter(fitted, tmp_path):
    export_onnx(fitted, tmp_path / "plain.onnx")
    torch.set_default_dtype(torch.float64)
    try:
        with torch.autocast("cpu"):
            export_onnx(fitted, tmp_path / "other.onnx")
    finally:
        torch.set_default_dtype(torch.float32)
    assert (tmp_path / "plain.onnx").read_bytes() == (tmp_path / "other.onnx").read_bytes()


# ---------------------------------------------------------------------------- bad input


def test_models_that_cannot_be_exported(tmp_path):
    path = tmp_path / "model.onnx"
    with pytest.raises(NotFittedError):
        export_onnx(Classifier(), path)
    with pytest.raises(TypeError, match="holds no estimator of mixup_tab"):
        export_onnx(LogisticRegression().fit(y[:, None], y), path)
    isotonic = CalibratedClassifierCV(Classifier(), method="isotonic", cv=2).fit(X, y)
    with pytest.raises(ValueError, match="method='isotonic'"):
        export_onnx(isotonic, path)
    with pytest.raises(ValueError, match="labels are for classifiers"):
        export_onnx(Regressor().fit(X, values), path, labels=["a"])
    assert list(tmp_path.iterdir()) == []


class Export(Callback):
    """Exports a model after every epoch of its fit."""

    def __init__(self, path):
        self.path = path

    def on_epoch_end(self, net, **kwargs):
        with pytest.raises(NotFittedError, match="is still being fitted"):
            export_onnx(self.model, self.path)


def test_a_model_that_is_being_fitted_cannot_be_exported(tmp_path):
    callback = Export(tmp_path / "model.onnx")
    callback.model = Classifier(callbacks=[callback])
    callback.model.fit(X, y)
    export_onnx(callback.model, callback.path)


class Bessel(torch.nn.Module):
    """A net with an operation that ONNX lacks."""

    def __init__(self, in_features, out_features):
        super().__init__()
        self.layer = torch.nn.Linear(in_features, out_features)

    def forward(self, x):
        return self.layer(torch.special.bessel_j0(x))


class OwnWay(Bessel):
    """A net that does something else with many rows, which torch cannot see."""

    def forward(self, x):
        return self.layer(x if len(x) < 10 else -x)


def test_operations_that_onnx_lacks_are_named(tmp_path):
    model = MixupClassifier(module=Bessel, max_epochs=1, random_state=0).fit(X[:, ::2], y)
    with pytest.raises(ValueError, match=r"Bessel cannot be exported.*lacks prims\.bessel_j0"):
        export_onnx(model, tmp_path / "model.onnx")


def test_a_file_that_would_predict_something_else_is_not_written(tmp_path):
    model = MixupClassifier(module=OwnWay, max_epochs=1, random_state=0).fit(X[:, ::2], y)
    with pytest.raises(ValueError, match="they differ by"):
        export_onnx(model, tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stays(fitted, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"mine")
    with pytest.raises(ValueError, match="overwrite=True"):
        export_onnx(fitted, path)
    assert path.read_bytes() == b"mine"
    export_onnx(fitted, path, overwrite=True)
    assert path.read_bytes() != b"mine"


def test_a_folder_that_cannot_be_written_is_found_first(fitted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written"):
        export_onnx(fitted, tmp_path / "file" / "model.onnx")


def test_a_missing_extra_is_named(fitted, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ImportError, match=r"mixup-tab\[onnx\]"):
        export_onnx(fitted, tmp_path / "model.onnx")


# -------------------------------------------------------------------------- the example


def test_the_loop_of_the_example_reads_numbers_and_words(tmp_path):
    path = Path(__file__).parents[1] / "examples" / "deploy_onnx.py"
    spec = importlib.util.spec_from_file_location(path.stem, path)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    frame, y = with_categories("text")
    frame.loc[::9, "a"] = np.nan
    for number, (table, model) in enumerate(
        [(frame, make_pipeline(TableEncoder(), Classifier())), (frame[["c"]], Classifier())]
    ):
        model.fit(table, y)
        export_onnx(model, tmp_path / f"{number}.onnx", labels=["no", "yes"])
        table.to_csv(tmp_path / "table.csv", index=False)
        found = example.predict_file(tmp_path / f"{number}.onnx", tmp_path / "table.csv")
        labels, probabilities = zip(*found, strict=True)
        np.testing.assert_allclose(probabilities, model.predict_proba(table), atol=1e-5)
        assert list(labels) == np.where(model.predict(table), "yes", "no").tolist()


def mixed_categories(levels):
    rng = np.random.default_rng(0)
    return pd.DataFrame({"n": X[:, 0], "k": pd.Categorical(rng.choice(levels, len(X)))})


@pytest.mark.parametrize("levels", [["a", "", "b"], [True, False], [True], [3, 5]])
@pytest.mark.parametrize("text", [False, True])
def test_levels_of_all_kinds(levels, text, tmp_path):
    table = mixed_categories(levels)
    if text:  # one input for each column
        table["t"] = pd.Categorical(["", "x"] * (len(X) // 2))
    assert_same(Classifier().fit(table, y), tmp_path, table)


def test_large_labels_are_not_rounded(tmp_path):
    labels = np.array([0, 2**62, 2**63 + 2**20], np.uint64)[y]
    model = Classifier().fit(X, labels)
    label = run(session_of(model, tmp_path), X)[1]
    assert label.tolist() == model.predict(X).astype(str).tolist()


@pytest.mark.parametrize(
    "model",
    [
        MixupSearchCV(Regressor(quantiles=(0.1, 0.9)), {"alpha": [0.1]}, cv=2),
        MixupSearchCV(
            make_pipeline(StandardScaler(), Regressor(quantiles=(0.1, 0.9))),
            {"mixupregressor__alpha": [0.1]},
            cv=2,
        ),
    ],
)
def test_quantiles_of_a_search_in_a_pipeline(model, tmp_path):
    model = make_pipeline(StandardScaler(), model).fit(X, values)
    found = run(session_of(model, tmp_path), X)[0]
    best = model[-1].best_estimator_
    wanted = best.predict(model[:-1].transform(X), quantiles=(0.1, 0.9))
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("model", "target"),
    [
        (TransformedTargetRegressor(Regressor(), transformer=StandardScaler()), values),
        (BaggingRegressor(Regressor(), 2), values),
        (BaggingClassifier(Classifier(), 2), y),
        (VotingRegressor([("a", Regressor())]), values),
    ],
)
def test_what_is_around_a_model_is_named(model, target, tmp_path):
    model = make_pipeline(StandardScaler(), model).fit(X, target)
    for each in (model, model[-1]):
        with pytest.raises(ValueError, match=f"^{type(model[-1]).__name__} cannot be exported"):
            export_onnx(each, tmp_path / "model.onnx")


def test_ensemble_with_a_linear_model(tmp_path):
    linear = make_pipeline(StandardScaler(), LogisticRegression())
    model = pack(MixupEnsembleClassifier, others=[linear]).fit(X, y)
    assert model.weights_[-1] > 0
    assert_same(model, tmp_path, X)


def test_steps_that_onnx_rounds_or_cannot_nest_are_named(tmp_path):
    binary = make_pipeline(Binarizer(), Classifier()).fit(X - X[0], y)  # which has zeros
    with pytest.raises(ValueError, match="converted by skl2onnx: Binarizer"):
        export_onnx(binary, tmp_path / "model.onnx")
    nearest = make_pipeline(KNNImputer(), Classifier()).fit(X, y)
    with pytest.raises(ValueError, match="step 'knnimputer' of the pipeline, KNNImputer"):
        export_onnx(nearest, tmp_path / "model.onnx")


def test_constant_predictions_are_no_error(tmp_path):
    boosting = HistGradientBoostingRegressor(max_iter=3, min_samples_leaf=120)
    model = pack(MixupEnsembleRegressor, others=[boosting])
    target = np.random.default_rng(0).normal(size=len(X))
    assert_same(model.fit(X, target), tmp_path, X)


def test_search_without_a_model(tmp_path):
    search = MixupSearchCV(Classifier(), {"alpha": [0.1]}, cv=2, refit=False).fit(X, y)
    with pytest.raises(ValueError, match="a search with refit=False"):
        export_onnx(search, tmp_path / "model.onnx")


def test_what_is_no_model_is_shown_in_one_line(tmp_path):
    with pytest.raises(TypeError, match=r"^model=.* holds no estimator of mixup_tab") as raised:
        export_onnx(Classifier().fit(X, y).net_, tmp_path / "model.onnx")
    assert "\n" not in str(raised.value)
