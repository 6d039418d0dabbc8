"""Sounds: from files to waveforms to spectrograms, as steps of a pipeline and as layers."""

from mixup_tab.audio.audio_folder import load_audio_folder
from mixup_tab.audio.augment import SpecAugment, WaveAugment
from mixup_tab.audio.clips import ClipError, read_clip
from mixup_tab.audio.from_waveform import FromWaveform
from mixup_tab.audio.layers import SpectrogramLayer
from mixup_tab.audio.reader import AudioReader
from mixup_tab.audio.reading import Clips, read_clips
from mixup_tab.audio.recipe import speech_classifier
from mixup_tab.audio.spectrogram import Spectrogram
from mixup_tab.audio.speech import fetch_speech_commands

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
