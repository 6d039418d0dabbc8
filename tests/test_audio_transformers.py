"""AudioReader and Spectrogram as steps of a pipeline."""

from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.base import clone
from sklearn.pipeline import make_pipeline
from sklearn.utils.estimator_checks import parametrize_with_checks

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

from mixup_tab.audio import (  # noqa: E402
    AudioReader,
    Spectrogram,
    SpectrogramLayer,
    read_clip,
)

SHORT, LENGTH = 0.01, 160


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    made = [str(tmp_path / f"{i}.wav") for i in range(5)]
    for path in made:
        soundfile.write(path, rng.uniform(-1, 1, LENGTH), 16_000)
    return made


@pytest.fixture
def waveforms():
    rng = np.random.default_rng(0)
    return rng.integers(-20_000, 20_000, (20, 800)).astype(np.int16)


def test_rows_are_the_clips(paths):
    expected = np.stack([read_clip(path, seconds=SHORT) for path in paths])
    reader = AudioReader(seconds=SHORT)
    found = reader.fit_transform(paths)
    assert found.dtype == np.int16
    np.testing.assert_array_equal(found, np.rint(expected * 32768))
    reader.set_params(dtype="float32", n_jobs=2)
    np.testing.assert_array_equal(reader.transform(paths), expected)
    reader = AudioReader(8_000, SHORT / 2, align="start")
    expected = read_clip(paths[0], sample_rate=8_000, seconds=SHORT / 2, align="start")
    np.testing.assert_allclose(reader.transform(paths[:1])[0] / 32768, expected, atol=2e-5)
    assert AudioReader(seconds=SHORT).transform([]).shape == (0, LENGTH)


def test_values_beyond_full_scale_are_clipped(tmp_path):
    soundfile.write(tmp_path / "a.wav", [1.5, -1.5, 1.0, -1.0, 0.25], 16_000, subtype="FLOAT")
    (row,) = AudioReader(seconds=5 / 16_000).transform([tmp_path / "a.wav"])
    assert row.tolist() == [32767, -32768, 32767, -32768, 8192]


def test_paths_come_in_many_containers(paths):
    reader = AudioReader(seconds=SHORT)
    for given in (
        np.array(paths),
        np.array(paths, dtype=object)[:, None],
        pd.Series(paths),
        pl.Series(paths),
        pd.DataFrame({"path": paths}),
        [Path(path) for path in paths],
    ):
        np.testing.assert_array_equal(reader.transform(given), reader.transform(paths))


@pytest.mark.parametrize(
    ("X", "kind", "words"),
    [
        ("yes.wav", ValueError, r"Paths must be a list or one column, not of shape \(\)"),
        ([["a.wav", "b.wav"]], ValueError, r"not of shape \(1, 2\)"),
        (["a.wav", None], TypeError, "Path 1 is None"),
        ([1.5], TypeError, "Path 0 is 1.5"),
    ],
)
def test_other_things_than_paths_are_refused(X, kind, words):
    with pytest.raises(kind, match=words):
        AudioReader().fit(X)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seconds": None}, "seconds=None"),
        ({"seconds": -1}, "seconds=-1"),
        ({"sample_rate": "16k"}, "sample_rate='16k'"),
        ({"align": "left"}, "align='left'"),
        ({"dtype": "int8"}, "dtype='int8'.*'int16' or 'float32'"),
        ({"on_error": "ignore"}, "on_error='ignore'.*'raise' or 'skip'"),
        ({"n_jobs": 0}, "n_jobs=0 must be a number"),
        ({"n_jobs": "all"}, "n_jobs='all' must be a number"),
    ],
)
def test_bad_parameters_of_the_reader_are_named(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        AudioReader(**options).fit([]).transform([])


def test_bad_files_are_one_error_or_silence_with_a_warning(paths):
    Path(paths[1]).write_bytes(b"")
    Path(paths[3]).write_bytes(b"not a sound")
    reader = AudioReader(seconds=SHORT)
    with pytest.raises(ValueError, match="2 files of 5 cannot be read") as caught:
        reader.transform(paths)
    assert f"{paths[1]} is empty\n" in str(caught.value)
    assert f"{paths[3]} is not an audio file" in str(caught.value)
    assert "on_error='skip'" in str(caught.value)
    reader.set_params(on_error="skip")
    with pytest.warns(UserWarning, match="2 files of 5(?s:.*)rows are silence") as caught:
        found = reader.transform(paths)
    assert len(caught) == 1
    assert found.any(axis=1).tolist() == [True, False, True, False, True]


def test_the_reader_is_a_transformer(paths):
    reader = clone(AudioReader(seconds=SHORT, n_jobs=2))
    assert reader.get_params()["seconds"] == SHORT
    series = pd.Series(paths, index=[*"abcde"])
    frame = reader.set_output(transform="pandas").fit_transform(series)
    assert frame.columns.tolist() == [f"sample{i}" for i in range(LENGTH)]
    assert frame.index.tolist() == [*"abcde"]
    steps = make_pipeline(AudioReader(seconds=SHORT), Spectrogram(device="cpu"))
    assert steps.fit_transform(paths).shape == (5, 1, 160, 2)
    assert steps.set_output(transform="pandas").fit_transform(paths).shape == (5, 320)


def test_spectrograms_are_those_of_the_layer(waveforms):
    expected = SpectrogramLayer(kind="power")(torch.from_numpy(waveforms)).numpy()
    step = Spectrogram(kind="power", device="cpu", batch_size=7)
    np.testing.assert_array_equal(step.fit_transform(waveforms), expected)
    flat = clone(step).set_params(flatten=True).fit_transform(waveforms)
    np.testing.assert_array_equal(flat, expected.reshape(20, -1))
    with pytest.raises(ValueError, match="kind='mfcc'"):
        Spectrogram(kind="mfcc").fit(waveforms)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_frames_have_a_name_for_every_column(waveforms, library):
    step = Spectrogram(device="cpu")
    images = step.fit_transform(waveforms[:3])
    frame = step.set_output(transform=library).transform(waveforms[:3])
    assert type(frame).__module__.startswith(library)
    assert list(frame.columns) == step.get_feature_names_out().tolist()
    np.testing.assert_array_equal(frame["bin3_frame2"], images[:, 0, 2, 2])


@parametrize_with_checks([Spectrogram(device="cpu", flatten=True)])
def test_scikit_learn_accepts_it(estimator, check):
    check(estimator)
