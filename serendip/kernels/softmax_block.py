"""The softmax of a block of queries over all candidates, with its gradients, compiled.

Chunk by chunk the logits are made, turned into powers of two relative to a mark that each query has, and multiplied
with the candidates, while they are in the first-level cache. Then, with the sums known, the powers are read once more
for the gradients of the candidates. A mark moves only if a logit exceeds it by `_SLACK`: sums may be that much larger
without harm, and what was made by an old mark need seldom be made again (M. Milakov and N. Gimelshein, "Online
normalizer calculation for softmax", 2018).

Logits have base 2 here: those of the definition times log₂ e.

Bound: as of `softmax`; ``4·k`` bytes a query are written and read once, from the second-level cache where they fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.best import add, keep, key_of, score_of
from serendip.kernels.jit import compiled
from serendip.kernels.softmax_tile import (
    CANDIDATES,
    FLAT,
    QUERIES,
    TALL,
    WIDTHS,
    add_half,
    add_tall,
    add_thin,
    add_wide,
    highest,
    logits,
    powers,
)

_SLACK = np.float32(32)
_NONE, _HIGHEST = np.float32(-np.inf), np.float32(np.inf)
_WIDE, _HALF, _THIN = WIDTHS


@compiled
def part(
    queries: Any, candidates: Any, bias: Any, positives: Any, weights: Any, order: Any, lows: Any, highs: Any,
    mask: Any, hard: int, scale: Any, first: int, last: int, to_queries: Any, to_candidates: Any,
) -> float:  # fmt: skip
    """The weighted sum of the losses of the queries ``first … last-1``, in base 2; their gradients are written.

    Args:
        queries: ``[b, h, d]``, d a multiple of the lanes of a vector and of `TALL`.
        candidates: ``[k, d]``, k a multiple of `CANDIDATES`.
        bias: ``[k]`` added to the logits, ``-inf`` for a candidate that is none.
        positives: ``[b]`` candidates, or `ABSENT`: only the sum over the candidates counts.
        weights: ``[b]``.
        order, lows, highs: ``order[lows[q]:highs[q]]`` ascend and do not count for query q, unless its positive.
        mask: ``[b, k']`` bool, what does count; none at all: everything does.
        hard: how many candidates besides the positive count, those with the highest logits; below 0: all.
        scale: of the logits in base 2; and of those of the definition.
        to_queries: ``[b, h, d]`` out.
        to_candidates: ``[k, d]`` out.
    """
    _, h, d = queries.shape
    k = len(candidates)
    rows = candidates.reshape(-1)
    turned, turned_gradient = np.empty(h * d * QUERIES, np.float32), np.empty(h * d * QUERIES, np.float32)
    values = np.empty(k * QUERIES, np.float32)
    winners = np.zeros(k * QUERIES if h > 1 else 0, np.uint8)
    other = np.empty(CANDIDATES * QUERIES, np.float32)
    marks = np.empty(k // CANDIDATES * QUERIES, np.float32)
    high, total = np.empty(QUERIES, np.float32), np.empty(QUERIES, np.float32)
    own, best = np.empty(QUERIES, np.float32), np.empty(QUERIES, np.int64)
    scaled, moved = np.empty((h, QUERIES * d), np.float32), np.empty(QUERIES * d, np.float32)
    to_candidates[:] = 0  # by the thread that adds to it, into whose cache it goes
    loss = 0.0
    for start in range(first, last, QUERIES):
        stop = min(start + QUERIES, last)
        count = stop - start
        _turn(queries[start:stop], scale[0], turned)
        _positive(queries[start:stop], candidates, bias, positives[start:stop], scale[0], own, best)
        hidden = (order, lows[start:stop].copy(), highs[start:stop], mask[start:stop], positives[start:stop])
        if hard >= 0:
            for at in range(0, k, CANDIDATES):
                _logits(rows, at, turned, bias, values, winners, other, h, d)
                _hide(values, at, hidden)
            _mine(values, k, positives[start:stop], hard)
        for lane in range(QUERIES):
            high[lane], total[lane] = own[lane] if lane < count else np.float32(0), 0
        turned_gradient[:] = 0
        for at in range(0, k, CANDIDATES):
            if hard < 0:
                _logits(rows, at, turned, bias, values, winners, other, h, d)
                _hide(values, at, hidden)
            _mark(values, at, high, total, turned_gradient, marks)
            powers(values, at * QUERIES, CANDIDATES, marks, at // CANDIDATES * QUERIES, total)
            _pull(rows, at, values, winners, other, turned_gradient, h, d)
        loss += _losses(high, total, own, positives[start:stop], weights[start:stop])
        _finish(
            queries[start:stop], candidates, positives[start:stop], best, weights[start:stop], total, scale[1],
            turned_gradient, to_queries[start:stop], scaled, to_candidates,
        )  # fmt: skip
        _share(values, winners, other, marks, high, scaled, moved, to_candidates.reshape(-1), k, h, d)
    return loss


@compiled
def add_up(shares: Any, start: int, stop: int) -> None:
    """Add the other rows of ``shares`` to the first, from one column to another."""
    first = shares[0, start:stop]
    for at in range(1, len(shares)):
        first += shares[at, start:stop]


@compiled
def _turn(queries: Any, scale: Any, turned: Any) -> None:
    """Write the queries as columns, 0 where there are none."""
    count, h, d = queries.shape
    turned[:] = 0
    for head in range(h):
        for column in range(d):
            start = (head * d + column) * QUERIES
            for lane in range(count):
                turned[start + lane] = queries[lane, head, column] * scale


@compiled
def _positive(queries: Any, candidates: Any, bias: Any, positives: Any, scale: Any, own: Any, best: Any) -> None:
    """The logit of each query's positive, and which head makes it."""
    count, h, d = queries.shape
    for lane in range(count):
        own[lane], best[lane] = _NONE, 0
        positive = positives[lane]
        if positive < 0:
            continue
        for head in range(h):
            found = np.float32(0)
            for column in range(d):
                found += queries[lane, head, column] * candidates[positive, column]
            found = found * scale + bias[positive]
            if found > own[lane] or head == 0 or found != found:
                own[lane], best[lane] = found, head


@compiled
def _logits(
    rows: Any, at: int, turned: Any, bias: Any, values: Any, winners: Any, other: Any, h: int, d: int
) -> None:  # fmt: skip
    """The logits of a chunk: of the head that has the highest, which is written down where there are several."""
    begin, size = at * QUERIES, CANDIDATES * QUERIES
    for row in range(0, CANDIDATES, TALL):
        logits(rows, (at + row) * d, turned, 0, bias, at + row, values, begin + row * QUERIES, d)
    if h > 1:
        winners[begin : begin + size] = 0
    for head in range(1, h):
        for row in range(0, CANDIDATES, TALL):
            logits(rows, (at + row) * d, turned, head * d * QUERIES, bias, at + row, other, row * QUERIES, d)
        _highest_of(other, head, values[begin : begin + size], winners[begin : begin + size])


@compiled
def _highest_of(other: Any, head: int, values: Any, winners: Any) -> None:
    """Where another head's logits are higher they take the place of what was highest."""
    number = np.uint8(head)
    for place in range(len(values)):
        value, before = other[place], values[place]
        higher = value > before or value != value  # what is not a number stays so
        winners[place] = number if higher else winners[place]
        values[place] = value if higher else before


@compiled
def _hide(values: Any, at: int, hidden: Any) -> None:
    """Set what must not count to -inf, in a chunk; chunks come in order."""
    order, following, highs, mask, positives = hidden
    for lane in range(len(positives)):
        place = following[lane]
        while place < highs[lane] and order[place] < at + CANDIDATES:
            if order[place] != positives[lane]:
                values[order[place] * QUERIES + lane] = _NONE
            place += 1
        following[lane] = place
    if mask.shape[1] > 0:
        for lane in range(len(positives)):
            for place in range(at, min(at + CANDIDATES, mask.shape[1])):
                if not mask[lane, place] and place != positives[lane]:
                    values[place * QUERIES + lane] = _NONE


@compiled
def _mine(values: Any, k: int, positives: Any, hard: int) -> None:
    """Set all but the positive and the ``hard`` highest others of a query to -inf; ties go to the lower candidate."""
    if hard >= k:
        return
    lanes = len(positives)
    keys = np.empty((lanes, max(2 * hard, 32)), np.uint64)
    counts, marks = np.zeros(lanes, np.int64), np.zeros(lanes, np.uint64)
    least = np.full(lanes, _NONE if hard > 0 else _HIGHEST, np.float32)
    for place in range(k):
        for lane in range(lanes):
            value = values[place * QUERIES + lane]
            if value > least[lane] and place != positives[lane]:  # an equal one comes too late
                counts[lane], mark = add(keys[lane], counts[lane], hard, key_of(value, place), marks[lane])
                if mark != marks[lane]:
                    marks[lane], least[lane] = mark, score_of(mark)
    for lane in range(lanes):
        if counts[lane] > hard:
            marks[lane] = keep(keys[lane], counts[lane], hard)
            least[lane] = score_of(marks[lane])
    for place in range(k):
        for lane in range(lanes):
            at = place * QUERIES + lane
            value = values[at]
            below = value < least[lane] or (value == least[lane] and key_of(value, place) < marks[lane])
            if (below or hard == 0) and place != positives[lane]:
                values[at] = _NONE


@compiled
def _mark(values: Any, at: int, high: Any, total: Any, turned_gradient: Any, marks: Any) -> None:
    """Write the marks of a chunk. One that moves takes what was added up so far along."""
    start = at // CANDIDATES * QUERIES
    most = marks[start : start + QUERIES]
    highest(values, at * QUERIES, CANDIDATES, most)
    for lane in range(QUERIES):
        if most[lane] > high[lane] + _SLACK or (high[lane] == _NONE and most[lane] > _NONE):
            factor = np.exp2(high[lane] - most[lane])
            total[lane] *= factor
            for place in range(lane, len(turned_gradient), QUERIES):
                turned_gradient[place] *= factor
            high[lane] = most[lane]
        most[lane] = high[lane] if high[lane] > _NONE else np.float32(0)


@compiled
def _pull(rows: Any, at: int, values: Any, winners: Any, other: Any, turned_gradient: Any, h: int, d: int) -> None:
    """Add a chunk's candidates, times their powers, to the gradients of the queries."""
    for head in range(h):
        chosen, begin = _of_head(values, at * QUERIES, winners, head, other)
        for column in range(0, d, TALL):
            to = (head * d + column) * QUERIES
            add_tall(rows, at * d + column, d, 1, chosen, begin, QUERIES, turned_gradient, to, QUERIES, CANDIDATES)


@compiled
def _losses(high: Any, total: Any, own: Any, positives: Any, weights: Any) -> float:
    """The weighted sum of a block's losses."""
    found = 0.0
    for lane in range(len(positives)):
        loss = np.float64(high[lane]) + np.log2(np.float64(total[lane]))
        if positives[lane] >= 0:
            loss -= np.float64(own[lane])
        found += weights[lane] * loss
    return found


@compiled
def _of_head(values: Any, begin: int, winners: Any, head: int, other: Any) -> Any:
    """A chunk's powers that a head made, 0 elsewhere: an array, and where they begin."""
    if len(winners) == 0:
        return values, begin
    size = CANDIDATES * QUERIES
    _only(values[begin : begin + size], winners[begin : begin + size], np.uint8(head), other)
    return other, 0


@compiled
def _only(values: Any, winners: Any, head: Any, other: Any) -> None:
    for place in range(len(values)):
        other[place] = values[place] if winners[place] == head else np.float32(0)


@compiled
def _finish(
    queries: Any, candidates: Any, positives: Any, best: Any, weights: Any, total: Any, unit: Any,
    turned_gradient: Any, to_queries: Any, scaled: Any, to_candidates: Any,
) -> None:  # fmt: skip
    """The queries' gradients; the queries over their sums; and what the positives add to the candidates' gradients."""
    count, h, d = queries.shape
    scaled[:] = 0
    for lane in range(count):
        weight = weights[lane] * unit
        share = weight / total[lane]
        for head in range(h):
            for column in range(d):
                to_queries[lane, head, column] = turned_gradient[(head * d + column) * QUERIES + lane] * share
                scaled[head, lane * d + column] = queries[lane, head, column] * share
        positive, head = positives[lane], best[lane]
        if positive >= 0:
            for column in range(d):
                to_queries[lane, head, column] -= weight * candidates[positive, column]
                to_candidates[positive, column] -= weight * queries[lane, head, column]


@compiled
def _share(
    values: Any, winners: Any, other: Any, marks: Any, high: Any, scaled: Any, moved: Any, out: Any, k: int, h: int,
    d: int,
) -> None:  # fmt: skip
    """Add the gradients of the candidates."""
    for at in range(0, k, CANDIDATES):
        start = at // CANDIDATES * QUERIES
        same = True
        for lane in range(QUERIES):
            same &= marks[start + lane] == high[lane]
        for head in range(h):
            right = scaled[head]
            if not same:
                right = moved
                for lane in range(QUERIES):
                    factor = np.exp2(marks[start + lane] - high[lane])
                    for column in range(lane * d, lane * d + d):
                        moved[column] = scaled[head, column] * factor
            left, begin = _of_head(values, at * QUERIES, winners, head, other)
            for row in range(0, CANDIDATES, FLAT):
                column, from_, to = 0, begin + row * QUERIES, (at + row) * d
                while column + _WIDE <= d:
                    add_wide(left, from_, 1, QUERIES, right, column, d, out, to + column, d, QUERIES)
                    column += _WIDE
                while column + _HALF <= d:
                    add_half(left, from_, 1, QUERIES, right, column, d, out, to + column, d, QUERIES)
                    column += _HALF
                while column < d:
                    add_thin(left, from_, 1, QUERIES, right, column, d, out, to + column, d, QUERIES)
                    column += _THIN
