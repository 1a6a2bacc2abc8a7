"""What columns are taken to mean, and what is said where that is not clear."""

from __future__ import annotations

from typing import Any

import msgspec
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from serendip.data.roles import ALIASES, LABELS, label_kind, squash
from serendip.data.schema import Finding, Report, Schema, SchemaError, split_categories


def frame(*names: str, **columns: list[Any]) -> pl.DataFrame:
    """Two rows; the columns that are only named hold 1 and 2."""
    return pl.DataFrame({**{name: [1, 2] for name in names}, **columns})


@pytest.mark.parametrize(
    ("user", "item", "time"),
    [
        ("user_id", "item_id", "timestamp"),
        ("userId", "movieId", "timestamp"),
        ("User-ID", "ISBN", "Date"),
        ("visitorid", "itemid", "ts"),
        ("CUSTOMER ID", "Product.Id", "event_time"),
        ("uid", "sku", "unix_time"),
        ("reviewerID", "asin", "unixReviewTime"),
        ("customer_id", "book_id", "datetime"),
        ("user", "song", "created_at"),
        ("client", "track", "time"),
    ],
)
def test_common_names_are_understood_in_any_case(user: str, item: str, time: str) -> None:
    schema = Schema.infer(frame(user, item, **{time: [1_500_000_000, 1_500_000_001]}))
    assert (schema.user, schema.item, schema.timestamp, schema.time_kind) == (user, item, time, "unix")


@pytest.mark.parametrize(
    ("role", "names"),
    [
        ("rating", ["rating", "Score", "stars", "overall"]),
        ("weight", ["weight", "count", "plays", "Quantity", "play_count"]),
        ("event_type", ["event_type", "event", "behavior", "eventType", "Action", "type"]),
    ],
)
def test_further_roles_are_understood(role: str, names: list[str]) -> None:
    for name in names:
        assert getattr(Schema.infer(frame("user", "item", name)), role) == name


def test_a_log_of_two_columns_has_no_time_rating_or_weight() -> None:
    assert Schema.infer(frame("user", "item")) == Schema(user="user", item="item")


def test_no_name_stands_for_two_roles() -> None:
    names = [name for role in ALIASES.values() for name in role.split()]
    labels = [name for kind in LABELS.values() for name in kind.split()]
    assert all(squash(name) == name for name in names + labels)
    assert len(set(names)) == len(names)
    assert not set(labels) & {name for role in list(ALIASES)[:6] for name in ALIASES[role].split()}


def test_the_canonical_name_wins_over_others() -> None:
    schema = Schema.infer(frame("uid", "user_id", "item_id", "movieId", "score", "rating"))
    assert (schema.user, schema.item, schema.rating) == ("user_id", "item_id", "rating")


def test_two_names_that_could_be_it_are_both_named() -> None:
    with pytest.raises(SchemaError) as error:
        Schema.infer(frame("uid", "visitor", "item_id", "date", "ts"))
    assert str(error.value).splitlines()[0] == "2 errors in the data:"
    assert 'one column for the user. Got "uid", "visitor", and each could be it' in str(error.value)
    assert "(--columns user=uid)" in str(error.value)
    assert 'for the timestamp. Got "date", "ts", and each could be it' in str(error.value)
    assert "If none is, leave it empty (--columns timestamp=)." in str(error.value)


def test_what_is_missing_is_named_with_what_there_is() -> None:
    with pytest.raises(SchemaError) as error:
        Schema.infer(frame("usr_id", "thing"))
    assert 'expected a column "user_id" (or a name like it) for the user. Got the columns "usr_id", "thing"' in str(
        error.value
    )
    assert "(--columns user=usr_id)" in str(error.value)
    assert 'expected a column "item_id"' in str(error.value)
    with pytest.raises(SchemaError, match="If the file has no header line, add one"):
        Schema.infer(frame("196", "242"))


def test_columns_are_named_by_role() -> None:
    log = frame("who", "what", "date", "ts", "tab", "hour", order=[1, 2])
    schema = Schema.infer(
        log, columns={"user": "who", "item_id": "what", "timestamp": "order", "context": "tab, hour"}, time_kind="rank"
    )
    assert schema == Schema(user="who", item="what", timestamp="order", time_kind="rank", context=("tab", "hour"))
    assert Schema.infer(log, columns={"user": "who", "item": "what", "timestamp": None}).timestamp is None
    assert Schema.infer(log, columns={"user": "who", "item": "what", "timestamp": ""}).timestamp is None
    assert Schema.infer(log, columns={"user": "who", "item": "what"}, time_kind="none").timestamp is None


def test_a_column_given_to_one_role_is_not_taken_for_another() -> None:
    schema = Schema.infer(frame("user", "item", "date", "time"), columns={"timestamp": "time"})
    assert schema.timestamp == "time"
    schema = Schema.infer(frame("user", "item", "count", "plays"), columns={"weight": "plays", "rating": "count"})
    assert (schema.weight, schema.rating) == ("plays", "count")
    given = {"user_key": "user_id", "item_key": "item_id"}  # of other tables
    schema = Schema.infer(frame("user_id", "item_id"), frame("user_id", "age"), frame("item_id"), columns=given)
    assert (schema.user, schema.item, schema.user_key, schema.item_key) == ("user_id", "item_id", "user_id", "item_id")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"timestamp": "time_rnk"}, 'expected a column "time_rnk" for the timestamp. Got .*Did you mean "time_rank"'),
        ({"timestmp": "time_rank"}, 'one of the roles .*Got timestmp=.time_rank. instead. Did you mean "timestamp"'),
        ({"time_rank": "timestamp"}, "Write timestamp=time_rank"),
        ({"title": "name"}, '"name" is to be the title, but no table of items is given. Give items too'),
        ({"user_key": "id"}, "no table of users is given"),
        ({"context": ["hour"]}, 'expected a column "hour" for the context'),
        ({"user": ["user", "uid"]}, 'expected one column for the user. Got "user", "uid" instead. Name one'),
        ({"user": "item", "item": "item"}, 'one column for the user and another for the item. Got "item" for both'),
    ],
)
def test_wrong_columns_are_refused(columns: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.infer(frame("user", "item", "time_rank"), columns=columns)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"time_kind": "rank"}, 'time_kind="rank" needs a column with times. Got the columns "user", "item" instead'),
        ({"positive_from": 4}, "positive_from=4 needs a column with ratings"),
        ({"event_weights": {"buy": 5.0}}, "event_weights need a column with the kind of event"),
        ({"labels": {"wanted": "binary"}}, "Try another name in labels, or leave it out."),
        ({"labels": {"clik": "binary"}}, 'expected a column "clik" for the label'),
    ],
)
def test_settings_need_their_columns(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(SchemaError, match=message):
        Schema.infer(frame("user", "item"), **settings)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1_500_000_000, 1_500_000_001], "unix"),
        ([1_500_000_000_000, 1_500_000_000_001], "unix"),
        ([1_500_000_000.5, 1_500_000_001.5], "unix"),
        (["2020-01-01", "2020-01-02"], "unix"),
        ([20200101, 20200229], "unix"),
        ([0, 1], "rank"),
        ([3.0, 7.0], "rank"),
        ([20201301, 20200229], "rank"),
    ],
)
def test_the_kind_of_time_is_seen_in_its_values(values: list[Any], kind: str) -> None:
    assert Schema.infer(frame("user", "item", timestamp=values)).time_kind == kind
    assert Schema.infer(frame("user", "item", timestamp=values), time_kind="unix").time_kind == "unix"


@pytest.mark.parametrize(
    ("name", "values", "kind"),
    [
        ("is_click", [0, 1], "binary"),
        ("like", [True, None], "binary"),
        ("long_view", [1.0, 0.0], "binary"),
        ("watch_time", [0.5, 90], "duration"),
        ("play_time_ms", [5, 90_000], "duration"),
        ("duration", [5, None], "duration"),
        ("num_clicks", [5, 2], "count"),
        ("is_click", [0, 2], None),
        ("watch_time", [-1, 5], None),
        ("watch_time", ["1:30", "2:00"], None),
        ("like", [None, None], None),
        ("temperature", [0, 1], None),
    ],
)
def test_labels_are_known_by_name_where_the_values_fit(name: str, values: list[Any], kind: str | None) -> None:
    assert label_kind(pl.Series(name, values)) == kind
    schema = Schema.infer(frame("user", "item", **{name: values}))
    assert schema.labels == ({} if kind is None else {name: kind})


def test_a_column_that_is_a_label_plays_no_other_role_by_its_name() -> None:
    """Else it would be learned twice: as a label of its own, and as ratings or as weights."""
    log = pl.DataFrame({"user_id": [1, 2], "item_id": [1, 2], "stars": [4.0, 5.0], "plays": [3, 4]})
    assert (Schema.infer(log).rating, Schema.infer(log).weight) == ("stars", "plays")
    schema = Schema.infer(log, labels={"stars": "rating", "plays": "count"})
    assert (schema.rating, schema.weight) == (None, None) and list(schema.labels) == ["stars", "plays"]
    both = Schema.infer(log, labels={"stars": "rating"}, columns={"rating": "stars"}, positive_from=4.0)
    assert both.rating == "stars", "what is said is done"
    rated = log.rename({"stars": "rating"})
    assert Schema.infer(rated, labels={"rating": "rating"}, positive_from=4.0).rating == "rating"


def test_given_labels_replace_those_found() -> None:
    log = frame("user", "item", click=[0, 1], hours=[0.5, 2])
    assert Schema.infer(log).labels == {"click": "binary"}
    assert Schema.infer(log, labels={"hours": "duration"}).labels == {"hours": "duration"}
    assert Schema.infer(log, columns={"weight": "click"}).labels == {}, "a column has one role"


def test_what_items_tables_hold_is_found() -> None:
    items = frame("item_id", "Title", "genres", "tags", "description", "price")
    schema = Schema.infer(frame("user", "item_id"), items=items)
    assert (schema.title, schema.categories, schema.text) == ("Title", ("genres", "tags"), ("description",))
    chosen = Schema.infer(
        frame("user", "item_id"),
        items=items,
        columns={"title": None, "categories": ["price"], "text": "Title,description"},
    )
    assert (chosen.title, chosen.categories, chosen.text) == (None, ("price",), ("Title", "description"))
    assert Schema.infer(frame("user", "item_id", "title")).title is None, "titles are looked for in the items table"


@pytest.mark.parametrize(
    ("names", "key"),
    [
        (["movieId", "id"], "movieId"),
        (["item_id", "isbn"], "item_id"),
        (["asin", "title"], "asin"),
        (["id", "name"], "id"),
    ],
)
def test_the_id_of_a_table_may_have_another_name(names: list[str], key: str) -> None:
    assert Schema.infer(frame("user", "movieId"), items=frame(*names)).item_key == key


def test_a_table_without_a_clear_id_is_refused() -> None:
    with pytest.raises(
        SchemaError, match=r'id of the items in a column "movieId". Got "asin", "isbn", and each could be it'
    ):
        Schema.infer(frame("user", "movieId"), items=frame("asin", "isbn"))
    with pytest.raises(
        SchemaError, match=r'id of the users in a column "user". Got the columns "age" instead.*user_key'
    ):
        Schema.infer(frame("user", "item"), frame("age"))
    schema = Schema.infer(frame("user", "item"), frame("age", "nick"), columns={"user_key": "nick"})
    assert (schema.user, schema.user_key) == ("user", "nick")


def test_a_schema_survives_json() -> None:
    schema = Schema.infer(frame("user", "item", "rating", click=[0, 1]), positive_from=4)
    assert msgspec.json.decode(msgspec.json.encode(schema), type=Schema) == schema


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        (["Action|Comedy", "Drama", None], [["Action", "Comedy"], ["Drama"], []]),
        (["Action, Comedy", "Drama,Drama", ""], [["Action", "Comedy"], ["Drama"], []]),
        (["Sci-Fi, Fantasy|War", "Drama"], [["Sci-Fi, Fantasy", "War"], ["Drama"]]),
        ([["b", "a", "b"], [], None], [["b", "a"], [], []]),
        ([[1, 2], [2]], [["1", "2"], ["2"]]),
        ([3, None], [["3"], []]),
        ([None, None], [[], []]),
    ],
)
def test_categories_are_split(column: list[Any], expected: list[list[str]]) -> None:
    split = split_categories(pl.Series("genres", column))
    assert split.to_list() == expected
    assert (split.name, split.dtype) == ("genres", pl.List(pl.String))


@given(st.lists(st.lists(st.sampled_from(["War", "Film-Noir", "(none)", "Sci-Fi"]), unique=True), min_size=1))
def test_split_undoes_join(rows: list[list[str]]) -> None:
    joined = pl.Series([" | ".join(row) for row in rows])
    if any(len(row) > 1 for row in rows):
        assert split_categories(joined).to_list() == rows
    assert split_categories(pl.Series(rows, dtype=pl.List(pl.String))).to_list() == rows


def test_a_report_reads_well() -> None:
    findings = tuple(
        Finding(severity=severity, what=f"a {severity}.", where="log.csv, row 2", count=1, hint="Try this.")
        for severity in ("error", "repair", "warning", "warning")
    )
    report = Report(findings, ("times are unix seconds.",), rows=1200, kept=1199)
    assert str(report) == "\n".join(
        [
            "1,199 of 1,200 events kept.",
            "1 error:",
            "  - log.csv, row 2: a error. Try this.",
            "1 repair:",
            "  - log.csv, row 2: a repair. Try this.",
            "2 warnings:",
            "  - log.csv, row 2: a warning. Try this.",
            "  - log.csv, row 2: a warning. Try this.",
            "Notes:",
            "  - times are unix seconds.",
        ]
    )
    assert [len(report.of(severity)) for severity in ("error", "repair", "warning")] == [1, 1, 2]
    assert str(SchemaError(report)) == "log.csv, row 2: a error. Try this."
