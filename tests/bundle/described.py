"""Data with features, and a scorer that reads them, whose answers are known by heart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Age, Category, Cycle, Number, Recency, Text
from serendip.data.schema import Schema
from serendip.pipeline import first_of, retrieve
from serendip.scorers import StaticScores
from serendip.types import ABSENT, Floats, Ids, Queries, Stage

DAY = 86_400
MONDAY = 1_704_067_200
EVENTS = pl.DataFrame(
    {
        "user_id": [1, 1, 2, 2, 3],
        "item_id": ["a", "b", "a", "c", "d"],
        "timestamp": [MONDAY + DAY * at for at in (0, 1, 0, 2, 3)],
        "device": ["phone", "tv", "phone", "phone", "tv"],
    }
)
USERS = pl.DataFrame(
    {"user_id": [1, 2, 3], "group": ["x", "y", None], "likes": [["p", "q"], [], None], "secret": ["s"] * 3}
)
ITEMS = pl.DataFrame({"item_id": ["a", "b", "c", "d"], "name": ["one", "two", "three", "four"], "price": [1, 2, 3, 4]})
DECLARED: dict[str, Any] = {
    "group": Category(side="user"),
    "likes": Category(side="user", multivalent=True),
    "secret": Category(side="user"),
    "device": Category(side="context"),
    "hour": Cycle(harmonics=1),
    "gap": Recency(powers=False),
    "example_age": Age(powers=False),
    "name": Text(side="item", width=2),
    "price": Number(side="item"),
}
READ = ("group", "likes", "device", "hour", "gap", "example_age", "name")


@dataclass(frozen=True, eq=False)
class ByGroup:
    """Scores by the user's group: item ``g`` for group code ``g``; nothing where there is none."""

    kind: ClassVar[str] = "by_group"
    items: Floats

    @property
    def n_items(self) -> int:
        return len(self.items)

    @property
    def feature_names(self) -> tuple[str, ...]:
        return READ

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        group = queries.features.get("group", np.full(len(queries), ABSENT))
        scores = np.where(np.arange(self.n_items) == group[:, None], 2.0, 1.0)
        out = np.where(group[:, None] == ABSENT, -np.inf, scores).astype(np.float32)
        return out if items is None else np.take_along_axis(out, np.broadcast_to(items, (len(out), items.shape[-1])), 1)


def world() -> tuple[Dataset, Stage]:
    schema = Schema(timestamp="timestamp", time_kind="unix", title="name", context=("device",))
    data = Dataset.from_frames(EVENTS, USERS, ITEMS, schema=schema, features=DECLARED)
    same = np.ones(data.n_items, np.float32)
    return data, first_of(retrieve(ByGroup(same), name="group"), retrieve(StaticScores(same), name="popular"))
