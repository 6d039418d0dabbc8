"""How a classifier takes wrong labels in training and adversarial examples in use."""

from mixup_tab.robustness.adversarial import (
    adversarial_examples,
    evaluate_adversarial,
)
from mixup_tab.robustness.corruption import evaluate_corruption
from mixup_tab.robustness.wrong_labels import corrupt_labels

__all__ = [
    "adversarial_examples",
    "corrupt_labels",
    "evaluate_adversarial",
    "evaluate_corruption",
]
