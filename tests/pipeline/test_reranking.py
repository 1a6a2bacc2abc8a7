"""Re-ranking within a pipeline."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest

from serendip.pipeline import (
    Reranked,
    bound,
    chain,
    first_of,
    from_dict,
    guarded,
    in_turn,
    rerank,
    reranked,
    rerankers,
    retrieve,
    scoring,
    to_dict,
)
from serendip.rerank import Boost, Cap, Explore, Mmr, Pin, Repeat, Shelf
from serendip.scorers import StaticScores
from serendip.types import ABSENT, PROPENSITY, Queries, Recs, SerendipError, Stage, pack_mask

N = 40
ITEMS = pl.DataFrame({"item_id": [f"i{code}" for code in range(N)], "kind": ["ab"[code // 20] for code in range(N)]})
SHELF = Shelf(ITEMS, np.arange(N)[::-1].copy(), {})
SCORER = StaticScores(np.arange(N, 0, -1, dtype=np.float32))


def made(*options: Any, candidates: int = 30) -> Stage:
    return bound(reranked(retrieve(SCORER, name="top"), *in_turn(options), candidates=candidates), lambda: SHELF)


def test_more_is_asked_for_than_is_wanted() -> None:
    found = made(Cap(by="kind", most=1))(Queries.of([[], []], k=2))
    assert found.items.tolist() == [[0, 20]] * 2  # the first of kind b stands at place 21
    assert found.columns["source"].tolist() == [["top", "top"]] * 2
    assert found.columns["place.cap"].tolist() == [[1, 21]] * 2
    assert "relevance" not in found.columns
    assert made(Cap(by="kind", most=1), candidates=10)(Queries.of([[]], k=2)).items.tolist() == [[0, 1]]
    assert made(Cap(by="kind", most=1), candidates=1)(Queries.of([[]], k=25)).counts.tolist() == [25]


def test_each_says_where_items_stood_before_it() -> None:
    found = made(Cap(by="kind", most=1), Pin(items=("i5",)), Cap(by="kind", most=1))(Queries.of([[]], k=3))
    assert found.items.tolist() == [[5, 20, 0]]
    assert found.columns["place.cap"].tolist() == [[6, 21, 1]]
    assert found.columns["place.pin"].tolist() == [[7, 2, 1]]
    assert found.columns["place.cap2"].tolist() == [[1, 3, 2]]
    assert found.columns["source"].tolist() == [["pinned", "top", "top"]]
    frame = found.frame(pl.Series(["u"]), ITEMS["item_id"])
    assert "place.cap2" not in frame.columns


def test_nothing_excluded_or_disallowed_is_shown_and_lists_stay_full() -> None:
    pinned = made(Pin(items=("i0", "i7", "i8")), Mmr(by="kind", weight=0.2))
    queries = replace(
        Queries.of([[], []], k=4),
        exclude=np.array([[0, 7], [8, ABSENT]], np.int32),
        allow=pack_mask(np.arange(N) < 10),
    )
    found = pinned(queries)
    assert found.counts.tolist() == [4, 4]
    assert not {0, 7} & set(found.items[0].tolist()) and 8 not in found.items[1]
    assert found.items.max() < 10
    assert made(Repeat())(Queries.of([list(range(30))], k=4)).counts.tolist() == [0]


def test_a_large_batch_is_worked_on_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = made(Pin(items=("i9", "none")), Cap(by="kind", most=1), Explore(epsilon=0.5))
    queries = replace(
        Queries.of([[]] * 9, k=3),
        exclude=np.array([[9 if row < 4 else 1] for row in range(9)], np.int32),
        draw=np.arange(9, dtype=np.uint64),
    )
    whole = stage(queries)
    monkeypatch.setattr("serendip.pipeline.reranking.ITEM_BYTES", 1 << 22)
    parts = stage(queries)
    np.testing.assert_array_equal(whole.items, parts.items)
    assert set(whole.columns) == set(parts.columns)
    for name, value in whole.columns.items():
        np.testing.assert_array_equal(value, parts.columns[name])
    assert whole.notes == parts.notes == ("pinned: 1 not known: none",)


def test_exploring_adds_how_likely_each_item_was_at_its_place() -> None:
    stage = made(Explore(epsilon=0.5))
    assert PROPENSITY not in stage(Queries.of([[]], k=3)).columns
    found = stage(replace(Queries.of([[]], k=3), draw=np.array([7], np.uint64)))
    told = found.columns[PROPENSITY]
    assert ((told > 0) & (told <= 1)).all()


def test_it_is_stored_by_its_options_alone() -> None:
    stage = reranked(
        first_of(retrieve(SCORER, name="top")),
        *in_turn([Boost(fits="kind == 'b'"), guarded_away := Cap(by="kind")]),
        candidates=7,
    )
    assert guarded_away in [one.options for one in rerankers(stage)]
    text = msgspec.json.encode(to_dict(stage))
    again = from_dict(msgspec.json.decode(text), {"top": SCORER})
    assert to_dict(again) == to_dict(stage) and isinstance(again, Reranked) and again.candidates == 7
    assert [part.name for part in scoring(again)] == ["top"]
    with pytest.raises(SerendipError, match=r"boost must know its items before it is asked\. Try: put"):
        again(Queries.of([[]]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"name": "mmr", "weight": 7}, "Expected `float` <= 1"),
        ({"name": "nmr"}, "Invalid value 'nmr'"),
        ({"name": "boost"}, "boost must have either by"),
        ({"name": "pin", "items": []}, "length >= 1"),
        ({"name": "cap", "by": "kind", "code": "x"}, "unknown field `code`"),
    ],
)
def test_what_is_stored_is_not_trusted(options: dict[str, Any], said: str) -> None:
    header = to_dict(reranked(retrieve(SCORER, name="top"), rerank(Mmr())))
    header["stages"][1]["options"] = options
    with pytest.raises(SerendipError, match=said):
        from_dict(header, {"top": SCORER})


def test_one_that_fails_is_skipped_where_it_is_guarded() -> None:
    class Failing:
        def __call__(self, queries: Queries, recs: Recs) -> Recs:
            raise RuntimeError("no")

    failing = replace(rerank(Mmr()), step=Failing())
    steps = (guarded(failing), *in_turn([Cap(by="kind", most=1)]))
    stage = bound(reranked(retrieve(SCORER, name="top"), steps[1]), lambda: SHELF)
    assert isinstance(stage, Reranked)
    found = replace(stage, stages=(stage.stages[0], steps[0], stage.stages[1]))(Queries.of([[]], k=2))
    assert found.items.tolist() == [[0, 20]]
    assert [str(note) for note in found.notes] == ["mmr was skipped: it failed (RuntimeError)"]


def test_what_cannot_be_is_said() -> None:
    top = retrieve(SCORER, name="top")
    with pytest.raises(SerendipError, match=r"reranked\(candidates=…\) must be at least 1. Got 0"):
        reranked(top, rerank(Mmr()), candidates=0)
    with pytest.raises(SerendipError, match=r"Re-rankers must have different names. Got 'mmr' twice"):
        reranked(top, rerank(Mmr()), rerank(Mmr()))
    with pytest.raises(SerendipError, match="The name of a re-ranker must be 1 to 64 letters"):
        rerank(Mmr(), name="a b")
    with pytest.raises(SerendipError, match="explore must be the last re-ranker"):
        reranked(top, guarded(rerank(Explore())), rerank(Mmr()))
    with pytest.raises(SerendipError, match=r"mmr re-ranks what other stages name. Got no lists"):
        chain(rerank(Mmr()))(Queries.of([[]]))
    with pytest.raises(SerendipError, match=r"cap.by must be a column of the items: kind. Got 'king'"):
        made(Cap(by="king"))
