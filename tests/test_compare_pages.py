import numpy as np
import pandas as pd
import pytest

from mixup_tab.compare.comparing import Comparison, compare_table, plan
from mixup_tab.compare.nested import ERM, MIXUP, REFERENCE
from mixup_tab.compare.pages import (
    difference_figure,
    make_page,
    shown_summary,
    terminal_table,
)
from mixup_tab.compare.question import Question, Roles
from mixup_tab.compare.verdict import SCORES, judge, summarize
from mixup_tab.metrics import calibration_bins

NASTY = "<script>alert(1)</script>"


def comparison(task):
    """An answer without any training."""
    rng = np.random.default_rng(0)
    rows = [
        {
            "repeat": split // 2,
            "fold": split % 2,
            "method": method,
            "alpha": 0.3 * (method == MIXUP),
            "n_train": 40,
            "n_test": 10,
            **{score: 0.1 + 0.02 * rng.random() for score in SCORES[task]},
            "fit_seconds": 1.0,
        }
        for split in range(4)
        for method in (ERM, MIXUP, REFERENCE)
    ]
    results = pd.DataFrame(rows)
    bins = calibration_bins([0, 1, 1], [[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    return Comparison(
        judge(results, 0.2),
        results,
        summarize(results, SCORES[task], 0.2),
        pd.DataFrame(rng.normal(size=(2, 4)), index=[0.0, 0.3]),
        dict.fromkeys((ERM, MIXUP, REFERENCE), bins) if task == "classification" else {},
        Question(
            pd.DataFrame({NASTY: [1.0, None]}),
            np.array([0, 1]),
            ("a", "b") if task == "classification" else (),
            None,
            False,
            Roles("y"),
            {NASTY: "number"},
        ),
        [f"A note about {NASTY}."],
    )


@pytest.mark.parametrize("task", SCORES)
def test_the_page_holds_the_answer_and_its_parts(task, tmp_path):
    answer = comparison(task)
    html = make_page(answer, "Does it?", {"seed": "0"}).write(tmp_path).read_text("utf-8")
    sentence = answer.verdict.sentence
    assert sentence[0].upper() + sentence[1:] in html
    assert "A note about &lt;script&gt;" in html
    assert NASTY not in html
    pictures = {path.stem for path in (tmp_path / "pictures").glob("*.png")}
    expected = {"differences", "alpha"}
    assert pictures == expected | ({"reliability"} if task == "classification" else set())


@pytest.mark.parametrize("task", SCORES)
def test_the_table_shows_means_and_half_intervals(task):
    answer = comparison(task)
    shown = shown_summary(answer).set_index("method")
    main, column, scale = {
        "classification": ("error", "error %", 100),
        "regression": ("rmse", "RMSE", 1),
    }[task]
    row = answer.summary.loc[MIXUP]
    digits = 1 if task == "classification" else 4
    half = scale * (row[f"{main}_high"] - row[main])
    assert shown.loc[MIXUP, column] == f"{scale * row[main]:.{digits}f} ± {half:.{digits}f}"
    assert shown.loc[ERM, "minus ERM"] == ""
    assert shown.loc[REFERENCE, "minus ERM"][0] in "+−"
    assert terminal_table(answer).row_count == 3


def test_the_picture_shows_every_difference():
    answer = comparison("classification")
    (axes,) = difference_figure(answer).axes
    wide = answer.results.pivot(index=["repeat", "fold"], columns="method", values="error")
    expected = 100 * (wide[MIXUP] - wide[ERM])
    np.testing.assert_allclose(axes.lines[0].get_xdata(), expected)


def frame(rows=60):
    rng = np.random.default_rng(0)
    x = rng.normal(size=rows)
    return pd.DataFrame({"x": x, "y": np.where(x + rng.normal(size=rows) > 0, "b", "a")})


def test_compare_table():
    splits = []
    answer = compare_table(
        frame(),
        "y",
        folds=2,
        repeats=1,
        alphas=[0, 0.3],
        on_split=lambda: splits.append(1),
    )
    assert len(splits) == 2
    assert str(answer) == answer.verdict.sentence
    assert answer.verdict.alpha == 0.3
    assert list(answer.summary.index) == [ERM, MIXUP, REFERENCE]
    assert answer.curve.shape == (2, 2)
    assert answer.results["n_test"].sum() == 3 * 60


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alphas": [0]}, r"alphas=\[0\] holds no value above 0"),
        ({"alphas": [-1]}, "alpha must be a finite number of at least 0"),
        ({"seed": -1}, "seed must lie in"),
        ({"device": "abacus"}, "device='abacus' cannot be used here"),
        ({"max_rows": 3}, "max_rows must be at least 20"),
        ({"folds": 30}, "folds=30 needs at least 120"),
    ],
)
def test_bad_settings(settings, message):
    with pytest.raises(ValueError, match=message):
        plan(frame(), Roles("y"), **settings)


@pytest.mark.parametrize(("rows", "repeats"), [(100, 4), (2_001, 2), (10_001, 1)])
def test_larger_tables_are_cut_less_often(rows, repeats):
    job = plan(frame(rows), Roles("y"))
    assert len(job.splits) == 5 * repeats


def test_a_large_table_is_sampled_but_fitted_whole():
    job = plan(frame(300), Roles("y"), max_rows=100, alphas=[0.3])
    assert len(job.question.y) == 100
    assert len(job.whole.y) == 300
    pipeline, alpha = job.refit()
    assert alpha in (0.0, 0.3)
    assert pipeline[-1].alpha == alpha
    assert pipeline.score(job.whole.X, job.whole.y) > 0.6
