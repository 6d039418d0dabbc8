import numpy as np
import pytest

from mixup_tab.evaluation.speech import costs

pytest.importorskip("soundfile", reason="soundfile is not installed")


@pytest.fixture
def paths(tmp_path):
    return costs._write_files(tmp_path, 10)


def test_clips_have_every_word(paths):
    X, y = costs.make_clips(300)
    assert X.shape == (300, costs.SAMPLES)
    assert X.dtype == np.int16
    assert set(y) == set(range(costs.WORDS))
    assert np.array_equal(X[:44], X[256:])


def test_one_clip_is_timed(paths):
    row = costs.row_of_one_clip("bcresnet", {}, paths[:10])
    assert 0 < row.low <= row.ratio <= row.high


def test_making_batches_is_measured_beside_an_epoch(paths, monkeypatch):
    monkeypatch.setattr(costs, "MODEL", "bcresnet")
    row = costs.row_of_share("augmented", {"level": "waveform"}, paths)
    assert row.ratio > 0
    assert row.detail.endswith("for 10 clips")


def test_memory_grows_with_the_clips():
    assert costs.peak_of_training("1000") > 1000 * 2 * costs.SAMPLES
