"""One small evaluated world for the tests of the report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
import numpy as np
import pytest

from serendip.data.dataset import Dataset
from serendip.data.synthetic import catalogue
from serendip.evaluate import compare, evaluate
from serendip.evaluate.split import Split, global_time
from serendip.types import Floats, Ids, Queries, as_rows

METRICS = ("ndcg@10", "recall@10", "coverage@10", "gini@10", "novelty@10")


@dataclass(frozen=True)
class Counting:
    """Scores items by how many events they have: the simplest scorer there is."""

    n_items: int
    counts: Floats

    def score(self, queries: Queries, items: Ids | None = None) -> Floats:
        assert as_rows(items, len(queries), self.n_items) is None
        return np.tile(self.counts, (len(queries), 1))


@dataclass(frozen=True)
class Judged:
    data: Dataset
    split: Split
    figures: Mapping[str, Any]


@pytest.fixture(scope="session")
def judged() -> Judged:
    """The oracle beside popularity, as ``serendip evaluate`` writes figures."""
    world = catalogue(5, users=300, items=120)
    data = world.dataset()
    split = global_time(data)
    counts = np.bincount(split.train.events.items, minlength=split.train.n_items).astype(np.float32)
    oracle = evaluate(world.oracle(split.train), split, METRICS, name="oracle", threads=1)
    popular = evaluate(Counting(split.train.n_items, counts), split, METRICS, name="popular", threads=1)
    stored = {
        "models": {"oracle": oracle.to_dict(), "popular": popular.to_dict()},
        "comparisons": [msgspec.to_builtins(compare(oracle, popular, "ndcg@10"))],
    }
    return Judged(data, split, msgspec.json.decode(msgspec.json.encode(stored)))
