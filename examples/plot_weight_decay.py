"""
Less weight decay with mixup
============================

Weight decay and mixup both keep a net from being overconfident. The paper advises less weight
decay with mixup. A search over both shows whether that holds on your own table.
"""

# %%
# All nets of the grid are trained side by side. Their columns are scaled, not embedded, so that
# they differ only in mixing and weight decay.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_breast_cancer, make_moons
from sklearn.model_selection import StratifiedKFold

from mixup_tab import MixupClassifier, MixupSearchCV
from mixup_tab.displays import SearchHeatMapDisplay

tables = {
    "two moons, 200 rows": make_moons(200, noise=0.3, random_state=0),
    "breast cancer": load_breast_cancer(return_X_y=True),
}
net = MixupClassifier(mixing="mixup", embedding="none", random_state=0)
grid = {"alpha": [0, 0.1, 0.3, 1], "weight_decay": [0, 0.1, 1, 3, 10]}
folds = StratifiedKFold(4, shuffle=True, random_state=0)

# %%
# The score is minus the log-loss of the held-out rows, so higher (yellow) is better. The frame
# marks the best of all, the dots the best weight decay for each α.
figure, axes = plt.subplots(1, 2, figsize=(12.5, 3.6), layout="constrained")
for axis, (table, (X, y)) in zip(axes, tables.items(), strict=True):
    search = MixupSearchCV(net, grid, scoring="neg_log_loss", cv=folds, refit=False).fit(X, y)
    display = SearchHeatMapDisplay.from_search(search, ax=axis, name=table)
    best = display.scores.argmax(axis=1)
    axis.scatter(best + 0.36, np.arange(len(best)) + 0.3, color="#d55e00", s=30)
    print(table)
    for alpha, column, row in zip(grid["alpha"], best, display.scores, strict=True):
        decay = grid["weight_decay"][column]
        print(f"  α = {alpha:g}: best weight decay {decay:g}, log-loss {-row[column]:.3f}")
plt.show()

# %%
# On two moons the best weight decay falls from 1 without mixup to none with it. On breast
# cancer it stays where it is until α is 1. What holds on both: without mixup, training without
# weight decay is poor; with mixup it costs little. Both have the same effect, so one of them is
# enough: on breast cancer, plain training with strong weight decay is as good as anything here.
