"""What a user's events with one item amount to: the option that the models share."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.scorers import Counts

Weight = Annotated[
    Literal["auto", "binary", "count", "weight"],
    msgspec.Meta(
        description="What a user's events with one item amount to: binary (1), count (how many), weight (the sum of "
        "their weights), or auto (weight where the log's weights differ, else binary)."
    ),
]


def counts_of(data: Dataset, weight: Literal["auto", "binary", "count", "weight"]) -> Counts:
    """What ``auto`` means for these data; anything else stays as it is."""
    if weight == "auto":
        return "weight" if data.weighted else "binary"
    return weight


def matrix_of(data: Dataset, counts: Counts) -> csr_array:
    """Users × items, float32, holding the counts; pairs without interest are left out."""
    return data.matrix(None if counts == "binary" else counts)
