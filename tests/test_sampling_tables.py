import numpy as np
import pandas as pd
import polars as pl
import pytest
from numpy.testing import assert_array_equal
from scipy import sparse

from mixup_tab.sampling.tables import (
    check_labels,
    check_values,
    like,
    mix_rows,
    stack,
    take,
)

RNG = np.random.default_rng(0)
TABLE = RNG.normal(size=(6, 3))
ROWS = RNG.integers(0, 6, size=(8, 3))
WEIGHTS = RNG.dirichlet([1, 1, 1], size=8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mixed_rows_are_weighted_sums(dtype):
    mixed = mix_rows(TABLE.astype(dtype), ROWS, WEIGHTS)
    assert mixed.dtype == dtype
    np.testing.assert_allclose(
        mixed, np.einsum("ck,ckf->cf", WEIGHTS, TABLE[ROWS]), rtol=1e-5, atol=1e-6
    )


def test_mixed_rows_of_a_sparse_matrix_are_those_of_the_dense_one():
    zeros = TABLE * (np.abs(TABLE) > 0.5)
    mixed = mix_rows(sparse.csr_matrix(zeros), ROWS, WEIGHTS)
    assert mixed.format == "csr"
    np.testing.assert_allclose(mixed.toarray(), mix_rows(zeros, ROWS, WEIGHTS))


def test_mixed_values_of_one_axis():
    np.testing.assert_allclose(
        mix_rows(TABLE[:, 0], ROWS, WEIGHTS), (WEIGHTS * TABLE[ROWS, 0]).sum(1)
    )


def test_what_all_rows_share_is_kept_to_the_last_bit():
    table = np.full((6, 1), 0.1)
    assert_array_equal(mix_rows(table, ROWS, WEIGHTS), np.full((8, 1), 0.1))


@pytest.mark.parametrize(
    "y", [["b", "a", "c"], [7, 1, 9], [True, False, True], np.array(["b", "a"], object)]
)
def test_labels_are_numbered_in_order(y):
    classes, codes = check_labels(np.array(y))
    assert_array_equal(classes, np.unique(y))
    assert_array_equal(classes[codes], y)


def test_one_hot_rows_are_labels():
    one_hot = np.eye(3, dtype=int)[[2, 0, 1, 1]]
    for y in (one_hot, sparse.csr_matrix(one_hot)):
        classes, codes = check_labels(y)
        assert classes.tolist() == [0, 1, 2]
        assert codes.tolist() == [2, 0, 1, 1]


@pytest.mark.parametrize(
    ("y", "error", "message"),
    [
        (np.linspace(0, 1, 5), ValueError, "y holds fractions.*labels='values'"),
        (np.array([[1, 1], [0, 1]]), ValueError, "Multilabel and multioutput.*one label"),
        (np.array([[1, 2], [3, 1], [0, 5]]), ValueError, "Multilabel and multioutput"),
        (np.array(["a", "a"]), ValueError, "only one class, 'a'; at least 2"),
        (np.array(["a", None, "b"], object), TypeError, "one kind.*without a label"),
        (np.array(["a", 1, "b"], object), TypeError, "one kind.*all into strings"),
        (np.array([b"a", b"b"]), TypeError, "represented as bytes"),
    ],
)
def test_what_are_no_labels_is_refused(y, error, message):
    with pytest.raises(error, match=message):
        check_labels(y)


def test_values_become_floats_and_text_is_refused():
    assert check_values(np.array([1, 2])).dtype == np.float64
    assert check_values(np.array([1, 2], np.float32)).dtype == np.float32
    with pytest.raises(TypeError, match=r"needs numbers in y.*labels='unmixed'"):
        check_values(np.array(["a", "b"]))


def test_taken_targets_stay_in_their_container():
    rows = np.array([2, 0, 0])
    assert take(["a", "b", "c"], rows) == ["c", "a", "a"]
    series = pd.Series(["a", "b", "a"], name="label", dtype="category", index=[5, 6, 7])
    taken = take(series, rows)
    pd.testing.assert_series_equal(
        taken, pd.Series(["a"] * 3, name="label", dtype=series.dtype)
    )
    frame = take(pd.DataFrame({"label": [1, 2, 3]}, index=[5, 6, 7]), rows)
    pd.testing.assert_frame_equal(frame, pd.DataFrame({"label": [3, 1, 1]}))
    assert take(pl.Series("label", ["a", "b", "c"]), rows).to_list() == ["c", "a", "a"]


def test_mixed_tables_come_back_in_their_container():
    mixed = np.array([[0.5, 1.0], [1.5, 2.0]])
    single = pd.DataFrame({"one": np.ones(3, np.float32), "two": [1, 2, 3]}, index=[7, 8, 9])
    frame = like(single, mixed)
    assert frame.dtypes.tolist() == [np.float32, np.float64]  # whole numbers are mixed too
    assert list(frame.columns) == ["one", "two"]
    assert list(frame.index) == [0, 1]
    assert like([[1, 2]], mixed) == mixed.tolist()
    assert like(pd.Series([1, 2], name="y"), mixed[:, 0]).name == "y"
    polars = pl.DataFrame({"a": [1], "b": [2]}, schema={"a": pl.Float32, "b": pl.Int64})
    assert like(polars, mixed).schema == {"a": pl.Float32, "b": pl.Float64}
    assert like(sparse.csc_matrix((2, 2)), sparse.csr_matrix(mixed)).format == "csc"


def test_columns_of_the_same_name():
    twins = pd.DataFrame(np.zeros((2, 2)), columns=["a", "a"])
    assert like(twins, np.ones((3, 2))).shape == (3, 2)


def test_stack_of_sparse_and_dense_parts():
    assert stack([TABLE, TABLE[:1]]).shape == (7, 3)
    assert stack([sparse.csr_matrix(TABLE)] * 2).format == "csr"
