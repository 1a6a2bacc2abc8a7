"""DeepFM learns what a factorisation machine cannot: three fields that say nothing two by two."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from serendip.data.dataset import Dataset
from serendip.data.features.declared import Category
from serendip.model import Run, find
from serendip.types import Queries


def test_layers_learn_what_only_three_fields_together_say() -> None:
    rng = np.random.default_rng(0)
    user, item, moment = (rng.integers(0, size, 1500) for size in (20, 20, 2))
    label = (user + item + moment) % 2
    log = pl.DataFrame({"user_id": user, "item_id": item, "moment": moment.astype(str), "liked": label})
    data = Dataset.from_frames(
        log.unique(["user_id", "item_id", "moment"], maintain_order=True),
        pl.DataFrame({"user_id": range(20), "side": [str(code % 2) for code in range(20)]}),
        labels={"liked": "binary"},
        features={"side": Category(side="user"), "moment": Category(side="context")},
    )
    assert data.features is not None
    events = data.events
    sides = {name: values[events.users] for name, values in data.features.users(data.users).items()}
    features = {**sides, **data.features.examples(data)}
    asked = Queries(events.users, np.empty((len(events), 0), np.int32), features=features)

    def right(name: str, **options: Any) -> float:
        model = find(name)(factors=8, epochs=40, batch_size=128, learning_rate=0.01, label="liked", length=0, **options)
        found = model.fit(data, Run(threads=1)).lower().score(asked, events.items[:, None])[:, 0]
        return float(((found > 0) == (events.labels["liked"] > 0.5)).mean())

    assert right("deepfm", hidden=32) > 0.95
    assert right("fm") < 0.75
