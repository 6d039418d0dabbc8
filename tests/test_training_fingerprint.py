"""Fingerprints: equal in every process, different after any change of a value or of code."""

import collections
import datetime
import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import scipy.sparse
import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import make_scorer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from skorch.dataset import Dataset
from torch import nn

from mixup_tab import MixupClassifier
from mixup_tab.mixing import Mixup
from mixup_tab.training.fingerprint import fingerprint


def table(row=None):
    values = np.random.default_rng(0).normal(size=(3000, 200))
    if row is not None:
        values[row, -1] = np.nextafter(values[row, -1], np.inf)
    return values


def last(X):
    return X[:, -1]


KINDS = {
    "array": lambda X: X,
    "columns first": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "tensor": torch.from_numpy,
    "data set": lambda X: Dataset(X, None),
    "data set of a user": lambda X: torch.utils.data.TensorDataset(torch.from_numpy(X)),
    "pandas": pd.DataFrame,
    "pandas with words": lambda X: pd.DataFrame({"a": last(X).astype(str)}),
    "categories": lambda X: pd.Series(last(X)).astype("category"),
    "polars": pl.DataFrame,
    "sparse": scipy.sparse.csr_array,
    "objects": lambda X: X[:, -1:].astype(object),
    "lists": lambda X: last(X).tolist(),
    "words": lambda X: [[str(value)] * (k % 3 + 1) for k, value in enumerate(last(X))],
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_one_number_in_any_row_counts(kind):
    plain = fingerprint(kind(table()), None)
    assert plain == fingerprint(kind(table()), None)
    changed = {fingerprint(kind(table(row)), None) for row in (0, 1111, 2999)}
    assert len({plain, *changed}) == 4


def test_the_layout_in_memory_does_not_count():
    layouts = table(), np.asfortranarray(table()), np.repeat(table(), 2, axis=1)[:, ::2]
    assert len({fingerprint(layout) for layout in layouts}) == 1


def closure(value, other=None):
    return lambda x: (x + value, other)


class Small(nn.Module):
    size = 1

    def __init__(self, **attributes):
        super().__init__()
        self.layer = nn.Linear(2, 2)
        nn.init.ones_(self.layer.weight)
        nn.init.zeros_(self.layer.bias)
        vars(self).update(attributes)

    def forward(self, x):
        return self.layer(x)


class SmallOther(Small):
    size = 2


class Recursive(BaseEstimator):
    """A class whose method refers to the class."""

    def again(self):
        return Recursive() if closure else __class__


class Kept(dict):
    """A dict with an attribute."""

    def __init__(self, name):
        self.name = name


def generator(seed):
    return torch.Generator().manual_seed(seed)


DIFFERENT = {
    "types of what is equal": [
        *(None, 0, 0.0, False, "0", b"0", [0], (0,), {0}, {0: 0}, [[0]], [0, 0]),
        *(np.array(0), np.zeros(1), np.zeros(1, "f4"), np.zeros(1, bool), np.float32(0)),
        *(torch.zeros(1), torch.zeros(1, dtype=torch.bfloat16), torch.zeros(1, 1)),
        *(pd.Series([0]), pd.Series([0], index=[1]), pd.Series([0]).astype("category")),
    ],
    "functions": [
        *(closure(1), closure(2), closure(np.ones(3)), closure(np.zeros(3))),
        *(closure(None, 1), np.log, np.exp, len, "a".join, np.ones(2).sum),
        *(functools.partial(np.add, 1), functools.partial(np.add, 2)),
        *(StandardScaler(with_mean=True).fit, StandardScaler(with_mean=False).fit),
    ],
    "small things": [
        *(Path("a"), Path("b"), datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)),
        *(torch.float32, np.dtype("f4"), np.dtype("f8"), range(2), slice(2)),
        *(collections.deque([1]), collections.deque([2]), Kept("a"), Kept("b")),
    ],
    "streams": [
        *map(generator, (0, 1)),
        *map(np.random.RandomState, (0, 1)),
        *map(np.random.default_rng, (0, 1)),
    ],
    "nets": [
        *(Small(), SmallOther(), Small(a=1), Small(a=[1]), Small(a={"b": 1}), Small(_a=1)),
        *(Small(a=np.ones(2)), Small(a=torch.ones(2)), Small(a=Small()), Small(a=closure(2))),
        *(nn.ReLU(), nn.Dropout(0.1), nn.Dropout(0.2)),
    ],
    "classes and their objects": [
        *([Recursive(), Recursive], [Recursive, Recursive()], [Recursive()], [Recursive]),
    ],
}


@pytest.mark.parametrize("things", DIFFERENT.values(), ids=DIFFERENT)
def test_all_of_these_differ(things):
    assert len({fingerprint(thing) for thing in things}) == len(things)


def test_what_is_made_again_is_the_same():
    for make in (closure, generator, np.random.RandomState, np.random.default_rng, Kept):
        assert fingerprint(make(1)) == fingerprint(make(1))
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_what_training_sets_itself_does_not_count():
    hooked = Small()
    hooked.register_forward_hook(print)
    trained = Small().eval().requires_grad_(False)
    assert fingerprint(hooked) == fingerprint(trained) == fingerprint(Small())


def test_what_holds_itself():
    ring = [1]
    ring.append(ring)
    assert fingerprint(ring) == fingerprint(ring)
    assert fingerprint(Recursive) == fingerprint(Recursive)


def test_locks_can_be_in_it_but_nothing_else_that_cannot_be_read():
    lock, other = (Small(lock=threading.Lock(), done=threading.Event()) for _ in "ab")
    assert fingerprint(lock) == fingerprint(other)
    with open(os.devnull) as file:
        for thing in (closure(value for value in "ab"), Small(file=file)):
            message = "checkpoint and ResumeFile need .* pickled: .* Open files"
            with pytest.raises(TypeError, match=message):
                fingerprint(thing)


# ------------------------------------------------------------------------------------ code

CODE = """
FACTOR = 2
LIMITS = 0, 1

@lru_cache
def cached(x):
    return x - 1

def helper(x):
    return cached(x) * FACTOR + LIMITS[0]

def scorer(estimator, X, y, *, weight=1):
    inner = lambda x: helper(x) if x in {"a", "b"} else [k for k in x]
    return inner(y) * weight

class Own(Base):
    size = 3
    def __init__(self, shift=0):
        self.shift = shift
    def fit(self, X, y=None):
        return super().fit(X, y)
    @property
    def width(self):
        return self.size
    @staticmethod
    def twice(x):
        return 2 * x
"""
CHANGES = {
    "its body": ("inner(y) * weight", "inner(y) + weight"),
    "a default": ("weight=1", "weight=2"),
    "a function inside": ("[k for k in x]", "[k for k in y]"),
    "a set inside": ('{"a", "b"}', '{"a", "c"}'),
    "what it calls": (") * FACTOR", ") + FACTOR"),
    "what that calls, through a cache": ("x - 1", "x - 2"),
    "a constant of its module": ("FACTOR = 2", "FACTOR = 3"),
    "a tuple of its module": ("LIMITS = 0, 1", "LIMITS = 1, 1"),
    "a method": ("super().fit(X, y)", "super().fit(X, None)"),
    "a property": ("return self.size", "return 1"),
    "a static method": ("2 * x", "x + x"),
    "a class's constant": ("size = 3", "size = 4"),
}


def made_of(code):
    """Fingerprints of a function and of an object of a class from a piece of code."""
    cache = functools.lru_cache
    names = {"Base": StandardScaler, "lru_cache": cache, "__name__": "__main__"}
    exec(code, names)
    return fingerprint(make_scorer(names["scorer"])), fingerprint([names["Own"](1)])


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_code_that_was_changed_makes_another_fingerprint(change):
    assert CODE.count(change[0]) == 1
    plain, changed = made_of(CODE), made_of(CODE.replace(*change))
    of_class = CODE.index(change[0]) > CODE.index("class Own")
    assert (plain[0] == changed[0]) == of_class
    assert (plain[1] == changed[1]) == (not of_class)


def test_code_that_is_elsewhere_in_its_file_is_the_same():
    assert made_of(CODE) == made_of("# a note\n\nfrom math import inf\n" + CODE)


def everything():
    """Fingerprints of things whose order or address differs from process to process."""
    words = {"some", "words", "in", "a", "set"}
    net = MixupClassifier(module=Recursive, mixing=Mixup(), class_weight={"b": 1.0, "a": 2.0})
    steps = StandardScaler(), FunctionTransformer(closure(2)), Recursive()
    things = [*steps, make_pipeline(StandardScaler(), net), words, frozenset(words), CODE]
    things += [Small(a=words), table(), pd.DataFrame(table()), pd.DataFrame({"a": ["b"]})]
    things += [np.random.RandomState(0), {print: 1, len: 2}]
    return [fingerprint(*things, lambda x: x in {"one", "other"}), *made_of(CODE)]


@pytest.mark.slow
def test_fingerprints_are_the_same_in_another_process():
    code = "from test_training_fingerprint import everything; print(*everything())"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.split() == everything()
