"""A hash of data, estimators and functions that is the same in every process."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

import torch
from joblib.hashing import NumpyHasher

# Of what a function or class refers to, these decide what it does and do not change in a run.
_CONSTANT = (type(None), bool, int, float, complex, str, bytes)


def fingerprint(thing: Any) -> str:
    """Return a hash of all values, and of the code of the user's functions and classes.

    Raises
    ------
    TypeError
        If something cannot be pickled, such as an open file.
    """
    try:
        return _Hasher("md5").hash(thing)
    except Exception as error:  # of the user's objects
        raise TypeError(
            f"checkpoint needs data, parameters and scorers that can be pickled: {error}"
        ) from error


class _Hasher(NumpyHasher):
    """joblib's, by the numbers of tensors and the code of functions and classes.

    joblib takes functions and classes by their names, as pickle does.
    """

    def __init__(self, hash_name: str) -> None:
        super().__init__(hash_name)
        self._described: list[Any] = []

    def save(self, obj: Any) -> None:
        if isinstance(obj, torch.Tensor):
            obj = type(obj), obj.detach().cpu().numpy()
        elif isinstance(obj, frozenset):
            obj = "frozenset", set(obj)  # joblib puts a set in order
        elif isinstance(obj, ModuleType):
            obj = obj.__name__
        elif isinstance(obj, CodeType):
            obj = obj.co_code, obj.co_consts, obj.co_names, obj.co_varnames, obj.co_flags
        elif isinstance(obj, (FunctionType, type)) and not _is_installed(obj):
            obj = self._described_once(obj)
        super().save(obj)

    def _described_once(self, obj: Any) -> Any:
        if any(obj is known for known in self._described):  # it may refer to itself
            return obj.__qualname__
        self._described.append(obj)
        if isinstance(obj, type):
            return obj.__qualname__, obj.__bases__, dict(_members(obj))
        cells = [cell.cell_contents for cell in obj.__closure__ or () if _is_full(cell)]
        named = {name: obj.__globals__.get(name) for name in _names(obj.__code__)}
        seen = {name: value for name, value in named.items() if _decides(value)}
        return obj.__code__, obj.__defaults__, obj.__kwdefaults__, cells, seen


def _is_installed(obj: Any) -> bool:
    """Whether a function or class is a library's, which its name and version identify."""
    module = obj.__module__ or "__main__"
    package = module.partition(".")[0]
    if package == "mixup_tab" or package in sys.stdlib_module_names:
        return True
    file = getattr(sys.modules.get(module), "__file__", None) or ""
    in_packages = not {"site-packages", "dist-packages"}.isdisjoint(Path(file).parts)
    return in_packages and package != "__main__"


def _decides(value: Any) -> bool:
    return isinstance(value, (FunctionType, type, *_CONSTANT))


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    for name, value in vars(kind).items():
        inner = getattr(value, "fget", getattr(value, "__func__", value))
        hidden = name.startswith("__") and isinstance(inner, _CONSTANT)  # its module, its text
        if _decides(inner) and not hidden:
            yield name, inner


def _names(code: CodeType) -> set[str]:
    """Return the names that a function, and those inside of it, may look up."""
    inner = [_names(const) for const in code.co_consts if isinstance(const, CodeType)]
    return set(code.co_names).union(*inner)


def _is_full(cell: Any) -> bool:
    try:
        cell.cell_contents  # noqa: B018
    except ValueError:
        return False
    return True
