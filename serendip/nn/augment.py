"""Other histories that say much the same: parts cut out, hidden or put in another order. NumPy only.

Histories are ``[b, t]`` codes, `ABSENT` where there is none; what comes out is padded on the left.

Source: X. Xie et al., "Contrastive learning for sequential recommendation", ICDE 2022.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from serendip.types import ABSENT

Codes = NDArray[np.integer[Any]]


def crop(codes: Codes, share: float, rng: np.random.Generator) -> Codes:
    """Keep a run of ``⌊share · n⌋`` of the n events of each history, at least one; where it starts is drawn.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    moved, place, count = _placed(codes)
    start, kept = _run(count, np.maximum(_part(share, count), np.minimum(count, 1)), rng)
    return left_padded(np.where((place >= start) & (place < start + kept), moved, ABSENT))


def mask(codes: Codes, share: float, token: int, rng: np.random.Generator, at_least: int = 0) -> Codes:
    """Put ``token`` in place of ``⌊share · n⌋`` of the n events of each history, which are drawn.

    Args:
        codes: histories.
        share: above 0, at most 1.
        token: a code, or `ABSENT` to leave the events out, and the histories shorter.
        rng: where chance comes from.
        at_least: how many to hide in a history that has so many.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    moved, place, count = _placed(codes)
    drawn = np.where(place >= 0, rng.random(moved.shape), 2.0)
    rank = np.argsort(np.argsort(drawn, axis=1), axis=1)
    hidden = np.maximum(_part(share, count), np.minimum(count, at_least))
    return left_padded(np.where((place >= 0) & (rank < hidden), moved.dtype.type(token), moved))


def reorder(codes: Codes, share: float, rng: np.random.Generator) -> Codes:
    """Put a run of ``⌊share · n⌋`` of the n events of each history in any order; where it starts is drawn.

    Raises:
        ValueError: the share is not above 0 and at most 1.
    """
    moved, place, count = _placed(codes)
    start, length = _run(count, _part(share, count), rng)
    within = (place >= start) & (place < start + length)
    keys = np.where(within, start + rng.random(moved.shape) * length, place)
    return np.take_along_axis(moved, np.argsort(keys, axis=1, kind="stable"), axis=1)


def left_padded(codes: Codes) -> Codes:
    """The same histories with all `ABSENT` on the left, events in their order."""
    return np.take_along_axis(codes, np.argsort(codes != ABSENT, axis=1, kind="stable"), axis=1)


def right_padded(codes: Codes) -> Codes:
    """The same histories with all `ABSENT` on the right, which spares encoders the moving of vectors."""
    return np.take_along_axis(codes, np.argsort(codes == ABSENT, axis=1, kind="stable"), axis=1)


def _placed(codes: Codes) -> tuple[Codes, NDArray[np.int64], NDArray[np.int64]]:
    """Histories padded on the left, the place of each event (below 0: none), and how many there are ``[b, 1]``."""
    moved = left_padded(codes)
    count = (moved != ABSENT).sum(axis=1, keepdims=True)
    return moved, np.arange(moved.shape[1]) - moved.shape[1] + count, count


def _part(share: float, count: NDArray[np.int64]) -> NDArray[np.int64]:
    if not 0 < share <= 1:
        raise ValueError(f"The share of a history must be above 0 and at most 1. Got {share} instead.")
    part: NDArray[np.int64] = np.floor(share * count + 1e-9).astype(np.int64)
    return part


def _run(
    count: NDArray[np.int64], length: NDArray[np.int64], rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where runs of these lengths start, and the lengths."""
    return rng.integers(0, count - length + 1), length
