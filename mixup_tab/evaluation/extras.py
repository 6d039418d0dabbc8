"""Libraries that come with the optional extra ``benchmark``."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType


def import_extra(module: str) -> ModuleType:
    """Import a module of the optional extra ``benchmark``.

    Parameters
    ----------
    module : str
        Its name.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        That says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"{module.partition('.')[0]} is needed for this and not installed. Run "
            'python -m pip install "mixup-tab[benchmark]".'
        ) from error
