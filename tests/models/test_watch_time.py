"""Expected watch time where no label names it."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from serendip.data.dataset import Dataset
from serendip.model import find


@pytest.mark.parametrize("weight", ["auto", "weight", "binary"])
def test_weights_that_are_the_time_do_not_count_twice(weight: str) -> None:
    """E[T] of a view of 1 and a purchase of 9 with one item against each is 2.5; weighed once more it would be 4.1."""
    rng = np.random.default_rng(0)
    log = {"user_id": rng.integers(0, 10, 40), "item_id": rng.integers(0, 20, 40), "event_type": ["view", "buy"] * 20}
    data = Dataset.from_frames(pl.DataFrame(log), event_weights={"view": 1.0, "buy": 9.0})
    model: Any = find("watch_time")(negatives=1, weight=weight)
    rows = [
        (labels, 1.0 if step.weights is None else step.weights[at])
        for step in model.batches(data, np.random.default_rng(0))
        for at, labels in enumerate(step.labels[:, :, 0])
    ]
    time = sum(share * labels.sum() for labels, share in rows)
    shown = sum(share * len(labels) for labels, share in rows)
    assert time / shown == pytest.approx(2.5)
