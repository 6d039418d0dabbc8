"""Other sounds: made from clips, cut from noise, or recorded."""

import numpy as np
import pytest
import soundfile
from tone_folders import write_tones

from mixup_tab.audio import AudioReader, load_audio_folder
from mixup_tab.audio.negatives import (
    KINDS,
    as_recordings,
    collect_negatives,
    make_negatives,
    read_noise,
    read_windows,
    with_unknown,
)

READER = AudioReader(8000, 0.2)


@pytest.fixture
def clips():
    """Noise that swells and fades, so that it has a middle and is not its own reverse."""
    rng = np.random.default_rng(0)
    swell = np.exp(-((np.arange(1600) - 500) ** 2) / 200**2)
    return (rng.normal(size=(12, 1600)) * swell * 3000).astype(np.int16)


WORDS = np.repeat(["no", "off", "yes"], 4)


def test_they_are_drawn_with_the_seed_alone(clips):
    first, same = (make_negatives(clips, WORDS, 30, random_state=3) for _ in range(2))
    assert first.X.dtype == np.int16
    assert first.X.shape == (30, 1600)
    assert (first.X == same.X).all()
    assert (first.X != make_negatives(clips, WORDS, 30, random_state=4).X).any()
    assert set(first.kind) == set(KINDS)
    longer = make_negatives(clips, WORDS, 40, random_state=3)
    assert (longer.X[:30] == first.X).all()


def test_noise_has_every_level_down_to_silence(clips):
    noise = make_negatives(clips, WORDS, 200, kinds=["noise"]).X.astype(float)
    level = noise.std(axis=1)
    assert 5 <= (level == 0).sum() <= 60
    assert level.max() > 3000
    assert ((level > 0) & (level < 10)).any()
    share = np.abs(np.fft.rfft(noise[level > 100])) ** 2
    low = share[:, 1:200].sum(1) / share[:, 1:].sum(1)  # of white noise a quarter
    assert low.min() < 0.3
    assert low.max() > 0.7


def test_none_is_a_clip_or_holds_a_whole_one(clips):
    made = make_negatives(clips, WORDS, 100)
    assert not any((clips == each).all(1).any() for each in made.X)
    backwards = made.X[made.kind == "reversed"]
    assert all((clips == each[::-1]).all(1).any() for each in backwards)
    # A piece holds at most the half of the energy of any clip.
    power = (made.X[made.kind == "piece"].astype(float) ** 2).sum(1)
    assert power.max() <= 0.51 * (clips.astype(float) ** 2).sum(1).max()


def test_splices_are_of_two_words(clips):
    """Every word is one constant: a splice then holds exactly two of them."""
    X = np.repeat(np.array([[100], [200], [300]], np.int16), 1600, axis=1)
    made = make_negatives(X, np.array(["a", "b", "c"]), 40, kinds=["spliced"]).X
    for wave in made:
        values, counts = np.unique(wave, return_counts=True)
        assert len(set(values[counts > 50]) - {0}) == 2


def test_a_single_word_and_silent_or_tiny_clips_are_enough():
    for X in (np.zeros((3, 50), np.int16), np.full((1, 2), 7, np.int16)):
        made = make_negatives(X, np.full(len(X), "hey"), 20)
        assert made.X.shape == (20, X.shape[1])


def test_a_loud_mixture_is_turned_down_not_clipped():
    t = np.arange(800)
    X = np.stack([32767 * np.sin(t / 9), 32767 * np.sin(t / 5)]).astype(np.int16)
    made = make_negatives(X, np.array(["a", "b"]), 10, kinds=["mixed"]).X
    assert ((np.abs(made.astype(int)) >= 32766).sum(1) < 5).all()


# -------------------------------------------------------------------------- recordings


def test_recordings_go_first_and_the_rest_is_made(clips):
    y = np.where(np.arange(12) % 4 == 0, "unknown", WORDS)
    noise = np.full((50, 1600), 9, np.int16)
    found = collect_negatives(clips, y, noise, 20, random_state=0)
    assert len(found.X) == 20
    assert (found.X[:3] == clips[y == "unknown"]).all()
    assert found.kind.tolist().count("recorded") == 3
    assert found.kind.tolist().count("background") == 4
    assert "noise" not in found.kind  # there is real noise
    assert "3 recorded" in str(found)
    enough = collect_negatives(clips, y, noise[:0], 2, random_state=0)
    assert enough.kind.tolist() == ["recorded"] * 3
    alone = collect_negatives(clips, WORDS, noise[:0], 20, random_state=0)
    assert "noise" in alone.kind
    named = np.where(WORDS == "off", "_silence_", WORDS)
    assert "noise" not in collect_negatives(clips, named, noise[:0], 20, random_state=0).kind


def test_windows_of_a_recording(tmp_path):
    wave = np.arange(4000, dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", wave, 8000)
    windows = read_windows(str(tmp_path / "a.wav"), READER)
    assert (windows == wave[:3200].reshape(2, 1600)).all()
    assert len(read_windows(str(tmp_path / "a.wav"), READER, most=1)) == 1
    soundfile.write(tmp_path / "b.wav", wave[:100], 8000)
    short = read_windows(str(tmp_path / "b.wav"), READER)
    assert short.shape == (1, 1600)
    assert (short[0, :100] == wave[:100]).all()


def test_training_and_validation_hear_other_stretches_of_noise(tmp_path):
    for k in range(2):
        wave = (np.arange(16_000) // 1600 + 100 * k).astype(np.int16)
        soundfile.write(tmp_path / f"{k}.wav", wave, 8000)
    (tmp_path / "broken.wav").write_bytes(b"no sound")
    paths = sorted(map(str, tmp_path.glob("*.wav")))
    noise = read_noise(paths, READER, 0.2, "skip")
    assert noise.training[:, 0].tolist() == [*range(8), *range(100, 108)]
    assert noise.validation[:, 0].tolist() == [8, 9, 108, 109]
    assert [path for path, _ in noise.skipped] == [str(tmp_path / "broken.wav")]
    with pytest.raises(ValueError, match=r"broken.wav .*Fix or remove it"):
        read_noise(paths, READER, 0.2, "raise")
    assert as_recordings(noise.training).shape == (4, 6400)
    assert as_recordings(noise.training[:3]).shape == (1, 4800)
    assert as_recordings(noise.training[:0]) is None


def test_clips_of_the_unknown_folder_are_under_a_label(tmp_path):
    root = write_tones(tmp_path / "tones", lists=True)
    (root / "low").rename(root / "_unknown_")
    (root / "_unknown_" / "odd.wav").write_bytes(b"RIFF")
    folder = with_unknown(load_audio_folder(root), "unknown")
    assert folder.label_names == ["mid", "top", "unknown"]
    assert (folder.target == "unknown").sum() == 5
    assert len(np.unique(folder.speakers)) >= 5
    assert folder.noise == []
    plain = load_audio_folder(root, unknown=None)
    assert with_unknown(plain, "unknown") is plain
