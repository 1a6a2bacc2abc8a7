"""Which events an epoch learns from: the cap, how probable each is under it, and what weights come to."""

from __future__ import annotations

import numpy as np

from serendip.models._examples import chances, drawn, weights_of

USERS = np.repeat([0, 1, 3], [2, 10, 40])


def test_the_cap_is_drawn_among_the_rows_that_there_are() -> None:
    rows = np.flatnonzero(np.arange(len(USERS)) % 2 == 0)
    kept = drawn(rows, USERS, 3, np.random.default_rng(0))
    assert np.bincount(USERS[kept]).tolist() == [1, 3, 0, 3]
    assert set(kept) <= set(rows)
    assert (np.diff(kept) > 0).all()
    rng = np.random.default_rng(0)
    assert drawn(rows, USERS, None, rng) is rows
    assert rng.random() == np.random.default_rng(0).random(), "no chance without a cap"


def test_chances_are_how_often_the_cap_draws_an_event() -> None:
    rng = np.random.default_rng(0)
    often = np.zeros(len(USERS))
    for _ in range(2000):
        often[drawn(np.arange(len(USERS)), USERS, 4, rng)] += 1
    expected = chances(USERS, 4)
    assert np.unique(expected).tolist() == [0.1, 0.4, 1.0]
    np.testing.assert_allclose(often / 2000, expected, atol=0.04)
    assert chances(USERS, None).tolist() == [1.0] * len(USERS)


def test_weights_are_one_in_the_mean_or_none() -> None:
    found = weights_of(np.array([1, 3, 2], np.float32), True)
    assert found is not None and found.tolist() == [0.5, 1.5, 1.0] and found.dtype == np.float32
    assert weights_of(np.array([1, 3, 2], np.float32), False) is None
    assert weights_of(np.array([2, 2], np.float32), True) is None
    assert weights_of(np.empty(0, np.float32), True) is None
