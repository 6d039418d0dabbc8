import numpy as np
import pytest
import torch

from mixup_tab.mixing.boxes import draw_keep


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def boxes(lam, size, axes="both", count=4000):
    lam = torch.full((count,), lam)
    return draw_keep(lam, size, generator=source(), axes=axes)


def clipped(length, side):
    """Cells of a box, its centre in each of ``length`` places, that lie within the axis."""
    cells = np.arange(side) - side // 2
    places = np.arange(length)[:, None] + cells
    return ((places >= 0) & (places < length)).sum(1)


@pytest.mark.parametrize("size", [(16, 9), (5, 40)])
@pytest.mark.parametrize("lam", [0.0, 0.3, 0.9])
def test_boxes_have_the_sides_of_the_paper_and_uniform_centres(size, lam):
    # Yun et al. 2019, eq. 2: sides W √(1 − λ) and H √(1 − λ), cut off at the edges.
    share, keep = boxes(lam, size)
    gone = (~keep).numpy()
    for axis, length in enumerate(size):
        side = int(length * np.sqrt(1 - np.float32(lam)))
        got = gone.any(2 - axis).sum(1)
        expected = clipped(length, side)
        assert set(got) == set(expected)
        assert abs(got.mean() - expected.mean()) < 0.05 * length
    area = gone.any(2).sum(1) * gone.any(1).sum(1)
    np.testing.assert_array_equal(gone.sum((1, 2)), area)  # one full rectangle each
    np.testing.assert_allclose(share, keep.double().mean((1, 2)), atol=1e-6)


@pytest.mark.parametrize("axes", ["both", "time", "frequency"])
def test_boxes_are_in_one_piece(axes):
    keep = boxes(0.5, (8, 10), axes, count=300)[1]
    for line in ((~keep).any(1), (~keep).any(2)):
        assert (line.int().diff(dim=-1).abs().sum(-1) <= 2).all()
        ends = line.int().diff(dim=-1, prepend=torch.zeros(300, 1, dtype=torch.int32))
        assert ((ends == 1).sum(-1) == 1).all()


@pytest.mark.parametrize(("axes", "whole", "length"), [("time", 1, 10), ("frequency", 2, 8)])
def test_boxes_may_span_a_whole_axis(axes, whole, length):
    share, keep = boxes(0.4, (8, 10), axes)
    gone = (~keep).numpy()
    np.testing.assert_array_equal(gone.any(whole), gone.all(whole))
    expected = clipped(length, int(length * (1 - np.float32(0.4))))
    assert abs((1 - share.mean()) - expected.mean() / length) < 0.02


def test_every_example_has_a_box_of_its_own():
    keep = draw_keep(torch.full((3, 50), 0.5), (2, 8, 9), generator=source())[1]
    assert keep.shape == (3, 50, 1, 8, 9)
    assert len(keep.view(150, -1).unique(dim=0)) > 20


def test_lambda_one_keeps_everything():
    share, keep = boxes(1.0, (4, 5))
    assert keep.all()
    assert (share == 1).all()


def test_same_seed_gives_the_same_bits():
    one, again = boxes(0.5, (8, 9)), boxes(0.5, (8, 9))
    assert torch.equal(one[1], again[1])
