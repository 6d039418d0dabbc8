"""Plain ``nn.Module`` nets and stacks of them."""

from mixup_tab.nets.bins import BinnedMLP, PiecewiseLinear
from mixup_tab.nets.ensemble import Ensemble
from mixup_tab.nets.mlp import MLP
from mixup_tab.nets.scaling import RobustScale

__all__ = ["MLP", "BinnedMLP", "Ensemble", "PiecewiseLinear", "RobustScale"]
