"""What the columns of an event log and of its tables mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec
import polars as pl

from serendip.data.events import Kinds
from serendip.data.features.declared import Feature
from serendip.data.findings import Finding, Report, SchemaError, Severity

TimeKind = Literal["unix", "rank", "none"]
LabelKind = Literal["binary", "count", "rating", "duration"]
Side = Literal["users", "items"]


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """Which column plays which role. Names are those of the user's frames.

    Attributes:
        user, item: id columns of the events.
        user_key, item_key: id columns of the users and items tables; None: the same name as in the events.
        timestamp: when it happened, or None.
        time_kind: ``unix`` (seconds UTC), ``rank`` (order within a user only) or ``none``.
        weight: strength of each event, or None (1 each).
        rating: explicit rating, or None; it is also a label named ``rating``.
        positive_from: a rating at or above it shows interest (weight kept); below it the event is "seen, without
            interest" (weight 0). None: every event counts as it is.
        event_type: column that names the kind of event, or None.
        event_weights: weight by kind of event; kinds not named weigh 1, or 0 where they are not the target.
        target: the kinds that are to be foretold: they alone are the truth of a test, and models that can read the
            others beside the history. Empty: all.
        event_types: the kinds that occur, in the order of their codes.
        impressions: the kinds that say what was shown, and no more: such an item is not seen.
        labels: further label columns and what they measure.
        context: columns describing the moment of the event.
        title: item column shown to people, or None.
        categories: item columns with (lists of) categories; ``text``: item columns with free text.
        relations: by name of the relation, whether it joins users or items.
        features: what is made of columns for models that read features, by name.
    """

    user: str = "user_id"
    item: str = "item_id"
    user_key: str | None = None
    item_key: str | None = None
    timestamp: str | None = None
    time_kind: TimeKind = "none"
    weight: str | None = None
    rating: str | None = None
    positive_from: float | None = None
    event_type: str | None = None
    event_weights: dict[str, float] = {}
    target: tuple[str, ...] = ()
    event_types: tuple[str, ...] = ()
    impressions: tuple[str, ...] = ()
    labels: dict[str, LabelKind] = {}
    context: tuple[str, ...] = ()
    title: str | None = None
    categories: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    relations: dict[str, Side] = {}
    features: dict[str, Feature] = {}

    def weight_of(self, kind: str) -> float:
        """What an event of this kind weighs, beside its own weight."""
        return self.event_weights.get(kind, 1.0 if not self.target or kind in self.target else 0.0)

    @property
    def kinds(self) -> Kinds | None:
        """The kinds of events, or None where the log does not name them."""
        return Kinds(self.event_types, self.target, self.impressions) if self.event_types else None

    @classmethod
    def infer(
        cls,
        events: pl.DataFrame,
        users: pl.DataFrame | None = None,
        items: pl.DataFrame | None = None,
        *,
        columns: Mapping[str, str | Sequence[str] | None] | None = None,
        time_kind: TimeKind | None = None,
        positive_from: float | None = None,
        event_weights: Mapping[str, float] | None = None,
        target: Sequence[str] | None = None,
        labels: Mapping[str, LabelKind] | None = None,
    ) -> Schema:
        """The schema that names and values of the columns suggest.

        Args:
            events: the log; ``users`` and ``items``: tables with a row per user or item.
            columns: the column for a role (``{"timestamp": "time_rank"}``), where its name does not say so; several for
                ``categories``, ``text`` and ``context``, in a list or separated by commas; None or ``""`` for a role
                that no column plays.
            time_kind: what the timestamp is; None: by its values.
            positive_from, event_weights, target: as in the attributes.
            labels: label columns and what they measure; None or empty: by name, where the values fit.

        Raises:
            SchemaError: a column that is missing or could be either of two; it lists all of them.
        """
        from serendip.data.read import read
        from serendip.data.roles import infer

        return infer(
            read(events, "events"),
            None if users is None else read(users, "users"),
            None if items is None else read(items, "items"),
            columns=columns,
            time_kind=time_kind,
            positive_from=positive_from,
            event_weights=event_weights,
            target=target,
            labels=labels,
        )


def separator_of(column: pl.Series) -> str:
    """What parts the categories of texts: ``|`` if any of them holds one, else ``,``."""
    if isinstance(column.dtype, pl.List | pl.Array):
        return ","
    return "|" if column.cast(pl.String).str.contains("|", literal=True).any() else ","


def split_categories(column: pl.Series, separator: str | None = None) -> pl.Series:
    """A column of categories as lists of distinct texts, in their order; an empty list where there are none.

    Lists stay lists. Texts are split at the separator; None: that of `separator_of`. Blanks around a category go.
    """
    if isinstance(column.dtype, pl.List | pl.Array):
        lists = column.cast(pl.List(pl.String))
    else:
        lists = column.cast(pl.String).str.split(separator_of(column) if separator is None else separator)
    trimmed = pl.element().str.strip_chars()
    split = pl.col("c").list.eval(trimmed.filter(trimmed != "").unique(maintain_order=True))
    return pl.DataFrame({"c": lists}).select(split.fill_null([]).alias(column.name)).to_series()


__all__ = [
    "Finding",
    "LabelKind",
    "Report",
    "Schema",
    "SchemaError",
    "Severity",
    "Side",
    "TimeKind",
    "separator_of",
    "split_categories",
]
