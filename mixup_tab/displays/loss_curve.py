"""Loss curves of training."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from mixup_tab.displays._plotting import get_axes
from mixup_tab.training.state import mixed_epochs


class LossCurveDisplay:
    """Loss by epoch, on mixed training examples and on held-out rows.

    Training accuracy is not shown, because on mixed examples it is not meaningful. For the same
    reason the training loss may be higher than the validation loss.

    Parameters
    ----------
    training : array-like of shape (n_epochs,)
        Mean loss on the training examples, by epoch.
    validation : array-like of shape (n_epochs,), default=()
        Mean loss on unmixed held-out rows, by epoch; empty without such rows.
    mixed : bool or array-like of bool of shape (n_epochs,), default=True
        Whether the training examples were mixed, by epoch.

    Attributes
    ----------
    ax_ : matplotlib Axes
    figure_ : matplotlib Figure
    lines_ : dict of str to matplotlib Line2D
        Curves by name: "mixed" and "unmixed" (training, if there are such epochs) and
        "validation".

    Examples
    --------
    >>> from mixup_tab.displays import LossCurveDisplay
    >>> display = LossCurveDisplay([1.2, 0.9, 0.8], [1.0, 0.7, 0.6]).plot()
    >>> display.ax_.get_xlabel()
    'epoch'
    """

    def __init__(
        self, training: ArrayLike, validation: ArrayLike = (), *, mixed: ArrayLike = True
    ) -> None:
        self.training = np.asarray(training, dtype=float)
        self.validation = np.asarray(validation, dtype=float)
        self.mixed = np.broadcast_to(np.asarray(mixed, dtype=bool), self.training.shape)

    @classmethod
    def from_estimator(cls, estimator: Any, **kwargs: Any) -> LossCurveDisplay:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : MixupClassifier, MixupRegressor, or Pipeline that ends in one
            Fitted.
        **kwargs
            Passed to :meth:`plot`, such as ``ax`` and ``name``.

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
                f"estimator={type(net).__name__} has no loss_curve_. Pass a fitted "
                "MixupClassifier or MixupRegressor, or a Pipeline that ends in one."
            )
        mixed = np.zeros(len(net.loss_curve_), dtype=bool)
        if getattr(net, "alpha_", 0) > 0:  # with warm_start, the span applies to every fit
            inner = net.net_
            flags = mixed_epochs(inner.mixing_span, inner.max_epochs, inner.first_cycle)
            mixed = np.resize(flags, len(mixed))
        validation = getattr(net, "validation_loss_curve_", None)
        if validation is None:  # a callback may have scored held-out rows
            history = getattr(getattr(net, "net_", None), "history", ())
            validation = [row["valid_loss"] for row in history if "valid_loss" in row]
        curves = cls(net.loss_curve_, validation, mixed=mixed)
        return curves.plot(**kwargs)

    def plot(self, ax: Any = None, *, name: str | None = None, **kwargs: Any) -> Self:
        """Draw the curves; training without mixing is dashed.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; by default a new figure.
        name : str, default=None
            First word of the labels in the legend.
        **kwargs
            Passed to matplotlib's ``plot`` for every curve.

        Returns
        -------
        LossCurveDisplay
        """
        self.ax_ = ax = get_axes(ax)
        self.figure_ = ax.figure
        mixed = np.where(self.mixed, self.training, np.nan)
        # The dashed line continues below the solid one, so that there is no gap.
        unmixed = np.array([]) if self.mixed.all() else self.training
        curves = {
            "unmixed": (unmixed, "training, not mixed"),
            "mixed": (mixed, "training, mixed examples"),
            "validation": (self.validation, "validation, not mixed"),
        }
        self.lines_: dict[str, Any] = {}
        for key, (losses, label) in curves.items():
            if np.isfinite(losses).any():
                style = {
                    "linestyle": "--" if key == "unmixed" else "-",
                    "marker": "." if len(losses) < 3 else None,
                    "label": label if name is None else f"{name}: {label}",
                }
                if key == "mixed" and "unmixed" in self.lines_:
                    style["color"] = self.lines_["unmixed"].get_color()
                places = np.arange(1, len(losses) + 1)
                (self.lines_[key],) = ax.plot(places, losses, **{**style, **kwargs})
        ax.set(xlabel="epoch", ylabel="loss")
        ax.xaxis.get_major_locator().set_params(integer=True)
        ax.legend()
        return self
