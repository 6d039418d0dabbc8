"""``mixup-tab benchmark``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import mixup_tab.cli.options as options
from mixup_tab.cli.values import listed, number


def benchmark(
    datasets: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="UCI tables, comma-separated [iris,wine,breast-cancer,digits].",
        ),
    ] = None,
    data_home: Annotated[
        Path | None,
        typer.Option(help="Folder of <name>.csv.gz tables; without --datasets, all are used."),
    ] = None,
    methods: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAMES",
            help="Comma-separated; also MixupEnsembleClassifier, RandomForestClassifier, "
            "HistGradientBoostingClassifier [plain training,mixup,MLPClassifier].",
        ),
    ] = None,
    alpha: Annotated[
        list[str] | None,
        typer.Option(metavar="NUMBERS", help="α of mixup, one value or several [0.2]."),
    ] = None,
    repeats: Annotated[int, typer.Option(help="Random train/test splits of each table.")] = 3,
    jobs: options.Jobs = 1,
    seed: options.Seed = 0,
    output: Annotated[
        Path | None,
        typer.Option(
            help="Folder for the results [named after the options]; an unfinished run in it "
            "is resumed."
        ),
    ] = None,
) -> None:
    """Compare mixup, plain training and MLPClassifier on UCI tables.

    If it is stopped, run the same command to resume.
    """
    values = [*map(number, listed(alpha) or ["0.2"])]
    from mixup_tab._resumable import digest
    from mixup_tab.benchmark import report, run_benchmark, uci, write_report

    given = [listed(datasets), str(data_home), listed(methods), values, repeats, seed]
    folder = output or Path(f"mixup-tab-benchmark-{digest(given)[:8]}")
    results = run_benchmark(
        uci.choose_methods(listed(methods) or uci.DEFAULT_METHODS, values),
        uci.choose_tables(listed(datasets) or None, data_home),
        uci.random_splits(repeats, seed),
        version="1",
        output=folder,
        n_jobs=jobs,
        report=write_report,
        random_state=seed,
    )
    report.show(results, folder)
    if not results.attrs["finished"]:
        raise typer.Exit(130)
