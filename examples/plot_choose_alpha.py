"""
How much to mix: choosing alpha by cross-validation
===================================================

Mixup has one knob: α, the parameter of the Beta distribution that the mixing weights are
drawn from. ``alpha=0`` is plain training. Here a grid search tries a few values on a table
of tumours, and looks at two things: how often the net is wrong, and how good its
probabilities are.
"""

# %%
# The estimator is a plain scikit-learn one, so the search is, too. Each net is small, so it
# trains on one thread, and two processes train two nets at once.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import GridSearchCV, RepeatedStratifiedKFold

from mixup_tab import MixupClassifier

X, y = load_breast_cancer(return_X_y=True)
alphas = [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6]
search = GridSearchCV(
    MixupClassifier(random_state=0),
    {"alpha": alphas},
    scoring={"error": "accuracy", "log-loss": "neg_log_loss"},
    refit="log-loss",
    cv=RepeatedStratifiedKFold(n_splits=4, n_repeats=1, random_state=0),
    n_jobs=2,
).fit(X, y)
print(f"best alpha by log-loss: {search.best_params_['alpha']}")

# %%
# One panel per score; the bars are the standard error over the folds, which share rows, so
# they are a little too short.
results = search.cv_results_
panels = {
    "error, %": (100 * (1 - results["mean_test_error"]), 100 * results["std_test_error"]),
    "log-loss": (-results["mean_test_log-loss"], results["std_test_log-loss"]),
}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for axis, (name, (mean, spread)) in zip(axes, panels.items(), strict=True):
    axis.errorbar(
        range(len(alphas)), mean, yerr=spread / np.sqrt(search.n_splits_), marker="o", capsize=3
    )
    axis.set_xticks(range(len(alphas)), ["0 (ERM)", *alphas[1:]])
    axis.set(xlabel="alpha", title=name)
    axis.set_ylim(bottom=0)
    axis.grid(alpha=0.3)
figure.suptitle("Breast cancer (diagnostic), four-fold cross-validation")
plt.show()

# %%
# Plain training can be as accurate, but it is sure of itself where it is wrong, which the
# log-loss punishes. That is what mixup usually changes first.
