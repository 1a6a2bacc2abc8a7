"""Small logs for rankers, whose right answers are known: who likes what, at which moment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.features import Feature
from serendip.data.features.declared import Category
from serendip.model import Run, find
from serendip.types import Queries

Codes = NDArray[np.int64]
SIDES: Mapping[str, Feature] = {"side": Category(side="user"), "moment": Category(side="context")}
FEW: Mapping[str, Any] = {"epochs": 40, "batch_size": 128, "learning_rate": 0.01, "label": "liked", "length": 0}


def log(
    rule: Callable[[Codes, Codes, Codes], NDArray[Any]], features: Mapping[str, Feature] = SIDES, **columns: Any
) -> Dataset:
    """Pairs of 20 users and 20 items in two moments, most of all that there are, liked where the rule of user, item and
    moment has it. Users have their ``side``, odd or even, and more columns of the users table."""
    rng = np.random.default_rng(0)
    user, item, moment = (rng.integers(0, size, 1500) for size in (20, 20, 2))
    liked = np.asarray(rule(user, item, moment)).astype(int)
    events = pl.DataFrame({"user_id": user, "item_id": item, "moment": moment.astype(str), "liked": liked})
    return Dataset.from_frames(
        events.unique(["user_id", "item_id", "moment"], maintain_order=True),
        pl.DataFrame({"user_id": range(20), "side": [str(code % 2) for code in range(20)], **columns}),
        labels={"liked": "binary"},
        features=dict(features),
    )


def of_events(data: Dataset) -> Queries:
    """A query for each event, with the features of its user and moment and no history."""
    assert data.features is not None
    users = data.events.users
    known = {name: values[users] for name, values in data.features.users(data.users).items()}
    features = {**known, **data.features.examples(data)}
    return Queries(users, np.empty((len(users), 0), np.int32), features=features)


def right(data: Dataset, name: str, **options: Any) -> float:
    """The share of the events of which the model, fitted to them, says rightly whether they are liked."""
    scorer = find(name)(**{**FEW, **options}).fit(data, Run(threads=1)).lower()
    found = scorer.score(of_events(data), data.events.items[:, None])[:, 0]
    return float(((found > 0) == (data.events.labels["liked"] > 0.5)).mean())


def parity() -> Dataset:
    """What only three fields together say: whether user, item and moment add up to something odd. Pairs say nothing, as
    the test of `deepfm` shows."""
    return log(lambda user, item, moment: (user + item + moment) % 2)
