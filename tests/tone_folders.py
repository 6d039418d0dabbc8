"""Folders of short tones that stand for words, for the tests of sounds."""

import numpy as np
import soundfile

PITCHES = {"low": 400, "mid": 1200, "top": 3000}
SPEAKERS = ("ann", "bob", "cat", "dan")
RATE, SECONDS = 8000, 0.2


def tone(pitch, rng):
    """A tone of one pitch, give or take a little, in noise."""
    time = np.arange(int(RATE * SECONDS)) / RATE
    wave = 0.3 * np.sin(2 * np.pi * pitch * rng.uniform(0.95, 1.05) * time + rng.uniform(0, 6))
    return wave + 0.02 * rng.normal(size=len(time))


def write_tones(root, *, words=PITCHES, speakers=SPEAKERS, takes=1, lists=False):
    """Write <word>/<speaker>_nohash_<take>.wav; with lists, dan tests and cat validates."""
    rng = np.random.default_rng(0)
    for word in words:
        (root / word).mkdir(parents=True)
        for speaker in speakers:
            for take in range(takes):
                path = root / word / f"{speaker}_nohash_{take}.wav"
                soundfile.write(path, tone(PITCHES[word], rng), RATE)
    if lists:
        for name, speaker in (("validation", "cat"), ("testing", "dan")):
            named = sorted(root.glob(f"*/{speaker}_*.wav"))
            lines = [f"{path.parent.name}/{path.name}\n" for path in named]
            (root / f"{name}_list.txt").write_text("".join(lines))
    return root
