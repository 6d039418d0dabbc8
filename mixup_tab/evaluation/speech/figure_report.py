"""What ``mixup-tab speech benchmark`` says: figure 4 of the paper beside our figures."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from rich.console import Console
from scipy import stats

from mixup_tab._terminal import terminal_table
from mixup_tab.evaluation.protocols.scores import facts_of
from mixup_tab.evaluation.session import Session
from mixup_tab.evaluation.speech.figure import carry_out_figure
from mixup_tab.evaluation.speech.figure_plan import EPOCHS, PARTS, RATE, FigurePlan
from mixup_tab.page import Page

# Errors in percent, validation and test, by net and α (Zhang et al. 2017, figure 4).
PUBLISHED = {
    "lenet": {0.0: (9.8, 10.3), 0.1: (10.1, 10.8), 0.2: (10.2, 11.3)},
    "vgg11": {0.0: (5.0, 4.6), 0.1: (4.0, 3.8), 0.2: (3.9, 3.4)},
}
TITLE = "Figure 4 of the mixup paper: spoken words"
ERRORS = {
    "α": "{:g}",
    **dict.fromkeys(
        ("validation %", "test %", "paper's validation %", "paper's test %"), "{:.2f}"
    ),
}
DIFFERENCES = {"α": "{:g}", **dict.fromkeys(("difference", "low", "high"), "{:+.2f}")}
NOTE = (
    "Errors in percent, means over seeds; the paper gives one figure each, on 65,000 clips of "
    "30 words. α = 0 is ERM."
)
DIFFERENCE_NOTE = (
    "Test error of mixup minus that of ERM with the same seed, in points, with the 95 % t "
    "interval of its mean. Seeds change weights, batches and mixing and not the clips, so the "
    "interval says nothing about other clips."
)


def run(
    root: str | os.PathLike | None = None,
    *,
    output: Path | None = None,
    n_jobs: int | None = None,
    console: Console | None = None,
    **options: Any,
) -> bool:
    """Run the benchmark, or go on with it; print what came out and write the report.

    Parameters
    ----------
    root : str or path-like, default=None
        As in :meth:`FigurePlan.make`.
    output : Path, default=None
        Folder for the files; None makes a new one under the current folder.
    n_jobs : int, default=None
        Threads that read.
    console : rich Console, default=None
        Where to print.
    **options
        As in :meth:`FigurePlan.make`.

    Returns
    -------
    bool
        Whether everything was done.
    """
    console = console or Console()
    plan = FigurePlan.make(root, **options)
    for line in describe(plan):
        console.print(line, highlight=False, markup=False)
    session = carry_out_figure(plan, output=output, n_jobs=n_jobs, console=console)
    folder = session.folder.path
    errors, differences = summarize_figure(session.results)
    if errors.empty:
        console.print("There is no result yet.")
    else:
        console.print(terminal_table(errors, ERRORS, "Errors", NOTE))
        if len(differences):
            console.print(
                terminal_table(differences, DIFFERENCES, "mixup − ERM", DIFFERENCE_NOTE)
            )
        page = make_page(plan, session, errors, differences)
        console.print(f"Report: {page.write(folder)}", soft_wrap=True, highlight=False)
    if not session.finished:
        console.print(
            f"[yellow]Stopped; what is done is kept. The same command with --output {folder} "
            "goes on.[/]",
            soft_wrap=True,
        )
    return session.finished


def describe(plan: FigurePlan) -> list[str]:
    """Say what is run, and how it differs from the paper.

    Parameters
    ----------
    plan : FigurePlan
        What is run.

    Returns
    -------
    list of str
    """
    train, validation, test = (len(part) for part in plan.parts[:3])
    words = len(plan.folder.label_names)
    lines = [
        f"{plan.source}: {words} words; {train:,} clips for training, {validation:,} for "
        f"validation, {test:,} for testing ({plan.parts.description}). The paper has 30 words "
        "and 65,000 clips.",
        f"{plan.epochs} epochs in batches of 100, Adam at {plan.learning_rate:g}, divided by "
        f"10 after each third; no mixing in the first sixth; 160 × 101 log "
        "spectrograms; no augmentation.",
    ]
    if plan.width != 1 and "vgg11" in plan.nets:
        lines.append(
            f"Smaller than the paper: VGG-11 has {plan.width:g} of its channels (--width)."
        )
    if plan.epochs != EPOCHS:
        lines.append("The paper trains for 30 epochs, the first 5 without mixing (--epochs).")
    if plan.learning_rate != RATE:
        lines.append("The paper's learning rate is 0.003 (--learning-rate).")
    return lines


def summarize_figure(results: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return mean errors, and paired differences to ERM.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.

    Returns
    -------
    errors : DataFrame
        One row per net and α: number of ``seeds``, mean errors in percent on ``validation %``
        and ``test %``, and the paper's.
    differences : DataFrame
        One row per net and α above 0 with the ``difference`` of the test errors to ERM with the
        same seeds, in points, and the ends ``low`` and ``high`` of its 95 % interval.
    """
    wide = results.assign(
        net=results["method"].str.partition(" ")[0],
        α=results["alpha"].astype(float),
        error=100 * results["error"],
    ).pivot(index=["net", "α", "seed"], columns="protocol", values="error")
    wide = wide.reindex(columns=list(PARTS)).dropna()
    errors, differences = [], []
    for (net, alpha), part in wide.groupby(level=["net", "α"], sort=False):
        published = PUBLISHED.get(net, {}).get(alpha, (np.nan, np.nan))
        row = {"net": net, "α": alpha, "seeds": len(part)}
        ours = dict(zip(("validation %", "test %"), part.mean(), strict=True))
        theirs = dict(zip(("paper's validation %", "paper's test %"), published, strict=True))
        errors.append(row | ours | theirs)
        if alpha and (net, 0.0) in wide.index:
            erm = wide.loc[(net, 0.0), "test"]
            change = (part.droplevel(["net", "α"])["test"] - erm).dropna().to_numpy()
            if len(change):
                row["seeds"] = len(change)
                differences.append(row | _interval(change))
    return pd.DataFrame(errors), pd.DataFrame(differences)


def _interval(change: np.ndarray) -> dict[str, float]:
    """Return a mean with its 95 % t interval; without ends for a single value."""
    half = np.nan
    if len(change) > 1:
        error = change.std(ddof=1) / np.sqrt(len(change))
        half = float(stats.t.ppf(0.975, len(change) - 1) * error)
    mean = float(change.mean())
    return {"difference": mean, "low": mean - half, "high": mean + half}


def draw_figure(errors: pd.DataFrame) -> Figure:
    """Draw errors against α, a picture per net, the paper's in grey.

    Parameters
    ----------
    errors : DataFrame
        From :func:`summarize_figure`.

    Returns
    -------
    matplotlib Figure
    """
    nets = errors["net"].unique()
    figure = Figure(figsize=(4.5 * len(nets), 3.6), layout="constrained")
    for ax, net in zip(figure.subplots(1, len(nets), squeeze=False)[0], nets, strict=True):
        part = errors[errors["net"] == net]
        place = np.arange(len(part))
        for k, name in enumerate(PARTS):
            style = {"marker": "os"[k], "linestyle": "-" if name == "test" else "--"}
            ax.plot(place, part[f"{name} %"], color=f"C{k}", label=name, **style)
            ax.plot(
                place, part[f"paper's {name} %"], color="0.6", label=f"paper: {name}", **style
            )
        ax.set_xticks(place, [f"{alpha:g}" if alpha else "ERM" for alpha in part["α"]])
        ax.set(title=net, xlabel="α", ylabel="error %", ylim=(0, None))
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.3)
    handles, labels = ax.get_legend_handles_labels()
    place = {"loc": "outside lower center", "ncols": 2 * len(nets), "frameon": False}
    figure.legend(handles, labels, **place)
    return figure


def make_page(
    plan: FigurePlan, session: Session, errors: pd.DataFrame, differences: pd.DataFrame
) -> Page:
    """Return the report page of a run.

    Parameters
    ----------
    plan : FigurePlan
        What was to be done.
    session : Session
        What was done.
    errors, differences : DataFrame
        From :func:`summarize_figure`.

    Returns
    -------
    Page
    """
    page = Page(TITLE, sentence(differences), facts_of(session))
    page.add_text("What was run", describe(plan))
    page.add_table("Errors", errors, NOTE, formats=ERRORS)
    if len(differences):
        page.add_table("mixup − ERM", differences, DIFFERENCE_NOTE, formats=DIFFERENCES)
    page.add_picture(
        "Errors against α",
        draw_figure(errors),
        name="errors",
        alt="For each net, validation and test error against α, and the paper's.",
    )
    return page


def sentence(differences: pd.DataFrame) -> str:
    """Say for every net what mixup does to the test error.

    Parameters
    ----------
    differences : DataFrame
        From :func:`summarize_figure`.

    Returns
    -------
    str
    """
    if differences.empty:
        return "No net has a result of both ERM and mixup yet."
    told = []
    for net, part in differences.groupby("net", sort=False):
        changes = zip(part["α"], part["difference"], strict=True)
        told.append(f"{net} " + ", ".join(f"{d:+.2f} points at α = {a:g}" for a, d in changes))
    return f"Test error of mixup minus that of ERM: {'; '.join(told)}."
