"""A small shop whose features are known by heart."""

from __future__ import annotations

import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema

DAY = 86_400
MONDAY = 1_704_067_200  # 1 January 2024, 00:00 UTC, a Monday
SCHEMA = Schema(timestamp="timestamp", time_kind="unix", context=("device",))

EVENTS = pl.DataFrame(
    {
        "user_id": [1, 1, 2, 2, 3],
        "item_id": ["a", "b", "a", "c", "d"],
        "timestamp": [MONDAY, MONDAY + DAY, MONDAY, MONDAY + 6 * 3600, MONDAY + 4 * DAY],
        "device": ["phone", "tv", "phone", None, "phone"],
    }
)
USERS = pl.DataFrame({"user_id": [1, 2, 3, 9], "age": [20, 30, None, 99], "likes": ["acme", "zen", None, "other"]})
ITEMS = pl.DataFrame(
    {
        "item_id": ["a", "b", "c", "d", "e"],
        "brand": ["acme", "zen", "acme", None, "rare"],
        "genres": ["x|y", "y", "x | z | x", None, "w"],
        "price": [1.0, 2.0, 3.0, float("nan"), 100.0],
        "name": ["Red Shoes", "Blue shoes", "千と千尋", None, "x"],
        "vector": [[3.0, 4.0], [1.0, 0.0], None, [0.0, 0.0], [1.0, 1.0]],
        "released": ["2023-12-31", "2024-01-05", None, "2024-02-01", "2020-01-01"],
    }
)


@pytest.fixture(scope="session")
def data() -> Dataset:
    """Item ``e`` and user 9 have no event."""
    return Dataset.from_frames(EVENTS, USERS, ITEMS, schema=SCHEMA)
