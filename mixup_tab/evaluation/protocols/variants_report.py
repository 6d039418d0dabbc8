"""What the variants protocol says: every kind of mixing beside mixup, over and on tables."""

from __future__ import annotations

import pandas as pd

from mixup_tab._files import write_whole
from mixup_tab.evaluation.protocols.ablation_report import markdown
from mixup_tab.evaluation.protocols.scores import (
    Report,
    Shown,
    comparable,
    facts_of,
    left_out,
    mean_scores,
    set_details,
)
from mixup_tab.evaluation.protocols.variants import REFERENCE
from mixup_tab.evaluation.session import Session
from mixup_tab.evaluation.statistics import average_ranks, paired_tests, resampled_interval
from mixup_tab.page import Page

# Column of the results, how it is called, what it is multiplied by, its decimals.
METRICS = (("error", "error %", 100, 2), ("log_loss", "log-loss", 1, 4))
NOTE = (
    "Means over tables of means over folds; below 0, Δ is better than mixup: the mean "
    "difference, on the same folds with the same seeds, with its 95 % t interval over tables. "
    "p: Wilcoxon's signed-rank test over tables with Holm's correction for the number of "
    "kinds. rank: average over tables, 1 is best."
)
TABLE_NOTE = (
    "The kind minus mixup on the folds of one table, with the corrected resampled 95 % t "
    "interval (Nadeau and Bengio 2003); below 0 is better than mixup."
)


def summarize_variants(results: pd.DataFrame) -> pd.DataFrame:
    """Compare every kind of mixing with mixup over the tables that all have.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.

    Returns
    -------
    DataFrame
        One row per ``metric`` (error, log_loss) and ``kind``, lowest first: number of
        ``tables``; ``score``, its mean there; average ``rank``; mean ``difference`` to mixup
        with the ends ``low`` and ``high`` of its 95 % t interval over tables; ``wins``,
        ``ties``, ``losses``, ``p`` and ``p_holm`` as in
        :func:`~mixup_tab.evaluation.statistics.paired_tests`, nan for mixup itself. Empty
        where mixup has no result.
    """
    common = comparable(mean_scores(results, "error"))
    if REFERENCE not in common or common.empty:
        return pd.DataFrame()
    parts = {}
    for metric, *_ in METRICS:
        scores = mean_scores(results, metric).loc[common.index, common.columns]
        differences = scores.sub(scores[REFERENCE], axis=0).drop(columns=REFERENCE)
        # Tables share no rows, unlike the folds that the correction is made for.
        intervals = {
            kind: resampled_interval(values.to_numpy(), test_share=0)
            for kind, values in differences.items()
        }
        parts[metric] = pd.DataFrame(
            {
                "tables": len(scores),
                "score": scores.mean(),
                "rank": average_ranks(scores, higher_is_better=False),
            }
        ).join([_named(intervals), _tests(scores)])
        parts[metric] = parts[metric].sort_values("score", kind="stable")
    return pd.concat(parts, names=["metric", "kind"])


def _named(intervals: dict[str, tuple[float, float, float]]) -> pd.DataFrame:
    return pd.DataFrame.from_dict(
        intervals, orient="index", columns=["difference", "low", "high"]
    )


def _tests(scores: pd.DataFrame) -> pd.DataFrame:
    tests = paired_tests(scores, REFERENCE, higher_is_better=False)
    return tests.reindex(columns=["wins", "ties", "losses", "p", "p_holm"])


def table_by_table(results: pd.DataFrame, metric: str, factor: float) -> pd.DataFrame:
    """Return every kind's difference to mixup on every table.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.
    metric : str
        One of its columns.
    factor : float
        What differences are multiplied by.

    Returns
    -------
    DataFrame
        One row per ``dataset`` and ``kind``: number of ``folds`` that both have, mean
        ``difference`` and the ends ``low`` and ``high`` of its corrected resampled interval.
    """
    rows = []
    for dataset, part in results.groupby("dataset", sort=False):
        share = (part["n_test"] / (part["n_train"] + part["n_test"])).mean()
        wide = factor * part.pivot(index="fold", columns="method", values=metric)
        for kind in (name for name in part["method"].unique() if name != REFERENCE):
            differences = (wide[kind] - wide[REFERENCE]).dropna() if REFERENCE in wide else []
            if len(differences):
                interval = resampled_interval(differences.to_numpy(), share)
                rows.append((dataset, kind, len(differences), *interval))
    columns = ["dataset", "kind", "folds", "difference", "low", "high"]
    return pd.DataFrame(rows, columns=columns)


def written_out(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary as a table to read.

    Parameters
    ----------
    summary : DataFrame
        From :func:`summarize_variants`, not empty.

    Returns
    -------
    DataFrame of str
        One row per kind, lowest error first.
    """
    table = pd.DataFrame(index=summary.loc[METRICS[0][0]].index)
    for metric, name, factor, decimals in METRICS:
        rows = [row for _, row in summary.loc[metric].loc[table.index].iterrows()]
        short = name.removesuffix(" %")
        table[name] = [f"{factor * row['score']:.{decimals}f}" for row in rows]
        table[f"Δ {short}"] = [_difference(row, factor, decimals) for row in rows]
        table[f"{short} p"] = [_or_nothing(row["p_holm"], "{:.2g}") for row in rows]
        table[f"{short} rank"] = [f"{row['rank']:.1f}" for row in rows]
    return table


def _difference(row: pd.Series, factor: float, decimals: int) -> str:
    ends = (factor * row[end] for end in ("difference", "low", "high"))
    mean, low, high = (f"{end:+.{decimals}f}" for end in ends)
    return "" if pd.isna(row["difference"]) else f"{mean} ({low} to {high})"


def _or_nothing(value: float, form: str) -> str:
    return "" if pd.isna(value) else form.format(value)


def report_variants(session: Session) -> Report:
    """Sum up a run, make its page and write ``variants.md`` into its folder.

    Parameters
    ----------
    session : Session
        The run.

    Returns
    -------
    Report
    """
    results, title = session.results, "Kinds of mixing, against mixup"
    summary = summarize_variants(results)
    if summary.empty:
        sentence = "No table has a result of mixup and the others yet."
        return Report(sentence, [], Page(title, sentence, facts_of(session)))
    sentence, table = _sentence(summary), written_out(summary)
    scores = mean_scores(results, "error")
    note = f"{NOTE} {left_out(scores, comparable(scores))}".strip()
    page = Page(title, sentence, facts_of(session))
    for _, name, *_ in METRICS:
        part = [one for one in table if name.removesuffix(" %") in one]
        page.add_table(name, table[part], note)
    for metric, name, factor, decimals in METRICS:
        form = f"{{:+.{decimals}f}}"
        page.add_table(
            f"Difference in {name} on every table",
            table_by_table(results, metric, factor),
            TABLE_NOTE,
            formats=dict.fromkeys(("difference", "low", "high"), form),
        )
    page.add_details("Table by table", set_details(results))
    text = [f"# {title}", sentence, _command(session), markdown(table), note, ""]
    write_whole(session.folder.path / "variants.md", "\n\n".join(text).encode())
    return Report(sentence, [_narrowed(title, table)], page)


def _narrowed(title: str, table: pd.DataFrame) -> Shown:
    """Return what fits a terminal: no intervals, no tests."""
    frame = table[[name for name in table if not name.endswith(" p")]]
    frame = frame.apply(lambda column: column.str.partition(" (")[0])
    return Shown(title, frame, note="Below 0 is better than mixup. Intervals: variants.md.")


def _command(session: Session) -> str:
    identity, results = session.folder.record["identity"], session.results
    repeats = -(-results["fold"].nunique() // identity["folds"])
    return (
        "Measured with `mixup-tab benchmark uci --protocol variants --data-home DIR "
        f"--datasets {','.join(sorted(results['dataset'].unique()))} "
        f"--folds {identity['folds']} "
        f"--repeats {repeats} --seed {identity['seed']}`."
    )


def _sentence(summary: pd.DataFrame) -> str:
    """Say where mixup stands, and which kinds are shown to be better or worse."""
    tables = int(summary["tables"].iloc[0])
    error, loss = (summary.loc[(metric, REFERENCE), "score"] for metric, *_ in METRICS)
    told = [
        f"On {tables} table{'s' * (tables > 1)}, mixup with α = 0.2 has an error of "
        f"{100 * error:.2f} % and a log-loss of {loss:.4f}."
    ]
    for metric, name, *_ in METRICS:
        rows = summary.loc[metric]
        clear = rows[rows["p_holm"] < 0.05]
        better, worse = (
            ", ".join(clear.index[sign * clear["difference"] < 0]) or "none" for sign in (1, -1)
        )
        told.append(
            f"Shown to have less {name.removesuffix(' %')} than mixup (5 %, Holm): {better}; "
            f"more: {worse}."
        )
    return " ".join(told)
