"""MixupNet: a skorch net with mixup in its training loop."""

from __future__ import annotations

import contextlib
import copy
import math
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import Any, NoReturn

import numpy as np
import torch
from skorch import NeuralNet
from skorch.callbacks import Callback, EpochScoring, EpochTimer, PrintLog
from torch import Tensor, nn

from mixup_tab._plain import as_python, shown
from mixup_tab.losses import MixedCrossEntropy
from mixup_tab.mixing import MixingRule
from mixup_tab.mixing._names import as_rule
from mixup_tab.nets import MLP, Ensemble
from mixup_tab.nets.prediction import Predictor, predictor_of
from mixup_tab.nets.stacked import as_stack, weights_dtype
from mixup_tab.training.batches import (
    Batch,
    LoaderBatches,
    MixedBatches,
    Mixing,
    PlainBatches,
    member_alphas,
    rule_for,
)
from mixup_tab.training.callbacks import KeepBestWeights, LearningRate
from mixup_tab.training.device import (
    input_device,
    keep_freed_memory,
    pick_device,
    threads_for,
)
from mixup_tab.training.hidden import HiddenMixing
from mixup_tab.training.optim import LeanAdamW
from mixup_tab.training.randomness import Streams, drawing_from, member_seeds
from mixup_tab.training.resume_file import ResumeFile
from mixup_tab.training.state import TrainingState, mixed_epochs
from mixup_tab.training.steps import batch_losses, manual_epoch, manual_step
from mixup_tab.training.stopping import call_hook, ends_early
from mixup_tab.training.table import (
    TargetEncoder,
    as_arrays,
    as_tensor,
    count_outputs,
    examples_of,
    is_array,
)
from mixup_tab.training.torch_state import torch_defaults, with_torch_defaults
from mixup_tab.training.watching import report_epoch

_BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_grad_computed")
_STEP_METHODS = ("train_step", "train_step_single", "infer")


class MixupNet(NeuralNet):
    """A skorch net that trains on mixed examples.

    For skorch users: any ``module``, callbacks, history, checkpoints and ``module__*``
    parameters. :class:`~mixup_tab.MixupClassifier` and :class:`~mixup_tab.MixupRegressor` are
    scikit-learn estimators built on it.

    Arrays are copied to the device once, and batches are cut and mixed there. The history has
    the loss per epoch, not per batch (``train_loss`` and ``valid_loss``). A torch dataset goes
    through skorch's ``DataLoader`` and is mixed batch by batch. Validation, prediction and
    scores of callbacks use unmixed rows.

    Ctrl-C ends training and keeps the best weights so far, with a warning.

    Parameters
    ----------
    module : class or callable
        Makes the net; :class:`~mixup_tab.MLP` is trained fastest. A
        :class:`~mixup_tab.nets.PreparedNet` prepares its inputs before they are mixed. A net
        whose attribute ``mixed_precision`` is true is trained in bfloat16 on devices where that
        is faster, and in channels-last layout on CUDA.
    criterion : class, default=MixedCrossEntropy
        Loss of (outputs, target rows). :class:`~mixup_tab.losses.MixedCrossEntropy`
        for class codes from 0, :class:`~mixup_tab.losses.MixedSquaredError` for values,
        or any torch loss that takes class probabilities as targets.
    alpha : float or sequence of float, default=0.2
        Parameter of λ ~ Beta(α, α), 0 ≤ α < ∞; 0 is plain training. A sequence gives one
        per member.
    mixing : str or MixingRule, default="mixup"
        How examples are mixed.
    mixing_span : (float, float), default=(0.0, 1.0)
        Share of the training during which examples are mixed: start and end, with
        0 ≤ start < end ≤ 1. ``(0.1, 1)`` mixes after the first tenth of the epochs of a fit;
        ``(0, 0.9)`` does not mix in the last tenth. An epoch is mixed if its middle is in the
        span.
    first_cycle : int, default=None
        Trains in cycles, each twice as long as the one before, of which the first has this many
        epochs. In every cycle the learning rate falls from ``lr`` towards zero, and
        ``mixing_span`` applies (warm restarts, Loshchilov and Hutter 2017, arXiv 1608.03983).
        None is one cycle of all epochs.
    n_outputs : int, default=None
        Number of classes or values; None infers it from ``y`` in the first fit.
    n_members : int, default=1
        Number of independent nets that are trained side by side; predictions are
        averaged.
    random_state : int, RandomState, sequence of int, or None, default=None
        Random seed; a sequence gives one per member. With an integer the global random state
        is neither read nor changed.
    optimizer : class, default=LeanAdamW
        Any torch optimizer.
    lr, max_epochs, batch_size : float, int, int, default=1e-3, 10, 128
        As in skorch. The rate falls along a cosine (callback ``learning_rate``).
    train_split : callable or None, default=None
        As in skorch: splits off validation rows.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU.
    **kwargs
        Other arguments of ``skorch.NeuralNet``.

    Attributes
    ----------
    module_, criterion_, optimizer_, history_
        As in skorch.
    seeds_ : list of int
        Seed of each member.
    epoch_losses_ : dict of str to Tensor, shape (members,)
        Losses of the last epoch, "train" and "valid".
    interrupted_ : bool
        Whether Ctrl-C ended the last fit.

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
        first_cycle: int | None = None,
        n_outputs: int | None = None,
        n_members: int = 1,
        random_state: Any = None,
        optimizer: Any = LeanAdamW,
        lr: float = 1e-3,
        train_split: Any = None,
        device: str = "auto",
        **kwargs: Any,
    ) -> None:
        self.alpha = as_python(alpha)
        self.mixing = mixing
        self.mixing_span = as_python(mixing_span)
        self.first_cycle = as_python(first_cycle)
        self.n_outputs = as_python(n_outputs)
        self.n_members = as_python(n_members)
        self.random_state = as_python(random_state)
        super().__init__(
            module,
            criterion,
            optimizer=optimizer,
            lr=as_python(lr),
            train_split=train_split,
            device=pick_device(device),
            **_python_scalars(kwargs),
        )

    def set_params(self, **kwargs: Any) -> MixupNet:
        """Set parameters, as in skorch; NumPy numbers become Python numbers."""
        return super().set_params(**_python_scalars(kwargs))

    # ------------------------------------------------------------- parts of the net

    @property
    def _default_callbacks(self) -> list[tuple[str, Callback]]:
        return [
            ("epoch_timer", EpochTimer()),
            ("learning_rate", LearningRate()),
            ("print_log", PrintLog()),
        ]

    def initialize_callbacks(self) -> MixupNet:
        """Make the callbacks; scores are computed on unmixed rows."""
        super().initialize_callbacks()
        for _, callback in self.callbacks_:
            if isinstance(callback, EpochScoring):
                callback.use_caching = False
        return self

    @with_torch_defaults
    def initialize(self) -> MixupNet:
        """Make module, criterion, optimizer and history from the random state."""
        self.seeds_ = member_seeds(self.random_state, self.n_members)
        return super().initialize()

    def _streams(self, epoch: int) -> list[Streams]:
        """Return random streams for training from an epoch on."""
        return [Streams.from_seed(seed, self.device, epoch) for seed in self.seeds_]

    def initialize_module(self) -> MixupNet:
        """Make the net, or the stack of nets, with weights drawn from the seeds."""
        kwargs = self.get_params_for("module")
        generators = [stream.init for stream in self._streams(0)]
        if isinstance(self.module, type) and issubclass(self.module, MLP):
            own: dict[str, Any] = {"n_members": self.n_members, "generators": generators}
            self.module_: nn.Module = self.module(**own, **kwargs)
            return self
        nets: list[nn.Module] = []
        for generator in generators:
            with drawing_from(generator):
                nets.append(self.initialized_instance(self.module, kwargs))
            if not isinstance(nets[-1], nn.Module):
                name = getattr(self.module, "__name__", self.module)
                raise TypeError(f"module={name} must make an nn.Module, got {nets[-1]!r}.")
            if self.device.startswith("cuda") and getattr(nets[-1], "mixed_precision", False):
                nets[-1].to(memory_format=torch.channels_last)  # the layout for tensor cores
        self.module_ = nets[0] if len(nets) == 1 else Ensemble(nets)
        return self

    def continue_from(self, other: MixupNet) -> MixupNet:
        """Copy weights, optimizer state, history and seeds of a net of the same shape.

        Parameters
        ----------
        other : MixupNet
            An initialized net, which is not changed.

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
        self.history_: Any = copy.deepcopy(other.history_)
        self.seeds_ = list(other.seeds_)
        return self

    # --------------------------------------------------------------------- training

    @with_torch_defaults
    def partial_fit(
        self, X: Any, y: Any = None, classes: Any = None, **fit_params: Any
    ) -> MixupNet:
        """Train for ``max_epochs`` more epochs; see :meth:`fit_loop`.

        Parameters
        ----------
        X, y, classes, **fit_params
            As in skorch.

        Returns
        -------
        MixupNet

        Raises
        ------
        ValueError
            If a loss, or the outputs after training, are infinite or NaN.
        """
        fit_params.pop("_routing_method", None)  # added by skorch's fit
        if not self.initialized_:
            self.initialize()
        self.interrupted_ = False
        with ends_early(self):
            self.notify("on_train_begin", X=X, y=y)
            self.fit_loop(X, y, **fit_params)
        self._end_training(X, y)
        return self

    def _end_training(self, X: Any, y: Any) -> None:
        """Finish a fit after its last complete epoch."""
        if self.history and "train_loss" not in self.history[-1]:
            self.history.pop()
        with ends_early(self):
            self.notify("on_train_end", X=X, y=y)
        if self.interrupted_:
            for _, callback in self.callbacks_:
                if isinstance(callback, KeepBestWeights):
                    callback.restore(self)  # in case Ctrl-C came before its hook
            warnings.warn(
                f"Training was interrupted after {len(self.history)} complete epochs. The net "
                "keeps the best weights so far.",
                RuntimeWarning,
                stacklevel=3,
            )
        self._check_finite(X)

    def fit_loop(
        self,
        X: Any,
        y: Any = None,
        epochs: int | None = None,
        *,
        sample_weight: Any = None,
        **fit_params: Any,
    ) -> MixupNet:
        """Train for a number of epochs.

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
        self.check_data(X, y)
        self.check_training_readiness()
        state = self._start_training(sample_weight, epochs)
        keep_freed_memory()
        passes = self._epochs(X, y, state, **fit_params)
        # Closed at once after an error, to release files.
        with threads_for(self._work(self.batch_size, X)), contextlib.closing(passes):
            for batches in passes:
                self.train_epoch(batches, state, **fit_params)
        return self

    def train_epoch(self, batches: Any, state: TrainingState, **fit_params: Any) -> None:
        """Make the steps of one epoch."""
        self.run_single_epoch(
            batches,
            training=True,
            prefix="train",
            step_fn=self.train_step,
            training_state=state,
            **fit_params,
        )

    def _start_training(
        self, weight: Any = None, epochs: int | None = None, tables: dict | None = None
    ) -> TrainingState:
        """Make the state of a fit; nets of a stack share ``tables``."""
        epochs = self.max_epochs if epochs is None else epochs
        return TrainingState(
            streams=self._streams(len(self.history)),
            weight=None if weight is None else np.asarray(weight),
            mixed=mixed_epochs(self.mixing_span, epochs, self.first_cycle),
            first_epoch=len(self.history),
            tables={} if tables is None else tables,
        )

    def _epochs(
        self, X: Any, y: Any, state: TrainingState, **fit_params: Any
    ) -> Generator[Any]:
        """Run the epochs of a fit, yielding the batches of each.

        The caller makes the training steps: :meth:`fit_loop` for one net, a stack for many.
        Everything else of an epoch is done here.
        """
        train, valid = self.get_split_datasets(X, y, **fit_params)
        parts = {"dataset_train": train, "dataset_valid": valid}
        batches = self._make_batches(train, state)
        checks = None if valid is None else self._make_batches(valid, state, training=False)
        with self._open_files(X, y, state, batches, parts) as files:
            for _ in state.mixed[len(self.history) - state.first_epoch :]:
                self.notify("on_epoch_begin", **parts)
                self._begin_epoch(batches, state)
                yield batches
                self.run_single_epoch(
                    checks,
                    training=False,
                    prefix="valid",
                    step_fn=self.validation_step,
                    training_state=state,
                    **fit_params,
                )
                self.notify("on_epoch_end", **parts)
                for file in files:
                    file.write(self, state, batches)

    @contextlib.contextmanager
    def _open_files(
        self, X: Any, y: Any, state: TrainingState, batches: Any, parts: dict[str, Any]
    ) -> Iterator[list[ResumeFile]]:
        """Open the ResumeFiles of a fit, and resume from them."""
        callbacks = [callback for _, callback in self.callbacks_]
        files = [callback for callback in callbacks if isinstance(callback, ResumeFile)]
        with contextlib.ExitStack() as held:
            for file in files:
                held.enter_context(file.open(self, state, batches, parts))
            for callback in callbacks:
                if files and isinstance(callback, EpochScoring):
                    callback.on_train_begin(self, X=X, y=y)  # reads the best score
            yield files

    def notify(self, method_name: str, **kwargs: Any) -> None:
        """Call a hook of the net and of all callbacks."""
        getattr(self, method_name)(self, **kwargs)
        for _, callback in self.callbacks_:
            call_hook(callback, method_name, self, **kwargs)
        if method_name == "on_epoch_end":
            report_epoch(self)

    def _begin_epoch(self, batches: Any, state: TrainingState) -> None:
        """Prepare the epoch that was just added to the history."""
        self.history.new_batch()  # skorch's callbacks expect it
        state.draws_noise = True
        self._set_mixing(batches, state)

    def _set_mixing(self, batches: Any, state: TrainingState) -> None:
        """Set the mixing of the batches for the last epoch in the history."""
        mixing = None
        if state.mixed[len(self.history) - 1 - state.first_epoch]:
            if state.rule is None:
                state.rule = batches.fit_rule(rule_for(self.mixing, self.criterion_))
            alphas = member_alphas(self.alpha, self.n_members)
            mixing = Mixing(state.rule, alphas, as_stack(self.module_).groups)
        batches.mixing, state.hidden = mixing, None
        if mixing is not None and mixing.rule.mixes_hidden:
            state.hidden = HiddenMixing(mixing.rule, mixing.alphas, self.module_, state.streams)

    def run_single_epoch(
        self,
        iterator: Iterable | None,
        training: bool,
        prefix: str,
        step_fn: Callable,
        *,
        training_state: TrainingState,
        **fit_params: Any,
    ) -> None:
        """Run one epoch and record its mean loss in the history.

        Parameters
        ----------
        iterator, training, prefix, step_fn, **fit_params
            As in skorch.
        training_state : TrainingState
            State of the fit; passed to ``step_fn``.

        Raises
        ------
        ValueError
            If the training loss is not finite.
        """
        if iterator is None:
            return
        self._set_training(training)
        if training and self.uses_manual_backward() and not self.watches_batches():
            result = manual_epoch(self, iterator, training_state)
            self._record_epoch(prefix, *result, training_state)
            return
        summed, rows, count = [], 0, 0
        for batch in iterator:
            self.notify("on_batch_begin", batch=batch, training=training)
            if self.module_.training != training:  # a callback has changed the mode
                self._set_training(training)
            step = step_fn(batch, training_state=training_state, **fit_params)
            size = batch.x.shape[1]
            losses = step.get("member_losses", step["loss"])  # the second from a user's step
            summed.append(losses.detach().expand(1, self.n_members) * size)
            self.notify("on_batch_end", batch=batch, training=training, **step)
            rows, count = rows + size, count + 1
        self._record_epoch(prefix, summed, rows, count, training_state)

    def uses_manual_backward(self) -> bool:
        """Whether training can do without autograd."""
        return (
            as_stack(self.module_).has_manual_backward
            and not as_rule(self.mixing).mixes_hidden
            and isinstance(self.optimizer_, LeanAdamW)
            and hasattr(self.criterion_, "gradient")
            and not _overrides(self, MixupNet, *_STEP_METHODS)
        )

    def watches_batches(self) -> bool:
        """Whether the net or a callback has hooks for every batch."""
        return _overrides(self, MixupNet, *_BATCH_HOOKS) or any(
            # EpochScoring uses batches only to cache predictions, which is turned off.
            _overrides(
                cb, EpochScoring if isinstance(cb, EpochScoring) else Callback, *_BATCH_HOOKS
            )
            for _, cb in self.callbacks_
        )

    def _record_epoch(
        self,
        prefix: str,
        summed: Sequence[Tensor],
        rows: int,
        count: int,
        state: TrainingState,
    ) -> None:
        """Record the losses of an epoch; waits for the device once.

        ``summed`` are losses of batches, shape (batches, members) each. They are concatenated
        before they are summed, so that the sum does not depend on the blocks.
        """
        losses = torch.cat([*summed]).float().sum(0).cpu() / rows
        self.epoch_losses_ = {**getattr(self, "epoch_losses_", {}), prefix: losses}
        mean = float(losses.numpy().mean())
        lowest = state.lowest_loss.get(prefix)
        if lowest is None:
            before = [row.get(f"{prefix}_loss", math.inf) for row in self.history[:-1]]
            lowest = min(before, default=math.inf)
        state.lowest_loss[prefix] = min(mean, lowest)
        self.history.record(f"{prefix}_loss", mean)
        self.history.record(f"{prefix}_loss_best", mean < lowest)
        self.history.record(f"{prefix}_batch_count", count)
        if prefix == "train" and not np.isfinite(losses.numpy()).all():
            self._raise_diverged(f"The training loss became {mean}")

    def _raise_diverged(self, what: str) -> NoReturn:
        raise ValueError(
            f"{what} in epoch {len(self.history)}. Lower the learning rate (now {self.lr:g}; "
            "learning_rate_init in the estimators, lr in MixupNet), or scale the inputs, for "
            "example with a StandardScaler."
        )

    def _check_finite(self, X: Any) -> None:
        """Raise ValueError if the last step made the weights or outputs infinite or NaN."""
        finite = all(torch.isfinite(p).all() for p in self.module_.parameters())
        if finite and is_array(X):
            largest = torch.finfo(weights_dtype(self.module_)).max
            with threads_for(0):
                outputs = torch.cat([*self.forward_iter(X[:16])])
            finite = bool((outputs.abs() <= largest).all())
        if not finite:
            self._raise_diverged("The net's outputs became infinite or NaN")

    # --------------------------------------------------------------------- one step

    def train_step_single(
        self, batch: Batch, *, training_state: TrainingState, **fit_params: Any
    ) -> dict:
        """Compute the loss of a mixed batch and its gradients."""
        if self.uses_manual_backward():
            return manual_step(self, batch, training_state)
        step = batch_losses(self, batch, training_state, **fit_params)
        step["loss"].backward()
        return step

    def validation_step(
        self, batch: Batch, *, training_state: TrainingState, **fit_params: Any
    ) -> dict:
        """Compute the loss of an unmixed batch."""
        with torch.no_grad():
            return batch_losses(self, batch, training_state, **fit_params)

    # ------------------------------------------------------------------ data to batches

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Wrap data in a dataset; a DataFrame becomes one array, not a dict of columns."""
        return super().get_dataset(X.to_numpy() if hasattr(X, "to_numpy") else X, y)

    def _make_batches(
        self, dataset: Any, state: TrainingState, *, training: bool = True
    ) -> Any:
        """Cut batches on the device if the data is an array, else use the loader."""
        if self.batch_size < 1 and self.batch_size != -1:
            raise ValueError(
                "batch_size must be at least 1, or -1 for all rows, got "
                f"{shown(self.batch_size)}."
            )
        stack, arrays = as_stack(self.module_), as_arrays(dataset)

        @torch.no_grad()
        def prepare_member(member: int, x: Tensor) -> Tensor:
            if x.is_floating_point():
                x = x.to(stack.input_dtype(x.dtype, training=True, device=self.device))
            with drawing_from(state.streams[member].augment):
                return stack.prepare_member(member, x)

        if arrays is None:
            encode = self._encoder(None)
            loader = self.get_iterator(dataset, training=training)
            return LoaderBatches(loader, encode, self.device, state.streams, prepare_member)
        x, y, chosen = arrays
        weight = getattr(
            dataset, "weight", state.weight
        )  # held-out rows have their own weights
        examples = examples_of(
            (x, y, weight), state, self.module_, encode=self._encoder(y), device=self.device
        )
        self._check_outputs(x)
        rows = None if chosen is None else torch.as_tensor(chosen, device=self.device)
        if not training:
            return PlainBatches(
                examples,
                rows=rows,
                batch_size=stack.rows_per_chunk(self.batch_size),
                members=self.n_members,
                prepare=(lambda x: prepare_member(0, x)) if stack.augments else None,
            )
        return MixedBatches(
            examples,
            rows=rows,
            batch_size=self.batch_size,
            streams=state.streams,
            augment=prepare_member if stack.augments else None,
        )

    def _encoder(self, y: Any) -> TargetEncoder:
        """Return the encoder of target rows, and set the number of outputs."""
        known = self.n_outputs or getattr(self, "n_outputs_", None)
        self.n_outputs_ = known or count_outputs(y)
        return TargetEncoder(
            self.criterion_,
            self.n_outputs_,
            weights_dtype(self.module_),
            one_column=getattr(y, "ndim", 1) == 1,
        )

    def _check_outputs(self, x: Any) -> None:
        """Pass two rows through a user's module and check the shape of the outputs."""
        known = hasattr(self.criterion_, "rows") or type(self.criterion_) is nn.CrossEntropyLoss
        if as_stack(self.module_).one_call or not known:
            return
        outputs = self.raw_outputs(x[:2])
        expected = (self.n_members, len(x[:2]), self.n_outputs_)
        if outputs.shape != expected:
            name = getattr(self.module, "__name__", type(self.module).__name__)
            raise ValueError(
                f"module={name} returned shape {outputs.shape[1:]} for inputs of shape "
                f"{tuple(x[:2].shape)}. It must return {expected[1:]}: one row per example, "
                "one column per class or value."
            )

    # ------------------------------------------------------------------- prediction

    def input_chunks(self, X: Any, training: bool = False) -> Iterator[Tensor]:
        """Yield inputs in chunks, on the device and in the dtype that the net needs.

        Parameters
        ----------
        X : ndarray or Tensor, shape (rows, *features)
            Inputs.
        training : bool, default=False
            Mode to set the net to.

        Yields
        ------
        Tensor, shape (chunk, *features)
        """
        x, stack = as_tensor(X), as_stack(self.module_)
        if self.module_.training != training:
            self._set_training(training)
        dtype = stack.input_dtype(x.dtype, training=training, device=self.device)
        place = input_device(dtype, self.device)
        size = stack.rows_per_chunk(self.batch_size)
        for part in [x] if len(x) <= size else x.split(size):
            yield part.to(place, dtype, non_blocking=True)

    def predicts_in_double(self) -> bool:
        """Whether float64 inputs are predicted in double precision."""
        asked = as_stack(self.module_).input_dtype
        return asked(torch.float64, training=False, device=self.device) == torch.float64

    def forward_iter(
        self, X: Any, training: bool = False, device: str = "cpu"
    ) -> Iterator[Tensor]:
        """Yield the outputs for chunks of rows, shape (rows, [members,] outputs)."""
        arrays = (X, None, None) if is_array(X) else as_arrays(self.get_dataset(X))
        if arrays is None:
            for batch in self.get_iterator(self.get_dataset(X), training=False):
                with torch_defaults(gradients=training):
                    outputs = self.evaluation_step(batch, training=training).to(device)
                yield outputs if self.n_members == 1 else outputs.transpose(0, 1)
            return
        x, rows = arrays[0], arrays[2]
        x = x if rows is None else as_tensor(x)[torch.as_tensor(rows)]
        for part in self.input_chunks(x, training):
            with torch_defaults(gradients=training), torch.inference_mode(not training):
                outputs = self.module_(part)
                outputs = outputs if self.n_members == 1 else outputs.transpose(0, 1)
            yield outputs if self.device == device else outputs.to(device)

    def raw_outputs(self, X: Any) -> np.ndarray:
        """Return the outputs of every member.

        Parameters
        ----------
        X : array of shape (rows, *features)
            Inputs.

        Returns
        -------
        ndarray, shape (members, rows, outputs)
        """
        with torch_defaults(gradients=False):
            if (predictor := self._predictor(X)) is not None:
                return self._predicted(predictor, X)
        chunk = as_stack(self.module_).rows_per_chunk(self.batch_size)
        with threads_for(self._work(min(chunk, len(X)) if is_array(X) else chunk, X)):
            outputs = _joined(self.forward_iter(X), len(X) if is_array(X) else None).numpy()
        return outputs[None] if self.n_members == 1 else outputs.swapaxes(0, 1)

    def _predictor(self, X: Any) -> Predictor | None:
        """Return the fast predictor for a table, if there is one."""
        if type(self) is not MixupNet or not isinstance(X, np.ndarray):
            return None
        found = predictor_of(self.module_)
        return found if found is not None and found.takes(X) else None

    def _predicted(self, predictor: Predictor, X: np.ndarray) -> np.ndarray:
        """Return :meth:`raw_outputs`, computed by a fast predictor."""
        if self.module_.training:
            self._set_training(False)
        if len(X) == 1 and X.dtype.kind == "f":
            # A copy, because torch warns about read-only arrays.
            return predictor.row(X.astype(np.float64))
        x, size = as_tensor(X), predictor.rows_per_chunk
        outputs = torch.empty(predictor.shape(len(x)), dtype=torch.float64)
        starts = range(0, len(x), size)
        # Starting a thread pays only for several chunks.
        threads = min(torch.get_num_threads(), len(starts) // 2)

        def fill(start: int) -> None:
            with torch.inference_mode():
                chunk = slice(start, start + size)
                outputs[:, chunk] = predictor.rows(x[chunk])

        with threads_for(0):
            if threads > 1:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(fill, starts))
            else:
                for start in starts:
                    fill(start)
        return outputs.numpy()

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return probabilities (or values), averaged over the members.

        Parameters
        ----------
        X : array of shape (rows, *features)
            Inputs.

        Returns
        -------
        ndarray, shape (rows, outputs)
        """
        outputs = torch.from_numpy(self.raw_outputs(X)).double()
        if hasattr(self.criterion_, "predict"):
            outputs = self.criterion_.predict(outputs)
        else:
            outputs = self._get_predict_nonlinearity()(outputs)
        return outputs.mean(0).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """Return class codes where the criterion is a cross-entropy, else values.

        Parameters
        ----------
        X : array of shape (rows, *features)
            Inputs.

        Returns
        -------
        ndarray, shape (rows,) or (rows, outputs)
        """
        outputs = self.predict_proba(X)
        if isinstance(self.criterion_, (MixedCrossEntropy, nn.CrossEntropyLoss)):
            return outputs.argmax(1)
        return outputs[:, 0] if outputs.shape[1] == 1 else outputs

    def _work(self, rows: int, X: Any) -> int:
        """Estimate the multiplications of a forward and backward pass."""
        rows = len(X) if rows == -1 else rows
        stack = as_stack(self.module_)
        row = as_tensor(X[:1]) if is_array(X) and not stack.one_call else None
        return 3 * rows * stack.multiplications(row)


def _joined(parts: Iterator[Tensor], rows: int | None) -> Tensor:
    """Join chunks of outputs; ``rows`` is their total, None if it is not known."""
    first = next(parts)
    if len(first) == rows:
        return first
    if rows is None:
        return torch.cat([first, *parts])
    # Memory for all outputs is allocated at once: small outputs between the freed hidden layers
    # of the chunks would make the heap grow with every chunk.
    joined, stop = first.new_empty((rows, *first.shape[1:])), 0
    for part in chain([first], parts):
        start, stop = stop, stop + len(part)
        joined[start:stop] = part
    return joined


def _python_scalars(params: dict[str, Any]) -> dict[str, Any]:
    """Convert NumPy scalars to Python numbers; arrays may be arguments of a module."""
    return {
        name: as_python(value) if isinstance(value, np.generic) else value
        for name, value in params.items()
    }


def _overrides(thing: object, base: type, *names: str) -> bool:
    """Whether the class of an object overrides methods of a base."""
    return any(getattr(type(thing), name) is not getattr(base, name) for name in names)
