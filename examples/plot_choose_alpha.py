"""
How much to mix: choosing alpha by cross-validation
===================================================

The main parameter of mixup is α, that of the Beta distribution from which the mixing weights
are drawn. ``alpha=0`` is plain training. Here a search tries a few values on a table of tumours
and compares two scores: how often the net is wrong, and how good its probabilities are.
"""

# %%
# ``MixupSearchCV`` takes the arguments of scikit-learn's ``GridSearchCV``. It trains the 28
# nets side by side: every step is one batched matrix product for all nets of a stack.
import matplotlib.pyplot as plt
from sklearn.datasets import load_breast_cancer
from sklearn.model_selection import StratifiedKFold

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.displays import AlphaCurveDisplay

X, y = load_breast_cancer(return_X_y=True)
search = MixupSearchCV(
    MixupClassifier(random_state=0),
    {"alpha": [0, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6]},
    scoring=["accuracy", "neg_log_loss"],
    refit="neg_log_loss",
    cv=StratifiedKFold(4, shuffle=True, random_state=0),
).fit(X, y)
print(f"best alpha by log-loss: {search.best_params_['alpha']}")

# %%
# The band is one standard deviation over the folds; the dashed line is plain training.
figure, axes = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
for axis, metric in zip(axes, ["accuracy", "neg_log_loss"], strict=True):
    AlphaCurveDisplay.from_search(search, metric=metric, ax=axis)
figure.suptitle("Breast cancer (diagnostic), four-fold cross-validation")
plt.show()

# %%
# Plain training can be as accurate, but it is confident where it is wrong, which the log-loss
# penalises. This is what mixup usually improves first. To leave the choice to the estimator,
# write ``MixupClassifier(alpha="auto")``.
