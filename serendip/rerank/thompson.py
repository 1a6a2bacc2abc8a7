"""Thompson sampling: the list by scores that are drawn, each about its own with the deviation that the model gives.

Source: W. R. Thompson, "On the likelihood that one unknown probability exceeds another in view of the evidence of two
samples", Biometrika 1933; of lists, as in O. Chapelle and L. Li, "An empirical evaluation of Thompson sampling",
NeurIPS 2011.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.rerank.chance import normal
from serendip.rerank.lists import Doubles, Mask, Places
from serendip.types import ABSENT, Floats, Ids, Queries, Uncertain

BLOCK = 1 << 20
"""How many numbers are drawn at a time."""


def deviations(scorer: Uncertain, queries: Queries, items: Ids) -> Doubles:
    """``[q, c]`` the deviation of each score over the span of the scores of its list, which is 1 of relevance.

    What the model cannot score is as uncertain as the most uncertain item of its list; a list of which it can score
    nothing is certain.
    """
    scores: Floats = scorer.score(queries, items)  # type: ignore[attr-defined]
    held = np.isfinite(scores) & (items != ABSENT)
    low = np.where(held, scores, np.inf).min(axis=1, initial=np.inf)
    high = np.where(held, scores, -np.inf).max(axis=1, initial=-np.inf)
    some = high > low
    span = np.where(some, np.where(some, high, 1) - np.where(some, low, 0), 1)
    found = np.where(held, scorer.deviation(queries, items), np.nan).astype(np.float64) / span[:, None]
    most = np.nan_to_num(found).max(axis=1, initial=0.0, keepdims=True)
    return np.where(np.isfinite(found), found, most)


def drawn(
    seeds: NDArray[np.uint64], held: Mask, worth: Doubles, deviation: Doubles, k: int, start: int = 0, times: int = 1
) -> Places:
    """``[times, q, k]`` which of a list's items stands at each place; `ABSENT` where there is none.

    Args:
        seeds: ``[q]``.
        held: ``[q, c]`` where there is an item.
        worth, deviation: ``[q, c]`` of its score.
        k: places.
        start: how many lists were drawn from these seeds before.
        times: how many lists are drawn.
    """
    q, c = worth.shape
    noise = normal(seeds, start * c, times * c).reshape(q, times, c).swapaxes(0, 1)
    value = np.where(held, worth + deviation * noise, -np.inf)
    order = np.argsort(-value, axis=2, kind="stable")[:, :, :k]
    return np.where(np.arange(order.shape[2]) < held.sum(axis=1)[:, None], order, ABSENT)


def likely(
    chosen: Places, seeds: NDArray[np.uint64], held: Mask, worth: Doubles, deviation: Doubles, draws: int
) -> Doubles:
    """``[q, k]`` how likely each item was at its place: its share of so many further lists and the one shown, which is
    never 0. NaN for `ABSENT`."""
    hits = np.ones(chosen.shape)
    step = max(1, BLOCK // max(worth.size, 1))
    for start in range(0, draws, step):
        times = min(step, draws - start)
        others = drawn(seeds, held, worth, deviation, chosen.shape[1], start + 1, times)
        hits += (others == chosen).sum(axis=0)
    return np.where(chosen == ABSENT, np.nan, hits / (1 + draws))


__all__ = ["deviations", "drawn", "likely"]
