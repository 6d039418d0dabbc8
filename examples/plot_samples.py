"""
What mixup trains on: samples between two moons
===============================================

Mixup draws its training examples on the straight lines between all pairs of examples, and
their labels change along the way. CutMix takes each column from one of the two instead.
Here is what both make of 200 points in a plane.
"""

# %%
# Circles are the original points, dots are 1000 mixed ones; their colours are their labels,
# grey where half comes from each class.
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import make_moons

from mixup_tab.displays import MixedSamplesDisplay

X, y = make_moons(200, noise=0.08, random_state=0)
settings = {
    "mixup, α = 0.1": ("mixup", 0.1),
    "mixup, α = 0.4": ("mixup", 0.4),
    "mixup, α = 8": ("mixup", 8),
    "CutMix, α = 1": ("cutmix", 1),
}
figure, axes = plt.subplots(
    2, 2, figsize=(9.5, 6.5), sharex=True, sharey=True, layout="constrained"
)
displays = {}
for axis, (name, (mixing, alpha)) in zip(axes.flat, settings.items(), strict=True):
    displays[name] = MixedSamplesDisplay.from_rule(
        X, y, mixing, alpha=alpha, ax=axis, name=name
    )
    if axis is not axes[0, 1]:
        displays[name].legend_.remove()
plt.show()

# %%
# With a small α, samples stay near the points; with a large one they fill the space between,
# and the points themselves are no longer drawn. CutMix only uses values that a column really
# has: with two columns, a new point takes its horizontal position from one point and its
# vertical position from another, so its label is one class, or half of each.
for name, display in displays.items():
    mixed = np.mean(display.labels.max(axis=1) < 0.9)
    print(f"{name}: {mixed:.0%} of the labels have less than 0.9 of one class")

# %%
# The line from one end of a moon to its other end crosses the other moon: mixup's labels are
# wrong there. In many dimensions this is rare, but not in a plane, so do not expect mixup to
# win on toy data.
