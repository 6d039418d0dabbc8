"""Tables of the UCI archive: their cards, archives, and plain files."""

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
from mixup_tab.datasets.cards import TYPES, cards, expand, parse
from mixup_tab.datasets.home import facts
from mixup_tab.datasets.tables import plain_names

SHARED = Path(__file__).parents[2] / "shared" / "uci"
CARDS = cards()
AS_FILES = sorted(set(CARDS) & set(plain_names(SHARED)))
PAPER = {"abalone", "arcene", "arrhythmia", "htru2", "iris", "phishing-websites"}
needs_tables = pytest.mark.skipif(not AS_FILES, reason="../shared/uci is missing")


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
        lines = map(separator.join, frame.iloc[rows][columns].to_numpy())
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


def smallest_of_each_layout(cells=60_000):
    """Name of one table for every way in which a card says how to read files."""
    layouts = {}
    for name in sorted(AS_FILES, key=lambda name: CARDS[name].rows * CARDS[name].features):
        card, files = CARDS[name], replace(CARDS[name].files, members=(), label_members=())
        several = len(card.files.members) > 1
        layout = str((files, several, "drop" in card.columns.values(), bool(card.labels)))
        if card.rows * card.features < cells:
            layouts.setdefault(layout, []).append(name)
    return [names[0] for names in layouts.values()]


@needs_tables
@pytest.mark.usefixtures("_any_archive")
def test_archive_and_plain_file_give_the_same_table(tmp_path):
    names = smallest_of_each_layout()
    assert len(names) >= 10
    for name in names:
        card = CARDS[name]
        raw = pd.read_csv(SHARED / f"{name}.csv.gz", dtype=str, keep_default_na=False)
        archive(uci.archive_path(card, tmp_path), **as_the_archive_has_it(card, raw))
        fetched = fetch_uci(name, data_home=tmp_path, download_if_missing=False)
        plain = fetch_uci(name, data_home=SHARED)
        pd.testing.assert_frame_equal(fetched.frame, plain.frame, check_dtype=False)
        dtypes = zip(fetched.data.dtypes, plain.data.dtypes, strict=True)
        assert all((a == "category") == (b == "category") for a, b in dtypes), name
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
        with pytest.raises(OSError, match="iris has 150 rows by its card, but its files have"):
            fetch_uci("iris", data_home=tmp_path / "home")
    assert list((tmp_path / "home").rglob("*.zip")) == []


@pytest.mark.usefixtures("_any_archive")
def test_an_archive_is_as_large_as_its_table_or_a_limit_is_raised(tmp_path, iris_rows):
    path = uci.archive_path(CARDS["iris"], tmp_path)
    archive(path, **{"iris.data": iris_rows + " " * 2_000_000})
    with pytest.raises(ValueError, match=r"'iris.data' has 2,00.* size_limit=1,096,576\. Rai"):
        fetch_uci("iris", data_home=tmp_path)
    assert len(fetch_uci("iris", data_home=tmp_path, size_limit=3e6).data) == 150
    with pytest.raises(ValueError, match="size_limit=0 must be a positive number"):
        fetch_uci("iris", data_home=tmp_path, size_limit=0)


def test_plain_files_have_a_limit(tmp_path):
    plain_file(tmp_path, "mine", "a,b,target\n1,2,0\n3,4,1\n")
    assert len(fetch_uci("mine", data_home=tmp_path, size_limit=2000).data) == 2
    for call in (
        lambda: fetch_uci("mine", data_home=tmp_path, size_limit=22),
        lambda: list_uci(tmp_path, size_limit=22),
    ):
        with pytest.raises(ValueError, match=r"mine\.csv\.gz cannot .* size_limit=22\. R"):
            call()
    with pytest.raises(ValueError, match="a table of so many columns has 2,000 bytes or more"):
        fetch_uci("mine", data_home=tmp_path, size_limit=1999)


@pytest.mark.usefixtures("_any_archive")
def test_an_unusable_or_missing_archive_is_named(tmp_path):
    path = uci.archive_path(CARDS["iris"], tmp_path)
    archive(path, **{"iris.data": "1,2,3\n4,5,6\n"})
    with pytest.raises(ValueError, match=f"{path} is unusable.*3 columns.*Delete it"):
        fetch_uci("iris", data_home=tmp_path)
    path.unlink()
    with pytest.raises(OSError, match=rf"/53/iris\.zip yourself and save it as {path}"):
        fetch_uci("iris", data_home=tmp_path, download_if_missing=False)


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
    plain_file(tmp_path, "fractions", "a,target\n1,0.5\n2,1.5\n")
    found = fetch_uci("fractions", data_home=tmp_path)
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


def test_plain_files_in_another_form_are_refused(tmp_path):
    wrong = {
        "target,a\n0,1\n": "'target' as its last column",
        "a,target\n1,\n2,1\n": "every row",
    }
    for text, message in wrong.items():
        plain_file(tmp_path, "mine", text)
        with pytest.raises(ValueError, match=message):
            fetch_uci("mine", data_home=tmp_path)
    plain_file(tmp_path, "mine", "a,target\n" + "\n".join(f"{i},0" for i in range(999)))
    path = tmp_path / "mine.csv.gz"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=f"{path} cannot .* not a complete gzip file"):
        fetch_uci("mine", data_home=tmp_path)


def test_unknown_names_are_refused_and_similar_ones_offered(tmp_path):
    plain_file(tmp_path, "mine", "a,target\n1,0\n")
    for name in ("../mine", "iriss", "", 3, "uci/53/iris"):
        with pytest.raises(ValueError, match=r"not known.*list_uci"):
            fetch_uci(name, data_home=tmp_path / "uci")
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


def test_where_data_is_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("MIXUP_TAB_DATA", str(tmp_path))
    assert get_data_home() == tmp_path
    assert get_data_home(tmp_path / "other") == tmp_path / "other"
    monkeypatch.delenv("MIXUP_TAB_DATA")
    assert get_data_home() == Path("~/mixup_tab_data").expanduser()
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"data_home=.* is not a folder"):
        list_uci(tmp_path / "file")


# ------------------------------------------------------------------------------ cards


def test_cards_agree_with_themselves():
    assert len(CARDS) >= 46
    assert {name for name, card in CARDS.items() if card.paper} == PAPER
    wrong = {name: fault for name, card in CARDS.items() for fault in faults(card)}
    assert wrong == {}


def faults(card):
    page = f"https://archive.ics.uci.edu/static/public/{card.uci}/"
    checks = {
        "types": set(card.columns.values()) <= set(TYPES),
        "target": card.columns[card.target] in ("number", "category"),
        "features": len(card.feature_names) == card.features,
        "names": not {card.target, "target"} & set(card.feature_names),
        "task": card.task == ("classification" if card.classes else "regression"),
        "labels": len(card.files.label_members) in (0, len(card.files.members)),
        "missing": card.missing or not card.files.missing,
        "url": card.url.startswith(page) and card.url.endswith(".zip"),
        "sha256": card.sha256 is None or len(bytes.fromhex(card.sha256)) == 32,
        "doi": card.doi is None or card.doi.startswith("10.24432/C5"),
        "citation": card.citation.endswith("UCI Machine Learning Repository."),
    }
    return [check for check, right in checks.items() if not right]


def test_cards_of_one_archive_agree_but_read_different_tables():
    for one in CARDS.values():
        for other in CARDS.values():
            same = (one.uci == other.uci, one.url == other.url)
            assert all(same) or not any(same), f"{one.name}, {other.name}"
            if one.uci == other.uci:
                assert (one.sha256, one.doi) == (other.sha256, other.doi)
            else:
                assert one.doi is None or one.doi != other.doi
    read = [(card.uci, card.files.members, card.target) for card in CARDS.values()]
    assert len(set(read)) == len(read)


def test_a_description_has_size_source_licence_and_citation():
    text = CARDS["abalone"].description()
    for part in ("4177 rows, 8 features", "28 classes", "10.24432/C55C7W", "CC BY 4.0", "Nash"):
        assert part in text
    assert "74.0 % (ERM) and 73.6 % (mixup)" in text


def test_unknown_fields_of_a_card_are_refused_and_runs_of_names_written_out():
    text = (facts("uci") / "iris.toml").read_text(encoding="utf-8")
    assert parse("iris", text) == CARDS["iris"]
    with pytest.raises(TypeError, match="sha265"):
        parse("iris", f'sha265 = "00"\n{text}')
    names = expand({"p-1": "number", "x9..x11": "drop", "a..b": "number"})
    assert list(names) == ["p-1", "x9", "x10", "x11", "a..b"]


@pytest.mark.slow
@needs_tables
def test_cards_agree_with_the_plain_files():
    assert len(AS_FILES) >= 46
    assert set(AS_FILES) >= PAPER
    wrong = {name: fault for name in AS_FILES for fault in faults_of_file(name, CARDS[name])}
    assert wrong == {}


def faults_of_file(name, card):
    frame = pd.read_csv(
        SHARED / f"{name}.csv.gz", keep_default_na=False, na_values=[""], low_memory=False
    )
    features = frame.drop(columns="target")
    types = {column: card.columns[column] for column in features}
    types["target"] = card.columns[card.target]
    numeric = {column: pd.api.types.is_numeric_dtype(frame[column]) for column in frame}
    checks = {
        "shape": frame.shape == (card.rows, card.features + 1),
        "classes": card.classes in (None, frame["target"].nunique()),
        "missing": features.isna().sum().sum() == card.missing,
        "names": list(features) == card.feature_names,
        "types": all((types[column] == "number") == numeric[column] for column in frame),
    }
    return [check for check, right in checks.items() if not right]
