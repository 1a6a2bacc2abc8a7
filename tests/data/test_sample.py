from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from serendip.data.sample import Negatives, Taken, capped, shuffled


def test_nobody_has_more_than_so_many_and_everything_has_its_chance() -> None:
    users = np.array([5, 2, 5, 5, 0, 2, 5, 5])
    rng = np.random.default_rng(0)
    kept = np.zeros(len(users))
    for _ in range(2000):
        rows = capped(users, 2, rng)
        assert (np.diff(rows) > 0).all()
        assert np.bincount(users[rows], minlength=6).tolist() == [1, 0, 2, 0, 0, 2]
        kept[rows] += 1
    np.testing.assert_allclose(kept[[1, 4, 5]], 2000)
    np.testing.assert_allclose(kept[[0, 2, 3, 6, 7]] / 2000, 2 / 5, atol=0.04)
    assert capped(users, 9, rng).tolist() == list(range(8))
    assert capped(users[:0], 1, rng).tolist() == []
    with pytest.raises(ValueError, match="most must be at least 1"):
        capped(users, 0, rng)


def test_every_row_comes_once_in_random_order() -> None:
    parts = list(shuffled(10, 4, np.random.default_rng(1)))
    assert [len(part) for part in parts] == [4, 4, 2]
    assert sorted(np.concatenate(parts)) == list(range(10))
    assert np.concatenate(parts).tolist() != list(range(10))
    chosen = np.concatenate(list(shuffled(np.array([7, 3, 9]), 2, np.random.default_rng(1))))
    assert sorted(chosen) == [3, 7, 9]


@pytest.mark.parametrize(("power", "expected"), [(0, [1 / 3, 0, 1 / 3, 1 / 3]), (0.5, [1 / 6, 0, 2 / 6, 3 / 6])])
def test_items_are_drawn_with_the_probability_that_is_said(power: float, expected: list[float]) -> None:
    negatives = Negatives.of(np.array([1, 0, 4, 9]), power)
    np.testing.assert_allclose(negatives.probability, expected)
    drawn = negatives.draw(np.random.default_rng(0), (200, 300))
    assert drawn.shape == (200, 300)
    np.testing.assert_allclose(np.bincount(drawn.ravel(), minlength=4) / drawn.size, expected, atol=0.01)
    with pytest.raises(ValueError, match="must have an item that occurs"):
        Negatives.of(np.zeros(3))


def test_each_negative_is_none_of_its_own_user() -> None:
    rng = np.random.default_rng(0)
    dense = rng.random((40, 30)) < 0.6
    dense[7] = True  # took up everything: whatever is drawn stays
    taken = Taken.of(csr_array(dense.astype(np.float32)))
    users = rng.integers(0, 40, 500)
    users = users[users != 7]
    found = Negatives.of(np.ones(30)).apart(rng, users, 8, taken)
    assert found.shape == (len(users), 8)
    assert not dense[users[:, None], found].any()
    others = np.array([30 - dense[user].sum() for user in users])
    seen = np.array([len(set(row)) for row in found])
    assert (seen <= others).all() and seen.mean() > 4
    everything = Negatives.of(np.ones(30)).apart(rng, np.array([7]), 5, taken)
    assert ((everything >= 0) & (everything < 30)).all()


def test_the_same_source_of_chance_gives_the_same() -> None:
    taken = Taken.of(csr_array(np.eye(6, dtype=np.float32)))
    once, again = (
        Negatives.of(np.arange(6), 0.75).apart(np.random.default_rng(3), np.arange(6), 4, taken) for _ in range(2)
    )
    assert (once == again).all()


def test_pairs_are_found() -> None:
    taken = Taken.of(csr_array(np.array([[0, 1, 0], [1, 0, 1]], np.float32)))
    users, items = np.divmod(np.arange(6), 3)
    assert taken.holds(users, items).tolist() == [False, True, False, True, False, True]
    assert not Taken.of(csr_array((2, 3), dtype=np.float32)).holds(users, items).any()
