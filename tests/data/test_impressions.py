"""What was shown: what came of it, and how often it had been passed by, of what was known before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.impressions import ITEM, USER, Passed, with_churn, with_impressions
from serendip.data.rows import EventRows
from serendip.evaluate import make
from serendip.model import Run, find
from serendip.recipe import load_data, read
from serendip.scorers.feeds import Feed, of_pairs
from serendip.types import Queries, SerendipError

START = 1_600_000_000
Row = tuple[str, str, int, str]
LOG: list[Row] = [  # user, item, second, kind
    ("u", "a", 1, "shown"),
    ("u", "b", 1, "shown"),
    ("u", "a", 2, "shown"),
    ("u", "a", 5, "click"),
    ("u", "b", 6, "shown"),
    ("u", "b", 6, "click"),
    ("u", "a", 7, "shown"),
    ("u", "b", 9, "buy"),
    ("v", "a", 3, "shown"),
    ("v", "b", 3, "click"),
    ("v", "a", 8, "shown"),
]
CLICKED = {("u", "a", 2), ("u", "b", 6)}


def log(rows: list[Row]) -> Dataset:
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")
    return Dataset.from_frames(frame.with_columns(pl.col("timestamp") + START), target=["click", "buy"])


def by_row(data: Dataset, values: Any) -> dict[tuple[str, str, int, str], float]:
    events = data.events
    assert events.time is not None and events.kind is not None
    return {
        (
            data.user_ids.ids[int(events.users[row])],
            data.item_ids.ids[int(events.items[row])],
            int(events.time[row]) - START,
            data.schema.event_types[int(events.kind[row])],
        ): float(values[row])
        for row in range(len(events))
    }


def test_an_impression_is_answered_by_what_is_done_before_the_next_one_of_the_same() -> None:
    data = with_impressions(log(LOG), ["shown"])
    assert data.schema.labels == {"click": "binary", "buy": "binary"}
    for (user, item, second, kind), label in by_row(data, data.events.labels["click"]).items():
        if kind == "shown":
            assert label == ((user, item, second) in CLICKED), (user, item, second)
        else:
            assert np.isnan(label)
    bought = by_row(data, data.events.labels["buy"])
    assert bought["u", "b", 6, "shown"] == 1 and bought["u", "b", 1, "shown"] == 0


def test_what_was_passed_by_is_counted_from_earlier_moments_alone() -> None:
    """Written out: shown before this moment, less what had been clicked before this moment."""
    data = with_impressions(log(LOG), ["shown"])
    item, user = (by_row(data, data.events.context[name]) for name in (ITEM, USER))
    wanted = {
        ("u", "a", 1): (0, 0),
        ("u", "b", 1): (0, 0),
        ("u", "a", 2): (1, 2),
        ("u", "b", 6): (1, 2),  # a of 2 s was clicked at 5 s
        ("u", "a", 7): (1, 2),  # and b of 6 s at 6 s
        ("v", "a", 3): (0, 0),
        ("v", "a", 8): (1, 1),
    }
    found = {row: (item[(*row, "shown")], user[(*row, "shown")]) for row in wanted}
    assert found == wanted


def test_a_click_that_comes_later_is_not_known_yet() -> None:
    rows: list[Row] = [("u", "a", 1, "shown"), ("u", "b", 2, "shown"), ("u", "a", 3, "click"), ("v", "a", 1, "buy")]
    counts = by_row(data := with_impressions(log(rows), ["shown"]), data.events.context[USER])
    assert counts["u", "b", 2, "shown"] == 1 and counts["u", "a", 3, "click"] == 2


def test_future_events_change_no_count() -> None:
    rng = np.random.default_rng(0)
    rows: list[Row] = [
        (str(rng.choice(list("uvw"))), str(rng.choice(list("abcd"))), int(second), str(rng.choice(["shown", "click"])))
        for second in np.sort(rng.integers(0, 120, 200))
    ]
    rows = list(dict.fromkeys(rows))
    early = [row for row in rows if row[2] < 60]
    assert 0 < len(early) < len(rows)
    part, whole = (with_impressions(log([*chosen, ("x", "a", 0, "buy")]), ["shown"]) for chosen in (early, rows))
    for name in (ITEM, USER):
        known, all_of = by_row(part, part.events.context[name]), by_row(whole, whole.events.context[name])
        assert known == {row: all_of[row] for row in known} and max(known.values()) > 0


def test_a_label_counts_at_its_own_moment() -> None:
    frame = pl.DataFrame(
        {
            "user_id": ["u"] * 4 + ["v"],
            "item_id": ["a", "a", "b", "a", "a"],
            "timestamp": [START, START + 1, START + 2, START + 3, START + 3],
            "clicked": [0, 1, 0, None, 1],
        }
    )
    data = with_churn(Dataset.from_frames(frame, labels={"clicked": "binary"}), "clicked")
    assert data.events.context[ITEM].tolist() == [0, 1, 0, 1, 0]
    assert data.events.context[USER].tolist() == [0, 1, 1, 2, 0]
    with pytest.raises(SerendipError, match=r"churn must be a binary label of the events \(clicked\)\. Got 'seen'"):
        with_churn(data, "seen")


def test_what_are_no_impressions_is_said() -> None:
    with pytest.raises(SerendipError, match=r"not the target \(shown\)\. Got 'click'"):
        with_impressions(log(LOG), ["click"])
    bare = Dataset.from_frames(pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2]}))
    with pytest.raises(SerendipError, match="a log that names kinds of events, some of which are the target"):
        with_impressions(bare, ["shown"])


def test_a_recipe_learns_from_them_with_features(tmp_path: Path) -> None:
    frame = pl.DataFrame(LOG, schema=["user_id", "item_id", "timestamp", "event_type"], orient="row")
    frame.with_columns(pl.col("timestamp") + START).write_parquet(tmp_path / "events.parquet")
    (tmp_path / "recipe.toml").write_text(
        "[data]\nevents = 'events.parquet'\ntarget = ['click']\nimpressions = ['shown']\n"
        "[features]\nunclicked_item = { kind = 'number', side = 'context' }\n"
    )
    data = load_data(read(tmp_path / "recipe.toml"))
    assert data.features is not None and data.features.inputs[0].name == "unclicked_item"
    assert np.nansum(data.events.labels["click"]) == len(CLICKED)


def test_what_was_passed_by_is_known_of_any_pair_at_the_moment_of_any_event() -> None:
    data = with_impressions(log(LOG), ["shown"])
    place = {key: row for row, key in enumerate(by_row(data, data.events.weight))}
    a, b = (data.item_ids.encode([name])[0] for name in "ab")
    rows = np.array([place["u", "a", 7, "shown"], place["u", "b", 6, "shown"], place["v", "a", 8, "shown"]])
    found = Passed.of(data).before(rows, np.array([[a, b], [a, b], [b, a]]))["events.shown"]
    # a: shown at 1 and 2, clicked at 5. b: shown at 1 and 6, clicked at 6. v clicked on b, which was not shown.
    np.testing.assert_allclose(np.expm1(found), [[1, 1], [1, 1], [0, 1]], atol=1e-6)
    assert Passed.of(log(LOG)).before(rows, np.array([[a], [a], [a]])) == {}


def test_a_scorer_counts_as_training_does() -> None:
    data = with_impressions(log(LOG), ["shown"])
    rows = EventRows.of(data)
    items = np.tile(np.arange(data.n_items, dtype=np.int32), (len(rows.items), 1))
    (feed,) = (Feed("events.shown", "passed"),)
    counted = of_pairs(rows.queries(), [feed], items, data.n_items)["events.shown"]
    np.testing.assert_allclose(counted, Passed.of(data).before(np.arange(len(items)), items)["events.shown"])
    np.testing.assert_array_equal(of_pairs(rows.queries(), [feed], None, data.n_items)["events.shown"], counted)
    odd = of_pairs(rows.queries(), [feed], np.array([-1, 99], np.int32), data.n_items)["events.shown"]
    assert odd.shape == (len(items), 2) and not odd.any()
    assert np.isnan(of_pairs(Queries.of([[0]]), [feed], None, 2)["events.shown"]).all()


def test_what_was_shown_and_no_more_may_be_shown_again() -> None:
    rows = [*LOG, ("v", "c", 9, "shown")]
    data = with_impressions(log(rows), ["shown"])
    v = data.user_ids.encode(["v"])
    asked = data.queries(v)
    assert asked.exclude is not None
    assert [data.item_ids.ids[int(code)] for code in asked.exclude[0] if code >= 0] == ["b"]
    names = [data.item_ids.ids[int(code)] for code in asked.bags["events.shown"][0] if code >= 0]
    assert names == ["a", "a", "c"]
    assert data.seen.sum() == sum(kind != "shown" for *_, kind in rows)


def test_a_list_puts_what_was_passed_by_behind_what_was_not() -> None:
    """What is shown for the first time is clicked on four times of five, later hardly ever."""
    rng = np.random.default_rng(0)
    rows: list[Row] = []
    for user in range(40):
        times = np.zeros(8, int)
        for second in range(30):
            item = int(rng.integers(8))
            rows.append((f"u{user:02}", f"i{item}", 2 * second, "shown"))
            if rng.random() < (0.8 if times[item] == 0 else 0.05):
                rows.append((f"u{user:02}", f"i{item}", 2 * second + 1, "click"))
                times[item] -= 1
            times[item] += 1
    data = with_impressions(log(rows), ["shown"])
    options: dict[str, Any] = {"label": "click", "epochs": 8, "batch_size": 64, "learning_rate": 0.05, "length": 20}
    scorer: Any = find("lr")(**options).fit(data, Run(threads=1)).lower()
    assert scorer.bag_names == ("events.shown",)
    bag = np.array([[-1, -1, -1], [2, 2, 2]], np.int32)
    asked = Queries(np.full(2, -1, np.int32), np.array([[3], [3]], np.int32), bags={"events.shown": bag})
    fresh, passed = scorer.score(asked, np.array([2, 5], np.int32))
    assert passed[0] < fresh[0] - 1 and passed[1] == pytest.approx(fresh[1], abs=1e-5)


@pytest.mark.parametrize("split", ["global_time", "last_out"])
def test_training_does_not_know_of_a_click_that_is_held_out(split: str) -> None:
    rows: list[Row] = [("u", "a", 1, "shown"), ("u", "b", 2, "shown"), ("u", "b", 3, "click"), ("u", "a", 9, "click")]
    rows += [("v", "a", 1, "shown"), ("v", "b", 1, "click"), ("v", "c", 9, "click"), ("v", "c", 2, "shown")]
    whole = with_impressions(log(rows), ["shown"])
    told = by_row(whole, whole.events.labels["click"])
    assert (told["u", "a", 1, "shown"], told["u", "b", 2, "shown"], told["v", "a", 1, "shown"]) == (1, 1, 0)
    options: dict[str, Any] = {"cut": START + 5} if split == "global_time" else {}
    train = make(split, whole, repeats=True, **options).train
    known = by_row(train, train.events.labels["click"])
    assert np.isnan(known["u", "a", 1, "shown"]) and np.isnan(known["v", "c", 2, "shown"])
    assert (known["u", "b", 2, "shown"], known["v", "a", 1, "shown"]) == (1, 0)
