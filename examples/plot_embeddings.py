"""
Start from a pretrained embedding
=================================

With few clips, a net that was pretrained on a lot of speech is a better start than an untrained
one. Its output for a clip, the embedding, is a row of numbers, and
:class:`~mixup_tab.MixupClassifier` learns from any table of numbers. Here an embedding is a
step of a pipeline: paths go in, words come out. It comes from ``pyopen-wakeword`` if this
package is installed, otherwise from a stand-in that was not trained at all.
"""

# %%
# Four kinds of tones by six "speakers", each with their own pitch. To use your own clips
# instead, :func:`~mixup_tab.audio.load_audio_folder` returns paths, words and speakers.
import tempfile
from importlib.util import find_spec
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import soundfile
from sklearn.metrics import ConfusionMatrixDisplay
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from mixup_tab import MixupClassifier
from mixup_tab.audio import AudioReader, Spectrogram
from mixup_tab.persistence import load_model, save_model

RATE = 16_000
# Frequencies at the beginning and the end, in Hz.
WORDS = {"rise": (400, 1600), "fall": (1600, 400), "low": (500, 500), "high": (1500, 1500)}
PITCHES = (0.75, 0.85, 0.95, 1.05, 1.2, 1.3)

folder, rng = tempfile.TemporaryDirectory(), np.random.default_rng(0)
time = np.arange(0, 0.6, 1 / RATE)
clips = []
for word, (first, last) in WORDS.items():
    for speaker, pitch in enumerate(PITCHES):
        for take in range(5):
            hertz = pitch * rng.uniform(0.97, 1.03) * np.linspace(first, last, len(time))
            sound = np.hanning(len(time)) * np.sin(2 * np.pi * np.cumsum(hertz) / RATE)
            clip = 0.05 * rng.normal(size=RATE)
            clip[rng.integers(2400, 4000) :][: len(time)] += 0.2 * sound
            path = Path(folder.name, f"{word}-{speaker}-{take}.wav")
            soundfile.write(path, clip, RATE)
            clips.append((str(path), word, speaker))
paths, words, speakers = map(np.array, zip(*clips, strict=True))
test = np.isin(speakers, [1, 4])


# %%
# An embedding is a function of waveforms, 16-bit integers at 16,000 per second, that returns a
# row of numbers per clip. This one knows speech: Google trained it on sounds from YouTube (Lin
# et al. 2020, arXiv 2002.01322). It takes a tenth of a second per clip.
def pretrained(waveforms):
    from pyopen_wakeword import OpenWakeWordFeatures  # python -m pip install pyopen-wakeword

    features = OpenWakeWordFeatures.from_builtin()
    rows = []
    for clip in waveforms:
        features.reset()
        features.new_audio_samples = features.new_mels = 0  # else 8 s of silence come first
        sound = np.pad(clip, 5120)  # it hears 0.78 s at a time: some silence before and after
        windows = np.concatenate([*features.process_streaming(sound.tobytes())], axis=2)[0, 0]
        rows.append(np.hstack([windows.mean(0), windows.max(0)]))
    return np.stack(rows)


# %%
# The stand-in: mean and standard deviation of 40 mel bands in each quarter of the clip.
def stand_in(waveforms):
    mel = Spectrogram(kind="mel").fit_transform(waveforms)[:, 0]
    quarters = np.array_split(mel, 4, axis=2)
    return np.hstack([f(part, axis=2) for part in quarters for f in (np.mean, np.std)])


# %%
# From paths to words. Only the last step is trained, a small net on a table, in seconds.
embed = pretrained if find_spec("pyopen_wakeword") else stand_in
model = make_pipeline(
    AudioReader(), FunctionTransformer(embed), MixupClassifier(alpha=0.5, random_state=0)
)
model.fit(paths[~test], words[~test])
accuracy = model.score(paths[test], words[test])
print(f"{embed.__name__}: accuracy {accuracy:.3f} on {test.sum()} clips of two other speakers")

# %%
# A model file holds no code, so it cannot hold a function of yours. Save the classifier, and
# put the embedding in front of it again after loading. Embeddings that you already have as an
# array can be passed to the classifier directly.
file = Path(folder.name, "words.mixup")
save_model(model[-1], file)
loaded = make_pipeline(AudioReader(), FunctionTransformer(embed), load_model(file))
for path, word in zip(paths[test][::13], loaded.predict(paths[test][::13]), strict=True):
    print(Path(path).name, word)

# %%
# Which words are confused?
ConfusionMatrixDisplay.from_estimator(
    model, paths[test], words[test], colorbar=False, cmap="Blues"
)
folder.cleanup()
plt.show()
