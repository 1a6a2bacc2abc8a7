"""What each stage did with an item, taken down while a pipeline answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from serendip.pipeline import chain, first_of, rank, retrieve
from serendip.pipeline.tracing import Place, held, lost, standing_of, traced
from serendip.scorers import StaticScores
from serendip.types import Queries, Recs

UP = StaticScores(np.arange(6, dtype=np.float32))
DOWN = StaticScores(np.arange(6, dtype=np.float32)[::-1].copy())
FIRST, SECOND = retrieve(DOWN, name="first", k=3), retrieve(UP, name="second")
RANKED = chain(first_of(FIRST, SECOND, least=4), rank(UP, name="ranker"))


def test_a_trace_is_the_answer_and_names_every_call_in_the_order_in_which_it_ended() -> None:
    queries = Queries.of([[]], k=2)
    recs, calls = traced(RANKED, queries)
    assert recs.items.tolist() == RANKED(queries).items.tolist() == [[5, 2]]
    assert [(call.name, call.path, call.found.items[0].tolist()) for call in calls] == [
        ("first", (0, 0), [0, 1, 2]), ("second", (0, 1), [5]), ("", (0,), [0, 1, 2, 5]), ("ranker", (1,), [5, 2]),
        ("", (), [5, 2]),
    ]  # fmt: skip
    assert [call.stage for call in calls] == [FIRST, SECOND, RANKED.stages[0], RANKED.stages[1], RANKED]
    assert calls[2].around(calls[0]) and not calls[2].around(calls[3]) and calls[4].around(calls[2])
    assert calls[3].given is calls[2].found


def test_what_is_lost_is_lost_in_one_call() -> None:
    _, calls = traced(RANKED, Queries.of([[]], k=2))
    gone = {item: lost(calls, item) for item in range(6)}
    assert {item: None if call is None else call.name for item, call in gone.items()} == {
        0: "ranker", 1: "ranker", 2: None, 3: None, 4: None, 5: None,
    }  # fmt: skip
    assert [len(held(calls, item)) for item in range(6)] == [2, 2, 4, 0, 0, 4]
    narrow = first_of(retrieve(DOWN, name="wide", k=5), SECOND)
    _, calls = traced(narrow, Queries.of([[]], k=2))
    assert lost(calls, 3) is calls[-1] and calls[-1].stage is narrow


def test_places_say_where_and_with_which_score() -> None:
    recs = Recs(np.array([[4, 2, -1]], np.int32), np.array([[3, 1, -np.inf]], np.float32))
    assert Place.of_item(recs, 2) == Place(2, 2, 1.0, 1.0)
    assert Place.of_item(recs, 5) == Place(None, 2, None, 1.0)
    assert Place.of_item(None, 5) == Place.of_item(Recs.empty(1), 5) == Place(None, 0, None, None)


def test_a_standing_goes_on_where_the_list_ends() -> None:
    queries = replace(Queries.of([[]], k=2), exclude=np.array([[0]], np.int32))
    assert standing_of(FIRST, queries, 4) == Place(4, 5, 1.0, 0.0)
    assert standing_of(FIRST, queries, 0).place is None
    given = FIRST(queries)
    assert standing_of(RANKED.stages[1], queries, 1, given) == Place(3, 3, 1.0, 1.0)  # type: ignore[arg-type]
