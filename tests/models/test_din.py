"""One event of a history decides, another for each item: a mean of the history in few dimensions cannot tell which."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.model import Run, find
from serendip.types import ABSENT, Ids, Queries

GROUPS = 6
Codes = NDArray[np.int64]


def made(users: int, seed: int) -> tuple[Codes, Codes, NDArray[np.bool_]]:
    """Histories of a good or a bad item of each group, in any order; the item asked about; and whether that of its
    group was the good one."""
    rng = np.random.default_rng(seed)
    good, group = rng.integers(0, 2, (users, GROUPS)), rng.integers(0, GROUPS, users)
    had = rng.permuted(2 * np.arange(GROUPS) + good, axis=1)
    return had, 2 * GROUPS + group, good[np.arange(users), group] == 1


def taught(users: int) -> Dataset:
    had, asked, fits = made(users, 0)
    events = pl.DataFrame(
        {
            "user_id": np.repeat(np.arange(users), GROUPS + 1),
            "item_id": np.column_stack([had, asked]).ravel(),
            "timestamp": np.tile(1_700_000_000 + 60 * np.arange(GROUPS + 1), users),
            "fits": np.column_stack([np.full((users, GROUPS), np.nan), fits]).ravel(),
        },
        nan_to_null=True,
    )
    return Dataset.from_frames(events, columns={"timestamp": "timestamp"}, labels={"fits": "binary"})


def test_the_item_finds_the_one_event_that_decides() -> None:
    data = taught(1500)
    had, asked, fits = made(300, 1)

    def codes(ids: Codes) -> Ids:
        return np.asarray(data.item_ids.encode(pl.Series(ids.ravel())).reshape(ids.shape), np.int32)

    queries = Queries(np.full(len(had), ABSENT, np.int32), codes(had))

    def area(name: str, **options: Any) -> float:
        few: dict[str, Any] = {"factors": 2, "hidden": 16, "epochs": 25, "batch_size": 64, "learning_rate": 0.02}
        model = find(name)(label="fits", length=GROUPS, **few, **options)
        scores = model.fit(data, Run(threads=1)).lower().score(queries, codes(asked)[:, None])[:, 0]
        return float((scores[fits][:, None] > scores[~fits]).mean())

    assert area("din") > 0.97
    assert area("deepfm") < 0.95
