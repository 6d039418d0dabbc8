"""Many nets trained as one stack, with the same results as training each net alone.

The training of a net is a generator (:class:`_Run`): it does everything that skorch's fit loop
does except the steps, and yields blocks of batches. A stack concatenates the current blocks of
all its runs along the model axis and makes the steps for all of them, up to the end of the
shortest block (a window); then the runs whose blocks have ended advance. So nets may differ in
their numbers of rows, batches and epochs, may stop early or fail, and still share every matrix
product. When a run ends, a new stack is made of the remaining runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import torch
from skorch.callbacks import ParamMapper
from skorch.dataset import Dataset
from torch import Tensor

from mixup_tab.losses import STACKED_LOSSES
from mixup_tab.mixing._names import as_rule
from mixup_tab.nets.stacked import as_stack, weights_dtype
from mixup_tab.training.batches import Batch
from mixup_tab.training.callbacks import EpochProgress
from mixup_tab.training.device import threads_for
from mixup_tab.training.net import MixupNet
from mixup_tab.training.optim import OPTIONS, LeanAdamW, StackAdamW
from mixup_tab.training.resume_file import ResumeFile
from mixup_tab.training.stopping import ends_early, propagate_interrupt

# A stack pads batches to its largest; nets with much smaller batches get another stack.
_LEAST_FILLED = 0.75

# These freeze parameters or need the optimizer's state; a stack has its own optimizer.
_ALONE = (ParamMapper, ResumeFile)


class NetFit(NamedTuple):
    """A net and its training data.

    Attributes
    ----------
    net : MixupNet
        An initialized net.
    X, y : ndarray
        Training data. Nets that share an array share its copy on the device.
    weight : ndarray or None
        Weights of the rows with mean 1.
    """

    net: MixupNet
    X: Any
    y: Any
    weight: Any = None


def fit_stacked(
    fits: Sequence[NetFit], on_epochs: Callable[[int], None] = lambda epochs: None
) -> list[Exception | None]:
    """Train nets side by side, with the same results as ``net.partial_fit(X, y)`` for each.

    Nets with layers of the same sizes become one stack: every step is one batched matrix
    product per layer for all of them. Each keeps its own rows, order, mixing, dropout, learning
    rate, weight decay, epochs and early stopping. Nets that cannot be stacked (other modules or
    optimizers, callbacks that watch batches) are trained alone. The optimizer state of a
    stacked net is not kept.

    Parameters
    ----------
    fits : sequence of NetFit
        Nets and their data.
    on_epochs : callable, default=no action
        Called with the number of epochs that nets have finished since the last call. A
        TrainingAborted or KeyboardInterrupt that it raises ends everything.

    Returns
    -------
    list of Exception or None
        The error of each net, or None.
    """
    errors: list[Exception | None] = [None] * len(fits)
    tables: dict = {}
    runs = []
    with propagate_interrupt():
        for position, fit in enumerate(fits):
            if _can_be_stacked(fit.net):
                runs.append(_Run(position, fit, tables))
            else:
                errors[position] = _train_alone(fit, on_epochs)
        for group in _alike(runs):
            _train(group, on_epochs)
            for run in group:
                errors[run.position] = run.error
    return errors


def _train_alone(fit: NetFit, on_epochs: Callable[[int], None]) -> Exception | None:
    net, before = fit.net, fit.net.callbacks_
    net.callbacks_ = [*before, ("progress", EpochProgress(on_epochs))]
    try:
        net.partial_fit(fit.X, fit.y, sample_weight=fit.weight)
    except Exception as error:  # a module or callback of the user's may raise anything
        on_epochs(bool(net.history))  # count the epoch of the error
        return error
    finally:
        net.callbacks_ = before
    return None


def _can_be_stacked(net: MixupNet) -> bool:
    return (
        type(net) is MixupNet
        and net.uses_manual_backward()
        and as_stack(net.module_).can_join
        and not as_rule(net.mixing).enlarges_batch  # because it changes the batch size
        and not len(net.history)  # because moments of its optimizer would be lost
        and type(net.optimizer_) is LeanAdamW
        and len(net.optimizer_.param_groups) == 1
        and type(net.criterion_) in STACKED_LOSSES
        and net.dataset is Dataset
        and not net.watches_batches()
        and not any(isinstance(callback, _ALONE) for _, callback in net.callbacks_)
    )


class _Run:
    """The training of one net, block by block.

    Attributes
    ----------
    block : Batch or None
        The next batches, shapes (batches, members, batch, ...); None after the last.
    done : int
        Number of batches of the block that have been trained on.
    error : Exception or None
        Error that ended training.
    total : Tensor of shape (members,)
        Summed loss of the current epoch.
    noise : list of torch.Generator
        Generators of dropout masks, one per member.
    fresh_epochs : int
        Epochs finished since they were last reported.
    """

    def __init__(self, position: int, fit: NetFit, tables: dict) -> None:
        self.position, self.net = position, fit.net
        self.error: Exception | None = None
        self.fresh_epochs = 0
        self.batch_size = 0
        self._stack: _Stack | None = None
        self._blocks = self._go_through(fit, tables)
        self.advance()

    @property
    def settings(self) -> dict:
        """Settings of the net's optimizer, which callbacks may change in every epoch."""
        return self.net.optimizer_.param_groups[0]

    def batches(self) -> Batch:
        """Return the block of a run that has not ended."""
        assert self.block is not None
        return self.block

    def advance(self) -> None:
        """Go to the next block, which may be in the next epoch."""
        try:
            self.block: Batch | None = next(self._blocks, None)
        except Exception as error:  # a callback of the user's may raise anything
            self.block, self.error = None, error
        self.done = 0

    def _go_through(self, fit: NetFit, tables: dict) -> Iterator[Batch]:
        """Do what ``MixupNet.partial_fit`` does, except the steps, which the stack makes."""
        net = fit.net
        net.interrupted_, alone = False, False
        with ends_early(net):
            net.notify("on_train_begin", X=fit.X, y=fit.y)
            state = net._start_training(fit.weight, tables=tables)
            self.noise = [stream.noise for stream in state.streams]
            for batches in net._epochs(fit.X, fit.y, state):
                if self._stack is not None and _seen_by_stack(net) != self._joined:
                    self._leave()  # because a callback has changed the net
                    alone = True
                if alone:
                    net.train_epoch(batches, state)
                    self.fresh_epochs += 1
                    continue
                self.batch_size = batches.batch_size
                self.total = torch.zeros(1, net.n_members, device=net.device)
                if not net.module_.training:
                    net._set_training(True)
                yield from batches.blocks()
                self.fresh_epochs += 1
                net._record_epoch("train", [self.total], batches.n_rows, len(batches), state)
        net._end_training(fit.X, fit.y)

    def join(self, stack: _Stack, place: slice) -> None:
        """Join a stack at a place of its model axis."""
        self._stack, self._place, self._joined = stack, place, _seen_by_stack(self.net)

    def _leave(self) -> None:
        """Copy weights and moments out of the stack, to continue alone."""
        assert self._stack is not None
        net, adam = self.net, self._stack.adam
        for parameter, *moments in zip(net.module_.parameters(), *adam.moments, strict=True):
            mean, square = (moment[self._place].clone() for moment in moments)
            state = {"step": adam.step.clone(), "exp_avg": mean, "exp_avg_sq": square}
            net.optimizer_.state[parameter] = state
        self._stack = None


def _seen_by_stack(net: MixupNet) -> tuple:
    """Return everything that a stack reads from a net only once."""
    parameters: list[Any] = [(p.data_ptr(), p.requires_grad) for p in net.module_.parameters()]
    module: Any = net.module_
    groups = net.optimizer_.param_groups
    things = net.module_, net.optimizer_, net.criterion_, *groups
    return parameters, module._shares(), net.criterion_.key, [id(thing) for thing in things]


def _alike(runs: Sequence[_Run]) -> Iterator[list[_Run]]:
    """Group runs that can be stacked."""
    groups: dict[Any, list[_Run]] = {}
    for run in sorted(runs, key=lambda run: -run.batch_size):
        if run.block is None:
            groups.setdefault(None, []).append(run)
            continue
        net = run.net
        key = (
            type(net.module_),
            tuple(p.shape[1:] for p in net.module_.parameters()),
            weights_dtype(net.module_),
            str(net.device),
            net.criterion_.key,
        )
        same = groups.setdefault(key, [])
        if same and run.batch_size < _LEAST_FILLED * same[0].batch_size:
            yield groups.pop(key)
            same = groups.setdefault(key, [])
        same.append(run)
    yield from groups.values()


def _train(runs: Sequence[_Run], on_epochs: Callable[[int], None]) -> None:
    """Train until every run has ended."""
    # Neighbours with equal settings share a call of the optimizer.
    runs = [run for run in runs if run.block is not None]
    runs.sort(key=lambda run: (run.settings["lr"], run.settings["weight_decay"]))
    work = sum(run.net._work(run.batch_size, None) for run in runs)
    stack = None
    try:
        with threads_for(work):
            while runs:
                stack = _Stack(runs, stack)
                while all(run.block is not None for run in runs):
                    stack.train_window()
                    on_epochs(sum(run.fresh_epochs for run in runs))
                    for run in runs:
                        run.fresh_epochs = 0
                runs = [run for run in runs if run.block is not None]
    finally:
        if stack is not None:
            stack.release()


class _Stack:
    """Parameters, optimizer and buffers of the nets that are still in training.

    Shapes: K members of all runs together, S steps in a window, B rows in the largest batch.
    """

    def __init__(self, runs: Sequence[_Run], before: _Stack | None) -> None:
        self.runs = list(runs)
        first = self.runs[0].net
        self.criterion = first.criterion_
        sizes = [run.net.n_members for run in self.runs]
        stops = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        self.slices = [slice(b - n, b) for n, b in zip(sizes, stops, strict=True)]
        # Dropout masks come from each member's own stream, as in training it alone.
        self.generators = [generator for run in self.runs for generator in run.noise]
        modules: list[Any] = [run.net.module_ for run in self.runs]
        self.net = type(modules[0]).join(modules)
        for run, place in zip(self.runs, self.slices, strict=True):
            run.join(self, place)
        self.net.bind(self.criterion, self.generators)  # makes the gradients
        self.adam = StackAdamW(list(self.net.parameters()))
        if before is not None:
            kept = [
                k
                for run, part in zip(before.runs, before.slices, strict=True)
                for k in range(part.start, part.stop)
                if run in self.runs
            ]
            self.adam.resume(before.adam, torch.tensor(kept, device=first.device))
            before.release(but=self.runs)
        self.size = max(run.batch_size for run in self.runs)
        self._update_key: Any = None
        self._step_key: Any = None

    def train_window(self) -> None:
        """Make steps up to the end of the shortest block."""
        steps = min(len(run.batches().x) - run.done for run in self.runs)
        rows = [run.batches().x.shape[2] for run in self.runs for _ in range(run.net.n_members)]
        step, update = self._bound(rows)
        with torch.inference_mode():
            x, targets = (self._gather(part, steps) for part in (0, 1))
            outputs = []
            for inputs, wanted in zip(x.unbind(0), targets.unbind(0), strict=True):
                outputs.append(step(inputs, wanted))
                update()
            # (S, K, B) -> (K,): padding has targets of zero, and so no loss.
            losses = self.criterion.rows(torch.stack(outputs), targets).sum((0, 2))
        for run, part in zip(self.runs, self.slices, strict=True):
            # Targets of a padded batch were scaled up by size / rows; see _gather.
            run.total += losses[part] * (rows[part.start] / self.size)
            run.done += steps
            if run.done == len(run.batches().x):
                run.advance()

    def _gather(self, part: int, steps: int) -> Tensor:
        """Concatenate the runs' next batches, shape (S, K, B, ...).

        Smaller batches are padded with rows of zeros. The criterion takes the mean over all B
        rows, so their targets are scaled by B / rows: the gradient of a member is then that of
        the mean over its own rows.
        """
        blocks = [run.batches()[part][run.done : run.done + steps] for run in self.runs]
        full = all(block.shape[2] == self.size for block in blocks)
        if full:
            return blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)
        shape = (steps, self.slices[-1].stop, self.size, *blocks[0].shape[3:])
        whole = blocks[0].new_zeros(shape)
        for block, place in zip(blocks, self.slices, strict=True):
            rows = block.shape[2]
            if part == 1 and rows < self.size:
                block = block * (self.size / rows)
            whole[:, place, :rows] = block
        return whole

    def _bound(self, rows: list[int]) -> tuple[Callable, Callable]:
        """Return step and update as functions without lookups.

        They are rebuilt when needed: the step depends on which rows are padding, the update on
        learning rates, which change from epoch to epoch.
        """
        if rows != self._step_key:
            self._step_key = rows
            self._step = self.net.bind(self.criterion, self.generators, rows)
        settings = [run.settings for run in self.runs for _ in range(run.net.n_members)]
        key = [[settings_[name] for name in OPTIONS] for settings_ in settings]
        if key != self._update_key:
            self._update_key = key
            self._update = self.adam.bind(settings)
        return self._step, self._update

    def release(self, but: Sequence[_Run] = ()) -> None:
        """Give the nets their own parameters again."""
        for run in self.runs:
            if run not in but:
                module: Any = run.net.module_
                module.leave()
