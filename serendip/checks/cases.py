"""The data sets that the checks use: small, and odd in the ways that real logs are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl

from serendip.data import synthetic
from serendip.data.change import Change
from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.types import Queries, SerendipError

ITEMS = 24
FEATURES_ONLY = ITEMS
NOTHING = ITEMS + 1
USERS = 30
_START = 1_704_067_200
_LATER = _START + 10_000_000
_SCHEMA = Schema(
    timestamp="timestamp",
    time_kind="unix",
    weight="weight",
    rating="rating",
    title="title",
    categories=("categories",),
    text=("text",),
)


def odd_log(seed: int = 0) -> Dataset:
    """Two tastes over 24 items, with events that repeat, differ in weight or show no interest; item `FEATURES_ONLY` has
    no event, item `NOTHING` neither event nor features, and the last user no event. Most events have a rating, 1 to 5,
    others with a repeated pair. Codes equal ids."""
    rng = np.random.default_rng(seed)
    user, item = np.nonzero((np.arange(USERS)[:, None] + np.arange(ITEMS)) % 2 == 0)
    kept = rng.random(len(user)) < 0.6
    stray = rng.integers(0, (USERS, ITEMS), (40, 2))
    user, item = np.concatenate([user[kept], stray[:, 0]]), np.concatenate([item[kept], stray[:, 1]])
    again = rng.random(len(user)) < 0.2
    user, item = np.concatenate([user, user[again]]), np.concatenate([item, item[again]])
    weight = rng.choice([0.5, 1.0, 2.0, 3.0], len(user))
    weight[rng.random(len(user)) < 0.05] = 0
    when = _START + rng.permutation(len(user)) * 3600
    rating = np.where(rng.random(len(user)) < 0.9, rng.integers(1, 6, len(user)), np.nan)
    columns = {"user_id": user, "item_id": item, "timestamp": when, "weight": weight, "rating": rating}
    events = pl.DataFrame(columns, nan_to_null=True)
    users = pl.DataFrame({"user_id": np.arange(USERS + 1)})
    return Dataset.from_frames(events, users, _shelf(), schema=_SCHEMA)


def _shelf() -> pl.DataFrame:
    known = range(ITEMS + 1)
    side = ["odd" if code % 2 else "even" for code in known]
    return pl.DataFrame(
        {
            "item_id": np.arange(ITEMS + 2),
            "title": [
                *(f"Square {code // 4} of the {name} side" for code, name in zip(known, side, strict=True)),
                None,
            ],
            "categories": [*([name, f"row {code // 6}"] for code, name in zip(known, side, strict=True)), None],
            "text": [*(f"{name} number {code}" for code, name in zip(known, side, strict=True)), None],
        },
        schema_overrides={"categories": pl.List(pl.String)},
    )


def tiny_logs() -> dict[str, Dataset]:
    """The smallest logs that a split can leave, by what is odd about them."""
    data = odd_log()
    users, items, weight = data.events.users, data.events.items, data.events.weight
    first_user, first_item = users == users[0], items == items[0]
    _, first_of_item = np.unique(items, return_index=True)
    return {
        "no event": data.where(np.zeros(len(users), bool)),
        "one event": data.where(np.arange(len(users)) == np.argmax(weight)),
        "one user": data.where(first_user),
        "one item": data.where(first_item),
        "no interest": data.where(weight == 0),
        "nobody shares an item": data.where(np.isin(np.arange(len(users)), first_of_item)),
    }


def later() -> Change:
    """The odd log with what came later: events of old and new users with old and new items, one of no interest."""
    new = {
        "user_id": [0, 0, 1, USERS, USERS + 5, USERS + 5, USERS + 6],
        "item_id": [3, ITEMS + 9, FEATURES_ONLY, 2, 4, ITEMS + 9, ITEMS + 10],
        "timestamp": [_LATER + hour * 3600 for hour in range(7)],
        "weight": [1.0, 2.0, 0.5, 1.0, 3.0, 1.0, 0.0],
        "rating": [5.0, 1.0, None, 3.0, 4.0, 2.0, 5.0],
    }
    return Change.read(odd_log(), pl.DataFrame(new))


def rated_alike(rating: float) -> Dataset:
    """The odd log with this rating throughout."""
    data = odd_log()
    same = np.full(len(data.events), rating, np.float32)
    return replace(data, events=replace(data.events, labels={"rating": same}))


def known_answer(name: str) -> Dataset:
    """The data of the function of `serendip.data.synthetic` of that name.

    Raises:
        SerendipError: there is no such function.
    """
    make = getattr(synthetic, name, None)
    if not callable(make):
        raise SerendipError(
            f"a model's synthetic must name a function of serendip.data.synthetic. Got {name!r} instead. "
            "Try checkerboard."
        )
    made: Any = make()
    data = made.dataset() if callable(getattr(made, "dataset", None)) else getattr(made, "data", made)
    assert isinstance(data, Dataset)
    return data


def everyone(data: Dataset) -> Queries:
    """A query for each user of the data, and one for a user of whom nothing is known."""
    return data.queries(np.append(np.arange(data.n_users), data.n_users).astype(np.int32))
