import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from mixup_tab.evaluation.ranking import average_ranks, holm, paired_tests, share_of_best

SHARED = Path(__file__).parents[2] / "shared" / "uci"


def table(rows=30, methods="abcd", seed=0):
    rng = np.random.default_rng(seed)
    values = 0.8 + 0.1 * rng.random((rows, len(methods))).round(1)  # with ties
    return pd.DataFrame(values, columns=list(methods))


# -------------------------------------------------------------------------------- ranks


def test_ranks_agree_with_the_definition_and_share_ties():
    scores = table()
    ranks = average_ranks(scores)
    for name in scores:
        better = scores.gt(scores[name], axis=0).sum(axis=1)
        equal = scores.eq(scores[name], axis=0).sum(axis=1)
        assert ranks[name] == pytest.approx((better + (equal + 1) / 2).mean())
    assert ranks.is_monotonic_increasing


def test_ranks_where_low_is_good_are_those_of_minus_the_scores():
    scores = table()
    pd.testing.assert_series_equal(average_ranks(scores, False), average_ranks(-scores))


def test_noise_of_floating_point_breaks_no_ties():
    scores = pd.DataFrame({"a": [0.1 + 0.2, 0.7], "b": [0.3, 0.7], "c": [0.3, 0.7]})
    assert average_ranks(scores).tolist() == [2, 2, 2]


def test_sets_that_lack_a_score_are_left_out_or_rank_last():
    scores = table()
    scores.loc[:9, "b"] = np.nan
    scores.loc[9, "c"] = np.nan
    pd.testing.assert_series_equal(average_ranks(scores), average_ranks(scores[10:]))
    last = average_ranks(scores, missing="last")
    pd.testing.assert_series_equal(last, average_ranks(scores.fillna(-99)))
    low = average_ranks(-scores, False, missing="last")
    pd.testing.assert_series_equal(low, last)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the published results are not here")
def test_published_figures_of_the_179_classifiers():
    path = SHARED / "results" / "delgado2014_accuracy_179_classifiers.csv"
    published = pd.read_csv(path, index_col="dataset")
    small = published.loc[pd.read_csv(SHARED / "small_sets.csv")["name"]]
    ranks = average_ranks(small, missing="last")
    assert ranks.index[0] == "rf_caret"
    assert ranks.iloc[0] == pytest.approx(32.7, abs=0.05)
    # The abstract: the best forest comes to 94.1 % of the best accuracy, over all 121 sets.
    shares = share_of_best(published)
    assert shares.loc["parRF_caret", "PMA"] == pytest.approx(94.1, abs=0.1)


def test_share_of_best_agrees_with_its_definition():
    scores = pd.DataFrame({"a": [100, 90, 80.0], "b": [95, 100, np.nan], "c": [94, 89, 80]})
    expected = pd.DataFrame(
        {
            "P90": [100, 200 / 3, 200 / 3],
            "P95": [200 / 3, 200 / 3, 100 / 3],
            "PMA": [100 * 2.9 / 3, 97.5, 100 * (0.94 + 0.89 + 1) / 3],
            "sets": [3, 2, 3],
        },
        index=list("abc"),
    )
    pd.testing.assert_frame_equal(share_of_best(scores), expected)


# -------------------------------------------------------------------------------- tests


def rank_biserial(gains):
    gains = gains[gains != 0]
    ranks = stats.rankdata(abs(gains))
    return (ranks[gains > 0].sum() - ranks[gains < 0].sum()) / ranks.sum()


@pytest.mark.parametrize("higher_is_better", [True, False])
def test_paired_tests_agree_with_their_definitions(higher_is_better):
    scores = table()
    tests = paired_tests(scores, "a", higher_is_better)
    assert list(tests.index) == ["b", "c", "d"]
    for name, row in tests.iterrows():
        difference = (scores[name] - scores["a"]).round(12)
        gains = difference if higher_is_better else -difference
        assert row["difference"] == pytest.approx(difference.mean())
        assert (row["wins"], row["ties"], row["losses"]) == (
            (gains > 0).sum(),
            (gains == 0).sum(),
            (gains < 0).sum(),
        )
        assert row["effect_size"] == pytest.approx(rank_biserial(gains.to_numpy()))
        assert row["p"] == pytest.approx(stats.wilcoxon(difference).pvalue)
    np.testing.assert_allclose(tests["p_holm"], holm(tests["p"]))


def test_paired_tests_use_the_sets_that_both_have():
    scores = table()
    scores.loc[:9, "b"] = np.nan
    row = paired_tests(scores, "a").loc["b"]
    assert row["sets"] == 20
    pd.testing.assert_series_equal(
        row.drop("p_holm"), paired_tests(scores[10:], "a").loc["b"].drop("p_holm")
    )


def test_methods_that_are_the_same_or_never_meet():
    scores = pd.DataFrame({"a": [0.1, 0.2, np.nan], "b": [0.1, 0.2, 0.3], "c": [np.nan] * 3})
    scores["b"] = scores["b"] + 0.1 + 0.2 - 0.3  # ties but for the last bit
    tests = paired_tests(scores, "a")
    assert tests.loc["b", ["sets", "ties", "effect_size", "p", "p_holm"]].tolist() == [
        2,
        2,
        0,
        1,
        1,
    ]
    assert tests.loc["c", "sets"] == 0
    assert tests.loc["c", ["difference", "effect_size", "p", "p_holm"]].isna().all()


def test_holm_agrees_with_its_definition():
    p = np.random.default_rng(0).random(8) / 20
    expected = np.empty(8)
    largest = 0.0
    for k, place in enumerate(np.argsort(p)):
        largest = max(largest, min(1.0, (8 - k) * p[place]))
        expected[place] = largest
    np.testing.assert_allclose(holm(p), expected)


def test_holm_leaves_out_tests_that_were_not_made():
    corrected = holm([0.01, np.nan, 0.02])
    np.testing.assert_allclose(corrected, [0.02, np.nan, 0.02])
    assert np.isnan(holm([np.nan])).all()


def test_a_missing_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "statsmodels.stats.multitest", None)
    with pytest.raises(
        ImportError, match=r'statsmodels is needed .* pip install "mixup-tab\[benchmark\]"'
    ):
        holm([0.1])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: average_ranks(t.assign(b=np.nan)), "some of b are missing"),
        (lambda t: average_ranks(t, missing="first"), "missing='first' not known"),
        (lambda t: average_ranks(t[:0]), r"scores must hold .* got \(0, 4\)"),
        (lambda t: average_ranks(t.assign(a=np.inf)), "scores must be finite"),
        (lambda t: average_ranks(t[["a", "a"]]), "the method 'a' twice"),
        (lambda t: paired_tests(t, "z"), "reference='z' is not a method .* a, b, c, d"),
    ],
)
def test_bad_scores_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(table())
