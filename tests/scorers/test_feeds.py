from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from serendip.scorers.feeds import Feed, Items, fault, of_queries, plain
from serendip.types import ABSENT, Input, Queries, SerendipError

NAN = np.nan
HISTORY = Feed("history", "history", 3, 5)
TOLD = np.array([[0, 0.5], [1, 1.5], [NAN, NAN], [3, 3.5], [4, 4.5]], np.float32)
ITEMS = Items(~np.isnan(TOLD[:, 0]), TOLD)
"""Items 0 to 4, of which nothing is known of 2."""


def fed(queries: Queries, *feeds: Feed) -> dict[str, Any]:
    return of_queries(queries, feeds, ITEMS)[0]


def test_the_latest_known_items_stand_on_the_right() -> None:
    queries = Queries.of([[0, 1, 3, 4], [3], [], [2, 1, 2, 9, 0, 2]])
    got = fed(queries, HISTORY)["history"]
    assert got.dtype == np.int64
    np.testing.assert_array_equal(got, [[1, 3, 4], [ABSENT, ABSENT, 3], [ABSENT] * 3, [ABSENT, 1, 0]])


def test_items_that_the_network_came_before_are_left_out() -> None:
    got = fed(Queries.of([[0, 4, 1, 3]]), Feed("history", "history", 3, 4))["history"]
    np.testing.assert_array_equal(got, [[0, 1, 3]])


def test_vectors_stand_for_codes_with_a_mask() -> None:
    got = fed(Queries.of([[1, 2, 4]]), Feed("history", "history", 3, vectors=True))
    np.testing.assert_array_equal(got["history"], [[[0, 0], [1, 1.5], [4, 4.5]]])
    np.testing.assert_array_equal(got["history.present"], [[False, True, True]])
    assert got["history"].dtype == np.float32


def test_what_is_aligned_moves_with_its_events() -> None:
    queries = replace(
        Queries.of([[0, 2, 1, 3]]),
        bags={"kind": np.array([[5, 6, 1, 0]]), "weight": np.array([[1, 2, 3, 4]], np.float32)},
    )
    got = fed(queries, HISTORY, Feed("kind", "aligned", 3, 4), Feed("weight", "aligned", 3), Feed("gone", "aligned", 3))
    np.testing.assert_array_equal(got["history"], [[0, 1, 3]])
    np.testing.assert_array_equal(got["kind"], [[ABSENT, 1, 0]])  # 5 is beyond the size
    np.testing.assert_array_equal(got["weight"], [[1, 3, 4]])
    np.testing.assert_array_equal(got["gone"], [[NAN] * 3])


def test_a_bag_has_events_and_codes_of_its_own() -> None:
    """Code 2 of a bag need not be item 2; where a bag is given as vectors it is."""
    queries = replace(Queries.of([[0], [1]]), bags={"words": np.array([[2, 7, 11, 3], [ABSENT] * 4])})
    np.testing.assert_array_equal(fed(queries, Feed("words", "bag", 3, 10))["words"], [[2, 7, 3], [ABSENT] * 3])
    got = fed(queries, Feed("words", "bag", 2, vectors=True))
    np.testing.assert_array_equal(got["words.present"], [[False, True], [False, False]])
    np.testing.assert_array_equal(got["words"][0, 1], [3, 3.5])
    np.testing.assert_array_equal(fed(Queries.of([[0]]), Feed("words", "bag", 2, 10))["words"], [[ABSENT] * 2])


def test_features_are_codes_below_their_size_and_numbers_that_are_finite() -> None:
    queries = replace(
        Queries.of([[0], [1]]),
        features={
            "country": np.array([3, 9]),
            "tags": np.array([[0, 1], [-7, 4]], np.int32),
            "age": np.array([np.inf, 4]),
            "text": np.array([[1, NAN], [2, 3]]),
        },
    )
    feeds = (
        Feed("country", "feature", 0, 4),
        Feed("tags", "feature", 2, 4),
        Feed("age", "feature"),
        Feed("text", "feature", 2),
        Feed("city", "feature", 0, 4),
        Feed("height", "feature", 1),
    )
    got = fed(queries, *feeds)
    np.testing.assert_array_equal(got["country"], [3, ABSENT])
    np.testing.assert_array_equal(got["tags"], [[0, 1], [ABSENT, ABSENT]])
    np.testing.assert_array_equal(got["age"], [NAN, 4])
    np.testing.assert_array_equal(got["text"], [[1, NAN], [2, 3]])
    np.testing.assert_array_equal(got["city"], [ABSENT] * 2)
    np.testing.assert_array_equal(got["height"], [[NAN]] * 2)
    assert {value.dtype for value in got.values()} == {np.dtype(np.int64), np.dtype(np.float32)}


def test_it_is_known_of_which_queries_there_is_a_history_and_of_which_anything() -> None:
    queries = replace(
        Queries.of([[0], [2], [], []]),
        bags={"words": np.array([[ABSENT], [ABSENT], [1], [ABSENT]])},
        features={"age": np.array([NAN, NAN, NAN, 5.0])},
    )
    feeds = (HISTORY, Feed("words", "bag", 1, 5), Feed("age", "feature"))
    _, history, anything = of_queries(queries, feeds, ITEMS)
    np.testing.assert_array_equal(history, [True, False, False, False])
    np.testing.assert_array_equal(anything, [True, False, True, True])


def test_no_queries_and_no_items_are_fine() -> None:
    assert fed(Queries.of([]), HISTORY)["history"].shape == (0, 3)
    nothing = Items(np.empty(0, bool), np.empty((0, 2), np.float32))
    got, history, _ = of_queries(Queries.of([[0, 1]]), (HISTORY,), nothing)
    np.testing.assert_array_equal(got["history"], [[ABSENT] * 3])
    assert not history.any()


def test_a_feature_is_made_from_what_describes_it() -> None:
    assert Feed.feature(Input("genre", "item", 7, 3)) == Feed("genre", "feature", 3, 7)
    assert Feed.feature(Input("year", "item")) == Feed("year", "feature")


@pytest.mark.parametrize(
    ("feed", "given", "text"),
    [
        (
            Feed("a", "feature", 0, 4),
            [[1], [2]],
            r"'a' must be an array of whole numbers of the shape \[2\]. Got int64",
        ),
        (Feed("a", "feature", 0, 4), [1.0, 2.0], "must be an array of whole numbers"),
        (Feed("a", "feature", 3), [1.0, 2.0], r"must be an array of numbers of the shape \[2, 3\]"),
        (Feed("a", "feature"), ["x", "y"], "must be an array of numbers"),
    ],
)
def test_a_feature_of_another_shape_is_refused(feed: Feed, given: Any, text: str) -> None:
    with pytest.raises(SerendipError, match=text):
        plain(feed, np.array(given), 2)


def test_bags_of_another_shape_are_refused() -> None:
    queries = replace(Queries.of([[0, 1]]), bags={"kind": np.array([[1]]), "words": np.array([1])})
    with pytest.raises(SerendipError, match=r"bags\['kind'\] must have a value for each event of the history"):
        fed(queries, HISTORY, Feed("kind", "aligned", 3, 4))
    with pytest.raises(SerendipError, match=r"bags\['words'\] must be \[1, t\] codes"):
        fed(queries, Feed("words", "bag", 3, 4))


@pytest.mark.parametrize(
    ("feeds", "text"),
    [
        ([HISTORY, HISTORY], "its inputs must have different names"),
        ([HISTORY, Feed("other", "history", 3, 5)], "at most one input may be the history"),
        ([HISTORY, Feed("kind", "aligned", 2, 5)], "must be as wide as the history"),
        ([Feed("kind", "aligned", 2, 5)], "must be as wide as the history"),
        ([Feed("history", "history", 0, 5)], "history must have a width of 1 or more"),
        ([Feed("history", "history", 3)], "either codes below a size or vectors"),
        ([Feed("bag", "bag", 3, 5, vectors=True)], "either codes below a size or vectors"),
        ([Feed("age", "feature", vectors=True)], "only items have them"),
        ([Feed("x", "history", 3, vectors=True), Feed("x.present", "feature")], "different names"),
    ],
)
def test_feeds_that_do_not_fit_together_are_named(feeds: list[Feed], text: str) -> None:
    assert text in str(fault(feeds))


def test_feeds_that_fit_have_no_fault() -> None:
    assert fault([HISTORY, Feed("kind", "aligned", 3, 5), Feed("words", "bag", 2, 9), Feed("age", "feature")]) is None
