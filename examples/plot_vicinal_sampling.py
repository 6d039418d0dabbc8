"""
Mixup for any classifier: VicinalSampler
========================================

Mixup defines a distribution of training rows and does not need a net.
:class:`~mixup_tab.sampling.VicinalSampler` draws rows from it, so that any estimator can be
trained on them. Here, logistic regression, gradient boosting and k-nearest neighbours are
trained on the rows of a table, and on mixed rows instead, on the same folds.
"""

# %%
# Ten tables of the UCI archive: the first ten by name that hold only numbers, no missing
# values, 100 to 1000 rows, at most 100 columns and at least five rows of every class. They are
# read from the data folder (``MIXUP_TAB_DATA``); without them, the four that scikit-learn
# carries are used.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_breast_cancer, load_digits, load_iris, load_wine
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss
from sklearn.model_selection import RepeatedStratifiedKFold, cross_validate
from sklearn.neighbors import KNeighborsClassifier
from sklearn.preprocessing import LabelEncoder, StandardScaler

from mixup_tab.datasets import fetch_uci
from mixup_tab.metrics import resampled_interval
from mixup_tab.sampling import VicinalSampler

NAMES = [
    "blood",
    "breast-cancer-wisc-diag",
    "conn-bench-sonar-mines-rocks",
    "conn-bench-vowel-deterding",
    "glass",
    "haberman-survival",
    "iris",
    "led-display",
    "parkinsons",
    "pima",
]
CARRIED = {
    "iris": load_iris,
    "wine": load_wine,
    "breast cancer": load_breast_cancer,
    "digits": load_digits,
}


def read(name):
    data, target = fetch_uci(name, download_if_missing=False, return_X_y=True, as_frame=False)
    return data.astype(float), LabelEncoder().fit_transform(target)


try:
    tables = {name: read(name) for name in NAMES}
except (OSError, ValueError):
    tables = {name: load(return_X_y=True) for name, load in CARRIED.items()}
print(f"{len(tables)} tables: {', '.join(tables)}")

# %%
# The settings were chosen beforehand: α = 0.2, the default, and four mixed rows for every row
# of the table. For nearest neighbours it is one mixed row, because four draws from the same row
# would make up most of the five neighbours that vote. Labels are "unmixed": the expected loss
# is the same as with mixed labels.
learners = {
    "logistic regression": (LogisticRegression(max_iter=1000), 4.0),
    "gradient boosting": (
        HistGradientBoostingClassifier(
            max_iter=20, max_leaf_nodes=8, learning_rate=0.2, random_state=0
        ),
        4.0,
    ),
    "nearest neighbours": (KNeighborsClassifier(), 1.0),
}
folds = RepeatedStratifiedKFold(n_splits=5, n_repeats=2, random_state=0)


def scores(learner, drawn, test):
    """Test error in percent, and Brier score (mean squared error of probabilities)."""
    fitted = learner.fit(*drawn)
    proba = fitted.predict_proba(test[0])
    wrong = 100 * (fitted.classes_[proba.argmax(axis=1)] != test[1]).mean()
    return wrong, brier_score_loss(test[1], proba, labels=fitted.classes_)


def compare(learner, size, X, y):
    """Scores without and with the sampler, shape (folds, 2, 2)."""
    result = []
    for train, test in folds.split(X, y):
        scaler = StandardScaler().fit(X[train])
        given = scaler.transform(X[train]), y[train]
        mixed = VicinalSampler(size=size, random_state=0).fit_resample(*given)
        unseen = scaler.transform(X[test]), y[test]
        result.append([scores(learner, drawn, unseen) for drawn in (given, mixed)])
    return np.array(result)


results = {
    name: np.array([compare(learner, size, X, y) for X, y in tables.values()])
    for name, (learner, size) in learners.items()
}

# %%
# The effect of the sampler with its 95 % interval: for each table over the folds, which share
# rows (Nadeau and Bengio 2003), and for the mean over the tables.
MEASURES = ("test error, points", "Brier score")
figure, axes = plt.subplots(1, 2, figsize=(11, 5), sharey=True, layout="constrained")
places = np.arange(len(tables) + 1)
for shift, (name, result) in zip((-0.22, 0, 0.22), results.items(), strict=True):
    for k, (axis, measure) in enumerate(zip(axes, MEASURES, strict=True)):
        difference = result[:, :, 1, k] - result[:, :, 0, k]  # (tables, folds)
        rows = [resampled_interval(one, test_share=0.2) for one in difference]
        rows.append(resampled_interval(difference.mean(axis=1), test_share=0))
        mean, low, high = np.array(rows).T
        xerr = [mean - low, high - mean]
        axis.errorbar(mean, places + shift, xerr=xerr, fmt="o", ms=4, label=name)
        without, with_it = result[..., k].mean(axis=(0, 1))
        print(
            f"{name}, {measure}: {without:.3f}, with the sampler {with_it:.3f}, difference "
            f"{mean[-1]:+.3f} ({low[-1]:+.3f} to {high[-1]:+.3f}); an interval shows it better "
            f"on {(high[:-1] < 0).sum()} and worse on {(low[:-1] > 0).sum()} tables"
        )
        axis.set_xlabel(f"{measure}: with the sampler − without")
for axis in axes:
    axis.axvline(0, color="0.5", lw=1, ls="--", zorder=0)
    axis.axhspan(places[-1] - 0.5, places[-1] + 0.5, color="0.93", zorder=-1)
axes[0].set_yticks(places, [*tables, "mean of the tables"])
axes[0].invert_yaxis()
handles, names = axes[0].get_legend_handles_labels()
figure.legend(handles, names, loc="outside upper center", ncols=3, frameon=False)
plt.show()

# %%
# Left of the dashed line, the sampler helps. On the ten tables it does not: all three learners
# are slightly worse on average, in error and in Brier score, although all intervals of the
# means include 0; on the four tables, the intervals show a worse Brier score for two of the
# three. These learners have other means against overfitting (a penalty, few leaves, five
# neighbours), and rows drawn once offer less than the new rows that a net gets in every epoch.
#
# Samplers are mostly used for rare classes, such as the eights among ten digits. With
# ``balance=True``, all classes are drawn equally often; imbalanced-learn's SMOTE adds mixtures
# of neighbours in the rare class until it is as large as the other one. Both find more eights,
# and both distort the probabilities, because in the real data eights are rare. Calibration on
# rows that were not resampled repairs most of that, but then fewer eights are found again. To
# find more rows of a rare class, lower the threshold instead (``TunedThresholdClassifierCV``).
try:
    from imblearn.over_sampling import SMOTE
    from imblearn.pipeline import make_pipeline
except ImportError:
    print("Install imbalanced-learn to compare with SMOTE.")
else:
    X, digit = load_digits(return_X_y=True)
    y = (digit == 8).astype(int)
    plain = make_pipeline(StandardScaler(), LogisticRegression())
    vicinal, smote = (
        make_pipeline(StandardScaler(), sampler, LogisticRegression())
        for sampler in (VicinalSampler(balance=True, random_state=0), SMOTE(random_state=0))
    )
    methods = {"no sampler": plain, "VicinalSampler(balance=True)": vicinal, "SMOTE": smote}
    for name, method in list(methods.items())[1:]:
        methods[f"{name}, calibrated"] = CalibratedClassifierCV(method, method="sigmoid")
    for name, method in methods.items():
        done = cross_validate(
            method, X, y, cv=folds, scoring=["balanced_accuracy", "neg_brier_score"]
        )
        accuracy = 100 * done["test_balanced_accuracy"].mean()
        brier = -done["test_neg_brier_score"].mean()
        print(f"{name:40s} balanced accuracy {accuracy:.1f} %, Brier score {brier:.3f}")
