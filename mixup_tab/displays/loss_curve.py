"""A picture of how a net has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from mixup_tab.training.state import mixed_epochs


class LossCurveDisplay:
    """Loss against epochs: on mixed training examples, and on rows that were held out.

    There is no training accuracy: under mixup it is taken on mixed examples and says nothing.
    For the same reason the training loss may lie above the validation loss all along.

    Parameters
    ----------
    training : sequence of float
        Mean loss on the mixed training examples, by epoch.
    validation : sequence of float, default=()
        Mean loss on unmixed rows that were held out, by epoch; empty where none were.
    mixed : bool or sequence of bool, default=True
        Whether the training examples were mixed, in all epochs or in each; the curve is
        dashed where they were not.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        Curves by name: "training", "plain" where some epochs were not mixed, and
        "validation" where rows were held out.

    Examples
    --------
    >>> from mixup_tab.displays import LossCurveDisplay
    >>> display = LossCurveDisplay([1.2, 0.9, 0.8], [1.0, 0.7, 0.6]).plot()
    >>> display.ax_.get_xlabel()
    'epoch'
    """

    def __init__(
        self,
        training: Sequence[float],
        validation: Sequence[float] = (),
        *,
        mixed: bool | Sequence[bool] = True,
    ) -> None:
        self.training = np.asarray(training, dtype=float)
        self.validation = np.asarray(validation, dtype=float)
        self.mixed = mixed

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Any = None) -> LossCurveDisplay:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : MixupClassifier, MixupRegressor, or Pipeline that ends in one
            Fitted.
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LossCurveDisplay

        Raises
        ------
        TypeError
            If the estimator has no loss curve.
        """
        net = estimator[-1] if isinstance(estimator, Pipeline) else estimator
        check_is_fitted(net)
        if not hasattr(net, "loss_curve_"):
            raise TypeError(
                f"estimator={type(net).__name__} has no loss_curve_. Give a fitted "
                "MixupClassifier or MixupRegressor, or a Pipeline that ends in one."
            )
        mixed = np.zeros(len(net.loss_curve_), dtype=bool)
        if getattr(net, "alpha_", 0) > 0:  # a warm start goes through the span in every fit
            mixed = np.resize(mixed_epochs(net.mixing_span, net.net_.max_epochs), len(mixed))
        curves = cls(net.loss_curve_, getattr(net, "validation_loss_curve_", ()), mixed=mixed)
        return curves.plot(ax)

    def plot(self, ax: Any = None) -> LossCurveDisplay:
        """Draw.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None makes a figure.

        Returns
        -------
        LossCurveDisplay
        """
        if ax is None:
            from matplotlib.figure import Figure

            ax = Figure(figsize=(5.5, 3.5), layout="constrained").subplots()
        self.ax_, self.figure_, self.lines_ = ax, ax.figure, {}
        epochs = np.arange(1, len(self.training) + 1)
        mixed = np.broadcast_to(np.asarray(self.mixed, dtype=bool), epochs.shape)
        label = "training, mixed examples" if mixed.any() else "training (α = 0, not mixed)"
        style = {"color": "C0", "marker": "." if len(epochs) < 3 else None}
        plain = ~mixed & mixed.any()
        if plain.any():
            self._draw("plain", _with_next(plain), "training, not mixed", "--", style)
        self._draw("training", _with_next(~plain), label, "-", style)
        if len(self.validation):
            style = {**style, "color": "C1"}
            (self.lines_["validation"],) = ax.plot(
                np.arange(1, len(self.validation) + 1),
                self.validation,
                label="validation, not mixed",
                **style,
            )
        loss = "loss (training: on mixed examples)" if mixed.any() else "loss"
        ax.set(xlabel="epoch", ylabel=loss, xlim=(0.5, max(len(epochs), 1) + 0.5))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.3)
        ax.legend(framealpha=0.8, edgecolor="none")
        return self

    def _draw(self, name: str, shown: np.ndarray, label: str, line: str, style: dict) -> None:
        """Draw the training curve in some epochs."""
        losses = np.where(shown, self.training, np.nan)
        epochs = np.arange(1, len(losses) + 1)
        (self.lines_[name],) = self.ax_.plot(
            epochs, losses, linestyle=line, label=label, **style
        )


def _with_next(epochs: np.ndarray) -> np.ndarray:
    """Add the epoch after each, so that curves of neighbouring epochs meet."""
    return epochs | np.concatenate([[False], epochs[:-1]])
