"""Sounds: files, waveforms and spectrograms, as steps of a pipeline and layers of a net."""

from mixup_tab.audio.augment import SpecAugment, WaveAugment
from mixup_tab.audio.files import ClipError, Clips, read_clip, read_clips
from mixup_tab.audio.folders import load_audio_folder
from mixup_tab.audio.from_waveform import FromWaveform
from mixup_tab.audio.layers import SpectrogramLayer
from mixup_tab.audio.recipe import speech_classifier
from mixup_tab.audio.speech_commands import fetch_speech_commands
from mixup_tab.audio.transformers import AudioReader, Spectrogram

__all__ = [
    "AudioReader",
    "ClipError",
    "Clips",
    "FromWaveform",
    "SpecAugment",
    "Spectrogram",
    "SpectrogramLayer",
    "WaveAugment",
    "fetch_speech_commands",
    "load_audio_folder",
    "read_clip",
    "read_clips",
    "speech_classifier",
]
