"""fetch_delgado from a miniature of the archive and from the shared tables."""

import io
import tarfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_server import serving

from mixup_tab.datasets import delgado, fetch_delgado, list_delgado, published_accuracies

SHARED = Path(__file__).parents[2] / "shared" / "uci"
LOCAL = list_delgado(SHARED)
TWO_FILES = {
    "adult", "annealing", "audiology-std", "conn-bench-vowel-deterding", "hayes-roth",
    "hill-valley", "horse-colic", "image-segmentation", "monks-1", "monks-2", "monks-3",
    "optical", "pendigits", "soybean", "spect", "spectf", "statlog-landsat",
    "statlog-shuttle", "thyroid",
}  # fmt: skip


def rows_of(count, start=0):
    head = "\tf1\tf2\tclase\n"
    return head + "".join(f"{i + 1}\t{i + start}.5\t-1\t{i % 2}\n" for i in range(count))


# The authors' archive, with two sets: iris in one file, spect in two.
FILES = {
    "data/iris/iris_R.dat": rows_of(6),
    "data/iris/iris.arff": "not needed",
    "data/iris/conxuntos.dat": "4 0 2 \n5 1 3 \n",
    "data/iris/conxuntos_kfold.dat": "0 2 1 5 \n4 3 \n" * 2 + "3 1 5 4 \n2 0 \n" * 2,
    "data/spect/spect_train_R.dat": rows_of(4),
    "data/spect/spect_test_R.dat": rows_of(3, start=10),
    "data/spect/conxuntos.dat": "3 0 \n1 2 \n",
    "data/spect/conxuntos_kfold.dat": "0 1 2 \n3 \n" * 4,
}


def packed(files):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


@pytest.fixture
def home(tmp_path):
    (tmp_path / "delgado").mkdir()
    (tmp_path / "delgado" / "data.tar.gz").write_bytes(packed(FILES))
    return tmp_path


def as_lists(pairs):
    return [[part.tolist() for part in pair] for pair in pairs]


def test_one_file_and_its_four_folds(home):
    found = fetch_delgado("iris", data_home=home, download_if_missing=False)
    np.testing.assert_array_equal(found.data, [[i + 0.5, -1] for i in range(6)])
    assert found.target.tolist() == [0, 1] * 3
    assert (found.data.dtype, found.target.dtype) == (np.float64, np.int64)
    assert as_lists([found.tune]) == [[[0, 2, 4], [1, 3, 5]]]
    folds = [[[0, 1, 2, 5], [3, 4]], [[1, 3, 4, 5], [0, 2]]]
    assert as_lists(found.folds) == [folds[0], folds[0], folds[1], folds[1]]
    assert found.two_files is False
    assert found.feature_names == ["f1", "f2"]
    assert found.target_names == [0, 1]
    assert "JMLR" in found.DESCR


def test_two_files_are_one_fold(home):
    found = fetch_delgado("spect", data_home=home)
    assert found.two_files is True
    assert found.data[:, 0].tolist() == [0.5, 1.5, 2.5, 3.5, 10.5, 11.5, 12.5]
    assert as_lists(found.folds) == [[[0, 1, 2, 3], [4, 5, 6]]]
    assert as_lists([found.tune]) == [[[0, 3], [1, 2]]]


def test_a_folder_of_tables_gives_the_same_as_the_archive(home, tmp_path):
    tables = tmp_path / "tables"
    for folder in ("delgado121", "folds"):
        (tables / folder).mkdir(parents=True)
    for name in ("iris", "spect"):
        found = fetch_delgado(name, data_home=home, as_frame=True)
        found.frame.to_csv(tables / "delgado121" / f"{name}.csv.gz", index=False)
        table = pd.DataFrame({"row": range(len(found.frame)), "file": "all"})
        if found.two_files:
            for part, rows in zip(("train", "test"), found.folds[0], strict=True):
                table.loc[rows, "file"] = part
        splits = {"tune": (found.tune, "valid")}
        if not found.two_files:
            names = ("fold1", "fold2", "fold3", "fold4")
            splits |= {n: (f, "test") for n, f in zip(names, found.folds, strict=True)}
        for column, ((train, out), word) in splits.items():
            table.loc[train, column] = "train"
            table.loc[out, column] = word
        table.to_csv(tables / "folds" / f"{name}.csv.gz", index=False)
        again = fetch_delgado(name, data_home=tables, as_frame=True)
        pd.testing.assert_frame_equal(again.frame, found.frame)
        assert as_lists([*again.folds, again.tune]) == as_lists([*found.folds, found.tune])
        assert again.two_files == found.two_files
    assert list_delgado(tables) == ["iris", "spect"]


def test_the_archive_is_downloaded_and_unpacked_once(tmp_path, monkeypatch):
    with serving(data=("well", packed(FILES))) as (address, asked):
        monkeypatch.setattr(delgado, "URL", f"{address}/data")
        for name in ("iris", "spect", "iris"):
            fetch_delgado(name, data_home=tmp_path)
    assert asked == ["/data"]
    written = {
        path.name for path in (tmp_path / "delgado" / "sets").rglob("*") if path.is_file()
    }
    assert written == {name.split("/")[-1] for name in FILES if not name.endswith(".arff")}
    assert list_delgado(tmp_path) == ["iris", "spect"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (packed(FILES)[:-40], "not a complete tar.gz file"),
        (b"<html>moved</html>", "not a complete tar.gz file"),
        (packed({"readme": "nothing"}), "holds no data set of the study"),
        (packed({**FILES, "data/../../evil/evil_R.dat": "boo"}), "would leave the folder"),
    ],
)
def test_a_bad_archive_leaves_nothing(tmp_path, monkeypatch, content, message):
    with serving(data=("well", content)) as (address, _):
        monkeypatch.setattr(delgado, "URL", f"{address}/data")
        with pytest.raises(OSError, match=message) as caught:
            fetch_delgado("iris", data_home=tmp_path / "home")
    assert str(tmp_path / "home" / "delgado" / "data.tar.gz") in str(caught.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_set_that_the_archive_lacks_is_named(home):
    with pytest.raises(ValueError, match=r"wine differs from the study's archive.*Delete"):
        fetch_delgado("wine", data_home=home)


def test_partitions_that_do_not_fit_the_rows_are_refused(tmp_path):
    (tmp_path / "delgado").mkdir()
    for number, rows in enumerate(("4 0 2 \n5 1 6 \n", "4 0 -2 \n5 1 3 \n", "4 \n")):
        home = tmp_path / str(number)
        (home / "delgado").mkdir(parents=True)
        files = {**FILES, "data/iris/conxuntos.dat": rows}
        (home / "delgado" / "data.tar.gz").write_bytes(packed(files))
        with pytest.raises(ValueError, match=r"do not match its 6 rows|differs from the"):
            fetch_delgado("iris", data_home=home)


def test_what_the_archive_unpacks_to_has_a_limit(home):
    with pytest.raises(ValueError, match=r"its content has .* size_limit=1,024\. Raise"):
        fetch_delgado("iris", data_home=home, size_limit=1024)
    assert not (home / "delgado" / "sets").exists()
    assert len(fetch_delgado("iris", data_home=home, size_limit=2**20).data) == 6


def test_offline_it_says_which_file_to_put_where(tmp_path):
    with pytest.raises(OSError, match=r"data\.tar\.gz yourself and save it as") as caught:
        fetch_delgado("iris", data_home=tmp_path, download_if_missing=False)
    assert str(tmp_path / "delgado" / "data.tar.gz") in str(caught.value)


def test_unknown_names_are_refused(tmp_path):
    for name in ("irisses", "../iris", ""):
        with pytest.raises(ValueError, match=r"not known.*list_delgado"):
            fetch_delgado(name, data_home=tmp_path)


def test_tables_and_partitions_that_do_not_belong_together_are_refused(tmp_path):
    for folder in ("delgado121", "folds"):
        (tmp_path / folder).mkdir()
    pd.DataFrame({"f1": [1, 2], "target": [0, 1]}).to_csv(
        tmp_path / "delgado121" / "iris.csv.gz", index=False
    )
    pd.DataFrame({"row": [0], "file": "all", "tune": "train", "fold1": "train"}).to_csv(
        tmp_path / "folds" / "iris.csv.gz", index=False
    )
    with pytest.raises(ValueError, match="has 1 rows and the data 2"):
        fetch_delgado("iris", data_home=tmp_path)


def test_the_published_figures_are_those_of_the_paper():
    table = published_accuracies()
    assert table.shape == (121, 179)
    assert table.index.is_unique
    assert table.columns.is_unique
    assert np.nanmin(table) >= 0
    assert np.nanmax(table) <= 100
    assert table.isna().sum().sum() == 449
    means = table.mean()[["parRF_caret", "svm_C"]]
    np.testing.assert_allclose(means, [82.0, 81.8], atol=0.05)
    assert list_delgado() == sorted(table.index)


@pytest.mark.slow
@pytest.mark.skipif(not LOCAL, reason="the folder of the study's tables is not here")
def test_partitions_of_the_real_tables_are_complete():
    assert set(LOCAL) <= set(list_delgado())
    wrong = {name: fault for name in LOCAL for fault in faults(name)}
    assert wrong == {}


def faults(name):
    found = fetch_delgado(name, data_home=SHARED)
    rows, (train, valid) = np.arange(len(found.data)), found.tune
    known = set(found.folds[0][0]) if found.two_files else set(rows)
    checks = {
        "two files": found.two_files == (name in TWO_FILES),
        "number of folds": len(found.folds) == (1 if found.two_files else 4),
        "rows of folds": all(
            np.array_equal(np.sort(np.concatenate(fold)), rows) for fold in found.folds
        ),
        "tuning rows": not set(train) & set(valid) and set(train) | set(valid) <= known,
        "finite": np.isfinite(found.data).all(),
        "classes": len(found.target_names) == len(np.unique(found.target)),
    }
    return [check for check, right in checks.items() if not right]
