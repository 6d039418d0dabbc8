"""The numbers behind the playground: nets for every α, and what they and mixup do there."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from scipy.special import betaln

from mixup_tab.estimators import MixupClassifier
from mixup_tab.estimators.together import Rows, fit_together
from mixup_tab.metrics import calibration_bins, classification_scores
from mixup_tab.mixing import Mixup
from mixup_tab.playground.scenes import Scene

# 0 is plain training; beyond 32, λ is close to ½ and little changes.
ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 16.0, 32.0)
# Examples that the page shows of what mixup makes.
N_SAMPLES = 300
# Nodes of the grid along each axis, so that pages of 10 classes stay below 2 MB too.
_FINE, _COARSE = 96, 64
_FINE_CLASSES = 4
# Of held-out rows at least, for what a dot says not to be chance.
ROWS_PER_DOT = 10
# Of a column, how much is left out at each end before the margin is added.
_TAIL, _MARGIN = 0.005, 0.08


def fit_scenes(
    scenes: Sequence[Scene], alphas: Sequence[float], random_state: int = 0
) -> list[list[MixupClassifier]]:
    """Fit a net for every scene and α, all at once: scenes of one size are one stack.

    The nets of a scene start from the same weights and see the same batches, so that they
    differ by α alone.

    Parameters
    ----------
    scenes : sequence of Scene
        What to train on.
    alphas : sequence of float
        Values of α.
    random_state : int, default=0
        Seed of the nets.

    Returns
    -------
    list of list of MixupClassifier
        By scene and α.
    """
    nets, rows = [], []
    for scene in scenes:
        data = Rows(scene.X, scene.y)
        for alpha in alphas:
            nets.append(_net(alpha, random_state))
            rows.append(data)
    for error in fit_together(nets, rows):
        if error is not None:
            raise error
    steps = range(0, len(nets), len(alphas))
    return [nets[start : start + len(alphas)] for start in steps]


def _net(alpha: float, random_state: int) -> MixupClassifier:
    return MixupClassifier(
        alpha, mixing="mixup", n_estimators=1, device="cpu", random_state=random_state
    )


def describe(
    scene: Scene,
    nets: Sequence[MixupClassifier],
    alphas: Sequence[float],
    random_state: int = 0,
) -> dict[str, Any]:
    """Return all that the page shows of a scene, ready for JSON.

    Parameters
    ----------
    scene : Scene
        What the nets were trained on.
    nets : sequence of MixupClassifier
        One for each α.
    alphas : sequence of float
        Values of α.
    random_state : int, default=0
        Seed of the samples that mixup generates.

    Returns
    -------
    dict
        ``points`` are the training rows; ``samples`` those that mixup generates of them
        (``first``, ``second``: rows; ``lam``: weight of the first for every α); ``grid`` the
        probabilities of all classes but the last over the plane ``limits``, as bytes (α,
        class, row, column); ``bins`` the reliability curve for every α; ``scores`` are of
        held-out rows.
    """
    limits = plane(scene.X)
    return {
        "name": scene.name,
        "columns": scene.columns,
        "target": scene.target,
        "classes": scene.classes,
        "notes": [*scene.notes, *_outside(scene.X, limits)],
        "heldOut": len(scene.y_held_out),
        "limits": [float(f"{limit:.6g}") for limit in limits],
        "points": {
            "x": _short(scene.X[:, 0]),
            "y": _short(scene.X[:, 1]),
            "code": scene.y.tolist(),
        },
        "samples": draw_samples(len(scene.y), alphas, random_state),
        "grid": _grid(nets, limits, len(scene.classes)),
        **_judge(scene, nets),
    }


def plane(X: np.ndarray) -> tuple[float, float, float, float]:
    """Return the ends of the part of the plane that is drawn; far-off points lie outside.

    Parameters
    ----------
    X : ndarray of shape (rows, 2)
        Points.

    Returns
    -------
    tuple of float
        Left, right, bottom, top.
    """
    ends = []
    for column in X.T.astype(np.float64):
        low, high = np.quantile(column, [_TAIL, 1 - _TAIL])
        if low == high:
            low, high = column.min(), column.max()
        # A column that varies among the rows held out alone gets room of its own size.
        margin = _MARGIN * (high - low) or _MARGIN * abs(low) or 1.0
        ends += [float(low - margin), float(high + margin)]
    return tuple(ends)


def _outside(X: np.ndarray, limits: tuple[float, ...]) -> list[str]:
    low, high = np.array(limits[::2]), np.array(limits[1::2])
    count = int(((low > X) | (high < X)).any(axis=1).sum())
    verb = "row lies" if count == 1 else "rows lie"
    return [f"{count:,} training {verb} outside the picture."] if count else []


def draw_samples(rows: int, alphas: Sequence[float], random_state: int = 0) -> dict[str, Any]:
    """Draw pairs of rows, and their weights for every α.

    The random numbers are the same for every α, so that a sample moves on the line between
    its two rows when α changes.

    Parameters
    ----------
    rows : int
        Number of training rows.
    alphas : sequence of float
        Values of α.
    random_state : int, default=0
        Seed.

    Returns
    -------
    dict
        ``first`` and ``second``, lists of rows; ``lam``, a list of weights of the first for
        every α.
    """
    shape = (-(-N_SAMPLES // rows), rows)
    count = min(N_SAMPLES, rows * shape[0])
    lam, second = [], torch.arange(rows).expand(shape)
    for alpha in alphas:
        generator = torch.Generator().manual_seed(random_state)
        mix = Mixup().draw(alpha, shape, generator=generator)
        lam.append(_short(mix.lam.flatten()[:count].numpy(), 4))
        if alpha > 0:
            second = mix.partner
    first = torch.arange(rows).expand(shape)
    return {
        "first": first.flatten()[:count].tolist(),
        "second": second.flatten()[:count].tolist(),
        "lam": lam,
    }


def _grid(
    nets: Sequence[MixupClassifier], limits: tuple[float, ...], classes: int
) -> dict[str, Any]:
    size = _FINE if classes <= _FINE_CLASSES else _COARSE
    axes = (np.linspace(*ends, size) for ends in (limits[:2], limits[2:]))
    nodes = np.stack(np.meshgrid(*axes), axis=-1).reshape(-1, 2).astype(np.float32)
    proba = np.stack([net.predict_proba(nodes)[:, :-1].T for net in nets])
    packed = np.round(255 * proba).astype(np.uint8).tobytes()
    return {"size": size, "data": base64.b64encode(packed).decode()}


def _judge(scene: Scene, nets: Sequence[MixupClassifier]) -> dict[str, Any]:
    """Return scores and reliability curves, over the rows held out."""
    scores: dict[str, list[float]] = {"error": [], "log_loss": [], "ece": []}
    curves = []
    for net in nets:
        proba = net.predict_proba(scene.X_held_out)
        found = classification_scores(scene.y_held_out, proba)
        for name, values in scores.items():
            values.append(round(found[name], 5))
        curves.append(_curve(calibration_bins(scene.y_held_out, proba)))
    return {"scores": scores, "bins": curves}


def _curve(bins: pd.DataFrame) -> dict[str, list]:
    """Return the points of a reliability curve; neighbours with too few rows are joined."""
    sums = bins[["count", "confidence", "correct"]].to_numpy()
    dots = [np.zeros(3)]
    for part in sums[::-1]:
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
    """Return log B(α, α), by which the density of λ is divided.

    Parameters
    ----------
    alphas : sequence of float
        Values of α.

    Returns
    -------
    list of float or None
        None for α = 0, where λ is 1.

    Examples
    --------
    >>> from mixup_tab.playground.measuring import log_norms
    >>> log_norms([0, 1])
    [None, 0.0]
    """
    return [round(float(betaln(a, a)), 6) + 0.0 if a > 0 else None for a in alphas]


def _short(values: Any, digits: int = 5) -> list[float]:
    """Return numbers with as many digits as a picture shows."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=np.float64)]
