"""
A net of your own
=================

Any ``nn.Module`` can be trained with mixup through ``fit`` and ``predict``. It is called with
those of ``in_features``, ``out_features``, ``input_shape``, ``hidden_layer_sizes`` and
``dropout`` that its constructor names. Inputs may have any number of axes.
"""

# %%
# A small convolutional net for images of digits, 1 x 8 x 8 pixels.
import matplotlib.pyplot as plt
from sklearn.datasets import load_digits
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

from mixup_tab import Mixup, MixupClassifier


class SmallConvNet(nn.Module):
    def __init__(self, out_features: int, dropout: float):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Dropout(dropout),
            nn.Linear(32 * 4 * 4, out_features),
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


X, y = load_digits(return_X_y=True)
images = (X / 16).reshape(-1, 1, 8, 8)
X_train, X_test, y_train, y_test = train_test_split(images, y, stratify=y, random_state=0)

# %%
# The same net without and with mixup; all random numbers are the same except those of mixing.
models = {
    "plain training": MixupClassifier(
        alpha=0, module=SmallConvNet, max_epochs=15, random_state=0
    ),
    "mixup": MixupClassifier(
        alpha=0.4, mixing=Mixup(folded=True), module=SmallConvNet, max_epochs=15, random_state=0
    ),
}
figure, axes = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
for axis, (name, model) in zip(axes, models.items(), strict=True):
    model.fit(X_train, y_train)
    accuracy = model.score(X_test, y_test)
    print(f"{name}: test accuracy {accuracy:.3f}")
    ConfusionMatrixDisplay.from_estimator(
        model, X_test, y_test, ax=axis, colorbar=False, cmap="Blues"
    )
    axis.set_title(f"{name}: {100 * accuracy:.1f} % right")
plt.show()
