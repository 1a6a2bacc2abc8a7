from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serendip.scorers import MaxSimScorer, TowerScorer, dump, restore
from serendip.scorers.feeds import Feed
from serendip.scorers.grown import grown
from serendip.types import ABSENT, Embedder, Floats, Queries, SerendipError
from tests.scorers import networks

NAN, INF = np.nan, np.inf
TABLE = [[0, 0], [1, 2], [3, 4], [5, 6]]
"""What the query network knows: nothing of `ABSENT`, and a row for each of items 0 to 2."""
CODES = Feed("history", "history", 3, 3)
VECTORS = Feed("history", "history", 3, vectors=True)


def floats(values: Any) -> Floats:
    return np.array(values, np.float32)


def sample(**changes: Any) -> TowerScorer:
    """Items 0, 2 and 3 can be scored; the network came before item 3."""
    parts: dict[str, Any] = {
        "query": networks.mean_of_codes(TABLE, 3),
        "feeds": (CODES,),
        "items": floats([[1, 0], [NAN, NAN], [0, 1], [1, -1]]),
        "told": np.empty((4, 0), np.float32),
    }
    return TowerScorer(**{**parts, **changes})


def by_vectors(**changes: Any) -> TowerScorer:
    """With biases, and with an item network; of item 1 something is told although it cannot be scored."""
    parts: dict[str, Any] = {
        "query": networks.mean_of_vectors(2, 3),
        "feeds": (VECTORS,),
        "items": floats([[1, 0, 0.5], [NAN] * 3, [0, 1, -2]]),
        "told": floats([[1, 2], [3, 4], [NAN, NAN]]),
        "biased": True,
        "item": networks.by_genre([[0, 0], [1, 1], [2, 3]], told=True),
        "item_feeds": (Feed("genre", "feature", 0, 2), Feed("price", "feature")),
    }
    return TowerScorer(**{**parts, **changes})


def heads(**changes: Any) -> MaxSimScorer:
    parts: dict[str, Any] = {
        "query": networks.two_heads(TABLE, 3, [[1, 1], [-1, 2]]),
        "feeds": (CODES,),
        "items": floats([[1, 0, 0.5], [NAN] * 3, [0, 1, 0], [-1, 0, 1]]),
        "told": np.empty((4, 0), np.float32),
        "biased": True,
    }
    return MaxSimScorer(**{**parts, **changes})


KINDS = {"codes": sample, "vectors": by_vectors, "heads": heads}
ASKED = Queries.of([[0, 2], [2], [0], [2, 0, 2, 2], [], [3], [1]])


def test_scores_are_the_products_with_what_the_network_gives_by_hand() -> None:
    # The mean of (1, 2) and (5, 6) is (3, 4). Neither item 1, which cannot be scored, nor item 3, which is new, counts.
    scores = sample().score(Queries.of([[0, 2], [0, 1, 3, 2], [0], [3], []]))
    np.testing.assert_allclose(scores, [[3, -INF, 4, -1]] * 2 + [[1, -INF, 2, -1]] + [[-INF] * 4] * 2)


def test_of_a_long_history_the_latest_count() -> None:
    np.testing.assert_allclose(sample().query_vectors(Queries.of([[0, 0, 0, 2, 2, 2]])), [[5, 6]])


def test_vectors_and_biases_by_hand() -> None:
    # The mean of (1, 2) and (3, 4) is (2, 3); item 2 says nothing of anybody.
    scorer = by_vectors()
    np.testing.assert_allclose(scorer.query_vectors(Queries.of([[0, 2, 1]])), [[2, 3, 1]])
    np.testing.assert_allclose(scorer.score(Queries.of([[0, 2, 1], [2]])), [[2.5, -INF, 1], [-INF] * 3])


def test_tied_networks_are_told_the_items_own_vectors() -> None:
    told = np.empty((3, 0), np.float32)
    scorer = by_vectors(tied=True, told=told, item=networks.by_genre([[0, 0], [1, 1], [2, 3]]))
    np.testing.assert_allclose(scorer.query_vectors(Queries.of([[0, 1, 2]])), [[0.5, 0.5, 1]])


def test_of_several_heads_the_nearest_counts_by_hand() -> None:
    # (3, 4) becomes (3, 4) and (-3, 8): item 0 scores 3 or -3, item 2 4 or 8, item 3 -3 or 3, and their biases.
    np.testing.assert_allclose(heads().score(Queries.of([[0, 2]])), [[3.5, -INF, 8, 4]])


@pytest.mark.parametrize("name", KINDS)
def test_chosen_items_score_as_among_all(name: str) -> None:
    scorer = KINDS[name]()
    full = scorer.score(ASKED)
    each = np.random.default_rng(0).integers(0, scorer.n_items, (len(ASKED), 5)).astype(np.int32)
    np.testing.assert_allclose(scorer.score(ASKED, each), np.take_along_axis(full, each, axis=1))
    np.testing.assert_allclose(scorer.score(ASKED, each[0]), full[:, each[0]])
    assert np.isneginf(scorer.score(ASKED, np.array([ABSENT, 99], np.int32))).all()
    assert scorer.score(Queries.of([])).shape == (0, scorer.n_items)


@pytest.mark.parametrize("name", KINDS)
def test_a_batch_answers_as_its_queries_do_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = KINDS[name]()
    alone = np.concatenate([scorer.score(ASKED.take(slice(row, row + 1))) for row in range(len(ASKED))])
    np.testing.assert_allclose(scorer.score(ASKED), alone, atol=1e-5)
    monkeypatch.setattr("serendip.scorers.asked.BLOCK", 30)  # a query or two at a time
    np.testing.assert_allclose(scorer.score(ASKED), alone, atol=1e-5)


def test_only_one_vector_makes_an_embedder() -> None:
    """An index finds the items nearest to one vector; of several heads it would not know which."""
    assert isinstance(sample(), Embedder)
    assert not isinstance(heads(), Embedder)
    scores = by_vectors().score(ASKED)
    products = by_vectors().query_vectors(ASKED) @ by_vectors().item_vectors().T
    np.testing.assert_allclose(np.where(np.isnan(products), -INF, products), scores)


def test_without_history_features_suffice_only_where_they_may() -> None:
    query = networks.mean_and_age(TABLE, 3)
    feeds = (CODES, Feed("age", "feature"))
    asked = replace(Queries.of([[0], [], [], [0]]), features={"age": floats([10, 10, NAN, NAN])})
    alone = sample(query=query, feeds=feeds, alone=True).query_vectors(asked)
    np.testing.assert_allclose(alone, [[11, 12], [10, 10], [NAN, NAN], [1, 2]])
    needy = sample(query=query, feeds=feeds).query_vectors(asked)
    np.testing.assert_allclose(needy, [[11, 12], [NAN, NAN], [NAN, NAN], [1, 2]])


def test_a_vector_that_is_not_finite_is_none() -> None:
    table = [[0, 0], [1, 2], [INF, 4], [5, 6]]
    scorer = sample(query=networks.mean_of_codes(table, 3).copy(), items=floats([[1, 0], [1, 1], [0, 1], [1, -1]]))
    np.testing.assert_allclose(scorer.score(Queries.of([[1], [0]])), [[-INF] * 4, [1, 3, 2, -1]])


def test_new_items_get_vectors_from_their_features() -> None:
    scorer = by_vectors()
    features = {"genre": np.array([1, 0, 7]), "price": floats([0.5, NAN, 4])}
    wider = scorer.with_items(np.array([3, 5, 6], np.int32), features)
    assert (scorer.n_items, wider.n_items) == (3, 7)
    expected = [[2, 3, 0.5], [NAN] * 3, [NAN] * 3, [0, 0, 4]]  # item 4 was not given, and item 5 has no bias
    np.testing.assert_allclose(wider.item_vectors()[3:], expected)
    np.testing.assert_allclose(wider.told[3:], [[4, 6], [NAN, NAN], [2, 2], [0, 0]])
    # The mean of what is told of items 0 and 3, (1, 2) and (4, 6), is (2.5, 4).
    scores = wider.score(Queries.of([[0, 3]]))
    np.testing.assert_allclose(scores, [[3, -INF, 2, 17.5, -INF, -INF, 4]])
    before = Queries.of([[0, 1], [1], [2], []])
    np.testing.assert_array_equal(scorer.score(before), wider.score(before)[:, :3])


def test_items_that_are_known_may_get_new_vectors_too() -> None:
    changed = by_vectors().with_items(np.array([1], np.int32), {"genre": np.array([0]), "price": floats([0])})
    np.testing.assert_allclose(changed.item_vectors()[1], [1, 1, 0])
    assert changed.n_items == 3
    assert np.isnan(by_vectors().item_vectors()[1]).all()
    same = by_vectors().with_items(np.empty(0, np.int32), {})
    np.testing.assert_array_equal(same.item_vectors(), by_vectors().item_vectors())


def test_items_cannot_be_added_where_nothing_can_say_what_they_are() -> None:
    with pytest.raises(SerendipError, match="the scorer 'towers' has no network for items"):
        sample().with_items(np.array([4], np.int32), {})
    with pytest.raises(SerendipError, match=r"codes of items must be 0 or more\. Got -1 instead"):
        by_vectors().with_items(np.array([ABSENT], np.int32), {})
    with pytest.raises(SerendipError, match="the feature 'genre' must be an array of whole numbers of the shape"):
        by_vectors().with_items(np.array([4], np.int32), {"genre": np.array([1, 2])})


@pytest.mark.parametrize("name", KINDS)
def test_a_larger_catalogue_leaves_scores_as_they_were(name: str) -> None:
    scorer = KINDS[name]()
    wider = grown(scorer, 9, scorer.n_items + 2)
    np.testing.assert_array_equal(wider.score(ASKED)[:, :-2], scorer.score(ASKED))
    assert np.isneginf(wider.score(ASKED)[:, -2:]).all()


def test_similar_items_are_those_at_the_smallest_angle_biases_apart() -> None:
    items = floats([[1, 0, 9], [NAN] * 3, [2, 1, -9], [0, 1, 0]])
    scorer = sample(items=items, biased=True, query=networks.mean_of_codes(TABLE, 3))
    recs = scorer.similar_items(np.array([0, 1, 99], np.int32), 2)
    np.testing.assert_array_equal(recs.items, [[2, ABSENT], [ABSENT] * 2, [ABSENT] * 2])
    assert recs.scores[0, 0] == pytest.approx(2 / 5**0.5)


@pytest.mark.parametrize("name", KINDS)
def test_a_dump_holds_all_of_it(name: str) -> None:
    scorer = KINDS[name]()
    tensors, header = dump(scorer)
    again = restore(tensors, json.loads(json.dumps(header)))
    assert type(again) is type(scorer)
    np.testing.assert_array_equal(again.score(ASKED), scorer.score(ASKED))
    second, same = dump(again)
    assert same == header
    for key, value in second.items():
        np.testing.assert_array_equal(value, tensors[key])


@pytest.mark.parametrize("name", KINDS)
def test_many_threads_may_ask_at_once(name: str) -> None:
    scorer = KINDS[name]()
    expected = KINDS[name]().score(ASKED)
    with ThreadPoolExecutor(8) as pool:
        for got in pool.map(lambda _: scorer.score(ASKED), range(64)):
            np.testing.assert_array_equal(got, expected)


def test_without_the_runtime_it_loads_and_says_what_to_install_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    scorer = restore(*dump(sample()))
    assert scorer.n_items == 4
    assert np.isneginf(scorer.score(Queries.of([[]]))).all()
    with pytest.raises(
        SerendipError, match=r"the query network of the scorer 'towers' needs ONNX Runtime, .*\[serve\]"
    ):
        scorer.score(Queries.of([[0]]))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"items": floats([[1, NAN], [1, 1], [1, 1], [1, 1]])}, "a row of items must be finite, or all NaN"),
        ({"items": floats([[1, 0]])}, "told must be [n, e]"),
        ({"items": np.empty((4, 0), np.float32)}, "items must be [n, d], d above 0"),
        ({"items": floats([[1]] * 4), "biased": True}, "items must be [n, d], d above 0"),
        ({"told": floats([[1]] * 4)}, "told, or the vectors of items, must be what a feed is given"),
        ({"told": floats([[1]] * 4), "tied": True}, "told must be empty where it is tied"),
        ({"tied": True}, "told, or the vectors of items, must be what a feed is given"),
        ({"feeds": (CODES, CODES)}, "different names"),
        ({"feeds": (Feed("history", "history", 4, 3),)}, "history must be int64 of the shape [any, 4]"),
        ({"feeds": (CODES, Feed("age", "feature"))}, "must have the inputs age, history. Got history instead"),
        ({"items": floats([[1, 0, 2]] * 4)}, "vector must be float32 of the shape [any, 3]"),
        ({"query": networks.NO_MODEL}, "the query network of the scorer 'towers' must be an ONNX model"),
        ({"item_feeds": (Feed("a", "feature"),)}, "no inputs of an item network where there is none"),
        ({"item": networks.twice()}, "the item network of the scorer 'towers' must have the inputs none"),
        (
            {"item": networks.by_genre([[0, 0]]), "item_feeds": (CODES,)},
            "an item network is fed features only",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(SerendipError) as caught:
        sample(**changes)
    assert text in str(caught.value)


def test_an_item_network_must_give_what_is_needed() -> None:
    with pytest.raises(SerendipError, match=r"must have the outputs bias, told, vector\. Got bias, vector instead"):
        by_vectors(item=networks.by_genre([[0, 0], [1, 1], [2, 3]]))


def test_a_header_with_a_wrong_feed_is_refused() -> None:
    tensors, header = dump(sample())
    header["feeds"][0]["of"] = "elsewhere"
    with pytest.raises(SerendipError, match="the field feeds of the header is wrong"):
        restore(tensors, header)
