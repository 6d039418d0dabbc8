import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner
from uci_folders import raw_table, write_raw

from mixup_tab import MixupClassifier
from mixup_tab.cli import app
from mixup_tab.evaluation.protocols import command, variants
from mixup_tab.evaluation.protocols.splits import folds_of
from mixup_tab.evaluation.protocols.variants import KINDS, REFERENCE, VariantsPlan
from mixup_tab.evaluation.protocols.variants_report import (
    _sentence,
    summarize_variants,
    table_by_table,
    written_out,
)
from mixup_tab.evaluation.runs import Task, perform
from mixup_tab.evaluation.statistics import resampled_interval


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    tables = {"apples": raw_table(), "pears": raw_table(90, classes=2, seed=1)}
    return write_raw(tmp_path_factory.mktemp("home"), **tables)


def plan_for(home, methods=("ERM",), **options):
    return VariantsPlan.make(["apples"], list(methods), data_home=home, **options)


def net_of(kind, home):
    task = Task("variants", "apples", kind, 0, 5)
    return plan_for(home, [kind]).prepare(task).model[-1]


def test_kinds_of_a_fold_have_the_same_rows_and_seed_and_repeats_other_folds(home):
    plan = plan_for(home, ["ERM", "cutmix"], folds=3, repeats=2, seed=7)
    tests = {}
    for task in plan.tasks():
        trial = plan.prepare(task)
        assert trial.model[-1].random_state == task.seed == 7 + task.fold
        tests.setdefault(task.fold, []).append(sorted(trial.test))
    assert sorted(tests) == list(range(6))
    assert all(len(rows) == 3 and rows.count(rows[0]) == 3 for rows in tests.values())
    for repeat in (0, 1):
        each = [tests[3 * repeat + k][0] for k in range(3)]
        assert sorted(np.concatenate(each)) == list(range(60))
        wanted = folds_of(plan.prepare(plan.tasks()[0]).y, 3, 7 + repeat)
        assert each == [sorted(test) for _, test in wanted]
    assert tests[0][0] != tests[3][0]


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_one_net_that_differs_in_mixing_and_alpha_alone(kind, home):
    params = net_of(kind, home).get_params(deep=False)
    ours = MixupClassifier().get_params(deep=False)
    changed = {name for name, value in params.items() if value != ours[name]}
    common = {"n_estimators", "random_state", "device"}
    assert common <= changed <= {*common, "mixing", "alpha"}
    assert params["alpha"] == KINDS[kind].alpha


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_scored(kind, home, monkeypatch):
    monkeypatch.setattr(
        variants, "MixupClassifier", lambda **params: MixupClassifier(max_epochs=8, **params)
    )
    outcome = perform(plan_for(home), Task("variants", "pears", kind, 0, 0))
    assert outcome.error is None
    assert outcome.row["accuracy"] > 0.6


def test_mixup_is_added_and_comes_first(home):
    assert plan_for(home, ["remix", "ERM"]).methods == (REFERENCE, "ERM", "remix")
    assert VariantsPlan.make(["apples"], data_home=home).methods == tuple(KINDS)


def test_the_default_tables_are_ten_by_name_and_of_medium_size(tmp_path):
    rows = {f"t{k:02d}": 310 + k for k in range(12)}
    rows |= {"a-small": 299, "t03-again": rows["t03"], "b-first": 300}
    tables = {
        name: pd.DataFrame({"x": range(n), "target": np.arange(n) % 2})
        for name, n in rows.items()
    }
    plan = VariantsPlan.make(data_home=write_raw(tmp_path, **tables))
    assert list(plan.sizes) == ["b-first", *(f"t{k:02d}" for k in range(9))]


def test_where_no_table_is_of_medium_size_they_must_be_named(home):
    with pytest.raises(ValueError, match="holds no table of 300 to 5000 rows"):
        VariantsPlan.make(data_home=home)


def made_up(scores, kind, folds=2):
    """Rows of a run, a table for each row of scores."""
    scores = np.broadcast_to(np.reshape(scores, (len(scores), -1)), (len(scores), folds))
    cells = [(f"set{k}", fold, value) for (k, fold), value in np.ndenumerate(scores)]
    frame = pd.DataFrame(cells, columns=["dataset", "fold", "error"])
    return frame.assign(method=kind, log_loss=2 * frame["error"], n_train=75, n_test=25)


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.1, 0.5, (10, 2))
    better = base - rng.uniform(0.0, 0.05, (10, 2))
    worse = base + 0.01 + 1e-7 * rng.random((10, 2))  # ties would take a second each
    parts = [made_up(base, REFERENCE), made_up(better, "cutmix"), made_up(worse, "ERM")]
    return pd.concat(parts, ignore_index=True)


def test_summary_agrees_with_scipy(results):
    summary = summarize_variants(results)
    wide = results.pivot_table(index="dataset", columns="method", values="error")
    differences = wide["cutmix"] - wide[REFERENCE]
    row = summary.loc[("error", "cutmix")]
    assert row["tables"] == 10
    assert row["score"] == pytest.approx(wide["cutmix"].mean())
    assert row["difference"] == pytest.approx(differences.mean())
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
    assert row["p"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert (row["wins"], row["ties"], row["losses"]) == (10, 0, 0)
    assert list(summary.loc["log_loss"].index) == ["cutmix", REFERENCE, "ERM"]
    assert summary.loc["error", "rank"].tolist() == [1, 2, 3]
    loss = summary.loc[("log_loss", "cutmix"), "difference"]
    assert loss == pytest.approx(2 * differences.mean())


def test_tables_that_lack_a_kind_do_not_count(results):
    lacking = (results["dataset"] == "set3") & (results["method"] == "cutmix")
    summary = summarize_variants(results[~(lacking & (results["fold"] == 0))])
    assert (summary["tables"] == 9).all()
    assert summarize_variants(results[results["method"] != REFERENCE]).empty


def test_differences_on_a_table_have_the_corrected_interval(results):
    found = table_by_table(results, "error", 100).set_index(["dataset", "kind"])
    part = results[results["dataset"] == "set5"].pivot(
        index="fold", columns="method", values="error"
    )
    wanted = resampled_interval(100 * (part["cutmix"] - part[REFERENCE]).to_numpy(), 0.25)
    row = found.loc[("set5", "cutmix")]
    assert row["folds"] == 2
    assert tuple(row[["difference", "low", "high"]]) == pytest.approx(tuple(wanted))
    assert len(found) == 20


def test_written_table_is_in_points_and_leaves_mixup_blank(results):
    table = written_out(summarize_variants(results))
    assert table.loc["ERM", "Δ error"] == "+1.00 (+1.00 to +1.00)"
    assert table.loc[REFERENCE, ["Δ error", "error p", "log-loss p"]].tolist() == [""] * 3
    assert list(table.index) == ["cutmix", REFERENCE, "ERM"]


def test_a_single_table_is_told_in_the_singular(results):
    summary = summarize_variants(results[results["dataset"] == "set5"])
    assert _sentence(summary).startswith("On 1 table, mixup with α = 0.2 has")


def test_run_writes_markdown_and_page_and_more_repeats_go_on(home, tmp_path, monkeypatch):
    monkeypatch.setattr(
        variants, "MixupClassifier", lambda **params: MixupClassifier(max_epochs=2, **params)
    )
    told, folder = Console(record=True, width=120), tmp_path / "run"

    def run(repeats):
        options = {"datasets": ["apples", "pears"], "methods": ["3 examples"], "folds": 2}
        options |= {"repeats": repeats, "data_home": home}
        command.run("variants", output=folder, n_jobs=1, console=told, **options)
        return (folder / "results.csv").read_text()

    before = run(1)
    assert len(before.splitlines()) == 1 + 2 * 2 * 2
    after = run(2)
    assert after.startswith(before)
    text = (folder / "variants.md").read_text(encoding="utf-8")
    assert "--datasets apples,pears --folds 2 --repeats 2 --seed 0`" in text
    assert str(home) not in text
    assert "| 3 examples |" in text
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "Difference in log-loss on every table" in page
    assert "3 examples" in told.export_text()


def test_an_unknown_kind_is_refused_in_one_line(home, tmp_path):
    folder = tmp_path / "run"
    arguments = ["benchmark", "uci", "--protocol", "variants", "--methods", "magic"]
    arguments += ["--data-home", str(home), "--datasets", "apples", "--output", str(folder)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "methods='magic' not known here" in result.output
    assert not folder.exists()


def test_no_processes_are_refused_before_anything_is_made(home, tmp_path):
    with pytest.raises(ValueError, match="n_jobs must be a number of processes"):
        command.run(
            "variants", output=tmp_path / "run", n_jobs=0, datasets=["apples"], data_home=home
        )
    assert not (tmp_path / "run").exists()
