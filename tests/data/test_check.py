"""Every violation is found, counted and placed; all of them come in one report."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace

from serendip.data.dataset import Dataset
from serendip.data.schema import Finding, Schema, SchemaError
from serendip.types import SerendipError

NOW = 1_700_000_000
GOOD: dict[str, list[Any]] = {
    "user_id": ["a", "a", "b", "b", "c"],
    "item_id": [1, 2, 1, 3, 2],
    "timestamp": [1_600_000_000, 1_600_000_001, 1_600_000_002, 1_600_000_003, 1_600_000_004],
    "weight": [1.0, 2.0, 1.0, 1.0, 3.0],
    "rating": [1, 2, 3, 4, 5],
    "click": [0, 1, 0, 1, None],
}


def log(**changes: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({**GOOD, **changes}, strict=False)


def errors(*args: Any, **settings: Any) -> tuple[Finding, ...]:
    with pytest.raises(SchemaError) as error:
        Dataset.from_frames(*args, now=NOW, **settings)
    found = error.value.report.of("error")
    for number, finding in enumerate(found, 1):
        assert (f"{number}. {finding}" if len(found) > 1 else str(finding)) in str(error.value)
    return found


def one_error(*args: Any, **settings: Any) -> Finding:
    found = errors(*args, **settings)
    assert len(found) == 1, found
    return found[0]


def warnings(*args: Any, **settings: Any) -> list[str]:
    return [finding.what for finding in Dataset.from_frames(*args, now=NOW, **settings).report.of("warning")]


def test_a_good_log_is_kept_whole_and_says_how_it_was_understood() -> None:
    report = Dataset.from_frames(log(), now=NOW).report
    assert (report.rows, report.kept) == (5, 5)
    assert not report.of("error") and not report.of("repair")
    assert [finding.what for finding in report.of("warning")] == ["users with one event only: 1. They are kept."]
    assert "timestamp: timestamp; weight: weight; rating: rating; labels: click (binary)" in report.notes[0]
    assert report.notes[1] == 'events: column "timestamp" holds unix seconds (UTC).'


NAN, INF = float("nan"), float("inf")
TIMES = GOOD["timestamp"][:4]
DAY = dt.date(2020, 1, 1)


@pytest.mark.parametrize(
    ("column", "values", "rows", "what"),
    [
        ("user_id", ["a", None, "b", "b", "c"], "row 2", "expected an id. Got nothing instead."),
        ("user_id", ["a", "", " \t", "b", "c"], "rows 2, 3", "expected an id. Got '' instead."),
        ("item_id", [1, None, 1, None, 2], "rows 2, 4", "expected an id. Got nothing instead."),
        ("weight", [1.0, -0.5, 1, 1, 1], "row 2", "expected a finite weight ≥ 0. Got -0.5 instead."),
        ("weight", [1.0, NAN, INF, None, 1e39], "rows 2, 3, 4, 5", "expected a finite weight ≥ 0. Got nan instead."),
        ("weight", ["1", "2", "many", "", "5"], "row 3", "expected a number. Got 'many' instead."),
        ("rating", [1.0, NAN, -INF, 4, None], "rows 2, 3", "expected a rating from -1e6 to 1e6. Got nan instead."),
        ("rating", [1.0, 1e30, -1e7, 1e6, -1e6], "rows 2, 3", "expected a rating from -1e6 to 1e6. Got 1e+30 instead."),
        ("rating", ["1", "good", "3", "4", None], "row 2", "expected a number. Got 'good' instead."),
        ("timestamp", [*TIMES, None], "row 5", "expected a time (unix number, ISO 8601 text or date). Got nothing"),
        ("timestamp", [*TIMES, -1], "row 5", "expected a time after 1970. Got -1 instead."),
        ("timestamp", [*TIMES, NOW + 90_000], "row 5", "expected a time before 2023-11-15T22:13:20Z. Got 1700090000"),
        ("timestamp", ["2020-01-01"] * 4 + ["New Year"], "row 5", "Got 'New Year' instead."),
        ("timestamp", [DAY] * 4 + [dt.date(1969, 1, 1)], "row 5", "expected a time after 1970. Got 1969-01-01"),
    ],
)  # fmt: skip
def test_bad_values_are_refused(column: str, values: list[Any], rows: str, what: str) -> None:
    found = [finding for finding in errors(log(**{column: values})) if what in finding.what]
    assert len(found) == 1
    assert found[0].where == f'events: column "{column}", {rows}'
    assert found[0].count == rows.count(",") + 1
    assert "rejects=FILE (--rejects FILE)" in found[0].hint


def test_a_rating_out_of_all_scale_is_refused_with_what_to_try() -> None:
    """One such would outweigh all others."""
    hint = one_error(log(rating=[1.0, 2, 3, 4, 1e30])).hint
    assert "Where it stands for no rating, make it empty; otherwise try a smaller scale." in hint


def test_a_text_in_place_of_a_weight_is_one_error() -> None:
    assert one_error(log(weight=["1", "2", "many", "4", "5"])).what == "expected a number. Got 'many' instead."


def test_weights_must_not_add_up_beyond_what_can_be_held() -> None:
    what = one_error(log(weight=[1e38] * 4 + [2e38])).what
    assert what == "expected weights whose sum is at most 3.4e+38, as 32 bits hold. Got 6.0e+38 instead."


@pytest.mark.parametrize("threshold", [NAN, INF])
def test_a_threshold_must_be_finite(threshold: float) -> None:
    finding = one_error(log(), positive_from=threshold)
    assert (finding.where, finding.what) == ("positive_from", f"expected a finite number. Got {threshold} instead.")


def test_a_day_of_grace_is_given_for_clocks() -> None:
    assert len(Dataset.from_frames(log(timestamp=[*TIMES, NOW + 86_400]), now=NOW).events) == 5


def test_now_is_the_clock_if_not_given() -> None:
    with pytest.raises(SchemaError, match="expected a time before 20"):
        Dataset.from_frames(log(timestamp=[*TIMES, 9_999_999_999]))


@pytest.mark.parametrize(
    ("kind", "values", "rows", "range_"),
    [
        ("binary", [0, 1, 2, None, -1], "rows 3, 5", "0 or 1"),
        ("count", [0, 1, 2.5, -1, 1e6], "rows 3, 4", "a whole number ≥ 0 and at most 1e12"),
        ("count", [0, 1, 1e30, 1e12, 1e9], "row 3", "a whole number ≥ 0 and at most 1e12"),
        ("rating", [0, -5, 2.5, NAN, INF], "rows 4, 5", "a number from -1e6 to 1e6"),
        ("rating", [0, -1e30, 2.5, 1e6, 1e30], "rows 2, 5", "a number from -1e6 to 1e6"),
        ("duration", [0, 0.5, -0.1, INF, 1e9], "rows 3, 4", "a number ≥ 0 and at most 1e12"),
    ],
)
def test_labels_must_fit_their_kind(kind: Any, values: list[Any], rows: str, range_: str) -> None:
    finding = one_error(log(click=values), labels={"click": kind})
    assert finding.where == f'events: column "click", {rows}'
    assert finding.what.startswith(f"expected {range_} (a label of kind {kind}). Got ")
    assert "another kind in labels: binary, count, rating, duration" in finding.hint


@pytest.mark.parametrize(
    ("column", "values", "what"),
    [
        ("user_id", [1.5, 2, 3, 4, 5], "ids must be integers or text. Got the number 1.5 instead."),
        ("item_id", [[1]] * 5, "ids must be integers or text. Got List(Int64) instead."),
        ("user_id", [dt.date(2020, 1, 1)] * 5, "ids must be integers or text. Got Date instead."),
        ("user_id", [True, False] * 2 + [True], "ids must be integers or text. Got Boolean instead."),
        ("weight", [[1]] * 5, "expected numbers. Got List(Int64) instead."),
        ("rating", [dt.date(2020, 1, 1)] * 5, "expected numbers. Got Date instead."),
        ("timestamp", [True] * 5, "expected unix times, ISO texts or dates. Got Boolean instead."),
    ],
)
def test_wrong_types_are_refused(column: str, values: list[Any], what: str, tmp_path: Path) -> None:
    finding = one_error(log(**{column: values}))
    assert (finding.where, finding.what) == (f'events: column "{column}"', what)
    assert one_error(log(**{column: values}), rejects=tmp_path / "bad.csv").what == what, "no row is to blame"


def test_all_violations_come_in_one_report(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    path.write_text(
        "user,item,ts,weight\n"
        "a,1,1600000000,1\n"
        ",1,1600000001,1\n"
        "b,2,soon,-1\n"
        "b,2\n"
        "c,3,1600000002,1\n"
        "c,3,1600000002,1\n"
        " a ,2,1600000003,1\n"
    )
    items = pl.DataFrame({"item": [1, 1, None], "title": ["x", "y", "z"]})
    found = errors(path, items=items)
    assert [(finding.where.replace(str(path), "log"), finding.count) for finding in found] == [
        ("log, row 4", 1),
        ('log: column "weight", row 3', 1),
        ('log: column "user", row 2', 1),
        ('log: column "ts", row 3', 1),
        ('items: column "item", row 3', 1),
        ('items: column "item", row 2', 1),
    ]
    with pytest.raises(SchemaError) as error:
        Dataset.from_frames(path, items=items, now=NOW)
    assert str(error.value).startswith("6 errors in the data:\n1. ")
    repairs = {finding.what for finding in error.value.report.of("repair")}
    assert repairs == {
        "blanks around ids were removed: 1.",
        "exact repeats of an earlier row, its time included, were dropped: 1.",
    }, "repairs are in the report too"


def test_only_the_first_rows_are_named_and_all_counted() -> None:
    many = pl.DataFrame({"user": [None if row % 2 else "a" for row in range(100)] + ["b"], "item": list(range(101))})
    finding = one_error(many)
    assert (finding.where, finding.count) == ('events: column "user", rows 2, 4, 6, 8, 10 and 45 more', 50)


@pytest.mark.parametrize("strict", [False, True])
def test_exact_repeats_with_a_time_are_dropped(strict: bool) -> None:
    doubled = pl.concat([log(), log()[1:3], log()[1:2]])
    if strict:
        finding = one_error(doubled, strict=True)
        assert (finding.where, finding.count) == ("events, rows 6, 7, 8", 3)
        assert finding.what == "expected no row that repeats another one exactly."
        return
    found = Dataset.from_frames(doubled, now=NOW)
    assert (
        found.matrix("count").toarray().tolist()
        == Dataset.from_frames(log(), now=NOW).matrix("count").toarray().tolist()
    )
    (repair,) = found.report.of("repair")
    assert (repair.count, repair.where) == (3, "events, rows 6, 7, 8")
    assert (found.report.rows, found.report.kept) == (8, 5)


def test_what_differs_in_any_column_is_no_repeat() -> None:
    rows = pl.concat([log()[:2], log()[:2].with_columns(rating=pl.lit(9, pl.Int64)), log()[2:]])
    assert len(Dataset.from_frames(rows, now=NOW).events) == 7
    nested = rows.with_columns(tags=pl.Series([["x"], ["y"], ["x"], ["y"], [], [], []]), rating=pl.lit(1))
    assert len(Dataset.from_frames(nested, now=NOW).events) == 5, "lists are compared too"


def test_without_a_time_a_repeated_pair_is_repeat_consumption() -> None:
    found = Dataset.from_frames(pl.concat([log(), log()]).drop("timestamp"))
    assert len(found.events) == 10
    assert not found.report.of("repair")
    assert len(Dataset.from_frames(pl.concat([log(), log()]), time_kind="none").events) == 10


@pytest.mark.parametrize("strict", [False, True])
def test_blanks_around_ids_are_removed(strict: bool) -> None:
    padded = log(user_id=["a", " a", "b\t", "b", "c"])
    if strict:
        finding = one_error(padded, strict=True)
        assert finding.what == "expected an id without blanks around it. Got ' a' instead."
        return
    found = Dataset.from_frames(padded, now=NOW)
    assert found.user_ids.ids.to_list() == ["a", "b", "c"]
    assert found.events.users.tolist() == [0, 0, 1, 1, 2]
    (repair,) = found.report.of("repair")
    assert (repair.what, repair.where) == ("blanks around ids were removed: 2.", 'events: column "user_id", rows 2, 3')


def test_what_is_unusual_is_kept_and_said() -> None:
    assert "ratings of 0: 2. They are kept as ratings." in warnings(log(rating=[0, 0, 1, 2, 3]))
    assert "events without a rating: 1. They are kept." in warnings(log(rating=[None, 0, 1, 2, 3]))
    assert "all weights are 2, so they say nothing." in warnings(log(weight=[2.0] * 5))
    assert "all events have the same time, so it says nothing." in warnings(log(timestamp=[1_600_000_000] * 5))
    early = "half of the times are before 1973-03-03T09:46:40Z, which is early for a log."
    assert early in warnings(log(timestamp=[0.5, 1.5, 2.5, 3.5, 4.5]))
    assert early in warnings(log(timestamp=[1, 2, 3, 4, 5]), time_kind="unix")
    assert early not in warnings(log(timestamp=[1, 2, 3, 4, 5]))
    few = "times before 1973-03-03T09:46:40Z, far from the others: 1. They are kept."
    assert few in warnings(log(timestamp=[*TIMES, 0]))
    assert few in warnings(log(timestamp=[*(1000 * time for time in TIMES), TIMES[0]])), "seconds among milliseconds"
    missing = 'ids that look like missing values: "NaN", "null". They are kept.'
    assert missing in warnings(log(user_id=["a", "NaN", "b", "null", "nanny"]))
    nothing = "no event shows interest, so there is nothing to learn."
    assert nothing in warnings(log(), positive_from=6)
    assert nothing not in warnings(log(), positive_from=5)
    typed = log(kind=["view", None, "buy", "view", ""])
    said = warnings(typed, columns={"event_type": "kind"}, event_weights={"bye": 2.0})
    assert "events that do not say of what kind they are: 2. They are kept." in said
    assert '\'bye\' has a weight but does not occur. The kinds are "buy", "view". Did you mean "buy"?' in said


def test_kinds_of_events_may_be_numbers() -> None:
    data = Dataset.from_frames(log(kind=[1, 2, 1, 2, 1]), now=NOW, columns={"event_type": "kind", "weight": None},
                               event_weights={1: 0.5, 2: 3.0})  # fmt: skip
    assert data.schema.event_weights == {"1": 0.5, "2": 3.0}
    assert sorted(data.events.weight.tolist()) == [0.5, 0.5, 0.5, 3.0, 3.0]


def test_what_the_tables_lack_or_have_too_much_is_said() -> None:
    items = pl.DataFrame({"item_id": [1, 8, 9], "title": ["x", "y", "z"]})
    users = pl.DataFrame({"user_id": ["A", "B"], "age": [1, 2]})
    report = Dataset.from_frames(log(), users, items, now=NOW).report
    found = {(finding.where, finding.what): finding.hint for finding in report.of("warning")}
    assert found[("items", "items of the log without a row here: 2 of 3. They are kept.")] == ""
    assert ("items", "items without an event in the log: 2. They are kept.") in found
    unmatched = found[("users", "users of the log without a row here: 3 of 3. They are kept.")]
    assert unmatched == "Check that the ids are written alike in both."


@pytest.mark.parametrize(
    ("frame", "where", "what"),
    [
        (log()[:0], "events", "expected events. Got no rows at all."),
        (log(user_id=["a"] * 5), "events", "expected events of at least two users. All are of the user 'a'."),
        (log(item_id=[7] * 5), "events", "expected events of at least two items. All are of the item 7."),
    ],
)
def test_there_must_be_something_to_learn_from(frame: pl.DataFrame, where: str, what: str) -> None:
    finding = one_error(frame)
    assert (finding.where, finding.what) == (where, what)


def test_a_part_of_a_log_may_be_of_one_user() -> None:
    found = Dataset.from_frames(log(user_id=["a"] * 5, item_id=[7] * 5), now=NOW, part=True)
    assert (found.n_users, found.n_items) == (1, 1)
    assert one_error(log()[:0], part=True).what == "expected events. Got no rows at all."


def test_a_log_whose_rows_are_all_refused_is_an_error(tmp_path: Path) -> None:
    found = errors(log(user_id=[None] * 5), rejects=tmp_path / "bad.csv")
    assert found[-1].what == "expected events that can be used. Every row is refused."
    assert not (tmp_path / "bad.csv").exists(), "no partial output"


def test_a_schema_naming_other_columns_is_refused() -> None:
    schema = Schema(user="usr", item="item_id", weight="wieght", labels={"clik": "binary"})
    found = errors(log(), items=pl.DataFrame({"asin": [1]}), schema=schema)
    assert [finding.what.partition(". Got")[0] for finding in found] == [
        f'expected a column "{name}"' for name in ("usr", "wieght", "clik", "item_id")
    ]
    assert 'Did you mean "weight"?' in str(found[1])


@pytest.mark.parametrize("weight", [-1.0, NAN, INF])
def test_weights_of_kinds_must_be_finite(weight: float) -> None:
    found = errors(log(event=["x", "y", "x", "y", "x"]), event_weights={"x": weight})
    assert found[0].what.startswith("expected a finite weight ≥ 0 for 'x'. Got ")


def test_kinds_that_weigh_nothing_or_too_much() -> None:
    typed = log(event=["x", "y", "x", "y", "x"], weight=[INF, 1.0, 2.0, 3.0, 4.0])
    assert one_error(typed, event_weights={"x": 0.0}).what == "expected a finite weight ≥ 0. Got inf instead."
    typed = log(event=["x", "y", "x", "y", "x"], weight=[3e38, 1.0, 2.0, 3.0, 4.0])
    finding = one_error(typed, event_weights={"x": 5.0})
    assert finding.what == "expected a weight that stays finite times that of its kind. Got 'x' instead."


def test_a_target_decides_what_kinds_weigh() -> None:
    typed = log(kind=["view", "cart", "buy", "view", ""], weight=[1.0, 2.0, 3.0, 4.0, 5.0])

    def weights(**said: Any) -> list[float]:
        found = Dataset.from_frames(typed, now=NOW, columns={"event_type": "kind"}, **said)
        return sorted(found.events.weight.tolist())

    assert weights() == [1, 2, 3, 4, 5]
    assert weights(target=["buy"]) == [0, 0, 0, 0, 3]
    assert weights(target=["buy"], event_weights={"view": 0.5}) == [0, 0, 0.5, 2, 3]
    assert weights(target=["buy", "cart"], event_weights={"buy": 2}) == [0, 0, 0, 2, 6]


def test_a_target_must_be_there_to_be_foretold() -> None:
    typed = log(kind=["view", "cart", "buy", "view", "buy"])
    columns = {"event_type": "kind"}
    finding = one_error(typed, columns=columns, target=["bye"])
    assert finding.what == '\'bye\' is to be foretold but does not occur. The kinds are "buy", "cart", "view".'
    assert finding.hint == 'Did you mean "buy"?'
    said = warnings(typed, columns=columns, target=["buy", "rent"])
    assert '\'rent\' is to be foretold but does not occur. The kinds are "buy", "cart", "view".' in said
    finding = one_error(typed, columns=columns, target=["buy"], event_weights={"buy": 0.0})
    assert finding.what == "expected a weight above 0 for 'buy'. Got 0 instead."
    finding = one_error(log(), target=["buy"])
    assert finding.what.startswith("a target needs a column with the kind of event. Got the columns")
    many = pl.DataFrame({"user": list(range(40)), "item": [1, 2] * 20, "type": [f"t{row % 20}" for row in range(40)]})
    finding = one_error(many, target=["t0", "t1"])
    assert finding.what == "expected at most 16 kinds of events besides the target. Got 18 instead."


def test_a_part_of_a_log_may_hold_nothing_of_the_target() -> None:
    typed = log(kind=["view", "cart", "buy", "view", "buy"])
    schema = Dataset.from_frames(typed, now=NOW, columns={"event_type": "kind"}, target=["buy"]).schema
    views = typed.filter(pl.col("kind") != "buy")
    assert not Dataset.from_frames(views, now=NOW, schema=schema, part=True).wanted.any()
    unnamed = replace(schema, event_types=())
    assert not Dataset.from_frames(views, now=NOW, schema=unnamed, part=True).wanted.any()
    with pytest.raises(SchemaError, match="'buy' is to be foretold but does not occur"):
        Dataset.from_frames(views, now=NOW, schema=schema)


def test_a_column_with_thousands_of_values_is_no_kind_of_event() -> None:
    many = pl.DataFrame({"user": list(range(3000)), "item": [1, 2] * 1500, "type": [f"t{row}" for row in range(3000)]})
    finding = one_error(many)
    assert finding.what == "expected at most 1000 kinds of events. Got 3,000 instead."
    assert "none (--columns event_type=)" in finding.hint
    assert len(Dataset.from_frames(many, columns={"event_type": None}).events) == 3000


def test_tables_have_one_row_per_id() -> None:
    items = pl.DataFrame(
        {"item_id": [1, 2, 2, 3, 3, 1], "title": ["a", "b", "b", "c", "d", "a"], "x": [NAN, 1, 1, 1, 1, NAN]}
    )
    finding = one_error(log(), items=items)
    assert finding.where == 'items: column "item_id", row 5'
    assert finding.what == "expected one row per id, but other values than in an earlier row. Got 3 instead."
    found = Dataset.from_frames(log(), items=items.filter(pl.col("title") != "d"), now=NOW)
    (repair,) = found.report.of("repair")
    assert (repair.where, repair.count) == ('items: column "item_id", rows 3, 5', 2)
    assert found.items["title"].to_list() == ["a", "b", "c"]
    assert one_error(log(), items=items[:3], strict=True).what.startswith("expected one row per id")


def test_ids_of_tables_are_checked_like_those_of_the_log() -> None:
    users = pl.DataFrame({"user_id": ["a", "  ", None, " b"], "age": [1, 2, 3, 4]})
    finding = one_error(log(), users)
    assert (finding.where, finding.what) == ('users: column "user_id", rows 2, 3', "expected an id. Got '  ' instead.")
    found = Dataset.from_frames(log(), users[[0, 3]], now=NOW)
    assert found.users["age"].to_list() == [1, 4, None]
    assert one_error(log(), pl.DataFrame({"user_id": [1.5]})).what.startswith("ids must be integers or text")


def test_a_table_with_two_id_columns_is_refused() -> None:
    items = pl.DataFrame({"asin": [1, 2], "item_id": [3, 4]})
    finding = one_error(log(), items=items, columns={"item_key": "asin"})
    assert finding.what == 'expected the ids in "asin" and no other column called "item_id". Got both.'


def test_a_table_may_be_empty_and_a_column_without_any_id_is_refused() -> None:
    found = Dataset.from_frames(log(), pl.DataFrame(schema={"user_id": pl.String, "age": pl.Int8}), now=NOW)
    assert found.users.to_dict(as_series=False) == {"user_id": ["a", "b", "c"], "age": [None] * 3}
    assert errors(log(user_id=[None] * 5))[0].count == 5


def test_a_relation_has_two_columns() -> None:
    finding = one_error(log(), relations={"friends": pl.DataFrame({"user_id": ["a"]})})
    assert (finding.where, finding.what) == ("friends", "expected two columns of ids. Got 1 instead.")
    finding = one_error(log(), relations={"friends": pl.DataFrame({"user_id": ["a", None], "friend": ["b", "c"]})})
    assert finding.where == 'friends: column "user_id", row 2'


def test_errors_are_errors_a_user_can_act_on() -> None:
    with pytest.raises(SerendipError):
        Dataset.from_frames(log(user_id=[None] * 5))
