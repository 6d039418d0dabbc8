"""A picture of how a net has learned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted


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
    warmup_epochs : int, default=0
        Epochs at the start without mixing; the curve is dashed there.
    mixed : bool, default=True
        Whether the training examples were mixed at all.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        Curves by name: "warm-up" where there was one, "training", and "validation" where
        rows were held out.

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
        warmup_epochs: int = 0,
        mixed: bool = True,
    ) -> None:
        self.training = np.asarray(training, dtype=float)
        self.validation = np.asarray(validation, dtype=float)
        self.warmup_epochs = warmup_epochs
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
        curves = cls(
            net.loss_curve_,
            getattr(net, "validation_loss_curve_", ()),
            warmup_epochs=getattr(net, "warmup_epochs", 0),
            mixed=getattr(net, "alpha_", 0) > 0,
        )
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
        # Without mixing there is nothing that a warm-up could differ from.
        warm = min(self.warmup_epochs, len(epochs)) if self.mixed else 0
        told = "training, mixed examples" if self.mixed else "training (α = 0, not mixed)"
        style = {"color": "C0", "marker": "." if len(epochs) < 3 else None}
        if warm:
            self._draw("warm-up", epochs[: warm + 1], "warm-up, not mixed", "--", style)
        if warm < len(epochs):
            self._draw("training", epochs[warm:], told, "-", style)
        if len(self.validation):
            style = {**style, "color": "C1"}
            (self.lines_["validation"],) = ax.plot(
                np.arange(1, len(self.validation) + 1),
                self.validation,
                label="validation, not mixed",
                **style,
            )
        loss = "loss (training: on mixed examples)" if self.mixed else "loss"
        ax.set(xlabel="epoch", ylabel=loss, xlim=(0.5, max(len(epochs), 1) + 0.5))
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.spines[["top", "right"]].set_visible(False)
        ax.grid(axis="y", alpha=0.3)
        ax.legend(framealpha=0.8, edgecolor="none")
        return self

    def _draw(self, name: str, epochs: np.ndarray, label: str, line: str, style: dict) -> None:
        """Draw a part of the training curve."""
        losses = self.training[epochs - 1]
        (self.lines_[name],) = self.ax_.plot(
            epochs, losses, linestyle=line, label=label, **style
        )
