"""Libraries that come with an optional extra, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def import_extra(module: str, extra: str) -> Any:
    """Import a module that an optional extra installs.

    Parameters
    ----------
    module : str
        Its name, such as ``"matplotlib.pyplot"``.
    extra : str
        The extra of ``mixup-tab`` that installs it, such as ``"plots"``.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it cannot be imported; the message says what to install.

    Examples
    --------
    >>> from mixup_tab._extras import import_extra
    >>> import_extra("json", "plots").dumps([1])
    '[1]'
    """
    try:
        return import_module(module)
    except (ImportError, OSError) as error:  # OSError: a shared library is missing
        name = module.partition(".")[0]
        raise ImportError(
            f"This needs {name}, which cannot be imported ({error}). Run "
            f'python -m pip install "mixup-tab[{extra}]".'
        ) from error
