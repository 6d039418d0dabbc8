"""The numbers behind the playground: nets for every α, and what they and mixup do."""

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

# 0 is plain training; above 32, λ is close to ½ and little changes.
ALPHAS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 16.0, 32.0)
# Mixed examples on the page.
N_SAMPLES = 300
# Grid nodes along each axis: fewer with many classes, to keep the page below 2 MB.
_FINE, _COARSE = 96, 64
_FINE_CLASSES = 4
# Least number of held-out rows in a point of a reliability curve, so that it is not chance.
ROWS_PER_DOT = 10
# Share of a column cut off at each end of the picture, and the margin added afterwards.
_TAIL, _MARGIN = 0.005, 0.08


def fit_scenes(
    scenes: Sequence[Scene], alphas: Sequence[float], random_state: int = 0
) -> list[list[MixupClassifier]]:
    """Fit one net for every scene and α; scenes of the same size are trained as one stack.

    The nets of a scene start from the same weights and see the same batches, so only α differs.
    """
    nets, rows = [], []
    for scene in scenes:
        data = Rows(scene.X, scene.y)
        for alpha in alphas:
            net = MixupClassifier(
                alpha, mixing="mixup", n_estimators=1, device="cpu", random_state=random_state
            )
            nets.append(net)
            rows.append(data)
    for error in fit_together(nets, rows):
        if error is not None:
            raise error
    starts = range(0, len(nets), len(alphas))
    return [nets[start : start + len(alphas)] for start in starts]


def describe(
    scene: Scene,
    nets: Sequence[MixupClassifier],
    alphas: Sequence[float],
    random_state: int = 0,
) -> dict[str, Any]:
    """Return everything that the page shows of a scene, ready for JSON.

    Parameters
    ----------
    scene : Scene
        The rows.
    nets : sequence of MixupClassifier
        One for each α, trained on the scene.
    alphas : sequence of float
        Values of α.
    random_state : int, default=0
        Seed of the mixed examples.

    Returns
    -------
    dict
        ``points``: the training rows. ``samples``: mixed examples (``first``, ``second``: rows;
        ``lam``: weights of the first for every α). ``grid``: probabilities of all classes but
        the last on the plane ``limits``, as bytes (α, class, row, column). ``bins``: the
        reliability curve for every α. ``scores``: of the held-out rows.
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
    """Draw pairs of training rows, and their weights for every α.

    The random numbers are the same for every α, so that a sample moves along the line between
    its two rows when α changes.
    """
    shape = (-(-N_SAMPLES // rows), rows)
    count = min(N_SAMPLES, rows * shape[0])
    first = second = torch.arange(rows).expand(shape)
    lam = []
    for alpha in alphas:
        generator = torch.Generator().manual_seed(random_state)
        mix = Mixup().draw(alpha, shape, generator=generator)
        lam.append(_short(mix.lam.flatten()[:count].numpy(), 4))
        if alpha > 0:
            second = mix.partner
    return {
        "first": first.flatten()[:count].tolist(),
        "second": second.flatten()[:count].tolist(),
        "lam": lam,
    }


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
    """Return scores and reliability curves on the held-out rows."""
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


def _short(values: Any, digits: int = 5) -> list[float]:
    """Round to as many significant digits as a picture shows."""
    return [float(f"{value:.{digits}g}") for value in np.asarray(values, dtype=np.float64)]
