"""Features: what is known of users, items and the moment, as arrays; fitted once and applied alike ever after.

The names are loaded when first used: recipes are described by `declared`, which must not wait for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serendip.data.features.declared import Feature
    from serendip.data.features.fitted import Features
    from serendip.data.features.suggesting import suggest

_HOME = {"Feature": "declared", "Features": "fitted", "suggest": "suggesting"}

__all__ = ["Feature", "Features", "suggest"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'serendip.data.features' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"serendip.data.features.{_HOME[name]}"), name)
    globals()[name] = value
    return value
