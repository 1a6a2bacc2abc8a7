"""What came before an event, of the history and of other kinds: nothing of the event itself."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.models._past import Earlier
from serendip.types import ABSENT

NONE = [ABSENT, ABSENT]


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


@pytest.mark.parametrize("timed", [True, False])
def test_a_bag_holds_what_was_strictly_before(timed: bool) -> None:
    data = log(timed)
    a, b, c, d = data.item_ids.encode(list("abcd")).tolist()
    kind = data.schema.event_types.index("view")
    rows = np.flatnonzero(data.wanted)
    found = Earlier.of(data, kind).last(rows, 2).tolist()
    if timed:
        assert found == [NONE, [a, b], [c, d], [ABSENT, b]]
    else:  # the order of the file says what was before
        assert found == [[ABSENT, a], [b, c], [c, d], [ABSENT, b]]
    history = Earlier.of(data).last(rows, 2).tolist()
    assert history == [NONE, [ABSENT, a], [a, c], NONE]


def test_a_kind_without_events_is_an_empty_bag() -> None:
    data = log()
    bought = data.where(data.wanted)
    kind = bought.schema.event_types.index("view")
    assert Earlier.of(bought, kind).last(np.arange(4), 2).tolist() == [NONE] * 4


@pytest.mark.parametrize("many", [0, 1 << 30])
def test_bags_hold_what_padded_histories_hold(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the codes are told apart."""
    monkeypatch.setattr("serendip.models._past.MANY", many)
    rng = np.random.default_rng(0)
    rows = [(user, item, place) for user in range(9) for place, item in enumerate(rng.permutation(20)[: 2 * user + 1])]
    data = Dataset.from_frames(
        pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp"], orient="row"), time_kind="rank"
    )
    past, asked = Earlier.of(data), rng.permutation(len(data.events))
    given = past.inputs(asked, 5)
    codes, begins = given["history"][given["history.places"]], given["history.begins"]
    assert len(np.unique(given["history"])) == len(given["history"])
    padded = [[code for code in row if code != ABSENT] for row in past.last(asked, 5).tolist()]
    assert [bag.tolist() for bag in np.split(codes, begins[1:])] == padded
