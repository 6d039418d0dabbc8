"""The same training as users of other packages write it, and ours, for ``speed.py``."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from joblib import parallel_config
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV
from sklearn.neural_network import MLPClassifier
from skorch import NeuralNetClassifier
from torch import Tensor, nn

from mixup_tab import MixupClassifier, MixupSearchCV

# Phishing Websites, a table of the mixup paper's UCI experiment, has this shape.
ROWS, FEATURES, FOLDS = 11055, 30, 5
ALPHA, BATCH, RATE = 0.2, 16, 1e-3


def make_table(
    rows: int = ROWS, features: int = FEATURES, dtype: type = np.float64
) -> tuple[np.ndarray, np.ndarray]:
    """Return a two-class table with a curved border, in float64 as pandas would read it."""
    X = np.random.default_rng(0).standard_normal((rows, features), dtype=dtype)
    return X, (X[:, 0] + X[:, 1] ** 2 > 0.5).astype(np.int64)


def plain_net() -> nn.Sequential:
    """Return the paper's net for the table as a user of torch writes it."""
    sizes = (FEATURES, 128, 128, 2)
    layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
    return nn.Sequential(layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])


def fit_ours(X: np.ndarray, y: np.ndarray, epochs: int, **params: Any) -> MixupClassifier:
    """Train ours in the paper's setting."""
    setting = {"alpha": ALPHA, "max_epochs": epochs, "random_state": 0, **params}
    return MixupClassifier.from_paper(**setting).fit(X, y)


class SkorchMixup(NeuralNetClassifier):
    """Mixup in skorch as users write it: in ``train_step_single``, λ per batch."""

    def __init__(self, *args: Any, alpha: float = ALPHA, **kwargs: Any) -> None:
        self.alpha = alpha
        super().__init__(*args, **kwargs)

    def train_step_single(self, batch: Any, **fit_params: Any) -> dict[str, Any]:
        """Mix a batch, then do what skorch does."""
        self._set_training(True)
        x, y = batch
        alpha = self.alpha
        lam = float(np.random.default_rng().beta(alpha, alpha)) if alpha else 1.0
        order = torch.randperm(len(x))
        y_pred = self.infer(lam * x + (1 - lam) * x[order], **fit_params)
        loss = lam * self.criterion_(y_pred, y) + (1 - lam) * self.criterion_(y_pred, y[order])
        loss.backward()
        return {"loss": loss, "y_pred": y_pred}


def skorch_net(epochs: int) -> SkorchMixup:
    """Return :class:`SkorchMixup` with its DataLoader and plain Adam."""
    training = {"lr": RATE, "batch_size": BATCH, "max_epochs": epochs, "train_split": None}
    parts = {"criterion": nn.CrossEntropyLoss, "optimizer": torch.optim.Adam}
    return SkorchMixup(plain_net, **parts, **training, iterator_train__shuffle=True, verbose=0)


def fit_skorch(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train :class:`SkorchMixup`."""
    skorch_net(epochs).fit(X.astype(np.float32), y)


def fit_torch(X: np.ndarray, y: np.ndarray, epochs: int) -> None:
    """Train with the paper's loop: DataLoader replaced by slices of a shuffled tensor."""
    inputs, labels = torch.from_numpy(X).float(), torch.from_numpy(y)
    net, criterion = plain_net(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(net.parameters(), lr=RATE)
    beta = torch.distributions.Beta(ALPHA, ALPHA)
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            x, target = inputs[rows], labels[rows]
            lam, order = beta.sample().item(), torch.randperm(len(rows))
            outputs = net(lam * x + (1 - lam) * x[order])
            loss = lam * criterion(outputs, target)
            loss = loss + (1 - lam) * criterion(outputs, target[order])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()


def fit_sklearn(X: np.ndarray, y: np.ndarray, epochs: int) -> MLPClassifier:
    """Train scikit-learn's net of the same size, without mixup."""
    model = MLPClassifier((128, 128), alpha=0.0, batch_size=BATCH, max_iter=epochs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(X, y)


def search_ours(
    X: np.ndarray, y: np.ndarray, alphas: Sequence[float], epochs: int, device: str, n_jobs: int
) -> MixupSearchCV:
    """Search for α in the paper's setting, without the last fit."""
    net = MixupClassifier.from_paper(max_epochs=epochs, random_state=0, device=device)
    grid = {"alpha": list(alphas)}
    return MixupSearchCV(net, grid, cv=FOLDS, n_jobs=n_jobs, refit=False).fit(X, y)


def grid_search(net: Any, X: np.ndarray, y: np.ndarray, alphas: Sequence[float]) -> None:
    """Search for α with scikit-learn, in two processes of one thread."""
    grid = GridSearchCV(net, {"alpha": list(alphas)}, cv=FOLDS, n_jobs=2, refit=False)
    with parallel_config("loky", inner_max_num_threads=1):
        grid.fit(X, y)


def fit_vmapped(X: np.ndarray, y: np.ndarray, epochs: int, members: int) -> None:
    """Train many nets with ``torch.func``, after PyTorch's tutorial on model ensembling.

    All nets see the same order of rows, each with its own λ per batch; gradients by
    ``vmap`` of ``grad``, one fused Adam over the stacked parameters.
    """
    inputs, labels = torch.from_numpy(X).float(), torch.from_numpy(y)
    nets = [plain_net() for _ in range(members)]
    params, _ = torch.func.stack_module_state(nets)
    shell = copy.deepcopy(nets[0]).to("meta")
    optimizer = torch.optim.Adam(params.values(), lr=RATE, fused=True)
    beta = torch.distributions.Beta(ALPHA, ALPHA)
    criterion = nn.functional.cross_entropy

    def loss(params: dict, x: Tensor, other: Tensor, y: Tensor, y2: Tensor, lam: Tensor) -> Any:
        outputs = torch.func.functional_call(shell, params, (lam * x + (1 - lam) * other,))
        return lam * criterion(outputs, y) + (1 - lam) * criterion(outputs, y2)

    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None, None, None, None, 0))
    for _ in range(epochs):
        for rows in torch.randperm(len(inputs)).split(BATCH):
            x, target, order = inputs[rows], labels[rows], torch.randperm(len(rows))
            lam = beta.sample((members,))
            grads = gradients(params, x, x[order], target, target[order], lam)
            for name, parameter in params.items():
                parameter.grad = grads[name].detach()
            optimizer.step()


def arithmetic(members: int, steps: int) -> Callable[[], None]:
    """Return a call with only the necessary computation of training steps of a stack.

    That is the eight matrix products of a 30-128-128-2 net at batches of 16, and one fused
    Adam.
    """
    sizes = (FEATURES, 128, 128, 2)
    values = [torch.randn(members, BATCH, size) for size in sizes]
    weights = [torch.randn(members, b, a) for a, b in pairwise(sizes)]
    for weight in weights:
        weight.grad = torch.empty_like(weight)
    optimizer = torch.optim.Adam(weights, lr=RATE, fused=True)

    @torch.inference_mode()
    def run() -> None:
        for _ in range(steps):
            for weight, below, above in zip(weights, values, values[1:], strict=False):
                torch.bmm(below, weight.mT, out=above)
            for layer in (2, 1, 0):
                below, above = values[layer : layer + 2]
                torch.bmm(above.mT, below, out=weights[layer].grad)
                if layer:  # the gradient of the inputs is not needed
                    torch.bmm(above, weights[layer], out=below)
            optimizer.step()

    return run
