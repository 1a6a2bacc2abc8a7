"""Caps on values."""

from __future__ import annotations

import numpy as np

from serendip.rerank import Cap, bind
from serendip.types import ABSENT

from .shelves import asked, lists, shelf


def test_what_is_over_the_cap_stands_behind() -> None:
    found = bind(Cap(by="maker", most=1), shelf())(asked(2), lists([0, 1, 2, 3, 5], [1, 0]))
    # X is capped after a; f has no maker, so no cap holds for it.
    assert found.items.tolist() == [[0, 3, 5, 1, 2], [1, 0, ABSENT, ABSENT, ABSENT]]


def test_an_item_with_several_values_counts_for_each() -> None:
    found = bind(Cap(by="genres", most=1), shelf())(asked(), lists([2, 0, 3, 4]))
    assert found.items.tolist() == [[2, 4, 0, 3]]  # c is Comedy and Drama
    found = bind(Cap(by="genres", most=2), shelf())(asked(), lists([2, 0, 1, 3, 4]))
    assert found.items.tolist() == [[2, 0, 3, 4, 1]]


def test_it_holds_within_the_first_places_only() -> None:
    found = bind(Cap(by="maker", most=1, places=2), shelf())(asked(), lists([0, 1, 2, 3, 4]))
    assert found.items.tolist() == [[0, 3, 1, 2, 4]]


def test_a_column_without_values_caps_nothing() -> None:
    found = bind(Cap(by="nothing", most=1), shelf())(asked(), lists([3, 1, 0]))
    assert found.items.tolist() == [[3, 1, 0]]


def test_it_is_the_same_in_any_batch() -> None:
    rng = np.random.default_rng(0)
    rows = [rng.permutation(6)[: rng.integers(1, 7)] for _ in range(30)]
    step = bind(Cap(by="genres", most=1), shelf())
    whole = step(asked(30, k=6), lists(*rows)).items
    for row, got in zip(rows, whole, strict=True):
        assert step(asked(1, k=6), lists(row)).items[0].tolist() == got[: len(row)].tolist()
