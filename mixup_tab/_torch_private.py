"""The private names of torch that this package uses, all in one place.

torch may change any of them. Each has a comment that says why it is used and what replaces it
if torch removes it, and a test in ``tests/test_torch_private.py`` that shows what broke.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from functools import partial
from typing import Any

import torch
from torch import Tensor

# The base class of modes that see every operation of a thread. Documented by torch, but only
# under this private path. Without it, ``drawing_from`` would have to seed the global generator
# around every forward pass, under a lock.
from torch.utils._python_dispatch import TorchDispatchMode

__all__ = [
    "TorchDispatchMode",
    "fused_adamw",
    "has_native_bfloat16",
    "has_no_modes",
    "hooks_of",
    "is_global_generator",
    "log_softmax_backward",
    "own_parameters",
    "parts_of",
    "relu_backward_",
    "standard_gamma",
    "versions",
    "with_generator",
    "without_compile_wrapper",
    "without_function_modes",
]


def fused_adamw(
    params: list[Tensor],
    grads: list[Tensor],
    means: list[Tensor],
    squares: list[Tensor],
    steps: list[Tensor],
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
    weight_decay: float,
) -> Callable[[], None]:
    """Return a function that makes one step of AdamW in place, with one call of torch.

    ``torch._fused_adamw_`` is the kernel behind ``torch.optim.AdamW(fused=True)``. It is called
    directly because the Python side of that optimizer takes eight times as long as the update
    of a 30-128-128-2 net. Replacement: ``torch.optim.adamw.adamw(..., fused=True)``, or the
    same update written with ``torch._foreach_*``.
    """
    beta1, beta2 = betas
    options = {"lr": lr, "beta1": beta1, "beta2": beta2, "weight_decay": weight_decay}
    flags = {"eps": eps, "amsgrad": False, "maximize": False}
    none: list[Tensor] = []  # the largest squares so far, which only AMSGrad keeps
    arguments = (params, grads, means, squares, none, steps)
    return partial(torch._fused_adamw_, *arguments, **options, **flags)


# (slope, log-probabilities, axis, dtype) -> slope − p · Σ slope: what autograd calls for
# log_softmax, one operation instead of four. Replacement: the formula itself.
_log_softmax_backward_data = torch._log_softmax_backward_data


def log_softmax_backward(slope: Tensor, log_probabilities: Tensor) -> Tensor:
    """Return the gradient with respect to the inputs of ``log_softmax`` over the last axis."""
    return _log_softmax_backward_data(slope, log_probabilities, -1, log_probabilities.dtype)


# (slope, values, threshold, *, grad_input): the slope where the value is above the threshold,
# else 0, written into grad_input. Replacement: ``slope.mul_(values > 0)``, two operations.
_threshold_backward = torch.ops.aten.threshold_backward.grad_input


def relu_backward_(slope: Tensor, values: Tensor) -> Tensor:
    """Set the slope to zero, in place, where the output of a ReLU is zero."""
    return _threshold_backward(slope, values, 0, grad_input=slope)


def standard_gamma(concentration: Tensor, generator: torch.Generator) -> Tensor:
    """Draw from Gamma(concentration, 1).

    ``torch.distributions.Gamma`` calls the same function, but takes no generator. Replacement:
    rejection sampling (Marsaglia and Tsang 2000) on numbers that the generator draws.
    """
    return torch._standard_gamma(concentration, generator=generator)


def without_compile_wrapper(function: Callable) -> Callable:
    """Return a function as it was before torch wrapped it for ``torch.compile``.

    The wrapper imports the compiler on the first call, which takes seconds. It keeps the
    function as ``__wrapped__``, by convention of ``functools.wraps``. Without a wrapper the
    function itself is returned, so nothing has to replace this.
    """
    return inspect.unwrap(function)


def is_global_generator(generator: torch.Generator) -> bool:
    """Whether a generator is torch's global one of the CPU.

    Python sees a new object in every dispatched operation; ``_cdata`` is the address of the
    generator behind it. Replacement: compare ``get_state()`` of both, which is slower.
    """
    return generator._cdata == torch.default_generator._cdata  # type: ignore[attr-defined]


def with_generator(operation: Any) -> Any:
    """Return the overload of an operation that takes a generator beside the same arguments.

    Reads argument names from ``_schema``. Replacement: a hand-written table of the random
    operations. None if there is no such overload.
    """
    names = [argument.name for argument in operation._schema.arguments]
    if "generator" in names:
        return operation
    packet = operation.overloadpacket
    for overload in (getattr(packet, name) for name in packet.overloads()):
        others = [argument.name for argument in overload._schema.arguments]
        if "generator" in others and sorted(names) == sorted(set(others) - {"generator"}):
            return overload
    return None


def own_parameters(module: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Return the parameters of a module, without those of its submodules, by name.

    The dict in which ``nn.Module`` keeps them. Replacement: ``dict(named_parameters(
    recurse=False))``, which takes as long as predicting a row.
    """
    return module._parameters  # type: ignore[return-value]


def parts_of(module: torch.nn.Module) -> list[dict[str, Any]]:
    """Return the dicts of a module's own parameters, buffers and submodules.

    Replacement: ``named_parameters`` and the like, for ten times as long.
    """
    return [module._parameters, module._buffers, module._modules]


def hooks_of(module: torch.nn.Module) -> list[dict[int, Any]]:
    """Return the dicts of hooks that are called before and after a module's forward pass.

    No public function returns them; without these dicts, hooks would go unnoticed.
    """
    return [module._forward_pre_hooks, module._forward_hooks]


def versions(tensors: Iterable[Tensor]) -> list[int]:
    """Return how often each tensor has been changed in place, as autograd counts it.

    Replacement: comparing their content.
    """
    return [tensor._version for tensor in tensors]


def has_no_modes() -> bool:
    """Whether no autocast and no default device are set in this thread, quickly.

    When predicting one row, the public functions would take as long as its validation.
    Replacement: ``torch.is_autocast_enabled`` and ``torch.get_default_device``.
    """
    return not torch._C._is_any_autocast_enabled() and not torch._C._len_torch_function_stack()


def without_function_modes() -> AbstractContextManager[None]:
    """Context in which this thread's default device is ignored, however it was set.

    The default device is a mode that intercepts every torch call. Replacement:
    ``torch.device("cpu")`` as a context, which does the same and makes every call slower.
    """
    return torch._C.DisableTorchFunction()


def has_native_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 numbers in hardware.

    Replacement if ``torch.cpu._is_avx512_bf16_supported`` disappears: the flag
    ``avx512_bf16`` in ``/proc/cpuinfo``. Until then a missing name only means full precision.
    """
    return getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
