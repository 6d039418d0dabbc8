"""Sounds: files, waveforms and spectrograms, as steps of a pipeline and layers of a net.

Names are imported on first use, because prediction does not need scikit-learn.
"""

from typing import TYPE_CHECKING

from mixup_tab._lazy import lazy_names

if TYPE_CHECKING:
    from mixup_tab.audio.augment import SpecAugment, WaveAugment
    from mixup_tab.audio.files import ClipError, Clips, read_clip, read_clips
    from mixup_tab.audio.folders import load_audio_folder
    from mixup_tab.audio.from_waveform import FromWaveform
    from mixup_tab.audio.layers import SpectrogramLayer
    from mixup_tab.audio.listening import Heard, listen
    from mixup_tab.audio.recipe import speech_classifier
    from mixup_tab.audio.rejection import RejectingClassifier
    from mixup_tab.audio.speech_commands import fetch_speech_commands
    from mixup_tab.audio.transformers import AudioReader, Spectrogram
else:
    __getattr__ = lazy_names(
        __name__,
        {
            "augment": ("SpecAugment", "WaveAugment"),
            "files": ("ClipError", "Clips", "read_clip", "read_clips"),
            "folders": ("load_audio_folder",),
            "from_waveform": ("FromWaveform",),
            "layers": ("SpectrogramLayer",),
            "listening": ("Heard", "listen"),
            "recipe": ("speech_classifier",),
            "rejection": ("RejectingClassifier",),
            "speech_commands": ("fetch_speech_commands",),
            "transformers": ("AudioReader", "Spectrogram"),
        },
    )

__all__ = [
    "AudioReader",
    "ClipError",
    "Clips",
    "FromWaveform",
    "Heard",
    "RejectingClassifier",
    "SpecAugment",
    "Spectrogram",
    "SpectrogramLayer",
    "WaveAugment",
    "fetch_speech_commands",
    "listen",
    "load_audio_folder",
    "read_clip",
    "read_clips",
    "speech_classifier",
]
