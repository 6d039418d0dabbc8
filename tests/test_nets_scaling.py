"""RobustScale against its definition in exact arithmetic, on numbers of every size and kind."""

import copy
import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal

from mixup_tab.nets import RobustScale

RNG = np.random.default_rng(0)
NORMAL = RNG.normal(size=203)
LARGEST = np.finfo(np.float64).max
WHOLE = RNG.integers(0, 60, 203)

# What a column may hold.
COLUMNS = {
    "normal": NORMAL,
    "constant": np.full(203, 7.25),
    "quartiles coincide": np.where(np.arange(203) < 9, 2.0, 0.0),
    "far from zero": NORMAL + 1e8,
    "farther": NORMAL * 1e6 + 1e15,
    "seconds of a day": 1.7e9 + np.arange(203) * 400.0,
    "nanoseconds of a minute": (1.7e18 + np.arange(203) * 3e8).astype(np.int64),
    "whole numbers near 2**53": 2**53 + WHOLE,
    "whole numbers near 2**60": 2**60 + WHOLE,
    "whole numbers at the lower end": np.iinfo(np.int64).min + WHOLE,
    "whole numbers of all sizes": RNG.integers(-(2**63), 2**63 - 1, 203),
    "unsigned beyond 2**63": np.uint64(2**63 + 2**61) + WHOLE.astype(np.uint64),
    "unsigned at the upper end": np.uint64(2**64 - 60) + WHOLE.astype(np.uint64),
    "bytes": WHOLE.astype(np.uint8),
    "yes and no": WHOLE % 3 == 0,
    "half precision": NORMAL.astype(np.float16),
    "single precision": NORMAL.astype(np.float32),
    "tiny": NORMAL * 1e-40,
    "subnormal": NORMAL * 1e-310,
    "large": NORMAL * 1e300,
    "large, far from zero": 1e300 + NORMAL * 1e290,
    "an outlier": np.where(np.arange(203) == 5, 1e300, NORMAL),
    "an outlier in a constant": np.where(np.arange(203) == 5, -1e300, 3.0),
    "sizes of all kinds": np.sign(NORMAL) * 10.0 ** RNG.integers(-300, 300, 203),
    "constant and large": np.full(203, 1e17),
}


def as_float(number):
    return float(max(min(number, Fraction(10**9)), Fraction(-(10**9))))


def by_definition(column, values):
    """Scaled and clipped values, in exact arithmetic but for the root."""
    seen = sorted(Fraction(number) for number in column.tolist())

    def quantile(share):
        place = share * (len(seen) - 1)
        low = math.floor(place)
        high = min(low + 1, len(seen) - 1)
        return seen[low] + (place - low) * (seen[high] - seen[low])

    low, median, high = (quantile(Fraction(part, 4)) for part in (1, 2, 3))
    width = high - low if high > low else (seen[-1] - seen[0]) / 2
    if not width:
        return np.zeros(len(values))
    z = np.array([as_float((Fraction(value) - median) / width) for value in values.tolist()])
    return z / np.sqrt(1 + (z / 3) ** 2)


def scaled(column, values=None):
    layer = RobustScale.fit(torch.from_numpy(column.reshape(-1, 1)))
    return layer(torch.from_numpy((column if values is None else values).reshape(-1, 1)))[:, 0]


@pytest.mark.parametrize("name", COLUMNS)
def test_follows_its_formula(name):
    column = COLUMNS[name]
    result = scaled(column)
    assert result.dtype == torch.float32
    assert_allclose(result, by_definition(column, column), rtol=1e-6, atol=1e-7)
    if len(np.unique(column)) > 1:
        assert result.std() > 1e-3


@pytest.mark.parametrize("rows", [1, 2, 3, 4])
@pytest.mark.parametrize("name", ["normal", "whole numbers near 2**60", "quartiles coincide"])
def test_follows_its_formula_on_few_rows(rows, name):
    column = COLUMNS[name][:rows]
    expected = by_definition(column, COLUMNS[name])
    assert_allclose(scaled(column, COLUMNS[name]), expected, rtol=1e-6, atol=1e-7)


def test_columns_are_scaled_one_by_one():
    floats = [name for name, column in COLUMNS.items() if column.dtype == np.float64]
    table = np.column_stack([COLUMNS[name] for name in floats])
    together = RobustScale.fit(torch.from_numpy(table))(torch.from_numpy(table))
    for position, name in enumerate(floats):
        assert_array_equal(together[:, position], scaled(COLUMNS[name]), err_msg=name)


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("column", [NORMAL, NORMAL * 1e-310, NORMAL / 4 * LARGEST])
def test_any_finite_value_is_clipped_to_three(column, sign):
    values = np.array([sign * LARGEST / 2])
    expected = by_definition(column, values)
    assert_allclose(scaled(column, values), expected, rtol=1e-6)
    assert abs(expected[0]) <= 3


def test_another_value_in_a_constant_column_is_zero():
    values = np.array([0.0, 1e-300, -5.0, 1e200])
    assert_array_equal(scaled(np.full(9, 7.25), values), 0)


def test_differences_beyond_double_precision_keep_their_sign():
    column = np.array([-LARGEST, -1e300, 0, 1e300, LARGEST])
    result = scaled(column)
    assert torch.isfinite(result).all()
    assert (result.sign() == torch.tensor([-1, -1, 0, 1, 1])).all()
    wide = scaled(np.array([-LARGEST, LARGEST] * 9))
    assert (wide.sign() == torch.tensor([-1, 1] * 9)).all()


@settings(max_examples=60, deadline=None)
@given(
    power=st.integers(-990, 990),
    shift=st.integers(-(2**40), 2**40),
    seed=st.integers(0, 99),
)
def test_exact_changes_of_unit_and_origin_change_no_bit(power, shift, seed):
    """x -> a x + b, with a power of two and a sum that float64 can hold."""
    rng = np.random.default_rng(seed)
    column = rng.integers(0, 2**10, 40).astype(np.float64)
    moved = np.ldexp(column + shift, power)
    assert_array_equal(scaled(moved), scaled(column))


@settings(max_examples=40, deadline=None)
@given(shift=st.integers(-(2**63), 2**63 - 2**11), seed=st.integers(0, 99))
@example(shift=2251799813684497, seed=2)
def test_whole_numbers_may_be_moved_anywhere(shift, seed):
    column = np.random.default_rng(seed).integers(0, 2**10, 40)
    assert_array_equal(scaled(column + shift), scaled(column))


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.int64, np.int16, np.uint8, bool])
def test_equal_numbers_of_other_dtypes_give_equal_bits(dtype):
    column = (WHOLE % 2 if dtype is bool else WHOLE).astype(dtype)
    layer = RobustScale.fit(torch.from_numpy(column[:, None]))
    same = RobustScale.fit(torch.from_numpy(column[:, None].astype(np.float64)))
    for one, other in zip(layer.buffers(), same.buffers(), strict=True):
        assert torch.equal(one, other)
    x = torch.from_numpy(column[:, None])
    assert torch.equal(layer(x), layer(x.double()))


def test_floats_may_follow_whole_numbers_beyond_double_precision():
    column = COLUMNS["nanoseconds of a minute"]
    as_floats = scaled(column, column.astype(np.float64))
    assert_allclose(as_floats, scaled(column), atol=1e-5)


def test_long_tables_are_sampled_evenly():
    table = torch.from_numpy(RNG.normal(size=(1000, 2)))
    few, spaced = RobustScale.fit(table, max_rows=100), RobustScale.fit(table[::10])
    assert torch.equal(few.center, spaced.center)
    assert torch.equal(few.scale, spaced.scale)


def test_changes_nothing_in_place():
    for column in (NORMAL, COLUMNS["whole numbers near 2**60"]):
        before = column.copy()
        scaled(column)
        assert_array_equal(column, before)


# ------------------------------------------------------------------- as a part of a net


def layer_and_rows(name):
    x = torch.from_numpy(COLUMNS[name].reshape(-1, 1))
    return RobustScale.fit(x), x


@pytest.mark.parametrize("cast", ["float", "half", "double", "bfloat16"])
@pytest.mark.parametrize("name", ["far from zero", "whole numbers near 2**60"])
def test_stays_in_double_precision_when_a_net_is_cast(cast, name):
    layer, x = layer_and_rows(name)
    expected = layer(x)
    net = torch.nn.Sequential(layer, torch.nn.Linear(1, 1))
    getattr(net, cast)()
    assert torch.equal(layer(x), expected)
    assert net[1].weight.dtype != layer.center.dtype or cast == "double"


def test_follows_the_net_to_another_device():
    layer, _ = layer_and_rows("normal")
    torch.nn.Sequential(layer).to("meta")
    assert layer.center.device.type == "meta"


@pytest.mark.skipif(not torch.backends.mps.is_available(), reason="no MPS here")
def test_scales_on_the_cpu_for_mps():
    layer, x = layer_and_rows("far from zero")
    expected = layer(x)
    torch.nn.Sequential(layer).to("mps")
    assert torch.equal(layer(x), expected)


@pytest.mark.parametrize("name", ["normal", "whole numbers near 2**60"])
@pytest.mark.parametrize("before", ["normal", "whole numbers near 2**60"])
def test_a_state_replaces_any_other(name, before):
    layer, x = layer_and_rows(name)
    other, _ = layer_and_rows(before)
    outer = torch.nn.Sequential(other)
    outer.load_state_dict(copy.deepcopy(torch.nn.Sequential(layer).state_dict()))
    assert torch.equal(outer(x), layer(x))
    assert set(layer.state_dict()) - {"shift"} == {"center", "scale"}


def test_gradients_reach_the_inputs():
    layer, x = layer_and_rows("normal")
    x = x[:5].clone().requires_grad_()
    wide = {"eps": 1e-2, "atol": 1e-3, "rtol": 1e-2}  # for outputs in single precision
    assert torch.autograd.gradcheck(lambda x: layer(x).double(), x, **wide)
