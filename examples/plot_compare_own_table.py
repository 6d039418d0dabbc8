"""
Does mixup help on my table?
============================

``mixup-tab compare FILE --target COLUMN`` says whether mixup helps and whether gradient
boosting is better, and writes a report. Here Python does the same, on a small table of raw
columns: numbers, categories, dates, missing values.
"""

# %%
# A synthetic table of a shop: which customers come back within a month?
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from mixup_tab.compare import compare_table
from mixup_tab.displays import AlphaCurveDisplay, ReliabilityDisplay

rng = np.random.default_rng(0)
rows = 200
table = pd.DataFrame(
    {
        "customer": [f"C{number:04}" for number in range(rows)],
        "age": rng.integers(18, 80, rows).astype(float),
        "city": rng.choice(["Rome", "Oslo", "Lima", "Cork"], rows),
        "first_visit": pd.Timestamp("2024-01-01")
        + pd.to_timedelta(rng.integers(0, 300, rows), "D"),
        "spent": rng.lognormal(3, 1, rows),
    }
)
chance = (
    1.5 * np.sin(table["age"] / 8) + (table["city"] == "Rome") + np.log(table["spent"]) - 3.5
)
table["returns"] = np.where(chance + rng.logistic(size=rows) > 0, "yes", "no")
table.loc[::10, "age"] = np.nan

# %%
# Scaling, encoding and α are learned inside the folds. ``id`` identifies the rows; it is not a
# feature. The first line is about plain training, the second about boosting: by log-loss (how
# far the probabilities can be trusted) and by error.
answer = compare_table(table, "returns", id="customer", folds=5, repeats=1)
print(answer)
for note in answer.notes:
    print("Note:", note)
answer.summary[["log_loss", "error", "ece"]]

# %%
# Left: how much to mix, by cross-validation inside the training rows. Right: whether the
# probabilities can be trusted.
figure, axes = plt.subplots(1, 2, figsize=(10, 5.2), layout="constrained")
curve = answer.curve
AlphaCurveDisplay(curve.index, curve.to_numpy(), score_name="minus the log-loss").plot(axes[0])
ReliabilityDisplay.from_bins(answer.bins, ax=axes[1])
plt.show()
