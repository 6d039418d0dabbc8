"""
How far probabilities can be trusted: mixup, a temperature, rescaled predictions
================================================================================

A net that says "80 %" should be right in four of five such cases. Plain training on few rows
tends to make nets overconfident; mixup tends to make them underconfident, because their
training labels were mixed. Both can be corrected after training. Here nets are trained on 200
digits, and their probabilities are checked on the other 1,597.
"""

# %%
# A temperature T divides the logits of a fitted net; scikit-learn chooses it by
# cross-validation inside the training rows. T > 1 lowers confidence, T < 1 raises it. The most
# probable class stays the same. Labels must be 0, 1, 2, … or strings: with other numbers
# scikit-learn 1.9 silently fits a wrong temperature.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from mixup_tab import MixupClassifier
from mixup_tab.displays import ReliabilityDisplay
from mixup_tab.estimators import RescaledClassifier
from mixup_tab.metrics import (
    calibration_bins,
    calibration_error_interval,
    classification_scores,
)

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X, y, train_size=200, stratify=y, random_state=0
)


def tempered(net):
    return CalibratedClassifierCV(net, method="temperature", cv=5, ensemble=False)


plain = MixupClassifier(alpha=0, random_state=0)
mixup = MixupClassifier(alpha=0.2, mixing="mixup", random_state=0)
models = {
    "plain": plain,
    "mixup": mixup,
    "plain, temperature": tempered(plain),
    "mixup, temperature": tempered(mixup),
    "mixup, rescaled": RescaledClassifier(mixup),
}
for model in models.values():
    model.fit(X_train, y_train)

for name in ("plain", "mixup"):
    (inner,) = models[f"{name}, temperature"].calibrated_classifiers_
    # beta_ is 1 / T for three classes or more, but 1 / (2 T) for two.
    print(f"temperature of {name}: {1 / inner.calibrators[0].beta_:.2f}")

# %%
# The expected calibration error (ECE) is the mean distance between confidence and
# accuracy; its interval covers the choice of test rows. A rescaled prediction moves a row
# towards the mean of the training rows, as mixing does on average, and moves the net's output
# back (Carratino et al. 2020).
rows = {}
for name, model in models.items():
    proba = model.predict_proba(X_test)
    error, low, high = calibration_error_interval(calibration_bins(y_test, proba, n_bins=10))
    scores = classification_scores(y_test, proba)
    rows[name] = {
        "error %": f"{100 * scores['error']:.1f}",
        "log-loss": f"{scores['log_loss']:.3f}",
        "ECE": f"{error:.3f} ({low:.3f} to {high:.3f})",
        "mean confidence %": f"{100 * proba.max(axis=1).mean():.1f}",
    }
print(pd.DataFrame.from_dict(rows, orient="index").to_string())

# %%
# Above the diagonal a net is right more often than it says, below it less often. The bands are
# 95 % intervals of the accuracy in each bin.
figure, axes = plt.subplots(1, 2, figsize=(10, 5), layout="constrained", sharey=True)
for axis, after in zip(axes, ("", ", temperature"), strict=True):
    named = {name + after: models[name + after] for name in ("plain", "mixup")}
    ReliabilityDisplay.from_estimator(named, X_test, y_test, n_bins=10, ax=axis)
axes[1].set_ylabel("")
figure.suptitle("Digits, 200 training rows")
plt.show()

# %%
# On these rows mixup alone did not improve calibration: it replaced too much confidence by
# too little. A temperature corrects both nets, and mixup then has the better log-loss.
# Rescaling hardly changes anything at this small α. One table proves nothing:
# :doc:`/results/calibration` compares them on the raw UCI tables.
