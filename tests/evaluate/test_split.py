from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category
from serendip.data.schema import Schema
from serendip.evaluate import split as splits
from serendip.evaluate.held import Split
from serendip.types import ABSENT, SerendipError
from tests.evaluate.logs import Row, log, rows_of

ROWS = st.lists(
    st.tuples(st.integers(0, 6), st.integers(0, 8), st.integers(0, 12), st.sampled_from([0.0, 1.0, 1.0, 2.0])),
    min_size=4,
    max_size=40,
    unique_by=lambda row: row[:3],
)
PROTOCOLS: dict[str, dict[str, float]] = {
    "global_time": {"test": 0.3},
    "last_out": {"n": 2},
    "per_user": {"test": 0.4, "seed": 3},
    "at_random": {"test": 0.3, "seed": 3},
    "k_fold": {"folds": 3, "fold": 1, "seed": 3},
    "cold_items": {"test": 0.3, "seed": 3},
    "cold_users": {"test": 0.3, "given": 1, "seed": 3},
}


def truth_pairs(split: Split) -> Counter[tuple[int | None, int | None]]:
    """(user, item) by external ids, None for what training has never heard of."""
    owner = np.repeat(np.arange(len(split)), split.truth.counts)
    users = split.train.user_ids.decode(split.known[owner]).to_list()
    items = split.train.item_ids.decode(split.truth.items).to_list()
    return Counter(zip(users, items, strict=True))


@pytest.mark.parametrize("name", splits.NAMES)
@pytest.mark.parametrize("repeats", [False, True])
@given(rows=ROWS, listed=st.sets(st.integers(0, 8)))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.filter_too_much])
def test_nothing_leaks_and_nothing_is_lost(name: str, repeats: bool, rows: list[Row], listed: set[int]) -> None:
    data = log(rows, items=listed)
    options = dict(PROTOCOLS[name]) if name == "cold_items" else {**PROTOCOLS[name], "repeats": repeats}
    try:
        split = splits.make(name, data, **options)
    except SerendipError:
        assume(False)
        return
    train = rows_of(split.train)
    rest = Counter(rows_of(data)) - Counter(train)
    assert Counter(train) + rest == Counter(rows_of(data))  # training holds no event that the log does not
    assert set(split.train.user_ids.ids) == {row[0] for row in train}
    assert set(split.train.item_ids.ids) == {row[1] for row in train} | listed
    given_first = {row for row in rest if name == "cold_users" and row[0] not in {r[0] for r in train}}
    shown: set[Row] = set()
    for user in {row[0] for row in given_first}:  # the one event given; ties in time by the order of the log
        shown.add(next(row for row in rows_of(data) if row[0] == user))
    held = [row for row in rest.elements() if row not in shown]
    assert len(split.test) == len(held)
    had = {row[:2] for row in [*train, *shown]}
    wanted = {row[:2] for row in held if row[3] > 0} - (set() if repeats and name != "cold_items" else had)
    users, items = set(split.train.user_ids.ids), set(split.train.item_ids.ids)
    expected = Counter((u if u in users else None, i if i in items else None) for u, i in wanted)
    assert truth_pairs(split) == expected
    assert (split.truth.counts > 0).all()
    assert len(split) == len({user for user, _ in wanted})


@pytest.mark.parametrize("name", ["per_user", "at_random", "k_fold", "cold_items", "cold_users"])
def test_the_seed_decides(name: str) -> None:
    rng = np.random.default_rng(0)
    data = log([(int(u), int(i), t, 1.0) for t, (u, i) in enumerate(rng.integers(0, 30, (300, 2)))])
    first, again, other = (rows_of(splits.make(name, data, seed=seed).train) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_global_time_cuts_at_a_moment_and_ties_stay_together() -> None:
    rows = [(user, time, time, 1.0) for user, time in [(1, 1), (2, 2), (1, 3), (2, 3), (1, 4), (2, 4), (1, 5), (2, 5)]]
    data = log([*rows, (1, 9, 5, 1.0), (2, 8, 1, 1.0)])
    split = splits.global_time(data, 0.2)
    assert split.train.events.time is not None
    assert split.train.events.time.max() == 4  # 20% of ten events are two, but three share the last second
    assert len(split.test) == 3
    assert split.time is not None
    assert split.time.tolist() == [5, 5]
    assert len(splits.global_time(data, cut=4).test) == 5


def test_global_time_refuses_what_orders_nothing_between_users() -> None:
    with pytest.raises(SerendipError, match=r"unix times.* Got time_kind = 'rank' instead\. Try last_out"):
        splits.global_time(log([(1, 1, 1, 1.0), (1, 2, 2, 1.0)], time_kind="rank"))
    with pytest.raises(SerendipError, match=r"Got time_kind = 'none' instead\. Try last_out or per_user"):
        splits.global_time(log([(1, 1, 1, 1.0), (1, 2, 2, 1.0)], time_kind="none"))
    with pytest.raises(SerendipError, match="must leave events to learn from"):
        splits.global_time(log([(1, 1, 7, 1.0), (1, 2, 7, 1.0)]))


def test_last_out_holds_out_the_last_events_with_interest() -> None:
    rows = [(1, 10, 1, 1.0), (1, 11, 2, 1.0), (1, 12, 3, 1.0), (1, 13, 4, 0.0)]  # 13: seen, without interest
    split = splits.last_out(log([*rows, (2, 10, 5, 1.0), (3, 13, 1, 1.0), (3, 12, 2, 1.0)]))
    assert truth_pairs(split) == Counter({(1, None): 1, (3, None): 1})  # both are 12, which training never saw
    assert rows_of(split.train) == [(1, 10, 1, 1.0), (1, 11, 2, 1.0), (2, 10, 5, 1.0), (3, 13, 1, 1.0)]
    assert split.time is not None
    assert split.time.tolist() == [3, 2]
    assert split.notes[0] == "Users not asked, because they have no more than 1 new item: 1."


def test_last_out_says_when_the_order_of_the_file_decides() -> None:
    rows = [(1, 10, 9, 1.0), (1, 11, 5, 1.0), (2, 11, 0, 1.0), (2, 10, 0, 1.0)]
    split = splits.last_out(log(rows, time_kind="none"))
    assert truth_pairs(split) == Counter({(1, 11): 1, (2, 10): 1})
    assert "order of the file" in split.notes[-1]
    assert split.time is None
    with pytest.raises(SerendipError, match=r"n must be at least 1\. Got 0"):
        splits.last_out(log(rows), 0)
    with pytest.raises(SerendipError, match="Got none among 0 held-out events"):
        splits.last_out(log(rows), 2)


def test_an_item_that_its_user_already_has_is_truth_only_with_repeats() -> None:
    data = log([(1, 10, 1, 1.0), (1, 11, 2, 1.0), (1, 10, 3, 1.0), (2, 11, 1, 1.0), (2, 10, 3, 1.0)])
    split = splits.global_time(data, cut=3)
    assert truth_pairs(split) == Counter({(2, 10): 1})
    assert split.notes == ("Held-out items left out of the truth, because their users had them before: 1.",)
    assert split.queries().exclude is not None
    again = splits.global_time(data, cut=3, repeats=True)
    assert truth_pairs(again) == Counter({(1, 10): 1, (2, 10): 1})
    assert again.notes == ()
    assert again.queries().exclude is None


def test_last_out_counts_new_items_unless_repeats_do() -> None:
    # User 1 looks at 12 without interest, takes it after all, and comes back to 10: the last new item is 11.
    rows = [(1, 10, 1, 1.0), (1, 12, 2, 0.0), (1, 11, 3, 1.0), (1, 12, 4, 1.0), (1, 10, 5, 1.0), (2, 11, 1, 1.0)]
    split = splits.last_out(log(rows))
    assert rows_of(split.train) == [(1, 10, 1, 1.0), (1, 12, 2, 0.0), (2, 11, 1, 1.0)]
    assert truth_pairs(split) == Counter({(1, 11): 1})
    assert "last new item" in split.description
    repeats = splits.last_out(log(rows), repeats=True)
    assert truth_pairs(repeats) == Counter({(1, 10): 1})
    assert len(repeats.train.events) == 5
    assert "last event" in repeats.description


@pytest.mark.parametrize("name", ["per_user", "at_random", "k_fold"])
def test_events_with_one_item_go_together_unless_repeats_count(name: str) -> None:
    rng = np.random.default_rng(0)
    pairs = [(int(u), int(i)) for u, i in rng.integers(0, 12, (60, 2))]
    data = log([(user, item, t, 1.0) for t, (user, item) in enumerate(pairs * 3)])
    split = splits.make(name, data)
    train = {row[:2] for row in rows_of(split.train)}
    assert len(rows_of(split.train)) == sum(pair in train for pair in pairs * 3)
    assert split.notes == ()
    repeats = splits.make(name, data, repeats=True)
    apart = {row[:2] for row in rows_of(repeats.train)}
    assert len(rows_of(repeats.train)) < sum(pair in apart for pair in pairs * 3)


def test_per_user_rounds_up_and_leaves_one() -> None:
    sizes = {1: 1, 2: 2, 3: 5, 4: 6, 5: 30}
    data = log([(user, item, 0, 1.0) for user, size in sizes.items() for item in range(size)], time_kind="none")
    split = splits.per_user(data, 0.1)
    held = np.bincount(data.user_ids.ids.to_numpy()[split.test.users], minlength=6)  # every user stays in training
    assert held.tolist() == [0, 0, 1, 1, 1, 3]
    assert splits.per_user(log([(1, item, 0, 1.0) for item in range(2)]), 0.9).truth.counts.tolist() == [1]


def test_k_fold_tests_every_event_once() -> None:
    data = log([(i % 7, i, i, 1.0) for i in range(40)])
    folds = splits.k_fold(data, 4, seed=1)
    assert [len(fold.test) for fold in folds] == [10, 10, 10, 10]
    trained = Counter(row for fold in folds for row in rows_of(fold.train))
    assert set(trained.values()) == {3}
    assert [fold.name for fold in folds] == ["k_fold 1/4", "k_fold 2/4", "k_fold 3/4", "k_fold 4/4"]
    for bad in (1, 8):
        with pytest.raises(SerendipError, match=rf"folds must be from 2 to 7\. Got {bad}"):
            splits.k_fold(data, bad)
    with pytest.raises(SerendipError, match=r"at most the number of pairs of user and item \(2\)\. Got 3"):
        splits.k_fold(log([(1, 1, 1, 1.0), (1, 2, 1, 1.0)]), 3)


def test_cold_items_are_known_from_the_items_table_at_most() -> None:
    data = log([(user, item, 0, 1.0) for user in range(5) for item in range(10)], items=range(10))
    split = splits.cold_items(data, 0.3)
    counts = np.bincount(split.train.events.items, minlength=split.train.n_items)
    assert split.train.n_items == 10
    assert (counts[split.truth.items] == 0).all()
    assert (counts == 0).sum() == 3
    assert split.notes == ("3 of the 3 held-out items are in the items table.",)
    bare = splits.cold_items(log(rows_of(data)), 0.3)
    assert bare.train.n_items == 7
    assert (bare.truth.items == ABSENT).all()
    assert "cannot be recommended by anybody" in bare.notes[1]


def test_cold_users_ask_with_their_first_events() -> None:
    rows = [(user, item, 10 * item, 1.0) for user in range(10) for item in range(user % 2 + 4)]
    split = splits.cold_users(log(rows, users=range(5)), 0.3, given=2, seed=4)
    assert len(split) == 3
    asked = split.queries(k=4)
    first = split.train.item_ids.encode([0, 1])
    assert asked.history.tolist() == [first.tolist()] * 3
    assert asked.exclude is not None
    assert asked.exclude.tolist() == asked.history.tolist()
    assert asked.time is not None
    assert asked.time.tolist() == [20, 20, 20]
    assert asked.users.tolist() == split.known.tolist() != split.users.tolist()
    assert asked.k == 4
    trained = set(split.train.events.users.tolist())
    assert not trained & set(split.known.tolist())  # known from the users table, if at all
    alone = splits.cold_users(log(rows), 0.3, seed=4)
    assert (alone.known == ABSENT).all()
    assert alone.queries().history.shape == (3, 0)
    with pytest.raises(SerendipError, match=r"given must be at least 0\. Got -1"):
        splits.cold_users(log(rows), given=-1)
    with pytest.raises(SerendipError, match=r"at least two users to choose from\. Got 0"):
        splits.cold_users(log(rows), given=5)


def test_queries_exclude_what_was_seen_without_interest_too() -> None:
    split = splits.last_out(log([(1, 10, 1, 0.0), (1, 11, 2, 1.0), (1, 12, 3, 1.0), (2, 12, 1, 1.0), (2, 10, 2, 1.0)]))
    asked = split.queries(np.array([1, 0]))
    assert split.train.user_ids.decode(asked.users).to_list() == [2, 1]
    assert split.train.item_ids.decode(asked.history[1]).to_list() == [11]
    assert asked.exclude is not None
    assert split.train.item_ids.decode(asked.exclude[1]).to_list() == [10, 11]
    assert split.queries(slice(0, 1), exclude_seen=False).exclude is None


def test_given_takes_separate_frames_and_counts_what_training_lacks() -> None:
    schema = Schema(timestamp="timestamp", time_kind="unix", rating="rating")
    train = Dataset.from_frames(
        pl.DataFrame({"user_id": [1, 1, 2], "item_id": [5, 6, 5], "timestamp": [1, 2, 3], "rating": [4.0, 5.0, 3.0]}),
        schema=schema,
    )
    test = pl.DataFrame({"user_id": [2, 2, 9, 1, 1, 2], "item_id": [6, 77, 5, 5, 78, 6]})
    split = splits.given(train, test)
    assert truth_pairs(split) == Counter({(2, 6): 1, (2, None): 1, (None, 5): 1, (1, None): 1})
    assert len(split.notes) == 1  # user 1 had item 5
    assert split.queries().history[split.known == ABSENT].tolist() == [[ABSENT, ABSENT]]
    assert split.time is None
    held = log([(2, 6, 0, 2.0), (1, 5, 0, 1.0)])
    assert truth_pairs(splits.given(train, held)) == Counter({(2, 6): 1})
    assert splits.given(train, held).test.labels["rating"].tolist() == [1.0, 2.0]
    with pytest.raises(SerendipError, match="Got none among 1 held-out events"):
        splits.given(train, test[3:4])


def test_validation_inside_training_is_the_same_call_again() -> None:
    data = log([(user, (user + t) % 9, t, 1.0) for user in range(5) for t in range(6)])
    outer = splits.last_out(data)
    inner = splits.last_out(outer.train)
    assert {row[2] for row in rows_of(inner.train)} == {0, 1, 2, 3}
    assert inner.time is not None
    assert inner.time.tolist() == [4] * 5


def test_make_names_what_is_near() -> None:
    data = log([(1, 1, 1, 1.0), (1, 2, 2, 1.0), (2, 2, 2, 1.0), (2, 1, 3, 1.0)])
    with pytest.raises(SerendipError, match=r"split must be one of .*Got 'lastout' instead\. Did you mean 'last_out'"):
        splits.make("lastout", data)
    with pytest.raises(SerendipError, match=r"no options but test, seed, repeats\. Got 'tset' .*mean 'test'\?"):
        splits.make("per_user", data, tset=0.1)
    with pytest.raises(SerendipError, match=r"test must be a share between 0 and 1 .*Got 20"):
        splits.make("at_random", data, test=20)
    with pytest.raises(SerendipError, match=r"fold must be from 0 to 1\. Got 2"):
        splits.make("k_fold", data, folds=2, fold=2)
    assert splits.make("last_out", data, n=1).name == "last_out"


def test_a_published_split_is_read_as_published(data_dir: Path) -> None:
    folder = data_dir / "gowalla_lightgcn"
    train = Dataset.from_frames(folder / "train.parquet")
    split = splits.given(train, pl.read_parquet(folder / "test.parquet"))
    assert (len(split), split.train.n_items, len(split.train.events)) == (29_858, 40_981, 810_128)
    assert int(split.truth.indptr[-1]) == 217_242
    assert split.notes == ()


def kinds(**said: object) -> Dataset:
    """Two users who look at things and buy some: (user, item, time, kind)."""
    rows = [
        *((1, 10, 1, "buy"), (1, 20, 2, "view"), (1, 11, 3, "buy"), (1, 21, 4, "view"), (1, 12, 5, "buy")),
        *((2, 20, 1, "view"), (2, 10, 2, "buy"), (2, 12, 3, "view"), (2, 21, 4, "buy"), (2, 12, 5, "buy")),
    ]
    events = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")
    return Dataset.from_frames(events, target=["buy"], time_kind="unix", **said)  # type: ignore[arg-type]


@pytest.mark.parametrize("weights", [{}, {"view": 0.5}])
def test_only_the_target_is_truth(weights: dict[str, float]) -> None:
    data = kinds(event_weights=weights)
    split = splits.last_out(data)
    # user 2 had looked at item 12 before, so that the last new item bought is 21
    assert truth_pairs(split) == {(1, 12): 1, (2, 21): 1}
    assert rows_of(split.train) == [
        (1, 10, 1, 1), (1, 20, 2, weights.get("view", 0)), (1, 11, 3, 1), (1, 21, 4, weights.get("view", 0)),
        (2, 20, 1, weights.get("view", 0)), (2, 10, 2, 1), (2, 12, 3, weights.get("view", 0)),
    ]  # fmt: skip
    asked = split.queries()
    looked = [split.train.item_ids.decode(row[row != ABSENT]).to_list() for row in asked.bags["events.view"]]
    assert looked == [[20, 21], [20, 12]]
    again = splits.last_out(data, repeats=True)
    assert truth_pairs(again) == {(1, 12): 1, (2, 12): 1}
    by_time = splits.global_time(data, cut=4)
    assert truth_pairs(by_time) == {(1, 12): 1, (2, None): 1}, "what was looked at then is no truth"


def test_a_published_test_part_needs_no_tables_that_features_of_the_training_part_read() -> None:
    users = pl.DataFrame({"user_id": [1, 2], "town": ["a", "b"]})
    events = pl.DataFrame({"user_id": [1, 1, 2], "item_id": [5, 6, 5]})
    train = Dataset.from_frames(events, users, features={"town": Category(side="user")})
    split = splits.given(train, pl.DataFrame({"user_id": [2], "item_id": [6]}))
    assert truth_pairs(split) == {(2, 6): 1}
    assert split.queries().features["town"].tolist() == [2]  # the second of the two known towns


def test_those_who_are_given_events_are_given_their_kinds() -> None:
    split = splits.cold_users(kinds(), test=0.5, given=2)
    asked = split.queries()
    assert asked.bags["events.view"].tolist() == [[split.train.item_ids.find(20)]]
    assert asked.history.tolist() == [[split.train.item_ids.find(10)]]


def test_a_published_test_part_is_judged_by_the_target_of_training() -> None:
    data = kinds()
    test = pl.DataFrame(
        {"user_id": [1, 1, 2], "item_id": [20, 12, 11], "event_type": ["buy", "view", "buy"], "timestamp": [9, 9, 9]}
    )
    train = data.where(data.events.items != data.item_ids.find(12))
    assert truth_pairs(splits.given(train, test, repeats=True)) == {(1, 20): 1, (2, 11): 1}
    bare = splits.given(train, test.drop("event_type", "timestamp"), repeats=True)
    assert truth_pairs(bare) == {(1, 20): 1, (1, None): 1, (2, 11): 1}, "a part without kinds is all of the target"
