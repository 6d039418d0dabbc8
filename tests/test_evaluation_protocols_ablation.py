import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from scipy import stats
from typer.testing import CliRunner

from mixup_tab import MixupClassifier
from mixup_tab.cli import app
from mixup_tab.estimators.ensemble_classifier import PORTFOLIO
from mixup_tab.evaluation.protocols import ablation, command
from mixup_tab.evaluation.protocols.ablation import (
    ALONE,
    BEST_EFFORT,
    CHANGES,
    DEFAULTS,
    VARIANTS,
    WITHOUT,
    AblationPlan,
)
from mixup_tab.evaluation.protocols.ablation_report import summarize_ablation, written_out
from mixup_tab.evaluation.runs import Task, perform

NETS = [
    name
    for name, variant in CHANGES.items()
    if isinstance(variant.make(random_state=0, device="cpu"), MixupClassifier)
]


def write_set(home, name, sizes, held_out=0.25, file="all"):
    """Write a set whose first column is the row's number, and return its training rows."""
    rng = np.random.default_rng(len(name))
    y = np.repeat(np.arange(len(sizes)), sizes)[rng.permutation(sum(sizes))]
    rows = np.arange(len(y))
    part = np.where(rng.random(len(y)) < held_out, "test", "train")
    swapped = np.where(part == "test", "train", "test")
    frame = pd.DataFrame({"row": rows, "x": y + 0.5 * rng.normal(size=len(y)), "target": y})
    folds = pd.DataFrame({"row": rows, "file": part if file == "two" else "all", "tune": part})
    folds = folds.assign(fold1=part, fold2=swapped, fold3=swapped, fold4=swapped)
    for folder, table in (("delgado121", frame), ("folds", folds)):
        (home / folder).mkdir(exist_ok=True)
        table.to_csv(home / folder / f"{name}.csv.gz", index=False)
    return set(rows[part == "train"])


@pytest.fixture
def home(tmp_path):
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


def rows_of(plan, task):
    trial = plan.prepare(task)
    return [set(trial.X[part, 0].astype(int)) for part in (trial.train, trial.test)]


@pytest.mark.parametrize("file", ["all", "two"])
def test_only_training_rows_of_the_first_fold_are_used(home, file):
    allowed = write_set(home, "tiny", (60, 40, 3), file=file)
    plan = AblationPlan.make(data_home=home, repeats=2, methods=["cutmix"])
    for task in plan.tasks():
        train, test = rows_of(plan, task)
        assert train | test == allowed
        assert not train & test
        assert len(test) / len(allowed) == pytest.approx(0.25, abs=0.02)


def test_variants_of_a_repeat_have_the_same_rows_and_seed_and_repeats_differ(home):
    write_set(home, "tiny", (60, 40))
    plan = AblationPlan.make(data_home=home, repeats=2, seed=7, methods=["cutmix", "folded"])
    tests = {}
    for task in plan.tasks():
        model = plan.prepare(task).model
        assert model.get_params()["random_state"] == 7 + task.fold
        tests.setdefault(task.fold, []).append(rows_of(plan, task)[1])
    assert len(tests[0]) == len(tests[1]) == 3
    assert all(rows == tests[0][0] for rows in tests[0])
    assert tests[0][0] != tests[1][0]


def test_large_sets_are_cut_to_2500_rows_drawn_by_the_seed(home):
    allowed = write_set(home, "large", (2500, 1500))
    assert len(allowed) > 2500
    drawn = []
    for seed in (0, 1):
        plan = AblationPlan.make(data_home=home, repeats=2, seed=seed, methods=[DEFAULTS])
        both = [set.union(*rows_of(plan, task)) for task in plan.tasks()]
        assert both[0] == both[1]
        assert len(both[0]) == 2500
        assert both[0] < allowed
        drawn.append(both[0])
    assert drawn[0] != drawn[1]


def test_the_smallest_sets_take_part_only_by_name(home):
    write_set(home, "scraps", (10, 10))
    write_set(home, "tiny", (60, 40))
    assert set(AblationPlan.make(data_home=home).sizes) == {"tiny"}
    assert set(AblationPlan.make(["scraps"], data_home=home).sizes) == {"scraps"}


def test_what_a_variant_is_compared_with_is_added(home):
    write_set(home, "tiny", (60, 40))
    plan = AblationPlan.make(data_home=home, methods=["cv=10"])
    assert plan.methods == (DEFAULTS, BEST_EFFORT, "cv=10")
    assert AblationPlan.make(data_home=home).methods == tuple(VARIANTS)


@pytest.mark.parametrize("name", NETS)
def test_a_net_differs_from_the_defaults_in_one_parameter(name):
    default = VARIANTS[DEFAULTS].make(random_state=0, device="cpu").get_params(deep=False)
    ours = MixupClassifier().get_params(deep=False)
    assert default == {**ours, "random_state": 0, "device": "cpu"}
    params = VARIANTS[name].make(random_state=0, device="cpu").get_params(deep=False)
    assert len([key for key in default if params[key] != default[key]]) == 1


def test_every_candidate_is_left_out_once_and_is_alone_once():
    def candidates(variant):
        return variant.make(random_state=0, device="cpu").candidates

    assert len(WITHOUT) == len(ALONE) == len(PORTFOLIO)
    for one, left, alone in zip(PORTFOLIO, WITHOUT.values(), ALONE.values(), strict=True):
        assert candidates(alone) == [one]
        assert [c for c in PORTFOLIO if c not in candidates(left)] == [one]
        assert len(candidates(left)) == len(PORTFOLIO) - 1


def test_a_run_does_not_go_on_with_other_defaults_or_candidates(home, monkeypatch):
    write_set(home, "tiny", (60, 40))
    plan = AblationPlan.make(data_home=home)
    before = plan.identity()
    assert plan.identity() == before
    monkeypatch.setattr(ablation, "PORTFOLIO", PORTFOLIO[1:])
    assert plan.identity() != before


def test_variants_can_be_named_on_a_command_line():
    assert not [name for name in VARIANTS if "," in name]


@pytest.mark.parametrize("name", [n for n in CHANGES if n != BEST_EFFORT])
def test_every_change_can_be_scored(home, name):
    write_set(home, "tiny", (40, 40))
    plan = AblationPlan.make(data_home=home, methods=[name], repeats=1)
    outcome = perform(plan, Task("ablation", "tiny", name, 0, 0))
    assert outcome.error is None
    assert outcome.row["accuracy"] > 0.6


def test_temperature_changes_confidence_only_and_takes_rare_classes(home):
    write_set(home, "rare", (60, 40, 6))
    plan = AblationPlan.make(data_home=home, methods=["temperature"], repeats=1)
    proba = {}
    for task in plan.tasks():
        trial = plan.prepare(task)
        assert np.bincount(trial.y[trial.train]).min() < 5
        trial.model.fit(trial.X[trial.train], trial.y[trial.train])
        proba[task.method] = trial.model.predict_proba(trial.X[trial.test])
    plain, tempered = (np.log(proba[name]) for name in (DEFAULTS, "temperature"))
    gaps = [(p[:, 1:] - p[:, :1]).ravel() for p in (plain, tempered)]
    ratio = gaps[0] / gaps[1]
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    assert abs(ratio[0] - 1) > 0.01


def made_up(scores, method, seconds):
    """Rows of a run of one repeat, a set for each score."""
    return pd.DataFrame(
        {
            "dataset": [f"set{k}" for k in range(len(scores))],
            "method": method,
            "fold": 0,
            "accuracy": scores,
            "log_loss": 1 - np.asarray(scores),
            "fit_seconds": seconds,
        }
    )


@pytest.fixture
def results():
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.9, 20)
    better = base + rng.uniform(0.0, 0.05, 20)
    return pd.concat(
        [
            made_up(base, DEFAULTS, 2.0),
            made_up(better, "cutmix", 3.0),
            made_up(base[:15] - 0.01, "early stopping", 1.0),
            made_up(base, BEST_EFFORT, 40.0),
            made_up(base, "cv=10", 80.0),
        ]
    )


def test_summary_agrees_with_scipy(results):
    summary = summarize_ablation(results, DEFAULTS)
    wide = results.pivot(index="dataset", columns="method", values="accuracy")
    differences = wide["cutmix"] - wide[DEFAULTS]
    row = summary.loc[("accuracy", "cutmix")]
    assert row["score"] == pytest.approx(wide["cutmix"].mean())
    assert row["difference"] == pytest.approx(differences.mean())
    interval = stats.ttest_1samp(differences, 0).confidence_interval(0.95)
    assert (row["low"], row["high"]) == pytest.approx(tuple(interval))
    assert row["p"] == pytest.approx(stats.wilcoxon(differences).pvalue)
    assert row["time"] == 1.5
    assert (row["wins"], row["ties"], row["losses"]) == (20, 0, 0)
    loss = summary.loc[("log_loss", "cutmix")]
    assert loss["difference"] == pytest.approx(-differences.mean())
    assert loss["wins"] == 20


def test_variants_are_compared_on_the_sets_that_both_have(results):
    row = summarize_ablation(results, DEFAULTS).loc[("accuracy", "early stopping")]
    assert row["sets"] == 15
    assert row["difference"] == pytest.approx(-0.01)
    assert row["losses"] == 15


def test_every_variant_is_in_the_table_of_what_it_changes(results):
    names = summarize_ablation(results, DEFAULTS).loc["accuracy"].index
    assert list(names) == [DEFAULTS, "cutmix", "early stopping", BEST_EFFORT]
    names = summarize_ablation(results, BEST_EFFORT).loc["accuracy"].index
    assert list(names) == [BEST_EFFORT, "cv=10"]
    assert summarize_ablation(results[results["method"] == "cutmix"], DEFAULTS).empty


def test_written_table_is_in_points_and_leaves_the_reference_blank(results):
    table = written_out(summarize_ablation(results, DEFAULTS))
    assert table.loc["early stopping", "Δ accuracy"] == "-1.00 (-1.00 to -1.00)"
    assert table.loc["early stopping", "accuracy won/even/lost"] == "0/0/15"
    assert table.loc[DEFAULTS, ["Δ accuracy", "accuracy p", "log-loss p"]].tolist() == [""] * 3


def test_run_writes_markdown_and_page_and_goes_on(home, tmp_path):
    write_set(home, "tiny", (40, 40))
    write_set(home, "other", (40, 30))
    told = Console(record=True, width=120)

    def run(methods):
        folder = tmp_path / "run"
        options = {"methods": methods, "repeats": 1, "data_home": home}
        command.run("ablation", output=folder, n_jobs=1, console=told, **options)
        return folder

    folder = run(["plain training"])
    before = (folder / "results.csv").read_text()
    assert len(before.splitlines()) == 1 + 4
    run(["plain training", "dropout=0.2"])
    after = (folder / "results.csv").read_text()
    assert after.startswith(before)
    assert len(after.splitlines()) == 1 + 6
    text = (folder / "ablation.md").read_text(encoding="utf-8")
    for name in (DEFAULTS, "plain training", "dropout=0.2"):
        assert f"| {name} | 2 |" in text
    assert "--protocol ablation --data-home DIR --repeats 1 --seed 0` on 2 sets" in text
    assert str(home) not in text
    assert "Variants of MixupClassifier" in (folder / "report.html").read_text(encoding="utf-8")
    assert "dropout=0.2" in told.export_text()


def test_unknown_variant_is_refused_in_one_line(home, tmp_path):
    write_set(home, "tiny", (40, 40))
    folder = tmp_path / "run"
    arguments = ["benchmark", "uci", "--protocol", "ablation", "--methods", "magic"]
    arguments += ["--data-home", str(home), "--output", str(folder)]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 2
    assert "methods='magic' not known here" in result.output
    assert not folder.exists()
