"""Our two estimators in TabArena's harness: on its tables, or on tables of your own.

Without ``--data-home``, on TabArena's tables, which are downloaded, and beside its published
results; with it, on yours, beside two models that are fitted too. ``python -m pip install
tabarena`` installs it; an environment of its own is best, as it holds pandas below 2.4.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import pandas as pd
from autogluon.common.space import Categorical, Real
from autogluon.core.models import AbstractModel
from pandas.api.types import is_string_dtype
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import make_pipeline
from skorch.callbacks import Callback
from tabarena.benchmark.experiment import TabArenaV0pt1ExperimentBundle
from tabarena.benchmark.task import UserTask
from tabarena.benchmark.task.metadata import TaskMetadataCollection
from tabarena.benchmark.task.user_task import from_sklearn_splits_to_user_task_splits
from tabarena.contexts import AbstractArenaContext, TabArenaContext
from tabarena.utils.config_utils import ConfigGenerator

from mixup_tab import MixupClassifier, MixupRegressor, TableEncoder
from mixup_tab.benchmark import markdown_table
from mixup_tab.training.stopping import StopTraining

PEERS = ("Linear", "RandomForest")  # of scikit-learn, so that they need no other package
COLUMNS = ["method", "elo", "rank", "winrate", "improvability", "time_train_s", "time_infer_s"]
# What --tuned draws from; the defaults are always run as well.
SPACE = {
    "alpha": Categorical(0.5, 0.0, 0.2, 1.0),
    "mixing": Categorical("mixup", "mixup+cutmix", "manifold"),
    "embedding": Categorical("auto", "quantile", "periodic", "none"),
    "hidden_layer_sizes": Categorical((128, 128), (256, 256), (256, 256, 256)),
    "dropout": Categorical("auto", 0.0, 0.3),
    "learning_rate_init": Real(1e-3, 1e-2, default=0.003, log=True),
}


class StopAt(Callback):
    """Ends training at a time on the clock."""

    def __init__(self, end: float) -> None:
        self.end = end

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """End training if it is time."""
        if time.time() > self.end:
            raise StopTraining


class MixupModel(AbstractModel):
    """MixupClassifier or MixupRegressor, whichever the task needs, as AutoGluon calls models.

    Hyperparameters are those of the estimators. Rows that the harness holds out of a fold are
    not used for training, nor for early stopping: the estimators hold out their own.
    """

    ag_key, ag_name, seed_name = "MIXUP", "MixupTab", "random_state"
    _supported_problem_types = ["binary", "multiclass", "regression"]  # noqa: RUF012

    def _fit(
        self,
        X: pd.DataFrame,
        y: pd.Series,
        time_limit: float | None = None,
        num_gpus: float = 0,
        **kwargs: Any,
    ) -> None:
        params = self._get_model_params()
        make = MixupRegressor if self.problem_type == "regression" else MixupClassifier
        callbacks = [] if time_limit is None else [StopAt(time.time() + time_limit)]
        net = make(device="cuda" if num_gpus else "cpu", callbacks=callbacks, **params)
        encoder = TableEncoder(random_state=params.get("random_state"))
        self.model = make_pipeline(encoder, net).fit(self.preprocess(X, y=y, is_train=True), y)

    @classmethod
    def configs(cls) -> ConfigGenerator:
        """Return the defaults, and what tuning draws from."""
        return ConfigGenerator(model_cls=cls, manual_configs=[{}], search_space=SPACE)


def user_task(path: Path, kind: str, folds: int, seed: int, cache: Path) -> Any:
    """Return a table, its target in the last column, as a task, and what describes it."""
    frame = pd.read_csv(path)
    target = frame.columns[-1]
    frame = frame.dropna(subset=target).reset_index(drop=True)
    text = frame.columns[:-1][frame.dtypes.iloc[:-1].map(is_string_dtype)]
    frame = frame.astype(dict.fromkeys(text, "category"))
    cut = KFold if kind == "regression" else StratifiedKFold
    parts = cut(folds, shuffle=True, random_state=seed).split(frame, frame[target])
    task = UserTask(task_name=path.name.partition(".")[0], task_cache_path=cache)
    made = task.create_task(
        dataset=frame,
        target_feature=target,
        problem_type=kind,
        splits=from_sklearn_splits_to_user_task_splits(parts, folds),
    )
    task.save_task(made)
    return task, made.metadata


def main() -> None:
    """Run the harness and print its ranking."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-home", type=Path, help="folder of <name>.csv.gz, target last")
    parser.add_argument("--regression", action="store_true", help="targets there are numbers")
    parser.add_argument("--datasets", type=lambda text: text.split(","), help="names [all]")
    parser.add_argument("--subset", default="lite", help="of TabArena; lite: one split [lite]")
    parser.add_argument("--tuned", type=int, default=0, help="settings drawn at random [0]")
    parser.add_argument("--folds", type=int, default=3, help="of tables of your own [3]")
    parser.add_argument("--seed", type=int, default=0, help="of these folds [0]")
    parser.add_argument("--time-limit", type=int, default=3600, help="seconds a fit [3600]")
    parser.add_argument("--cpus", type=int, help="cores for a fit [all]")
    parser.add_argument("--gpus", type=int, default=0, help="GPUs for a fit [0]")
    parser.add_argument(
        "--output",
        type=Path,
        default=Path("benchmark-tabarena"),
        help="folder, a new one for other folds or another seed; resumes there",
    )
    args = parser.parse_args()
    own = args.data_home is not None
    models = [(MixupModel.configs(), args.tuned), *((name, 0) for name in PEERS if own)]
    experiments = TabArenaV0pt1ExperimentBundle(
        models=models, sequential_local_fold_fitting=True
    ).build_experiments(time_limit=args.time_limit, num_cpus=args.cpus, num_gpus=args.gpus)
    options: dict[str, Any] = {"expname": str(args.output / "runs"), "debug_mode": True}
    if own:
        kind = "regression" if args.regression else "classification"
        paths = sorted(args.data_home.glob("*.csv.gz"))
        names = args.datasets or [path.name.partition(".")[0] for path in paths]
        if not names:
            parser.error(f"{args.data_home} holds no <name>.csv.gz")
        paths = [args.data_home / f"{name}.csv.gz" for name in names]
        made = [user_task(p, kind, args.folds, args.seed, args.output / "t") for p in paths]
        tasks, described = zip(*made, strict=True)
        collection = TaskMetadataCollection.from_source(list(described))
        context = AbstractArenaContext(task_metadata=collection, methods=[])
        context.build_and_run_jobs(experiments, user_tasks=list(tasks), **options)
    else:
        context = TabArenaContext()
        chosen = {} if args.datasets is None else {"dataset_names": args.datasets}
        context.build_and_run_jobs(
            experiments, subset=args.subset, build_kwargs=chosen, **options
        )
    # Without a folder: to draw into one needs more packages.
    ranking, results = context.compare(None, return_results=True)
    results.to_csv(args.output / "results.csv", index=False)
    errors = results.pivot_table("metric_error", ["dataset", "metric"], "method")
    formats = {name: "{:.0f}" if name == "elo" else "{:.2f}" for name in COLUMNS[1:]}
    print(markdown_table(ranking[COLUMNS], formats))
    print(markdown_table(errors.reset_index(), dict.fromkeys(errors.columns, "{:.4f}")))


if __name__ == "__main__":
    main()
