import sys

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from scipy import stats

from mixup_tab.evaluation import CriticalDifferenceDisplay
from mixup_tab.evaluation.ranking import average_ranks

posthocs = pytest.importorskip("scikit_posthocs", reason="the extra 'benchmark' is missing")

STRENGTH = {"good": 3.0, "fair": 2.5, "poor": 0.0, "bad": -0.3}


def table(rows=40, seed=0, strength=STRENGTH):
    noise = np.random.default_rng(seed).normal(size=(rows, len(strength)))
    return pd.DataFrame(noise, columns=list(strength)) + pd.Series(strength)


def joined(display):
    """Sets of methods under the bars, found by their place on the axis."""
    bars = [line.get_xdata() for (line,) in display.artists_["crossbars"]]
    ranks = display.ranks[display.shown_]
    return [set(ranks.index[(ranks >= min(bar)) & (ranks <= max(bar))]) for bar in bars]


def test_bars_join_what_nemenyis_test_cannot_tell_apart():
    scores = table()
    display = CriticalDifferenceDisplay.from_scores(scores)
    ranks = average_ranks(scores)
    distance = stats.studentized_range.ppf(0.95, 4, np.inf) * np.sqrt(4 * 5 / (12 * 40))
    close = {
        (a, b) for a in ranks.index for b in ranks.index if abs(ranks[a] - ranks[b]) < distance
    }
    assert {(a, b) for group in joined(display) for a in group for b in group} == close | {
        (a, a) for a in ranks.index
    }
    assert joined(display) == [{"good", "fair"}, {"poor", "bad"}]


def test_labels_hold_method_and_rank_and_the_title_the_tests():
    scores = table()
    display = CriticalDifferenceDisplay.from_scores(scores)
    ranks = average_ranks(scores)
    texts = [label.get_text() for label in display.artists_["labels"]]
    assert all(
        any(name in text and f"{rank:.1f}" in text for text in texts)
        for name, rank in ranks.items()
    )
    title = display.ax_.get_title(loc="left")
    assert "among 4 methods on 40 data sets" in title
    assert "Friedman p < 0.001" in title
    assert stats.friedmanchisquare(*scores.to_numpy().T).pvalue < 0.001


def test_low_scores_may_be_the_good_ones():
    scores = table()
    display = CriticalDifferenceDisplay.from_scores(-scores, higher_is_better=False)
    pd.testing.assert_series_equal(display.ranks, average_ranks(scores))
    assert display.shown_ == list(average_ranks(scores).index)


def test_one_bar_over_all_where_friedmans_test_finds_nothing():
    same = table(strength=dict.fromkeys("abcd", 0.0))
    display = CriticalDifferenceDisplay.from_scores(same)
    assert display.friedman > 0.05
    assert joined(display) == [set("abcd")]
    assert "no difference can be shown" in display.ax_.get_title(loc="left")


def test_methods_that_are_all_the_same():
    display = CriticalDifferenceDisplay.from_scores(table() * 0)
    assert display.friedman == 1
    assert joined(display) == [set(STRENGTH)]


def test_two_methods_are_compared_without_friedmans_test():
    display = CriticalDifferenceDisplay.from_scores(table()[["good", "bad"]])
    assert np.isnan(display.friedman)
    assert joined(display) == []


def test_sets_that_lack_a_score_are_left_out_and_said_so():
    scores = table()
    scores.iloc[:5, 0] = np.nan
    display = CriticalDifferenceDisplay.from_scores(scores)
    pd.testing.assert_series_equal(display.ranks, average_ranks(scores[5:]))
    assert "on 35 data sets" in display.ax_.get_title(loc="left")
    assert "5 left out for missing scores" in display.ax_.get_title(loc="left")
    last = CriticalDifferenceDisplay.from_scores(scores, missing="last")
    pd.testing.assert_series_equal(last.ranks, average_ranks(scores, missing="last"))
    assert "left out" not in last.ax_.get_title(loc="left")


def test_the_best_and_the_highlighted_of_many_are_shown_with_ranks_among_all():
    many = table(strength={f"m{k}": -k / 5 for k in range(60)})
    display = CriticalDifferenceDisplay.from_scores(
        many, highlight=["m50", "m3"], max_methods=10
    )
    best = average_ranks(many).drop(["m50", "m3"]).index[:8]
    assert set(display.shown_) == {*best, "m50", "m3"}
    assert display.shown_[-1] == "m50"
    assert "among 60 methods" in display.ax_.get_title(loc="left")
    assert "(shown: 10)" in display.ax_.get_title(loc="left")
    colors = {
        label.get_text().split()[k]: label.get_color()
        for label in display.artists_["labels"]
        for k in (0, -1)
    }
    assert colors["m50"] == colors["m3"] != colors[best[0]]


def test_labels_of_twenty_methods_do_not_overlap():
    many = table(strength={f"method number {k}": -k / 5 for k in range(40)})
    display = CriticalDifferenceDisplay.from_scores(many)
    display.figure_.draw_without_rendering()
    boxes = [label.get_window_extent() for label in display.artists_["labels"]]
    whole = display.figure_.bbox
    for k, box in enumerate(boxes):
        assert whole.x0 <= box.x0 < box.x1 <= whole.x1
        assert not any(box.overlaps(other) for other in boxes[:k])


def test_draws_where_it_is_told():
    ax = Figure().subplots()
    display = CriticalDifferenceDisplay.from_scores(table(), ax=ax)
    assert display.ax_ is ax
    assert display.figure_ is ax.figure


def test_a_missing_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "scikit_posthocs", None)
    with pytest.raises(ImportError, match=r'pip install "mixup-tab\[benchmark\]"'):
        CriticalDifferenceDisplay.from_scores(table())


@pytest.mark.parametrize(
    ("scores", "settings", "message"),
    [
        (table()[:1], {}, "two complete data sets and two methods at least, got 1 and 4"),
        (table()[["good"]], {}, "got 40 and 1"),
        (table(), {"highlight": ["ours"]}, "highlight='ours' is not a method"),
    ],
)
def test_bad_scores_are_refused(scores, settings, message):
    with pytest.raises(ValueError, match=message):
        CriticalDifferenceDisplay.from_scores(scores, **settings)
