"""Fully connected nets, one or a stack of independent ones."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from itertools import pairwise

import torch
from torch import Tensor, nn

_relu_backward = torch.ops.aten.threshold_backward.grad_input


class MLP(nn.Module):
    """A ReLU net, or a stack of ``n_members`` independent ones.

    Every parameter carries a leading model axis, so a stack is trained with batched
    matrix products at a fraction of the cost of training its members one by one.
    :meth:`backward` writes the gradients by hand, which for nets this small is three
    times as fast as recording a graph.

    Parameters
    ----------
    in_features : int
        Number of input features.
    out_features : int
        Number of outputs.
    hidden_layer_sizes : sequence of int, default=(128, 128)
        Width of each hidden layer; empty for a linear model.
    dropout : float, default=0.0
        Share of hidden units set to zero in training, in [0, 1).
    n_members : int, default=1
        Number of stacked nets.
    generators : sequence of torch.Generator, default=None
        One source of randomness per member for its initial weights; None takes
        torch's global one.
    front : nn.Module, default=None
        Map without trainable parameters that is applied to the inputs first, such as
        :class:`RobustScale`. In training it is applied to whole blocks of batches
        before they are mixed.

    Notes
    -----
    Shape: inputs ``(batch, in_features)`` give ``(batch, out_features)`` for one net
    and ``(members, batch, out_features)`` for a stack; inputs ``(members, batch,
    in_features)`` always give ``(members, batch, out_features)``.

    The precision of the computation is that of the inputs.

    Weights start uniform in ±1/√fan_in, like ``torch.nn.Linear``.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab import MLP
    >>> MLP(4, 3)(torch.zeros(5, 4)).shape
    torch.Size([5, 3])
    >>> MLP(4, 3, n_members=8)(torch.zeros(5, 4)).shape
    torch.Size([8, 5, 3])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        *,
        dropout: float = 0.0,
        n_members: int = 1,
        generators: Sequence[torch.Generator] | None = None,
        front: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.dropout: float | list[float] = dropout
        self.n_members = n_members
        self.front = front
        sizes = [in_features, *hidden_layer_sizes, out_features]
        self.width = max(sizes[1:])
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            weight = torch.empty(n_members, fan_out, fan_in)
            self.register_parameter(f"weight{layer}", nn.Parameter(weight))
            self.register_parameter(
                f"bias{layer}", nn.Parameter(torch.empty(n_members, 1, fan_out))
            )
        self.reset_parameters(generators)

    @classmethod
    def join(cls, nets: Sequence[MLP]) -> MLP:
        """Return one stack of all members of several nets, which become views of it.

        Parameters
        ----------
        nets : sequence of MLP
            Nets of the same layer sizes. From here on their parameters are slices of the
            stack's, until :meth:`leave` is called on them.

        Returns
        -------
        MLP
        """
        stack = cls.__new__(cls)
        nn.Module.__init__(stack)
        stack.n_members = sum(net.n_members for net in nets)
        stack.width, stack.front = nets[0].width, None
        stack.dropout = [net.dropout for net in nets for _ in range(net.n_members)]
        for name in nets[0]._parameters:
            data = torch.cat([net._parameters[name].detach() for net in nets])
            stack.register_parameter(name, nn.Parameter(data))
            parts = data.split([net.n_members for net in nets])
            for net, part in zip(nets, parts, strict=True):
                net._parameters[name].data = part
        return stack

    def leave(self) -> None:
        """Give the parameters memory of their own again after :meth:`join`."""
        for parameter in self._parameters.values():
            parameter.data = parameter.detach().clone()

    def layers(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        """Iterate over (weight, bias), shapes (members, out, in) and (members, 1, out)."""
        parameters = iter(self._parameters.values())
        return zip(parameters, parameters, strict=True)

    def member_tensors(self, member: int) -> dict[str, Tensor]:
        """Return views of one member's parameters by name."""
        return {name: p.detach()[member] for name, p in self._parameters.items()}

    @torch.no_grad()
    def reset_parameters(self, generators: Sequence[torch.Generator] | None = None) -> None:
        """Draw new initial weights, each member from its own generator."""
        for member in range(self.n_members):
            generator = generators[member] if generators else None
            for weight, bias in self.layers():
                bound = 1 / math.sqrt(max(weight.shape[-1], 1))
                for tensor in (weight[member], bias[member]):
                    drawn = torch.rand(
                        tensor.shape,
                        generator=generator,
                        device=generator.device if generator else tensor.device,
                    )
                    tensor.copy_((2 * drawn - 1) * bound)

    def prepare(self, x: Tensor) -> Tensor:
        """Apply the front to raw inputs of any leading shape."""
        return x if self.front is None else self.front(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs for raw inputs; see the class for shapes."""
        return self.body(self.prepare(x))

    def body(
        self,
        x: Tensor,
        generators: Sequence[torch.Generator] | None = None,
        change: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return the outputs for inputs that :meth:`prepare` has seen.

        Parameters
        ----------
        x : Tensor
            Prepared inputs; see the class for shapes.
        generators : sequence of torch.Generator, default=None
            One source of dropout masks per member; None takes torch's global one.
        change : callable, default=no change
            ``change(k, x)`` stands in for the inputs of layer k, shape (members, batch, width).

        Returns
        -------
        Tensor
        """
        single = x.dim() == 2 and self.n_members == 1
        if x.dim() == 2:
            x = x.expand(self.n_members, *x.shape)
        layers = list(self.layers())
        if x.dtype != layers[0][0].dtype:
            layers = [(weight.to(x.dtype), bias.to(x.dtype)) for weight, bias in layers]
        dropout = self._make_dropout(generators) if self.training else None
        outputs = self._run(x, layers, dropout, change)
        return outputs[0] if single else outputs

    def backward(
        self,
        x: Tensor,
        targets: Tensor,
        criterion: nn.Module,
        generators: Sequence[torch.Generator],
    ) -> Tensor:
        """Run one training pass and write the gradients to ``parameter.grad``.

        Parameters
        ----------
        x : Tensor, shape (members, batch, in_features)
            Prepared inputs.
        targets : Tensor, shape (members, batch, columns)
            Target rows of the criterion.
        criterion : nn.Module
            With a method ``gradient(outputs, targets)``.
        generators : sequence of torch.Generator
            One source of dropout masks per member.

        Returns
        -------
        Tensor, shape (members, batch, out_features)
            The outputs.
        """
        with torch.no_grad():
            return self.bind(criterion, generators)(x, targets)

    def bind(
        self,
        criterion: nn.Module,
        generators: Sequence[torch.Generator],
        rows: Sequence[int] | None = None,
    ) -> Callable[[Tensor, Tensor], Tensor]:
        """Return :meth:`backward` as a function of inputs and targets, for a loop.

        It holds on to parameters and gradients, so that a step looks nothing up. It is to
        be called where no gradient is recorded.

        Parameters
        ----------
        criterion, generators
            As in :meth:`backward`.
        rows : sequence of int, default=None
            Number of rows of each member's batch that are not padding, if not all.

        Returns
        -------
        callable
        """
        if self.weight0.grad is None:
            self._make_gradients()
        dropout = self._make_dropout(generators, rows)
        grads = [(weight.grad, bias.grad) for weight, bias in self.layers()]
        layers = [(weight.detach(), bias.detach()) for weight, bias in self.layers()]
        turned = [weight.mT for weight, _ in layers]
        # Written over in every step: threads that allocate wait for each other.
        buffers: dict[torch.Size, list[tuple[Tensor, Tensor]]] = {}

        def step(x: Tensor, targets: Tensor) -> Tensor:
            if x.shape not in buffers:
                buffers[x.shape] = _hidden_buffers(x, layers)
            hidden = buffers[x.shape]
            inputs = [x, *(values for values, _ in hidden)]
            for layer, (values, _) in enumerate(hidden):
                torch.baddbmm(layers[layer][1], inputs[layer], turned[layer], out=values)
                values.relu_()
                if dropout is not None:
                    values.mul_(dropout.mask(values))
            outputs = torch.baddbmm(layers[-1][1], inputs[-1], turned[-1])
            slope = criterion.gradient(outputs, targets)
            ones = _ones(slope.shape[0], slope.shape[1], slope.dtype, slope.device)
            for layer in range(len(layers) - 1, -1, -1):
                weight_grad, bias_grad = grads[layer]
                torch.bmm(slope.mT, inputs[layer], out=weight_grad)
                torch.bmm(ones, slope, out=bias_grad)  # a sum, only faster
                if layer:
                    values, below = hidden[layer - 1]
                    torch.bmm(slope, layers[layer][0], out=below)
                    # A dropped unit is zero, so one test serves ReLU and dropout.
                    slope = _relu_backward(below, values, 0, grad_input=below)
                    if dropout is not None:
                        slope.div_(dropout.keep(slope))
            return outputs

        return step

    @torch.inference_mode(False)
    def _make_gradients(self) -> None:
        for parameter in self.parameters():
            parameter.grad = torch.zeros_like(parameter.detach())

    def _run(
        self,
        x: Tensor,
        layers: Sequence[tuple[Tensor, Tensor]],
        dropout: Callable[[Tensor], Tensor] | None,
        change: Callable[[int, Tensor], Tensor] | None,
    ) -> Tensor:
        for k, (weight, bias) in enumerate(layers):
            if k:
                x = x.relu_()
                x = x if dropout is None else dropout(x)
            x = x if change is None else change(k, x)
            x = torch.baddbmm(bias, x, weight.mT)
        return x

    def _make_dropout(
        self,
        generators: Sequence[torch.Generator] | None,
        rows: Sequence[int] | None = None,
    ) -> _Dropout | Callable[[Tensor], Tensor] | None:
        shares = self.dropout
        if not isinstance(shares, list):
            if generators is None:
                return partial(nn.functional.dropout, p=shares) if shares else None
            shares = [shares] * self.n_members
        return _Dropout(shares, generators, rows) if any(shares) else None


@lru_cache(maxsize=8)
@torch.inference_mode(False)
def _ones(members: int, batch: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    return torch.ones((), dtype=dtype, device=device).expand(members, 1, batch)


class _Dropout:
    """Dropout of a stack, every member with its own share and source of randomness."""

    def __init__(
        self,
        shares: Sequence[float],
        generators: Sequence[torch.Generator] | None,
        rows: Sequence[int] | None,
    ) -> None:
        self.rows = rows or [None] * len(shares)
        self.drawn = [k for k, share in enumerate(shares) if share]
        self.shares, self.generators = shares, generators
        self._keep: Tensor | None = None

    def keep(self, x: Tensor) -> Tensor:
        """Shares that are kept, shape (members, 1, 1)."""
        if self._keep is None:
            keep = [[[1 - share]] for share in self.shares]
            self._keep = torch.tensor(keep, dtype=x.dtype, device=x.device)
        return self._keep

    def mask(self, x: Tensor) -> Tensor:
        """Draw what ``x`` is to be multiplied by."""
        mask = torch.ones_like(x)
        for k in self.drawn:
            part = mask[k, : self.rows[k]]
            source = self.generators[k] if self.generators else None
            part.bernoulli_(1 - self.shares[k], generator=source)
        return mask.div_(self.keep(x))

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.mask(x)


def _hidden_buffers(
    x: Tensor, layers: Sequence[tuple[Tensor, Tensor]]
) -> list[tuple[Tensor, Tensor]]:
    """Room for the values and the slopes of every hidden layer."""
    shapes = [(*x.shape[:2], weight.shape[1]) for weight, _ in layers[:-1]]
    return [(x.new_empty(shape), x.new_empty(shape)) for shape in shapes]
