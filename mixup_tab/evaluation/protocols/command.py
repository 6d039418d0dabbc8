"""``mixup-tab benchmark uci``: plan, run, sum up, show."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

from mixup_tab._extras import import_extra
from mixup_tab.evaluation.protocols.ablation import AblationPlan
from mixup_tab.evaluation.protocols.ablation_report import report_ablation
from mixup_tab.evaluation.protocols.calibration import CalibrationPlan
from mixup_tab.evaluation.protocols.calibration_report import report_calibration
from mixup_tab.evaluation.protocols.delgado import DelgadoPlan
from mixup_tab.evaluation.protocols.delgado_report import report_delgado
from mixup_tab.evaluation.protocols.options import check_jobs
from mixup_tab.evaluation.protocols.paper import PaperPlan
from mixup_tab.evaluation.protocols.paper_report import report_paper
from mixup_tab.evaluation.protocols.raw import RawPlan
from mixup_tab.evaluation.protocols.raw_report import report_raw
from mixup_tab.evaluation.protocols.scores import Report, Shown
from mixup_tab.evaluation.protocols.variants import VariantsPlan
from mixup_tab.evaluation.protocols.variants_report import report_variants
from mixup_tab.evaluation.runs import Plan
from mixup_tab.evaluation.session import Session, carry_out, failure_lines

PLANS = {
    "paper": PaperPlan,
    "delgado": DelgadoPlan,
    "raw": RawPlan,
    "ablation": AblationPlan,
    "variants": VariantsPlan,
    "calibration": CalibrationPlan,
}
REPORTS = {
    "paper": report_paper,
    "delgado": report_delgado,
    "raw": report_raw,
    "ablation": report_ablation,
    "variants": report_variants,
    "calibration": report_calibration,
}


def make_plan(protocol: str, **options: Any) -> Plan:
    """Return the plan of a protocol.

    Parameters
    ----------
    protocol : {"paper", "delgado", "raw", "ablation", "variants", "calibration"}
        Which one.
    **options
        As in its ``make``; those that are None are left to it.

    Returns
    -------
    Plan

    Raises
    ------
    ValueError
        For an unknown protocol, or an option that it does not have.
    """
    if protocol not in PLANS:
        raise ValueError(f"protocol={protocol!r} not known. Known are: {', '.join(PLANS)}.")
    make = PLANS[protocol].make
    given = {name: value for name, value in options.items() if value is not None}
    for name in given:
        if name not in inspect.signature(make).parameters:
            raise ValueError(
                f"{name}={given[name]!r} means nothing for protocol={protocol!r}. Leave it out."
            )
    return make(**given)


def run(
    protocol: str,
    *,
    output: Path | None = None,
    n_jobs: int = -1,
    console: Console | None = None,
    **options: Any,
) -> Session:
    """Run a protocol, or go on with it; print what came out and write the report.

    Parameters
    ----------
    protocol : {"paper", "delgado", "raw", "ablation", "variants", "calibration"}
        Which one.
    output : Path, default=None
        Folder for the files; None makes a new one under the current folder.
    n_jobs : int, default=-1
        Number of processes; -1 is one per core.
    console : rich Console, default=None
        Where to print.
    **options
        As in :func:`make_plan`.

    Returns
    -------
    Session
    """
    for module in ("scikit_posthocs", "statsmodels"):
        import_extra(module, "benchmarks")  # before hours of training, not after
    console = console or Console()
    with console.status("Reading tables …"):
        plan = make_plan(protocol, **options)
    session = carry_out(plan, output=output, n_jobs=check_jobs(n_jobs), console=console)
    for line in failure_lines(session.failures):
        console.print(line, style="yellow", markup=False)
    if session.results.empty:
        console.print("There is no result yet.")
    else:
        _show(REPORTS[protocol](session), session, console)
    return session


def _show(report: Report, session: Session, console: Console) -> None:
    folder = session.folder.path
    page = report.page.write(folder)
    for shown in report.tables:
        console.print(_table(shown))
    console.print(report.sentence, highlight=False, markup=False)
    if not session.finished:
        console.print(
            f"[yellow]Stopped after {len(session.results)} results; they are kept. The same "
            f"command with --output {folder} goes on.[/]",
            soft_wrap=True,
        )
    console.print(f"Report: {page}", soft_wrap=True, highlight=False, markup=False)


def _table(shown: Shown) -> Table:
    table = Table(
        title=shown.title,
        title_justify="left",
        caption=shown.note,
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
    )
    frame = shown.frame
    frame = frame if frame.index.name is None else frame.reset_index()
    columns = []
    for name in frame.columns:
        numeric = pd.api.types.is_numeric_dtype(frame[name])
        cells = [_cell(value, shown.formats.get(name, "{}")) for value in frame[name]]
        # Headers wrap, numbers never do: eighty columns must do.
        width = max(map(len, [*cells, *str(name).split()]))
        justify = "right" if numeric else "left"
        table.add_column(str(name), justify=justify, min_width=width, max_width=width)
        columns.append(cells)
    for row in zip(*columns, strict=True):
        table.add_row(*row)
    return table


def _cell(value: Any, form: str) -> str:
    return "–" if pd.isna(value) else form.format(value)
