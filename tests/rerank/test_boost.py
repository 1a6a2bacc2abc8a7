"""Boosts."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serendip.rerank import Boost, bind
from serendip.types import SerendipError

from .shelves import asked, lists, shelf


def test_a_number_is_added_by_its_weight() -> None:
    # By hand: a 1 + 0.2 · 1 = 1.2, b 0.5 + 0.2 · 2 = 0.9, d 0 + 0.2 · 4 = 0.8; at weight 0.4: 1.4, 1.3, 1.6.
    assert bind(Boost(by="price", weight=0.2), shelf())(asked(), lists([0, 1, 3])).items.tolist() == [[0, 1, 3]]
    assert bind(Boost(by="price", weight=0.4), shelf())(asked(), lists([0, 1, 3])).items.tolist() == [[3, 0, 1]]
    # c and e have no price and get nothing; below 0 the dear ones go down.
    assert bind(Boost(by="price", weight=9), shelf())(asked(), lists([2, 4, 0])).items.tolist() == [[0, 2, 4]]
    assert bind(Boost(by="price", weight=-9), shelf())(asked(), lists([3, 1, 2])).items.tolist() == [[2, 1, 3]]


def test_what_is_new_goes_up_by_half_for_each_half_life() -> None:
    # By hand: years 2000, 2003 and 2004, the newest being 2005; half-life 1: 1/32, 1/4, 1/2.
    step = bind(Boost(by="year", half_life=1, weight=1.2), shelf())
    # a 1 + 0.0375 = 1.04, d 0.5 + 0.3 = 0.8, e 0 + 0.6 = 0.6
    assert step(asked(), lists([0, 3, 4])).items.tolist() == [[0, 3, 4]]
    step = bind(Boost(by="year", half_life=1, weight=3), shelf())  # 1.09, 1.25, 1.5
    assert step(asked(), lists([0, 3, 4])).items.tolist() == [[4, 3, 0]]


def test_dates_are_as_old_as_they_are_when_it_is_asked() -> None:
    step = bind(Boost(by="out", half_life=1, weight=3), shelf())
    assert step(asked(), lists([0, 2, 4, 5])).items.tolist() == [[4, 2, 0, 5]]  # 1, 3 and 5 January; the last unknown
    later = int(datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC).timestamp())
    queries = replace(asked(), time=np.array([later]))
    assert step(queries, lists([0, 2, 4, 5])).items.tolist() == [[0, 2, 4, 5]]  # all are old by then
    assert step.reads_time  # type: ignore[attr-defined]


def test_what_fits_a_filter_goes_up() -> None:
    step = bind(Boost(fits='genres has "Comedy"', weight=0.6), shelf())
    assert step(asked(), lists([0, 2, 3])).items.tolist() == [[2, 0, 3]]  # 1, 0.5 + 0.6, 0.6


def test_what_it_goes_by_is_said_once() -> None:
    either: tuple[dict[str, Any], ...] = ({}, {"by": "price", "fits": "price > 1"})
    for options in either:
        with pytest.raises(ValueError, match="boost must have either by, a column of the items, or fits, a filter"):
            Boost(**options)
    with pytest.raises(ValueError, match="half_life must come with by"):
        Boost(fits="price > 1", half_life=2)
    with pytest.raises(SerendipError, match=r"'out', which holds dates. Try: half_life = 30"):
        bind(Boost(by="out"), shelf())
    with pytest.raises(SerendipError, match=r"boost.by must be a column of numbers or dates. Got 'genres'"):
        bind(Boost(by="genres"), shelf())
