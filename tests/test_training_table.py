"""How arrays become tensors and tables: the lower half of batches.py."""

import numpy as np
import pytest
import torch
from skorch.dataset import Dataset
from torch.utils.data import Subset, TensorDataset

from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.training import table as tables
from mixup_tab.training.table import Examples, Table, as_arrays, as_tensor


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


# ------------------------------------------------------------------------ Examples

POSITIONS = [(), (3,), (2, 4), (2, 1, 3)]


@pytest.fixture(params=["small", "large"])
def prepared(request, monkeypatch):
    """Tables are prepared once, or block by block."""
    if request.param == "large":
        monkeypatch.setattr(tables, "PREPARED_VALUES", 0)
    return request.param == "small"


def table_of(values):
    return None if values is None else Table(values, "cpu")


def examples_of(x, y, weight=None, **maps):
    return Examples(table_of(x), table_of(y), table_of(weight), **maps)


def encode_classes(y, weight):
    return MixedCrossEntropy(0.1).encode(y, weight, 3)


def encode_values(y, weight):
    return MixedSquaredError().encode(y, weight, 2)


@pytest.mark.parametrize("shape", POSITIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("kind", ["classes", "values"])
@pytest.mark.usefixtures("prepared")
def test_examples_are_prepared_inputs_and_target_rows(shape, weighted, kind):
    rng = np.random.default_rng(0)
    x, weight = rng.normal(size=(9, 5)), rng.uniform(0.5, 2, 9) if weighted else None
    y = rng.integers(0, 3, 9) if kind == "classes" else rng.normal(size=(9, 2))
    encode = encode_classes if kind == "classes" else encode_values
    examples = examples_of(x, y, weight, encode=encode, prepare=lambda x: 2 * x + 1)
    rows = torch.randint(0, 9, shape)
    inputs, targets = examples.take(rows)
    np.testing.assert_allclose(inputs, 2 * x[rows.numpy()] + 1)
    everything = encode(torch.from_numpy(y), torch.from_numpy(weight) if weighted else None)
    torch.testing.assert_close(targets, everything[rows])
    assert inputs.shape == (*shape, 5)
    assert targets.shape == (*shape, 3)


@pytest.mark.parametrize("shape", POSITIONS)
@pytest.mark.usefixtures("prepared")
def test_labels_are_the_codes_at_positions_of_any_shape(shape):
    y = np.arange(9) % 4
    rows = torch.randint(0, 9, shape)
    examples = examples_of(np.ones((9, 2)), y, encode=encode_classes)
    np.testing.assert_array_equal(examples.labels(rows), y[rows.numpy()])


def test_a_small_table_is_prepared_once_and_a_large_one_block_by_block(prepared):
    sizes = []

    def prepare(x):
        sizes.append(len(x))
        return x

    examples = examples_of(
        np.ones((9, 2)), np.zeros(9, dtype=int), encode=encode_classes, prepare=prepare
    )
    for rows in ([0, 1], [5, 5, 5]):
        examples.take(torch.tensor(rows))
    assert sizes == ([1, 9] if prepared else [1, 2, 3])  # one row shows how wide they are


@pytest.mark.parametrize(("shape", "size"), [((9, 5), 5), ((9, 2, 3), 6), ((9, 0), 1)])
@pytest.mark.usefixtures("prepared")
def test_examples_know_their_number_and_the_size_of_a_row(shape, size):
    examples = examples_of(np.ones(shape), np.zeros(9, dtype=int), encode=encode_classes)
    assert len(examples) == 9
    assert examples.row_size == size
    assert examples.device == torch.device("cpu")


def test_a_small_table_holds_the_array_where_nothing_changes_it():
    x = np.ones((9, 2), dtype=np.float32)
    examples = examples_of(x, np.zeros(9, dtype=int), encode=encode_classes)
    x[4] = 7
    assert examples.take(torch.tensor([4]))[0].tolist() == [[7, 7]]
