"""Spoken words from few clips: plain training, mixup, CutMix, and a pretrained embedding.

For 5 to 150 clips a word: ``speech_classifier`` as it comes but for what is mixed; where
pyopen-wakeword is installed, also its frozen speech embedding with logistic regression (its C
chosen inside the training part, speakers apart) and with ``MixupClassifier``. All methods get
the same clips, and are scored on those of other speakers: of the folder's test list, or, with
``--part validation``, of its validation list, for choices. Without lists, speakers are drawn.

A net goes through 10,000 to 45,000 clips: at 8 ms each, 80 s of processor time for 5 clips of
each of ten words, 6 minutes from 45 on, and 80 minutes for all draws of one method.
Parts, such as ``--sizes 5,10 --methods mixup``, add up in the tables of ``--output``.
"""

from __future__ import annotations

from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import Bunch
from speech_embedding import embed_once
from study import chosen, options, run, start

from mixup_tab import MixupClassifier
from mixup_tab.audio import load_audio_folder, speech_classifier
from mixup_tab.audio.splitting import split_clips
from mixup_tab.benchmark import markdown_table, score_classifier, write_text
from mixup_tab.benchmark.report import failures

DRAWS = {"5": 5, "10": 5, "20": 5, "45": 3, "150": 2}  # by clips per word
FOLDS = 5
FORMATS = {
    "accuracy %": "{:.1f}",
    "log-loss": "{:.3f}",
    "ECE": "{:.3f}",
    "fit, CPU s": "{:.0f}",
    "predict, CPU ms a clip": "{:.1f}",
}
NOTE = (
    "Mean ± standard deviation over draws of training clips. Times are of one thread, with "
    "reading and embedding. ECE: expected calibration error."
)


def log_score(model: Any, X: np.ndarray, y: np.ndarray) -> float:
    """Return minus the log-loss on clips of words seen by the model."""
    seen = np.isin(y, model.classes_)
    return -log_loss(y[seen], model.predict_proba(X[seen]), labels=model.classes_)


SOUND = {
    "plain training": speech_classifier(alpha=0),
    "mixup": speech_classifier(mixing="mixup"),
    "CutMix": speech_classifier(mixing="cutmix"),
    "mixup+cutmix": speech_classifier(mixing="mixup+cutmix"),
}
EMBEDDED = {
    "embedding + LogisticRegression": GridSearchCV(
        make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
        {"logisticregression__C": [0.01, 0.1, 1.0, 10.0]},
        scoring=log_score,
    ),
    "embedding + MixupClassifier": MixupClassifier(),
    "embedding + plain training": MixupClassifier(alpha=0),
}


def draw(clips: Bunch, pool: np.ndarray, size: int, seed: int) -> np.ndarray:
    """Return at most ``size`` clips of every word, speaker by speaker in random order.

    So a few clips are by few speakers, and a smaller set is a subset of a larger one.
    """
    _, speaker = np.unique(clips.speakers[pool], return_inverse=True)
    place = np.random.default_rng(seed).permutation(speaker.max() + 1)[speaker]
    ordered = pd.Series(pool[np.argsort(place, kind="stable")])
    return np.sort(ordered[ordered.groupby(clips.target[ordered]).cumcount() < size])


def score(known: Bunch, model: Any, *parts: Any) -> dict[str, Any]:
    """Score a method on paths, or on their embeddings; searches keep speakers apart."""
    (X, y, X_test, y_test), milliseconds = parts, 0.0
    if isinstance(model, GridSearchCV):
        speakers = known.speakers[X]
        folds = StratifiedGroupKFold(min(FOLDS, speakers.nunique()))
        model.cv = list(folds.split(X, y, speakers))
    if not isinstance(model, Pipeline):
        X, X_test = (known.embeddings.loc[paths].to_numpy() for paths in (X, X_test))
        milliseconds = known.milliseconds
    row = score_classifier(model, X, y, X_test, y_test)
    values = (
        100 - 100 * row["error"],
        row["log_loss"],
        row["ece"],
        row["fit_cpu_seconds"] + milliseconds * len(y) / 1000,
        1000 * row["predict_cpu_seconds"] / len(y_test) + milliseconds,
    )
    return dict(zip(FORMATS, values, strict=True))


def report(about: str, results: pd.DataFrame, output: Path) -> None:
    """Write a table per score, methods × clips per word, over all parts run so far."""
    path = output / "all.csv"
    if path.exists():
        earlier = pd.read_csv(path, dtype={"table": str, "why": str}).fillna({"why": ""})
        results = pd.concat([earlier, results], ignore_index=True)
    results = results.drop_duplicates(["table", "split", "method"], keep="last")
    results.to_csv(path, index=False)
    done, texts = results[~results["failed"]], []
    for name, form in (FORMATS if len(done) else {}).items():
        cells = done.groupby(["method", "table"])[name].agg(["mean", "std"])
        cells = cells.map(form.format).agg(" ± ".join, axis=1).str.removesuffix(" ± nan")
        rows = [method for method in (*SOUND, *EMBEDDED) if method in cells.index]
        table = cells.unstack().loc[rows].reindex(columns=[*DRAWS]).dropna(axis=1, how="all")
        texts += [f"## {name}, by clips a word", markdown_table(table.rename_axis("method"))]
    write_text(output, "Spoken words from few clips", about, NOTE, *texts, failures(results))


def main() -> None:
    """Run the study."""
    parser = options("speech-curve", __doc__, part="test")
    parser.add_argument("directory", help="folder <word>/*.wav; its names tell the speakers")
    parser.add_argument("--sizes", type=lambda text: text.split(","), help="clips a word [all]")
    args = parser.parse_args()
    clips = load_audio_folder(args.directory)
    if clips.speakers is None:
        raise ValueError(f"{args.directory}: names of files do not tell the speakers.")
    parts = split_clips(clips, validation_fraction=0.1, test_fraction=0.2)
    pools = {
        "validation": (parts.train, parts.validation),
        "test": (np.append(parts.train, parts.validation), parts.test),
    }
    pool, tested = chosen("part", [args.part], pools)[args.part]
    splits = {
        size: [(draw(clips, pool, int(size), args.seed + k), tested) for k in range(draws)]
        for size, draws in chosen("sizes", args.sizes, DRAWS).items()
    }
    methods = SOUND | (EMBEDDED if find_spec("pyopen_wakeword") else {})
    methods = chosen("methods", args.methods, methods)
    known = Bunch(speakers=pd.Series(clips.speakers, clips.data))
    if not methods.keys().isdisjoint(EMBEDDED):
        pairs = [np.hstack(pair) for draws in splits.values() for pair in draws]
        used = np.unique(np.hstack(pairs))
        known.embeddings, known.milliseconds = embed_once(clips.data[used], args.output)
    args.output /= args.part
    about = (
        f"{len(clips.label_names)} words, scored on {len(tested):,} clips of other speakers "
        f"({args.part}; {parts.description})."
    )
    tables = dict.fromkeys(splits, (clips.data, clips.target))
    callbacks = partial(report, about), partial(score, known)
    run(args, methods, tables, splits, "speech-curve-1", *callbacks)


if __name__ == "__main__":
    start(main)
