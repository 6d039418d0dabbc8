"""Model files of people who mean harm, and damaged ones: nothing runs, one line says why."""

import contextlib
import functools
import json
import math
import operator
import os
import pickle
import random
import subprocess
import sys
import warnings
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import safetensors.torch
import sklearn
import skrub
import torch
from hostile import (
    archive,
    members,
    mutate_bytes,
    mutate_model,
    mutate_schema,
    mutate_zip,
    nodes,
    number_of_cases,
    sealed,
    watched,
    with_schema,
)
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest
from sklearn.impute import KNNImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    SplineTransformer,
    TargetEncoder,
)
from typer.testing import CliRunner

from mixup_tab import MixupClassifier
from mixup_tab import persistence as save_and_load
from mixup_tab.cli.app import app
from mixup_tab.compare.columns import Columns
from mixup_tab.compare.fitting import Setting, make_net
from mixup_tab.compare.predict import predict_file
from mixup_tab.compare.saving import load_model, save_model
from mixup_tab.compare.task import prepare
from mixup_tab.persistence.trusted import FIXED, TRUSTED
from mixup_tab.tables.columns import as_dtype

ROWS = 60


def table(kind):
    """Columns of the kinds whose steps differ most."""
    rng = np.random.default_rng(0)
    size = np.where(np.arange(ROWS) % 7, rng.normal(size=ROWS), np.nan)
    frame = pd.DataFrame({"size": size, "color": rng.choice(["red", "green", "blue"], ROWS)})
    if kind == "classification":
        return frame.assign(target=np.where(frame["size"] > 0, "yes", "no"))
    zone = pd.date_range("2024-01-01", periods=ROWS, freq="7h", tz="Europe/Berlin")
    wait = pd.to_timedelta(rng.integers(1, 99, ROWS), "h")
    about = [f"lot {k} of {k % 5}" for k in range(ROWS)]
    return frame.assign(day=zone, wait=wait, about=about, target=rng.normal(size=ROWS))


def write_steps(folder):
    """Write pipelines of the steps that rely most on what they hold."""
    frame = table("regression").fillna({"size": 0})
    net = MixupClassifier(hidden_layer_sizes=(4,), max_epochs=1, random_state=0)
    y = (frame["target"] > 0).astype(int)
    columns = make_column_transformer(
        (OneHotEncoder(min_frequency=20, drop="if_binary"), ["color"]),
        (make_pipeline(OrdinalEncoder(), KBinsDiscretizer(2)), ["color"]),
        (TargetEncoder(cv=2), ["color"]),
        (
            make_pipeline(SplineTransformer(), SelectKBest(k=3), FunctionTransformer(np.log1p)),
            ["size"],
        ),
        (KNNImputer(), ["size"]),
        (CountVectorizer(), "about"),
        sparse_threshold=0,
    )
    for kind, steps in (
        ("steps", [columns]),
        ("skrub", [skrub.tabular_pipeline(net)[:-1]]),
    ):
        pipeline = make_pipeline(*steps, net).fit(frame.drop(columns="target"), y)
        save_and_load.save_model(pipeline, folder / kind)
    return frame.drop(columns="target")


def write_table_model(kind, path, layers=(4,)):
    task = prepare(table(kind), Columns("target"), kind)
    pipeline = make_net(task, Setting((0.3,)))
    pipeline[-1].set_params(max_epochs=1, hidden_layer_sizes=layers, n_estimators=2)
    save_model(path, pipeline.fit(task.X, task.y), task, 0.3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    for kind in ("classification", "regression"):
        write_table_model(kind, folder / kind)
        table(kind).head(8).to_parquet(folder / f"{kind}.parquet")
        predict_file(folder / kind, folder / f"{kind}.parquet")  # so that all imports are done
    write_steps(folder)
    return folder


@pytest.fixture(scope="module")
def good(folder):
    """Bytes of a classifier of tables."""
    return (folder / "classification").read_bytes()


@pytest.fixture
def refusal(folder, tmp_path):
    """Return the line with which a file is refused, having seen that nothing ran."""

    def refusal(content, kind="classification", **options):
        data = folder / f"{kind}.parquet"
        (tmp_path / "evil").write_bytes(content)
        with watched() as seen, pytest.raises(ValueError, match=r"evil|the model") as error:
            predict_file(tmp_path / "evil", data, **options)
        assert seen == []
        assert "\n" not in str(error.value)
        assert os.listdir(tmp_path) == ["evil"]
        return str(error.value)

    return refusal


# --------------------------------------------------------------------------- foreign code


def value(thing, number):
    """Return a node of plain JSON."""
    names = {"__loader__": "JsonNode", "__module__": "builtins", "__class__": "str"}
    return {**names, "__id__": number, "content": json.dumps(thing)}


def node(loader, module, own, content=None, **more):
    """Return a node, with numbers that no other one has."""
    made = {"__loader__": loader, "__module__": module, "__class__": own, "__id__": 10**9}
    return {**made, **({} if content is None else {"content": content}), **more}


def several(*parts):
    return node("TupleNode", "builtins", "tuple", list(parts), __id__=10**9 + 1)


def attributes(**parts):
    """Return the node of a dict."""
    kind = {"__loader__": "TypeNode", "__module__": "builtins", "__class__": "str"}
    kinds = [kind | {"__id__": 10**9 + 100 + k} for k in range(len(parts))]
    types = node("ListNode", "builtins", "list", kinds, __id__=10**9 + 3)
    return node("DictNode", "builtins", "dict", parts, key_types=types, __id__=10**9 + 2)


def reduce(module, own, *arguments):
    return node("ConstructorFromReduceNode", module, own, several(*arguments))


def text(thing):
    return value(thing, 10**9 + 9)


class Command:
    def __reduce__(self):
        return os.system, ("touch evil-ran",)


PICKLE = node("BytesNode", "builtins", "bytes", file="x.bin", __id__=10**9 + 5)
LEARNER = "skrub._data_ops._estimator", "SkrubLearner"
CHECKPOINT = "mixup_tab.search.checkpoint", "Checkpoint"
GADGETS = {
    "unpickles": node("ObjectNode", *LEARNER, attributes(data_op=PICKLE)),
    "writes a file": reduce(*CHECKPOINT, text("evil"), text({})),
    "writes a file of a training": reduce(
        "mixup_tab.training.resume_file", "ResumeFile", text("evil")
    ),
    "imports a module": node("TypeNode", "antigravity", "x"),
    "imports a module of a trusted package": node("TypeNode", "skrub.datasets.x", "x"),
    "imports by an attribute": node("TypeNode", "sklearn", "pipeline.Pipeline"),
    "calls a function": reduce("os", "system", text("touch evil")),
    "calls a trusted function": reduce("skrub._dataframe._common", "is_numeric", text("x")),
    "constructs a trusted type": reduce("sklearn.pipeline", "Pipeline", text("x")),
    "opens a time zone": reduce("zoneinfo", "ZoneInfo", text("../../etc/passwd")),
    "calls a method": node(
        "OperatorFuncNode", "operator", "methodcaller", attrs=several(text("system"))
    ),
    "binds a method": node(
        "MethodNode", "builtins", "str", {"func": "format", "obj": text("x")}
    ),
    "reduces": node("ReduceNode", "os", "system", **{"__reduce__": {"args": several()}}),
    "a type that skops trusts": node("ObjectNode", "sklearn.svm._classes", "SVC", text(None)),
    "a function that skops trusts": node("FunctionNode", "numpy", "add"),
    "random numbers": node("RandomStateNode", "numpy.random.mtrand", "RandomState", text({})),
    "a sparse matrix": node(
        "SparseMatrixNode", "scipy.sparse._csr", "csr_matrix", type="scipy", file="x.npz"
    ),
    "a kind that is not there": node("Node", "builtins", "str"),
    "a kind that is no name": node(["x"], "builtins", "str"),
}


@pytest.mark.parametrize("gadget", GADGETS.values(), ids=GADGETS)
def test_a_node_that_could_run_code_is_refused(gadget, good, refusal):
    def put(schema):
        first = schema["content"]["content"]["steps"]["content"][0]
        first["content"][1] = gadget  # behind the name of the step

    parts = members(with_schema(good, put))
    inner = members(parts["model.skops"]) | {"x.bin": pickle.dumps(Command())}
    parts["model.skops"] = archive(*inner.items())
    line = refusal(sealed(parts))
    assert "which is not allowed in a model of mixup-tab. It was not opened." in line


@pytest.mark.parametrize(
    ("evil", "name"),
    [
        (FunctionTransformer(os.system), "func="),
        (FunctionTransformer(functools.partial(os.system)), "func="),
        (FunctionTransformer(inverse_func=operator.methodcaller("system")), "inverse_func="),
        (FunctionTransformer(skrub.datasets.fetch_bike_sharing), "func="),
        (SelectKBest(os.system), "score_func="),
        (TfidfVectorizer(tokenizer=os.system), "builtin_function_or_method"),
        (skrub.LLMEncoder(), "LLMEncoder"),
        (skrub.TableVectorizer(specific_transformers=[(skrub.GapEncoder(), ["x"])]), "GapEnc"),
    ],
)
def test_code_is_not_written(evil, name, folder, tmp_path):
    net = save_and_load.load_model(folder / "steps")[-1]
    with pytest.raises(ValueError, match=f"this model cannot be saved: it holds .*{name}"):
        save_and_load.save_model(make_pipeline(evil, net), tmp_path / "evil")
    assert not os.listdir(tmp_path)


def attribute(model, name, new, owner=""):
    """Return a model in which an attribute of the first object that has it is another one."""

    def change(schema):
        objects = [n for n in nodes(schema) if n["__loader__"] == "ObjectNode"]
        contents = [n["content"].get("content", {}) for n in objects if owner in n["__class__"]]
        content = next(content for content in contents if name in content)
        first = "__loader__" in content[name]  # others refer to it
        content[name] = {**new, "__id__": content[name]["__id__"]} if first else new

    return with_schema(model, change)


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("memory", "evil"),
        ("callbacks", "x"),
        ("analyzer", "filename"),
        ("input", "filename"),
        ("token_pattern", "(a+)+$"),
        ("tokenizer", "x"),
        ("encoding", "evil"),
    ],
)
def test_attributes_that_could_run_or_open_something_are_refused(name, new, folder, refusal):
    content = attribute((folder / "regression").read_bytes(), name, text(new))
    assert f"{name}=" in refusal(content, "regression")


@pytest.fixture
def step_refusal(folder, tmp_path):
    """Return why a pipeline is not loaded in which an attribute of a step is another one."""

    def step_refusal(kind, name, new, owner=""):
        content = attribute((folder / kind).read_bytes(), name, new, owner)
        (tmp_path / "evil").write_bytes(content)
        with watched() as seen, pytest.raises(ValueError, match="'evil'") as error:
            save_and_load.load_model(tmp_path / "evil")
        assert seen == []
        return str(error.value)

    return step_refusal


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("func", "os.system"),
        ("inverse_func", "exec"),
        ("metric", "cosine"),
        ("weights", "x"),
        ("verbose_feature_names_out", "{feature_name:>1000000000}"),
        ("n_jobs", 2),
        ("memory", "evil"),
    ],
)
def test_attributes_of_steps_that_could_run_something_are_refused(name, new, step_refusal):
    assert f"{name}=" in step_refusal("steps", name, text(new))


# What no model that can be saved has: its attributes do not agree with each other.
STEPS = {
    "a function that is not listed": ("score_func", text("exec"), "SelectKBest"),
    "a function that is a type": (
        "score_func",
        node("TypeNode", "builtins", "str"),
        "SelectKBest",
    ),
    "a place for a result": ("kw_args", attributes(out=text(0)), "FunctionTransformer"),
    "columns that are not counted": ("_n_features_outs", several(), "OneHotEncoder"),
    "words without a number": ("vocabulary_", attributes(x=text(10**6)), "CountVectorizer"),
    "no words": ("vocabulary_", text("x"), "CountVectorizer"),
    "splines that are none": ("bsplines_", several(text(0)), "SplineTransformer"),
    "bins that are none": ("bin_edges_", text(3), "KBinsDiscretizer"),
}


@pytest.mark.parametrize(("name", "new", "owner"), STEPS.values(), ids=STEPS)
def test_steps_that_do_not_agree_with_themselves_are_refused(name, new, owner, step_refusal):
    assert "cannot be loaded here (" in step_refusal("steps", name, new, owner)


@pytest.mark.parametrize("method", ["transform", "_compute_n_features_outs", "__init__"])
def test_attributes_that_stand_before_a_method_are_refused(method, folder, tmp_path):
    def add(schema):
        encoder = next(n for n in nodes(schema) if n["__class__"] == "OneHotEncoder")
        attributes, kind = encoder["content"], node("TypeNode", "builtins", "str")
        attributes["content"][method] = node("TypeNode", "builtins", "int", __id__=10**9 + 1)
        attributes["key_types"]["content"].append(kind)

    (tmp_path / "evil").write_bytes(with_schema((folder / "steps").read_bytes(), add))
    with pytest.raises(ValueError, match=f"the method '{method}'|holds '{method}'"):
        save_and_load.load_model(tmp_path / "evil")


@pytest.mark.parametrize("zone", ["dateutil//etc/passwd", "../etc/passwd", "tzlocal()", 1])
def test_time_zones_that_are_files_are_refused(zone, step_refusal):
    line = step_refusal("skrub", "output_time_zone_", text(zone), "ToDatetime")
    assert "cannot be loaded here (" in line


def test_every_trusted_name_is_defined_where_it_says_and_does_nothing_when_it_is_made():
    """Of all that Python calls when an object is made or gets attributes, they define nothing.

    But for scikit-learn's own, which compare versions and set attributes.
    """
    hooks = {"__new__", "__setstate__", "__reduce__", "__reduce_ex__", "__del__"}
    hooks |= {"__getattr__", "__getattribute__", "__setattr__", "__set_name__"}
    known = {"sklearn.base.BaseEstimator.__setstate__"}
    known |= {"sklearn.isotonic.IsotonicRegression.__setstate__"}  # interpolates between arrays
    known |= {"sklearn.frozen._frozen.FrozenEstimator.__getattr__"}  # asks what it holds
    known |= {"skrub._apply_to_cols.ApplyToCols.__getattr__"}  # words an error
    state = {"path": "evil", "data_op": pickle.dumps(Command()), "x": "touch evil"}
    for name in TRUSTED["ObjectNode"]:
        module, _, own = name.rpartition(".")
        kind = getattr(import_module(module), own)
        assert isinstance(kind, type)
        assert (kind.__module__, kind.__qualname__) == (module, own)
        found = {
            f"{base.__module__}.{base.__qualname__}.{hook}"
            for base in kind.__mro__[:-1]
            for hook in hooks & vars(base).keys()
        }
        assert found <= known, name
        with watched() as seen:
            made = kind.__new__(kind)
            set_state = getattr(made, "__setstate__", made.__dict__.update)
            set_state({**state, "_sklearn_version": sklearn.__version__})
        assert seen == []


def test_nothing_is_trusted_that_no_model_holds():
    """The kinds of nodes that call, bind or import are not among them."""
    plain = {"JsonNode", "ListNode", "TupleNode", "DictNode", "NdArrayNode", "DTypeNode"}
    assert TRUSTED.keys() == plain | {"TypeNode", "ObjectNode"}
    assert not any(
        "SkrubLearner" in name or "datasets" in name for name in set.union(*TRUSTED.values())
    )
    assert {"memory", "n_jobs", "callbacks"} <= FIXED.keys()


# -------------------------------------------------------------------------------- contents


def weights(good, change):
    parts = members(good)
    tensors = safetensors.torch.load(parts["weights.safetensors"])
    tensors = {name: change(name, tensor) for name, tensor in tensors.items()}
    tensors = {name: tensor for name, tensor in tensors.items() if tensor is not None}
    return sealed({**parts, "weights.safetensors": safetensors.torch.save(tensors)})


def about(good, **change):
    parts = members(good)
    head = json.loads(parts["model.json"])
    head["about"] |= change
    return sealed({**parts, "model.json": json.dumps(head).encode()})


CONTENTS = {
    "weights are NaN": lambda g: weights(g, lambda n, t: t * float("nan")),
    "one weight is infinite": lambda g: weights(
        g, lambda n, t: t.index_fill(-1, torch.tensor([0]), math.inf) if n == "0.weight0" else t
    ),
    "weights are integers": lambda g: weights(g, lambda n, t: t.to(torch.int8)),
    "weights are of half precision": lambda g: weights(g, lambda n, t: t.half()),
    "weights are missing": lambda g: weights(g, lambda n, t: None if n == "0.bias0" else t),
    "weights of one net": lambda g: weights(g, lambda n, t: t[:1].contiguous()),
    "classes of one name": lambda g: about(g, classes=["yes", "yes"]),
    "too many classes": lambda g: about(g, classes=["no", "yes", "so"]),
    "too few classes": lambda g: about(g, classes=["no"]),
    "classes without names": lambda g: about(g, classes=[0, 1]),
    "no classes": lambda g: about(g, classes=[]),
    "an unknown fact": lambda g: about(g, more=1),
    "other columns": lambda g: about(g, dtypes={"size": "number"}),
    "columns in another order": lambda g: about(g, dtypes={"color": "text", "size": "number"}),
    "a target that is no text": lambda g: about(g, target=["target"]),
    "an alpha that is no number": lambda g: about(g, alpha="0.3"),
    "classes that are not codes": lambda g: attribute(g, "classes_", text([0, 1])),
}


@pytest.mark.parametrize("change", CONTENTS.values(), ids=CONTENTS)
def test_content_that_does_not_agree_is_refused(change, good, refusal):
    assert "'evil' cannot be loaded here (" in refusal(change(good))


def test_predictions_that_are_no_numbers_are_an_error(folder, refusal):
    write_table_model("classification", folder / "deep", layers=(2,) * 9)  # 1e38 ** 10
    deep = (folder / "deep").read_bytes()
    line = refusal(weights(deep, lambda n, t: t if "layer." in n else torch.full_like(t, 1e38)))
    assert line.startswith(
        "the model cannot predict for these data (it predicts NaN or infinity)"
    )


@pytest.mark.parametrize("date_format", ["x", "ISO8601", "%", "%d.%m.%Y %H"])
def test_a_wrong_format_of_dates_is_one_line(date_format):
    with pytest.raises(ValueError, match=r"^column 'day' should hold [^\n]*\Z"):
        as_dtype(pd.Series(["13.01.2024"], name="day", dtype="str"), "date", date_format)


# ---------------------------------------------------------------------------------- sizes


LIMITED = """
import resource, sys, warnings
from mixup_tab.compare.predict import predict_file
warnings.simplefilter("ignore")
predict_file(sys.argv[1], sys.argv[2])
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 300_000_000,) * 2)
for path in sys.argv[3:]:
    try:
        predict_file(path, sys.argv[2])
    except ValueError as error:
        print(error)
"""


def large_models(good):
    """Files that would take much memory or time, had they their way."""
    yield fact(good, "n_members", text(10**9))
    yield attribute(good, "n_features_in_", text(10**9), "Mixup")
    wide = several(value(10**6, 10**9 + 7), value(10**6, 10**9 + 8))
    yield attribute(good, "hidden_layer_sizes", wide)
    parts = members(good)
    yield archive(*parts.items(), ("zeros", bytes(2 * 10**8)), compression=8)
    inner = members(parts["model.skops"])
    name = next(name for name in inner if name.endswith(".npy"))
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000,), }"
    array = b"\x93NUMPY\x01\x00" + len(header + b"\n").to_bytes(2, "little") + header + b"\n"
    for part in (array, array.replace(b"<f8", b"<U0")):
        pipeline = archive(*{**inner, name: part}.items())
        yield sealed({**parts, "model.skops": pipeline})
    many = inner["schema.json"][:-1] + b', "x": [' + b"[]," * 20_000_000 + b"[]]}"
    pipeline = archive(*{**inner, "schema.json": many}.items())
    yield sealed({**parts, "model.skops": pipeline})
    header = {
        "weight0": {"dtype": "F32", "shape": [10**6, 10**6], "data_offsets": [0, 4 * 10**12]}
    }
    line = json.dumps(header).encode()
    yield sealed({**parts, "weights.safetensors": len(line).to_bytes(8, "little") + line})


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc and RLIMIT_AS")
def test_files_that_would_take_much_memory_take_little(folder, good, tmp_path):
    paths = []
    for k, content in enumerate(large_models(good)):
        paths.append(tmp_path / f"large{k}")
        paths[-1].write_bytes(content)
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            LIMITED,
            folder / "classification",
            folder / "classification.parquet",
            *paths,
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    lines = done.stdout.splitlines()
    assert len(lines) == len(paths), lines
    assert all(f"'large{k}'" in line for k, line in enumerate(lines)), lines
    assert "memory" not in done.stdout  # refused, not failed


def fact(model, name, new):
    """Return a model in which what the net is made from is another one."""

    def change(schema):
        contents = [n["content"] for n in nodes(schema) if n["__loader__"] == "DictNode"]
        content = [content for content in contents if name in content][-1]
        first = "__loader__" in content[name]  # others refer to it
        content[name] = {**new, "__id__": content[name]["__id__"]} if first else new

    return with_schema(model, change)


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("n_estimators", 0),
        ("n_estimators", 2.5),
        ("n_features_in_", 10**9),
        ("n_features_in_", True),
        ("max_epochs", -1),
        ("batch_size", "x"),
        ("random_state", "x"),
        ("verbose", -1),
        ("module", "os.system"),
    ],
)
def test_parameters_that_no_estimator_has_are_refused(name, new, good, refusal):
    line = refusal(attribute(good, name, text(new), "Mixup"))
    assert "'evil' cannot be loaded here (" in line
    assert name in line


@pytest.mark.parametrize(
    ("name", "new", "message"),
    [
        ("n_members", 10**7, "n_estimators=10000000 are more than"),
        ("n_members", 0, "n_members of its net is 0"),
        ("n_outputs", True, "n_outputs of its net is True"),
        ("batch_size", "x", "batch_size of its net is 'x'"),
        ("columns", 10**9, "n_features_in_=1000000000 does not match its weights"),
        ("categories", 3, "cannot be loaded here"),
        ("module", "os.system", "its net is of an unknown type"),
        ("seeds", None, "cannot be loaded here"),
        ("hidden_layer_sizes", 10**9, "cannot be loaded here"),
    ],
)
def test_facts_that_no_net_has_are_refused(name, new, message, good, refusal):
    assert message in refusal(fact(good, name, text(new)))


def test_pipelines_that_would_run_for_ever_are_refused(good, refusal):
    """A pipeline of nine equal pipelines of nine equal ones, and so on."""
    kind = {"__loader__": "TypeNode", "__module__": "builtins", "__class__": "str"}

    def change(schema):
        inside = text("passthrough")
        for last in range(10**9 + 1000, 10**9 + 21_000, 1000):
            names = [value(str(k), last + k) for k in range(9)]
            parts = [inside] + [{"__id__": inside["__id__"]}] * 8
            pairs = zip(names, parts, range(last + 10, last + 19), strict=True)
            steps = [several(name, part) | {"__id__": number} for name, part, number in pairs]
            steps = node("ListNode", "builtins", "list", steps, __id__=last + 20)
            types = node("ListNode", "builtins", "list", [kind | {"__id__": last + 21}])
            more = {"key_types": types | {"__id__": last + 22}, "__id__": last + 23}
            content = node("DictNode", "builtins", "dict", {"steps": steps}, **more)
            inside = node(
                "ObjectNode", "sklearn.pipeline", "Pipeline", content, __id__=last + 24
            )
        return {"protocol": schema["protocol"], **inside}

    assert "refers to its parts too often" in refusal(with_schema(good, change))


def test_a_huge_batch_size_is_no_harm(folder, good, tmp_path):
    (tmp_path / "m").write_bytes(fact(good, "batch_size", text(10**12)))
    pipeline, _ = load_model(tmp_path / "m")
    assert pipeline[-1].net_.batch_size == 10**12


def test_the_limit_is_an_argument(folder, good, refusal):
    line = refusal(good, size_limit=len(good) - 1)
    assert f"more than size_limit={len(good) - 1:,}" in line
    assert "raise the limit" in line
    assert "its schema takes" in refusal(good, size_limit=len(good))  # it grows when it is read


def test_the_command_has_it_too(folder, tmp_path):
    model, data = folder / "classification", folder / "classification.parquet"
    call = ["predict", str(model), str(data), "--output", str(tmp_path / "out.csv")]
    result = CliRunner().invoke(app, [*call, "--size-limit", "10kB"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "more than --size-limit 10,000" in result.stderr
    assert not os.listdir(tmp_path)
    assert CliRunner().invoke(app, [*call, "--size-limit", "1.5 GB"]).exit_code == 0
    result = CliRunner().invoke(app, [*call, "--size-limit", "many"])
    assert "must look like 500MB or 2GB" in result.stderr


# --------------------------------------------------------------------------------- damage


def outcome(path, data):
    """Return predictions or the one line of an error; nothing else may happen."""
    with warnings.catch_warnings(), watched() as seen:
        warnings.simplefilter("ignore")
        try:
            result = predict_file(path, data)[0]
        except ValueError as error:
            result = str(error)
            assert "\n" not in result
    assert seen == []
    return result


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_damaged_files_are_refused_or_predict_the_same(kind, folder, tmp_path):
    """Whatever happened to a file on its way, its predictions are right or there are none."""
    content, data = (folder / kind).read_bytes(), folder / f"{kind}.parquet"
    expected, rng = outcome(folder / kind, data), random.Random(kind)
    for _ in range(number_of_cases(300) // 6):
        damage = rng.choice([mutate_bytes, mutate_bytes, mutate_zip])
        (tmp_path / "m").write_bytes(damage(content, rng))
        result = outcome(tmp_path / "m", data)
        assert isinstance(result, str) or result.equals(expected)


@pytest.mark.parametrize("kind", ["classification", "regression"])
def test_forged_files_are_refused_or_predict_numbers(kind, folder, tmp_path):
    """Somebody changed a file and its hash: an error in one line, or finite predictions."""
    content, data = (folder / kind).read_bytes(), folder / f"{kind}.parquet"
    outcome(folder / kind, data)
    rng = random.Random(kind)
    for _ in range(number_of_cases(300) // (6 if kind == "classification" else 15)):
        (tmp_path / "m").write_bytes(mutate_model(content, rng))
        result = outcome(tmp_path / "m", data)
        if not isinstance(result, str):
            assert np.isfinite(result.select_dtypes("number")).all(axis=None)


@pytest.mark.parametrize("kind", ["steps", "skrub"])
def test_forged_steps_are_refused_or_predict_numbers(kind, folder, tmp_path):
    """Compiled code that read or wrote beyond an array would end this process, or more."""
    frame = table("regression").drop(columns="target").fillna({"size": 0})
    content, rng, predicted = (folder / kind).read_bytes(), random.Random(kind), 0
    save_and_load.load_model(folder / kind).predict_proba(frame)
    for _ in range(number_of_cases(300) // (8 if kind == "steps" else 25)):
        forged = with_schema(content, lambda schema: mutate_schema(schema, rng))
        (tmp_path / "m").write_bytes(forged)
        with warnings.catch_warnings(), watched() as seen:
            warnings.simplefilter("ignore")
            try:
                model = save_and_load.load_model(tmp_path / "m")
            except ValueError:
                continue
            with contextlib.suppress(Exception):
                assert np.isfinite(model.predict_proba(frame)).all()
                predicted += 1
        assert seen == []
    assert predicted
