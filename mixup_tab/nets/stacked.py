"""One interface for all that a net may be: an MLP of many members, any module, or several.

Training asks :func:`as_stack` and nothing else: how many members there are, what happens to
inputs before they are mixed, how they are computed after that, and in which dtype.
:class:`~mixup_tab.MLP` answers for itself, other modules are adapted.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

# A net in two parts: what is done to inputs before they are mixed, and after.
Halves = tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor]]


class PreparedNet(nn.Module):
    """A net in two parts, between which :class:`~mixup_tab.MixupNet` mixes.

    In training, raw inputs go through :meth:`prepare`, are mixed, and continue through
    :meth:`body`; in prediction nothing is mixed in between. Both parts run on the device,
    batch by batch. Raw integers, such as 16-bit samples, arrive as they are stored, so that a
    large data set takes no more memory than it must.

    A subclass sets ``augments`` if :meth:`prepare` changes inputs at random in training mode.
    Everything random in there comes from torch's functions and is drawn from the seed of the
    estimator. Where nothing is random, a small data set is prepared only once, for all members
    of an ensemble. :meth:`prepare` is not trained: no gradient reaches its parameters.

    Estimators pass 16-bit integers on as they are where ``module`` is the subclass or a
    ``functools.partial`` of it; a function that returns one is given floats.

    Attributes
    ----------
    augments : bool
        Whether :meth:`prepare` draws random numbers in training mode.

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
        """Turn raw inputs into what is mixed.

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
        """Return outputs for prepared, perhaps mixed, inputs.

        Parameters
        ----------
        x : Tensor, shape (batch, *prepared)
            What :meth:`prepare` returns.

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
    """What training and prediction ask of a net.

    Attributes
    ----------
    one_call : bool
        Whether ``body(x, generators, change)`` computes all members at once, from inputs of
        shape (members, batch, ...). Else each net of :meth:`nets` is called by itself.
    augments : bool
        Whether inputs are prepared at random in training, by :meth:`prepare_member`.
    """

    one_call = False
    augments = False

    @property
    def has_manual_backward(self) -> bool:
        """Whether ``bind(criterion, generators)`` gives a training pass without autograd."""
        return False

    @property
    def can_join(self) -> bool:
        """Whether nets can be trained as one: ``join(nets)`` makes a stack of them."""
        return False

    def nets(self) -> list[nn.Module]:
        """Return the net of every member; one that holds them all, once for each."""
        raise NotImplementedError

    def halves(self) -> list[Halves]:
        """Return what is done before and after mixing, in as few calls as give all members."""
        raise NotImplementedError

    def prepare(self, x: Tensor) -> Tensor:
        """Prepare inputs in the way that is the same for all members and epochs."""
        raise NotImplementedError

    def prepare_member(self, member: int, x: Tensor) -> Tensor:
        """Do to raw inputs, shape (batch, *features), all that a member does before mixing."""
        raise NotImplementedError

    def input_dtype(self, given: torch.dtype, *, training: bool, device: str) -> torch.dtype:
        """Return the dtype in which inputs of a given dtype are handed to the net.

        Nets are trained in the dtype of their weights. An MLP predicts inputs in double
        precision in double precision (MPS has none), so that the prediction of a row does
        not depend on what else is in the batch. A PreparedNet takes integers as they are.
        """
        raise NotImplementedError

    def member_tensors(self, member: int) -> dict[str, Tensor]:
        """Return one member's parameters and buffers by name, not as copies."""
        raise NotImplementedError

    @property
    def groups(self) -> tuple[Tensor, int] | None:
        """The column of the table that each prepared input comes from, and their number.

        None where each is a column of its own.
        """
        return None

    def rows_per_chunk(self, batch_size: int) -> int:
        """Return how many rows go through the net at once in validation and prediction."""
        raise NotImplementedError

    def multiplications(self, row: Tensor | None) -> int:
        """Count the multiplications of a forward pass of one row, shape (1, *features).

        Without a row each weight counts once.
        """
        raise NotImplementedError

    def hidden_layers(self) -> list[str]:
        """Return the names of the hidden layers that can be mixed, blocks first."""
        raise NotImplementedError

    def blocks(self) -> list[str]:
        """Return the hidden layers among which mixing draws where none are named."""
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


# The work of a module for a row of a shape, counted once: counting costs a forward pass.
_counted: WeakKeyDictionary[nn.Module, dict[torch.Size, int]] = WeakKeyDictionary()


class _Adapted(StackedNet):
    """Any module behind the interface: one net, or the members of an :class:`Ensemble`."""

    def __init__(self, module: nn.Module) -> None:
        self._module = module
        self._nets = list(module.members) if isinstance(module, Ensemble) else [module]
        # The same nets again, where they are in two parts.
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
        while len(children) == 1:  # a net inside of a shell
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
    """Count the work of a net that may use its weights in many places, as convolutions do."""
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
