"""MixupNet: a skorch net with mixup inside its fit loop."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state
from skorch.callbacks import Callback, EpochScoring, EpochTimer, PrintLog
from torch import nn

from mixup_tab.losses import MixedCrossEntropy
from mixup_tab.mixing import MixingRule
from mixup_tab.nets import MLP, Ensemble
from mixup_tab.training.callbacks import EarlyStopping, LearningRate, StopTraining
from mixup_tab.training.device import pick_device, threads_for
from mixup_tab.training.epochs import EpochNet
from mixup_tab.training.hidden import LayerDraw
from mixup_tab.training.optim import LeanAdamW
from mixup_tab.training.randomness import Streams, drawing_from, member_seeds
from mixup_tab.training.table import is_array

_ENDS_GENTLY: ContextVar[bool] = ContextVar("ends_gently", default=True)


@contextmanager
def interrupts_pass() -> Iterator[None]:
    """Let Ctrl-C through: inside, it does not end the training of one net, but everything."""
    token = _ENDS_GENTLY.set(False)
    try:
        yield
    finally:
        _ENDS_GENTLY.reset(token)


class MixupNet(EpochNet):
    """A skorch net that trains on mixed examples.

    For people who want skorch's own interface: any ``module``, callbacks, history,
    checkpoints and ``module__*`` parameters. :class:`~mixup_tab.MixupClassifier` and
    :class:`~mixup_tab.MixupRegressor` are the scikit-learn estimators built on it.

    Arrays are put on the device once and batches are cut and mixed there; nothing is
    collated row by row and the loss is read once per epoch (``train_loss`` and
    ``valid_loss`` in the history, per epoch, not per batch). A ``torch`` dataset or
    other input goes through skorch's ``DataLoader`` and is mixed batch by batch.
    Validation and prediction never mix. Scores of the training part, where a callback
    asks for them, are computed on unmixed rows.

    Parameters
    ----------
    module : class or callable
        Makes the net; :class:`~mixup_tab.MLP` gets the fast path. A
        :class:`~mixup_tab.nets.PreparedNet` does something to its inputs before they are
        mixed. A net with an attribute ``mixed_precision`` that is true is trained in bfloat16
        where the device computes that fast, and laid out channels last on CUDA.
    criterion : class, default=MixedCrossEntropy
        Loss of (outputs, target rows). :class:`~mixup_tab.losses.MixedCrossEntropy`
        for class codes from 0, :class:`~mixup_tab.losses.MixedSquaredError` for values,
        or any torch loss that takes class probabilities as targets.
    alpha : float or sequence of float, default=0.2
        Parameter of λ ~ Beta(α, α), 0 ≤ α < ∞; 0 turns mixing off (empirical risk
        minimisation). A sequence gives one per member.
    mixing : str or MixingRule, default="mixup"
        How examples are mixed.
    mixing_span : (float, float), default=(0.0, 1.0)
        Share of the training during which examples are mixed: start and end.
        ``(0.1, 1)`` mixes after the first tenth of the epochs of a fit, ``(0, 0.9)`` trains
        plainly in the last tenth. An epoch is mixed if its middle lies in the span.
    n_outputs : int, default=None
        Number of classes or values; None reads it off ``y`` at the first fit.
    n_members : int, default=1
        Number of independent nets that are trained side by side; predictions are
        averaged.
    random_state : int, RandomState, sequence of int, or None, default=None
        Seed of everything random; a sequence gives one per member. With an integer
        the global random state is neither read nor changed.
    optimizer : class, default=LeanAdamW
        Any torch optimizer.
    lr, max_epochs, batch_size : float, int, int, default=1e-3, 10, 128
        As in skorch. The rate falls along a cosine (callback ``learning_rate``).
    train_split : callable or None, default=None
        As in skorch: makes a validation part.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    **kwargs
        Everything else that ``skorch.NeuralNet`` takes.

    Attributes
    ----------
    module_, criterion_, optimizer_, history_
        As in skorch.
    epoch_losses_ : dict of Tensor, shape (members,)
        Losses of the last epoch, by part.
    interrupted_ : bool
        Whether the last fit was ended by Ctrl-C.

    Examples
    --------
    >>> import numpy as np
    >>> from mixup_tab import MLP, MixupNet
    >>> X = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    >>> y = (X[:, 0] > 0).astype("int64")
    >>> net = MixupNet(MLP, module__in_features=3, module__out_features=2, lr=0.01,
    ...                max_epochs=30, random_state=0, verbose=0).fit(X, y)
    >>> bool((net.predict(X) == y).mean() > 0.9)
    True
    """

    def __init__(
        self,
        module: Any,
        criterion: Any = MixedCrossEntropy,
        *,
        alpha: float | Sequence[float] = 0.2,
        mixing: str | MixingRule = "mixup",
        mixing_span: tuple[float, float] = (0.0, 1.0),
        n_outputs: int | None = None,
        n_members: int = 1,
        random_state: Any = None,
        optimizer: Any = LeanAdamW,
        lr: float = 1e-3,
        train_split: Any = None,
        device: str = "auto",
        **kwargs: Any,
    ) -> None:
        self.alpha = alpha
        self.mixing = mixing
        self.mixing_span = mixing_span
        self.n_outputs = n_outputs
        self.n_members = n_members
        self.random_state = random_state
        super().__init__(
            module,
            criterion,
            optimizer=optimizer,
            lr=lr,
            train_split=train_split,
            device=pick_device(device),
            **kwargs,
        )

    # ------------------------------------------------------------ what it is made of

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [
            ("epoch_timer", EpochTimer()),
            ("learning_rate", LearningRate()),
            ("print_log", PrintLog()),
        ]

    def initialize_callbacks(self) -> MixupNet:
        """Make the callbacks; scores are computed on clean rows, never on mixed ones."""
        super().initialize_callbacks()
        for _, callback in self.callbacks_:
            if isinstance(callback, EpochScoring):
                callback.use_caching = False
        return self

    def initialize(self) -> MixupNet:
        """Make module, criterion, optimizer and history from the random state."""
        self.seeds_ = self._seeds()
        super().initialize()
        # Looked up here once, because walking over a module costs as much as predicting a row.
        parameters = list(self.module_.parameters())
        self._dtype_ = parameters[0].dtype if parameters else torch.float32
        self._n_weights_ = sum(p.numel() for p in parameters)
        return self

    def _seeds(self) -> list[int]:
        if isinstance(self.random_state, Sequence):
            seeds = list(self.random_state)
            if len(seeds) != self.n_members:
                raise ValueError(
                    f"random_state has {len(seeds)} seeds for n_members={self.n_members}."
                )
            return seeds
        state = self.random_state
        if not isinstance(state, (int, np.integer)):
            state = check_random_state(state).randint(2**31 - 1)
        return member_seeds(int(state), self.n_members)

    def _make_streams(self, epoch: int) -> list[Streams]:
        """Random streams for training that goes on at an epoch."""
        return [Streams.from_seed(seed, self.device, epoch) for seed in self.seeds_]

    def initialize_module(self) -> MixupNet:
        """Make the net, or the stack of nets, with weights drawn from the seeds."""
        kwargs = self.get_params_for("module")
        generators = [stream.init for stream in self._make_streams(0)]
        if isinstance(self.module, type) and issubclass(self.module, MLP):
            self.module_ = self.module(
                n_members=self.n_members, generators=generators, **kwargs
            )
            return self
        nets = []
        for generator in generators:
            with drawing_from(generator):
                nets.append(self.initialized_instance(self.module, kwargs))
            if not isinstance(nets[-1], nn.Module):
                name = getattr(self.module, "__name__", self.module)
                raise TypeError(f"module={name} must make an nn.Module, got {nets[-1]!r}.")
            if self.device.startswith("cuda") and getattr(nets[-1], "mixed_precision", False):
                nets[-1].to(memory_format=torch.channels_last)  # what tensor cores take
        self.module_ = nets[0] if len(nets) == 1 else Ensemble(nets)
        return self

    def take_over(self, other: MixupNet) -> MixupNet:
        """Go on from what another net of the same shape has learned.

        Parameters
        ----------
        other : MixupNet
            An initialized net, which stays as it is.

        Returns
        -------
        MixupNet

        Raises
        ------
        ValueError
            If the shapes differ.
        """
        try:
            self.module_.load_state_dict(other.module_.state_dict())
        except RuntimeError as error:
            raise ValueError(f"The nets have different shapes: {error}") from error
        own = [{**group} for group in self.optimizer_.param_groups]
        self.optimizer_.load_state_dict(copy.deepcopy(other.optimizer_.state_dict()))
        for group, settings in zip(self.optimizer_.param_groups, own, strict=True):
            del settings["params"]
            group.update(settings)
        self.history_ = copy.deepcopy(other.history_)
        self.seeds_ = list(other.seeds_)
        return self

    # --------------------------------------------------------------------- training

    def fit_loop(
        self,
        X: Any,
        y: Any = None,
        epochs: int | None = None,
        *,
        sample_weight: Any = None,
        **fit_params: Any,
    ) -> MixupNet:
        """Train for a number of epochs; Ctrl-C ends training, keeping what is learned.

        Parameters
        ----------
        X, y, epochs, **fit_params
            As in skorch.
        sample_weight : array of shape (rows,), default=None
            Weights, positive with mean 1; see :mod:`mixup_tab.losses`.

        Returns
        -------
        MixupNet
        """
        self.interrupted_ = False
        work = self._multiplications(self.batch_size, X)
        epochs = self.max_epochs if epochs is None else epochs
        with self._material(sample_weight, epochs=epochs), threads_for(work):
            try:
                for callback in self._checkpoints():
                    epochs -= callback.resume(self, X, y)
                super().fit_loop(X, y, epochs, **fit_params)
            except StopTraining:
                pass
            except KeyboardInterrupt:
                self._end_early()
        return self

    @contextmanager
    def _material(
        self, weight: Any, tables: dict | None = None, epochs: int | None = None
    ) -> Iterator[None]:
        """Hold weights, random streams and tables on the device while there is training."""
        epochs = self.max_epochs if epochs is None else epochs
        self._before_, self._end_ = len(self.history), epochs
        self._rule_ = self._inside_ = None
        self._layers_: list[LayerDraw] = []
        self._weight_ = None if weight is None else np.asarray(weight)
        self._streams_ = self._make_streams(len(self.history))
        self._tables_ = {} if tables is None else tables
        self._least_: dict[str, float] = {}
        try:
            yield
        finally:
            del self._weight_, self._streams_, self._tables_, self._least_
            del self._rule_, self._inside_, self._layers_

    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any
    ) -> MixupNet:
        """Train on from what is there; see :meth:`fit_loop`.

        Parameters
        ----------
        X, y, classes, **fit_params
            As in skorch.

        Returns
        -------
        MixupNet
        """
        try:
            super().partial_fit(X, y, classes, **fit_params)
        except KeyboardInterrupt:  # before the first epoch or after the last
            self._end_early()
        if self.interrupted_ and not _ENDS_GENTLY.get():  # which skorch has swallowed
            raise KeyboardInterrupt
        self._check_finite(X)
        return self

    def _end_early(self) -> None:
        """Keep what has been learned at Ctrl-C."""
        self.interrupted_ = True
        if not _ENDS_GENTLY.get():
            raise KeyboardInterrupt
        for _, callback in self.callbacks_:
            if isinstance(callback, EarlyStopping):
                callback.on_train_end(self)
        if self.history and "train_loss" not in self.history[-1]:
            self.history.pop()
        warnings.warn(
            f"Training was interrupted after {len(self.history)} complete epochs; the net "
            "keeps the best weights so far.",
            RuntimeWarning,
            stacklevel=2,
        )

    def _check_finite(self, X: Any) -> None:
        """Refuse a net that the last step has spoilt; the losses before were fine."""
        finite = all(torch.isfinite(p).all() for p in self.module_.parameters())
        if finite and is_array(X):
            finite = np.isfinite(self.raw_outputs(X[:16])).all()
        if not finite:
            self._refuse("The net's outputs became infinite or NaN")
