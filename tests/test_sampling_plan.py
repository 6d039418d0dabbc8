import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from mixup_tab.sampling import VicinalSampler
from mixup_tab.sampling.plan import draw_plan

RNG = np.random.default_rng(0)
CODES = np.repeat([0, 1, 2], [4, 6, 20])
TABLE = RNG.normal(size=(30, 3)) + CODES[:, None]


def plan(**params):
    return draw_plan(VicinalSampler(random_state=0, **params), TABLE, CODES)


@pytest.mark.parametrize(
    ("size", "count"), [(1.0, 30), (0.5, 15), (0.001, 1), (2.5, 75), (1, 1), (7, 7)]
)
def test_size_is_a_share_or_a_number(size, count):
    rows, weights = plan(size=size, n_mixed=3)
    assert rows.shape == weights.shape == (count, 3)


def test_every_row_comes_first_equally_often():
    rows, _ = plan(size=3.0)
    assert np.bincount(rows[:, 0]).tolist() == [3] * 30


def test_partners_are_any_rows():
    rows, _ = plan(size=3000)
    assert set(rows[:, 1]) == set(range(30))
    assert abs(np.corrcoef(rows.T)[0, 1]) < 0.06


def test_partners_of_the_same_class():
    rows, _ = plan(size=300, n_mixed=3, partners="same_class")
    assert (CODES[rows] == CODES[rows[:, :1]]).all()
    assert len(np.unique(rows[:, 1])) == 30


@pytest.mark.parametrize("labels", ["soft", "unmixed"])
def test_partners_are_nearest_neighbours(labels):
    rows, _ = plan(size=600, n_mixed=3, partners="neighbors", n_neighbors=2, labels=labels)
    near = NearestNeighbors(n_neighbors=2).fit(TABLE).kneighbors(return_distance=False)
    allowed = [{row, *near[row]} for row in range(30)]
    first = [set(mixed) <= allowed[mixed[0]] for mixed in rows.tolist()]
    some = [any(set(mixed) <= allowed[row] for row in mixed) for mixed in rows.tolist()]
    assert all(some)
    assert all(first) is (labels == "soft")  # any of the rows gives an unmixed label


@pytest.mark.parametrize("n_mixed", [2, 3])
def test_without_alpha_every_row_is_drawn_equally_often_beside_neighbours_too(n_mixed):
    rows, weights = plan(size=90, alpha=0, partners="neighbors", n_mixed=n_mixed)
    assert (weights[:, 0] == 1).all()
    assert np.bincount(rows[:, 0]).tolist() == [3] * 30


@pytest.mark.parametrize("partners", ["any", "same_class"])
def test_balance_draws_first_rows_and_partners_of_all_classes_equally(partners):
    rows, _ = plan(size=6000, balance=True, partners=partners)
    own, others = (np.bincount(CODES[column]) for column in rows.T)
    assert own.tolist() == [2000] * 3
    assert np.abs(others - 2000).max() < 200


def test_balance_with_neighbours_balances_the_first_rows():
    rows, _ = plan(size=300, balance=True, partners="neighbors", labels="soft")
    assert np.bincount(CODES[rows[:, 0]]).tolist() == [100] * 3
