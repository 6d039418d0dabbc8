"""Data sets by name: fetched, verified, kept on disk, returned as scikit-learn's Bunch."""

from mixup_tab.data.audio_folder import load_audio_folder
from mixup_tab.data.cifar import load_cifar
from mixup_tab.data.clips import ClipError, read_clip
from mixup_tab.data.delgado import fetch_delgado, list_delgado, published_accuracies
from mixup_tab.data.home import get_data_home
from mixup_tab.data.speech import fetch_speech_commands
from mixup_tab.data.uci import fetch_uci, list_uci

__all__ = [
    "ClipError",
    "fetch_delgado",
    "fetch_speech_commands",
    "fetch_uci",
    "get_data_home",
    "list_delgado",
    "list_uci",
    "load_audio_folder",
    "load_cifar",
    "published_accuracies",
    "read_clip",
]
