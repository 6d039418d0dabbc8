"""Hashes of training: equal in every process, different after any change."""

import datetime
import functools
import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from skorch.dataset import Dataset
from torch import nn

from mixup_tab.training.fingerprint import fingerprint


def table(row=None):
    values = np.random.default_rng(0).normal(size=(3000, 200))
    if row is not None:
        values[row, -1] += 1e-12
    return values


KINDS = {
    "array": lambda X: X,
    "columns first": np.asfortranarray,
    "every second row": lambda X: np.repeat(X, 2, axis=0)[::2],
    "tensor": torch.from_numpy,
    "data set": lambda X: Dataset(X, None),
    "data set of a user": lambda X: torch.utils.data.TensorDataset(torch.from_numpy(X)),
    "DataFrame": pd.DataFrame,
    "objects": lambda X: X[:, -1:].astype(object),
    "lists": lambda X: X[:, -1].tolist(),
}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_one_number_in_any_row_counts(kind):
    plain = fingerprint(kind(table()))
    assert plain == fingerprint(kind(table()))
    assert len({plain, *(fingerprint(kind(table(row))) for row in (0, 1111, 2999))}) == 4


def test_the_layout_in_memory_does_not_count():
    layouts = table(), np.asfortranarray(table()), np.repeat(table(), 2, axis=1)[:, ::2]
    assert len({fingerprint(layout) for layout in layouts}) == 1


def scaled(factor):
    return lambda x: factor * x


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


def test_all_of_these_differ():
    day = datetime.date(2024, 1, 1)
    things = [
        None,
        0,
        0.0,
        False,
        "0",
        b"0",
        [0],
        (0,),
        {0},
        {0: 0},
        [[0]],
        [0, 0],
        np.zeros(1),
    ]
    things += [
        np.float32(0),
        torch.zeros(1),
        torch.zeros(1, dtype=torch.bfloat16),
        torch.zeros(1, 1),
    ]
    things += [scaled(1), scaled(2), functools.partial(max, 1), functools.partial(max, 2), max]
    things += [
        Path("a"),
        Path("b"),
        day,
        day + datetime.timedelta(1),
        torch.float32,
        np.dtype("f4"),
    ]
    things += [Small(), SmallOther(), Small(a=1), Small(a=[1]), Small(a={"b": 1}), Small(_a=1)]
    things += [
        Small(a=np.ones(2)),
        Small(a=torch.ones(2)),
        Small(a=Small()),
        Small(a=scaled(2)),
    ]
    things += [
        nn.ReLU(),
        nn.Dropout(0.1),
        nn.Dropout(0.2),
        Small().eval().requires_grad_(False),
    ]
    assert len({fingerprint(thing) for thing in things[:-1]}) == len(things) - 1
    assert fingerprint(things[-1]) == fingerprint(Small())  # what training sets itself


def test_what_holds_itself_or_cannot_be_copied():
    ring, lock = [1], Small(lock=threading.Lock())
    ring.append(ring)
    assert fingerprint(ring) == fingerprint(ring)
    assert fingerprint(lock) == fingerprint(Small(lock=threading.Lock()))
    hooked = Small()
    hooked.register_forward_hook(print)
    assert fingerprint(hooked) == fingerprint(Small())


def everything():
    words = {"some", "words", "in", "a", "set"}
    parts = words, frozenset(words), scaled(2), Small(a=words), {"b": 1, "a": 2}, table()
    return fingerprint(*parts, lambda x: x in {"one", "other"})


@pytest.mark.slow
def test_it_is_the_same_in_another_process():
    code = "from test_training_fingerprint import everything; print(everything())"
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
        env=env,
    )
    assert done.stdout.strip() == everything()
