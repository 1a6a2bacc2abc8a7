"""Maximal marginal relevance."""

from __future__ import annotations

import numpy as np

from serendip.rerank import Mmr, bind
from serendip.types import ABSENT

from .shelves import Vectors, asked, lists, shelf


def test_an_unlike_item_goes_before_a_like_one() -> None:
    # By hand, at w = 0.4 after a: b has 0.4 · 0.5 − 0.6 · 1 = −0.4, e has 0.4 · 0 − 0 = 0.
    found = bind(Mmr(weight=0.4, by="genres"), shelf())(asked(3), lists([0, 1, 4], [4, 1], []))
    assert found.items.tolist() == [[0, 4, 1], [4, 1, ABSENT], [ABSENT] * 3]
    assert found.scores[0].tolist() == [2, 0, 1]


def test_at_weight_one_the_order_stays() -> None:
    assert bind(Mmr(weight=1, by="genres"), shelf())(asked(), lists([1, 0, 2, 3])).items.tolist() == [[1, 0, 2, 3]]


def test_behind_the_places_asked_for_the_order_stays() -> None:
    found = bind(Mmr(weight=0.1, by="genres"), shelf())(asked(k=2), lists([0, 1, 2, 3, 4]))
    assert found.items.tolist() == [[0, 3, 1, 2, 4]]


def test_the_chosen_may_stand_by_relevance() -> None:
    found = bind(Mmr(weight=0.1, by="genres", order="relevance"), shelf())(asked(2, k=3), lists([2, 0, 1, 4, 3], [0]))
    assert found.items[0].tolist() == [2, 0, 4, 1, 3]  # chosen: c, e, then a
    assert found.items[1, 0] == 0


def test_it_is_what_the_formula_says() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(6, 3)).astype(np.float32)
    vectors[5] = np.nan  # like nothing
    unit = np.nan_to_num(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    step = bind(Mmr(weight=0.3), shelf({"ials": Vectors(vectors)}))
    rows = [rng.permutation(6) for _ in range(20)]
    found = step(asked(20, k=4), lists(*rows))
    for row, got in zip(rows, found.items, strict=True):
        left, chosen = list(row), [row[0]]
        worth = {item: 1 - place / 5 for place, item in enumerate(row)}
        left.remove(row[0])
        while len(chosen) < 4:
            gain = [0.3 * worth[i] - 0.7 * max(float(unit[i] @ unit[j]) for j in chosen) for i in left]
            chosen.append(left.pop(int(np.argmax(gain))))
        assert got.tolist() == [*chosen, *left]


def test_against_all_counts_each_of_those_before() -> None:
    # By hand, with 4 places after a (Drama), d (Comedy) and e (War): b (Drama) is as a, c (Comedy|Drama) is
    # 1/√2 like a and d. Against the nearest c is the less alike, against all it is b, by 1 to √2.
    rows = lists([0, 3, 4, 1, 2], scores=[[9, 9, 9, 0, 0]])
    nearest, whole = (
        bind(Mmr(weight=0.45, by="genres", against=one), shelf())(asked(k=4), rows) for one in ("nearest", "all")
    )
    assert nearest.items.tolist() == [[0, 3, 4, 2, 1]]
    assert whole.items.tolist() == [[0, 3, 4, 1, 2]]


def test_against_all_is_what_the_formula_says() -> None:
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(7, 3)).astype(np.float32)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = [rng.permutation(7) for _ in range(20)]
    found = bind(Mmr(weight=0.4, against="all"), shelf({"ials": Vectors(vectors)}))(asked(20, k=5), lists(*rows))
    for row, got in zip(rows, found.items, strict=True):
        left, chosen = list(row), list[int]()
        worth = {item: 1 - place / 6 for place, item in enumerate(row)}
        while len(chosen) < 5:
            gain = [0.4 * worth[i] - 0.6 / 4 * sum(float(unit[i] @ unit[j]) for j in chosen) for i in left]
            chosen.append(left.pop(int(np.argmax(gain))))
        assert got.tolist() == [*chosen, *left]


def test_one_place_against_all_is_the_most_relevant() -> None:
    found = bind(Mmr(weight=0.1, by="genres", against="all"), shelf())(asked(k=1), lists([2, 0, 1]))
    assert found.items.tolist() == [[2, 0, 1]]
