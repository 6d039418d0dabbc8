"""Hashes of everything that determines the result of a run, equal in every process."""

from __future__ import annotations

import copyreg
import functools
import hashlib
import sys
import threading
import types
from collections.abc import Iterator, Set
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# Tables are hashed in blocks of about this many bytes, without copying the table.
_BLOCK_BYTES = 1 << 22

_SIMPLE = (bool, int, float, complex, str, range, type(None), torch.dtype, torch.device)

_FUNCTIONS = (types.FunctionType, type(functools.lru_cache(len)))

_LOCKS = (type(threading.Lock()), type(threading.RLock()))


def fingerprint(*things: Any) -> str:
    """Return a hash of objects, with all numbers of their arrays and all attributes.

    Parameters
    ----------
    *things
        Settings, arrays, tables, tensors, modules, functions or objects of any class. The
        user's own functions and classes are hashed by their code and the functions, classes and
        constants of their module that it uses; those of installed packages by name.

    Returns
    -------
    str

    Raises
    ------
    TypeError
        If something cannot be pickled, such as an open file. Locks are allowed.

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
    """Add an object to a hash: its type, its length if it has one, and its content."""
    if isinstance(thing, _SIMPLE):
        hashed.update(f"{type(thing).__name__} {thing!r};".encode())
        return
    if isinstance(thing, (bytes, bytearray)):
        hashed.update(f"{type(thing).__name__} {len(thing)};".encode())
        hashed.update(thing)
        return
    # References may be circular. Constants are always hashed again: whether two of them are one
    # object depends on how Python compiled or loaded them.
    if not isinstance(thing, (tuple, frozenset, types.CodeType)):
        if id(thing) in seen:
            hashed.update(f"again {seen[id(thing)][0]};".encode())
            return
        seen[id(thing)] = len(seen), thing  # referenced, so that its id is not reused
    if isinstance(thing, (Tensor, np.ndarray, np.generic)):
        _add_array(thing, hashed, seen)
        return
    parts = list(_parts(thing))
    hashed.update(f"{type(thing).__module__}.{type(thing).__qualname__} {len(parts)};".encode())
    for part in parts:
        _add(part, hashed, seen)


def _parts(thing: Any) -> Iterator[Any]:
    """Yield the parts of an object."""
    if type(thing) in (list, tuple):
        yield from thing
    elif type(thing) is dict:
        for key, value in sorted(thing.items(), key=_order):
            yield from (key, value)
    elif isinstance(thing, Set):
        yield from sorted(fingerprint(part) for part in thing)
    elif isinstance(thing, types.ModuleType):
        yield thing.__name__
    elif isinstance(thing, type):
        yield from _class_parts(thing)
    elif isinstance(thing, types.FunctionType):
        yield from _function_parts(thing)
    elif isinstance(thing, types.CodeType):
        yield from (thing.co_code, thing.co_consts, thing.co_names, thing.co_varnames)
        yield thing.co_flags
    elif isinstance(thing, nn.Module):  # without torch's own bookkeeping
        own = {name: value for name, value in vars(thing).items() if name not in _BOOKKEEPING}
        yield from (type(thing), own)
        yield from [dict(part) for part in (thing._parameters, thing._buffers, thing._modules)]
    elif not isinstance(thing, _LOCKS):
        yield from (type(thing), *_reduced(thing))


_BOOKKEEPING = frozenset(vars(nn.Module()))


def _order(item: tuple[Any, Any]) -> str:
    key = item[0]
    return repr(key) if isinstance(key, _SIMPLE) else fingerprint(key)


def _reduced(thing: Any) -> Iterator[Any]:
    """Yield what pickle would save of an object: its constructor, state and items."""
    reduce = copyreg.dispatch_table.get(type(thing))
    try:
        kept = reduce(thing) if reduce else thing.__reduce_ex__(4)
    except Exception as error:  # the user's objects may raise anything
        raise TypeError(
            "checkpoint and ResumeFile need data, parameters, scorers and nets that can be "
            f"pickled: {error}. Open files and connections only where they are used."
        ) from error
    if isinstance(kept, str):  # a name
        yield from (
            kept,
            getattr(thing, "__module__", None),
            getattr(thing, "__wrapped__", None),
        )
        return
    make, arguments, state, items, pairs = (*kept, None, None, None)[:5]
    yield from (make, arguments, state, list(items or ()), dict(pairs or ()))


# ------------------------------------------------------------------------------------- code


def _is_installed(thing: Any) -> bool:
    """Whether a function or class belongs to a library, so that its name identifies it."""
    module = thing.__module__ or "__main__"
    package = module.partition(".")[0]
    if package == "mixup_tab" or package in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    in_packages = not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    return in_packages and package != "__main__"


def _decides(value: Any) -> bool:
    """Whether a global that code uses is constant and determines what the code does."""
    if isinstance(value, (tuple, frozenset)):
        return all(map(_decides, value))
    return isinstance(value, (type, bytes, *_FUNCTIONS, *_SIMPLE))


def _class_parts(cls: type) -> Iterator[Any]:
    yield f"{cls.__module__}.{cls.__qualname__}"
    for base in cls.__mro__:
        yield f"{base.__module__}.{base.__qualname__}"
        for name, value in sorted(vars(base).items()) if not _is_installed(base) else ():
            value = getattr(value, "__func__", getattr(value, "fget", value))
            hidden = name.startswith("__") and not isinstance(value, types.FunctionType)
            if _decides(value) and not hidden:  # its module, its text, ...
                yield from (name, value)


def _function_parts(function: types.FunctionType) -> Iterator[Any]:
    yield f"{function.__module__}.{function.__qualname__}"
    if _is_installed(function):
        return
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__)
    yield [_content(cell) for cell in function.__closure__ or ()]
    named = {name: function.__globals__.get(name) for name in _names(function.__code__)}
    yield {name: value for name, value in named.items() if _decides(value)}


def _names(code: types.CodeType) -> set[str]:
    """Return the names that a function and its nested functions may look up."""
    inner = [_names(const) for const in code.co_consts if isinstance(const, types.CodeType)]
    return set(code.co_names).union(*inner)


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # the function is still being defined
        return types.CellType


# ----------------------------------------------------------------------------------- arrays


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
