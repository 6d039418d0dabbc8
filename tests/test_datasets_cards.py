from pathlib import Path

import pandas as pd
import pytest

from mixup_tab.datasets.cards import TYPES, cards, expand, parse
from mixup_tab.datasets.plain import plain_names

SHARED = Path(__file__).parents[2] / "shared" / "uci"
PAPER = {"abalone", "arcene", "arrhythmia", "htru2", "iris", "phishing-websites"}
CARDS = cards()
AS_FILES = sorted(set(CARDS) & set(plain_names(SHARED)))

MINIMAL = """
uci = 1
title = "One"
url = "https://archive.ics.uci.edu/static/public/1/one.zip"
licence = "CC BY 4.0"
citation = "Somebody (2000). One. UCI Machine Learning Repository."
task = "classification"
target = "y"
rows = 2
features = 2
classes = 2
missing = 0
{more}
[files]
members = ["one.data"]
[columns]
"x1..x2" = "number"
id = "drop"
y = "category"
"""


def test_there_are_the_papers_six_and_at_least_forty_more():
    assert set(CARDS) >= PAPER
    assert len(CARDS) >= 46
    assert {name for name, card in CARDS.items() if card.paper} == PAPER


@pytest.mark.parametrize("card", CARDS.values(), ids=CARDS)
def test_a_card_agrees_with_itself(card):
    assert set(card.columns.values()) <= set(TYPES)
    assert card.columns[card.target] in ("number", "category")
    assert len(card.feature_names) == card.features
    assert card.target not in card.feature_names
    assert "target" not in card.feature_names
    assert card.task == ("classification" if card.classes else "regression")
    assert len(card.files.label_members) in (0, len(card.files.members))
    assert card.missing or not card.files.missing
    assert card.url.startswith(f"https://archive.ics.uci.edu/static/public/{card.uci}/")
    assert card.url.endswith(".zip")
    assert card.sha256 is None or len(bytes.fromhex(card.sha256)) == 32
    assert card.doi is None or card.doi.startswith("10.24432/C5")
    assert card.citation.endswith("UCI Machine Learning Repository.")


def test_cards_of_one_archive_agree():
    for one in CARDS.values():
        for other in CARDS.values():
            same = (one.uci == other.uci, one.url == other.url)
            assert all(same) or not any(same), f"{one.name}, {other.name}"
            if one.uci == other.uci:
                assert (one.sha256, one.doi) == (other.sha256, other.doi)
            else:
                assert one.doi is None or one.doi != other.doi


def test_cards_of_one_archive_differ_in_what_they_read():
    read = [(card.uci, card.files.members, card.target) for card in CARDS.values()]
    assert len(set(read)) == len(read)


def test_a_description_says_size_source_licence_and_citation():
    text = CARDS["abalone"].description()
    for part in ("4177 rows, 8 features", "28 classes", "10.24432/C55C7W", "CC BY 4.0", "Nash"):
        assert part in text
    assert "74.0 % (ERM) and 73.6 % (mixup)" in text


def test_a_minimal_card_is_read():
    card = parse("one", MINIMAL.format(more=""))
    assert card.feature_names == ["x1", "x2"]
    assert (card.doi, card.sha256, card.labels) == (None, None, {})
    assert card.files.separator == ","


def test_a_field_that_is_not_known_is_refused():
    with pytest.raises(TypeError, match="sha265"):
        parse("one", MINIMAL.format(more='sha265 = "00"'))


def test_runs_of_names_are_written_out():
    assert list(expand({"p-1": "number", "x9..x11": "drop", "a..b": "number"})) == [
        "p-1",
        "x9",
        "x10",
        "x11",
        "a..b",
    ]


@pytest.mark.skipif(not AS_FILES, reason="the folder of plain tables is not here")
def test_most_cards_can_be_compared_with_files():
    assert len(AS_FILES) >= 46
    assert set(AS_FILES) >= PAPER


@pytest.mark.parametrize("name", AS_FILES)
def test_a_card_agrees_with_the_file(name):
    card = CARDS[name]
    frame = pd.read_csv(
        SHARED / f"{name}.csv.gz", keep_default_na=False, na_values=[""], low_memory=False
    )
    features = frame.drop(columns="target")
    assert frame.shape == (card.rows, card.features + 1)
    assert frame["target"].nunique() == card.classes
    assert features.isna().sum().sum() == card.missing
    assert list(features) == card.feature_names
    kinds = {column: card.columns[column] for column in features}
    kinds["target"] = card.columns[card.target]
    for column, kind in kinds.items():
        assert pd.api.types.is_numeric_dtype(frame[column]) == (kind == "number"), column
