"""Data sets: encoding, weights, parts, matrices, numbers about them, and public sets as published."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.types import ABSENT

A = ABSENT
LOG = pl.DataFrame(
    {
        "user_id": ["bob", "ann", "ann", "bob", "ann", "cid"],
        "item_id": [30, 10, 20, 10, 10, 30],
        "timestamp": [1_600_000_005, 1_600_000_003, 1_600_000_001, 1_600_000_002, 1_600_000_004, 1_600_000_009],
        "rating": [5, 2, 4, None, 3, 1],
        "event_type": ["buy", "view", "view", "view", None, "view"],
        "watch_time": [0.5, 1.5, None, 2.0, 0.0, 4.0],
        "hour": [1, 2, 3, 4, 5, 6],
    },
    schema_overrides={"hour": pl.Int8},
)
ITEMS = pl.DataFrame({"item_id": [30, 10, 40], "title": ["C", "A", "D"], "genres": [["x"], [], ["y", "z"]]})


def data(**settings: Any) -> Dataset:
    return Dataset.from_frames(LOG, items=ITEMS, **settings)


def test_a_log_is_encoded_and_sorted_by_user_and_time() -> None:
    found = data()
    assert found.user_ids.ids.to_list() == ["ann", "bob", "cid"]
    assert found.item_ids.ids.to_list() == [10, 20, 30, 40], "items of the table count, with or without events"
    assert found.events.users.tolist() == [0, 0, 0, 1, 1, 2]
    assert found.events.items.tolist() == [1, 0, 0, 0, 2, 2]
    assert found.events.time is not None
    assert found.events.time.tolist() == [1_600_000_000 + second for second in (1, 3, 4, 2, 5, 9)]
    assert found.events.weight.tolist() == [1] * 6
    assert found.schema.event_types == ("buy", "view")
    assert found.events.kind is not None and found.events.kind.tolist() == [1, 1, A, 1, 0, 1]
    np.testing.assert_array_equal(found.events.labels["rating"], np.array([4, 2, 3, np.nan, 5, 1], np.float32))
    np.testing.assert_array_equal(found.events.labels["watch_time"], np.array([np.nan, 1.5, 0, 2, 0.5, 4], np.float32))
    assert found.events.indptr.tolist() == [0, 3, 5, 6]
    assert (found.n_users, found.n_items, found.weighted) == (3, 4, False)


def test_tables_are_aligned_with_the_codes() -> None:
    found = data()
    assert found.items.columns == ["item_id", "title", "genres"]
    assert found.items["item_id"].to_list() == [10, 20, 30, 40]
    assert found.items["title"].to_list() == ["A", None, "C", "D"]
    assert found.items["genres"].to_list() == [[], None, ["x"], ["y", "z"]]
    assert found.items_listed.tolist() == [True, False, True, True]
    assert found.users.to_dict(as_series=False) == {"user_id": ["ann", "bob", "cid"]}
    assert found.users_listed.tolist() == [False] * 3


def test_the_id_columns_of_tables_may_be_named_otherwise() -> None:
    users = pl.DataFrame({"age": [30, 40], "id": ["bob", "dan"]})
    found = Dataset.from_frames(LOG.rename({"user_id": "userId"}), users, ITEMS.rename({"item_id": "movieId"}))
    assert found.users.to_dict(as_series=False) == {
        "user_id": ["ann", "bob", "cid", "dan"],
        "age": [None, 30, None, 40],
    }
    assert found.items.columns == ["item_id", "title", "genres"]
    only_ids = Dataset.from_frames(LOG, items=ITEMS.select("item_id"))
    assert only_ids.items.columns == ["item_id"]
    assert only_ids.items_listed.tolist() == [True, False, True, True]


def test_ids_are_integers_or_texts_and_both_are_found() -> None:
    log = pl.DataFrame({"user_id": ["1", "x", "1"], "item_id": [7, 8, 9]})
    found = Dataset.from_frames(log, items=pl.DataFrame({"item_id": ["7", "q"], "title": ["seven", "?"]}))
    assert found.user_ids.find(1) == found.user_ids.find("1") == 0
    assert found.item_ids.ids.to_list() == ["7", "8", "9", "q"], "text in one of them makes all of them text"
    assert found.items["title"].to_list() == ["seven", None, None, "?"]


def test_ratings_below_the_threshold_show_no_interest() -> None:
    found = data(positive_from=3)
    assert found.events.weight.tolist() == [1, 0, 1, 1, 1, 0], "an event without rating counts as it is"
    assert found.histories.queries(np.array([0], np.int32)).history.tolist() == [[1, 0]]
    assert found.sequences(1).tolist() == [[0], [2], [A]]
    assert found.summary()["interest"].startswith("A rating of 3 or more shows interest; a lower one")


def test_kinds_of_events_weigh_what_they_are_given() -> None:
    weighted = data(event_weights={"buy": 5.0, "view": 0.5}, positive_from=2)
    assert weighted.events.weight.tolist() == [0.5, 0.5, 1, 0.5, 5, 0]
    log = LOG.with_columns(weight=pl.Series([2.0, 1, 1, 1, 1, 3]))
    both = Dataset.from_frames(log, event_weights={"buy": 5.0})
    assert both.events.weight.tolist() == [1, 1, 1, 1, 10, 3], "the column times the kind"
    assert both.weighted


def test_a_schema_wins_and_excludes_the_other_settings() -> None:
    schema = Schema(
        timestamp="timestamp", time_kind="unix", labels={"hour": "count"}, context=("event_type", "watch_time")
    )
    found = Dataset.from_frames(LOG, schema=schema)
    assert found.schema == schema
    assert (found.events.kind, list(found.events.labels)) == (None, ["hour"])
    assert found.events.context["event_type"].tolist() == ["view", "view", None, "view", "buy", "view"]
    np.testing.assert_array_equal(found.events.context["watch_time"], [np.nan, 1.5, 0, 2, 0.5, 4])
    with pytest.raises(TypeError, match="give either a schema, or columns"):
        Dataset.from_frames(LOG, schema=schema, positive_from=3)


def test_event_types_of_a_schema_keep_their_codes() -> None:
    schema = Schema(event_type="event_type", event_types=("view", "cart"))
    found = Dataset.from_frames(LOG, schema=schema)
    assert found.schema.event_types == ("view", "cart", "buy")
    assert found.events.kind is not None and sorted(found.events.kind.tolist()) == [A, 0, 0, 0, 0, 2]


def test_no_time_and_ranks() -> None:
    assert data(time_kind="none").events.time is None
    assert data(time_kind="none").events.items.tolist() == [0, 1, 0, 2, 0, 2], "the order of the file"
    ranked = data(columns={"timestamp": "hour"}, time_kind="rank")
    assert ranked.events.time is not None and ranked.events.time.tolist() == [2, 3, 5, 1, 4, 6]
    assert (ranked.schema.time_kind, ranked.summary()["first"]) == ("rank", None)


def test_times_finer_than_seconds_order_events() -> None:
    log = pl.DataFrame(
        {
            "user": [1, 1, 1, 2],
            "item": [3, 1, 2, 1],
            "ts": [1_600_000_000_900, 1_600_000_000_100, 1_600_000_000_500, 1_600_000_000_000],
        }
    )
    found = Dataset.from_frames(log)
    assert found.item_ids.decode(found.events.items[:3]).to_list() == [1, 2, 3]
    assert found.events.time is not None and set(found.events.time.tolist()) == {1_600_000_000}


def test_matrices() -> None:
    found = data(
        event_weights={"buy": 5.0}, positive_from=2
    )  # ann: 20, 10 twice; bob: 10, 30 (5); cid: 30 without interest
    assert found.matrix().toarray().tolist() == [[1, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert found.matrix("count").toarray().tolist() == [[2, 1, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]
    assert found.matrix("weight").toarray().tolist() == [[2, 1, 0, 0], [1, 0, 5, 0], [0, 0, 0, 0]]
    assert found.matrix("auto").toarray().tolist() == found.matrix("weight").toarray().tolist()
    assert found.matrix("rating").toarray().tolist() == [[5, 4, 0, 0], [0, 0, 5, 0], [0, 0, 1, 0]]
    assert data().matrix("auto").toarray().tolist() == data().matrix().toarray().tolist()
    matrix = found.matrix("weight")
    assert matrix.has_canonical_format
    assert (matrix.dtype, matrix.indices.dtype, matrix.indptr.dtype) == (np.float32, np.int32, np.int32)
    with pytest.raises(ValueError, match=r"one of count, weight, auto, watch_time, rating\. Got 'stars' instead"):
        found.matrix("stars")


def test_matrices_do_not_change_the_log() -> None:
    found = data(event_weights={"buy": 5.0})
    before = found.events.weight.copy()
    found.matrix().data[:] = 9
    found.matrix("weight").data[:] = 9
    assert found.events.weight.tolist() == before.tolist()


def test_sequences_are_the_last_events_with_interest() -> None:
    assert data().sequences(2).tolist() == [[0, 0], [0, 2], [A, 2]]
    assert data().sequences(5).tolist() == [[A, A, 1, 0, 0], [A, A, A, 0, 2], [A, A, A, A, 2]]
    assert data().sequences(0).shape == (3, 0)


def test_queries_for_some_users() -> None:
    queries = data().queries(np.array([2, 0], np.int32), k=4, length=2)
    assert queries.users.tolist() == [2, 0]
    assert queries.history.tolist() == [[A, 2], [0, 0]]
    assert queries.exclude is not None and queries.exclude.tolist() == [[A, A, 2], [1, 0, 0]]
    assert (queries.k, len(data().queries())) == (4, 3)


def test_relations_join_users_or_items_and_survive_a_part() -> None:
    friends = pl.DataFrame(
        {"user_id": ["ann", "ann", "bob", "zoe"], "friend_id": ["bob", "cid", "cid", "ann"], "since": [1, 2, 3, 4]}
    )
    alike = pl.DataFrame({"item_id": [10, 20], "other": [40, 30]})
    found = data(relations={"friends": friends, "alike": alike})
    assert found.relations["friends"].to_dict(as_series=False) == {
        "left": [0, 0, 1],
        "right": [1, 2, 2],
        "since": [1, 2, 3],
    }
    assert found.relations["alike"].to_dict(as_series=False) == {"left": [0, 1], "right": [3, 2]}
    assert found.schema.relations == {"friends": "users", "alike": "items"}
    assert any(
        "pairs of users that neither the log nor a table knows: 1." in one.what for one in found.report.of("warning")
    )
    part = found.where(found.events.users != 0)  # ann goes, and with her item 20
    assert part.relations["friends"].to_dict(as_series=False) == {"left": [0], "right": [1], "since": [3]}
    assert part.relations["alike"].to_dict(as_series=False) == {"left": [0], "right": [2]}


def test_a_part_knows_nothing_of_what_was_dropped() -> None:
    found = data()
    part = found.where(found.events.users == 1)
    assert part.user_ids.ids.to_list() == ["bob"]
    assert part.item_ids.ids.to_list() == [10, 30, 40], "20 was only in what was dropped; 40 is in the table"
    assert part.items["title"].to_list() == ["A", "C", "D"]
    assert part.items_listed.tolist() == [True] * 3
    assert part.events.items.tolist() == [0, 1]
    assert part.events.indptr.tolist() == [0, 2]
    nothing = found.where(np.zeros(6, bool))
    assert (len(nothing.events), nothing.n_users, nothing.item_ids.ids.to_list()) == (0, 0, [10, 30, 40])
    assert nothing.queries(np.array([0], np.int32)).history.shape == (1, 0)
    assert nothing.matrix().shape == (0, 3)


events = st.lists(
    st.tuples(st.sampled_from("abcd"), st.integers(0, 5), st.integers(0, 3), st.sampled_from([0.0, 1.0, 2.5])),
    min_size=1, max_size=12,
)  # fmt: skip


def table(rows: list[tuple[str, int, int, float]]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=["user_id", "item_id", "order", "weight"], orient="row")


def same(left: Dataset, right: Dataset) -> None:
    assert left.user_ids.ids.to_list() == right.user_ids.ids.to_list()
    assert left.item_ids.ids.to_list() == right.item_ids.ids.to_list()
    assert left.items.equals(right.items) and left.users.equals(right.users)
    assert left.items_listed.tolist() == right.items_listed.tolist()
    for name in ("users", "items", "weight", "time", "indptr"):
        np.testing.assert_array_equal(getattr(left.events, name), getattr(right.events, name), err_msg=name)
    assert left.matrix("weight").toarray().tolist() == right.matrix("weight").toarray().tolist()


SETTINGS: dict[str, Any] = {"columns": {"timestamp": "order"}, "time_kind": "rank", "part": True}


@given(events, st.data(), st.booleans())
def test_a_part_is_what_its_rows_alone_would_give(rows: list[Any], draw: st.DataObject, tables: bool) -> None:
    log = table(rows).unique(maintain_order=True)
    items = pl.DataFrame({"item_id": [1, 9], "title": ["one", "nine"]}) if tables else None
    whole = Dataset.from_frames(log, items=items, **SETTINGS)
    keep = np.array(draw.draw(st.lists(st.booleans(), min_size=len(log), max_size=len(log))), bool)
    keep[draw.draw(st.integers(0, len(log) - 1))] = True
    order = np.lexsort((log["order"].to_numpy(), whole.user_ids.encode(log["user_id"])))
    same(whole.where(keep[order]), Dataset.from_frames(log.filter(pl.Series(keep)), items=items, **SETTINGS))


@given(events, st.randoms())
def test_codes_and_matrices_do_not_depend_on_the_order_of_rows(rows: list[Any], random: Any) -> None:
    shuffled = rows.copy()
    random.shuffle(shuffled)
    left, right = (Dataset.from_frames(table(some), **SETTINGS) for some in (rows, shuffled))
    assert left.user_ids.ids.to_list() == right.user_ids.ids.to_list()
    assert left.item_ids.ids.to_list() == right.item_ids.ids.to_list()
    assert left.matrix("count").toarray().tolist() == right.matrix("count").toarray().tolist()


@given(events)
def test_decoding_gives_the_log_back(rows: list[Any]) -> None:
    log = table(rows).unique(maintain_order=True)
    found = Dataset.from_frames(log, **SETTINGS)
    again = pl.DataFrame(
        {
            "user_id": found.user_ids.decode(found.events.users),
            "item_id": found.item_ids.decode(found.events.items),
            "order": found.events.time,
            "weight": found.events.weight.astype(np.float64),
        }
    )
    assert again.equals(log.sort("user_id", "order", maintain_order=True))


def test_the_summary_in_numbers() -> None:
    summary = data(event_weights={"buy": 5.0}).summary()
    assert json.loads(json.dumps(summary)) == summary
    assert summary == {
        "events": 6,
        "users": 3,
        "items": 4,
        "density": 5 / 12,  # ann 10, ann 20, bob 10, bob 30, cid 30
        "time_kind": "unix",
        "first": "2020-09-13T12:26:41Z",
        "last": "2020-09-13T12:26:49Z",
        "repeated_pairs": 1,
        "gini": pytest.approx((-2 * 1 + 0 * 2 + 2 * 3) / (3 * 6)),  # events per item 1, 2, 3
        "items_without_events": 1,
        "users_with_few_events": 1.0,
        "rating_mean": 3.0,
        "event_types": {"buy": 1, "view": 4},
        "interest": "Every event shows interest, whatever its rating. Events weigh: buy 5, others 1.",
    }


def test_the_summary_says_what_is_to_be_foretold() -> None:
    said = data(target=["buy"], columns={"rating": None}).summary()["interest"]
    foretold = "The target is buy: other kinds are no truth of a test."
    assert said == f"Every event shows interest. Events weigh: buy 1, others 0. {foretold}"
    weighed = data(target=["buy"], event_weights={"view": 0.5}, columns={"rating": None}).summary()["interest"]
    assert weighed == f"Every event shows interest. Events weigh: view 0.5, buy 1. {foretold}"


def test_the_summary_of_little() -> None:
    summary = Dataset.from_frames(pl.DataFrame({"user": [1, 2], "item": [1, 2], "plays": [3, 4]})).summary()
    assert (summary["first"], summary["rating_mean"], summary["event_types"], summary["gini"]) == (None, None, {}, 0.0)
    assert summary["interest"] == "Every event shows interest. Each weighs what plays says."
    found = data()
    empty = found.where(np.zeros(6, bool)).summary()
    assert (empty["events"], empty["density"], empty["first"], empty["rating_mean"]) == (0, 0.0, None, None)


@pytest.mark.parametrize(
    ("name", "items", "settings", "expected"),
    [
        ("ml_100k/ratings", "ml_100k/movies", {}, (100_000, 943, 1682, 0)),
        ("movietweetings_100k/ratings", "movietweetings_100k/movies", {}, (100_000, 16_554, 10_506, 0)),
        ("ml_1m/interactions", "ml_1m/movies",
         {"columns": {"timestamp": "time_rank"}, "time_kind": "rank"}, (1_000_209, 6040, 3883, 0)),
        ("kuairand_pure_late/log_0425_0430", "kuairand_pure_late/items",
         {"columns": {"timestamp": "time_ms"}}, (92_034, 21_184, 7583, 2_750)),
        ("lastfm_hetrec2k/user_artists", "lastfm_hetrec2k/artists", {}, (92_834, 1892, 17_632, 0)),
    ],
)  # fmt: skip
def test_public_sets_have_the_published_numbers(
    name: str, items: str, settings: dict[str, Any], expected: tuple[int, ...], data_dir: Path
) -> None:
    found = Dataset.from_frames(data_dir / f"{name}.parquet", items=data_dir / f"{items}.parquet", **settings)
    dropped = sum(finding.count for finding in found.report.of("repair"))
    assert (len(found.events), found.n_users, found.n_items, dropped) == expected
    assert not found.report.of("error")
    assert found.summary()["events"] == expected[0]
