"""A skorch net whose data stays on the device, in training and in prediction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from skorch import NeuralNet
from torch import Tensor, nn

from mixup_tab.losses import MixedCrossEntropy, MixedSquaredError
from mixup_tab.nets import MLP, Ensemble, PreparedNet
from mixup_tab.training.batches import MixedBatches, PlainBatches
from mixup_tab.training.checkpoint import Checkpoint
from mixup_tab.training.device import threads_for
from mixup_tab.training.loader_batches import LoaderBatches
from mixup_tab.training.randomness import drawing_from
from mixup_tab.training.table import Examples, Table, as_arrays, as_tensor, is_array

# Values per chunk of rows in prediction: hidden layers of a chunk stay in the cache.
_CHUNK_VALUES = 1 << 17


class DeviceNet(NeuralNet):
    """How :class:`MixupNet` cuts batches and predicts.

    Arrays become tables on the device, from which batches are cut by position; anything
    else goes through skorch's ``DataLoader``.
    """

    def get_dataset(self, X: Any, y: Any = None) -> Any:
        """Wrap data; a DataFrame becomes one array, not a dict of columns."""
        return super().get_dataset(X.to_numpy() if hasattr(X, "to_numpy") else X, y)

    def get_iterator(self, dataset: Any, training: bool = False) -> Iterable:
        """Cut batches on the device where the data is an array, else use the loader."""
        if self.batch_size < 1 and self.batch_size != -1:
            raise ValueError(
                f"batch_size must be at least 1, or -1 for all rows, got {self.batch_size!r}."
            )
        arrays = as_arrays(dataset)
        if arrays is None:
            loader = super().get_iterator(dataset, training=training)
            encode = self._encoder(None)
            return LoaderBatches(
                loader, encode, self.device, self._streams_, prepare=self._prepare_loaded
            )
        x, y, rows = arrays
        n_rows = len(x) if rows is None else len(rows)
        examples = self._examples(x, y)
        self._check_outputs(x)
        rows = None if rows is None else torch.as_tensor(rows, device=self.device)
        net = members_of(self.module_)[0]
        augments = isinstance(net, PreparedNet) and net.augments
        if not training:
            return PlainBatches(
                examples,
                rows=rows,
                batch_size=self._chunk(),
                members=self.n_members,
                **({"prepare": net.prepare} if augments else {}),
            )
        return MixedBatches(
            examples,
            rows=rows,
            batch_size=n_rows if self.batch_size == -1 else self.batch_size,
            streams=self._streams_,
            augment=self._augment if augments else None,
            ahead=not self._checkpoints(),
        )

    def _checkpoints(self) -> list[Checkpoint]:
        return [callback for _, callback in self.callbacks_ if isinstance(callback, Checkpoint)]

    def _examples(self, x: Any, y: Any) -> Examples:
        """Make training examples of arrays, once per fit or stack of fits."""
        encode = self._encoder(y)
        front, criterion = getattr(self.module_, "front", None), self.criterion_
        key = (
            *(id(values) for values in (x, y, self._weight_, front)),
            *(self._dtype_, self.n_outputs_, str(self.device)),
            *(type(criterion), getattr(criterion, "label_smoothing", None)),
        )
        if key not in self._tables_:
            tables = (self._table(x), self._table(y), self._table(self._weight_))
            self._tables_[key] = Examples(*tables, encode=encode, prepare=self._prepare)
        return self._tables_[key]

    def _table(self, values: Any) -> Table | None:
        """Put an array on the device, once per fit."""
        if values is None:
            return None
        key = id(values)
        if key not in self._tables_:
            self._tables_[key] = Table(values, self.device)
        return self._tables_[key]

    @torch.no_grad()
    def _prepare(self, x: Tensor) -> Tensor:
        """Prepare examples in the way that is the same for all members and epochs."""
        net = members_of(self.module_)[0]
        if isinstance(net, PreparedNet):
            return x if net.augments else net.prepare(x)
        x = x.to(self._dtype_)
        return self.module_.prepare(x) if isinstance(self.module_, MLP) else x

    @torch.no_grad()
    def _augment(self, member: int, x: Tensor) -> Tensor:
        """Let a net prepare batches, with its own random numbers."""
        net = members_of(self.module_)[member]
        with drawing_from(self._streams_[member].augment):
            return net.prepare(x.flatten(0, 1)).unflatten(0, x.shape[:2])

    def _prepare_loaded(self, member: int, x: Tensor) -> Tensor:
        """Let a net prepare a batch that a loader gave as it lies in the dataset."""
        if isinstance(self.module_, MLP):
            return self.module_.prepare(x)
        raw = isinstance(members_of(self.module_)[member], PreparedNet)
        return self._augment(member, x.unsqueeze(0)).squeeze(0) if raw else x

    def _encoder(self, y: Any) -> Callable[[Tensor, Tensor | None], Tensor]:
        """Return the function that makes target rows, knowing the number of outputs."""
        n_outputs = self.n_outputs or getattr(self, "n_outputs_", None) or _count_outputs(y)
        self.n_outputs_ = n_outputs
        dtype = self._dtype_
        # One value per row, not a code: a column of its own.
        one_value = (
            isinstance(self.criterion_, MixedSquaredError) and getattr(y, "ndim", 1) == 1
        )

        def encode(y: Tensor, weight: Tensor | None) -> Tensor:
            y = y.to(dtype) if y.is_floating_point() else y.long()
            if one_value:
                y = y.unsqueeze(-1)
            weight = None if weight is None else weight.to(dtype)
            criterion = self.criterion_
            if not hasattr(criterion, "encode"):
                criterion = MixedCrossEntropy()
            return criterion.encode(y, weight, n_outputs).to(dtype)

        return encode

    def _check_outputs(self, x: Any) -> None:
        """Pass two rows through a module that is not ours and look at the shape."""
        known = hasattr(self.criterion_, "rows") or type(self.criterion_) is nn.CrossEntropyLoss
        if isinstance(self.module_, MLP) or not known:
            return
        outputs = self.raw_outputs(x[:2])
        expected = (self.n_members, len(x[:2]), self.n_outputs_)
        if outputs.shape != expected:
            name = getattr(self.module, "__name__", type(self.module).__name__)
            raise ValueError(
                f"module={name} returned shape {outputs.shape[1:]} for inputs of shape "
                f"{tuple(x[:2].shape)}, but {expected[1:]} is needed: one row per example, "
                "one column per class or value."
            )

    def _chunk(self) -> int:
        """Rows that go through the net at once in validation and prediction."""
        if not isinstance(self.module_, MLP):
            return max(self.batch_size, 256)
        return max(_CHUNK_VALUES // (self.module_.width * self.n_members), 16)

    def forward_iter(
        self, X: Any, training: bool = False, device: str = "cpu"
    ) -> Iterator[Tensor]:
        """Yield the outputs for chunks of rows, shape (rows, [members,] outputs)."""
        arrays = (X, None, None) if is_array(X) else as_arrays(self.get_dataset(X))
        if arrays is None:
            for batch in super().get_iterator(self.get_dataset(X), training=False):
                outputs = self.evaluation_step(batch, training=training).to(device)
                yield outputs if self.n_members == 1 else outputs.transpose(0, 1)
            return
        x, rows = as_tensor(arrays[0]), arrays[2]
        x = x if rows is None else x[torch.as_tensor(rows)]
        dtype = self._dtype_
        if x.dtype == torch.float64 and isinstance(self.module_, MLP) and self.device != "mps":
            dtype = x.dtype
        if self.module_.training != training:
            self._set_training(training)
        raw = isinstance(members_of(self.module_)[0], PreparedNet)
        for part in x.split(self._chunk()):
            with torch.inference_mode(not training):
                kind = part.dtype if raw and not part.is_floating_point() else dtype
                outputs = self.module_(part.to(self.device, kind, non_blocking=True))
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
        rows = min(self._chunk(), len(X)) if is_array(X) else self._chunk()
        with threads_for(self._multiplications(rows, X)):
            parts = list(self.forward_iter(X))
        outputs = (parts[0] if len(parts) == 1 else torch.cat(parts)).numpy()
        return outputs[None] if self.n_members == 1 else outputs.swapaxes(0, 1)

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

    def _multiplications(self, rows: int, X: Any) -> int:
        """Estimate the work of passing rows through the net and back."""
        if isinstance(self.module_, MLP) or not is_array(X):
            return 3 * self._n_weights_ * rows
        return 3 * rows * self._work_of_a_row(as_tensor(X[:1]))

    def _work_of_a_row(self, row: Tensor) -> int:
        """Count the multiplications of a net that may use its weights in many places."""
        shape, work = getattr(self, "_counted_", (None, 0))
        if shape != row.shape:
            counts: list[int] = []

            def count(layer: nn.Module, inputs: Any, output: Any) -> None:
                weight = getattr(layer, "weight", None)
                if isinstance(output, Tensor) and weight is not None and weight.dim() > 1:
                    counts.append(weight.numel() * output.numel() // len(weight))

            hooks = [layer.register_forward_hook(count) for layer in self.module_.modules()]
            try:
                next(self.forward_iter(row))
            finally:
                for hook in hooks:
                    hook.remove()
            work = max(sum(counts), self._n_weights_)
            self._counted_ = row.shape, work
        return work


def members_of(module: nn.Module) -> Sequence[nn.Module]:
    """Return the nets of a stack that is not one net; else the module itself, alone."""
    return list(module.members) if isinstance(module, Ensemble) else [module]


def _count_outputs(y: Any) -> int:
    """Number of classes in codes from 0, or of columns in values."""
    if y is None:
        raise ValueError("n_outputs must be given when the targets come from a dataset.")
    if getattr(y, "ndim", 1) > 1:
        return y.shape[1]
    kind = y.dtype.is_floating_point if isinstance(y, Tensor) else y.dtype.kind == "f"
    return 1 if kind else int(y.max()) + 1
