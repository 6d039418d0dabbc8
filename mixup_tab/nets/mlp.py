"""Fully connected nets, single or stacked, with a hand-written backward pass.

Notation of the comments: K members, B rows in a batch, L layers. Layer l of member k computes
z_l = a_l W_lᵀ + b_l from its inputs a_l, and a_{l+1} = ReLU(z_l) · mask_l / keep. Weights are
kept as (K, out, in), biases as (K, 1, out), activations as (K, B, width), so that every product
is one batched matrix product (``bmm``) over all members.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn

from mixup_tab._torch_private import own_parameters, relu_backward_
from mixup_tab.nets.columns import Columns
from mixup_tab.nets.stacked import Halves, StackedNet

# Values per chunk of rows in prediction, so that its hidden layers stay in the cache.
_CHUNK_VALUES = 1 << 17

# Dtypes of inputs that are predicted in the precision of the weights.
_SINGLE = (torch.float32, torch.float16, torch.bfloat16)


class MLP(nn.Module, StackedNet):
    """A ReLU net, or a stack of ``n_members`` independent ones.

    Every parameter has a leading model axis, so a stack is trained with batched matrix
    products at a fraction of the cost of training its members one by one. :meth:`backward`
    computes the gradients without autograd, which is three times as fast for such small nets.

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
        One generator per member for its initial weights; None uses torch's global one.
    input_layer : nn.Module, default=None
        Layer without trainable parameters that is applied to the inputs first, such as
        :class:`RobustScale`; in training to whole blocks of batches before they are mixed.

    Notes
    -----
    Shape: inputs ``(batch, in_features)`` give ``(batch, out_features)`` for one net
    and ``(members, batch, out_features)`` for a stack; inputs ``(members, batch,
    in_features)`` always give ``(members, batch, out_features)``.

    Computation has the precision of the inputs: single, or double for whole numbers in front
    of an input layer.

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

    # Cache of predictor_of; a slot, so that it is neither copied nor saved.
    __slots__ = ("_predictor",)
    _predictor: Any

    one_call = True
    weight0: nn.Parameter

    def __init__(
        self,
        in_features: int,
        out_features: int,
        hidden_layer_sizes: Sequence[int] = (128, 128),
        *,
        dropout: float = 0.0,
        n_members: int = 1,
        generators: Sequence[torch.Generator] | None = None,
        input_layer: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.dropout: float | list[float] = dropout
        self.n_members = n_members
        self.input_layer: nn.Module | None = input_layer
        sizes = [in_features, *hidden_layer_sizes, out_features]
        self.width = max(sizes[1:])
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes)):
            weight = torch.empty(n_members, fan_out, fan_in)
            self.register_parameter(f"weight{layer}", nn.Parameter(weight))
            self.register_parameter(
                f"bias{layer}", nn.Parameter(torch.empty(n_members, 1, fan_out))
            )
        self.reset_parameters(generators)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state for copies and pickles, without the predictor."""
        return vars(self).copy()

    def layers(self) -> Iterator[tuple[nn.Parameter, nn.Parameter]]:
        """Iterate over (weight, bias), shapes (members, out, in) and (members, 1, out)."""
        # The dict itself: attributes of nn.Module are slow, and this is called at every step.
        parameters = iter(own_parameters(self).values())
        return zip(parameters, parameters, strict=True)

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

    # ------------------------------------------------------------------ forward pass

    def prepare(self, x: Tensor) -> Tensor:
        """Apply the input layer to raw inputs of any leading shape and dtype.

        The result has the dtype of the weights.
        """
        return self._prepare(x, self.weight0.dtype)

    def prepare_to_predict(self, x: Tensor) -> Tensor:
        """Apply the input layer; the result is float64 unless inputs are in single precision.

        On MPS, which has no double precision, it has the dtype of the weights.
        """
        weight = own_parameters(self)["weight0"]
        single = x.dtype in _SINGLE or weight.is_mps
        return self._prepare(x, weight.dtype if single else torch.float64)

    def _prepare(self, x: Tensor, dtype: torch.dtype) -> Tensor:
        if self.input_layer is None:
            return x
        return self.input_layer(x).to(own_parameters(self)["weight0"].device, dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs for raw inputs; see the class for shapes."""
        return self.body(self.prepare_to_predict(x))

    def body(
        self,
        x: Tensor,
        generators: Sequence[torch.Generator] | None = None,
        change: Callable[[int, Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Return the outputs for prepared inputs.

        Parameters
        ----------
        x : Tensor
            Prepared inputs; see the class for shapes.
        generators : sequence of torch.Generator, default=None
            One generator per member for dropout masks; None uses torch's global one.
        change : callable, default=no change
            ``change(k, x)`` replaces the inputs of layer k, shape (members, batch, width).

        Returns
        -------
        Tensor
        """
        single = x.dim() == 2 and self.n_members == 1
        if x.dim() == 2:
            x = x.expand(self.n_members, *x.shape)
        dropout = self._make_dropout(generators) if self.training else None
        for k, (weight, bias) in enumerate(self.layers()):
            if k:
                x = x.relu_()  # in place: baddbmm returned a fresh tensor
                x = x if dropout is None else dropout(x)
            x = x if change is None else change(k, x)
            x = torch.baddbmm(bias.to(x.dtype), x, weight.to(x.dtype).mT)
        return x[0] if single else x

    # ----------------------------------------------------------------- backward pass

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
            One generator per member for dropout masks.

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

        It caches parameters and gradients, so that a step has no lookups. Call it where no
        gradient is recorded.

        With δ_L the gradient of the loss with respect to the outputs, from the last layer down:
        ∂W_l = δ_lᵀ a_l, ∂b_l = Σ_rows δ_l, and δ_{l−1} = (δ_l W_l) · [a_l > 0] / keep.

        Parameters
        ----------
        criterion, generators
            As in :meth:`backward`.
        rows : sequence of int, default=None
            Number of rows of each member's batch that are not padding, if not all. The δ of
            padding is zero because its targets are; only dropout must not draw for it.

        Returns
        -------
        callable
        """
        if self.weight0.grad is None:
            self._make_gradients()
        dropout = self._make_dropout(generators, rows)
        weights = [weight.detach() for weight, _ in self.layers()]
        turned = [weight.mT for weight in weights]  # views, they follow the weights
        biases = [bias.detach() for _, bias in self.layers()]
        grads = [(weight.grad, bias.grad) for weight, bias in self.layers()]
        last, gradient = len(weights) - 1, cast("Callable", criterion.gradient)
        # Memory for activations and slopes by shape of a batch: a full one, and the smaller one
        # at the end of an epoch. Every step reuses it, because allocating costs time, and more
        # when several threads allocate at once.
        buffers: dict[torch.Size, _Buffers] = {}

        def step(x: Tensor, targets: Tensor) -> Tensor:
            room = buffers.get(x.shape)
            if room is None:
                room = buffers[x.shape] = _Buffers(x, weights)
            inputs = [x, *room.values]  # a_0 = x, a_1, …: filled in the forward pass
            for layer, values in enumerate(room.values):
                torch.baddbmm(biases[layer], inputs[layer], turned[layer], out=values)
                values.relu_()
                if dropout is not None:
                    values.mul_(dropout.mask(values))
            # Not into a buffer: the caller keeps the outputs to compute the loss of many steps.
            outputs = torch.baddbmm(biases[last], inputs[last], turned[last])
            slope = gradient(outputs, targets)
            for layer in range(last, -1, -1):
                weight_grad, bias_grad = grads[layer]
                torch.bmm(slope.mT, inputs[layer], out=weight_grad)
                # (K, 1, B) ones times (K, B, out): a sum over rows, faster than sum().
                torch.bmm(room.ones, slope, out=bias_grad)
                if layer:
                    below = room.slopes[layer - 1]
                    torch.bmm(slope, weights[layer], out=below)
                    # A dropped unit is zero too, so [a > 0] covers ReLU and dropout.
                    slope = relu_backward_(below, inputs[layer])
                    if dropout is not None:
                        slope.div_(dropout.keep(slope))
            return outputs

        return step

    @torch.inference_mode(False)  # autograd may want to add to them later
    def _make_gradients(self) -> None:
        for parameter in self.parameters():
            parameter.grad = torch.zeros_like(parameter.detach())

    def _make_dropout(
        self,
        generators: Sequence[torch.Generator] | None,
        rows: Sequence[int] | None = None,
    ) -> _Dropout | None:
        shares = self._shares()
        return _Dropout(shares, generators, rows) if any(shares) else None

    def _shares(self) -> list[float]:
        """Share of dropout of every member."""
        shares = self.dropout
        return shares if isinstance(shares, list) else [shares] * self.n_members

    # ----------------------------------------------------- members that join a stack

    @classmethod
    def join(cls, nets: Sequence[MLP]) -> MLP:
        """Join nets into one stack; their parameters become views of it.

        Parameters
        ----------
        nets : sequence of MLP
            Nets with the same layer sizes. Their parameters are slices of the stack's until
            :meth:`leave` is called on them.

        Returns
        -------
        MLP
        """
        stack = cls.__new__(cls)  # without drawing initial weights
        nn.Module.__init__(stack)
        stack.n_members = sum(net.n_members for net in nets)
        stack.width, stack.input_layer = nets[0].width, None
        stack.dropout = [share for net in nets for share in net._shares()]
        for name in own_parameters(nets[0]):
            data = torch.cat([own_parameters(net)[name].detach() for net in nets])
            stack.register_parameter(name, nn.Parameter(data))
            parts = data.split([net.n_members for net in nets])
            for net, part in zip(nets, parts, strict=True):
                # The Parameter object stays, because optimizers know a parameter by it.
                own_parameters(net)[name].data = part
        return stack

    def leave(self) -> None:
        """Copy the parameters out of the stack again after :meth:`join`."""
        for parameter in own_parameters(self).values():
            parameter.data = parameter.detach().clone()

    @property
    def can_join(self) -> bool:
        """Whether :meth:`join` gives the same results; a subclass may override methods."""
        names = ("prepare", "forward", "body", "bind", "backward", "layers")
        return all(getattr(type(self), name) is getattr(MLP, name) for name in names)

    # ------------------------------------------------- the rest of the interface of a stack

    @property
    def has_manual_backward(self) -> bool:
        """Whether :meth:`bind` computes the gradients of :meth:`body` for all parameters."""
        own_body = type(self).body is not MLP.body and type(self).bind is MLP.bind
        return not own_body and all(p.requires_grad for p in own_parameters(self).values())

    def nets(self) -> list[nn.Module]:
        """Return the stack, once per member."""
        return [self] * self.n_members

    def halves(self) -> list[Halves]:
        """Return :meth:`prepare_to_predict` and :meth:`body`, for all members at once."""
        return [(self.prepare_to_predict, self.body)]

    def prepare_member(self, member: int, x: Tensor) -> Tensor:
        """Apply the input layer, which is the same for all members."""
        return self.prepare(x)

    def input_dtype(self, given: torch.dtype, *, training: bool, device: str) -> torch.dtype:
        """Return the dtype of the weights; in prediction, float64 stays float64.

        An input layer takes any dtype.
        """
        if self.input_layer is not None:
            return given
        if given == torch.float64 and not training and not str(device).startswith("mps"):
            return given
        return self.weight0.dtype

    def member_tensors(self, member: int) -> dict[str, Tensor]:
        """Return views of one member's parameters by name."""
        return {name: p.detach()[member] for name, p in own_parameters(self).items()}

    @property
    def groups(self) -> tuple[Tensor, int] | None:
        """The table column of each output of the input layer, and the number of columns."""
        layer = self.input_layer
        return (layer.groups, layer.n_columns) if isinstance(layer, Columns) else None

    def rows_per_chunk(self, batch_size: int) -> int:
        """Return the number of rows whose hidden layers fit in the cache."""
        return max(_CHUNK_VALUES // (self.width * self.n_members), 16)

    def multiplications(self, row: Tensor | None) -> int:
        """Return the number of weights: each multiplies once."""
        return self._n_weights

    @cached_property
    def _n_weights(self) -> int:  # counting takes a tenth of the time of predicting one row
        return sum(parameter.numel() for parameter in own_parameters(self).values())

    def hidden_layers(self) -> list[str]:
        """Return "layer1", "layer2", …: the outputs of hidden layers after ReLU."""
        return [f"layer{k}" for k in range(1, len(own_parameters(self)) // 2)]

    def blocks(self) -> list[str]:
        """Return all hidden layers."""
        return self.hidden_layers()


class _Buffers:
    """Memory for the hidden layers of a training pass over batches of one shape."""

    def __init__(self, x: Tensor, weights: Sequence[Tensor]) -> None:
        members, batch = x.shape[:2]
        shapes = [(members, batch, weight.shape[1]) for weight in weights[:-1]]
        self.values = [x.new_empty(shape) for shape in shapes]
        self.slopes = [x.new_empty(shape) for shape in shapes]
        self.ones = x.new_ones((members, 1, batch))  # not expanded: bmm would copy it


class _Dropout:
    """Dropout of a stack; every member has its own share and generator."""

    def __init__(
        self,
        shares: Sequence[float],
        generators: Sequence[torch.Generator] | None,
        rows: Sequence[int] | None,
    ) -> None:
        self.rows: Sequence[int | None] = rows or [None] * len(shares)
        self.drawn = [k for k, share in enumerate(shares) if share]
        self.shares, self.generators = shares, generators
        # One number for all members, which needs no tensor on the device, or one per member.
        self._keep: float | Tensor | None = 1 - shares[0] if len({*shares}) == 1 else None

    def keep(self, x: Tensor) -> float | Tensor:
        """Return the share of units to keep, a number or a cached tensor (members, 1, 1)."""
        if self._keep is None:
            keep = [[[1 - share]] for share in self.shares]
            self._keep = torch.tensor(keep, dtype=x.dtype, device=x.device)
        return self._keep

    def mask(self, x: Tensor) -> Tensor:
        """Draw the factors of ``x``: 0, or one over the share to keep."""
        mask = torch.ones_like(x)
        for k in self.drawn:
            # Without padding, so that a member draws the same numbers as when trained alone.
            part = mask[k, : self.rows[k]]
            source = self.generators[k] if self.generators else None
            part.bernoulli_(1 - self.shares[k], generator=source)
        return mask.div_(self.keep(x))

    def __call__(self, x: Tensor) -> Tensor:
        return x * self.mask(x)
