"""What ``mixup-tab speech train`` shows while an epoch runs."""

from __future__ import annotations

from typing import Any

from skorch.callbacks import Callback

from mixup_tab._terminal import ProgressBar


class StepProgress(Callback):
    """Moves a bar of epochs with every training step.

    The steps of the first epoch are counted in words too, for there is no result to show yet.
    Where there is no terminal, that is a line at most every half a minute.

    Parameters
    ----------
    bar : ProgressBar
        Of epochs.
    """

    def __init__(self, bar: ProgressBar) -> None:
        self.bar = bar

    def on_epoch_begin(self, net: Any, dataset_train: Any = None, **kwargs: Any) -> None:
        """Count the steps of the epoch."""
        size = net.batch_size if net.batch_size > 0 else len(dataset_train)
        self.steps_, self.step_ = -(-len(dataset_train) // size), 0
        self._show(net)

    def on_batch_end(self, net: Any, training: bool = False, **kwargs: Any) -> None:
        """Move the bar."""
        if training:
            self.step_ += 1
            self._show(net)

    def _show(self, net: Any) -> None:
        done = len(net.history) - 1
        remark = "" if done else f"first epoch: step {self.step_:,} of {self.steps_:,}"
        self.bar.update(done + self.step_ / self.steps_, net.max_epochs, remark, passing=True)
