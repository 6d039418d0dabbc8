"""The numbers behind the playground: nets for every α, and what they and mixup do."""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import betaln

from mixup_tab.estimators import MixupClassifier
from mixup_tab.estimators.together import Rows, fit_together
from mixup_tab.metrics import calibration_bins, classification_scores
from mixup_tab.mixing._names import as_rule
from mixup_tab.playground.scenes import Scene

# 0 is plain training; above 16, λ is close to ½ and little changes.
ALPHAS = (0.0, 0.1, 0.2, 0.5, 1.0, 4.0, 16.0)
# Rules of mixing, and their names on the page.
MIXINGS = {"mixup": "mixup", "cutmix": "CutMix", "mixup+cutmix": "both"}
# Mixed examples on the page.
N_SAMPLES = 300
# Grid nodes along each axis: fewer with many classes, to keep the page below 2 MB with the
# default α.
_FINE, _COARSE = 64, 48
_FINE_CLASSES = 4
# Least number of held-out rows in a point of a reliability curve, so that it is not chance.
ROWS_PER_DOT = 10
# Share of a column cut off at each end of the picture, and the margin added afterwards.
_TAIL, _MARGIN = 0.005, 0.08


def settings(alphas: Sequence[float]) -> list[tuple[str, float]]:
    """Return rule and α of every net of a scene: plain training, then each rule at each α > 0.

    ``alphas`` rise from 0. The script of the page counts in the same order.
    """
    return [("mixup", 0.0), *((rule, alpha) for rule in MIXINGS for alpha in alphas[1:])]


def fit_scenes(
    scenes: Sequence[Scene], alphas: Sequence[float], random_state: int = 0
) -> list[list[MixupClassifier]]:
    """Fit a net for every scene and setting; scenes of one size are trained as one stack.

    The nets of a scene start from the same weights and see the same batches, so only the
    mixing differs.
    """
    nets, rows = [], []
    for scene in scenes:
        data = Rows(scene.X, scene.y)
        for mixing, alpha in settings(alphas):
            nets.append(
                MixupClassifier(alpha, mixing=mixing, device="cpu", random_state=random_state)
            )
            rows.append(data)
    for error in fit_together(nets, rows):
        if error is not None:
            raise error
    size = len(nets) // len(scenes)
    return [nets[start : start + size] for start in range(0, len(nets), size)]


def describe(scene: Scene, nets: Sequence[MixupClassifier]) -> dict[str, Any]:
    """Return everything that the page shows of a scene but its samples, ready for JSON.

    Parameters
    ----------
    scene : Scene
        The rows.
    nets : sequence of MixupClassifier
        One for each of the ``settings``, trained on the scene.

    Returns
    -------
    dict
        ``points``: the training rows. ``grid``: probabilities of all classes but the last on
        the plane ``limits``, as bytes (net, class, row, column). ``bins``: the reliability
        curve of every net. ``scores``: of the held-out rows.
    """
    limits = plane(scene.X)
    return {
        "data": scene.data,
        "noise": scene.noise,
        "rows": len(scene.y),
        "name": scene.name,
        "columns": scene.columns,
        "target": scene.target,
        "classes": scene.classes,
        "notes": [*scene.notes, *_outside(scene.X, limits)],
        "heldOut": len(scene.y_held_out),
        "limits": [*_placed(limits[:2], limits[:2]), *_placed(limits[2:], limits[2:])],
        "points": {
            "x": _placed(scene.X[:, 0], limits[:2]),
            "y": _placed(scene.X[:, 1], limits[2:]),
            "code": scene.y.tolist(),
        },
        "grid": _grid(nets, limits, len(scene.classes)),
        **_scores(scene, nets),
    }


def plane(X: np.ndarray) -> tuple[float, float, float, float]:
    """Return left, right, bottom and top of the picture, which leaves out far-off points."""
    ends = []
    for column in X.T.astype(np.float64):
        low, high = np.quantile(column, [_TAIL, 1 - _TAIL])
        if low == high:
            low, high = column.min(), column.max()
        # A column that is constant in the training rows gets a margin by its size.
        margin = _MARGIN * (high - low) or _MARGIN * abs(low) or 1.0
        ends += [float(low - margin), float(high + margin)]
    left, right, bottom, top = ends
    return left, right, bottom, top


def _outside(X: np.ndarray, limits: tuple[float, ...]) -> list[str]:
    low, high = np.array(limits[::2]), np.array(limits[1::2])
    count = int(((low > X) | (high < X)).any(axis=1).sum())
    verb = "row lies" if count == 1 else "rows lie"
    return [f"{count:,} training {verb} outside the picture."] if count else []


def draw_samples(rows: int, alphas: Sequence[float], random_state: int = 0) -> dict[str, Any]:
    """Draw pairs of training rows, and the weights of their columns for every setting.

    The random numbers are the same for every α, so that a sample moves between its two rows
    when α changes. The weight of the first row's label is the mean of its columns' weights.

    Returns
    -------
    dict
        ``first``: positions of the first rows. ``second``: of their partners, (rule, sample).
        ``x``, ``y``: weight of the first row in each column, (setting, sample).
    """
    shape = (-(-N_SAMPLES // rows), rows)
    count = min(N_SAMPLES, rows * shape[0])
    partners: dict[str, list] = {}
    weights: dict[str, list] = {"x": [], "y": []}
    for mixing, alpha in settings(alphas):
        generator = torch.Generator().manual_seed(random_state)
        mix = as_rule(mixing).draw(alpha, shape, features=(2,), generator=generator)
        kept = getattr(mix, "keep", mix.lam.unsqueeze(-1)).expand(*shape, 2).double()
        for column, name in enumerate(weights):
            weights[name].append(_short(kept[..., column].flatten()[:count].numpy(), 3))
        if alpha > 0:
            partners[mixing] = mix.partner.flatten()[:count].tolist()  # at every α
    first = (np.arange(count) % rows).tolist()
    return {"first": first, "second": [*partners.values()], **weights}


def _grid(
    nets: Sequence[MixupClassifier], limits: tuple[float, ...], n_classes: int
) -> dict[str, Any]:
    size = _FINE if n_classes <= _FINE_CLASSES else _COARSE
    left, right, bottom, top = limits
    axes = np.linspace(left, right, size), np.linspace(bottom, top, size)
    nodes = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2).astype(np.float32)
    proba = np.stack([net.predict_proba(nodes)[:, :-1].T for net in nets])
    packed = np.round(255 * proba).astype(np.uint8).tobytes()
    return {"size": size, "data": base64.b64encode(packed).decode()}


def _scores(scene: Scene, nets: Sequence[MixupClassifier]) -> dict[str, Any]:
    """Return scores and reliability curves on the held-out rows.

    ``gain`` is by how much the log-loss is lower than that of plain training, and ``spread``
    half of its 95 % interval, from the differences of the rows.
    """
    scores: dict[str, list[float]] = {"error": [], "log_loss": [], "ece": []}
    scores |= {"gain": [], "spread": []}
    plain = _row_losses(scene, nets[0])
    curves = []
    for net in nets:
        gain = plain - _row_losses(scene, net)
        scores["gain"].append(round(float(gain.mean()), 5))
        spread = 1.96 * gain.std(ddof=1) / np.sqrt(len(gain))
        scores["spread"].append(round(float(spread), 5))
        proba = net.predict_proba(scene.X_held_out)
        found = classification_scores(scene.y_held_out, proba)
        for name in ("error", "log_loss", "ece"):
            scores[name].append(round(found[name], 5))
        curves.append(_curve(calibration_bins(scene.y_held_out, proba)))
    return {"scores": scores, "bins": curves}


def _row_losses(scene: Scene, net: MixupClassifier) -> np.ndarray:
    """Return the log-loss of every held-out row."""
    proba = net.predict_proba(scene.X_held_out).astype(np.float64)
    own = proba[np.arange(len(proba)), scene.y_held_out]
    return -np.log(np.maximum(own, np.finfo(np.float64).eps))


def _curve(bins: pd.DataFrame) -> dict[str, list]:
    """Return the points of a reliability curve, merging neighbours that have too few rows."""
    sums = bins[["count", "confidence", "correct"]].to_numpy()
    dots = [np.zeros(3)]
    for part in sums[::-1]:  # from the most confident bin down
        if dots[-1][0] >= ROWS_PER_DOT:
            dots.append(np.zeros(3))
        dots[-1] = dots[-1] + part
    if len(dots) > 1 and dots[-1][0] < ROWS_PER_DOT:
        few = dots.pop()
        dots[-1] = dots[-1] + few
    count, confidence, correct = np.array(dots[::-1]).T
    return {
        "confidence": _short(confidence / count),
        "accuracy": _short(correct / count),
        "count": count.astype(int).tolist(),
    }


def log_norms(alphas: Sequence[float]) -> list[float | None]:
    """Return log B(α, α), the norm of the density of λ; None for α = 0, where λ is 1."""
    return [round(float(betaln(a, a)), 6) + 0.0 if a > 0 else None for a in alphas]


def _placed(values: Any, ends: Sequence[float]) -> list[float]:
    """Round to a hundred-thousandth of the width of the picture, or finer."""
    places = 5 - math.floor(math.log10(ends[1] - ends[0]))
    return [round(float(value), places) for value in values]


def _short(values: Any, digits: int = 5) -> list[float]:
    """Round to as many significant digits as a picture shows."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=np.float64)]
