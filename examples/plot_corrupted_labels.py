"""
Wrong labels: what a net memorises
==================================

A large net that is trained for long memorises every label, even wrong ones. Here, half of the
training labels of a table of digits are wrong, and the same net is trained on them in three
ways: by plain training, with dropout, and with mixup at a large α. This is the experiment of
table 2 of the mixup paper, on a small table.
"""

# %%
# ``evaluate_corruption`` changes labels of the training rows only. With the same
# ``random_state``, every net gets the same wrong labels. ``return_curves=True`` also returns
# the test error of every epoch.
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
    learning_rate_init=0.002,
    embedding="none",
    weight_decay=0,
    batch_size=64,
    max_epochs=150,
    random_state=0,
)
settings = {
    "plain training": {"alpha": 0},
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
# Compare the last errors: the best epoch can only be chosen with the test rows. The difference
# between the two is the cost of memorising. The two columns on the right are errors on training
# rows: on those with right labels, and on those with wrong labels, measured against these. A
# net without errors on wrong labels has memorised them all.
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
