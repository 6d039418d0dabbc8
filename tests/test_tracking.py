"""Recipes of the guide that need packages of others, run where these are installed."""

import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[1] / "docs" / "user_guide"
BLOCK = re.compile(
    r"^\.\. code-block:: python\n(?:   :name: recipe-([\w-]+)\n)?\n((?:   .*\n|\n)+)",
    re.MULTILINE,
)
PACKAGES = {
    "shap": "shap",
    "tensorboard": "tensorboard",
    "mlflow": "mlflow",
    "mlflow-search": "mlflow",
    "wandb": "wandb",
    "optuna": "optuna",
    "progress": "sklearn.callback",
}


def blocks(page):
    """Names (or "") and code of the blocks of a page, from top to bottom."""
    for name, code in BLOCK.findall((GUIDE / page).read_text(encoding="utf-8")):
        yield name, "\n".join(line[3:] for line in code.splitlines())


PAGES = {
    name: page
    for page in ("explaining.rst", "tracking.rst")
    for name, _ in blocks(page)
    if name
}


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run a recipe after the first block of its page; return its variables."""
    monkeypatch.chdir(tmp_path)

    def run(recipe):
        pytest.importorskip(
            PACKAGES[recipe], reason=f"this recipe is for readers who have {PACKAGES[recipe]}"
        )
        page = [*blocks(PAGES[recipe])]
        names = {"__name__": "__main__"}
        for code in (page[0][1], dict(page)[recipe]):
            exec(compile(code, PAGES[recipe], "exec"), names)
        return names

    return run


def the_run(name, mlflow):
    """The one run of a name; a process keeps to the database that it opened first."""
    runs = mlflow.search_runs(search_all_experiments=True)
    (found,) = runs[runs["tags.mlflow.runName"] == name].to_dict("records")
    return found


def test_every_recipe_is_tested_here():
    assert set(PAGES) == set(PACKAGES)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of matplotlib's and numba's future
def test_shap_values_add_up_to_the_prediction(run):
    names = run("shap")
    explained, proba = names["explained"], names["clf"].predict_proba(names["X_test"][:20])
    assert explained.base_values + explained.values.sum(1) == pytest.approx(proba, abs=1e-6)


@pytest.mark.slow
def test_tensorboard_has_a_loss_for_every_epoch(run, tmp_path):
    run("tensorboard")
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    for alpha in ("0", "0.5"):
        found = events.EventAccumulator(str(tmp_path / "runs" / f"alpha={alpha}"))
        found.Reload()
        steps = [event.step for event in found.Scalars("Loss/valid_loss")]
        assert steps == list(range(1, 31))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of what SQLAlchemy, pandas and scikit-learn replace
def test_mlflow_has_parameters_scores_and_losses_of_one_run(run):
    names = run("mlflow")
    mlflow = names["mlflow"]
    try:
        found = mlflow.get_run(the_run("mixup", mlflow)["run_id"])
        losses = mlflow.MlflowClient().get_metric_history(found.info.run_id, "valid_loss")
        assert len(losses) == 30
        assert found.data.params["mixupclassifier__max_epochs"] == "30"
        assert found.data.metrics["training_log_loss"] > 0
        # The small trees behind the default embedding are no models of the user's.
        assert not {name for name in found.data.params if "max_leaf_nodes" in name}
    finally:
        mlflow.sklearn.autolog(disable=True)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # as above
def test_mlflow_has_what_a_search_found(run):
    names = run("mlflow-search")
    found = the_run("search", names["mlflow"])
    assert found["metrics.best_score"] == names["search"].best_score_
    assert float(found["params.alpha"]) == names["search"].best_params_["alpha"]


@pytest.mark.slow
def test_wandb_has_the_losses(run, tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    run("wandb")["wandb"].teardown()  # writes what is still under way
    (log,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert log.read_bytes().count(b"valid_loss") >= 30


@pytest.mark.slow
def test_optuna_gives_up_bad_trials(run):
    trials = run("optuna")["study"].trials
    epochs = {"COMPLETE": set(), "PRUNED": set()}
    for trial in trials:
        epochs[trial.state.name].add(len(trial.intermediate_values))
    assert epochs["COMPLETE"] == {30}
    assert epochs["PRUNED"]
    assert max(epochs["PRUNED"]) < 30


def test_an_exception_of_a_callback_leaves_fit_as_it_is():
    from skorch.callbacks import Callback

    from mixup_tab import MixupClassifier

    class Pruned(Exception):
        pass

    class Prune(Callback):
        def on_epoch_end(self, net, **kwargs):
            raise Pruned

    clf = MixupClassifier(callbacks=[Prune()], max_epochs=2)
    with pytest.raises(Pruned):
        clf.fit([[0.0], [1.0]] * 5, [0, 1] * 5)
    assert not hasattr(clf, "net_")


def test_progress_is_shown(run, capsys):
    run("progress")
    assert "MixupClassifier" in capsys.readouterr().out
