"""How a classifier takes wrong labels in training and adversarial examples in use."""

from mixup_tab.evaluation.robustness.adversarial import (
    adversarial_examples,
    evaluate_adversarial,
)
from mixup_tab.evaluation.robustness.corruption import corrupt_labels, evaluate_corruption

__all__ = [
    "adversarial_examples",
    "corrupt_labels",
    "evaluate_adversarial",
    "evaluate_corruption",
]
