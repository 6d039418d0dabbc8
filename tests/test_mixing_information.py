import numpy as np
import pytest
import torch
from sklearn.metrics import mutual_info_score

from mixup_tab.mixing import information
from mixup_tab.mixing.information import information_of, mutual_information, quantile_codes


def source(seed=0):
    return torch.Generator().manual_seed(seed)


def table(rows=300):
    """Noise, a rounded column, a constant, one that tells the class and one that tells half."""
    y = torch.arange(rows) % 3
    noise = torch.randn(rows, 5, generator=source())
    noise[:, 1] = noise[:, 1].round()
    noise[:, 2] = 7.0
    noise[:, 3] = -2.0 * y
    noise[:, 4] = torch.where(y == 0, 1.0, 0.0)
    return noise, y


def codes_by_numpy(x, bins):
    ordered = np.sort(x)
    place = np.arange(1, bins) * len(x) // bins
    bounds = (ordered[np.maximum(place - 1, 0)] + ordered[place]) / 2
    return np.array([(bounds < value).sum() + (bounds <= value).sum() for value in x])


@pytest.mark.parametrize("bins", [2, 8, 50])
@pytest.mark.parametrize("rows", [1, 7, 300])
def test_features_are_cut_at_their_quantiles(rows, bins):
    x = table(rows)[0].T
    expected = [codes_by_numpy(column, bins) for column in x.double().numpy()]
    np.testing.assert_array_equal(quantile_codes(x.double(), bins), expected)


def test_bins_without_ties_hold_equally_many_rows():
    counts = quantile_codes(torch.randn(1, 800, generator=source()), 8).unique(
        return_counts=True
    )[1]
    assert counts.tolist() == [100] * 8


@pytest.mark.parametrize("share", [0.02, 0.1, 0.9, 0.98])
def test_two_values_are_kept_apart_however_rare_one_is(share):
    x = (torch.arange(500) < 500 * share).double()
    assert len(quantile_codes(x.unsqueeze(0)).unique()) == 2


def test_it_is_what_scikit_learn_finds_in_the_same_bins(monkeypatch):
    x, y = table()
    codes = quantile_codes(x.T).numpy()
    expected = [mutual_info_score(one, y.numpy()) for one in codes]
    np.testing.assert_allclose(mutual_information(x, y), expected, atol=1e-12)
    values = torch.stack([x[:, 0] + x[:, 3], x[:, 4]], 1)
    expected = np.mean(
        [
            [mutual_info_score(one, v) for one in codes]
            for v in quantile_codes(values.T).numpy()
        ],
        axis=0,
    )
    np.testing.assert_allclose(mutual_information(x, values), expected, atol=1e-12)
    monkeypatch.setattr(information, "_VALUES_AT_ONCE", 700)  # two features at once
    np.testing.assert_allclose(mutual_information(x, values), expected, atol=1e-12)


def test_a_copy_of_the_class_tells_its_entropy_and_a_constant_nothing():
    found = mutual_information(*table())
    np.testing.assert_allclose(found[3], np.log(3))
    assert found[2] == 0
    assert found[0] < 0.1 < found[4]


def test_of_a_large_table_every_few_rows_are_looked_at(monkeypatch):
    monkeypatch.setattr(information, "MAX_ROWS", 100)
    x, y = table(250)
    seen = []

    def take(rows):
        seen.append(rows)
        return x[rows].view(-1, 5, 1)

    rows = torch.arange(100) * 250 // 100
    assert torch.equal(information_of(take, y), mutual_information(x[rows], y[rows]))
    assert torch.equal(seen[-1], rows)


def test_of_many_features_fewer_rows_are_looked_at(monkeypatch):
    monkeypatch.setattr(information, "MAX_VALUES", 5 * 90)
    monkeypatch.setattr(information, "FEWEST_ROWS", 20)
    x, y = table(250)
    for copies, expected in ((1, 90), (3, 30), (100, 20)):
        wide, seen = x.repeat(1, copies), []

        def take(rows, wide=wide, seen=seen):
            seen.append(len(rows))
            return wide[rows]

        information_of(take, y)
        assert seen[-1] == expected


def test_many_classes_take_no_more_memory_than_many_rows(monkeypatch):
    x, y = torch.randn(20, 300), torch.arange(20)
    expected, parts = mutual_information(x, y), []
    monkeypatch.setattr(information, "_VALUES_AT_ONCE", 10 * 16 * 20)  # ten features at once
    one = information._information

    def counted(codes, target):
        parts.append(len(codes))
        return one(codes, target)

    monkeypatch.setattr(information, "_information", counted)
    assert torch.equal(mutual_information(x, y), expected)
    assert parts == [10] * 30
