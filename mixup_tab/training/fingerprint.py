"""Hashes of what decides the result of training, the same in every process."""

from __future__ import annotations

import functools
import hashlib
import logging
import types
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Rows of a table are hashed in blocks of about so many bytes, without a copy of the table.
_BLOCK_BYTES = 1 << 22

# Packages whose code is told by their version; of other classes the code is hashed.
_RELEASED = ("builtins", "mixup_tab", "numpy", "sklearn", "skorch", "torch")

_SIMPLE = (bool, int, float, complex, str, bytes, range, type(None), torch.dtype, torch.device)


def fingerprint(*things: Any) -> str:
    """Return a hash of things, all numbers of their arrays and all their attributes included.

    Parameters
    ----------
    *things
        Settings, arrays, tensors, modules, data sets, functions or objects of any class. Of a
        class or function that is not of a released package, its own code counts as well.

    Returns
    -------
    str

    Examples
    --------
    >>> from mixup_tab.training.fingerprint import fingerprint
    >>> fingerprint({"alpha": 0.2}) == fingerprint({"alpha": 0.3})
    False
    """
    hashed = hashlib.sha256()
    _add(things, hashed, {})
    return hashed.hexdigest()


def _add(thing: Any, hashed: Any, seen: dict[int, tuple[int, Any]]) -> None:
    """Add a thing to a hash: its kind, its length where it has one, and what it holds."""
    if isinstance(thing, _SIMPLE):
        hashed.update(f"{type(thing).__name__} {thing!r};".encode())
        return
    # Things may hold each other. Constants are not looked up: which of them are one object
    # depends on how Python has compiled or loaded them.
    if not isinstance(thing, (tuple, frozenset, types.CodeType)):
        if id(thing) in seen:
            hashed.update(f"again {seen[id(thing)][0]};".encode())
            return
        seen[id(thing)] = len(seen), thing  # kept, so that no other thing gets its id
    if isinstance(thing, (Tensor, np.ndarray, np.generic)):
        _add_array(thing, hashed, seen)
        return
    parts = list(_parts(thing))
    hashed.update(f"{type(thing).__module__}.{type(thing).__qualname__} {len(parts)};".encode())
    for part in parts:
        _add(part, hashed, seen)


def _parts(thing: Any) -> Iterator[Any]:
    """Yield what a thing is made of."""
    if isinstance(thing, Mapping):
        for key, value in sorted(thing.items(), key=lambda item: repr(item[0])):
            yield from (key, value)
    elif isinstance(thing, Set):
        yield from sorted(fingerprint(part) for part in thing)
    elif isinstance(thing, (types.ModuleType, logging.Logger)):  # which hold half the process
        yield repr(type(thing)), getattr(thing, "__name__", None) or thing.name
    elif hasattr(thing, "to_numpy"):
        yield from (thing.to_numpy(), getattr(thing, "columns", None))
    elif isinstance(thing, type):
        yield from _class_parts(thing)
    elif isinstance(thing, (types.FunctionType, types.CodeType)):
        yield from _code_parts(thing)
    elif isinstance(thing, types.MethodType):
        yield from (thing.__func__, thing.__self__)
    elif isinstance(thing, functools.partial):
        yield from (thing.func, thing.args, thing.keywords)
    elif isinstance(thing, torch.Generator):
        yield thing.get_state()
    else:
        if isinstance(thing, Sequence):
            yield from thing
        yield from (type(thing), _attributes(thing))


def _attributes(thing: Any) -> Any:
    """Return the attributes of an object; of a module without torch's own bookkeeping."""
    if isinstance(thing, nn.Module):
        own = {name: value for name, value in vars(thing).items() if name not in _BOOKKEEPING}
        return own, [dict(part) for part in (thing._parameters, thing._buffers, thing._modules)]
    if isinstance(thing, Sequence) or hasattr(thing, "__dict__"):
        return getattr(thing, "__dict__", None)
    text = repr(thing)  # of a date, a path, a dtype, ...
    return None if " at 0x" in text else text


_BOOKKEEPING = frozenset(vars(nn.Module()))


def _is_released(thing: Any) -> bool:
    return str(thing.__module__).partition(".")[0] in _RELEASED


def _class_parts(cls: type) -> Iterator[Any]:
    yield f"{cls.__module__}.{cls.__qualname__}"
    for base in cls.__mro__:
        if not _is_released(base):
            for name, value in sorted(vars(base).items()):
                value = getattr(value, "__func__", getattr(value, "fget", value))
                plain = isinstance(value, _SIMPLE) and not name.startswith("__")
                if plain or isinstance(value, types.FunctionType):
                    yield from (name, value)


def _code_parts(thing: Any) -> Iterator[Any]:
    if isinstance(thing, types.CodeType):
        yield from (thing.co_code, thing.co_consts, thing.co_names, thing.co_varnames)
        return
    yield f"{thing.__module__}.{thing.__qualname__}"
    if not _is_released(thing):
        yield from (thing.__code__, thing.__defaults__, thing.__kwdefaults__)
        yield [cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell)]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # of a function that is still being defined
        return False


def _add_array(values: Any, hashed: Any, seen: dict) -> None:
    """Add shape, dtype and all numbers of an array, whatever its layout in memory."""
    hashed.update(f"array {tuple(values.shape)} {values.dtype};".encode())
    if isinstance(values, Tensor):
        values = values.detach()
        values = values if values.layout is torch.strided else values.to_dense()
    elif values.dtype.hasobject:
        _add(values.tolist(), hashed, seen)
        return
    values = values if values.ndim else values.reshape(1)
    rows = max(_BLOCK_BYTES // max(values[:1].nbytes, 1), 1)
    for start in range(0, len(values), rows):
        block = values[start : start + rows]
        if isinstance(block, Tensor):
            block = block.cpu().contiguous().flatten().view(torch.uint8).numpy()
        hashed.update(np.ascontiguousarray(block).reshape(-1).view(np.uint8))
