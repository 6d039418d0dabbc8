"""The scores of a speech model, and which clips they are taken on."""

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from mixup_tab.audio.evaluate import Evaluation, choose_clips
from mixup_tab.audio.evaluation_report import confusion_text, draw_confusion

SAID = ["no", "no", "no", "yes", "yes", "off"]
HEARD = ["no", "yes", "yes", "yes", "no", "off"]
WORDS = ["no", "off", "yes", "zero"]


@pytest.fixture
def evaluation():
    frame = pd.DataFrame({"path": list("abcdef"), "label": SAID, "predicted": HEARD})
    return Evaluation(frame, WORDS, [])


def test_counts_and_shares_are_those_of_the_definitions(evaluation):
    pairs = list(zip(SAID, HEARD, strict=True))
    counts = evaluation.confusion()
    for said in WORDS:
        for heard in WORDS:
            assert counts.loc[said, heard] == pairs.count((said, heard))
    assert evaluation.accuracy == pytest.approx(3 / 6)
    table = evaluation.by_word()
    assert table["clips"].tolist() == [3, 1, 2, 0]
    np.testing.assert_allclose(table["right %"], [100 / 3, 100, 50, np.nan])
    np.testing.assert_allclose(table["precision %"], [50, 100, 100 / 3, np.nan])
    assert table["most often taken for"].tolist() == ["yes (2)", "–", "no (1)", "–"]


def test_the_interval_is_wilsons(evaluation):
    p, n, z = 0.5, 6, 1.959964
    middle = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * np.sqrt(p * (1 - p) / n + z**2 / (4 * n**2))
    np.testing.assert_allclose(evaluation.interval(), [middle - half, middle + half], rtol=1e-5)


def test_the_matrix_is_shown_as_text_and_drawn(evaluation):
    counts = evaluation.confusion()
    lines = confusion_text(counts).splitlines()
    assert lines[1].split() == ["1", "no", "1", ".", "2", "."]
    assert len(set(map(len, lines))) == 1
    (ax,) = draw_confusion(counts).axes
    assert [label.get_text() for label in ax.get_yticklabels()] == WORDS


def clips(subset=None):
    target = np.array(["no", "yes", "maybe", "no"])
    return Bunch(target=target, subset=None if subset is None else np.array(subset))


LISTS = ["train", "test", "test", "validation"]


@pytest.mark.parametrize(
    ("subset", "part", "expected"),
    [
        (None, "auto", [0, 1, 3]),
        (LISTS, "auto", [1]),
        (LISTS, "all", [0, 1, 3]),
        (LISTS, "validation", [3]),
    ],
)
def test_clips_are_chosen_by_part(subset, part, expected):
    rows, notes = choose_clips(clips(subset), part, WORDS)
    assert rows.tolist() == expected
    mentioned = any("maybe (1 clips)" in note for note in notes)
    assert mentioned == (part != "validation")


def test_parts_that_are_not_there():
    with pytest.raises(ValueError, match=r"part='test' needs a folder with parts"):
        choose_clips(clips(), "test", WORDS)
    with pytest.raises(ValueError, match="part must be one of"):
        choose_clips(clips(), "best", WORDS)
    with pytest.raises(ValueError, match="no clip with a word that the model knows"):
        choose_clips(clips(), "all", ["on"])
