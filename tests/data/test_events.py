"""The encoded log and histories, against plain Python."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from serendip.data.events import Events, Histories, Kinds, bag_of, distinct, order_of, stable_order, starts
from serendip.types import ABSENT

A = ABSENT
rows = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(0, 4), st.sampled_from([0.0, 0.5, 2.0])))


def log(events: list[tuple[int, int, int, float]], n_users: int = 5) -> Events:
    """Events from (user, item, time, weight)."""
    columns = [np.array([event[i] for event in events]) for i in range(4)]
    users, items, time, weight = columns
    return Events.sort(
        users.astype(np.int32), items.astype(np.int32), weight.astype(np.float32), n_users=n_users,
        time=time.astype(np.int64), kind=items.astype(np.int16), labels={"x": items.astype(np.float32)},
        context={"row": np.arange(len(events))},
    )  # fmt: skip


@given(rows)
def test_events_are_sorted_by_user_time_and_order_of_rows(events: list[tuple[int, int, int, float]]) -> None:
    sorted_log = log(events)
    expected = sorted(range(len(events)), key=lambda row: (events[row][0], events[row][2], row))
    assert sorted_log.context["row"].tolist() == expected
    assert sorted_log.users.tolist() == [events[row][0] for row in expected]
    assert sorted_log.items.tolist() == sorted_log.labels["x"].tolist() == [events[row][1] for row in expected]
    assert sorted_log.kind is not None and sorted_log.kind.tolist() == sorted_log.items.tolist()
    assert [sorted_log.users[a:b].tolist() for a, b in zip(sorted_log.indptr, sorted_log.indptr[1:], strict=False)] == [
        [user] * sum(event[0] == user for event in events) for user in range(5)
    ]


@given(rows, st.data())
def test_where_keeps_the_order(events: list[tuple[int, int, int, float]], data: st.DataObject) -> None:
    whole = log(events)
    keep = np.array(data.draw(st.lists(st.booleans(), min_size=len(events), max_size=len(events))), bool)
    part = whole.where(keep)
    assert part.context["row"].tolist() == whole.context["row"][keep].tolist()
    assert np.diff(part.indptr).tolist() == np.bincount(part.users, minlength=5).tolist()


def test_without_times_the_order_of_rows_stays() -> None:
    events = Events.sort(
        np.array([1, 0, 1], np.int32), np.array([7, 8, 6], np.int32), np.ones(3, np.float32), n_users=3
    )
    assert events.items.tolist() == [8, 7, 6]
    assert (events.time, events.kind, dict(events.labels)) == (None, None, {})
    assert events.indptr.tolist() == [0, 1, 3, 3]


@pytest.mark.parametrize("spread", [1, 10**6, 2**62])
@given(st.data())
def test_stable_order_is_a_stable_argsort(spread: int, data: st.DataObject) -> None:
    small = st.integers(-3, 3).map(lambda value: value * (spread // 3 + 1) // 2)
    keys = np.array(data.draw(st.lists(small)), np.int64)
    np.testing.assert_array_equal(stable_order(keys), np.argsort(keys, kind="stable"))


def test_order_of_the_extremes() -> None:
    keys = np.array([2**63 - 1, -(2**63), 0, -(2**63)])
    assert stable_order(keys).tolist() == [1, 3, 2, 0]
    assert order_of(np.array([1, 0, 1], np.int32), np.array([2**62, 5, -(2**62)])).tolist() == [1, 2, 0]
    assert stable_order(np.array([3, 1, 1], np.int32)).tolist() == [1, 2, 0]


def test_starts() -> None:
    assert starts(np.array([2, 0, 3])).tolist() == [0, 2, 2, 5]
    assert starts(np.array([], np.int64)).tolist() == [0]


@given(st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=9), st.sampled_from([1, 5, 1000]), st.booleans())
def test_distinct_against_sets(groups: list[list[int]], stretch: int, wide: bool) -> None:
    """However the groups are cut: by their sizes, or because a catalogue is so wide that few fit into 32 bits."""
    n, far = (1 << 31, (1 << 31) - 10) if wide else (10, 0)
    items = np.array([far + item for group in groups for item in group], np.int32)
    before = items.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("serendip.data.events._STRETCH", stretch)
        indptr, found = distinct(starts(np.array([len(group) for group in groups], np.int64)), items, n)
    wanted = [sorted(far + item for item in set(group)) for group in groups]
    assert [found[begin:end].tolist() for begin, end in pairwise(indptr)] == wanted
    assert found.dtype == np.int32
    assert items.tolist() == before.tolist()


def histories(events: Events, weights: bool = True) -> Histories:
    return Histories(events.indptr, events.items, events.weight if weights else None, events.time)


@given(rows, st.lists(st.integers(-2, 7), max_size=5), st.one_of(st.none(), st.integers(0, 4)), st.booleans())
def test_queries_against_plain_python(
    events: list[tuple[int, int, int, float]], users: list[int], length: int | None, weights: bool
) -> None:
    sorted_log = log(events)
    queries = histories(sorted_log, weights).queries(np.array(users, np.int32), k=3, length=length)
    assert len(queries) == len(users) and queries.k == 3
    liked_per_user, seen_per_user = [], []
    for user in users:
        own = sorted((event for event in events if event[0] == user), key=lambda event: event[2])
        liked = [event for event in own if not weights or event[3] > 0]
        liked_per_user.append(liked if length is None else liked[len(liked) - min(length, len(liked)) :])
        seen_per_user.append([event[1] for event in own])
    assert queries.users.tolist() == [user if 0 <= user < 5 else A for user in users]
    assert unpadded(queries.history) == [[event[1] for event in own] for own in liked_per_user]
    assert queries.history.shape[1] == max((len(own) for own in liked_per_user), default=0), "no wider than needed"
    assert queries.exclude is not None
    assert unpadded(queries.exclude) == seen_per_user
    known = queries.history != A
    time = [[event[2] for event in own] for own in liked_per_user]
    assert [row[mask].tolist() for row, mask in zip(queries.bags["time"], known, strict=True)] == time
    assert ("weight" in queries.bags) == weights
    if weights:
        strength = [[event[3] for event in own] for own in liked_per_user]
        assert [row[mask].tolist() for row, mask in zip(queries.bags["weight"], known, strict=True)] == strength
        assert (queries.bags["weight"][~known] == 0).all()
    assert (queries.bags["time"][~known] == 0).all()
    assert (queries.history.dtype, queries.exclude.dtype) == (np.int32, np.int32)


def unpadded(padded: NDArray[Any]) -> list[list[int]]:
    """Rows without the padding, which must stand on the left."""
    assert not (np.diff((padded == A).astype(int), axis=1) > 0).any()
    return [[item for item in row if item != A] for row in padded.tolist()]


def test_what_was_seen_without_interest_is_excluded_but_not_history() -> None:
    events = log([(0, 4, 1, 1.0), (0, 2, 2, 0.0), (0, 3, 3, 2.0), (1, 2, 1, 0.0)])
    queries = histories(events).queries(np.array([0, 1, 9, -1], np.int32))
    assert queries.history.tolist() == [[4, 3], [A, A], [A, A], [A, A]]
    assert queries.bags["weight"].tolist() == [[1, 2], [0, 0], [0, 0], [0, 0]]
    assert queries.exclude is not None
    assert queries.exclude.tolist() == [[4, 2, 3], [A, A, 2], [A, A, A], [A, A, A]]
    assert histories(events).queries(np.array([0], np.int32), exclude_seen=False).exclude is None


def test_nobody_and_nothing_can_be_asked_for() -> None:
    nobody = Histories(np.zeros(1, np.int64), np.empty(0, np.int32), np.empty(0, np.float32), np.empty(0, np.int64))
    assert len(nobody) == 0
    queries = nobody.queries(np.array([0, A], np.int32))
    assert queries.users.tolist() == [A, A]
    assert queries.history.shape == (2, 0)
    quiet = Histories(np.zeros(4, np.int64), np.empty(0, np.int32))
    assert quiet.queries(np.array([0, 2], np.int32)).users.tolist() == [0, 2]
    assert quiet.queries(np.empty(0, np.int32)).history.shape == (0, 0)


def test_a_length_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"length must be None or at least 0\. Got -1 instead"):
        histories(log([(0, 1, 1, 1.0)])).queries(np.array([0], np.int32), length=-1)


def test_asking_changes_nothing() -> None:
    kept = histories(log([(0, 1, 1, 1.0), (0, 2, 2, 0.0)]))
    before = kept.items.copy()
    queries = kept.queries(np.array([0], np.int32))
    queries.history[:] = 9
    assert kept.items.tolist() == before.tolist()


@given(rows, st.lists(st.integers(-2, 7), max_size=5), st.one_of(st.none(), st.integers(0, 3)))
def test_other_kinds_are_bags_whatever_they_weigh(
    events: list[tuple[int, int, int, float]], users: list[int], length: int | None
) -> None:
    whole = log(events)  # the kind of an event is its item
    kinds = Kinds(("buy", "view", "cart", "like", "none", "more"), ("buy", "like"))
    kept = Histories(whole.indptr, whole.items, whole.weight, whole.time, whole.kind, kinds)
    queries = kept.queries(np.array(users, np.int32), length=length)
    bags = {name for name in queries.bags if name.startswith("events.")}
    assert bags == {"events.view", "events.cart", "events.none", "events.more"}
    for code, name in ((1, "view"), (2, "cart"), (4, "none"), (5, "more")):
        own = [[event[1] for event in events if event[0] == user and event[1] == code] for user in users]
        cut = [items if length is None else items[len(items) - min(length, len(items)) :] for items in own]
        assert unpadded(queries.bags[bag_of(name)]) == cut
        assert queries.bags[bag_of(name)].dtype == np.int32
    plain = Histories(whole.indptr, whole.items, whole.weight, whole.time).queries(
        np.array(users, np.int32), length=length
    )
    assert queries.history.tolist() == plain.history.tolist()


def test_bags_are_in_the_order_of_events_and_leave_out_what_is_of_no_known_kind() -> None:
    events = log([(0, 1, 5, 1.0), (0, 2, 3, 0.0), (0, 3, 4, 1.0), (0, 0, 9, 1.0)])
    kind = np.array([1, 1, A, 0], np.int16)  # in the order of time: items 2, 3, 1, 0
    kept = Histories(events.indptr, events.items, events.weight, None, kind, Kinds(("buy", "view"), ("buy",)))
    queries = kept.queries(np.array([0], np.int32))
    assert queries.bags["events.view"].tolist() == [[2, 3]]
    assert queries.history.tolist() == [[3, 1, 0]], "weights alone decide what is history"


def test_without_a_target_no_kind_is_another_one() -> None:
    kinds = Kinds(("buy", "view"))
    assert kinds.others == {}
    assert kinds.wanted(np.array([0, 1, A], np.int16)).tolist() == [True] * 3
    assert Kinds(("buy", "view"), ("buy",)).wanted(np.array([0, 1, A], np.int16)).tolist() == [True, False, False]
