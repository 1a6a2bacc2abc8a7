"""Control of popularity."""

from __future__ import annotations

import numpy as np
import pytest

from serendip.rerank import Popularity, bind
from serendip.rerank.popularity import fame, head
from serendip.types import ABSENT

from .shelves import COUNTS, asked, lists, shelf


def test_the_penalty_falls_with_the_logarithm() -> None:
    # By hand: of 50, 5 and 0 events log(1 + c) / log 51 is 1, 0.456 and 0.
    np.testing.assert_allclose(fame(COUNTS)[[0, 4, 5]], [1, 0.4557, 0], atol=1e-4)
    found = bind(Popularity(weight=0.9), shelf())(asked(), lists([0, 4, 5]))  # 0.1, 0.5 − 0.41, 0
    assert found.items.tolist() == [[0, 4, 5]]
    assert bind(Popularity(weight=1), shelf())(asked(), lists([0, 4, 5])).items.tolist() == [[4, 0, 5]]


def test_the_head_are_the_fewest_items_with_a_share_of_the_events() -> None:
    assert head(COUNTS, 0.5)[:, 0].tolist() == [0, *[ABSENT] * 6]  # 50 of 95
    assert head(COUNTS, 0.6)[:, 0].tolist() == [0, 0, *[ABSENT] * 5]
    assert (head(np.zeros(3, np.int64), 0.5) == ABSENT).all()


def test_a_quota_of_places_holds_other_items() -> None:
    step = bind(Popularity(quota=0.5, head=0.8), shelf())  # the head: a, b and c or d
    found = step(asked(k=4), lists([0, 1, 2, 3, 4, 5]))
    assert found.items.tolist() == [[0, 1, 3, 4, 2, 5]]
    assert step(asked(k=2), lists([0, 1])).items.tolist() == [[0, 1]]  # nothing else there is


def test_it_is_one_or_the_other() -> None:
    with pytest.raises(ValueError, match="popularity must have either weight, a penalty, or quota"):
        Popularity()
