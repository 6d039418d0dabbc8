"""The scores of a speech model, and which clips they are taken on."""

import itertools
from argparse import Namespace

import numpy as np
import pandas as pd
import pytest
from sklearn.utils import Bunch

from mixup_tab.audio.evaluate import Evaluation, _predictions, choose_clips
from mixup_tab.audio.evaluation_report import confusion_text, draw_confusion
from mixup_tab.audio.rejection import RejectingClassifier

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


# ------------------------------------------------------------------------------- other sounds


def rejecting(seed, clips=40, sounds=25):
    """An evaluation of random probabilities, and what a model would answer at any threshold."""
    rng = np.random.default_rng(seed)
    classes = np.array(["no", "unknown", "yes"])
    proba = rng.dirichlet([1, 1, 1], clips + sounds).round(2)
    label = np.r_[rng.choice(["no", "yes"], clips), np.full(sounds, "_unknown_")]
    model = RejectingClassifier.from_fitted(Namespace(classes_=classes), threshold=0.45)
    table = _predictions({"path": "a", "label": label}, proba, model)
    own, other = table[:clips], table[clips:]
    evaluation = Evaluation(own, ["no", "yes"], [], other, "unknown", 0.45, 0.5 * sounds)

    def answers(threshold):
        return model.set_params(threshold=threshold).decide(proba)

    return evaluation, label, answers, proba


@pytest.mark.parametrize("seed", range(5))
def test_the_tradeoff_is_what_the_model_would_answer(seed):
    evaluation, label, answers, _ = rejecting(seed)
    curve = evaluation.tradeoff()
    known = label != "_unknown_"
    for row in curve.itertuples():
        if row.threshold <= 1:
            found = answers(row.threshold)
            assert row.missed == pytest.approx(np.mean((found != label)[known]))
            assert row.false_alarms == pytest.approx(np.mean(found[~known] != "unknown"))
    assert np.allclose(curve["false_alarms_per_hour"], curve["false_alarms"] * 7200)
    assert curve["threshold"].iloc[0] == -1
    assert curve["false_alarms"].iloc[-1] == 0
    assert curve["missed"].iloc[-1] == 1
    assert curve["threshold"].is_monotonic_increasing
    # Nothing changes between two thresholds.
    for low, high in itertools.pairwise(curve["threshold"][:-1]):
        if high - low > 1e-9:  # not the same margin but for rounding
            assert (answers((low + high) / 2) == answers(high)).all()


def test_false_alarms_and_refused_clips_are_counted():
    evaluation, label, answers, proba = rejecting(0)
    found, known = answers(0.45), label != "_unknown_"
    assert evaluation.accuracy == np.mean((found == label)[known])
    assert evaluation.lost == np.mean(found[known] == "unknown")
    alarms = (found[~known] != "unknown").sum()
    assert evaluation.false_alarms == alarms
    rate, low, high = evaluation.false_alarms_per_hour()
    assert rate == pytest.approx(alarms / 12.5 * 3600)
    assert low < rate < high
    assert evaluation.by_kind().loc["_unknown_", "false alarms"] == alarms
    counts = evaluation.confusion()
    assert counts.columns.tolist() == ["no", "yes", "unknown"]
    assert counts.loc["unknown"].tolist() == [
        (found[~known] == word).sum() for word in counts.columns
    ]
    assert counts.loc["no", "unknown"] == ((label == "no") & (found == "unknown")).sum()
    assert len(evaluation.by_word()) == 2
    assert (evaluation.predictions["probability"] == proba[known].max(1)).all()


def test_without_other_sounds_there_is_no_curve_and_no_rate(evaluation):
    assert evaluation.tradeoff().empty
    assert np.isnan(evaluation.false_alarms_per_hour()).all()
    assert evaluation.false_alarms == 0
    assert evaluation.confusion().columns.tolist() == WORDS


# ----------------------------------------------------------------------------- the clips


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
    rows, again = choose_clips(clips(subset), part, WORDS, "unknown")
    others = [2] if mentioned else []
    assert rows.tolist() == sorted([*expected, *others])
    assert ("Left out" in str(notes)) == ("Other sounds" in str(again)) == mentioned


def test_parts_that_are_not_there():
    with pytest.raises(ValueError, match=r"part='test' needs a folder with parts"):
        choose_clips(clips(), "test", WORDS)
    with pytest.raises(ValueError, match="part must be one of"):
        choose_clips(clips(), "best", WORDS)
    with pytest.raises(ValueError, match="no clip with a word that the model knows"):
        choose_clips(clips(), "all", ["on"])
