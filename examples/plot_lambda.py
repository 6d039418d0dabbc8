"""
What alpha means: the distribution of λ
=======================================

Mixup makes every training example from two others, λ of the one and 1 − λ of the other, with
λ ~ Beta(α, α). So α alone says how much is mixed.
"""

# %%
# Lines are densities, steps are histograms of 100,000 values that training would draw. A
# small α mostly draws λ close to 0 or to 1, so that one of the two examples dominates; α = 1
# draws all values equally often; a large α makes nearly every example a half-and-half mixture.
import matplotlib.pyplot as plt
import numpy as np

from mixup_tab.displays import LambdaDisplay

alphas = [0.1, 0.2, 0.4, 1, 8]
figure, axis = plt.subplots(figsize=(7, 4), layout="constrained")
display = LambdaDisplay.from_alphas(alphas, n_draws=100_000, ax=axis, name="λ ~ Beta(α, α)")
plt.show()

# %%
# The same in numbers. "Nearly pure" are examples of which less than a tenth comes from the
# smaller part; with α = 0 all would be pure, which is plain training.
print("    α   smaller part, mean   nearly pure")
for alpha, lam in zip(alphas, display.draws, strict=True):
    smaller = np.minimum(lam, 1 - lam)
    print(f"{alpha:5g} {smaller.mean():20.3f} {(smaller < 0.1).mean():13.0%}")
