"""Other sounds than the words in training, and the threshold that rejects them."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from mixup_tab.audio.answers import UNKNOWN, best_words
from mixup_tab.audio.negatives import Negatives, Noise, collect_negatives
from mixup_tab.audio.rejection import RejectingClassifier, Threshold, choose_threshold
from mixup_tab.audio.splitting import LabelledClips

# Other sounds for training, per clip of an average word; minimum number for validation.
_SHARE = 2.0
_VALIDATED = 200


class WithOthers(NamedTuple):
    """Training clips with other sounds, validation clips of words, and all other sounds."""

    training: LabelledClips
    validation: LabelledClips
    trained: Negatives
    validated: Negatives


def add_others(
    training: LabelledClips, validation: LabelledClips, noise: Noise, seed: int
) -> WithOthers:
    """Add other sounds to the training clips, under the label ``unknown``.

    Those for validation are independent: held-out recordings, other sections of noise, and
    sounds made from the validation clips.
    """
    words = training.y != UNKNOWN
    count = _SHARE * words.sum() / len(np.unique(training.y[words]))
    trained = collect_negatives(training.X, training.y, noise.training, round(count), seed)
    X = np.concatenate([training.X[words], trained.X])
    y = np.concatenate([training.y[words], np.full(len(trained.X), UNKNOWN)])
    words = validation.y != UNKNOWN
    count = max(words.sum(), _VALIDATED) if words.any() else 0
    validated = collect_negatives(validation.X, validation.y, noise.validation, count, seed + 1)
    return WithOthers(
        LabelledClips(X, y, training.skipped),
        LabelledClips(validation.X[words], validation.y[words], validation.skipped),
        trained,
        validated,
    )


def with_threshold(
    net: Any, clips: np.ndarray, others: Negatives, lost: float, false_alarms: float | None
) -> tuple[RejectingClassifier, Threshold | None, str]:
    """Return a net that rejects below a threshold, the threshold, and a sentence about it.

    ``clips`` are validation clips of words; without any there is no threshold. The two shares
    are those of :func:`~.rejection.choose_threshold`.
    """
    if not len(clips):
        sentence = (
            "There are no clips for validation, so no threshold was chosen: the answer is "
            f"{UNKNOWN!r} only if that is most probable."
        )
        return RejectingClassifier.from_fitted(net), None, sentence
    known, other = (
        best_words(net.predict_proba(X), net.classes_)[1] for X in (clips, others.X)
    )
    found = choose_threshold(known, other, lost=lost, false_alarms=false_alarms)
    alarms = pd.Series(other >= found.threshold).groupby(others.kind).mean()
    kinds = ", ".join(f"{kind} {100 * share:.0f} %" for kind, share in alarms.items())
    margin = f"exceeds that of {UNKNOWN!r} by at least {found.threshold:.3f}"
    if found.threshold < 0:
        margin = f"is at most {-found.threshold:.3f} below that of {UNKNOWN!r}"
    sentence = (
        f"A word is answered if its probability {margin}: {100 * found.lost:.1f} % of "
        f"{len(known):,} validation clips of words are lost, and "
        f"{100 * found.false_alarms:.1f} % of {len(other):,} other sounds are taken for a word "
        f"({kinds})."
    )
    return RejectingClassifier.from_fitted(net, threshold=found.threshold), found, sentence
