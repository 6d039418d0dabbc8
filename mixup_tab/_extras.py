"""Imports of libraries that an optional extra installs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

# torchaudio only loads with the torch that it was built for.
TORCHAUDIO_PAIR = "torch>=2.11 with torchaudio>=2.11.1"


def import_extra(module: str, extra: str) -> Any:
    """Import a module that an optional extra installs.

    Parameters
    ----------
    module : str
        Name of the module, such as ``"matplotlib.pyplot"``.
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
    # OSError, RuntimeError: a shared library is missing, or built for another one.
    except (ImportError, OSError, RuntimeError) as error:
        name = module.partition(".")[0]
        fitting = f" It must fit torch: {TORCHAUDIO_PAIR}." if name == "torchaudio" else ""
        raise ImportError(
            f"This needs {name}, which cannot be imported ({error}). Run "
            f'python -m pip install "mixup-tab[{extra}]".{fitting}'
        ) from error
