"""Groups of queries that figures are reported for apart: who asks, and what they went on to like."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset, Histories
from serendip.types import Ids, Truth

DESCRIPTIONS = {
    "all": "every query",
    "warm_users": "askers with training events",
    "cold_users": "askers without any training event",
    "light_users": "the third of the askers with the fewest events before asking",
    "medium_users": "the middle third of the askers by events before asking",
    "heavy_users": "the third of the askers with the most events before asking",
    "any_cold_item": "queries whose truth holds an item without a training event",
    "no_cold_item": "queries whose truth holds only items with training events",
    "warm_items": "only the part of the truth that has training events",
    "cold_items": "only the part of the truth that has no training event",
}
"""What each segment holds. The last two cut the truth of each query instead of choosing queries."""


def liked_counts(train: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Training events with interest per user ``[users]`` and per item ``[items]``."""
    liked = train.events.weight > 0
    return (
        np.bincount(train.events.users[liked], minlength=train.n_users),
        np.bincount(train.events.items[liked], minlength=train.n_items),
    )


def standard_segments(
    train: Dataset, asking: Histories, rows: Ids, known: Ids, truth: Truth
) -> dict[str, NDArray[np.bool_]]:
    """The segments of `DESCRIPTIONS` that choose some queries, but not all of them or none.

    Where askers are equally active at a boundary between thirds they all belong to the lower one.

    Shapes: ``rows`` and ``known`` ``[q]``; the masks ``[q]``.
    """
    by_user, by_item = liked_counts(train)
    warm = np.append(by_user > 0, False)[known]
    cold_item = ~np.append(by_item > 0, False)[truth.items]
    owner = np.repeat(np.arange(len(truth)), truth.counts)
    any_cold = np.bincount(owner, weights=cold_item, minlength=len(truth)) > 0
    activity = np.append(np.diff(asking.indptr), 0)[rows]
    low, high = np.quantile(activity, [1 / 3, 2 / 3])
    segments = {
        "warm_users": warm,
        "cold_users": ~warm,
        "light_users": activity <= low,
        "medium_users": (activity > low) & (activity <= high),
        "heavy_users": activity > high,
        "any_cold_item": any_cold,
        "no_cold_item": ~any_cold,
    }
    return {name: mask for name, mask in segments.items() if mask.any() and not mask.all()}
