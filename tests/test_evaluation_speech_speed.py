from collections import Counter

import numpy as np
import pytest
import torch

from mixup_tab.audio import SpectrogramLayer
from mixup_tab.evaluation.speech.speed import peers, rows_of_spectrograms

pytest.importorskip("torchaudio.transforms", reason="torchaudio does not work")


@pytest.fixture
def clips():
    return np.random.default_rng(0).integers(-9_000, 9_000, (4, 16_000)).astype(np.int16)


@pytest.mark.parametrize("log", [True, False])
def test_all_sides_compute_the_same(clips, log):
    layer = SpectrogramLayer() if log else SpectrogramLayer(kind="power", normalize=None)
    ours = layer(torch.from_numpy(clips))[:, 0].numpy()
    for _, _, transform in peers(log=log):
        theirs = np.stack([transform(clip) for clip in clips])
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


def test_every_comparison_is_there(clips):
    rows = list(rows_of_spectrograms(clips, pairs=1))
    n_peers = len(list(peers(log=True)))
    assert Counter(row.what for row in rows) == {
        "power spectrograms": n_peers,
        "normalised log spectrograms": n_peers,
    }
    assert all(row.ratio > 0 for row in rows)
    assert {row.goal for row in rows} <= {0.2, 0.5}
