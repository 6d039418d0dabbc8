"""
Wrong labels: what a net memorises
==================================

A net that is large enough and trained for long enough believes every label, also the wrong
ones. Here half of the training labels of a table of digits are wrong, and three nets that
differ in nothing else are trained on them: plainly (ERM), with dropout, and with mixup at a
large α. It is the experiment of table 2 of the mixup paper, on a small table.
"""

# %%
# ``evaluate_corruption`` changes labels of the training rows only; test rows keep theirs. With
# the same ``random_state`` every net gets the same wrong labels. ``return_curves`` gives the
# test error of every epoch.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import ShuffleSplit

from mixup_tab import MixupClassifier
from mixup_tab.robustness import evaluate_corruption

X, y = load_digits(return_X_y=True)
net = MixupClassifier(
    alpha=0,
    mixing="mixup",
    n_estimators=1,
    learning_rate_init=0.002,
    weight_decay=0,
    batch_size=64,
    max_epochs=150,
    random_state=0,
)
settings = {
    "ERM": {"alpha": 0},
    "dropout 0.5": {"alpha": 0, "dropout": 0.5},
    "mixup, α = 32": {"alpha": 32},
}
results, curves = {}, {}
for name, params in settings.items():
    results[name], curves[name] = evaluate_corruption(
        net.set_params(**params),
        X,
        y,
        rates=0.5,
        cv=ShuffleSplit(1, test_size=0.25, random_state=0),
        random_state=0,
        return_curves=True,
    )

# %%
# The honest figure is the last error. The best one belongs to an epoch that only the test rows
# could have picked; the distance between the two is what memorising costs. The two columns on
# the right are errors on the training rows: with right labels, and with wrong ones against
# these wrong labels. A net that has no error on wrong labels has memorised them all.
table = pd.concat(results).droplevel(1)
columns = ["best_test_error", "last_test_error", "train_error_real", "train_error_corrupted"]
print((100 * table[columns]).round(1).rename(columns=lambda name: f"{name} %").to_string())

# %%
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
for name, curve in curves.items():
    axis.plot(curve["epoch"], 100 * curve["test_error"], label=name)
axis.set(xlabel="epoch", ylabel="test error %", ylim=0)
axis.set_title("Digits, half of the training labels wrong")
axis.legend()
plt.show()
