import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

soundfile = pytest.importorskip("soundfile", reason="soundfile is not installed")

from mixup_tab.audio import AudioReader, Spectrogram, read_clips, reading  # noqa: E402
from mixup_tab.audio.clips import read_clip  # noqa: E402
from mixup_tab.audio.memory import allocate  # noqa: E402

SHORT = 0.01
LENGTH = 160


@pytest.fixture
def paths(tmp_path):
    rng = np.random.default_rng(0)
    made = [str(tmp_path / f"{i}.wav") for i in range(5)]
    for path in made:
        soundfile.write(path, rng.uniform(-1, 1, LENGTH), 16_000)
    return made


@pytest.fixture
def with_bad(paths, tmp_path):
    """Five files of which the second and the fourth are broken."""
    Path(paths[1]).write_bytes(b"")
    Path(paths[3]).write_bytes(b"not a sound")
    return paths


def test_rows_are_the_clips(paths):
    expected = np.stack([read_clip(path, seconds=SHORT) for path in paths])
    reader = AudioReader(seconds=SHORT)
    waveforms = reader.fit_transform(paths)
    assert waveforms.dtype == np.int16
    np.testing.assert_array_equal(waveforms, np.rint(expected * 32768))
    reader.set_params(dtype="float32", n_jobs=2)
    np.testing.assert_array_equal(reader.transform(paths), expected)


def test_parameters_reach_the_clips(paths):
    reader = AudioReader(8_000, SHORT / 2, align="start")
    expected = read_clip(paths[0], sample_rate=8_000, seconds=SHORT / 2, align="start")
    np.testing.assert_allclose(reader.transform(paths[:1])[0] / 32768, expected, atol=2e-5)


def test_what_is_louder_than_full_scale_is_clipped(tmp_path):
    soundfile.write(tmp_path / "a.wav", [1.5, -1.5, 1.0, -1.0, 0.25], 16_000, subtype="FLOAT")
    (row,) = AudioReader(seconds=5 / 16_000).transform([tmp_path / "a.wav"])
    assert row.tolist() == [32767, -32768, 32767, -32768, 8192]


@pytest.mark.parametrize(
    "wrap",
    [
        np.array,
        lambda paths: np.array(paths, dtype=object)[:, None],
        pd.Series,
        pl.Series,
        lambda paths: pd.DataFrame({"path": paths}),
        lambda paths: [Path(path) for path in paths],
    ],
    ids=["array", "column", "pandas", "polars", "frame", "Path"],
)
def test_paths_come_in_many_containers(paths, wrap):
    reader = AudioReader(seconds=SHORT)
    np.testing.assert_array_equal(reader.transform(wrap(paths)), reader.transform(paths))


@pytest.mark.parametrize(
    ("X", "kind", "words"),
    [
        ("yes.wav", ValueError, r"Paths must be a list or one column, not of shape \(\)"),
        ([["a.wav", "b.wav"]], ValueError, r"not of shape \(1, 2\)"),
        (["a.wav", None], TypeError, "Path 1 is None"),
        ([1.5], TypeError, "Path 0 is 1.5"),
    ],
)
def test_what_is_no_list_of_paths_is_refused(X, kind, words):
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
    ],
)
def test_bad_parameters_are_named(options, words):
    with pytest.raises((TypeError, ValueError), match=words):
        AudioReader(**options).fit([])


@pytest.mark.parametrize(("n_jobs", "kind"), [(0, ValueError), ("all", TypeError)])
def test_a_number_of_threads_that_is_none_is_refused(n_jobs, kind):
    with pytest.raises(kind, match=f"n_jobs={n_jobs!r} is no"):
        AudioReader(n_jobs=n_jobs).transform([])


def test_all_bad_files_are_one_error(with_bad):
    with pytest.raises(ValueError, match="2 files of 5 cannot be read") as caught:
        AudioReader(seconds=SHORT).transform(with_bad)
    assert f"{with_bad[1]} is empty\n" in str(caught.value)
    assert f"{with_bad[3]} is no audio file" in str(caught.value)
    assert "on_error='skip'" in str(caught.value)


def test_of_many_bad_files_ten_are_named():
    with pytest.raises(ValueError, match=r"70 files of 70(?s:.*)\.\.\. and 60 more") as caught:
        read_clips([f"{i}.wav" for i in range(70)])
    assert str(caught.value).count("does not exist") == 10


def test_the_transformer_makes_bad_files_silence(with_bad):
    reader = AudioReader(seconds=SHORT, on_error="skip")
    with pytest.warns(UserWarning, match="2 files of 5(?s:.*)rows are silence") as caught:
        waveforms = reader.transform(with_bad)
    assert len(caught) == 1
    assert waveforms.any(axis=1).tolist() == [True, False, True, False, True]


@pytest.mark.parametrize("free", [0, 2**40])
def test_read_clips_leaves_bad_files_out(with_bad, monkeypatch, free):
    monkeypatch.setattr("mixup_tab.audio.memory.free_memory", lambda: free)
    counts = []
    clips = read_clips(with_bad, seconds=SHORT, on_error="skip", progress=counts.append)
    good = read_clips([with_bad[i] for i in (0, 2, 4)], seconds=SHORT).waveforms
    np.testing.assert_array_equal(clips.waveforms, good)
    assert isinstance(clips.waveforms, np.memmap) == (free == 0)
    assert clips.kept.tolist() == [0, 2, 4]
    assert [path for path, _ in clips.skipped] == [with_bad[1], with_bad[3]]
    assert clips.skipped[0][1] == "is empty"
    assert sum(counts) == 5


def test_progress_counts_files_as_they_are_read(paths, monkeypatch):
    monkeypatch.setattr(reading, "_FILES_PER_TASK", 2)
    counts = []
    clips = read_clips(paths, seconds=SHORT, n_jobs=2, progress=counts.append)
    assert counts == [2, 2, 1]
    assert len(clips.waveforms) == len(clips.kept) == 5


def test_it_is_a_transformer(paths):
    reader = clone(AudioReader(seconds=SHORT, n_jobs=2))
    assert reader.get_params()["seconds"] == SHORT
    frame = reader.set_output(transform="pandas").fit_transform(
        pd.Series(paths, index=[*"abcde"])
    )
    assert frame.columns.tolist() == [f"sample{i}" for i in range(LENGTH)]
    assert frame.index.tolist() == [*"abcde"]
    steps = make_pipeline(AudioReader(seconds=SHORT), Spectrogram(device="cpu"))
    assert steps.fit_transform(paths).shape == (5, 1, 160, 2)
    assert steps.set_output(transform="pandas").fit_transform(paths).shape == (5, 320)


def test_no_files_are_no_rows():
    assert AudioReader(seconds=SHORT).transform([]).shape == (0, LENGTH)


def test_large_arrays_lie_in_a_file_that_nobody_has_to_remove(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    in_memory, in_file = (allocate((3, 4), "int16", limit=limit) for limit in (24, 23))
    assert not isinstance(in_memory, np.memmap)
    assert isinstance(in_file, np.memmap)
    assert not in_file.any()
    in_file[1] = 7
    assert in_file.sum() == 28
    del in_file
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_an_error_before_anything_is_read():
    with pytest.raises(OSError, match=r"GB of sound fit neither.*TMPDIR"):
        allocate((2**50, 2**10), "int16")


def test_without_soundfile_it_is_one_error(monkeypatch, paths):
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with pytest.raises(ImportError, match=r'pip install "mixup-tab\[speech\]"'):
        AudioReader(on_error="skip").transform(paths)
