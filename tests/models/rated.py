"""Small logs of ratings whose right answers are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.synthetic import planted_factors
from serendip.evaluate import Split, at_random, rmse

SCHEMA = Schema(timestamp="timestamp", time_kind="unix", rating="rating")
NAN = np.nan


def log(table: Any, **frames: Any) -> Dataset:
    """A log from a users × items table of ratings, NaN where there is none; codes are the rows and columns."""
    dense = np.array(table, np.float64)
    user, item = np.nonzero(~np.isnan(dense))
    events = pl.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "rating": dense[user, item],
            "timestamp": 1_000_000_000 + 86_400 * np.arange(len(user)),
        }
    )
    users = pl.DataFrame({"user_id": np.arange(dense.shape[0])})
    items = pl.DataFrame({"item_id": np.arange(dense.shape[1])})
    return Dataset.from_frames(events, frames.get("users", users), frames.get("items", items), schema=SCHEMA)


def planted(seed: int = 0) -> Split:
    """Ratings of a known low rank, a tenth of them held out."""
    return at_random(planted_factors(users=200, items=100, dims=3, events=40, seed=seed).data, test=0.1)


def error(model: Any, split: Split) -> float:
    """RMSE of a fitted model on what was held out."""
    test = split.test
    return rmse(model.predict(test.users, test.items, test.time), test.labels["rating"])
