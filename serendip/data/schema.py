"""What the columns of an event log mean, and what is wrong with them: every violation in one report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

TimeKind = Literal["unix", "rank", "none"]
LabelKind = Literal["binary", "count", "rating", "duration"]
Severity = Literal["error", "repair", "warning"]

ALIASES: dict[str, tuple[str, ...]] = {
    "user": ("user_id", "user", "userid", "uid"),
    "item": ("item_id", "item", "itemid", "movieid", "product_id"),
    "timestamp": ("timestamp", "ts", "time"),
    "weight": ("weight", "count"),
    "rating": ("rating", "score", "stars"),
}
"""Names of columns that are understood without being told, the best first."""


class Schema(msgspec.Struct, frozen=True, kw_only=True):
    """Which column plays which role. Names are those of the user's frames.

    Attributes:
        user, item: id columns of the events and of the tables.
        timestamp: when it happened, or None.
        time_kind: ``unix`` (seconds UTC), ``rank`` (order within a user only) or ``none``.
        weight: strength of each event, or None (1 each).
        rating: explicit rating, or None; it is also a label named ``rating``.
        positive_from: a rating at or above it shows interest (weight kept); below it the event is "seen, without interest"
            (weight 0). None: every event counts as it is.
        event_type: column that names the kind of event, or None.
        event_weights: weight by kind of event; kinds not named weigh 1.
        event_types: the kinds that occur, in the order of their codes.
        labels: further label columns and what they measure.
        context: columns describing the moment of the event.
        title: item column shown to people, or None.
        categories: item columns with (lists of) categories; ``text``: item columns with free text.
    """

    user: str = "user_id"
    item: str = "item_id"
    timestamp: str | None = None
    time_kind: TimeKind = "none"
    weight: str | None = None
    rating: str | None = None
    positive_from: float | None = None
    event_type: str | None = None
    event_weights: dict[str, float] = {}
    event_types: tuple[str, ...] = ()
    labels: dict[str, LabelKind] = {}
    context: tuple[str, ...] = ()
    title: str | None = None
    categories: tuple[str, ...] = ()
    text: tuple[str, ...] = ()


    @classmethod
    def infer(cls, columns: Sequence[str]) -> Schema:
        """The schema that the column names of an event log suggest."""
        found = {role: _named(columns, names) for role, names in ALIASES.items()}
        return cls(
            user=found["user"] or "user_id",
            item=found["item"] or "item_id",
            timestamp=found["timestamp"],
            time_kind="none" if found["timestamp"] is None else "unix",
            weight=found["weight"],
            rating=found["rating"],
        )


def _named(columns: Sequence[str], names: tuple[str, ...]) -> str | None:
    lower = {column.lower(): column for column in reversed(columns)}
    return next((lower[name] for name in names if name in lower), None)


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing found in the input.

    Attributes:
        severity: ``error`` (refused), ``repair`` (put right and counted) or ``warning`` (kept).
        what: what was expected and what came.
        where: file or frame, column, and the first rows concerned (1-based, as a reader counts them).
        count: how many rows.
        hint: what to try.
    """

    severity: Severity
    what: str
    where: str
    count: int
    hint: str


class Report(msgspec.Struct, frozen=True):
    """All findings of one validation."""

    findings: tuple[Finding, ...] = ()

    def of(self, severity: Severity) -> tuple[Finding, ...]:
        """The findings of one severity."""
        return tuple(finding for finding in self.findings if finding.severity == severity)
