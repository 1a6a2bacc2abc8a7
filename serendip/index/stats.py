"""What is told of an index."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from serendip.index.tuning import Point

Backend = Literal["auto", "exact", "exact_int8", "faiss_ivf", "faiss_hnsw", "scann"]
Chosen = Literal["exact", "exact_int8", "faiss_ivf", "faiss_hnsw", "scann"]


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is asked of an index."""

    backend: Annotated[
        Backend,
        Meta(
            description="What searches the vectors of items: exact (every item is looked at), exact_int8 (the same "
            "lists from a quarter of the memory traffic, compiled), faiss_ivf, faiss_hnsw or scann (approximate; "
            "pip install 'serendip[index]'), or auto: by the size of the catalogue and what is installed."
        ),
    ] = "auto"
    recall: Annotated[
        float,
        Meta(
            gt=0, le=1, description="Share of the true k best that an approximate index must find on held-out queries."
        ),
    ] = 0.95
    k: Annotated[int, Meta(ge=1, le=1000, description="Length of the lists that the recall is of.")] = 100


class Stats(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an index is, and how it did on held-out queries when it was built.

    Attributes:
        backend: what was chosen.
        asked: what was asked for.
        items, dimensions: of the vectors.
        recall: share of the true k best that is found; 1 for exact search.
        ms: median time of a query on one thread, on the machine that built it.
        exact_ms: that of exact search.
        build_seconds: how long building and tuning took.
        bytes: of the index, without the vectors.
        note: why another backend than the one asked for was chosen, or "".
        curve: effort by share of allowed items; empty for exact search.
    """

    backend: Chosen
    asked: Options
    items: int
    dimensions: int
    recall: float
    ms: float
    exact_ms: float
    build_seconds: float
    bytes: int
    note: str = ""
    curve: tuple[Point, ...] = ()
