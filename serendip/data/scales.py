"""What a score says of a label, by what the label measures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from serendip.data.schema import LabelKind

LARGEST_LOG = 80.0
"""Logarithms of counts and durations are cut there: e⁸⁰ is what float32 still holds."""


def on_scale(kind: LabelKind, scores: NDArray[Any]) -> NDArray[np.float64]:
    """What scores of a model that learned a label of this kind say of it: the probability, the count expected, the
    rating, or the duration. ``-inf`` stays."""
    s = np.asarray(scores, np.float64)
    values = s
    if kind == "binary":
        values = np.exp(-np.logaddexp(0, -s))
    elif kind == "count":
        values = np.exp(np.minimum(s, LARGEST_LOG))
    elif kind == "duration":
        values = np.maximum(np.expm1(np.minimum(s, LARGEST_LOG)), 0)
    return np.where(np.isneginf(s), -np.inf, values)


__all__ = ["on_scale"]
