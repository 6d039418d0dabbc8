import itertools

import numpy as np
import pytest
from tone_folders import write_tones

from mixup_tab.audio import read_clips, speech_classifier
from mixup_tab.audio.labelling import label_files


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A pipeline, the files that it was fitted on, and what it says about them."""
    root = write_tones(tmp_path_factory.mktemp("clips") / "tones")
    pipeline = speech_classifier(
        "lenet", seconds=0.2, sample_rate=8000, max_epochs=1, device="cpu", random_state=0
    )
    files = sorted(map(str, root.glob("*/*.wav")))
    waveforms = read_clips(files, seconds=0.2, sample_rate=8000).waveforms
    pipeline[-1].fit(waveforms, [path.split("/")[-2] for path in files])
    return pipeline, files, pipeline[-1].predict_proba(waveforms)


@pytest.mark.parametrize("batch_size", [1, 5, 100])
def test_batches_make_no_difference(model, batch_size):
    pipeline, files, expected = model
    batches = list(label_files(pipeline, files, batch_size=batch_size))
    assert [path for batch in batches for path in batch.paths] == files
    assert np.concatenate([batch.places for batch in batches]).tolist() == list(range(12))
    found = np.concatenate([batch.proba for batch in batches])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_files_are_taken_as_they_are_needed(model):
    pipeline, files, _ = model
    taken = []
    endless = (taken.append(path) or path for path in itertools.cycle(files))
    batches = label_files(pipeline, endless, batch_size=4)
    for _ in range(3):
        next(batches)
    assert len(taken) == 12


def test_bad_files_are_listed_and_places_hold(model, tmp_path):
    pipeline, files, expected = model
    bad = str(tmp_path / "gone.wav")
    mixed = [bad, files[0], bad, bad, files[1]]
    batches = list(label_files(pipeline, mixed, on_error="skip", batch_size=2))
    assert [len(batch.paths) for batch in batches] == [1, 0, 1]
    assert np.concatenate([batch.places for batch in batches]).tolist() == [1, 4]
    assert [len(batch.skipped) for batch in batches] == [1, 2, 0]
    np.testing.assert_allclose(batches[-1].proba, expected[1:2], atol=1e-5)


def test_what_comes_before_a_bad_file_comes(model, tmp_path):
    pipeline, files, _ = model
    bad = str(tmp_path / "gone.wav")
    batches = label_files(pipeline, [*files[:3], bad, files[3]], batch_size=10)
    assert next(batches).paths == files[:3]
    with pytest.raises(ValueError, match=r"gone\.wav does not exist"):
        next(batches)
    with pytest.raises(ValueError, match="on_error must be 'raise' or 'skip'"):
        next(label_files(pipeline, files, on_error="warn"))
