"""Stochastic gradient descent over ratings, one after the other: each step sees what the step before has changed.

That order is part of the result, so a pass runs on one thread. Bound: the factors of both sides of each rating are read
and written once, ``16 d`` bytes a rating, from the caches where they fit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.jit import summed


@summed
def biases(
    users: Any, items: Any, values: Any, order: Any, mean: Any, user_bias: Any, item_bias: Any, lr: Any, reg: Any
) -> None:
    """One pass for ``μ + b_u + b_i`` over the ratings in the order given."""
    for at in order:
        u, i = users[at], items[at]
        error = values[at] - mean - user_bias[u] - item_bias[i]
        user_bias[u] += lr * (error - reg * user_bias[u])
        item_bias[i] += lr * (error - reg * item_bias[i])


@summed
def factors(
    users: Any, items: Any, values: Any, order: Any, mean: Any, user_bias: Any, item_bias: Any, p: Any, q: Any,
    lr: Any, lr_bias: Any, reg: Any, reg_bias: Any,
) -> None:  # fmt: skip
    """One pass for ``μ + b_u + b_i + p_u · q_i`` over the ratings in the order given."""
    d = p.shape[1]
    for at in order:
        u, i = users[at], items[at]
        pu, qi = p[u], q[i]
        product = np.float32(0)
        for f in range(d):
            product += pu[f] * qi[f]
        error = values[at] - (mean + user_bias[u] + item_bias[i] + product)
        user_bias[u] += lr_bias * (error - reg_bias * user_bias[u])
        item_bias[i] += lr_bias * (error - reg_bias * item_bias[i])
        for f in range(d):
            old = pu[f]
            pu[f] = old + lr * (error * qi[f] - reg * old)
            qi[f] += lr * (error * old - reg * qi[f])


@summed
def implicit_factors(
    order: Any, drawn: Any, starts: Any, items: Any, values: Any, seen_starts: Any, seen: Any, mean: Any,
    user_bias: Any, item_bias: Any, p: Any, q: Any, y: Any, lr: Any, lr_bias: Any, reg: Any, reg_bias: Any,
) -> None:  # fmt: skip
    """One pass for ``μ + b_u + b_i + q_i · (p_u + |N|^-½ Σ_{j∈N} y_j)``, user by user in the order given.

    The ratings of a user are shuffled by ``drawn``, ``[m]`` numbers in [0, 1) (R. Durstenfeld, CACM 7, 1964).

    Each rating moves every y_j of the user's set N by the same rule, ``y ← (1 − γλ) y + γ e |N|^-½ q_i``, so within a
    user all of them are one affine map of what they were: its slope and offset are kept, their weighted sum is moved
    along, and the map is applied when the user is done. The result is that of a step per rating and y_j.
    """
    d = p.shape[1]
    total, offset = np.empty(d, np.float32), np.empty(d, np.float32)
    keep = np.float32(1) - lr * reg
    places = np.arange(len(items))
    for u in order:
        for last in range(starts[u + 1] - 1, starts[u], -1):
            other = starts[u] + int(drawn[last] * (last + 1 - starts[u]))
            places[last], places[other] = places[other], places[last]
        own = seen[seen_starts[u] : seen_starts[u + 1]]
        norm = np.float32(1 / np.sqrt(max(len(own), 1)))
        total[:] = 0
        for j in own:
            for f in range(d):
                total[f] += y[j, f]
        for f in range(d):
            total[f] *= norm
            offset[f] = 0
        slope = np.float32(1)
        pu = p[u]
        share = np.float32(1) if len(own) else np.float32(0)
        for at in places[starts[u] : starts[u + 1]]:
            i = items[at]
            qi = q[i]
            product = np.float32(0)
            for f in range(d):
                product += qi[f] * (pu[f] + total[f])
            error = values[at] - (mean + user_bias[u] + item_bias[i] + product)
            user_bias[u] += lr_bias * (error - reg_bias * user_bias[u])
            item_bias[i] += lr_bias * (error - reg_bias * item_bias[i])
            step = lr * error
            for f in range(d):
                old, sum_f, user_f = qi[f], total[f], pu[f]
                pu[f] = keep * user_f + step * old
                qi[f] = keep * old + step * (user_f + sum_f)
                total[f] = keep * sum_f + share * step * old
                offset[f] = keep * offset[f] + step * norm * old
            slope *= keep
        for j in own:
            for f in range(d):
                y[j, f] = slope * y[j, f] + offset[f]
