from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.evaluate import Split, per_user
from serendip.evaluate.core import core
from serendip.types import SerendipError
from tests.evaluate.logs import Row, log, rows_of

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 8), st.integers(0, 12), st.sampled_from([0.0, 1.0, 2.0])),
    min_size=1,
    max_size=50,
    unique_by=lambda row: row[:3],
)


def peeled(rows: list[Row], k: int) -> list[Row]:
    """One user or item after the other is taken out, until all have enough partners."""
    left = list(rows)
    while True:
        pairs = {(user, item) for user, item, _, weight in left if weight > 0}
        users, items = (Counter(pair[at] for pair in pairs) for at in (0, 1))
        poor = next((row for row in left if users[row[0]] < k or items[row[1]] < k), None)
        if poor is None:
            return left
        user_is_poor = users[poor[0]] < k
        left = [row for row in left if (row[0] != poor[0] if user_is_poor else row[1] != poor[1])]


def test_what_drops_out_takes_others_along() -> None:
    # Users 1, 2 and items 1, 2 make a 2-core. Item 3 has user 3 only; without it user 3 has item 1 only.
    rows = [(1, 1, 0, 1.0), (1, 2, 1, 1.0), (2, 1, 0, 1.0), (2, 2, 1, 1.0), (3, 1, 0, 1.0), (3, 3, 1, 1.0)]
    data = core(log(rows), 2)
    assert rows_of(data) == rows[:4]
    assert data.user_ids.ids.to_list() == [1, 2]
    assert data.item_ids.ids.to_list() == [1, 2]


def test_repeats_and_views_without_interest_make_no_partner() -> None:
    square = [(1, 1, 0, 1.0), (1, 2, 1, 1.0), (2, 1, 0, 1.0), (2, 2, 1, 1.0)]
    rows = [*square, (1, 1, 5, 1.0), (1, 2, 6, 0.0), (3, 1, 0, 1.0), (3, 1, 1, 1.0), (3, 2, 2, 0.0)]
    assert sorted(rows_of(core(log(rows), 2))) == sorted([*square, (1, 1, 5, 1.0), (1, 2, 6, 0.0)])


@given(ROWS, st.integers(1, 4))
def test_it_is_what_peeling_leaves(rows: list[Row], k: int) -> None:
    expected = sorted(peeled(rows, k))
    if not expected:
        with pytest.raises(SerendipError, match=f"core must leave something of the log. Got nothing for k = {k}"):
            core(log(rows), k)
        return
    assert sorted(rows_of(core(log(rows), k))) == expected


def test_k_below_one_is_refused() -> None:
    with pytest.raises(SerendipError, match=r"k must be at least 1. Got 0 instead"):
        core(log([(1, 1, 0, 1.0)]), 0)


def held_per_kept(split: Split) -> float:
    """Held-out events per training event of the items with at most 7 in training."""
    kept = np.bincount(split.train.events.items, minlength=split.train.n_items)
    held = np.bincount(split.truth.items[split.truth.items >= 0], minlength=split.train.n_items)
    rare = kept <= 7
    return float(held[rare].sum() / kept[rare].sum())


def test_a_hold_out_of_the_core_treats_rare_items_as_the_test_does() -> None:
    """Why it is there: every item of a 10-core has 10 events, so of one with few in training, many are held out."""
    drawn = np.random.default_rng(0).integers(0, [600, 1500], (24_000, 2))
    whole = core(log([(user, item, 0, 1.0) for user, item in np.unique(drawn, axis=0).tolist()]), 10)
    published = per_user(whole, seed=1)
    plain, cored = (per_user(part, seed=2) for part in (published.train, core(published.train, 10)))
    assert held_per_kept(published) == pytest.approx(held_per_kept(cored), rel=0.15)
    assert held_per_kept(plain) < held_per_kept(published) / 1.5
