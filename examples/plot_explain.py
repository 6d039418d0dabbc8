"""
Explaining a net: which columns matter, and how
===============================================

Two questions about a fitted net: which columns does it need, and how does its answer change
with one of them? scikit-learn answers both with many predictions, which take a small net
seconds.
"""

# %%
# The table has 30 columns, measurements of cells. Explain a net on rows that it was not trained
# on: on training rows, columns that it has only memorised look important too.
import time

import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_breast_cancer
from sklearn.inspection import PartialDependenceDisplay, permutation_importance
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from mixup_tab import MixupClassifier

X, y = load_breast_cancer(as_frame=True, return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
net = MixupClassifier(random_state=0).fit(X_train, y_train)
print(f"log-loss of {len(X_test)} test rows: {log_loss(y_test, net.predict_proba(X_test)):.3f}")

# %%
# Which columns matter? Each is shuffled 10 times, and the net is scored again. The log-loss
# shows more than the error, which can stay the same while the net becomes less confident.
start = time.perf_counter()
found = permutation_importance(
    net, X_test, y_test, scoring="neg_log_loss", n_repeats=10, random_state=0
)
print(f"importance of {X.shape[1]} columns: {time.perf_counter() - start:.1f} s")
rise = pd.DataFrame({"mean": found.importances_mean, "std": found.importances_std}, X.columns)
rise = rise.sort_values("mean").tail(12)
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
axis.barh(rise.index, rise["mean"], xerr=rise["std"], color="#0072b2")
axis.set_xlabel("rise of the log-loss if the column is shuffled")
plt.show()

# %%
# Shuffling a single column does not raise the log-loss much: radius, perimeter and area carry
# the same information, so the net can do without any one of them. A small bar does not mean
# that a column is useless.
#
# How do predictions change with a column? All test rows get the same value of one column, and
# their probabilities are averaged; thin lines are single rows.
start = time.perf_counter()
names = rise.index[:-4:-1].tolist()
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", sharey=True)
PartialDependenceDisplay.from_estimator(
    net, X_test, names, kind="both", subsample=30, random_state=0, ax=axes
)
axes[0].set_ylabel("probability of benign")
for axis in axes[1:]:
    axis.set_ylabel("")
print(f"dependence on {len(names)} columns: {time.perf_counter() - start:.1f} s")
plt.show()

# %%
# :doc:`/user_guide/explaining` does the same for columns of categories, and adds SHAP values.
