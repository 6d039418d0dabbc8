import numpy as np
import pytest

from mixup_tab.training.state import check_mixing_span, cycle_lengths, mixed_epochs


@pytest.mark.parametrize(
    ("span", "epochs", "mixed"),
    [
        ((0, 1), 5, [0, 1, 2, 3, 4]),
        ((0.1, 1), 10, [1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ((0, 0.9), 10, [0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ((1 / 6, 1), 30, list(range(5, 30))),
        ((0.25, 0.75), 4, [1, 2]),
        ((0.1, 1), 1, [0]),
        ((0.9, 1), 3, []),
        ((0, 1), 0, []),
    ],
)
def test_an_epoch_is_mixed_if_its_middle_lies_in_the_span(span, epochs, mixed):
    assert np.flatnonzero(mixed_epochs(span, epochs)).tolist() == mixed


@pytest.mark.parametrize(
    ("epochs", "first", "lengths"),
    [
        (30, None, [30]),
        (30, 2, [2, 4, 8, 16]),
        (31, 2, [2, 4, 8, 17]),
        (5, 2, [5]),
        (1, 2, [1]),
        (0, 2, [0]),
        (0, None, [0]),
    ],
)
def test_a_cycle_is_twice_as_long_as_the_one_before_and_the_last_takes_the_rest(
    epochs, first, lengths
):
    assert cycle_lengths(epochs, first) == lengths


def test_every_cycle_goes_through_the_span():
    once = mixed_epochs((0, 0.75), 4) + mixed_epochs((0, 0.75), 8)
    assert mixed_epochs((0, 0.75), 12, 4) == once
    assert once == [True] * 3 + [False] + [True] * 6 + [False] * 2


@pytest.mark.parametrize("span", [[0, 0.5], (np.float32(0), np.float64(0.5)), (0, 0.5)])
def test_any_pair_of_numbers_will_do(span):
    assert check_mixing_span(span) == (0.0, 0.5)


@pytest.mark.parametrize(
    ("span", "error"),
    [
        (0.5, TypeError),
        ("ab", TypeError),
        ((0.1,), TypeError),
        ((0, 0.5, 1), TypeError),
        ((None, 1), TypeError),
        ((False, True), TypeError),
        ((0.5, 0.5), ValueError),
        ((1, 0), ValueError),
        ((-0.1, 1), ValueError),
        ((0, 1.1), ValueError),
        ((0, float("nan")), ValueError),
    ],
    ids=str,
)
def test_other_values_are_named_with_what_would_be_right(span, error):
    with pytest.raises(error, match=r"mixing_span must be .*0 <= start < end <= 1") as raised:
        check_mixing_span(span)
    assert repr(span) in str(raised.value)
