from __future__ import annotations

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.report import Line, samples

DAY = 86_400
EVENTS = pl.DataFrame(
    {
        "user_id": ["a", "a", "a", "a", "b"],
        "item_id": ["x", "y", "x", "z", "y"],
        "timestamp": [0, DAY, 2 * DAY, 3 * DAY, 0],
    }
)
ITEMS = pl.DataFrame(
    {
        "item_id": ["x", "y", "z", "w"],
        "title": ["Ex", None, "Zed", "Double"],
        "genres": [["Comedy", "Drama"], [], ["Comedy"], None],
        "kind": ["film", "book", "film", None],
    }
)
DATA = Dataset.from_frames(EVENTS, items=ITEMS, schema=Schema(timestamp="timestamp", time_kind="unix", title="title"))
SHOWN = pl.DataFrame(
    {
        "user_id": ["b", "b", "a", None],
        "item_id": ["z", "x", "w", "y"],
        "rank": [1, 2, 1, 1],
        "source": ["ease", "popular", "ease", "popular"],
    }
)


def test_a_list_stands_beside_the_history_newest_first_each_item_once() -> None:
    found = samples(SHOWN, DATA.histories, DATA.user_ids, DATA.items, details=("genres", "kind", "missing"), dated=True)
    assert [one.user for one in found] == ["b", "a", None]
    b, a, unknown = found
    assert b.shown == (Line("z", "Zed", "Comedy · film", "ease"), Line("x", "Ex", "Comedy · Drama · film", "popular"))
    assert b.recent == (Line("y", "y", "book", "1970-01-01"),)
    assert a.had == 4
    assert [(line.item, line.note) for line in a.recent] == [
        ("z", "1970-01-04"),
        ("x", "1970-01-03"),
        ("y", "1970-01-02"),
    ]
    assert (unknown.had, unknown.recent) == (0, ())
    assert unknown.shown == (Line("y", "y", "book", "popular"),)


def test_the_history_may_be_cut_and_undated_and_sources_missing() -> None:
    found = samples(SHOWN.drop("source"), DATA.histories, DATA.user_ids, DATA.items, recent=2)
    assert [line.item for line in found[1].recent] == ["z", "x"]
    assert {line.note for one in found for line in (*one.recent, *one.shown)} == {""}
    assert {line.detail for one in found for line in one.shown} == {""}


def test_a_user_of_whom_nothing_is_known_gets_an_empty_history() -> None:
    shown = pl.DataFrame({"user_id": ["stranger"], "item_id": ["x"], "rank": [1]})
    found = samples(shown, DATA.histories, DATA.user_ids, DATA.items)
    assert (found[0].user, found[0].had, found[0].recent) == ("stranger", 0, ())
    assert np.diff(DATA.histories.indptr).tolist() == [4, 1]
