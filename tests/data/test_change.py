"""New events joined to a known log: codes stay, order is by time, nothing known is counted twice or modified."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.findings import SchemaError
from serendip.data.synthetic import catalogue
from serendip.types import SerendipError

T = 1_000_000_000


def log(*rows: tuple[Any, Any, int], **more: list[Any]) -> pl.DataFrame:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row")
    return frame.with_columns(pl.col("timestamp") + T).with_columns(**{k: pl.Series(v) for k, v in more.items()})


def known() -> Dataset:
    events = log(("b", 5, 1), ("b", 3, 9), ("d", 3, 2))
    return Dataset.from_frames(events, items=pl.DataFrame({"item_id": [3, 5], "year": [1990, 2000]}))


def rows(data: Dataset) -> list[tuple[Any, Any, int]]:
    assert data.events.time is not None
    users = data.user_ids.ids.gather(data.events.users).to_list()
    items = data.item_ids.ids.gather(data.events.items).to_list()
    return list(zip(users, items, (data.events.time - T).tolist(), strict=True))


def test_new_ids_come_last_and_histories_go_on_by_time() -> None:
    data = known()
    change = Change.read(data, log(("b", 4, 5), ("a", 4, 3), ("c", 1, 7), ("d", 5, 8)))
    assert change.after.user_ids.ids.to_list() == ["b", "d", "a", "c"]
    assert change.after.item_ids.ids.to_list() == [3, 5, 1, 4]
    assert rows(change.after) == [
        *(("b", 5, 1), ("b", 4, 5), ("b", 3, 9)),
        *(("d", 3, 2), ("d", 5, 8)),
        *(("a", 4, 3), ("c", 1, 7)),
    ]
    assert change.events == 4 and change.notes == ()
    assert change.after.events.indptr.tolist() == [0, 3, 5, 6, 7]
    assert rows(change.before) == rows(data)
    assert change.before.matrix().shape == change.after.matrix().shape == (4, 4)
    assert (data.n_users, data.n_items, len(data.events)) == (2, 2, 3)


def test_it_equals_what_one_reading_of_all_gives() -> None:
    """But for the order of codes: the same users have the same items, weights and times."""
    world = catalogue(seed=3, users=60, items=40)
    events = world.events.sort("timestamp")
    cut = len(events) * 9 // 10
    change = Change.read(Dataset.from_frames(events[:cut], items=world.items), events[cut:])
    whole = Dataset.from_frames(events, items=world.items)
    users, items = (
        vocab.encode(other.ids)
        for vocab, other in ((change.after.user_ids, whole.user_ids), (change.after.item_ids, whole.item_ids))
    )
    for weight in (None, "count", "weight"):
        ours = change.after.matrix(weight).toarray()[users][:, items]
        np.testing.assert_array_equal(ours, whole.matrix(weight).toarray())
    asked, expected = change.after.queries(users), whole.queries()
    named = np.where(asked.history >= 0, change.after.item_ids.ids.to_numpy()[asked.history], "")
    np.testing.assert_array_equal(
        named, np.where(expected.history >= 0, whole.item_ids.ids.to_numpy()[expected.history], "")
    )


def test_events_that_are_there_are_left_out() -> None:
    change = Change.read(known(), log(("b", 3, 9), ("b", 3, 10), ("d", 3, 2)))
    assert change.events == 1
    assert change.notes == ("events: 2 are there already and were left out",)
    assert rows(change.after)[:3] == [("b", 5, 1), ("b", 3, 9), ("b", 3, 10)]


def test_without_times_a_repeated_pair_counts_again() -> None:
    data = Dataset.from_frames(pl.DataFrame({"user_id": [1, 2], "item_id": [7, 8]}))
    change = Change.read(data, pl.DataFrame({"user_id": [1, 1], "item_id": [7, 9]}))
    assert change.after.matrix("count").toarray().tolist() == [[2, 0, 1], [0, 1, 0]]
    assert change.after.events.items.tolist() == [0, 0, 2, 1]


def test_labels_and_context_may_be_missing_of_new_events() -> None:
    """What came of them is not known yet, and of impressions it is never a column."""
    said = {"bought": [1, 0, 0], "place": [1.0, 2.0, 3.0], "stars": [5.0, 1.0, 3.0]}
    labels = {"bought": "binary"}
    columns = {"rating": "stars", "context": ["place"]}
    data = Dataset.from_frames(log(("b", 5, 1), ("b", 3, 9), ("d", 3, 2), **said), labels=labels, columns=columns)
    change = Change.read(data, log(("b", 4, 11)))
    assert rows(change.after)[-2:] == [("b", 4, 11), ("d", 3, 2)]
    assert np.isnan(change.after.events.labels["bought"][2]) and np.isnan(change.after.events.labels["rating"][2])
    again = Change.read(data, log(("b", 4, 11), bought=[1], place=[2.0], stars=[4.0]))
    assert again.after.events.labels["bought"][2] == 1 and again.after.events.context["place"][2] == 2
    choosy = Dataset.from_frames(
        log(("b", 5, 1), ("d", 3, 2), stars=[5.0, 1.0]), columns={"rating": "stars"}, positive_from=3
    )
    with pytest.raises(SchemaError, match='expected a column "stars"'):
        Change.read(choosy, log(("b", 4, 11)))


def test_rows_of_items_are_added_and_replaced() -> None:
    table = pl.DataFrame({"item_id": [5, 9], "year": [2001, 1950], "colour": ["red", "blue"]})
    change = Change.read(known(), log(("b", 7, 11)), items=table)
    assert change.after.items.rows() == [(3, 1990), (5, 2001), (7, None), (9, 1950)]
    assert change.after.items_listed.tolist() == [True, True, False, True]
    assert change.notes == ("items: columns that are not known were left out: colour",)
    assert change.before.items.rows() == [(3, 1990), (5, 2000), (7, None), (9, None)]
    bare = Change.read(
        Dataset.from_frames(log((1, 1, 1), (2, 2, 2))), log((1, 3, 3)), items=table.select("item_id", "colour")
    )
    assert bare.after.items.rows() == [(1, None), (2, None), (3, None), (5, "red"), (9, "blue")]


def test_labels_and_kinds_go_on() -> None:
    first = Dataset.from_frames(log((1, 1, 1), (2, 2, 2), event_type=["view", "buy"], rating=[3.0, 4.0]))
    change = Change.read(first, log((1, 2, 3), (2, 1, 4), event_type=["cart", "buy"], rating=[1.0, 2.0]))
    assert change.after.schema.event_types[:2] == first.schema.event_types
    assert change.after.events.kind is not None
    named = [change.after.schema.event_types[kind] for kind in change.after.events.kind]
    assert named == ["view", "cart", "buy", "buy"]
    assert change.notes == ("events: of kinds that were not known: cart (1 of weight 1); known were buy, view",)
    assert change.after.events.labels["rating"].tolist() == [3, 1, 4, 2]


def test_kinds_that_were_not_known_are_noted() -> None:
    target = Dataset.from_frames(log((1, 1, 1), (2, 2, 2), event_type=["view", "buy"]), target=["buy"])
    for kind, notes in (("vew", ["events: of kinds that were not known: vew (2 of weight 0)"]), ("view", [])):
        change = Change.read(target, log((1, 2, 3), (2, 1, 4), event_type=[kind] * 2))
        assert [note.split(";")[0] for note in change.notes] == notes


@pytest.mark.parametrize(
    ("events", "words"),
    [
        (pl.DataFrame({"user_id": ["b"], "item_id": [1]}), "timestamp"),
        (log(("b", None, 3)), "item_id"),
        (log(("b", 1, -T - 5)), "timestamp"),
        (log(("b", 1, 3)).clear(), "Got no rows at all"),
    ],
)
def test_what_is_wrong_is_told_as_for_a_fit(events: pl.DataFrame, words: str) -> None:
    with pytest.raises(SchemaError, match=words):
        Change.read(known(), events)


def test_texts_are_no_ids_where_the_known_ones_are_numbers() -> None:
    said = r"items: ids must be integers, as those that are there\. Got 'x' instead"
    with pytest.raises(SerendipError, match=f"^events: {said}"):
        Change.read(known(), log(("b", "x", 3)))
    table = pl.DataFrame({"item_id": ["x"], "year": [1990]})
    with pytest.raises(SerendipError, match=f"^events, items: {said}"):
        Change.read(known(), log(("b", 3, 3)), items=table)


def test_columns_of_another_type_are_refused(tmp_path: Path) -> None:
    table = pl.DataFrame({"item_id": [9], "year": ["long ago"]})
    said = r'column "year" must be of the type Int64, as it is known\. Got String instead, such as \'long ago\'\.'
    with pytest.raises(SerendipError, match=f"^items: {said}"):
        Change.read(known(), log(("b", 9, 11)), items=table)
    table.write_csv(tmp_path / "new.csv")
    with pytest.raises(SerendipError, match=rf"new\.csv: {said}"):
        Change.read(known(), log(("b", 9, 11)), items=tmp_path / "new.csv")
