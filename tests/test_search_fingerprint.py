"""Fingerprints: equal in every process, different after any change of a value or of code."""

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

from mixup_tab import MixupClassifier
from mixup_tab.mixing import Mixup
from mixup_tab.search.fingerprint import fingerprint

ROWS = 5000


def table():
    return np.random.default_rng(0).normal(size=(ROWS, 3))


CONTAINERS = {
    "array": lambda X: X,
    "float32": lambda X: X.astype(np.float32),
    "columns first": np.asfortranarray,
    "lists": lambda X: X[:, 0].tolist(),
    "words": lambda X: [[str(value)] * (k % 3 + 1) for k, value in enumerate(X[:, 0])],
    "objects": lambda X: X.astype(object),
    "pandas": lambda X: pd.DataFrame(X, columns=list("abc")),
    "pandas with words": lambda X: pd.DataFrame({"a": X[:, 0].astype(str)}),
    "categories": lambda X: pd.Series(X[:, 0] > 0).astype("category"),
    "polars": lambda X: pl.DataFrame(X, schema=list("abc")),
    "sparse": lambda X: scipy.sparse.csr_array(X),
    "tensor": torch.from_numpy,
}


@pytest.mark.parametrize("kind", CONTAINERS.values(), ids=CONTAINERS)
def test_a_single_value_anywhere_makes_another_fingerprint(kind):
    plain = fingerprint([kind(table()), None])
    assert plain == fingerprint([kind(table()), None])
    for row in (0, 1234, ROWS - 2):
        changed = table()
        changed[row, 0] = -changed[row, 0]
        assert fingerprint([kind(changed), None]) != plain


def test_what_is_equal_but_of_another_type_is_another():
    things = [1, 1.0, True, "1", b"1", [1], (1,), {1}, np.float32(1), np.array(1), None]
    assert len({fingerprint(thing) for thing in things}) == len(things)


# ------------------------------------------------------------------------------------ code

CODE = """
FACTOR = 2

def helper(x):
    return x * FACTOR

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
    "what it calls": ("x * FACTOR", "x + FACTOR"),
    "a constant of its module": ("FACTOR = 2", "FACTOR = 3"),
    "a method": ("super().fit(X, y)", "super().fit(X, None)"),
    "a property": ("return self.size", "return 1"),
    "a static method": ("2 * x", "x + x"),
    "a class's constant": ("size = 3", "size = 4"),
}


def made_of(code):
    """Fingerprints of a function and of an object of a class from a piece of code."""
    names = {"Base": StandardScaler, "__name__": "__main__"}
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


def closure(value):
    return lambda X: X + value


def test_functions_are_told_apart_by_what_they_hold():
    things = [closure(1), closure(2), closure(np.ones(3)), closure(np.zeros(3))]
    things += [functools.partial(np.add, k) for k in (1, 2)]
    things += [np.log, np.exp, len, "a".join, table().sum]
    things += [StandardScaler(with_mean=mean).fit for mean in (True, False)]
    assert len({fingerprint(thing) for thing in things}) == len(things)
    assert fingerprint(closure(1)) == fingerprint(closure(1))


class Recursive(BaseEstimator):
    """A class whose method refers to the class."""

    def again(self):
        return Recursive() if closure else __class__


def test_code_that_refers_to_itself():
    assert fingerprint(Recursive) == fingerprint(Recursive)
    assert fingerprint([Recursive(), Recursive]) != fingerprint([Recursive, Recursive()])


def test_what_cannot_be_read_is_a_type_error():
    with pytest.raises(TypeError, match=r"checkpoint needs .* pickled: .*lock"):
        fingerprint(closure(threading.Lock()))


def everything():
    steps = StandardScaler(), FunctionTransformer(closure(2)), Recursive()
    net = MixupClassifier(module=Recursive, mixing=Mixup(), class_weight={"b": 1.0, "a": 2.0})
    return [*steps, make_pipeline(StandardScaler(), net), frozenset("abc"), {"x", "y"}, CODE]


@pytest.mark.slow
def test_fingerprints_are_the_same_in_another_process():
    code = (
        "from test_search_fingerprint import *\n"
        "print(fingerprint(everything()), fingerprint(pd.DataFrame(table())), *made_of(CODE))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONHASHSEED": "1"},
    )
    mine = [fingerprint(everything()), fingerprint(pd.DataFrame(table())), *made_of(CODE)]
    assert done.stdout.split() == list(map(str, mine))
