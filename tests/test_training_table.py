"""How arrays become tensors: the lower half of batches.py."""

import numpy as np
import pytest
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset, TensorDataset

from mixup_tab.training.table import Table, as_arrays, as_tensor


def test_an_array_is_wrapped_without_a_copy():
    array = np.zeros((4, 3), dtype=np.float32)
    tensor = as_tensor(array)
    array[1, 2] = 5
    assert tensor[1, 2] == 5
    assert as_tensor(tensor) is tensor


def test_a_table_on_the_cpu_holds_the_array_itself():
    array = np.zeros((4, 3), dtype=np.float32)
    table = Table(array, "cpu")
    array[1, 2] = 5
    assert table.data[1, 2] == 5
    assert len(table) == 4
    assert not table.streams


def test_a_read_only_array_is_wrapped_without_a_copy_or_a_warning():
    array = np.arange(6.0)
    array.flags.writeable = False
    assert as_tensor(array).data_ptr() == array.ctypes.data


@pytest.mark.parametrize("mode", ["r", "c", "r+"])
def test_a_memory_map_is_read_from_its_file(tmp_path, mode):
    array = np.arange(12, dtype=np.float32).reshape(4, 3)
    np.save(tmp_path / "table.npy", array)
    mapped = np.load(tmp_path / "table.npy", mmap_mode=mode)
    table = Table(mapped, "cpu")
    assert table.data.data_ptr() == mapped.ctypes.data
    assert table.take(torch.tensor([2, 0])).tolist() == array[[2, 0]].tolist()


@pytest.mark.parametrize(
    "array",
    [
        np.arange(12.0).reshape(4, 3)[::-1],
        np.arange(12.0).reshape(4, 3)[:, ::-1],
        np.asfortranarray(np.arange(12.0).reshape(4, 3)),
        np.arange(24.0).reshape(4, 6)[:, ::2],
        np.arange(12, dtype=">f4").reshape(4, 3),
        np.arange(12, dtype=">i8").reshape(4, 3),
    ],
    ids=["rows reversed", "columns reversed", "Fortran", "strided", ">f4", ">i8"],
)
def test_unusual_layouts_keep_their_values(array):
    tensor = as_tensor(array)
    assert tensor.numpy().dtype == array.dtype.newbyteorder("=")
    assert tensor.tolist() == array.tolist()


@pytest.mark.parametrize("shape", [(), (3,), (2, 4)])
def test_take_returns_rows_at_positions_of_any_shape(shape):
    array = np.random.default_rng(0).normal(size=(9, 2, 5))
    rows = torch.randint(0, 9, shape)
    taken = Table(array, "cpu").take(rows)
    np.testing.assert_array_equal(taken, array[rows.numpy()])


def test_arrays_behind_a_dataset():
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    assert as_arrays(Dataset(X, y))[0] is X
    found = as_arrays(Dataset(torch.from_numpy(X), y))
    assert found[0].data_ptr() == X.ctypes.data
    assert found[1] is y
    assert found[2] is None


def test_rows_of_a_subset_of_a_subset():
    X, y = np.arange(20.0).reshape(10, 2), np.arange(10)
    outer = Subset(Dataset(X, y), [9, 7, 5, 3, 1])
    inner = Subset(outer, np.array([4, 0, 0, 2]))
    found_X, found_y, rows = as_arrays(inner)
    assert found_X is X
    assert found_y is y
    assert rows.tolist() == [1, 9, 9, 5]
    assert [inner[i][1] for i in range(4)] == rows.tolist()


class Doubled(Dataset):
    """A dataset that changes its rows on the way out."""

    def transform(self, X, y):
        X, y = super().transform(X, y)
        return 2 * X, y


@pytest.mark.parametrize(
    "dataset",
    [
        TensorDataset(torch.ones(3, 2), torch.ones(3)),
        Dataset([[1.0, 2.0], [3.0, 4.0]], [0, 1]),
        Dataset({"a": np.ones(3)}, np.ones(3)),
        Doubled(np.ones((3, 2)), np.ones(3)),
        Subset(TensorDataset(torch.ones(3, 2)), [0]),
    ],
    ids=["torch dataset", "lists", "dict", "subclass", "subset of torch dataset"],
)
def test_anything_but_plain_arrays_goes_through_a_loader(dataset):
    assert as_arrays(dataset) is None
