"""
What mixup changes: decision boundaries and probabilities
=========================================================

A net from plain training is confident everywhere except along a thin line. A net trained with
mixup has seen labels between the classes, so its probabilities change gradually.
"""

# %%
# The data are two noisy moons and two columns of iris. At most half of the rows are for
# training; errors and log-losses are measured on the others.
import matplotlib.pyplot as plt
from sklearn.datasets import load_iris, make_moons
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from mixup_tab import MixupClassifier
from mixup_tab.displays import MixupBoundaryDisplay

iris = load_iris(as_frame=True)
tables = {
    "moons": make_moons(2000, noise=0.3, random_state=0),
    "iris": (
        iris.data[["petal length (cm)", "petal width (cm)"]],
        iris.target_names[iris.target],
    ),
}
alphas = {"plain training": 0, "mixup, α = 0.2": 0.2, "mixup, α = 1": 1}

# %%
# ``mixing="mixup"`` is mixup alone; by default half of the examples are mixed by CutMix, which
# suits tables of many columns but not a plane. Columns are only scaled, and weight decay is
# weak, so that any smoothing comes from mixing. The points are the training rows. The line is
# where the prediction changes; full colour is a probability of 1.
figure, axes = plt.subplots(
    2, 3, figsize=(12, 7), sharex="row", sharey="row", layout="constrained"
)
for row, (table, (X, y)) in zip(axes, tables.items(), strict=True):
    train, test, y_train, y_test = train_test_split(
        X, y, train_size=100 if table == "moons" else 75, stratify=y, random_state=0
    )
    nets = {}
    for name, alpha in alphas.items():
        params = {"mixing": "mixup", "embedding": "none", "weight_decay": 0.1}
        net = MixupClassifier(alpha, **params, random_state=0).fit(train, y_train)
        error = 1 - net.score(test, y_test)
        loss = log_loss(y_test, net.predict_proba(test))
        nets[f"{name}\ntest error {error:.1%}, log-loss {loss:.2f}"] = net
        print(f"{table}, {name}: test error {error:.1%}, log-loss {loss:.3f}")
    MixupBoundaryDisplay.from_estimators(nets, train, y_train, ax=row)
    for axis in row[1:]:
        axis.set_ylabel("")
plt.show()

# %%
# What differs most is the width of the uncertain region around the lines. On the moons the
# classes overlap: plain training bends its line around single points and is confident even
# where it is wrong, so its log-loss is higher than with mixup. In the two columns of iris the
# classes hardly overlap and lie in a row. Mixtures of the outer two classes fall on the middle
# one, where their labels are wrong, so mixup does worse.
