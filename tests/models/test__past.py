"""What came before an event, of the history and of other kinds: nothing of the event itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.models._past import Earlier


def bags(past: Earlier, rows: np.ndarray, length: int) -> list[list[int]]:  # type: ignore[type-arg]
    """What the inputs of these events hold, oldest first."""
    given = past.inputs(rows, length)
    assert set(given) == {past.name, f"{past.name}.places", f"{past.name}.begins"}
    codes = given[past.name][given[f"{past.name}.places"]]
    assert len(np.unique(given[past.name])) == len(given[past.name])
    return [bag.tolist() for bag in np.split(codes, given[f"{past.name}.begins"][1:])]


def log(timed: bool = True) -> Dataset:
    """A user who looks at what they buy in the same second, and another one."""
    rows = [
        *((1, "a", 0, "view"), (1, "a", 0, "buy"), (1, "b", 5, "view"), (1, "c", 7, "view"), (1, "c", 7, "buy")),
        *((1, "d", 7, "view"), (1, "e", 9, "buy"), (2, "b", 1, "view"), (2, "b", 2, "buy")),
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")
    return Dataset.from_frames(
        events, target=["buy"], time_kind="unix" if timed else "none", columns={} if timed else {"timestamp": None}
    )


def test_a_query_is_what_came_before_the_event() -> None:
    events = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2],
            "item_id": ["a", "b", "c", "d", "a"],
            "timestamp": [0, 1, 2, 3, 0],
            "weight": [1.0, 0.0, 1.0, 1.0, 1.0],
        }
    )
    data = Dataset.from_frames(events, time_kind="rank")
    a, c = (int(code) for code in data.item_ids.encode(["a", "c"]))
    assert bags(Earlier.of(data), np.arange(5), 2) == [[], [a], [a], [a, c], []]


@pytest.mark.parametrize("timed", [True, False])
def test_a_bag_holds_what_was_strictly_before(timed: bool) -> None:
    data = log(timed)
    a, b, c, d = data.item_ids.encode(list("abcd")).tolist()
    kind = data.schema.event_types.index("view")
    rows = np.flatnonzero(data.wanted)
    found = bags(Earlier.of(data, kind), rows, 2)
    if timed:
        assert found == [[], [a, b], [c, d], [b]]
    else:  # the order of the file says what was before
        assert found == [[a], [b, c], [c, d], [b]]
    history = bags(Earlier.of(data), rows, 2)
    assert history == [[], [a], [a, c], []]


def test_what_is_shown_together_does_not_tell_of_each_other() -> None:
    """Of three things on one page the first is taken: neither of the others may know that."""
    events = pl.DataFrame(
        {
            "user_id": [1, 1, 1, 1, 2],
            "item_id": ["a", "b", "c", "d", "a"],
            "timestamp": [5, 5, 5, 8, 1],
            "weight": [1.0, 0.0, 0.0, 1.0, 1.0],
        }
    )
    data = Dataset.from_frames(events, time_kind="unix")
    a = int(data.item_ids.encode(["a"])[0])
    assert bags(Earlier.of(data, apart=True), np.arange(5), 2) == [[], [], [], [a], []]
    assert bags(Earlier.of(data), np.arange(5), 2) == [[], [a], [a], [a], []]


def test_a_kind_without_events_is_an_empty_bag() -> None:
    data = log()
    bought = data.where(data.wanted)
    kind = bought.schema.event_types.index("view")
    assert bags(Earlier.of(bought, kind), np.arange(4), 2) == [[]] * 4


@pytest.mark.parametrize("many", [0, 1 << 30])
def test_bags_hold_the_last_events_before(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the codes are told apart."""
    monkeypatch.setattr("serendip.models._past.MANY", many)
    rng = np.random.default_rng(0)
    rows = [(user, item, place) for user in range(9) for place, item in enumerate(rng.permutation(20)[: 2 * user + 1])]
    data = Dataset.from_frames(
        pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"), time_kind="rank"
    )
    past, asked = Earlier.of(data), rng.permutation(len(data.events))
    events = data.events
    before = [events.items[events.indptr[user] : row] for row, user in zip(asked, events.users[asked], strict=True)]
    assert bags(past, asked, 5) == [items[-5:].tolist() for items in before]
