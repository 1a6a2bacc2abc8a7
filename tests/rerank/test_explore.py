"""Exploration: lists by chance that say how likely they were."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serendip.rerank import PINNED, Explore, Shelf, bind
from serendip.types import PROPENSITY, Queries, Recs, SerendipError

from .shelves import FILMS, Plain, Toy, asked, lists, shelf

TOY = Toy([5, 4, 3, 2, 1, 0], [0.5, 1, 1, 2, 2, 3])
POLICIES = [Explore(epsilon=0.4), Explore(policy="thompson", draws=400)]


def by_chance(q: int, k: int = 3, seed: int = 0) -> Queries:
    return replace(asked(q, k), draw=np.random.default_rng(seed).integers(0, 2**64, q, dtype=np.uint64))


def of(options: Explore) -> Any:
    return bind(options, shelf({"toy": TOY}))


@pytest.mark.parametrize("options", POLICIES, ids=lambda one: one.policy)
def test_without_a_draw_the_list_stays_and_nothing_is_said(options: Explore) -> None:
    found = of(options)(asked(), lists([3, 1, 2]))
    assert found.items.tolist() == [[3, 1, 2]] and not found.columns


@pytest.mark.parametrize("options", POLICIES, ids=lambda one: one.policy)
def test_the_propensity_is_how_often_an_item_stands_there(options: Explore) -> None:
    n = 4000
    found: Recs = of(options)(by_chance(n), lists(*[[0, 1, 2, 3, 4, 5]] * n))
    told = found.columns[PROPENSITY]
    assert np.isnan(told[:, 3:]).all()
    for item in range(6):
        for place in range(3):
            at = found.items[:, place] == item
            # of the Monte-Carlo: the mean over the lists is far nearer than a single one
            slack = 4 * 0.5 / np.sqrt(n) + 1 / 400
            if at.any():
                assert abs(at.mean() - told[at, place].mean()) < slack
    assert (told[:, :3] > 0).all() and (told[:, :3] <= 1).all()


@pytest.mark.parametrize("options", POLICIES, ids=lambda one: one.policy)
def test_a_query_has_the_same_list_in_any_batch(options: Explore) -> None:
    step, queries, rows = of(options), by_chance(5), lists(*[[5, 1, 2, 0, 3]] * 5)
    whole = step(queries, rows)
    alone = [step(queries.take(slice(row, row + 1)), lists([5, 1, 2, 0, 3])) for row in range(5)]
    np.testing.assert_array_equal(whole.items, np.concatenate([one.items for one in alone]))
    np.testing.assert_allclose(
        whole.columns[PROPENSITY], np.concatenate([one.columns[PROPENSITY] for one in alone]), rtol=1e-6
    )


def test_pinned_items_stay_where_they_are() -> None:
    source = np.array([["toy", PINNED, "toy", "toy"]] * 50)
    found = of(Explore(epsilon=1))(by_chance(50), lists(*[[0, 1, 2, 3]] * 50, source=source))
    assert (found.items[:, 1] == 1).all() and (found.columns[PROPENSITY][:, 1] == 1).all()
    assert set(found.items[:, 0].tolist()) == {0, 2, 3}
    np.testing.assert_allclose(found.columns[PROPENSITY][:, [0, 2]], 1 / 3, rtol=1e-6)


def test_only_the_first_items_are_tried() -> None:
    found = of(Explore(epsilon=1, among=2))(by_chance(50, k=4), lists(*[[0, 1, 2, 3]] * 50))
    assert (found.items[:, 2:] == [2, 3]).all() and set(found.items[:, 0].tolist()) == {0, 1}
    np.testing.assert_allclose(found.columns[PROPENSITY], [[0.5, 0.5, 1, 1]] * 50)


def test_a_model_that_does_not_know_how_sure_it_is_cannot_be_drawn_from() -> None:
    said = (
        r"explore.scorer must be a model that says how sure it is of a score, such as ials or popular; .* Try: policy"
    )
    with pytest.raises(SerendipError, match=said):
        bind(Explore(policy="thompson"), Shelf(FILMS, np.ones(6, np.int64), {"plain": Plain([1], [1])}))
    with pytest.raises(SerendipError, match=r"of the pipeline: toy. Got plain"):
        bind(Explore(policy="thompson", scorer="plain"), shelf({"toy": TOY, "plain": Plain([1], [1])}))
    with pytest.raises(SerendipError, match="Did you mean 'toy'"):
        bind(Explore(policy="thompson", scorer="toi"), shelf({"toy": TOY}))
