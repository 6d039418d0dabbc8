import numpy as np
import pytest
import torch

from mixup_tab.nets import RobustScale


def normal(*shape, seed=0, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype)


def robust_scale_by_numpy(table, x):
    low, median, high = np.quantile(table, [0.25, 0.5, 0.75], axis=0)
    half_range = (table.max(0) - table.min(0)) / 2
    width = np.where(high > low, high - low, half_range)
    scale = np.divide(1, width, out=np.zeros_like(width), where=width > 0)
    z = (x - median) * scale
    return z / np.sqrt(1 + (z / 3) ** 2)


def awkward_table(rows=203):
    table = normal(rows, 5, dtype=torch.float64) * torch.tensor([1e-3, 1.0, 1e5, 1.0, 1.0])
    table[:, 3] = 7.25  # constant
    table[:, 4] = 0
    table[:9, 4] = 2.0  # quartiles coincide
    return table


@pytest.mark.parametrize("rows", [1, 2, 3, 203])
def test_robust_scale_follows_its_formula(rows):
    table = awkward_table(rows)
    x = torch.cat((table, 10 * table[:1] + 1))
    scaled = RobustScale.fit(table)(x).numpy()
    expected = robust_scale_by_numpy(table.numpy(), x.numpy())
    np.testing.assert_allclose(scaled, expected, rtol=1e-10, atol=1e-12)


def test_robust_scale_turns_constant_columns_to_zero_and_clips_smoothly():
    table = awkward_table()
    scale = RobustScale.fit(table.float())
    assert scale(table.float()).dtype == torch.float32
    assert not scale(table.float())[:, 3].any()
    assert scale(torch.full((1, 5), 1e9))[0, 0] == pytest.approx(3)


def test_robust_scale_reads_evenly_spaced_rows_of_a_long_table():
    table = normal(1000, 2)
    few, spaced = RobustScale.fit(table, max_rows=100), RobustScale.fit(table[::10])
    assert torch.equal(few.center, spaced.center)
    assert torch.equal(few.scale, spaced.scale)


def test_robust_scale_changes_nothing_in_place():
    table = awkward_table()
    before = table.clone()
    RobustScale.fit(table)(table)
    assert torch.equal(table, before)
