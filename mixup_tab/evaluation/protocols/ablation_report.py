"""What the ablation says: what each choice is worth, on a page and as a Markdown table."""

from __future__ import annotations

import pandas as pd

from mixup_tab._files import write_whole
from mixup_tab.evaluation.protocols.ablation import BEST_EFFORT, DEFAULTS, MAX_ROWS, VARIANTS
from mixup_tab.evaluation.protocols.scores import (
    Report,
    Shown,
    facts_of,
    mean_scores,
    set_details,
)
from mixup_tab.evaluation.session import Session
from mixup_tab.evaluation.statistics import paired_tests, resampled_interval
from mixup_tab.page import Page

# Column of the results, how it is called, what it is multiplied by, its decimals.
METRICS = (("accuracy", "accuracy %", 100, 2), ("log_loss", "log-loss", 1, 4))
NOTE = (
    "Means over sets of means over repeats. Differences are variant minus {reference}, on the "
    "sets that both have, with the 95 % t interval over sets; accuracies in points. won/even/"
    "lost: sets on which the variant is better, equal, worse. p: Wilcoxon's signed-rank test "
    "with Holm's correction for the number of variants. time: median over sets of the time to "
    "fit beside that of {reference}."
)


def summarize_ablation(results: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compare variants with what they change.

    Parameters
    ----------
    results : DataFrame
        Rows of a run.
    reference : str
        A variant; those that are compared with it are, in the order of the run.

    Returns
    -------
    DataFrame
        One row per ``metric`` (accuracy, log_loss) and ``variant``: number of ``sets`` that
        both have and ``score``, its mean there; mean ``difference`` with the ends ``low`` and
        ``high`` of its 95 % interval; ``wins``, ``ties``, ``losses``, ``effect_size``, ``p``
        and ``p_holm`` as in :func:`~mixup_tab.evaluation.statistics.paired_tests`; ``time``,
        the median ratio of fit times. The reference itself comes first, with its scores on all
        of its sets. Empty where it has no result.
    """
    methods = results["method"].unique()
    names = [name for name in methods if VARIANTS[name].against == reference != name]
    names = [reference, *names]
    part = results[results["method"].isin(names)]
    if not mean_scores(part, "accuracy").get(reference, pd.Series()).notna().any():
        return pd.DataFrame()
    seconds = mean_scores(part, "fit_seconds")[names]
    times = seconds.div(seconds[reference], axis=0).median().rename("time")
    tables = {}
    for metric, *_ in METRICS:
        scores = mean_scores(part, metric)[names]
        tests = paired_tests(scores, reference, metric == "accuracy")
        tests = tests.drop(columns=["sets", "difference"], errors="ignore")
        tables[metric] = _means(scores, reference).join([tests, times])
    return pd.concat(tables, names=["metric", "variant"])


def _means(scores: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Mean scores, differences and their intervals, variant by variant."""
    rows = {}
    for name in scores:
        both = scores[name].where(scores[reference].notna()).dropna()
        row = {"sets": len(both), "score": both.mean()}
        if name != reference and len(both):
            differences = (both - scores.loc[both.index, reference]).to_numpy()
            # Sets share no rows, unlike the splits that the correction is made for.
            interval = resampled_interval(differences, test_share=0)
            row |= dict(zip(("difference", "low", "high"), interval, strict=True))
        rows[name] = row
    columns = ["sets", "score", "difference", "low", "high"]
    return pd.DataFrame.from_dict(rows, orient="index").reindex(columns=columns)


def written_out(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary as a table to read.

    Parameters
    ----------
    summary : DataFrame
        From :func:`summarize_ablation`, not empty.

    Returns
    -------
    DataFrame of str and int
        One row per variant.
    """
    first = summary.xs(METRICS[0][0])
    table = first[["sets"]].astype(int)
    for metric, name, factor, decimals in METRICS:
        rows = [row for _, row in summary.xs(metric).iterrows()]
        table[name] = [f"{factor * row['score']:.{decimals}f}" for row in rows]
        short = name.removesuffix(" %")
        table[f"Δ {short}"] = [_difference(row, factor, decimals) for row in rows]
        table[f"{short} won/even/lost"] = [_counts(row) for row in rows]
        table[f"{short} p"] = [_or_nothing(row.get("p_holm"), "{:.2g}") for row in rows]
    table["time"] = [f"{time:.2g}" for time in first["time"]]
    return table


def _difference(row: pd.Series, factor: float, decimals: int) -> str:
    ends = (factor * row[end] for end in ("difference", "low", "high"))
    mean, low, high = (f"{end:+.{decimals}f}" for end in ends)
    return "" if pd.isna(row["difference"]) else f"{mean} ({low} to {high})"


def _counts(row: pd.Series) -> str:
    if pd.isna(row.get("wins")):
        return ""
    return "/".join(f"{row[name]:.0f}" for name in ("wins", "ties", "losses"))


def _or_nothing(value: float | None, form: str) -> str:
    return "" if pd.isna(value) else form.format(value)


def markdown(table: pd.DataFrame) -> str:
    """Return a table in Markdown, its index as the first column.

    Parameters
    ----------
    table : DataFrame
        Its cells are shown as they are.

    Returns
    -------
    str

    Examples
    --------
    >>> import pandas as pd
    >>> print(markdown(pd.DataFrame({"sets": [2]}, pd.Index(["cutmix"], name="variant"))))
    | variant | sets |
    |---|---:|
    | cutmix | 2 |
    """
    head = [str(table.index.name), *map(str, table.columns)]
    rule = "|---|" + "---:|" * table.shape[1]
    rows = [" | ".join(map(str, row)) for row in table.itertuples()]
    return "\n".join([f"| {' | '.join(head)} |", rule, *(f"| {row} |" for row in rows)])


def report_ablation(session: Session) -> Report:
    """Sum up a run, make its page and write ``ablation.md`` into its folder.

    Parameters
    ----------
    session : Session
        The run.

    Returns
    -------
    Report
    """
    results = session.results
    found = {name: summarize_ablation(results, name) for name in (DEFAULTS, BEST_EFFORT)}
    found = {name: summary for name, summary in found.items() if len(summary)}
    sentence = _sentence(found)
    page = Page("Ablation: what each choice is worth", sentence, facts_of(session))
    shown = []
    for reference, summary in found.items():
        title, note = f"Variants of {reference}", NOTE.format(reference=reference)
        shown.append(Shown(title, written_out(summary), note=note))
        for kind in ("accuracy", "log-loss"):
            page.add_table(f"{title}: {kind}", _only(shown[-1].frame, kind), note)
    page.add_details("Set by set", set_details(results))
    text = [f"# {page.title}", sentence, _command(session)]
    for part in shown:
        text += [f"## {part.title}", markdown(part.frame), part.note]
    write_whole(session.folder.path / "ablation.md", "\n\n".join([*text, ""]).encode())
    return Report(sentence, [_narrowed(one) for one in shown], page)


def _only(table: pd.DataFrame, kind: str) -> pd.DataFrame:
    """Return the columns of one metric, so that a page need not be scrolled sideways."""
    return table[[name for name in table if kind in name or name in ("sets", "time")]]


def _narrowed(shown: Shown) -> Shown:
    """Return what fits a terminal: no intervals, no tests."""
    left_out = ("sets", " won/even/lost", " p")
    frame = shown.frame[[name for name in shown.frame if not name.endswith(left_out)]]
    frame = frame.apply(lambda column: column.str.partition(" (")[0])
    return Shown(shown.title, frame, note="Intervals and tests: see ablation.md.")


def _command(session: Session) -> str:
    results = session.results
    seed = session.folder.record["identity"]["seed"]
    repeats, sets = results["fold"].nunique(), results["dataset"].nunique()
    return (
        f"Measured with `mixup-tab benchmark uci --protocol ablation --data-home DIR --repeats "
        f"{repeats} --seed {seed}` on {sets} sets, on training rows only: of each set at most "
        f"{MAX_ROWS} training rows of the study's first fold, split again into 75 % to fit on "
        "and 25 % to score on. Where a set has four folds, these rows are test rows of the "
        "other three."
    )


def _sentence(found: dict[str, pd.DataFrame]) -> str:
    """Say where both levels stand, and which changes are shown to help or to harm."""
    told = []
    for reference, summary in found.items():
        accuracy, loss = (summary.xs(metric).loc[reference, "score"] for metric, *_ in METRICS)
        sets = summary["sets"].iloc[0]
        told.append(
            f"{reference} has {100 * accuracy:.2f} % accuracy and a log-loss of {loss:.4f} on "
            f"{sets:.0f} sets."
        )
        if len(summary) > len(METRICS):
            told += [_shown(summary, metric, name) for metric, name, *_ in METRICS]
    return " ".join(told) or "No variant has a result on a whole set yet."


def _shown(summary: pd.DataFrame, metric: str, name: str) -> str:
    rows = summary.xs(metric)
    clear = rows[rows["p_holm"] < 0.05]
    better, worse = (
        ", ".join(clear.index[sign * clear["effect_size"] > 0]) or "none" for sign in (1, -1)
    )
    return (
        f"Shown to be better by {name.removesuffix(' %')} (5 %, Holm): {better}; to be worse: "
        f"{worse}."
    )
