"""A model card in Markdown: what a saved model predicts, from what, and how well."""

from __future__ import annotations

import os
import platform
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn import config_context
from sklearn.base import is_classifier

from mixup_tab._extras import import_extra
from mixup_tab._files import write_whole
from mixup_tab.tables import TableEncoder

# Tables of more rows are folded.
_FOLDED = 30
_PACKAGES = ("mixup-tab", "torch", "scikit-learn", "skorch", "numpy", "pandas")
_MARKUP = re.compile(r"([\\`*_{}\[\]<>|#~$&])")
_LIMITS = (
    "It has been tested on the data above only.",
    "Probabilities and scores hold for data like the training data. If class frequencies or "
    "ranges of columns differ, evaluate it again on such data.",
    "Opening the file with load_model runs no code from it. Whether its predictions are right "
    "is up to its author.",
)


def write_model_card(
    path: str | os.PathLike,
    model: Any,
    *,
    title: str,
    data: Mapping[str, str],
    columns: pd.DataFrame,
    scores: pd.DataFrame,
    limits: Iterable[str] = (),
) -> None:
    """Write a model card: a page about what a saved model does, how well, and its limits.

    The card shows the arguments, and facts about the model: its task, non-default parameters,
    versions, how to load it, and how it treats missing values and unseen categories. All text
    is escaped, so the name of a column is never read as Markdown or HTML.

    Parameters
    ----------
    path : str or path-like
        Name of the model file followed by ``.md``, such as ``churn.model.md`` for
        ``churn.model``. An existing card is replaced.
    model : estimator
        Fitted.
    title : str
        Heading.
    data : mapping of str to str
        Facts about the training data, such as rows, target and file name. "Classes" replaces
        the labels in ``classes_``.
    columns : DataFrame
        The columns that the model needs, one per row, such as their names and types.
    scores : DataFrame
        One score per row, with a column that says how it was measured. This table and
        ``columns`` may be empty.
    limits : iterable of str, default=()
        Sentences on what it must not be used for; they come first.

    Raises
    ------
    ImportError
        If skops is not installed.
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from sklearn.datasets import load_iris
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.persistence import write_model_card
    >>> X, y = load_iris(as_frame=True, return_X_y=True)
    >>> clf = MixupClassifier(alpha=0.2, max_epochs=5, random_state=0).fit(X, y)
    >>> path = Path(tempfile.mkdtemp(), "iris.model.md")
    >>> write_model_card(
    ...     path,
    ...     clf,
    ...     title="Species of iris",
    ...     data={"Rows": "150", "Target": "species"},
    ...     columns=pd.DataFrame({"column": X.columns, "type": "number"}),
    ...     scores=pd.DataFrame({"score": ["error"], "value": [0.05], "on": ["5 folds"]}),
    ... )
    >>> print(path.read_text(encoding="utf-8")[:63])
    # Species of iris
    <BLANKLINE>
    Predicts which of 3 classes a row belongs to
    """
    card = import_extra("skops.card", "models").Card(None, model_diagram=False, template=None)
    top = _plain(title).replace("/", "\\/")  # skops makes sections of what "/" separates
    labels = {"Classes": ", ".join(map(str, model.classes_))} if is_classifier(model) else {}
    card.add(**{top: _task(model)})
    for name, table in {
        "Data": pd.DataFrame((labels | dict(data)).items(), columns=["fact", "value"]),
        "Columns": columns,
        "Scores": scores,
    }.items():
        if table.empty:
            card.add(**{f"{top}/{name}": "None given."})
            continue
        card.add_table(folded=len(table) > _FOLDED, **{f"{top}/{name}": _escaped(table)})
        card.select(f"{top}/{name}").title = name  # skops would show the whole path
    with config_context(print_changed_only=True):
        changed = model.__repr__(N_CHAR_MAX=10_000)
    versions = {"Python": platform.python_version()}
    versions |= {name: metadata.version(name) for name in _PACKAGES}
    sentences = (*limits, *_gaps(model), *_LIMITS)
    sections = {
        "Parameters": "All others have their defaults.\n\n" + _fenced(changed, "python"),
        "Versions": ", ".join(f"{name} {v}" for name, v in versions.items()),
        "How to use it": _use(Path(path).stem),
        "Limits": "\n".join(f"- {_plain(sentence)}" for sentence in sentences),
    }
    card.add(**{f"{top}/{name}": text for name, text in sections.items()})
    write_whole(Path(path), card.render().lstrip().encode())


def _task(model: Any) -> str:
    if not is_classifier(model):
        return "Predicts a number for every row."
    count = len(model.classes_)
    return f"Predicts which of {count} classes a row belongs to, with a probability for each."


def _gaps(model: Any) -> Iterator[str]:
    """Yield how a model treats missing values and unseen categories, where that is known."""
    parts = [model, *model.get_params().values()]
    encoder = next((part for part in parts if isinstance(part, TableEncoder)), None)
    last = getattr(model, "best_estimator_", model)
    if encoder is not None:
        yield "Categories not seen in training are treated as unknown."
        if encoder.impute:
            yield "Missing and infinite numbers become the median of the training rows."
    elif hasattr(last, "is_categorical_"):
        yield "Missing numbers raise an error."
        if last.is_categorical_ is not None:
            yield "Missing and new categories are treated as unknown."


def _use(name: str) -> str:
    code = f"""from mixup_tab.persistence import load_model

model = load_model({name!r})
model.predict(X)  # a table with the columns above"""
    command = f"mixup-tab predict {shlex.quote(name)} FILE"
    blocks = _fenced(code, "python"), _fenced(command, "console")
    return "In Python:\n\n{}\n\nOn the command line, if mixup-tab train wrote it:\n\n{}".format(
        *blocks
    )


def _plain(value: Any) -> str:
    """Return a value as one line, with Markdown and HTML escaped."""
    text = f"{value:.5g}" if isinstance(value, float) else str(value)
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return _MARKUP.sub(r"\\\1", line)


def _escaped(table: pd.DataFrame) -> pd.DataFrame:
    return table.astype(object).map(_plain).rename(columns=_plain)


def _fenced(code: str, language: str) -> str:
    """Return a block of code, with a fence longer than any in the code."""
    fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", code)), 0)
    return f"{fence}{language}\n{code}\n{fence}"
