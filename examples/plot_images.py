"""
Images: plain training, mixup, Cutout and CutMix with a PreAct ResNet-18
========================================================================

Any net for images works through ``module=``. Here it is a narrow version of the mixup paper's
PreAct ResNet-18 on scikit-learn's images of digits. With the files of CIFAR-10 or CIFAR-100, it
is trained as in the paper: ``python examples/plot_images.py --cifar FOLDER``.
"""

# %%
# ``mixing=`` takes the name of a rule. All of them use λ ~ Beta(1, 1), as the papers on mixup
# and CutMix do for CIFAR. Cutout blanks at most half of an image.
import argparse
from functools import partial

import matplotlib.pyplot as plt
import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from skorch.callbacks import LRScheduler
from torch import Tensor
from torch.nn.functional import pad

from mixup_tab import MixupClassifier, MixupNet
from mixup_tab.datasets import load_cifar
from mixup_tab.mixing import CutMix, Cutout, Mixup
from mixup_tab.nets import PreActResNet18, PreparedNet

parser = argparse.ArgumentParser(description="Mixing rules and plain training on images.")
parser.add_argument("--cifar", metavar="FOLDER", help="binary version of CIFAR-10 or -100")
parser.add_argument("--name", default="cifar10", choices=["cifar10", "cifar100"])
parser.add_argument("--seeds", type=int, help="runs of each rule: 3 on digits, 1 on CIFAR")
parser.add_argument("--epochs", type=int, help="15 on digits, 200 on CIFAR")
parser.add_argument("--width", type=int, help="channels of the net: 8 on digits, 64 on CIFAR")
args = parser.parse_args()

RULES = {
    "plain": {"alpha": 0, "mixing": "mixup"},
    "mixup": {"alpha": 1, "mixing": "mixup"},
    "Cutout": {"alpha": 1, "mixing": "cutout"},
    "CutMix": {"alpha": 1, "mixing": "cutmix"},
}


# %%
# Digits: a third of the 1,797 images is for training, another third in each run.
def digits(seed: int) -> list[np.ndarray]:
    """Return training images, test images, training labels, test labels."""
    X, y = load_digits(return_X_y=True)
    images = (X / 16).reshape(-1, 1, 8, 8).astype("float32")
    return train_test_split(images, y, test_size=2 / 3, stratify=y, random_state=seed)


def digits_model(seed: int, **rule: object) -> MixupClassifier:
    return MixupClassifier(
        module=partial(PreActResNet18, width=args.width or 8),
        learning_rate_init=0.01,
        batch_size=64,
        max_epochs=args.epochs or 15,
        random_state=seed,
        **rule,
    )


# %%
# CIFAR: a :class:`~mixup_tab.nets.PreparedNet` takes images as 16-bit integers, and crops and
# flips them at random before they are mixed. The paper trains with SGD at a learning rate of
# 0.1, divided by ten after half and three quarters of 200 epochs, weight decay 0.0001 and
# batches of 128; optimizers other than Adam need the skorch net, ``MixupNet``.
class CroppedAndFlipped(PreparedNet):
    augments = True
    mixed_precision = True

    def __init__(self, out_features: int, width: int = 64):
        super().__init__()
        self.net = PreActResNet18(out_features, (3, 32, 32), width=width)
        self.register_buffer("mean", torch.tensor([125.3, 123.0, 113.9]).view(3, 1, 1))
        self.register_buffer("std", torch.tensor([63.0, 62.1, 66.7]).view(3, 1, 1))

    def prepare(self, x: Tensor) -> Tensor:
        x = x.float()
        if self.training:
            count, device = len(x), x.device
            flip = torch.rand(count, 1, 1, 1, device=device) < 0.5
            x = pad(torch.where(flip, x.flip(-1), x), (4, 4, 4, 4))
            place = torch.randint(9, (2, count, 1), device=device)
            rows, columns = place + torch.arange(32, device=device)
            which = torch.arange(count, device=device).view(-1, 1, 1)
            x = x[which, :, rows.unsqueeze(2), columns.unsqueeze(1)].permute(0, 3, 1, 2)
        return (x - self.mean) / self.std

    def body(self, x: Tensor) -> Tensor:
        return self.net(x)


def cifar(seed: int) -> list[np.ndarray]:
    """Return training images, test images, training labels, test labels; no seed needed."""
    data = load_cifar(args.cifar, args.name, dtype="int16")
    codes = {name: code for code, name in enumerate(data.target_names)}
    labels = [
        np.array([codes[name] for name in names])
        for names in (data.train_target, data.test_target)
    ]
    return [data.train_data, data.test_data, *labels]


def cifar_model(seed: int, **rule: object) -> MixupNet:
    epochs, classes = args.epochs or 200, 100 if args.name == "cifar100" else 10
    steps = [max(epochs // 2, 1), max(epochs * 3 // 4, 1)]
    return MixupNet(
        CroppedAndFlipped,
        module__out_features=classes,
        module__width=args.width or 64,
        n_outputs=classes,
        optimizer=torch.optim.SGD,
        optimizer__momentum=0.9,
        optimizer__weight_decay=1e-4,
        lr=0.1,
        max_epochs=epochs,
        batch_size=128,
        callbacks__learning_rate=None,
        callbacks=[LRScheduler("MultiStepLR", milestones=steps)],
        random_state=seed,
        **rule,
    )


# %%
# In each run, the four nets start from the same weights and see the same images.
load, make = (cifar, cifar_model) if args.cifar else (digits, digits_model)
n_runs = args.seeds or (1 if args.cifar else 3)
errors: dict[str, list[float]] = {name: [] for name in RULES}
for seed in range(n_runs):
    X_train, X_test, y_train, y_test = load(seed)
    for name, rule in RULES.items():
        model = make(seed, **rule).fit(X_train, y_train)
        errors[name].append(100 * float(np.mean(model.predict(X_test) != y_test)))

print(f"test error in %, {len(X_train):,} training images, runs of each rule: {n_runs}")
for name, values in errors.items():
    print(f"{name:7} {np.mean(values):6.2f}   runs: {' '.join(f'{v:.2f}' for v in values)}")

# %%
# Left: training images. Right: errors on test images, which are not mixed.
figure = plt.figure(figsize=(11, 4.2), layout="constrained")
left, right = figure.subfigures(1, 2, width_ratios=[1.2, 1])
axes = left.subplots(4, 6)
few = torch.as_tensor(X_train[:6] / np.float32(X_train.max())).unsqueeze(0)
rules = {"plain": None, "mixup": Mixup(), "Cutout": Cutout(), "CutMix": CutMix()}
for line, (name, rule) in zip(axes, rules.items(), strict=True):
    shown, generator = few, torch.Generator().manual_seed(1)
    if rule is not None:
        drawn = rule.draw(1.0, (1, 6), features=few.shape[2:], generator=generator)
        shown = rule.mix_x(few, drawn)
    for axis, image in zip(line, shown[0].permute(0, 2, 3, 1), strict=True):
        axis.imshow(image.squeeze(-1).numpy(), cmap="gray_r", vmin=0, vmax=1)
        axis.set(xticks=[], yticks=[])
    line[0].set_ylabel(name)

axis = right.subplots()
axis.bar(list(errors), [np.mean(values) for values in errors.values()], color="lightsteelblue")
for place, values in enumerate(errors.values()):
    axis.plot([place] * len(values), values, "o", color="tab:blue", alpha=0.6)
axis.set(
    ylabel="test error in %", title=f"runs: {n_runs}; a bar is their mean, a point is a run"
)
plt.show()

# %%
# Three runs say little. In ten (``python examples/plot_images.py --seeds 10``), the mean errors
# are 3.04 % (plain), 2.65 % (mixup), 3.28 % (Cutout) and 2.99 % (CutMix), and the errors of one
# rule differ by up to two points: on digits of 8 × 8 pixels, no rule is clearly better or
# worse. The papers report results on CIFAR and ImageNet.
