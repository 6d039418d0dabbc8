"""Libraries that come with the optional extra ``speech``, imported where they are needed."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

_INSTALL = 'python -m pip install "mixup-tab[speech]"'
PAIR = "torch>=2.11,<2.15 with torchaudio>=2.11"


def import_soundfile() -> ModuleType:
    """Import soundfile, which reads and writes audio files.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it is missing or cannot be loaded; it says what to install.
    """
    try:
        return import_module("soundfile")
    except (ImportError, OSError) as error:  # OSError: libsndfile is missing
        raise ImportError(
            f"soundfile reads audio files and cannot be imported ({error}). Run {_INSTALL}."
        ) from error


def import_torchaudio(part: str) -> ModuleType:
    """Import a part of torchaudio, which needs the torch that it was built for.

    Parameters
    ----------
    part : str
        Name below ``torchaudio``, such as ``"functional"``.

    Returns
    -------
    module

    Raises
    ------
    ImportError
        If it is missing, or built for another torch; it says which pair to install.
    """
    try:
        return import_module(f"torchaudio.{part}")
    except (ImportError, OSError, RuntimeError) as error:
        raise ImportError(
            f"torchaudio cannot be imported ({error}). It must fit torch: run {_INSTALL}, "
            f"which installs {PAIR}."
        ) from error
