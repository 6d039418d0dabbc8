"""
Too much mixing: underfitting at large alpha
============================================

A large α makes nearly every example a half-and-half mixture. The net then hardly sees the real
ones, and where the classes lie close together or are curved it can no longer learn even the
rows it was trained on. This shows in the training error on clean rows, not in the training
loss.
"""

# %%
# Two tables: noisy moons, which leave little room between the classes in a plane, and digits,
# which have much room in 64 dimensions. For each α, five nets are trained, each on a random 400
# rows. Little else keeps them from fitting: weight decay is weak, and columns are only scaled.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_digits, make_moons
from sklearn.metrics import log_loss
from sklearn.model_selection import StratifiedShuffleSplit

from mixup_tab import MixupClassifier

tables = {
    "moons": make_moons(2000, noise=0.25, random_state=0),
    "digits": load_digits(return_X_y=True),
}
alphas = [0, 0.1, 0.4, 1, 4, 16, 64]
names = ["training error %", "test error %", "loss in training", "training log-loss"]


def judge(alpha, seed, X, y, train, test):
    """Train one net and return the four numbers."""
    params = {"mixing": "mixup", "embedding": "none", "weight_decay": 0.1}
    net = MixupClassifier(alpha, **params, random_state=seed)
    net.fit(X[train], y[train])
    errors = [100 * (1 - net.score(X[rows], y[rows])) for rows in (train, test)]
    return [*errors, net.loss_curve_[-1], log_loss(y[train], net.predict_proba(X[train]))]


results = {}
for table, (X, y) in tables.items():
    splits = StratifiedShuffleSplit(5, train_size=400, random_state=0)
    results[table] = np.array(
        [
            [judge(alpha, seed, X, y, *split) for seed, split in enumerate(splits.split(X, y))]
            for alpha in alphas
        ]
    )
    print(table, "  α " + "".join(f"{name:>20}" for name in names))
    for alpha, numbers in zip(alphas, results[table].mean(axis=1), strict=True):
        print(f"{alpha:>9g} " + "".join(f"{number:20.3f}" for number in numbers))

# %%
# On moons both errors rise with α, together: this is underfitting, which more data would not
# cure. On digits there is hardly any.
#
# The picture on the right shows a pitfall. The loss that is minimised is taken on mixed
# examples, and a mixed label cannot be predicted with certainty: even for a perfect net, the
# entropy of the labels remains as a loss. So it rises with α on digits as well, although the
# net still fits all of its training rows. Therefore ``loss_curve_`` must not be read as a
# training error, and no training accuracy is reported during training.
figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.8), layout="constrained")
places = np.arange(len(alphas))
for axis, table in zip(axes, tables, strict=False):
    for column, color in enumerate(["#0072b2", "#d55e00"]):
        folds = results[table][:, :, column]
        mean, spread = folds.mean(axis=1), folds.std(axis=1)
        axis.plot(places, mean, marker="o", color=color, label=names[column])
        axis.fill_between(places, mean - spread, mean + spread, color=color, alpha=0.15, lw=0)
    axis.set(title=table, ylabel="error %", ylim=(0, None))
for column, color in {2: "#cc79a7", 3: "#0072b2"}.items():
    mean = results["digits"][:, :, column].mean(axis=1)
    where = "on mixed rows (loss_curve_)" if column == 2 else "on the training rows"
    axes[2].plot(places, mean, marker="o", color=color, label=where)
axes[2].set(title="digits: two losses at the end of training", ylabel="cross-entropy")
for axis in axes:
    axis.set_xticks(places, [f"{alpha:g}" for alpha in alphas])
    axis.set_xlabel("α")
    axis.spines[["top", "right"]].set_visible(False)
    axis.grid(axis="y", alpha=0.3)
    axis.legend(frameon=False)
plt.show()
