"""Manifold mixup: a hidden layer of the net is mixed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixup_tab.mixing.featmix import FeatMix
from mixup_tab.mixing.wrapper import Wrapper


@dataclass(frozen=True)
class ManifoldMixup(Wrapper):
    """What a layer of the net gives is mixed, not the inputs.

    In every batch one layer is drawn, all with the same probability, and what it gives is
    mixed by another rule, with the targets (Verma et al. 2019, arXiv 1806.05236). The
    authors use α = 2.

    Parameters
    ----------
    rule : MixingRule, default=Mixup()
        How states are mixed; columns are units of the layer there.
    layers : sequence of str, default=None
        Layers to draw from: "input", "layer1", "layer2", … for hidden layers of an MLP after
        ReLU, else names of submodules as in ``module.named_modules()``. None takes the input
        and the first two hidden layers, as the authors do; of a module of your own they are
        the outermost submodules with weights.

    Examples
    --------
    >>> from mixup_tab import MixupClassifier
    >>> from mixup_tab.mixing import ManifoldMixup
    >>> X, y = [[0.0], [0.2], [0.8], [1.0]] * 10, [0, 0, 1, 1] * 10
    >>> rule = ManifoldMixup(layers=["input", "layer1"])
    >>> net = MixupClassifier(mixing=rule, alpha=2.0, max_epochs=2, random_state=0)
    >>> net.fit(X, y).predict_proba(X[:2]).shape
    (2, 2)
    """

    layers: Sequence[str] | None = None

    hidden = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rule.hidden or self.rule.grows:
            raise ValueError(
                f"rule={self.rule!r} cannot mix a hidden layer. Give one that mixes inputs and "
                "keeps their number, such as Mixup()."
            )
        inside = self.rule
        while isinstance(inside, Wrapper):
            inside = inside.rule
        if isinstance(inside, FeatMix):
            raise ValueError(
                f"rule={self.rule!r} cannot mix a hidden layer, because it knows the columns "
                "of the inputs only. Use CutMix()."
            )
        if self.layers is None:
            return
        if isinstance(self.layers, str) or not self.layers:
            raise ValueError(
                f"layers must be a list of names such as ['input', 'layer1'], got "
                f"{self.layers!r}."
            )
        object.__setattr__(self, "layers", tuple(self.layers))
