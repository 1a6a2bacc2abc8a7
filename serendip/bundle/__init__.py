"""The bundle: the one artefact that is evaluated, served and rolled back. A directory; see ``docs/bundle.md``.

The names are loaded when first used: the command line is described by `options`, which must not wait for the rest.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from serendip.bundle.ask import Answer
    from serendip.bundle.bundle import Bundle
    from serendip.bundle.errors import BundleError
    from serendip.bundle.manifest import Manifest

_HOME = {"Answer": "ask", "Bundle": "bundle", "BundleError": "errors", "Manifest": "manifest"}

__all__ = ["Answer", "Bundle", "BundleError", "Manifest"]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'serendip.bundle' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"serendip.bundle.{_HOME[name]}"), name)
    globals()[name] = value
    return value
