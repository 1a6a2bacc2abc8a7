"""How hard an approximate index must look to find what is asked of it, at any share of allowed items, and how long that
takes. Measured on held-out queries, one at a time, on one thread, against exact search."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.index.chosen import Bits
from serendip.index.engine import Effort, Engine
from serendip.index.exact import Exact
from serendip.types import Floats, Ids, pack_mask

SHARES = (1.0, 0.5, 0.25, 0.125, 0.06, 0.03, 0.015)
"""Shares of allowed items that are tried; each has an effort of its own."""
TIMED = 30
"""Queries that are timed."""


class Point(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was found at one share of allowed items.

    Attributes:
        share: of allowed items.
        effort: the quickest that reaches the recall asked for.
        recall: share of the true k best that was found.
        ms: median time of a query.
        exact_ms: that of exact search among the same items.
    """

    share: float
    effort: dict[str, int]
    recall: float
    ms: float
    exact_ms: float


@dataclass(frozen=True, eq=False)
class Trial:
    """Queries at one share of allowed items, and the truth.

    Attributes:
        vectors: ``[q, d]``.
        bits: of the allowed items, or None.
        truth: ``[q, k]`` their best.
        share: of allowed items.
        seen: recall by effort, so that nothing is tried twice.
    """

    vectors: Floats
    bits: Bits | None
    truth: Ids
    share: float
    seen: dict[tuple[int, ...], float] = field(default_factory=dict)

    def recall(self, engine: Engine, effort: Effort) -> float:
        """The lower of the recalls on the two halves of the queries, so that one of them is no accident."""
        key = tuple(effort.values())
        if key not in self.seen:
            k = self.truth.shape[1]
            found = engine.find(self.vectors, k, effort, self.bits, self.share).items
            hit = per_query(found, self.truth)
            self.seen[key] = min(float(hit[::2].mean()), float(hit[1::2].mean()))
        return self.seen[key]


def per_query(found: Ids, truth: Ids) -> NDArray[np.float64]:
    """``[q]`` share of the truth ``[q, k]`` (-1: none) that was found."""
    base = np.int64(max(int(found.max(initial=0)), int(truth.max(initial=0))) + 2)
    rows = np.arange(len(truth), dtype=np.int64)[:, None] * base
    hit = np.isin(rows + truth, rows + found) & (truth >= 0)
    held = (truth >= 0).sum(axis=1)
    return np.asarray(np.where(held > 0, hit.sum(axis=1) / np.maximum(held, 1), 1.0))


def tune(
    engine: Engine,
    exact: Exact,
    queries: Floats,
    known: NDArray[np.bool_],
    k: int,
    recall: float,
    *,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> list[Point]:
    """For each share of allowed items the quickest effort that reaches the recall; shares at which exact search is as
    quick, or the recall cannot be reached, are left out, and so are those below.

    Args:
        engine: what is tuned.
        exact: over the same vectors.
        queries: ``[q, d]`` held out, without NaN.
        known: ``[n]`` which items can be recommended.
        k: how many items the recall is of.
        recall: what is asked for, between 0 and 1.
        shares: to try, descending.
        seed: of which items are allowed.
    """
    rng, points = np.random.default_rng(seed), list[Point]()
    for share in shares:
        mask = known if share == 1 else known & (rng.random(len(known)) < share)
        if mask.sum() < k:
            break
        bits = None if share == 1 and known.all() else pack_mask(mask)[0]
        allow = None if bits is None else bits[None]
        truth = exact.search(queries, k, None, allow).items
        trial = Trial(queries, bits, truth, float(mask.mean()))
        exact_ms = timed(partial(exact.search, k=k, allow=allow), queries, TIMED // 3)
        point = _quickest(engine, trial, k, recall, exact_ms)
        if point is None or point.ms >= exact_ms:
            break
        points.append(point)
    return points


def timed(work: Callable[[Floats], object], queries: Floats, count: int = TIMED) -> float:
    """Median milliseconds of a query, one at a time; the first is not counted."""
    work(queries[:1])
    taken = []
    for row in range(min(count, len(queries))):
        began = time.perf_counter()
        work(queries[row : row + 1])
        taken.append(time.perf_counter() - began)
    return 1000 * median(taken)


def _reaches(engine: Engine, trial: Trial, recall: float, first: str, rest: Mapping[str, int], value: int) -> bool:
    """Whether so much of the first effort is enough."""
    return trial.recall(engine, {first: value, **rest}) >= recall


def _found(engine: Engine, trial: Trial, k: int, effort: Mapping[str, int], queries: Floats) -> object:
    """A search as it is timed."""
    return engine.find(queries, k, effort, trial.bits, trial.share)


def _quickest(engine: Engine, trial: Trial, k: int, recall: float, exact_ms: float) -> Point | None:
    """Of the efforts that just reach the recall, the one that takes least time."""
    first, values, second, others = engine.ladder(k)
    best: Point | None = None
    for other in others if second else [None]:
        rest: Mapping[str, int] = {} if second is None or other is None else {second: other}
        rung = _lowest(partial(_reaches, engine, trial, recall, first, rest), values)
        if rung is None:
            continue
        effort = {first: rung, **rest}
        ms = timed(partial(_found, engine, trial, k, effort), trial.vectors)
        if best is None or ms < best.ms:
            best = Point(trial.share, effort, trial.recall(engine, effort), ms, exact_ms)
        elif ms > 1.5 * best.ms:
            break
    return best


def _lowest(holds: Callable[[int], bool], values: list[int]) -> int | None:
    """The first of ascending values at which a condition holds that holds from some value on; None if nowhere."""
    if not holds(values[-1]):
        return None
    low, high = 0, len(values) - 1
    while low < high:
        middle = (low + high) // 2
        if holds(values[middle]):
            high = middle
        else:
            low = middle + 1
    return values[low]
