"""Run training and prediction under torch's default settings."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from typing import Any, TypeVar

import torch

from mixup_tab._torch_private import has_no_modes, without_function_modes

_AUTOCAST = ("cpu", "cuda", "mps")
_SUBNORMAL = 5e-324
_NOTHING = nullcontext()
_Function = TypeVar("_Function", bound=Callable)


class _ProcessWide:
    """A process-wide setting that can be held at its default, and is restored afterwards."""

    def __init__(
        self, default: Any, get: Callable[[], Any], put: Callable[[Any], None]
    ) -> None:
        self.default, self._get, self._put = default, get, put
        self._holders, self._before = 0, default
        self._lock = threading.Lock()

    def is_default(self) -> bool:
        """Whether it has its default value, and not only because another thread holds it."""
        return not self._holders and self._get() == self.default

    @contextmanager
    def at_default(self) -> Iterator[None]:
        with self._lock:
            if not self._holders:
                self._before = self._get()
                self._put(self.default)
            self._holders += 1
        try:
            yield
        finally:
            with self._lock:
                self._holders -= 1
                if not self._holders:
                    self._put(self._before)


_dtype = _ProcessWide(torch.float32, torch.get_default_dtype, torch.set_default_dtype)
_precision = _ProcessWide(
    "highest", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision
)


def _flushes_subnormals() -> bool:
    return _SUBNORMAL * 1 == 0  # torch has no function for this


def _is_default() -> bool:
    return (
        has_no_modes()
        and _dtype.is_default()
        and _precision.is_default()
        and not _flushes_subnormals()
    )


def torch_defaults(*, gradients: bool = True) -> AbstractContextManager[None]:
    """Context with torch's default settings, so that results do not depend on the caller's.

    That is: no autocast, default device and dtype, float32 products in float32, subnormal
    numbers, and gradients. The caller's settings are restored afterwards. Default dtype and
    precision of products are process-wide, so other threads see the defaults meanwhile.

    Parameters
    ----------
    gradients : bool, default=True
        Whether gradients must be recordable inside; prediction does not need them.

    Examples
    --------
    >>> import torch
    >>> from mixup_tab.training.torch_state import torch_defaults
    >>> with torch.inference_mode(), torch.device("meta"), torch_defaults():
    ...     torch.zeros(1, requires_grad=True)
    tensor([0.], requires_grad=True)
    """
    records = torch.is_grad_enabled() and not torch.is_inference_mode_enabled()
    if (records or not gradients) and _is_default():  # the usual case, which must be fast
        return _NOTHING
    return _defaults(gradients and not records)


def with_torch_defaults(function: _Function) -> _Function:
    """Decorate a function to run inside :func:`torch_defaults`."""

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with torch_defaults():
            return function(*args, **kwargs)

    return run  # type: ignore[return-value]


@contextmanager
def _defaults(record: bool) -> Iterator[None]:
    with ExitStack() as stack:
        if record:
            stack.enter_context(torch.inference_mode(False))
            stack.enter_context(torch.enable_grad())
        if torch.empty(0).device.type != "cpu":
            stack.enter_context(without_function_modes())
        for kind in _AUTOCAST:
            if torch.is_autocast_enabled(kind):
                stack.enter_context(torch.autocast(kind, enabled=False))
        for setting in (_dtype, _precision):
            if not setting.is_default():
                stack.enter_context(setting.at_default())
        if _flushes_subnormals():
            torch.set_flush_denormal(False)
            stack.callback(torch.set_flush_denormal, True)
        yield
