"""What a data set looks like in a few numbers, for reports and bundles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from serendip.data.schema import Schema
from serendip.data.times import iso

if TYPE_CHECKING:
    from serendip.data.dataset import Dataset

FEW = 5


def summarise(data: Dataset) -> dict[str, Any]:
    """See `Dataset.summary`."""
    events, schema = data.events, data.schema
    per_item = np.bincount(events.items, minlength=data.n_items)
    per_user = np.diff(events.indptr)
    active = per_user[per_user > 0]
    cells = data.n_users * data.n_items
    pairs = np.unique(events.users.astype(np.int64) * data.n_items + events.items).size
    dated = schema.time_kind == "unix" and events.time is not None and len(events) > 0
    rating = events.labels.get("rating")
    rated = None if rating is None else rating[~np.isnan(rating)].astype(np.float64)
    return {
        "events": len(events),
        "users": data.n_users,
        "items": data.n_items,
        "density": pairs / cells if cells else 0.0,
        "time_kind": schema.time_kind,
        "first": iso(int(events.time.min())) if dated and events.time is not None else None,
        "last": iso(int(events.time.max())) if dated and events.time is not None else None,
        "repeated_pairs": len(events) - pairs,
        "gini": gini(per_item[per_item > 0]),
        "items_without_events": int((per_item == 0).sum()),
        "users_with_few_events": float((active < FEW).mean()) if len(active) else 0.0,
        "rating_mean": float(rated.mean()) if rated is not None and len(rated) else None,
        "event_types": _counts(schema, events.kind),
        "interest": interest(schema),
    }


def gini(counts: NDArray[np.int64]) -> float:
    """Gini coefficient of counts: 0 if all are equal, towards 1 if one has nearly everything.

    ``Σ (2i − n − 1) x_i / (n Σ x_i)`` over the counts in ascending order, i from 1.
    """
    n, total = len(counts), counts.sum()
    if total == 0:
        return 0.0
    return float((2 * np.arange(1, n + 1) - n - 1) @ np.sort(counts).astype(np.float64) / (n * total))


def interest(schema: Schema) -> str:
    """The rule that says which events show interest, and how much, as a sentence."""
    named = dict.fromkeys((*schema.event_weights, *schema.target))
    weights = [f"{kind} {schema.weight_of(kind):g}" for kind in named]
    others = any(kind not in named for kind in schema.event_types)
    rest = f"others {0 if schema.target else 1}"
    strength = f" Events weigh: {', '.join([*weights, *([rest] if others else [])])}." if weights else ""
    foretold = (
        f" The target is {', '.join(schema.target)}: other kinds are no truth of a test." if schema.target else ""
    )
    times = f" Each weighs what {schema.weight} says." if schema.weight is not None else ""
    if schema.positive_from is not None:
        least = f"{schema.rating} of {schema.positive_from:g}"
        rule = f"A {least} or more shows interest; a lower one only says that the item was seen."
    elif schema.rating is not None:
        rule = f"Every event shows interest, whatever its {schema.rating}."
    else:
        rule = "Every event shows interest."
    return rule + times + strength + foretold


def _counts(schema: Schema, kind: NDArray[np.int16] | None) -> dict[str, int]:
    if kind is None:
        return {}
    counts = np.bincount(kind[kind >= 0], minlength=len(schema.event_types))
    return {name: int(count) for name, count in zip(schema.event_types, counts, strict=True)}
