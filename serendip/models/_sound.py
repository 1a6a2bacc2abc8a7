"""Whether what a descent has learned is still of use."""

from __future__ import annotations

from typing import Any

from numpy.typing import NDArray

RUNAWAY = 1e15
"""Sums of products of two such numbers still fit into float32."""


def sound(*tables: NDArray[Any]) -> bool:
    """Whether all numbers are finite, and so small that products of two are, too."""
    return all(bool(table.min(initial=0) > -RUNAWAY and table.max(initial=0) < RUNAWAY) for table in tables)
