import numpy as np
import pandas as pd
import pytest
from sklearn.preprocessing import StandardScaler
from uci_folders import raw_table, write_raw

from mixup_tab.evaluation.protocols.paper import CHOSEN, PUBLISHED, PaperPlan
from mixup_tab.evaluation.protocols.paper_report import report_paper, summarize_paper
from mixup_tab.evaluation.runs import Task
from mixup_tab.evaluation.session import carry_out
from mixup_tab.evaluation.statistics import holm, resampled_interval, resampled_test


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    table = raw_table(classes=2)
    return write_raw(tmp_path_factory.mktemp("home"), iris=table, arrhythmia=table)


@pytest.fixture(scope="module")
def plan(home):
    return PaperPlan.make(["iris", "arrhythmia"], alphas=[1, 0.2], repeats=3, data_home=home)


@pytest.fixture(scope="module")
def session(plan, tmp_path_factory):
    return carry_out(plan, output=tmp_path_factory.mktemp("run"))


def test_tasks_are_all_methods_on_both_kinds_of_inputs(plan):
    tasks = plan.tasks()
    assert {task.method for task in tasks} == {"ERM", "mixup α=0.2", "mixup α=1", CHOSEN}
    assert len(tasks) == 2 * 2 * 3 * 4
    assert {task.seed for task in tasks} == {0, 1, 2}


def test_setting_is_the_papers(plan):
    for name, model in plan.methods(seed=5, scaled=False).items():
        params = (model.estimator if name == CHOSEN else model)[-1].get_params()
        assert params["hidden_layer_sizes"] == (128, 128)
        assert params["batch_size"] == 16
        assert params["max_epochs"] == 10
        assert params["learning_rate_init"] == 0.001
        assert params["random_state"] == 5


def test_only_scaled_inputs_are_scaled(plan):
    for scaled in (False, True):
        steps = plan.methods(0, scaled)["ERM"][:-1]
        assert any(isinstance(step, StandardScaler) for step in steps) == scaled


def test_holes_become_medians_and_categories_columns(plan):
    frame = raw_table(classes=2).drop(columns="target").astype({"colour": "category"})
    made = plan.methods(0, scaled=False)["ERM"][:-1].fit_transform(frame)
    # Three colours and the missing one, then three numbers.
    assert made.shape == (60, 7)
    assert np.allclose(made[:, :4].sum(axis=1), 1)
    holes = frame["holes"]
    expected = holes.fillna(holes.median())
    assert any(np.allclose(made[:, k], expected) for k in range(4, 7))


def test_methods_of_a_repeat_share_rows_and_classes_keep_their_shares(plan):
    one, two = (
        plan.prepare(Task("paper-scaled", "iris", method, 1, 1)) for method in ("ERM", CHOSEN)
    )
    assert np.array_equal(one.train, two.train)
    assert len(one.test) == 15
    assert abs(np.bincount(one.y[one.test])[0] - 7.5) < 1


def test_alpha_is_chosen_among_those_given(session):
    chosen = session.results.query("method == @CHOSEN")["alpha"]
    assert set(chosen) <= {"0.2", "1"}


def test_summary_pairs_repeats_and_corrects_over_tables(session):
    summary = summarize_paper(session.results).set_index(["inputs", "dataset", "method"])
    wide = session.results.query("protocol == 'paper-scaled' and dataset == 'iris'")
    wide = 100 * wide.pivot(index="fold", columns="method", values="error")
    differences = (wide[CHOSEN] - wide["ERM"]).to_numpy()
    row = summary.loc[("scaled", "iris", CHOSEN)]
    expected = resampled_interval(differences, 0.25)
    assert tuple(row[["difference", "low", "high"]]) == pytest.approx(tuple(expected))
    assert row["p"] == pytest.approx(resampled_test(differences, 0.25), nan_ok=True)
    both = summary.xs("scaled").xs(CHOSEN, level="method")
    assert both["p_holm"].to_numpy() == pytest.approx(holm(both["p"]), nan_ok=True)
    assert (row["paper's ERM %"], row["paper's mixup %"]) == PUBLISHED["iris"]


def test_unfinished_repeats_are_left_out_of_pairs():
    rows = [
        ("paper-scaled", "iris", "ERM", 0, 0.2),
        ("paper-scaled", "iris", "ERM", 1, 0.1),
        ("paper-scaled", "iris", CHOSEN, 0, 0.1),
    ]
    columns = ["protocol", "dataset", "method", "fold", "error"]
    (row,) = summarize_paper(pd.DataFrame(rows, columns=columns)).to_dict("records")
    assert row["repeats"] == 1
    assert row["difference"] == pytest.approx(-10)


def test_report_has_every_part(session, tmp_path):
    report = report_paper(session)
    page = report.page.write(tmp_path).read_text(encoding="utf-8")
    for text in ("21.3", "46.3", "Accuracy against α", "iris: 60 rows, 2 classes"):
        assert text in page
    assert (tmp_path / "pictures" / "alpha-curves.png").exists()
    assert "lower or equal mean error than ERM on" in report.sentence


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"datasets": ["wine"]}, "datasets=wine not in table 4 of the paper"),
        ({"alphas": [0]}, "alpha must have a value above 0"),
        ({"alphas": [-1]}, "alpha must be a finite number"),
        ({"repeats": 0}, "repeats must be at least 1"),
    ],
)
def test_bad_options_are_found_before_training(home, options, message):
    with pytest.raises(ValueError, match=message):
        PaperPlan.make(**{"datasets": ["iris"], "data_home": home, **options})
