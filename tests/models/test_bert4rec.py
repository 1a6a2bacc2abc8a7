"""BERT4Rec: which events become gaps. That it learns what comes next is tested with the other models of sequences."""

from __future__ import annotations

import numpy as np

from serendip.models.bert4rec import LAST, chosen
from serendip.types import ABSENT


def test_gaps_are_events_and_no_history_is_without() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.integers(1, 21, 4000)
    events = np.where(np.arange(20) < sizes[:, None], 7, ABSENT)
    gaps = chosen(events, 0.3, rng)
    assert not gaps[events == ABSENT].any()
    assert gaps.any(axis=1).all()


def test_the_last_event_alone_is_a_gap_as_often_as_said() -> None:
    events = np.full((20_000, 10), 3)
    gaps = chosen(events, 0.3, np.random.default_rng(1))
    only_last = gaps[:, -1] & (gaps.sum(axis=1) == 1)
    by_chance = (1 - LAST) * (0.7**9 * 0.3 + 0.7**10)  # drawn so, or nothing was drawn
    assert abs(only_last.mean() - (LAST + by_chance)) < 0.01
    assert abs(gaps[:, :-1].mean() - (1 - LAST) * 0.3) < 0.01


def test_gaps_are_where_something_is_learned() -> None:
    wanted = np.full((500, 10), ABSENT)
    wanted[:, [2, 5]] = 3
    gaps = chosen(wanted, 0.3, np.random.default_rng(2))
    assert gaps.any(axis=1).all()
    assert gaps.sum() == gaps[:, [2, 5]].sum()
    assert not chosen(np.full((3, 4), ABSENT), 0.3, np.random.default_rng(2)).any()
