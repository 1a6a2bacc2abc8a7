"""Events asked about one by one: what is known of each is what was known at its moment."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.features import Feature
from serendip.data.features.declared import Category, Recency
from serendip.data.rows import EventRows, row_queries
from serendip.types import ABSENT, Queries, SerendipError

DAY = 86_400
START = 1_600_000_000
LOG = [  # user, item, day, kind, weather
    ("u", "a", 1, "view", "sun"),
    ("u", "b", 2, "buy", "rain"),
    ("u", "c", 2, "buy", "sun"),
    ("u", "a", 4, "buy", "rain"),
    ("v", "b", 3, "view", "sun"),
    ("v", "c", 5, "buy", "sun"),
]


def log(rows: list[tuple[Any, ...]], **how: Any) -> Dataset:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "day", "event_type", "weather"], orient="row")
    frame = frame.with_columns(timestamp=START + pl.col("day") * DAY, liked=pl.int_range(pl.len()) % 2).drop("day")
    features: dict[str, Feature] = {"weather": Category(side="context"), "gap": Recency(powers=False)}
    return Dataset.from_frames(frame, target=["buy"], labels={"liked": "binary"}, features=features, part=True, **how)


def told(data: Dataset, found: Queries, row: int) -> tuple[list[Any], list[Any]]:
    """The items of the history and of the bag of views, by their ids."""
    names = data.item_ids.ids
    return tuple(  # type: ignore[return-value]
        [names[int(code)] for code in codes[row] if code != ABSENT]
        for codes in (found.history, found.bags["events.view"])
    )


def test_each_event_is_asked_about_with_what_was_done_at_an_earlier_time() -> None:
    data = log(LOG)
    found = EventRows.of(data).queries()
    assert [told(data, found, row) for row in range(len(LOG))] == [
        ([], []),
        ([], ["a"]),
        ([], ["a"]),  # b was bought at the same moment
        (["b", "c"], ["a"]),
        ([], []),
        ([], ["b"]),
    ]
    assert found.time is not None and (found.time - START).tolist() == [day * DAY for _, _, day, _, _ in LOG]
    vocabulary = {"sun": found.features["weather"][0], "rain": found.features["weather"][1]}
    assert found.features["weather"].tolist() == [vocabulary[weather] for *_, weather in LOG]
    gaps = found.features["gap"]
    assert np.isnan(gaps[[0, 1, 2, 4, 5], 0]).all() or (gaps[[0, 1, 2, 4, 5]] == gaps[0]).all()
    assert not np.array_equal(gaps[3], gaps[0])  # two days since b and c


def test_histories_can_be_cut_to_the_latest() -> None:
    data = log(LOG)
    history = EventRows.of(data).queries(np.array([3]), length=1).history
    assert data.item_ids.ids[int(history[0, 0])] == "c" and history.shape == (1, 1)
    assert EventRows.of(data).queries(length=0).history.shape == (len(LOG), 0)


def test_nothing_that_happens_later_changes_a_row() -> None:
    """Whatever follows, a row's history, bags and features are the same to the last bit."""
    later = [*LOG, ("u", "b", 6, "buy", "rain"), ("v", "a", 5, "view", "rain"), ("w", "c", 9, "buy", "sun")]
    before, after = log(LOG), log(later).with_features({})
    # The same fitted features: what is compared is what they are told, not what they were fitted to.
    from dataclasses import replace

    after = replace(after, schema=before.schema, features=before.features)
    first, second = EventRows.of(before), EventRows.of(after)
    same = [
        next(
            place
            for place in range(len(second))
            if after.user_ids.ids[int(second.users[place])] == user
            and after.item_ids.ids[int(second.items[place])] == item
            and second.time is not None
            and second.time[place] == START + day * DAY
        )
        for user, item, day, _, _ in LOG
    ]
    old, new = first.queries(), second.queries(np.array(same))
    assert [told(before, old, row) for row in range(len(LOG))] == [told(after, new, row) for row in range(len(LOG))]
    assert old.features.keys() == new.features.keys()
    for name, values in old.features.items():
        assert values.tobytes() == new.features[name].tobytes(), name


def test_held_out_events_know_the_past_that_training_knows() -> None:
    train = log([row for row in LOG if row[2] != 3])
    test = log([("u", "b", 3, "buy", "snow"), ("w", "z", 3, "buy", "sun"), ("v", "a", 9, "buy", "sun")])
    rows = EventRows.held(train, test)
    found = rows.queries()
    by_user = {test.user_ids.ids[int(who)]: place for place, who in enumerate(rows.who)}
    assert told(train, found, by_user["u"]) == (["b", "c"], ["a"])
    assert told(train, found, by_user["v"]) == (["c"], [])
    assert told(train, found, by_user["w"]) == ([], [])
    assert rows.users[by_user["w"]] == ABSENT and rows.items[by_user["w"]] == ABSENT
    assert len(set(rows.who.tolist())) == 3
    assert rows.label("liked")[1] == "binary"
    with pytest.raises(SerendipError, match=r"must have the label 'bought'. They have: liked"):
        rows.label("bought")


def test_batches_hold_every_row_once_and_equal_single_rows() -> None:
    data = log(LOG)
    rows = EventRows.of(data)
    seen: list[int] = []
    for chosen, queries in row_queries(rows, size=2):
        assert len(queries) == len(chosen) <= 2
        for place, row in enumerate(chosen):
            assert told(data, queries, place) == told(data, rows.queries(np.array([row])), 0)
        seen += chosen.tolist()
    assert sorted(seen) == list(range(len(LOG)))
    with pytest.raises(SerendipError, match="size must be at least 1"):
        next(row_queries(rows, size=0))


def test_without_times_the_order_of_the_file_counts_within_the_log_and_all_of_it_beside_it() -> None:
    frame = pl.DataFrame({"user_id": [1, 1, 1, 2], "item_id": ["a", "b", "a", "b"]})
    data = Dataset.from_frames(frame)
    history = EventRows.of(data).queries().history
    assert (history != ABSENT).sum(axis=1).tolist() == [0, 1, 2, 0]
    held = EventRows.held(data, Dataset.from_frames(frame[:1], part=True)).queries().history
    assert (held != ABSENT).sum() == 3
