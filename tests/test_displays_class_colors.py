import numpy as np
import pytest
from mixup_tab.displays.class_colors import class_colors, label_colors


@pytest.mark.parametrize("n", [2, 3, 7, 8, 40])
def test_every_class_has_a_colour_of_its_own(n):
    colors = class_colors(n)
    assert colors.shape == (n, 3)
    assert len(np.unique(colors, axis=0)) == n
    assert ((colors >= 0) & (colors <= 1)).all()


@pytest.mark.parametrize("n", [2, 3, 9])
def test_pure_labels_have_the_colour_of_their_class_and_even_ones_are_grey(n):
    np.testing.assert_allclose(label_colors(np.eye(n)), class_colors(n))
    assert np.ptp(label_colors(np.full((1, n), 1 / n))) == pytest.approx(0)


def test_a_larger_share_is_closer_to_the_colour_of_the_class():
    share = np.linspace(0.5, 1, 9)
    colors = label_colors(np.c_[share, 1 - share])
    away = np.linalg.norm(colors - class_colors(2)[0], axis=1)
    assert (np.diff(away) < 0).all()
