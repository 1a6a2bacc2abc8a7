"""Serendip: from an event log to recommendations people are glad of.

The names below are loaded when first used, so that ``import serendip`` costs next to nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serendip.bundle import Bundle
    from serendip.data.dataset import Dataset
    from serendip.data.schema import Schema
    from serendip.model import Config, Model, Run, find, names
    from serendip.pipeline import chain, first_of, retrieve
    from serendip.recipe import Recipe, fit, run_recipe
    from serendip.types import ABSENT, Queries, Recs, Scorer, SerendipError, Stage, Truth

    __version__: str
    load = Bundle.load

_HOME = {
    "ABSENT": "types",
    "Bundle": "bundle",
    "Config": "model",
    "Dataset": "data.dataset",
    "Model": "model",
    "Queries": "types",
    "Recipe": "recipe",
    "Recs": "types",
    "Run": "model",
    "Schema": "data.schema",
    "Scorer": "types",
    "SerendipError": "types",
    "Stage": "types",
    "Truth": "types",
    "chain": "pipeline",
    "find": "model",
    "first_of": "pipeline",
    "fit": "recipe",
    "load": "bundle",
    "names": "model",
    "retrieve": "pipeline",
    "run_recipe": "recipe",
}

__all__ = [
    "ABSENT",
    "Bundle",
    "Config",
    "Dataset",
    "Model",
    "Queries",
    "Recipe",
    "Recs",
    "Run",
    "Schema",
    "Scorer",
    "SerendipError",
    "Stage",
    "Truth",
    "__version__",
    "chain",
    "find",
    "first_of",
    "fit",
    "load",
    "names",
    "retrieve",
    "run_recipe",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import PackageNotFoundError, version

        try:
            value: Any = version("serendip")
        except PackageNotFoundError:  # imported from a checkout that is not installed
            value = "0+unknown"
    elif name in _HOME:
        home = importlib.import_module(f"serendip.{_HOME[name]}")
        value = home.Bundle.load if name == "load" else getattr(home, name)
    else:
        raise AttributeError(f"module 'serendip' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
