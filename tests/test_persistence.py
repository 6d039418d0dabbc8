"""Model files: the same bits again, no pickle, nothing foreign, one clear error."""

import copy
import functools
import io
import json
import os
import subprocess
import sys
import zipfile
from datetime import timedelta, timezone
from decimal import Decimal

import joblib
import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import sklearn
import skrub
import torch
from hostile import archive, members, sealed
from sklearn.base import is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, LeaveOneOut, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from skorch.callbacks import Callback
from torch import nn

from mixup_tab import (
    MLP,
    Mixup,
    MixupClassifier,
    MixupEnsembleClassifier,
    MixupEnsembleRegressor,
    MixupNet,
    MixupRegressor,
    MixupSearchCV,
    RegMixup,
    TableEncoder,
)
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.fitting import Setting, make_net
from mixup_tab.compare.predict import predict_file
from mixup_tab.compare.saving import load_model as load_table_model
from mixup_tab.compare.saving import save_model as save_table_model
from mixup_tab.compare.task import prepare
from mixup_tab.estimators import RescaledClassifier, RescaledRegressor
from mixup_tab.nets import LeNet, ResNet10
from mixup_tab.persistence import load_model, read_model, save_model
from mixup_tab.training import LearningRate

ROWS = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=(ROWS, 4))
LABELS = np.where(X[:, 0] * X[:, 1] > 0, "yes", "nö")
VALUES = X[:, 0] * X[:, 1]
FEW = {"hidden_layer_sizes": (8,), "max_epochs": 2, "random_state": 0}
PLAIN = {**FEW, "mixing": "mixup", "alpha": 0.3}


class Linear(nn.Module):
    """A net of the user's."""

    def __init__(self, in_features, out_features, *, width=3, sizes=(2,)):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(in_features, width), nn.ReLU(), nn.Linear(width, out_features)
        )

    def forward(self, x):
        return self.net(x)


def make_linear(in_features, out_features):
    """A function of the user's."""
    return Linear(in_features, out_features)


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


def with_categories():
    """A DataFrame of numbers and two columns of categories."""
    frame = pd.DataFrame(X[:, :2], columns=["size", "price"])
    color = pd.Categorical(np.where(X[:, 2] > 0, "red", "green"))
    return frame.assign(color=color, code=pd.Categorical(np.arange(ROWS) % 4))


def outputs(model, X):
    names = [name for name in ("predict_proba", "predict") if hasattr(model, name)]
    return [getattr(model, name)(X) for name in names]


def saved_and_loaded(model, X, path, **options):
    """Return a model after a round trip, having seen that it predicts the same bits."""
    before = outputs(model, X)
    save_model(model, path)
    again = load_model(path, **options)
    for loaded, same, expected in zip(
        outputs(again, X), outputs(model, X), before, strict=True
    ):
        np.testing.assert_array_equal(loaded, expected)
        np.testing.assert_array_equal(same, expected)  # saving leaves it as it was
    assert type(again) is type(model)
    assert os.listdir(path.parent) == [path.name]
    return again


# ----------------------------------------------------------------------- every estimator


def classifier(**params):
    return MixupClassifier(**{**FEW, **params})


def calibrated(method):
    return CalibratedClassifierCV(classifier(), method=method, cv=2)


MODELS = {
    "classifier": classifier(),
    "alpha from folds": classifier(alpha="auto", class_weight={"yes": 1, "nö": 2.5}),
    "several nets": classifier(n_estimators=3, dropout=0.2),
    "early stopping": classifier(early_stopping=True, batch_size=16),
    "no hidden layer": classifier(hidden_layer_sizes=()),
    "the paper's": MixupClassifier.from_paper(max_epochs=2),
    "a rule": classifier(mixing=RegMixup(Mixup(folded=True))),
    "generator": classifier(random_state=np.random.RandomState(0), device="cpu"),
    "regressor": MixupRegressor(**FEW),
    "quantiles": MixupRegressor(quantiles=(0.1, 0.5, 0.9), **FEW),
    "ensemble": MixupEnsembleClassifier(3, cv=2, random_state=0, n_jobs=2),
    "ensemble of values": MixupEnsembleRegressor(2, cv=2, random_state=0),
    "ensemble of dicts": MixupEnsembleClassifier(
        candidates=[{"max_epochs": 2, "hidden_layer_sizes": ()}, {"module": MLP}],
        cv=2,
        random_state=0,
    ),
    "rescaled": RescaledClassifier(MixupClassifier(**PLAIN)),
    "rescaled values": RescaledRegressor(MixupRegressor(**PLAIN)),
    "pipeline": make_pipeline(TableEncoder(), classifier()),
    "sigmoid": calibrated("sigmoid"),
    "isotonic": calibrated("isotonic"),
    "temperature": calibrated("temperature"),
    "search in a pipeline": make_pipeline(
        TableEncoder(), MixupSearchCV(classifier(), {"alpha": [0, 0.5]}, cv=2)
    ),
    "search of a meta-estimator, calibrated": CalibratedClassifierCV(
        MixupSearchCV(
            RescaledClassifier(MixupClassifier(**PLAIN)), {"estimator__alpha": [0.5]}, cv=2
        ),
        cv=2,
    ),
    "ensemble in a pipeline, calibrated": CalibratedClassifierCV(
        make_pipeline(TableEncoder(), MixupEnsembleClassifier(2, cv=2, random_state=0)), cv=2
    ),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_loaded_model_predicts_the_same_bits(model, tmp_path):
    target = LABELS if is_classifier(model) else VALUES
    again = saved_and_loaded(model.fit(X, target), X, tmp_path / "m")
    assert again.get_params().keys() == model.get_params().keys()
    assert again.score(X, target) == model.score(X, target)


def test_a_frozen_model_that_is_calibrated_is_stored_once(tmp_path):
    inner = classifier().fit(X, LABELS)
    model = CalibratedClassifierCV(FrozenEstimator(inner)).fit(X, LABELS)
    again = saved_and_loaded(model, X, tmp_path / "m")
    assert again.estimator.estimator is again.calibrated_classifiers_[0].estimator.estimator
    names = safetensors.torch.load(
        members((tmp_path / "m").read_bytes())["weights.safetensors"]
    )
    assert {name.partition(".")[0] for name in names} == {"0"}


def test_quantiles_of_a_loaded_model_are_the_same(tmp_path):
    model = MODELS["quantiles"].fit(X, np.stack([VALUES, -VALUES], axis=1))
    save_model(model, tmp_path / "m")
    for levels in ((0.1, 0.9), (0.5,)):
        expected = model.predict(X, quantiles=levels)
        again = load_model(tmp_path / "m").predict(X, quantiles=levels)
        np.testing.assert_array_equal(again, expected)


@pytest.mark.parametrize("kind", [MixupClassifier, MixupRegressor])
@pytest.mark.parametrize("embedding", ["none", "quantile", "target", "periodic"])
@pytest.mark.parametrize("part", [slice(None), slice(2), slice(2, None)], ids=str)
def test_embeddings_and_categories_are_saved(kind, embedding, part, tmp_path):
    frame = with_categories().iloc[:, part]
    model = kind(0.3, embedding=embedding, **FEW).fit(frame, VALUES > 0)
    again = saved_and_loaded(model, frame, tmp_path / "m")
    assert again.embedding_ == embedding
    with pytest.raises(ValueError, match="feature names should match"):
        again.predict(frame.rename(columns=str.upper))


INPUTS = {
    "single": X.astype(np.float32),
    "int16": (100 * X).astype(np.int16),
    "beyond 2 to the 53": (1e3 * X).astype(np.int64) + 2**60,
    "truth values": X > 0,
    "list": X.tolist(),
    "DataFrame": pd.DataFrame(X, columns=list("abcd")),
    "integers of pandas": pd.DataFrame((100 * X).astype(int)).astype("Int64"),
}


@pytest.mark.parametrize("rows", INPUTS.values(), ids=INPUTS)
@pytest.mark.parametrize("embedding", ["none", "target"])
def test_rows_of_any_dtype_are_predicted_the_same(rows, embedding, tmp_path):
    model = classifier(embedding=embedding).fit(rows, LABELS)
    saved_and_loaded(model, rows, tmp_path / "m")


def test_a_model_of_a_stream_is_saved_and_can_be_trained_further(tmp_path):
    model = MixupClassifier(hidden_layer_sizes=(4,), random_state=0)
    for rows in (slice(40), slice(20, None)):
        model.partial_fit(X[rows], LABELS[rows], classes=["nö", "yes"])
    again = saved_and_loaded(model, X, tmp_path / "m")
    again.partial_fit(X, LABELS)
    assert (again.predict_proba(X) != model.predict_proba(X)).any()


def test_parameters_that_are_changed_after_the_fit_do_not_matter(tmp_path):
    model = classifier(n_estimators=2).fit(X, LABELS)
    model.set_params(n_estimators=5, hidden_layer_sizes=(3, 3), batch_size=7, max_epochs=9)
    again = saved_and_loaded(model, X, tmp_path / "m")
    assert again.get_params() == {**model.get_params(), "device": "cpu"}


def test_what_only_matters_for_training_is_not_stored(tmp_path):
    model = classifier(callbacks=[LearningRate("constant")], device="cpu")
    model = Pipeline([("net", model)], memory=str(tmp_path)).fit(X, LABELS)
    search = MixupSearchCV(model, {"net__alpha": [0.3]}, cv=2, n_jobs=2).fit(X, LABELS)
    with sklearn.config_context(enable_metadata_routing=True):
        search.best_estimator_[-1].set_fit_request(sample_weight=True)
    save_model(search, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert again.n_jobs is None
    assert again.best_estimator_.memory is None
    assert again.best_estimator_[-1].callbacks is None
    assert model[-1].callbacks


# ------------------------------------------------------------------------------- searches


@pytest.mark.parametrize(
    "options",
    [
        {"scoring": "neg_log_loss", "cv": 2, "return_train_score": True},
        {"cv": StratifiedKFold(3, shuffle=True, random_state=np.random.RandomState(0))},
        {"scoring": ["accuracy", "roc_auc"], "refit": "roc_auc", "cv": 2},
    ],
)
def test_a_search_keeps_what_it_found(options, tmp_path):
    grid = {
        "alpha": [0, 0.5],
        "mixing": ["mixup", Mixup(folded=True)],
        "hidden_layer_sizes": [(4,)],
    }
    search = MixupSearchCV(classifier(), [grid, {"dropout": [0.1]}], **options)
    search.fit(X, LABELS)
    again = saved_and_loaded(search, X, tmp_path / "m")
    assert again.score(X, LABELS) == search.score(X, LABELS)
    for name in ("best_params_", "best_score_", "best_index_", "n_splits_", "multimetric_"):
        assert getattr(again, name) == getattr(search, name)
    assert again.classes_.tolist() == search.classes_.tolist()
    pd.testing.assert_frame_equal(
        pd.DataFrame(again.cv_results_), pd.DataFrame(search.cv_results_)
    )
    assert again.cv_results_["param_dropout"].mask.tolist() == [True] * 4 + [False]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"cv": LeaveOneOut()}, "cv=LeaveOneOut()"),
        ({"scoring": lambda model, X, y: 1.0}, "scoring=<function"),
        ({"refit": lambda results: 0}, "refit=<function"),
    ],
)
def test_what_a_search_cannot_store_is_named(options, named, tmp_path):
    search = MixupSearchCV(classifier(max_epochs=1), {"alpha": [0]}, **{"cv": 2, **options})
    search.fit(X[:6], np.array(list("ababab")))
    with pytest.raises(ValueError, match=r"cannot be saved\. Save its best model") as error:
        save_model(search, tmp_path / "m")
    assert named in str(error.value)
    saved_and_loaded(search.best_estimator_, X, tmp_path / "best")


def test_a_search_of_scikit_learn_is_named(tmp_path):
    search = GridSearchCV(classifier(), {"alpha": [0]}, cv=2).fit(X, LABELS)
    with pytest.raises(ValueError, match="a GridSearchCV of scikit-learn cannot be saved"):
        save_model(search, tmp_path / "m")


# ---------------------------------------------------------------------- modules of the user's

IMAGES = RNG.normal(size=(12, 1, 28, 28)).astype(np.float32)
MODULES = {
    "class": (Linear, X, [Linear]),
    "function": (make_linear, X, [make_linear]),
    "partial": (functools.partial(Linear, width=5, sizes=(2, 3)), X, [Linear]),
    "ours": (functools.partial(MLP, hidden_layer_sizes=(4,)), X, []),
    "images": (LeNet, IMAGES, []),
    "wide images": (functools.partial(ResNet10, width=0.1), IMAGES, []),
}


@pytest.mark.parametrize(("module", "rows", "given"), MODULES.values(), ids=MODULES)
@pytest.mark.parametrize("n_estimators", [1, 2])
def test_modules_are_stored_by_name(module, rows, given, n_estimators, tmp_path):
    model = classifier(module=module, n_estimators=n_estimators).fit(rows, LABELS[: len(rows)])
    again = saved_and_loaded(model, rows, tmp_path / "m", modules=given)
    assert again.net_.batch_size == model.net_.batch_size
    if not isinstance(module, functools.partial):
        assert again.module is module
    else:
        assert (again.module.func, again.module.keywords) == (module.func, module.keywords)


def test_a_module_that_is_not_given_is_named_and_nothing_is_imported(tmp_path):
    save_model(classifier(module=Linear).fit(X, LABELS), tmp_path / "m")
    with pytest.raises(ValueError, match=r"needs 'Linear', a module .* load_model\(path, mod"):
        load_model(tmp_path / "m")

    def linear(in_features, out_features):
        return nn.Linear(in_features, out_features)

    linear.__name__ = "Linear"
    with pytest.raises(ValueError, match="its weights are those of another net"):
        load_model(tmp_path / "m", modules=[linear])
    with pytest.raises(ValueError, match="modules holds two named 'Linear'"):
        load_model(tmp_path / "m", modules=[linear, Linear])
    with pytest.raises(TypeError, match=r"modules must hold nn\.Module classes and"):
        load_model(tmp_path / "m", modules=[Linear(2, 3)])


class Halfway(Mixup):
    """A rule of the user's."""


class Noted(nn.Linear):
    """A net that keeps more than tensors."""

    def __init__(self, in_features, out_features):
        super().__init__(in_features, out_features)

    def get_extra_state(self):
        return {"a": 1}

    def set_extra_state(self, state):
        pass


@pytest.mark.parametrize(
    ("params", "message"),
    [
        (
            {"mixing": Halfway()},
            "holds test_persistence.Halfway, which is not allowed in a saved",
        ),
        ({"module": functools.partial(Linear, sizes=nn.ReLU())}, "it holds torch.nn.*ReLU"),
        ({"module": Noted}, "the state '_extra_state' of module=.*Noted"),
    ],
)
def test_what_would_not_be_opened_again_is_not_saved(params, message, tmp_path):
    model = classifier(**params).fit(X, LABELS)
    with pytest.raises(ValueError, match=message):
        save_model(model, tmp_path / "m")
    assert not os.listdir(tmp_path)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_model_of_a_gpu_is_loaded_where_there_is_none(tmp_path):
    model = MixupEnsembleClassifier(2, cv=2, random_state=0, device="cuda").fit(X, LABELS)
    save_model(model, tmp_path / "m")
    there = load_model(tmp_path / "m", device="cuda")
    np.testing.assert_array_equal(there.predict_proba(X), model.predict_proba(X))
    again = load_model(tmp_path / "m")
    assert (again.device, again.estimators_[0][0].net_.device) == ("cpu", "cpu")
    np.testing.assert_allclose(again.predict_proba(X), model.predict_proba(X), rtol=1e-4)


def test_the_device_of_all_estimators_is_the_one_that_is_asked_for(tmp_path):
    model = CalibratedClassifierCV(classifier(device=torch.device("cpu")), cv=2)
    save_model(model.fit(X, LABELS), tmp_path / "m")
    again = load_model(tmp_path / "m", device="auto")
    assert again.estimator.device == "auto"
    with pytest.raises(ValueError, match=r"^device='abacus' cannot be used here"):
        load_model(tmp_path / "m", device="abacus")


# --------------------------------------------------------------------------------- the file

ABOUT = {"target": "bought", "classes": ["ja", "naïve"], "rows": {"n": 3, "x": None}}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    model = make_pipeline(TableEncoder(random_state=0), classifier(device="cpu"))
    path = tmp_path_factory.mktemp("models") / "model.mixup"
    save_model(model.fit(table(), LABELS), path, about=ABOUT)
    return path, model


def test_the_file_says_what_it_is_and_holds_no_pickle(saved):
    path, pipeline = saved
    model = read_model(path)
    assert (model.name, model.about) == ("model.mixup", ABOUT)
    assert model.versions["skrub"] == skrub.__version__
    assert np.array_equal(model.load().predict_proba(table()), pipeline.predict_proba(table()))
    with zipfile.ZipFile(path) as file:
        names = ["model.json", "model.skops", "sha256", "weights.safetensors"]
        assert sorted(file.namelist()) == names
        assert json.loads(file.read("model.json"))["format"] == "mixup-tab model 3"
        with zipfile.ZipFile(io.BytesIO(file.read("model.skops"))) as inner:
            for name in inner.namelist():
                assert name.endswith((".json", ".npy"))
                if name.endswith(".npy"):
                    np.load(io.BytesIO(inner.read(name)), allow_pickle=False)


LOAD = """
import sys
from mixup_tab.persistence import load_model
load_model(sys.argv[1]).predict([[0.0, 1, 2, 3]])
print(*[name for name in ("skops", "skrub", "torch._dynamo") if name in sys.modules])
"""


def test_loading_imports_nothing_that_takes_as_long_as_torch(tmp_path):
    save_model(classifier().fit(X, LABELS), tmp_path / "m")
    call = [sys.executable, "-c", LOAD, tmp_path / "m"]
    assert subprocess.run(call, capture_output=True, text=True, check=True).stdout == "\n"


def test_the_same_model_gives_the_same_bytes(saved, tmp_path):
    path, pipeline = saved
    for number, again in enumerate((pipeline, load_model(path))):
        save_model(again, tmp_path / str(number), about=ABOUT)
        assert (tmp_path / str(number)).read_bytes() == path.read_bytes()


def with_member(path, member, content, target):
    """Write a copy of a model with one part replaced, and a right hash."""
    target.write_bytes(sealed({**members(path.read_bytes()), member: content}))
    return target


def test_an_existing_file_is_only_replaced_where_that_is_asked_for(saved, tmp_path):
    model, path = classifier().fit(X, LABELS), tmp_path / "m"
    path.write_bytes(saved[0].read_bytes())
    with pytest.raises(ValueError, match=r"m' exists\. .*overwrite=True"):
        save_model(model, path)
    with pytest.raises(ValueError, match="exists"):  # before anything else
        save_model(None, path)
    save_model(model, path, overwrite=True)
    (tmp_path / "clip.wav").write_bytes(b"RIFF")
    with pytest.raises(ValueError, match="exists and is not a model"):
        save_model(model, tmp_path / "clip.wav", overwrite=True)
    assert (tmp_path / "clip.wav").read_bytes() == b"RIFF"
    assert load_model(path).predict(X).tolist() == model.predict(X).tolist()


def test_a_place_that_cannot_be_written_is_refused_before_any_work(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for place in (tmp_path, tmp_path / "file" / "m"):
        with pytest.raises(OSError, match="cannot be written"):
            save_model(None, place)


@pytest.mark.parametrize(
    ("model", "error", "message"),
    [
        (classifier(), NotFittedError, "This MixupClassifier instance is not fitted yet"),
        (make_pipeline(TableEncoder(), classifier()), NotFittedError, "not fitted"),
        (MixupClassifier, TypeError, "model must be a fitted estimator"),
        (MixupNet(MLP), TypeError, "model must be a fitted estimator"),
        (None, TypeError, "model must be a fitted estimator such as MixupClassifier, got None"),
    ],
)
def test_what_is_no_fitted_estimator_is_refused(model, error, message, tmp_path):
    with pytest.raises(error, match=message):
        save_model(model, tmp_path / "m")
    assert not os.listdir(tmp_path)


class Save(Callback):
    """Tries to save the model that is being trained."""

    def __init__(self, path):
        self.path, self.model, self.errors = path, None, []

    def on_epoch_end(self, net, **kwargs):
        for thing in (self.model, net):
            with pytest.raises((NotFittedError, TypeError)) as error:
                save_model(thing, self.path)
            self.errors.append(error.type)


def test_a_model_in_training_is_refused(tmp_path):
    callback = Save(tmp_path / "m")
    callback.model = classifier(max_epochs=1, callbacks=[callback])
    callback.model.fit(X, LABELS)
    assert callback.errors == [NotFittedError, TypeError]


@pytest.mark.parametrize("about", [{"x": {1, 2}}, {"x": X}, {("a",): 1}])
def test_about_is_plain_json(about, tmp_path):
    with pytest.raises(TypeError, match="about must be plain JSON"):
        save_model(classifier().fit(X, LABELS), tmp_path / "m", about=about)


def test_files_that_are_no_model_are_one_clear_error(saved, tmp_path):
    path, _ = saved
    with pytest.raises(ValueError, match=r"nothing' is not a file\. Name a model"):
        read_model(tmp_path / "nothing")
    head = json.loads(zipfile.ZipFile(path).read("model.json"))
    heads = [[1, 2], {}, head | {"format": "x"}, head | {"versions": 1}]
    heads += [{"format": head["format"]}, head | {"about": 1}]
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
        with pytest.raises(
            ValueError, match="'bad' is not a model of mixup-tab, or is damaged"
        ):
            read_model(bad)


@pytest.mark.parametrize(
    ("about", "message"),
    [
        ({"kind": "sound"}, r"for sounds, not for tables\. Use mixup-tab speech predict"),
        ({"kind": "x"}, "was saved in Python, without a description of columns"),
        ({}, "was saved in Python, without a description of columns"),
        ({"kind": "table"}, r"cannot be loaded here \(TypeError: .*target"),
    ],
)
def test_a_model_that_is_not_for_files_of_tables_says_so(about, message, tmp_path):
    save_model(classifier().fit(X, LABELS), tmp_path / "m", about=about)
    with pytest.raises(ValueError, match=message):
        load_table_model(tmp_path / "m")


def write_pickle(path):
    joblib.dump({"a": 1}, path)


def write_torch(path):
    torch.save({"a": torch.ones(3)}, path)


def write_onnx(path):
    import onnx

    one = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    node = onnx.helper.make_node("Identity", ["x"], ["y"])
    onnx.save(onnx.helper.make_model(onnx.helper.make_graph([node], "g", [one], [one])), path)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (write_pickle, "is a pickle, which could run any code"),
        (write_torch, "is a pickle, which could run any code"),
        (write_onnx, "is an ONNX file. Run it with onnxruntime"),
    ],
)
def test_files_of_other_formats_are_recognised(write, message, tmp_path):
    if write is write_onnx:
        pytest.importorskip("onnx")
    write(tmp_path / "m")
    with pytest.raises(ValueError, match=message):
        load_model(tmp_path / "m")


@pytest.mark.parametrize(
    ("number", "message"),
    [(1, "an older .*Train and save it again"), (2, "an older"), (4, "a newer .*Upgrade")],
)
def test_other_versions_of_the_format_are_told_apart(number, message, saved, tmp_path):
    head = json.loads(members(saved[0].read_bytes())["model.json"])
    head["format"] = f"mixup-tab model {number}"
    parts = {"model.json": json.dumps(head).encode(), "of another name": b"weights"}
    (tmp_path / "m").write_bytes(sealed(parts))
    with pytest.raises(ValueError, match=f"'m' was written by {message}"):
        load_model(tmp_path / "m")


@pytest.mark.parametrize("member", ["weights.safetensors", "model.skops"])
def test_a_model_that_cannot_be_put_together(member, saved, tmp_path):
    path = with_member(saved[0], member, b"hello", tmp_path / "bad")
    with pytest.raises(ValueError, match=r"'bad' cannot be loaded here \(.*\)\. Train"):
        load_model(path)


def test_a_model_of_other_versions_says_what_made_it(saved, tmp_path):
    head = json.loads(members(saved[0].read_bytes())["model.json"])
    head["versions"]["skrub"] = "0.1"
    path = with_member(saved[0], "model.json", json.dumps(head).encode(), tmp_path / "old")
    expected = saved[1].predict_proba(table())
    assert np.array_equal(load_model(path).predict_proba(table()), expected)
    bad = with_member(path, "model.skops", b"", tmp_path / "bad")
    with pytest.raises(ValueError, match=r"It was saved with mixup-tab .*skrub 0\.1.*; this"):
        load_model(bad)


def test_without_safetensors_the_pip_line_is_given(saved, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors.torch", None)
    for call in (
        lambda: load_model(saved[0]),
        lambda: save_model(saved[1], tmp_path / "m"),
    ):
        with pytest.raises(ImportError, match=r'pip install "mixup-tab\[models\]"'):
            call()
    assert not os.listdir(tmp_path)


def test_a_failed_save_leaves_the_old_file(saved, tmp_path, monkeypatch):
    old = tmp_path / "model"
    old.write_bytes(saved[0].read_bytes())

    def fail(*paths):
        raise OSError(28, "full")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match=r"cannot be written \(full\)"):
        save_model(classifier().fit(X, LABELS), old, overwrite=True)
    assert old.read_bytes() == saved[0].read_bytes()
    assert os.listdir(tmp_path) == ["model"]


# --------------------------------------------------------------------- what does not agree


def setting(name, value):
    return lambda model: setattr(model, name, value)


WRONG = {
    "another embedding": setting("embedding_", "periodic"),
    "an embedding that is not there": setting("embedding_", "x"),
    "no embedding": setting("embedding_", None),
    "no categories": setting("is_categorical_", None),
    "other categories": setting("is_categorical_", np.array([True, True, True, False])),
    "too few columns": setting("is_categorical_", np.array([False, True])),
    "numbers for a mask": setting("is_categorical_", np.arange(4)),
    "one list of levels": setting("categories_", [np.array(["a"], dtype=object)]),
    "levels twice": setting("categories_", [np.array([1, 1]), np.arange(4)]),
    "other levels": setting("categories_", [np.arange(40)] * 2),
    "tables of levels": setting("categories_", [np.zeros((1, 1))] * 2),
    "fewer columns": setting("n_features_in_", 3),
    "fewer classes": setting("classes_", np.array([False])),
    "equal classes": setting("classes_", np.array([True, True])),
    "a module": setting("module", MLP),
}


@pytest.fixture(scope="module")
def of_categories():
    model = classifier(embedding="quantile")
    return model.fit(with_categories(), VALUES > 0)


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_an_estimator_that_is_not_the_one_of_its_net_is_refused(
    change, of_categories, tmp_path
):
    model = copy.copy(of_categories)
    change(model)
    with pytest.raises(ValueError, match="cannot be loaded"):
        save_model(model, tmp_path / "m")
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("quantile_shift_", np.zeros((1, 2))),
        ("quantile_shift_", np.full((1, 3), np.nan)),
        ("quantile_shift_", np.zeros((1, 3), np.float32)),
        ("target_mean_", np.zeros(2)),
        ("target_scale_", np.zeros(1)),
        ("_one_column", 1),
    ],
)
def test_what_does_not_agree_with_the_target_is_refused(name, value, tmp_path):
    model = MixupRegressor(quantiles=(0.1, 0.5, 0.9), **FEW).fit(X, VALUES)
    setattr(model, name, value)
    with pytest.raises(ValueError, match="attributes for the target are wrong"):
        save_model(model, tmp_path / "m")


def changed(part, value):
    def change(stored):
        stored[f"0.input_layer.{part}"][0] = value

    return change


def without(part):
    return lambda stored: stored.pop(f"0.input_layer.{part}")


def shorter(stored):
    for name in ("column", "low", "step"):
        name = f"0.input_layer.encoding.{name}"
        stored[name] = stored[name][1:]


BROKEN = {
    "a column that is not there": changed("encoding.column", 2),
    "a column before the first": changed("encoding.column", -1),
    "a bin without a width": changed("encoding.step", 0),
    "a bin that goes backwards": changed("encoding.step", -1),
    "an edge that is no number": changed("encoding.low", np.nan),
    "a gain that is infinite": changed("gain", np.inf),
    "no edges": without("encoding.low"),
    "no gain": without("gain"),
    "no centre": without("scale.center"),
    "fewer bins": shorter,
    "another net's": lambda stored: stored.update({"1.weight": torch.ones(1)}),
    "of no net": lambda stored: stored.update({"weight": torch.ones(1)}),
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN)
def test_an_input_layer_that_does_not_fit_is_refused(change, of_categories, tmp_path):
    save_model(of_categories, tmp_path / "m")
    parts = members((tmp_path / "m").read_bytes())
    stored = safetensors.torch.load(parts["weights.safetensors"])
    change(stored)
    data = safetensors.torch.save(stored)
    with pytest.raises(ValueError, match="cannot be loaded"):
        load_model(with_member(tmp_path / "m", "weights.safetensors", data, tmp_path / "bad"))


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
    save_table_model(tmp_path / "m", pipeline.fit(task.X, task.y), task, 0.3)
    again, _ = load_table_model(tmp_path / "m")
    assert np.array_equal(again.predict_proba(task.X), pipeline.predict_proba(task.X))
    assert again.get_params().keys() == pipeline.get_params().keys()


def test_a_file_with_zones_is_predicted_for(tmp_path):
    frame = pd.DataFrame({"x": COLUMNS["dates in a zone"], "target": NUMBERS / 7})
    frame.to_parquet(tmp_path / "new.parquet")
    task = prepare(pd.read_parquet(tmp_path / "new.parquet"), Columns("target"), "regression")
    pipeline = make_net(task, Setting((0.3,)))
    pipeline[-1].set_params(max_epochs=1, hidden_layer_sizes=(4,))
    save_table_model(tmp_path / "m", pipeline.fit(task.X, task.y), task, 0.3)
    predicted, _ = predict_file(tmp_path / "m", tmp_path / "new.parquet")
    assert np.array_equal(predicted["prediction"], pipeline.predict(task.X))


@pytest.mark.parametrize(
    "chosen",
    [range(1), pd.Index(["kind"]), pd.Series([True, False], index=["kind", "size"])],
    ids=["range", "Index", "Series"],
)
def test_columns_may_be_chosen_as_pandas_does(chosen, tmp_path):
    frame = pd.DataFrame({"kind": np.where(X[:, 2] > 0, "a", "b"), "size": X[:, 0]})
    model = MixupClassifier(categorical_features=chosen, **FEW).fit(frame, LABELS)
    save_model(model, tmp_path / "m")
    again = load_model(tmp_path / "m")
    assert np.array_equal(again.predict_proba(frame), model.predict_proba(frame))
    assert np.array_equal(again.categorical_features, np.asarray(chosen))
