"""One interface to all nets: an MLP with many members, any module, or an ensemble of modules.

Training uses only :func:`as_stack`: for the number of members, what happens to inputs before
and after mixing, and the dtype. :class:`~mixup_tab.MLP` implements the interface, other modules
are adapted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

# A net in two parts: before and after mixing.
Halves = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


class PreparedNet(nn.Module):
    """A net in two parts, between which :class:`~mixup_tab.MixupNet` mixes.

    In training, raw inputs go through :meth:`prepare`, are mixed, and go on through
    :meth:`body`; prediction does not mix. Both parts run on the device, batch by batch. Raw
    integers, such as 16-bit samples, are passed without conversion, which saves memory on large
    data sets.

    Set ``augments`` in your subclass if :meth:`prepare` changes inputs at random in training
    mode. Its random numbers must come from torch's functions; they are drawn from the seed of
    the estimator. Otherwise a small data set is prepared only once, for all members of an
    ensemble. No gradient reaches the parameters of :meth:`prepare`.

    Estimators pass 16-bit integers unchanged if ``module`` is the subclass or a
    ``functools.partial`` of it; if ``module`` is a function, they pass floats.

    Attributes
    ----------
    augments : bool
        Whether :meth:`prepare` is random in training mode.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.nets import PreparedNet
    >>> class Halves(PreparedNet):
    ...     def __init__(self, in_features, out_features):
    ...         super().__init__()
    ...         self.layer = torch.nn.Linear(in_features, out_features)
    ...     def prepare(self, x):
    ...         return x.float() / 2
    ...     def body(self, x):
    ...         return self.layer(x)
    >>> Halves(4, 3)(torch.ones(2, 4, dtype=torch.int16)).shape
    torch.Size([2, 3])
    """

    augments = False

    @abstractmethod
    def prepare(self, x: Tensor) -> Tensor:
        """Turn raw inputs into the values to mix.

        Parameters
        ----------
        x : Tensor, shape (batch, *features)
            Raw inputs.

        Returns
        -------
        Tensor of a floating point type, shape (batch, *prepared)
        """

    @abstractmethod
    def body(self, x: Tensor) -> Tensor:
        """Return outputs for prepared inputs, which may be mixed.

        Parameters
        ----------
        x : Tensor, shape (batch, *prepared)
            Result of :meth:`prepare`.

        Returns
        -------
        Tensor, shape (batch, outputs)
        """

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs for raw inputs.

        Parameters
        ----------
        x : Tensor, shape (batch, *features)
            Raw inputs.

        Returns
        -------
        Tensor, shape (batch, outputs)
        """
        return self.body(self.prepare(x))


class Ensemble(nn.Module):
    """Independent nets of any architecture, called as one.

    Parameters
    ----------
    members : sequence of nn.Module
        Nets with equal input and output shapes.
    """

    def __init__(self, members: Sequence[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs of every member for the same inputs.

        Parameters
        ----------
        x : Tensor, shape (batch, *features)
            Inputs.

        Returns
        -------
        Tensor, shape (members, batch, outputs)
        """
        return torch.stack([net(x) for net in self.members])


class StackedNet:
    """The interface to nets that training and prediction use.

    Attributes
    ----------
    one_call : bool
        Whether ``body(x, generators, change)`` computes all members at once, from inputs of
        shape (members, batch, ...). Otherwise the nets of :meth:`nets` are called one by one.
    augments : bool
        Whether :meth:`prepare_member` is random in training.
    """

    one_call = False
    augments = False

    @property
    def has_manual_backward(self) -> bool:
        """Whether ``bind(criterion, generators)`` returns a training pass without autograd."""
        return False

    @property
    def can_join(self) -> bool:
        """Whether ``join(nets)`` can make one stack of several nets."""
        return False

    def nets(self) -> list[nn.Module]:
        """Return the net of every member; a net with all members is repeated."""
        raise NotImplementedError

    def halves(self) -> list[Halves]:
        """Return the parts before and after mixing, in as few pairs as cover all members."""
        raise NotImplementedError

    def prepare(self, x: Tensor) -> Tensor:
        """Prepare inputs, as far as that is the same for all members and epochs."""
        raise NotImplementedError

    def prepare_member(self, member: int, x: Tensor) -> Tensor:
        """Prepare raw inputs, shape (batch, *features), completely for one member."""
        raise NotImplementedError

    def input_dtype(self, given: torch.dtype, *, training: bool, device: str) -> torch.dtype:
        """Return the dtype in which inputs of a given dtype are passed to the net.

        Nets are trained in the dtype of their weights. An MLP predicts float64 inputs in
        double precision (except on MPS, which has none), so that the prediction of a row does
        not depend on the rest of the batch. A PreparedNet takes integers unchanged.
        """
        raise NotImplementedError

    def member_tensors(self, member: int) -> dict[str, Tensor]:
        """Return one member's parameters and buffers by name, without copying."""
        raise NotImplementedError

    @property
    def groups(self) -> tuple[Tensor, int] | None:
        """The table column of each prepared input, and the number of columns.

        None if every input is a column of its own.
        """
        return None

    def rows_per_chunk(self, batch_size: int) -> int:
        """Return the number of rows per call in validation and prediction."""
        raise NotImplementedError

    def multiplications(self, row: Tensor | None) -> int:
        """Count the multiplications of a forward pass of one row, shape (1, *features).

        Without a row, each weight counts once.
        """
        raise NotImplementedError

    def hidden_layers(self) -> list[str]:
        """Return the names of the hidden layers that can be mixed, blocks first."""
        raise NotImplementedError

    def blocks(self) -> list[str]:
        """Return the hidden layers that mixing draws from by default."""
        raise NotImplementedError


def as_stack(module: nn.Module) -> StackedNet:
    """Return the interface of a net.

    Parameters
    ----------
    module : nn.Module
        An MLP, an :class:`Ensemble`, or any other net.

    Returns
    -------
    StackedNet

    Examples
    --------
    >>> from torch import nn
    >>> from mixup_tab.nets.stacked import as_stack
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> as_stack(net).hidden_layers()
    ['0', '1', '2']
    """
    return module if isinstance(module, StackedNet) else _Adapted(module)


# Multiplications of a module by shape of a row, cached: counting costs a forward pass.
_counted: WeakKeyDictionary[nn.Module, dict[torch.Size, int]] = WeakKeyDictionary()


class _Adapted(StackedNet):
    """Adapter for any module: one net, or the members of an :class:`Ensemble`."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._nets = list(module.members) if isinstance(module, Ensemble) else [module]
        # The same nets, if they are PreparedNets.
        self._prepared = [net for net in self._nets if isinstance(net, PreparedNet)]
        self.augments = bool(self._prepared) and self._prepared[0].augments

    def nets(self) -> list[nn.Module]:
        return self._nets

    def halves(self) -> list[Halves]:
        if self._prepared:
            return [(net.prepare, net.body) for net in self._prepared]
        return [(nn.Identity(), net) for net in self._nets]

    def prepare(self, x: Tensor) -> Tensor:
        return self._prepared[0].prepare(x) if self._prepared and not self.augments else x

    def prepare_member(self, member: int, x: Tensor) -> Tensor:
        return self._prepared[member].prepare(x) if self._prepared else x

    def input_dtype(self, given: torch.dtype, *, training: bool, device: str) -> torch.dtype:
        if self._prepared and not given.is_floating_point:
            return given
        return weights_dtype(self._module)

    def member_tensors(self, member: int) -> dict[str, Tensor]:
        return self._nets[member].state_dict()

    def rows_per_chunk(self, batch_size: int) -> int:
        return max(batch_size, 256)

    def multiplications(self, row: Tensor | None) -> int:
        weights = list(self._module.parameters())
        least = sum(weight.numel() for weight in weights)
        if row is None or not weights:
            return least
        known = _counted.setdefault(self._module, {})
        if row.shape not in known:
            dtype = self.input_dtype(row.dtype, training=False, device="cpu")
            row = row.to(weights[0].device, dtype)
            known[row.shape] = max(_count_multiplications(self._module, row), least)
        return known[row.shape]

    def hidden_layers(self) -> list[str]:
        blocks = self.blocks()
        names = [name for name, _ in self._nets[0].named_modules() if name]
        return [*blocks, *(name for name in names if name not in blocks)]

    def blocks(self) -> list[str]:
        """Names of the outermost submodules with weights, without the last one."""
        prefix, children = "", _with_weights(self._nets[0])
        while len(children) == 1:  # a net in a wrapper
            name, only = children[0]
            prefix, children = f"{prefix}{name}.", _with_weights(only)
        return [prefix + name for name, _ in children[:-1]]


def weights_dtype(module: nn.Module) -> torch.dtype:
    """Return the dtype of a net's weights, in which it is trained; float32 without any."""
    first = next(module.parameters(), None)
    return torch.float32 if first is None else first.dtype


def _with_weights(net: nn.Module) -> list[tuple[str, nn.Module]]:
    return [
        (name, child)
        for name, child in net.named_children()
        if next(child.parameters(), None) is not None
    ]


@torch.inference_mode()
def _count_multiplications(module: nn.Module, row: Tensor) -> int:
    """Count the multiplications of a net, also those of convolutions."""
    counts: list[int] = []

    def count(layer: nn.Module, inputs: object, output: object) -> None:
        weight = getattr(layer, "weight", None)
        if isinstance(output, Tensor) and weight is not None and weight.dim() > 1:
            counts.append(weight.numel() * output.numel() // len(weight))

    handles = [layer.register_forward_hook(count) for layer in module.modules()]
    was_training = module.training
    try:
        module.eval()(row)
    finally:
        module.train(was_training)
        for handle in handles:
            handle.remove()
    return sum(counts)
