"""What is told of an index."""

from __future__ import annotations

import msgspec

from serendip.index.options import Chosen, Options
from serendip.index.tuning import Point


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
