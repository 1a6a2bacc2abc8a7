"""Pinned items."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from serendip.rerank import Pin, bind
from serendip.types import ABSENT, pack_mask

from .shelves import asked, lists, shelf


def source(*names: str) -> np.ndarray:
    return np.array([names])


def test_items_are_put_at_their_places_in_turn() -> None:
    recs = lists([0, 1, 2], source=source("ials", "ials", "ials"))
    found = bind(Pin(items=("e", "c"), place=2), shelf())(asked(), recs)
    assert found.items.tolist() == [[0, 4, 2, 1]]
    assert found.columns["source"].tolist() == [["ials", "pinned", "pinned", "ials"]]
    assert found.scores.tolist() == [[2, 0, 0, 1]]  # e had no score; c keeps its own


def test_behind_a_short_list_they_stand_last() -> None:
    found = bind(Pin(items=("e",), place=5), shelf())(asked(2), lists([0, 1], []))
    assert found.items.tolist() == [[0, 1, 4], [4, ABSENT, ABSENT]]


def test_never_what_the_query_excludes_or_does_not_allow() -> None:
    step = bind(Pin(items=("e", "f")), shelf())
    excluded = replace(asked(2), exclude=np.array([[4], [ABSENT]], np.int32))
    assert step(excluded, lists([0], [0])).items.tolist() == [[5, 0, ABSENT], [4, 5, 0]]
    allowed = replace(asked(2), allow=pack_mask(np.array([[1, 1, 0, 0, 1, 0], [1] * 6], bool)))
    assert step(allowed, lists([0], [0])).items.tolist() == [[4, 0, ABSENT], [4, 5, 0]]
    none = replace(asked(), allow=np.zeros((1, 0), np.uint8))
    assert step(none, lists([])).items.tolist() == [[]]


def test_an_unknown_item_is_said_in_a_note() -> None:
    found = bind(Pin(items=("no such", "b")), shelf())(asked(), lists([0]))
    assert found.items.tolist() == [[1, 0]]
    assert found.notes == ("pinned: 1 not known: no such",)
    assert bind(Pin(items=("no such",)), shelf())(asked(), lists([0, 1])).items.tolist() == [[0, 1]]


def test_numbers_and_texts_are_the_same_id() -> None:
    with pytest.raises(ValueError, match=r"pin.items must name each item once"):
        Pin(items=(1, "1"))
