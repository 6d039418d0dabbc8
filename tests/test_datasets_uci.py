import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from data_server import serving
from sklearn.utils import Bunch

from mixup_tab.datasets import fetch_uci, get_data_home, list_uci, uci
from mixup_tab.datasets.cards import cards
from mixup_tab.datasets.plain import plain_names

SHARED = Path(__file__).parents[2] / "shared" / "uci"
CARDS = cards()
# Large tables would only take longer here.
SMALL = [
    name
    for name in sorted(set(CARDS) & set(plain_names(SHARED)))
    if CARDS[name].rows * CARDS[name].features < 60_000
]


def plain_file(folder, name, text):
    folder.mkdir(exist_ok=True)
    pd.read_csv(io.StringIO(text), dtype=str, keep_default_na=False).to_csv(
        folder / f"{name}.csv.gz", index=False
    )


def archive(path, **members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def as_the_archive_has_it(card, frame):
    """Write a table of strings ('' is missing) the way its card says that it is read."""
    files, frame = card.files, frame.rename(columns={"target": card.target})
    columns = [name for name in card.columns if name != card.target or not files.label_members]
    for name, kind in card.columns.items():
        if kind == "drop":
            frame[name] = "dropped"
        elif kind == "number":
            frame[name] = frame[name].str.replace(".", files.decimal)
    frame = frame.replace("", files.missing)
    separator = " " if files.separator == " " else files.separator
    head = [separator.join(columns)] if files.header else []
    contents = {}
    for part, rows in enumerate(np.array_split(np.arange(len(frame)), len(files.members))):
        lines = frame.iloc[rows][columns].agg(separator.join, axis=1)
        text = "\n".join([*head, *(f"{mark} skipped" for mark in files.skip), *lines, ""])
        contents[files.members[part]] = text.encode(files.encoding)
        if files.label_members:
            labels = "\n".join(frame.iloc[rows][card.target])
            contents[files.label_members[part]] = labels.encode(files.encoding)
    return contents


@pytest.fixture
def _any_archive(monkeypatch):
    """Cards without the checksums of the archive's own files."""
    known = {name: replace(card, sha256=None) for name, card in CARDS.items()}
    monkeypatch.setattr(uci, "cards", lambda: known)


@pytest.fixture
def iris_rows():
    return "\n".join(f"{i / 10},3.5,1.4,0.2,Iris-{'abc'[i % 3]}" for i in range(150))


@pytest.mark.skipif(not SMALL, reason="the folder of plain tables is not here")
def test_many_sets_are_compared_below():
    assert len(SMALL) >= 35


@pytest.mark.usefixtures("_any_archive")
@pytest.mark.parametrize("name", SMALL)
def test_archive_and_plain_file_give_the_same_table(tmp_path, name):
    card = CARDS[name]
    raw = pd.read_csv(SHARED / f"{name}.csv.gz", dtype=str, keep_default_na=False)
    path = uci.archive_path(card, tmp_path)
    archive(path, **as_the_archive_has_it(card, raw))
    fetched = fetch_uci(name, data_home=tmp_path, download_if_missing=False)
    plain = fetch_uci(name, data_home=SHARED)
    pd.testing.assert_frame_equal(fetched.frame, plain.frame, check_dtype=False)
    kinds = zip(fetched.data.dtypes, plain.data.dtypes, strict=True)
    assert all((a == "category") == (b == "category") for a, b in kinds)
    assert fetched.target_names == plain.target_names


def test_a_set_is_downloaded_once(tmp_path, monkeypatch, iris_rows):
    packed = archive(tmp_path / "iris.zip", **{"iris.data": iris_rows}).read_bytes()
    with serving(**{"53/iris.zip": ("well", packed)}) as (address, asked):
        card = replace(CARDS["iris"], url=f"{address}/53/iris.zip", sha256=None)
        monkeypatch.setattr(uci, "cards", lambda: {"iris": card})
        first = fetch_uci("iris", data_home=tmp_path / "home")
        again = fetch_uci("iris", data_home=tmp_path / "home", download_if_missing=False)
    assert asked == ["/53/iris.zip"]
    assert [path.name for path in (tmp_path / "home").rglob("*.zip")] == ["iris.zip"]
    pd.testing.assert_frame_equal(first.frame, again.frame)
    assert first.frame.shape == (150, 5)


def test_an_archive_with_too_few_rows_is_not_kept(tmp_path, monkeypatch, iris_rows):
    cut = archive(tmp_path / "iris.zip", **{"iris.data": iris_rows[:200]}).read_bytes()
    with serving(**{"iris.zip": ("well", cut)}) as (address, _):
        card = replace(CARDS["iris"], url=f"{address}/iris.zip", sha256=None)
        monkeypatch.setattr(uci, "cards", lambda: {"iris": card})
        with pytest.raises(OSError, match="iris has 150 rows by its card, and its files hold"):
            fetch_uci("iris", data_home=tmp_path / "home")
    assert list((tmp_path / "home").rglob("*.zip")) == []


@pytest.mark.usefixtures("_any_archive")
def test_an_archive_put_there_by_hand_that_is_no_good_is_named(tmp_path):
    path = uci.archive_path(CARDS["iris"], tmp_path)
    archive(path, **{"iris.data": "1,2,3\n4,5,6\n"})
    with pytest.raises(ValueError, match=f"{path} is no good.*3 columns.*Remove it"):
        fetch_uci("iris", data_home=tmp_path)


def test_offline_it_says_which_file_to_put_where(tmp_path):
    with pytest.raises(OSError, match=r"static/public/53/iris\.zip.* save it as") as caught:
        fetch_uci("iris", data_home=tmp_path, download_if_missing=False)
    assert str(tmp_path / "uci" / "53" / "iris.zip") in str(caught.value)


def test_a_plain_file_needs_no_card(tmp_path):
    plain_file(tmp_path, "mine", "a,b,c,target\n1,x,None,0\n2,,NA,1\n3.5,y,q,0\n")
    found = fetch_uci("mine", data_home=tmp_path)
    assert isinstance(found, Bunch)
    assert (found.card, found.url, found.task) == (None, None, "classification")
    assert found.data["a"].tolist() == [1, 2, 3.5]
    assert found.data["b"].isna().tolist() == [False, True, False]
    assert found.data["c"].tolist() == ["None", "NA", "q"]  # nothing but '' is missing
    assert found.data["c"].dtype == "category"
    assert found.target.tolist() == [0, 1, 0]
    assert found.target_names == [0, 1]
    assert found.feature_names == ["a", "b", "c"]


def test_fractions_are_a_regression_target(tmp_path):
    plain_file(tmp_path, "mine", "a,target\n1,0.5\n2,1.5\n")
    found = fetch_uci("mine", data_home=tmp_path)
    assert (found.task, found.target_names) == ("regression", None)


def test_the_card_says_what_is_a_category(tmp_path):
    rows = "\n".join(f"1,2,{i % 3},4,{i % 4 + 2},1,1,1,{i % 3 + 1}" for i in range(5))
    plain_file(
        tmp_path,
        "contraceptive",
        "wife_age,wife_education,husband_education,children,husband_occupation,religion,"
        f"wife_working,living_standard,target\n{rows}",
    )
    found = fetch_uci("contraceptive", data_home=tmp_path)
    assert found.data["husband_occupation"].tolist() == ["2", "3", "4", "5", "2"]
    assert found.data["husband_occupation"].dtype == "category"


@pytest.mark.parametrize(
    ("text", "message"),
    [("target,a\n0,1\n", "'target' as its last column"), ("a,target\n1,\n2,1\n", "every row")],
)
def test_a_plain_file_in_another_form_is_refused(tmp_path, text, message):
    plain_file(tmp_path, "mine", text)
    with pytest.raises(ValueError, match=message):
        fetch_uci("mine", data_home=tmp_path)


def test_a_plain_file_cut_short_is_named(tmp_path):
    plain_file(tmp_path, "mine", "a,target\n" + "\n".join(f"{i},0" for i in range(999)))
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=f"{path} is not a whole gzip file"):
        fetch_uci("mine", data_home=tmp_path)


@pytest.mark.parametrize("name", ["../mine", "iriss", "", 3, "uci/53/iris"])
def test_names_that_are_not_known_are_refused(tmp_path, name):
    plain_file(tmp_path, "mine", "a,target\n1,0\n")
    with pytest.raises(ValueError, match=r"not known.*list_uci"):
        fetch_uci(name, data_home=tmp_path / "uci")


def test_similar_names_are_offered(tmp_path):
    with pytest.raises(ValueError, match=r"Similar: .*iris"):
        fetch_uci("iriss", data_home=tmp_path)


def test_forms_of_the_result(tmp_path):
    plain_file(tmp_path, "numbers", "a,b,target\n1,2,0\n3,,1\n")
    plain_file(tmp_path, "mixed", "a,b,target\n1,x,0\n3,y,1\n")
    X, y = fetch_uci("numbers", data_home=tmp_path, return_X_y=True)
    assert isinstance(X, pd.DataFrame)
    assert isinstance(y, pd.Series)
    X, y = fetch_uci("numbers", data_home=tmp_path, return_X_y=True, as_frame=False)
    np.testing.assert_array_equal(X, [[1, 2], [3, np.nan]])
    np.testing.assert_array_equal(y, [0, 1])
    assert X.dtype == float
    arrays = fetch_uci("mixed", data_home=tmp_path, as_frame=False)
    assert arrays.data.dtype == object
    assert arrays.frame is None


def test_the_list_holds_cards_and_plain_files(tmp_path):
    plain_file(tmp_path, "mine", "a,b,target\n1,x,u\n3,,v\n")
    plain_file(tmp_path, "wine", "a,target\n1,0\n")
    archive(uci.archive_path(CARDS["iris"], tmp_path), **{"iris.data": ""})
    table = list_uci(tmp_path).set_index("name")
    assert len(table) == len(CARDS) + 1
    assert table.index.is_monotonic_increasing
    assert set(table.index[table["local"]]) == {"iris", "mine", "wine"}
    sizes = ["rows", "features", "classes", "missing"]
    assert table.loc["mine", sizes].tolist() == [2, 2, 2, 1]
    assert table.loc["abalone", sizes].tolist() == [4177, 8, 28, 0]
    assert pd.isna(table.loc["mine", "uci"])
    assert pd.isna(table.loc["airfoil", "classes"])


def test_the_environment_says_where_data_lies(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXUP_TAB_DATA", str(tmp_path))
    assert get_data_home() == tmp_path
    assert get_data_home(tmp_path / "other") == tmp_path / "other"
    monkeypatch.delenv("MIXUP_TAB_DATA")
    assert get_data_home() == Path("~/mixup_tab_data").expanduser()


def test_a_file_is_no_data_home(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"data_home=.* is not a folder"):
        list_uci(tmp_path / "file")
