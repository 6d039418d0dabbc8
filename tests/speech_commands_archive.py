"""A miniature of the Speech Commands archive: all 35 words, three speakers, two noises."""

import io
import tarfile
import wave

import numpy as np

from mixup_tab.audio.speech_commands import sound_cards

SPEAKERS = {"train": "0a0a0a0a", "validation": "1b1b1b1b", "test": "2c2c2c2c"}
LISTS = {"validation": "validation_list.txt", "test": "testing_list.txt"}
RATE = 16_000


def as_wav(samples):
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.asarray(samples, "<i2").tobytes())
    return buffer.getvalue()


def ramp(seconds=12):
    """Noise whose every sample says where it was taken."""
    return np.arange(seconds * RATE) // 8


def files(words=None, of_training=2):
    """Contents by name: each speaker says each word once, the one for training more often."""
    words = words or sound_cards()["speech-commands-v0.02"].labels
    found = {"LICENSE": b"CC BY 4.0"}
    for number, word in enumerate(words):
        sound = as_wav(9000 * np.sin(np.arange(800) * 0.01 * (number + 1)))
        for subset, speaker in SPEAKERS.items():
            for take in range(of_training if subset == "train" else 1):
                found[f"{word}/{speaker}_nohash_{take}.wav"] = sound
    for subset, name in LISTS.items():
        lines = [f"{word}/{SPEAKERS[subset]}_nohash_0.wav" for word in words]
        found[name] = "\n".join([*lines, ""]).encode()
    noise = as_wav(ramp())
    return found | {f"_background_noise_/{name}.wav": noise for name in ("pink", "tap")}


def packed(contents):
    """The archive as Google's: names begin with ./ and there is no folder around all."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"./{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def laid_out(contents, folder):
    for name, content in contents.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return folder
