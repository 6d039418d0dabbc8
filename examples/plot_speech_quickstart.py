"""
Short spoken words
==================

Train on a folder of clips with one subfolder per word: clips are read, turned into spectrograms
on the device, mixed, and learned. If the data home (``mixup_tab.datasets.get_data_home``) holds
Google's Speech Commands, some of its clips are used; otherwise the script synthesises "words"
from sine tones. Nothing is downloaded.
"""

# %%
# The clips are real words, or sweeps and chords of four "speakers", each with its own pitch.
import tempfile
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.model_selection import GridSearchCV, GroupKFold, GroupShuffleSplit

from mixup_tab.audio import (
    Spectrogram,
    fetch_speech_commands,
    load_audio_folder,
    read_clips,
    speech_classifier,
)
from mixup_tab.displays import LossCurveDisplay, MixedPairDisplay, SpectrogramDisplay

RATE = 16_000
# Frequencies at the beginning and the end of every voice of a "word", in Hz.
WORDS = {
    "rise": [(400, 1600)],
    "fall": [(1600, 400)],
    "flat": [(800, 800)],
    "chord": [(600, 600), (900, 900)],
    "cross": [(400, 1600), (1600, 400)],
}


def synthesise(voices, pitch, rng):
    """One second: a sound of 0.5 s somewhere in noise."""
    time = np.linspace(0, 0.5, RATE // 2)
    sound = sum(
        np.sin(2 * np.pi * pitch * (low + (high - low) * time) * time) for low, high in voices
    )
    clip = 0.03 * rng.normal(size=RATE)
    start = rng.integers(RATE // 8, RATE // 2 - RATE // 8)
    clip[start : start + len(time)] += 0.2 * np.hanning(len(time)) * sound
    return clip


def write_words(root, takes=6):
    rng = np.random.default_rng(0)
    for word, voices in WORDS.items():
        for speaker, pitch in {"ann": 1.3, "bea": 1.1, "cem": 0.9, "dan": 0.75}.items():
            for take in range(takes):
                path = Path(root, word, f"{speaker}_nohash_{take}.wav")
                path.parent.mkdir(parents=True, exist_ok=True)
                clip = synthesise(voices, pitch * rng.uniform(0.97, 1.03), rng)
                soundfile.write(path, clip, RATE)


folder = tempfile.TemporaryDirectory()
try:
    clips = fetch_speech_commands(task=10, download_if_missing=False)
    print("Clips: some of Google's Speech Commands")
    some = clips.frame.groupby("label").sample(40, random_state=0).index
except OSError:
    write_words(folder.name)
    clips = load_audio_folder(folder.name)
    print("Clips: synthesised from sine tones, because there are no real ones")
    some = np.arange(len(clips.data))
paths, words, speakers = clips.data[some], clips.target[some], clips.speakers[some]

# %%
# No speaker is in both parts, so recognising voices does not help.
split = GroupShuffleSplit(n_splits=1, test_size=0.25, random_state=0)
train, test = next(split.split(paths, words, groups=speakers))

# %%
# The recommended pipeline: files to waveforms, and a net that computes spectrograms. α is a
# parameter like any other. The folds keep speakers apart too, because familiar voices would
# make the scores too good.
pipeline = speech_classifier("lenet", max_epochs=15, random_state=0)
search = GridSearchCV(pipeline, {"classifier__alpha": [0, 0.2]}, cv=GroupKFold(2))
search.fit(paths[train], words[train], groups=speakers[train])
for params, accuracy in zip(
    search.cv_results_["params"], search.cv_results_["mean_test_score"], strict=True
):
    print(params, f"{accuracy:.3f}")
model = search.best_estimator_

# %%
# The test part is used once.
print(f"{len(train)} training clips; test accuracy {model.score(paths[test], words[test]):.3f}")

# %%
# The pictures show what mixing does to two spectrograms, the training losses, and which words
# are confused.
figure, axes = plt.subplots(2, 3, figsize=(13, 7), layout="constrained")
pair = [train[0], train[words[train] != words[train[0]]][0]]
waveforms = read_clips(paths[pair]).waveforms
MixedPairDisplay.from_pair(
    *Spectrogram().fit_transform(waveforms), lam=0.6, labels=words[pair], ax=axes[0]
)
SpectrogramDisplay.from_waveform(
    waveforms[0], Spectrogram(), ax=axes[1, 0], name=words[pair[0]]
)
LossCurveDisplay.from_estimator(model, ax=axes[1, 1])
ConfusionMatrixDisplay.from_estimator(
    model, paths[test], words[test], ax=axes[1, 2], colorbar=False, cmap="Blues"
)
folder.cleanup()
plt.show()
