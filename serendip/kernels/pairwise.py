"""Steps of stochastic gradient descent on pairs of an item that a user took up and one that they did not, compiled.

A part (see `strata`) is learned from event by event, each step seeing what the step before has changed. The item not
taken up is drawn from the part's item block, never one that the user has.

Bound: the rows of a user and two items are read and written per event, ``24 d`` bytes (twice that with the sums of
Adagrad), from the second-level cache where the blocks fit; `warp` reads one more row per further draw.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.jit import compiled, summed

TRIES = 16
"""How often an item is drawn for an event before it is left out because the user has all that were drawn."""


@compiled
def deal(
    starts: Any, columns: Any, place: Any, block_of: Any, first: int, last: int, users: Any, items: Any, bounds: Any
) -> None:
    """Sort the events of the users ``first … last-1`` by item block, users together, and write where blocks begin.

    Args:
        starts, columns: the matrix.
        place: ``[n]`` where the row of each column is now.
        block_of: ``[n]`` the block of each place.
        first, last: the users.
        users, items: ``[m]`` out: user and place of the events.
        bounds: ``[B + 1]`` out.
    """
    bounds[:] = 0
    for column in columns[starts[first] : starts[last]]:
        bounds[block_of[place[column]] + 1] += 1
    bounds[0] = starts[first]
    for block in range(1, len(bounds)):
        bounds[block] += bounds[block - 1]
    following = bounds.copy()
    for user in range(first, last):
        for column in columns[starts[user] : starts[user + 1]]:
            at = place[column]
            block = block_of[at]
            users[following[block]] = user
            items[following[block]] = at
            following[block] += 1


@compiled
def _mixed(state: Any) -> Any:
    """Evenly spread bits of a counter (C. Steele, D. Lea, C. Flood, "Fast splittable pseudorandom number generators",
    OOPSLA 2014)."""
    bits = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))


@compiled
def drawn(state: Any, count: int) -> Any:
    """A number in ``0 … count-1``; count is below 2³²."""
    return np.int64(((_mixed(state) >> np.uint64(32)) * np.uint64(count)) >> np.uint64(32))


STEP = np.uint64(0x9E3779B97F4A7C15)
"""What a counter for `drawn` grows by."""


@compiled
def _draw(state: Any, popular: bool, items: Any, first: int, last: int, low: int, high: int) -> Any:
    """An item of the block: each alike, or as often as it occurs in the part."""
    return items[first + drawn(state, last - first)] if popular else low + drawn(state, high - low)


@compiled
def _mark(users: Any, items: Any, event: int, last: int, low: int, seen: Any) -> int:
    """Note what the user of this event has in the part; returns where their events end."""
    user, end = users[event], event
    while end < last and users[end] == user:
        seen[items[end] - low] = user
        end += 1
    return end


@summed
def bpr(
    users: Any, items: Any, first: int, last: int, low: int, high: int, seed: Any, popular: bool, biased: bool,
    p: Any, p_sums: Any, q: Any, q_sums: Any, bias: Any, bias_sums: Any, lr: Any, reg: Any,
) -> None:  # fmt: skip
    """``−ln σ(p_u·(q_i − q_j) + b_i − b_j) + λ/2 (‖p_u‖² + ‖q_i‖² + ‖q_j‖² + b_i² + b_j²)``, a step per event.

    Args:
        users, items, first, last, low, high, seed: the part.
        popular: whether j is drawn as often as it occurs, rather than each item alike.
        biased: whether b is learned.
        p, q, bias: ``[users, d]``, ``[n, d]``, ``[n]``.
        p_sums, q_sums, bias_sums: Adagrad's sums of squares, of the same shapes; empty for plain steps.
        lr, reg: step size and λ.
    """
    state, end = seed, first
    seen = np.full(high - low, -1, np.int32)
    d, adaptive, one = p.shape[1], len(p_sums) > 0, np.float32(1)
    keep = one - lr * reg
    for event in range(first, last):
        if event == end:
            end = _mark(users, items, event, last, low, seen)
        u, i, j, tries = users[event], items[event], -1, 0
        while j < 0 and tries < TRIES:
            state += STEP
            other = _draw(state, popular, items, first, last, low, high)
            if seen[other - low] != u:
                j = other
            tries += 1
        if j < 0:
            continue
        pu, qi, qj = p[u], q[i], q[j]
        margin = bias[i] - bias[j]
        for f in range(d):
            margin += pu[f] * (qi[f] - qj[f])
        pull = one / (one + np.exp(margin))
        if adaptive:
            _adagrad(pu, qi, qj, p_sums[u], q_sums[i], q_sums[j], pull, lr, reg)
            if biased:
                _adagrad_bias(bias, bias_sums, i, pull, lr, reg)
                _adagrad_bias(bias, bias_sums, j, -pull, lr, reg)
        else:
            step = lr * pull
            for f in range(d):
                user, own, not_own = pu[f], qi[f], qj[f]
                pu[f] = keep * user + step * (own - not_own)
                qi[f] = keep * own + step * user
                qj[f] = keep * not_own - step * user
            if biased:
                bias[i] = keep * bias[i] + step
                bias[j] = keep * bias[j] - step


@summed
def warp(
    users: Any, items: Any, first: int, last: int, low: int, high: int, seed: Any, biased: bool,
    p: Any, p_sums: Any, q: Any, q_sums: Any, bias: Any, bias_sums: Any, weights: Any, lr: Any, reg: Any,
) -> None:  # fmt: skip
    """As `bpr` with Adagrad, for ``L(rank) · max(0, 1 − s_ui + s_uj)``: j is the first drawn that makes it positive.

    Args:
        weights: ``[draws]`` L(rank) as estimated when so many draws were made, less one; the event is left out after
            the last. An item that the user has counts as a draw.
    """
    state, end = seed, first
    seen = np.full(high - low, -1, np.int32)
    d = p.shape[1]
    for event in range(first, last):
        if event == end:
            end = _mark(users, items, event, last, low, seen)
        u, i, j, draws = users[event], items[event], -1, 0
        pu, qi = p[u], q[i]
        least = bias[i] - np.float32(1)
        for f in range(d):
            least += pu[f] * qi[f]
        while j < 0 and draws < len(weights):
            state += STEP
            other = low + drawn(state, high - low)
            draws += 1
            if seen[other - low] != u:
                qj = q[other]
                score = bias[other]
                for f in range(d):
                    score += pu[f] * qj[f]
                if score > least:
                    j = other
        if j < 0:
            continue
        pull = weights[draws - 1]
        _adagrad(pu, qi, q[j], p_sums[u], q_sums[i], q_sums[j], pull, lr, reg)
        if biased:
            _adagrad_bias(bias, bias_sums, i, pull, lr, reg)
            _adagrad_bias(bias, bias_sums, j, -pull, lr, reg)


@summed
def _adagrad(pu: Any, qi: Any, qj: Any, pu_sums: Any, qi_sums: Any, qj_sums: Any, pull: Any, lr: Any, reg: Any) -> None:
    """A step on the three vectors, each number by its own gradient over the root of the sum of its squares so far."""
    for f in range(len(pu)):
        user, own, not_own = pu[f], qi[f], qj[f]
        by_user = pull * (own - not_own) - reg * user
        by_own = pull * user - reg * own
        by_other = -pull * user - reg * not_own
        user_sum = pu_sums[f] + by_user * by_user
        own_sum = qi_sums[f] + by_own * by_own
        other_sum = qj_sums[f] + by_other * by_other
        pu_sums[f], qi_sums[f], qj_sums[f] = user_sum, own_sum, other_sum
        pu[f] = user + lr * by_user / np.sqrt(user_sum)
        qi[f] = own + lr * by_own / np.sqrt(own_sum)
        qj[f] = not_own + lr * by_other / np.sqrt(other_sum)


@compiled
def _adagrad_bias(bias: Any, sums: Any, at: int, pull: Any, lr: Any, reg: Any) -> None:
    change = pull - reg * bias[at]
    sums[at] += change * change
    bias[at] += lr * change / np.sqrt(sums[at])
