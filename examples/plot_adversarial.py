"""
Adversarial examples: small changes that mislead a net
======================================================

A change of every pixel that is too small for a reader to notice can mislead a net if it points
in the direction of rising loss. The mixup paper (section 3.5) found that nets trained with
mixup are harder to mislead than those of plain training. This example compares the two on small
images of digits.
"""

# %%
# Pixels are between 0 and 1, and ``module=MLP`` does not scale them: the attack changes the
# inputs of the net by at most ε. A third net is for attacks without access to the other two.
import matplotlib.pyplot as plt
import pandas as pd
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from mixup_tab import MLP, MixupClassifier
from mixup_tab.robustness import evaluate_adversarial

X, y = load_digits(return_X_y=True)
X_train, X_test, y_train, y_test = train_test_split(
    X / 16, y, stratify=y, test_size=0.5, random_state=0
)


def train(alpha, random_state=0):
    net = MixupClassifier(
        alpha=alpha,
        mixing="mixup",
        module=MLP,
        learning_rate_init=0.002,
        weight_decay=0,
        max_epochs=150,
        random_state=random_state,
    )
    return net.fit(X_train, y_train)


nets = {"plain training": train(0), "mixup, α = 1": train(1)}
source = train(0, random_state=1)

# %%
# White box: examples are made on the tested net. Black box: they are made on the third net, the
# same for both. FGSM takes one step, I-FGSM ten smaller ones. Compare errors only if the clean
# ones, at ε = 0, are about the same.
attacks = {
    "white box, FGSM": ("fgsm", None),
    "white box, I-FGSM": ("ifgsm", None),
    "black box, I-FGSM": ("ifgsm", source),
}
eps = [0, 0.02, 0.04, 0.06, 0.08, 0.1, 0.15]
figure, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharey=True)
tables = []
for axis, (title, (attack, made_on)) in zip(axes, attacks.items(), strict=True):
    for name, net in nets.items():
        results = evaluate_adversarial(net, X_test, y_test, eps, attack, made_on, clip=(0, 1))
        axis.plot(results["eps"], 100 * results["adversarial_error"], marker=".", label=name)
        tables.append(results.assign(net=name, attack=title))
    axis.set(title=title, xlabel="ε, largest change of a pixel")
axes[0].set_ylabel("test error %")
axes[0].legend()
plt.show()

# %%
# Here, small changes mislead the net trained with mixup less often; with larger ones in the
# white box, the advantage is gone. It is not robust, only slightly harder to mislead. One split
# and one seed are an example, not evidence; ``benchmarks/robustness.py`` compares over
# several, with intervals.
table = pd.concat(tables).pivot(
    index=["attack", "eps"], columns="net", values="adversarial_error"
)
print((100 * table).round(1).to_string())
