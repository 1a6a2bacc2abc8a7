"""Lists in another order: for diversity, by rules, or by chance.

A re-ranker is named with its options (`Mmr`, `Dpp`, `Cap`, `Boost`, `Pin`, `Calibrate`, `Popularity`, `Repeat`,
`Explore`), which are plain values and all that a bundle stores. `bind` joins them to what is known of the items, a
`Shelf`, which gives a function of queries and lists. It works on a whole batch, decides the first ``queries.k`` places,
leaves what stands behind in its order, and keeps every column. The names are loaded when first used: recipes are
described by `options`, which must not wait for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serendip.rerank.binding import Step, bind, checked
    from serendip.rerank.options import (
        KINDS,
        Boost,
        Calibrate,
        Cap,
        Dpp,
        Explore,
        Mmr,
        Options,
        Pin,
        Popularity,
        Repeat,
        Reranker,
    )
    from serendip.rerank.pin import PINNED
    from serendip.rerank.shelf import Shelf

_OPTIONS = ("KINDS", "Boost", "Calibrate", "Cap", "Dpp", "Explore", "Mmr", "Options", "Pin", "Popularity", "Repeat")
_HOME = {
    **dict.fromkeys((*_OPTIONS, "Reranker"), "options"),
    **dict.fromkeys(("Step", "bind", "checked"), "binding"),
    "PINNED": "pin",
    "Shelf": "shelf",
}

__all__ = [
    "KINDS",
    "PINNED",
    "Boost",
    "Calibrate",
    "Cap",
    "Dpp",
    "Explore",
    "Mmr",
    "Options",
    "Pin",
    "Popularity",
    "Repeat",
    "Reranker",
    "Shelf",
    "Step",
    "bind",
    "checked",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'serendip.rerank' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"serendip.rerank.{_HOME[name]}"), name)
    globals()[name] = value
    return value
