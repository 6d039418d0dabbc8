import numpy as np
import pytest

from mixup_tab.robustness.wrong_labels import corrupt_labels


@pytest.mark.parametrize("rate", [0, 0.2, 0.55, 1])
def test_just_the_share_of_labels_is_changed_and_all_to_other_classes(rate):
    y = np.array(["a", "b", "c"])[np.arange(60) % 3]
    given, changed = corrupt_labels(y, rate, random_state=1)
    assert changed.sum() == round(rate * 60)
    np.testing.assert_array_equal(given != y, changed)
    assert set(given) <= set(y)


def test_other_classes_are_equally_likely():
    given, changed = corrupt_labels([*[0] * 8000, 1, 2, 3, 4], 1, 0)
    counts = np.bincount(given[:8000], minlength=5)
    assert changed.all()
    assert counts[0] == 0
    assert abs(counts[1:] - 2000).max() < 5 * np.sqrt(8000 * 0.25 * 0.75)


def test_what_is_changed_at_a_low_rate_is_changed_alike_at_a_high_one():
    y = np.arange(90) % 5
    low, few = corrupt_labels(y, 0.2, random_state=3)
    high, many = corrupt_labels(y, 0.6, random_state=3)
    assert many[few].all()
    np.testing.assert_array_equal(low[few], high[few])


@pytest.mark.parametrize("y", [[0, 1, np.nan], ["a", None, "b"]], ids=str)
def test_missing_labels_are_refused(y):
    with pytest.raises(ValueError, match="y holds missing labels"):
        corrupt_labels(np.array(y, dtype=object), 0.5)
