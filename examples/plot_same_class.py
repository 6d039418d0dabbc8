"""
Why mixing within one class changes little
==========================================

SMOTE and its relatives draw new examples between examples of the same class. Mixup's authors
tried that and found no gain. This example shows why: labels stay pure, so the net never learns
what to predict between the classes.
"""

# %%
# First the samples. Between two examples of the same class the label is that of the class, and
# where classes are curved it is even wrong: lines within a moon run through the other moon.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine, make_moons
from sklearn.model_selection import RepeatedStratifiedKFold

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.displays import MixedSamplesDisplay
from mixup_tab.metrics import resampled_interval

figure, axes = plt.subplots(1, 3, figsize=(12.5, 3.8), layout="constrained")
moons = make_moons(200, noise=0.08, random_state=0)
rules = {"same_class": "within a class", "mixup": "any two examples"}
for axis, (mixing, title) in zip(axes, rules.items(), strict=False):
    display = MixedSamplesDisplay.from_rule(
        *moons, mixing, alpha=1, ax=axis, name=f"{title}, α = 1"
    )
    display.legend_.remove()
# sphinx_gallery_defer_figures

# %%
# Then the scores: both rules and plain training, on four tables and the same eight splits. The
# nets have weak weight decay and columns that are only scaled, so that differences come from
# mixing.
tables = {
    "iris": load_iris(return_X_y=True),
    "wine": load_wine(return_X_y=True),
    "breast cancer": load_breast_cancer(return_X_y=True),
    "digits, 600 rows": tuple(part[:600] for part in load_digits(return_X_y=True)),
}
net = MixupClassifier(mixing="mixup", embedding="none", weight_decay=0.1, random_state=0)
grid = [{"alpha": [0]}, {"alpha": [1], "mixing": list(rules)}]
splits = RepeatedStratifiedKFold(n_splits=4, n_repeats=2, random_state=0)
scores = {}
for table, (X, y) in tables.items():
    search = MixupSearchCV(
        net, grid, scoring=["accuracy", "neg_log_loss"], cv=splits, refit=False
    )
    results = search.fit(X, y).cv_results_
    for metric, scale in {"accuracy": -100, "neg_log_loss": -1}.items():
        folds = [results[f"split{k}_test_{metric}"] for k in range(search.n_splits_)]
        scores[table, metric] = scale * np.array(folds).T
# sphinx_gallery_defer_figures

# %%
# Differences from plain training, with 95 % intervals that allow for splits sharing rows.
print("error % and log-loss minus those of plain training")
colors = {"same_class": "#009e73", "mixup": "#cc79a7"}
for row, table in enumerate(tables):
    for metric, unit in {"accuracy": "points", "neg_log_loss": "nats"}.items():
        plain, *others = scores[table, metric]
        for k, (mixing, other) in enumerate(zip(rules, others, strict=True)):
            mean, low, high = resampled_interval(other - plain, test_share=1 / 4)
            print(f"{table}, {mixing}: {mean:+.3f} {unit} ({low:+.3f} to {high:+.3f})")
            if metric == "neg_log_loss":
                axes[2].errorbar(
                    mean,
                    row + 0.12 - 0.24 * k,
                    xerr=[[mean - low], [high - mean]],
                    fmt="o",
                    color=colors[mixing],
                    label=rules[mixing] if row == 0 else None,
                )
axes[2].axvline(0, color="0.4", linewidth=0.8)
axes[2].set_yticks(range(len(tables)), tables)
axes[2].set(xlabel="log-loss − that of plain training", title="test log-loss", ylim=(-0.5, 3.5))
axes[2].spines[["top", "right"]].set_visible(False)
axes[2].legend(frameon=False, loc="center left")
plt.show()

# %%
# Last, what a net predicts halfway between two examples of different classes. With mixing
# within classes it is about as confident there as with no mixing at all.
X, y = tables["digits, 600 rows"]
pairs = np.random.default_rng(0).integers(len(X), size=(2, 2000))
first, second = pairs[:, y[pairs[0]] != y[pairs[1]]]
between = (X[first] + X[second]) / 2
nets = {"plain training": (0, "mixup"), **{rule: (1, rule) for rule in rules}}
for name, (alpha, mixing) in nets.items():
    net.set_params(alpha=alpha, mixing=mixing).fit(X, y)
    confidence = net.predict_proba(between).max(axis=1).mean()
    print(f"digits, halfway between two classes, {name}: confidence {confidence:.2f}")

# %%
# In the error neither rule differs from plain training by more than chance on these tables.
# In the log-loss, mixing within a class stays close to plain training, while mixup can move it,
# and not always for the better: with α = 1 nets are not confident enough on digits.
