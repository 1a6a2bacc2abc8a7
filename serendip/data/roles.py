"""Which column plays which role, by its name and its values: the rules behind `Schema.infer`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl
from msgspec.structs import replace

from serendip.data.findings import Findings
from serendip.data.schema import LabelKind, Schema, TimeKind
from serendip.data.table import Table
from serendip.data.times import kind_of

Columns = Mapping[str, str | Sequence[str] | None]

CANONICAL = {
    "user": "user_id",
    "item": "item_id",
    "timestamp": "timestamp",
    "weight": "weight",
    "rating": "rating",
    "event_type": "event_type",
    "title": "title",
}
"""The name that wins where several would do."""

ALIASES: dict[str, str] = {
    "user": (
        "user userid uid visitor visitorid customer customerid member memberid account accountid client "
        "clientid reviewerid profileid shopperid buyerid personid"
    ),
    "item": (
        "item itemid iid movie movieid product productid sku book bookid isbn asin song songid track trackid "
        "artist artistid video videoid article articleid news newsid game gameid business businessid "
        "contentid document documentid listing listingid offer offerid post postid goods goodsid recipe "
        "recipeid"
    ),
    "timestamp": (
        "timestamp ts time date datetime unixtime unixtimestamp epoch eventtime eventtimestamp createdat "
        "timems timestampms timestampus timestampns utctime unixreviewtime reviewtime occurredat"
    ),
    "weight": "weight count plays playcount listens listencount quantity qty frequency strength confidence",
    "rating": "rating score stars star overall grade",
    "event_type": (
        "eventtype event eventname behavior behaviour behaviortype behaviourtype action actiontype "
        "interaction interactiontype type"
    ),
    "title": (
        "title name itemname itemtitle productname producttitle movietitle moviename songtitle songname "
        "trackname tracktitle booktitle artistname videotitle headline"
    ),
    "categories": "genres genre categories category tags tag topics topic attributeids",
    "text": "description overview summary plot synopsis abstract text body content blurb",
}
"""Names that are understood without being told, compared without case, blanks and punctuation."""

LABELS: dict[LabelKind, str] = {
    "binary": (
        "click clicked like liked dislike disliked follow followed comment commented forward forwarded share "
        "shared hate hated favorite favorited favourite favourited bookmark bookmarked save saved purchase "
        "purchased bought buy order ordered convert converted conversion addtocart cart skip skipped longview "
        "profileenter install installed complete completed finished watched"
    ),
    "count": "clicks likes views comments shares orders numclicks numlikes numviews",
    "duration": (
        "watchtime watchduration playtime playduration viewtime viewduration dwelltime dwell listentime "
        "listenduration listeningtime readtime readingtime timespent staytime profilestaytime commentstaytime "
        "sessionduration duration"
    ),
}
"""Names of labels by what they measure, without ``is_`` in front and a unit of time behind."""

SINGLE = ("user", "item", "timestamp", "weight", "rating", "event_type", "title", "user_key", "item_key")
LISTS = ("categories", "text", "context")
TABLE_OF = {"title": "items", "categories": "items", "text": "items", "item_key": "items", "user_key": "users"}


@dataclass(frozen=True, slots=True)
class Given:
    """What the user says about columns: one name per role (None: no column plays it), and lists of names."""

    one: Mapping[str, str | None]
    many: Mapping[str, tuple[str, ...]]


def infer(
    events: Table,
    users: Table | None,
    items: Table | None,
    *,
    columns: Columns | None,
    time_kind: TimeKind | None,
    positive_from: float | None,
    event_weights: Mapping[str, float] | None,
    target: Sequence[str] | None,
    labels: Mapping[str, LabelKind] | None,
) -> Schema:
    """See `Schema.infer`."""
    found = Findings()
    given = _given(columns or {}, {"events": events, "users": users, "items": items}, found)
    if time_kind == "none":
        given = Given({**given.one, "timestamp": None}, given.many)
    role = {name: _named(name, events, given, found, taken=_for_labels(name, labels or {})) for name in SINGLE[:6]}
    for name in ("user", "item"):
        if role[name] is None and len(matching(name, events.frame.columns)) < 2 and name not in given.one:
            _missing(name, events, found)
    schema = Schema(
        user=role["user"] or "user_id",
        item=role["item"] or "item_id",
        user_key=_key("user", users, role["user"], given, found),
        item_key=_key("item", items, role["item"], given, found),
        timestamp=role["timestamp"],
        weight=role["weight"],
        rating=role["rating"],
        positive_from=positive_from,
        event_type=role["event_type"],
        event_weights={str(kind): weight for kind, weight in (event_weights or {}).items()},
        target=tuple(map(str, target or ())),
        context=given.many.get("context", ()),
        title=None if items is None else _named("title", items, given, found),
        categories=_all_named("categories", items, given),
        text=_all_named("text", items, given),
    )
    _check_settings(schema, events, time_kind, labels or {}, found)
    found.stop()
    kind: TimeKind = "none" if schema.timestamp is None else time_kind or kind_of(events.frame[schema.timestamp])
    return replace(schema, time_kind=kind, labels=dict(labels or {}) or _labels(events.frame, schema))


def squash(name: str) -> str:
    """A column name without case, blanks and punctuation: ``userId``, ``USER-ID`` and ``user_id`` are the same."""
    return re.sub(r"[\W_]+", "", name.lower())


def near(name: str, known: Iterable[str]) -> str:
    """``Did you mean "…"?`` for a mistyped name, or nothing."""
    by_squashed = {squash(one): one for one in known}
    close = difflib.get_close_matches(squash(name), by_squashed, 1)
    return f'Did you mean "{by_squashed[close[0]]}"?' if close else ""


def listed(columns: Iterable[str]) -> str:
    """Column names for a message."""
    return ", ".join(f'"{column}"' for column in columns) or "none"


def matching(role: str, columns: Iterable[str]) -> list[str]:
    """The columns whose names say that they play the role."""
    names = set(ALIASES[role].split())
    return [column for column in columns if squash(column) in names]


def label_kind(column: pl.Series) -> LabelKind | None:
    """What a column measures as its name says, if its values can be that; else None."""
    name = squash(re.sub(r"_(ms|s|sec|secs|seconds|minutes|min|hours)$", "", column.name.lower().removeprefix("is_")))
    kind = next((kind for kind, names in LABELS.items() if name in names.split()), None)
    if kind is None or not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        return None
    values = column.cast(pl.Float64).drop_nulls()
    fits = values.is_in([0.0, 1.0]) if kind == "binary" else values.is_finite() & (values >= 0)
    return kind if bool(fits.all()) and len(values) else None


def _given(columns: Columns, tables: Mapping[str, Table | None], found: Findings) -> Given:
    """The overrides, checked; what is wrong with them goes to ``found``."""
    one: dict[str, str | None] = {}
    many: dict[str, tuple[str, ...]] = {}
    for key, value in columns.items():
        role = {"user_id": "user", "item_id": "item"}.get(key, key)
        names = [name for name in _several(value, apart=role in LISTS) if name]
        if role in LISTS:
            many[role] = tuple(names)
        elif role in SINGLE and len(names) <= 1:
            one[role] = names[0] if names else None
        elif role in SINGLE:
            found.error("columns", f"expected one column for the {role}. Got {listed(names)} instead.", "Name one.")
            continue
        else:
            known = ", ".join((*SINGLE, *LISTS))
            turned = (
                f"Write {names[0]}={key}." if names and names[0] in known.split(", ") else near(key, SINGLE + LISTS)
            )
            found.error(
                "columns", f"expected a column for one of the roles {known}. Got {key}={value!r} instead.", turned
            )
            continue
        place = TABLE_OF.get(role, "events")
        for name in names:
            _check_exists(name, role, place, tables[place], found)
    return Given(one, many)


def _several(value: str | Sequence[str] | None, *, apart: bool) -> list[str]:
    if value is None:
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")] if apart else [value]
    return list(value)


def _check_exists(name: str, role: str, place: str, table: Table | None, found: Findings) -> None:
    if table is None:
        found.error("columns", f'"{name}" is to be the {role}, but no table of {place} is given.', f"Give {place} too.")
    elif name not in table.frame.columns:
        what = f'expected a column "{name}" for the {role}. Got the columns {listed(table.frame.columns)} instead.'
        hint = "Try another name in labels, or leave it out." if role == "label" else _try(role)
        found.error(table.name, what, near(name, table.frame.columns) or hint)


def _for_labels(role: str, labels: Mapping[str, LabelKind]) -> set[str]:
    """The columns that are declared as labels, which play no other role by their name: else they would be learned
    twice. What is called ``rating`` is one label, whichever way it is known."""
    return set(labels) - ({"rating"} if role == "rating" else set())


def _named(role: str, table: Table, given: Given, found: Findings, taken: Collection[str] = frozenset()) -> str | None:
    """The one column that plays the role, by what is given or by its name, if it is not ``taken``."""
    if role in given.one:
        return given.one[role]
    place = TABLE_OF.get(role, "events")
    others = {name for other, name in given.one.items() if TABLE_OF.get(other, "events") == place} | set(taken)
    names = [name for name in matching(role, table.frame.columns) if name not in others]
    if CANONICAL[role] in names:
        return CANONICAL[role]
    if len(names) > 1:
        what = f"expected one column for the {role}. Got {listed(names)}, and each could be it."
        none = "" if role in ("user", "item") else f" If none is, leave it empty (--columns {role}=)."
        found.error(table.name, what, _try(role, names[0]) + none)
    return names[0] if len(names) == 1 else None


def _all_named(role: str, table: Table | None, given: Given) -> tuple[str, ...]:
    if role in given.many or table is None:
        return given.many.get(role, ())
    return tuple(matching(role, table.frame.columns))


def _missing(role: str, table: Table, found: Findings) -> None:
    wanted = f'expected a column "{role}_id" (or a name like it) for the {role}'
    hint = _try(role, *difflib.get_close_matches(f"{role}_id", table.frame.columns, 1))
    if any(re.fullmatch(r"[\d.\s+-]+", column) for column in table.frame.columns):
        hint += " If the file has no header line, add one."
    if role == "user":
        hint += " A table without users and items, whose rows have labels, is read as data.examples."
    found.error(table.name, f"{wanted}. Got the columns {listed(table.frame.columns)} instead.", hint)


def _try(role: str, name: str = "…") -> str:
    return f"Try columns={{{role!r}: {name!r}}} (--columns {role}={name})."


def _key(role: str, table: Table | None, of_events: str | None, given: Given, found: Findings) -> str | None:
    """The id column of a table: the events' name for it, else a name that says so, else ``id``."""
    key = f"{role}_key"
    if table is None or given.one.get(key) is not None:
        return given.one.get(key)
    if of_events is not None and of_events in table.frame.columns:
        return of_events
    names = matching(role, table.frame.columns)
    if CANONICAL[role] in names:
        return CANONICAL[role]
    if len(names) == 1:
        return names[0]
    if not names and "id" in table.frame.columns:
        return "id"
    what = f'expected the id of the {role}s in a column "{of_events or CANONICAL[role]}". '
    came = f"{listed(names)}, and each could be it." if names else f"the columns {listed(table.frame.columns)} instead."
    found.error(table.name, f"{what}Got {came}", _try(key))
    return None


def _check_settings(
    schema: Schema, events: Table, time_kind: TimeKind | None, labels: Mapping[str, LabelKind], found: Findings
) -> None:
    came = f"Got the columns {listed(events.frame.columns)} instead."
    if time_kind in ("unix", "rank") and schema.timestamp is None:
        found.error(events.name, f'time_kind="{time_kind}" needs a column with times. {came}', _try("timestamp"))
    if schema.user == schema.item:
        what = f'expected one column for the user and another for the item. Got "{schema.user}" for both.'
        found.error(events.name, what, "Try columns={'user': '…', 'item': '…'} (--columns user=…,item=…).")
    if schema.positive_from is not None and schema.rating is None:
        found.error(
            "events", f"positive_from={schema.positive_from:g} needs a column with ratings. {came}", _try("rating")
        )
    if schema.event_weights and schema.event_type is None:
        found.error(events.name, f"event_weights need a column with the kind of event. {came}", _try("event_type"))
    if schema.target and schema.event_type is None:
        found.error(events.name, f"a target needs a column with the kind of event. {came}", _try("event_type"))
    for name in labels:
        _check_exists(name, "label", "events", events, found)


def _labels(events: pl.DataFrame, schema: Schema) -> dict[str, LabelKind]:
    """Label columns by name, those whose values fit."""
    single = (schema.user, schema.item, schema.timestamp, schema.weight, schema.rating, schema.event_type)
    taken = {*single, *schema.context}
    kinds = {name: label_kind(events[name]) for name in events.columns if name not in taken}
    return {name: kind for name, kind in kinds.items() if kind is not None}
