"""What a user's events with one item amount to: the option that the models share."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import numpy as np
from scipy.sparse import csr_array

from serendip.data.dataset import Dataset
from serendip.scorers import Counts
from serendip.scorers.common import saturated

Weight = Annotated[
    Literal["auto", "binary", "count", "weight"],
    msgspec.Meta(
        description="What a user's events with one item amount to: binary (1), count (how many), weight (the sum of "
        "their weights), or auto (weight where the log's weights differ, else binary)."
    ),
]

Weighting = Annotated[
    Literal["none", "tfidf", "bm25"],
    msgspec.Meta(description="How users tell items apart: none (as they are), tfidf, or bm25 (k₁ 1.2, b 0.75)."),
]


def counts_of(data: Dataset, weight: Literal["auto", "binary", "count", "weight"]) -> Counts:
    """What ``auto`` means for these data; anything else stays as it is."""
    if weight == "auto":
        return "weight" if data.weighted else "binary"
    return weight


def matrix_of(data: Dataset, counts: Counts) -> csr_array:
    """Users × items, float32, holding the counts; pairs without interest are left out."""
    return data.matrix(None if counts == "binary" else counts)


def weighted(matrix: csr_array, weighting: Literal["none", "tfidf", "bm25"]) -> csr_array:
    """Users × items with items as documents and users as their words: ``x_ui = tf_ui · idf_u``.

    ``idf_u = ln(1 + items / items of u)``; tf is the value itself, or for bm25 ``(k₁ + 1) x / (k₁ (1 − b + b ‖i‖₁ /
    mean ‖·‖₁) + x)``, which no number of events lifts above ``k₁ + 1``.
    """
    if weighting == "none" or matrix.nnz == 0:
        return matrix
    sizes = np.diff(matrix.indptr)
    length = np.bincount(matrix.indices, matrix.data, matrix.shape[1])
    idf = np.log1p(np.count_nonzero(length) / np.maximum(sizes, 1))
    tf = matrix.data.astype(np.float64)
    if weighting == "bm25":
        tf = saturated(tf, (length / length[length > 0].mean())[matrix.indices])
    values = (tf * np.repeat(idf, sizes)).astype(np.float32)
    return csr_array((values, matrix.indices, matrix.indptr), shape=matrix.shape)
