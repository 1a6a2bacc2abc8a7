"""Vectors for each other field: what follows what has a direction, which one vector for all fields cannot hold."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.data import synthetic
from serendip.data.dataset import Dataset
from serendip.model import Run, find
from serendip.models.ffm import FFM
from serendip.types import ABSENT, Floats, Queries

N = 12


@pytest.fixture(scope="module")
def circle() -> Dataset:
    """After each item comes the next one of a circle: 240 users with two events each."""
    first = np.arange(240) % N
    events = pl.DataFrame(
        {
            "user_id": np.repeat(np.arange(240), 2),
            "item_id": np.column_stack([first, (first + 1) % N]).ravel(),
            "timestamp": np.tile([1_700_000_000, 1_700_000_060], 240),
        }
    )
    return Dataset.from_frames(events, columns={"timestamp": "timestamp"})


def found(data: Dataset, name: str) -> Floats:
    """Of each item, how much more the next one scores after it than the one before."""
    model = find(name)(factors=8, length=1, epochs=30, batch_size=64, learning_rate=0.02)
    codes = data.item_ids.encode(pl.Series(np.arange(N)))
    asked = Queries(np.full(N, ABSENT, np.int32), codes[:, None])
    around = np.column_stack([np.roll(codes, -1), np.roll(codes, 1)])
    scores = model.fit(data, Run(threads=1)).lower().score(asked, around)
    return np.asarray(scores[:, 0] - scores[:, 1])


def test_only_vectors_for_each_field_tell_what_follows_from_what_comes_before(circle: Dataset) -> None:
    assert (found(circle, "ffm") > 1).all()
    assert np.isclose(found(circle, "fm").mean(), 0, atol=1e-3)  # around the circle it comes to nothing


def test_a_score_is_weights_and_products_of_the_vectors_for_each_other() -> None:
    model = FFM(factors=3, epochs=2)
    scorer = model.fit(synthetic.checkerboard(users=20, items=10), Run(threads=1)).lower()
    learned = model.learned()
    assert learned is not None
    items, bias = learned["items.ids.weight"][1:], learned["bias"]
    history = items[[0, 4]].mean(axis=0)
    asked = Queries(np.array([ABSENT], np.int32), np.array([[0, 4]], np.int32))
    for_history, for_item = slice(0, 3), slice(3, 6)  # the history is the first field, the item the second
    expected = bias + history[-1] + items[:, -1] + items[:, for_history] @ history[for_item]
    assert np.allclose(scorer.score(asked)[0], expected, atol=1e-5)
