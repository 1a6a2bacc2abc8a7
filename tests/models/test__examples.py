"""Which events an epoch learns from: the cap, how probable each is under it, and what weights come to."""

from __future__ import annotations

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
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
    kinds = {"user_id": [1, 1, 2, 2], "item_id": [1, 2, 1, 3], "event_type": ["view", "buy", "like", "view"]}
    frame = pl.DataFrame(kinds)
    said = Dataset.from_frames(frame, event_weights={"view": 1, "buy": 3, "like": 2})
    silent = Dataset.from_frames(frame.with_columns(weight=pl.Series([1.0, 3, 2, 1])))
    rows = np.arange(3)
    for data, strength in ((said, "auto"), (said, "weight"), (silent, "weight")):
        found = weights_of(data, rows, strength)  # type: ignore[arg-type]
        assert found is not None and found.tolist() == [0.5, 1.5, 1.0] and found.dtype == np.float32
    assert weights_of(silent, rows, "auto") is None, "a column of weights may count anything"
    assert weights_of(said, rows, "binary") is None
    assert weights_of(said, np.array([0, 3]), "auto") is None
    assert weights_of(said, rows[:0], "auto") is None
