"""Evaluation of classifiers with wrong training labels and on adversarial examples."""

from mixup_tab.robustness.adversarial import adversarial_examples, evaluate_adversarial
from mixup_tab.robustness.corruption import corrupt_labels, evaluate_corruption

__all__ = [
    "adversarial_examples",
    "corrupt_labels",
    "evaluate_adversarial",
    "evaluate_corruption",
]
