"""Plain ``nn.Module`` nets and stacks of them."""

from mixup_tab.nets.bcresnet import BCResNet, SubSpectralNorm
from mixup_tab.nets.columns import Columns, Periodic, PiecewiseLinear
from mixup_tab.nets.lenet import LeNet
from mixup_tab.nets.mlp import MLP
from mixup_tab.nets.preact_resnet import PreActResNet18
from mixup_tab.nets.resnet import ResNet10
from mixup_tab.nets.scaling import RobustScale
from mixup_tab.nets.stacked import Ensemble, PreparedNet
from mixup_tab.nets.vgg import VGG11

__all__ = [
    "MLP",
    "VGG11",
    "BCResNet",
    "Columns",
    "Ensemble",
    "LeNet",
    "Periodic",
    "PiecewiseLinear",
    "PreActResNet18",
    "PreparedNet",
    "ResNet10",
    "RobustScale",
    "SubSpectralNorm",
]
