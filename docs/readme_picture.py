"""Draw the picture of the README: ``python docs/readme_picture.py``."""

from __future__ import annotations

from pathlib import Path

from matplotlib.figure import Figure
from PIL import Image
from sklearn.datasets import make_moons
from sklearn.metrics import log_loss
from sklearn.model_selection import train_test_split

from mixup_tab import MixupClassifier
from mixup_tab.displays import MixupBoundaryDisplay

PICTURE = Path(__file__).parent / "_static" / "boundaries.png"


def main() -> None:
    """Fit two nets that differ in α alone, draw their boundaries, save the picture."""
    X, y = make_moons(10_000, noise=0.3, random_state=0)
    X_train, X_test, y_train, y_test = train_test_split(
        X, y, train_size=100, stratify=y, random_state=0
    )
    nets = {}
    for name, alpha in {"plain training": 0, "mixup": 0.5}.items():
        # Columns are only scaled and weights hardly decay, so that mixing is all that smooths.
        params = {"mixing": "mixup", "embedding": "none", "weight_decay": 0.1}
        net = MixupClassifier(alpha, **params, device="cpu", random_state=0)
        net.fit(X_train, y_train)
        error, loss = 1 - net.score(X_test, y_test), log_loss(y_test, net.predict_proba(X_test))
        nets[f"{name}: error {error:.1%}, log-loss {loss:.2f}"] = net
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    axes = figure.subplots(1, 2, sharex=True, sharey=True)
    display = MixupBoundaryDisplay.from_estimators(nets, X_train, y_train, ax=axes)
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    display.figure_.savefig(PICTURE, dpi=150)
    # Half the size with colors that the eye does not miss.
    Image.open(PICTURE).convert("RGB").quantize(256).save(PICTURE, optimize=True)
    print(*nets, f"{PICTURE.stat().st_size / 1000:.0f} kB", sep="\n")


if __name__ == "__main__":
    main()
