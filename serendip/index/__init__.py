"""Finding the vectors with the highest inner product, exactly or nearly so, among those that are allowed.

`build` makes a `VectorIndex`; `Exact` is exact search alone. Libraries for approximate search are optional
(``serendip[index]``) and imported when they are needed. The names are loaded when first used: recipes are described by
`options`, which must not wait for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serendip.index.building import build, unpack
    from serendip.index.exact import Exact
    from serendip.index.files import load, save
    from serendip.index.index import VectorIndex
    from serendip.index.options import Options
    from serendip.index.stats import Stats

_HOME = {
    "Exact": "exact",
    "Options": "options",
    "Stats": "stats",
    "VectorIndex": "index",
    "build": "building",
    "load": "files",
    "save": "files",
    "unpack": "building",
}

__all__ = ["Exact", "Options", "Stats", "VectorIndex", "build", "load", "save", "unpack"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'serendip.index' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"serendip.index.{_HOME[name]}"), name)
    globals()[name] = value
    return value
