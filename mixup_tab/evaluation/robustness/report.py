"""What ``mixup-tab benchmark robustness`` has found out: tables, pictures, sentences."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from mixup_tab.evaluation.robustness.pictures import draw_attacks, draw_curves
from mixup_tab.evaluation.robustness.plan import ERM, MIXUP, TEST_SHARE
from mixup_tab.metrics import resampled_interval
from mixup_tab.page import Page

CORRUPTION_FORMATS = {
    "rate": "{:.0%}",
    **dict.fromkeys(("last %", "best %", "real %", "wrong %"), "{:.1f}"),
}
CORRUPTION_NOTE = (
    "Test error in percent, means over splits: last, after the last epoch; best, of the epoch "
    "that the test rows themselves pick, which nobody could. mixup − it: difference of the "
    "last errors on the same splits and wrong labels, ± half its corrected resampled 95 % "
    "interval (Nadeau and Bengio 2003). real, wrong: error on training rows with right and "
    "with wrong labels, against the labels that were given; the lower on wrong ones, the more "
    "was memorised."
)
ATTACK_NOTE = (
    "Error in percent on changed test rows, means over splits, of ERM and of mixup by α; box "
    "none: on the rows as they are. − ERM: difference to ERM on the same splits, ± half its "
    "corrected resampled 95 % interval. white: changed to mislead the net itself; black: to "
    "mislead another net, trained by ERM."
)


def summarize_corruption(results: pd.DataFrame) -> pd.DataFrame:
    """Return means over splits and the paired differences of mixup to the others.

    Parameters
    ----------
    results : DataFrame
        Rows of "corruption".

    Returns
    -------
    DataFrame
        One row per ``dataset``, ``rate`` and ``method``, errors in percent; ``difference`` is
        mixup minus the method, with the ends ``low`` and ``high`` of its 95 % interval.
    """
    columns = {
        "last %": "last_test_error",
        "best %": "best_test_error",
        "real %": "train_error_real",
        "wrong %": "train_error_corrupted",
    }
    rows = []
    for (dataset, rate), part in results.groupby(["dataset", "rate"], sort=False):
        last = part.pivot(index="repeat", columns="method", values="last_test_error")
        for method, group in part.groupby("method", sort=False):
            means = {name: 100 * group[key].mean() for name, key in columns.items()}
            ends = _difference(last, MIXUP, method)
            rows.append({"dataset": dataset, "rate": rate, "method": method, **means, **ends})
    return pd.DataFrame(rows)


def summarize_attacks(results: pd.DataFrame) -> pd.DataFrame:
    """Return means over splits and the paired differences to ERM.

    Parameters
    ----------
    results : DataFrame
        Rows of "adversarial".

    Returns
    -------
    DataFrame
        One row per ``dataset``, ``box``, ``attack``, ``eps`` and ``method``, errors in percent;
        ``difference`` is the method minus ERM, with its ends ``low`` and ``high``. Rows with
        ``eps`` 0, "none" for box and attack, are of the unchanged rows.
    """
    keys = ["dataset", "box", "attack", "eps"]
    clean = results.drop_duplicates(["dataset", "method", "repeat"])
    clean = clean.assign(box="none", attack="none", eps=0.0)
    clean = clean.assign(adversarial_error=clean["clean_error"])
    rows = []
    for key, part in pd.concat([clean, results]).groupby(keys, sort=False):
        errors = part.pivot(index="repeat", columns="method", values="adversarial_error")
        for method, group in part.groupby("method", sort=False):
            rows.append(
                {
                    **dict(zip(keys, key, strict=True)),
                    "method": method,
                    "clean %": 100 * group["clean_error"].mean(),
                    "error %": 100 * group["adversarial_error"].mean(),
                    **_difference(errors, method, ERM),
                }
            )
    return pd.DataFrame(rows)


def _difference(errors: pd.DataFrame, one: str, other: str) -> dict[str, float]:
    """Return the mean of paired differences in points, with the ends of its interval."""
    if one == other or not {one, other} <= set(errors):
        return dict.fromkeys(("difference", "low", "high"), np.nan)
    pairs = 100 * (errors[one] - errors[other]).dropna().to_numpy()
    ends = resampled_interval(pairs, TEST_SHARE) if len(pairs) else (np.nan,) * 3
    return dict(zip(("difference", "low", "high"), ends, strict=True))


def corruption_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary of wrong labels for people to read.

    Parameters
    ----------
    summary : DataFrame
        Of :func:`summarize_corruption`.

    Returns
    -------
    DataFrame
        The difference and half its interval are one column.
    """
    table = summary.drop(columns=["difference", "low", "high"])
    return table.assign(**{"mixup − it": _with_halves(summary)})


def attack_table(summary: pd.DataFrame) -> pd.DataFrame:
    """Return a summary of attacks for people to read.

    Parameters
    ----------
    summary : DataFrame
        Of :func:`summarize_attacks`.

    Returns
    -------
    DataFrame
        One row per ``dataset``, ``box``, ``attack`` and ``eps``, the methods side by side.
    """
    keys = ["dataset", "box", "attack", "eps"]
    told = summary.assign(text=_with_halves(summary))
    table = told.drop_duplicates(keys)[keys].reset_index(drop=True)
    for method, part in told.groupby("method", sort=False):
        part = table.merge(part, on=keys, how="left")
        name = method.removeprefix(f"{MIXUP} ")  # eighty columns must do
        table[f"{name} %"] = part["error %"]
        if method != ERM:
            table[f"{name} − ERM"] = part["text"]
    return table


def _with_halves(summary: pd.DataFrame) -> list[str]:
    pairs = zip(summary["difference"], summary["high"] - summary["difference"], strict=True)
    return ["" if np.isnan(d) else _with_half(d, half) for d, half in pairs]


def _with_half(difference: float, half: float) -> str:
    spread = f" ± {half:.1f}" if np.isfinite(half) else ""  # of a single split it is infinite
    return f"{difference:+.1f}{spread}"


def attack_formats(table: pd.DataFrame) -> dict[str, str]:
    """Return how to show the columns of :func:`attack_table`."""
    errors = [name for name in table if name.endswith("%")]
    return {"eps": "{:g}", **dict.fromkeys(errors, "{:.1f}")}


def verdict(corruption: pd.DataFrame, attacks: pd.DataFrame) -> list[str]:
    """Say for each claim of the paper whether it holds here.

    Parameters
    ----------
    corruption, attacks : DataFrame
        Of :func:`summarize_corruption` and :func:`summarize_attacks`.

    Returns
    -------
    list of str
        Sentences.
    """
    sentences = []
    for (dataset, rate), part in corruption.groupby(["dataset", "rate"], sort=False):
        others = part[part["method"] != MIXUP].set_index("method")
        lower, shown = (others.index[others[end] < 0] for end in ("difference", "high"))
        higher = others.index[others["low"] > 0]
        sentences.append(
            f"{dataset}, {rate:.0%} wrong labels: the last error of mixup is lower than that "
            f"of {_listed(lower)}; the interval of the difference lies below 0 for "
            f"{_listed(shown)}, above for {_listed(higher)}."
        )
    unchanged = attacks["box"] == "none"
    clean = attacks[unchanged].set_index(["dataset", "method"])
    attacked = attacks[~unchanged & (attacks["method"] != ERM)]
    for key, part in attacked.groupby(["dataset", "box", "method"], sort=False):
        dataset, box, method = key
        row = clean.loc[[(dataset, method)]]
        sentences.append(
            f"{dataset}, {box} box: {method} has a lower error than ERM for "
            f"{(part['difference'] < 0).sum()} of {len(part)} attacks and ε; the interval lies "
            f"below 0 for {(part['high'] < 0).sum()}, above for {(part['low'] > 0).sum()}. "
            f"Clean error minus that of ERM: {_with_halves(row)[0]}."
        )
    return sentences


def _listed(names: pd.Index) -> str:
    return ", ".join(names) or "none"


def make_page(
    frames: Mapping[str, pd.DataFrame],
    corruption: pd.DataFrame,
    attacks: pd.DataFrame,
    facts: dict[str, Any],
) -> Page:
    """Return the report page.

    Parameters
    ----------
    frames : mapping of str to DataFrame
        Rows of "corruption", "curves" and "adversarial"; none of them empty.
    corruption, attacks : DataFrame
        Their summaries.
    facts : dict
        What the run was.

    Returns
    -------
    Page
    """
    sentences = verdict(corruption, attacks)
    page = Page("Robustness: wrong labels and adversarial examples", _summary(facts), facts)
    page.add_text("What holds here", sentences)
    page.add_table(
        "Wrong labels in training",
        corruption_table(corruption),
        CORRUPTION_NOTE,
        CORRUPTION_FORMATS,
    )
    page.add_picture(
        "Test error by epoch",
        draw_curves(frames["curves"]),
        name="corruption",
        alt="For each table and share of wrong labels, test error against epochs by method.",
        caption="Means over splits.",
    )
    table = attack_table(attacks)
    page.add_table("Adversarial examples", table, ATTACK_NOTE, attack_formats(table))
    page.add_picture(
        "Error against ε",
        draw_attacks(attacks),
        name="adversarial",
        alt="For each table and attack, error against the largest change by method.",
        caption="Means over splits.",
    )
    return page


def _summary(facts: dict[str, Any]) -> str:
    return (
        "Nets of two hidden layers trained with mixup, by ERM and with dropout, on the same "
        f"rows with the same seeds, {facts['epochs']} epochs each, {facts['repeats']} splits."
    )
