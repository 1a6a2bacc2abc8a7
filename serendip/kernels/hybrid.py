"""Stochastic gradient descent for a factorisation whose users and items are sums of features, one event after another.

Each step sees what the step before has changed, and that order is part of the result, so a pass runs on one thread.

Item j is ``v_j = Σ_f x_jf v_f`` with its bias in the last place, and what it says of a user who had it is
``y_j = Σ_f x_jf y_f``. For an event with item i, with H the items of user u and 1 in the last place, the user is
``z = Σ_s a_us w_s + Σ_j c_uj y_j + (|H| − 1)^−p Σ_{j∈H, j≠i} y_j``. The loss is one of `LOSSES`; ``s_j = z · v_j``.
All that a user's items say takes one step when the user is done, with the sum of the gradients; everything else a step
per event. A step is Adagrad's, number by number: ``q ← q + g²; θ ← θ − γ g / √q`` with ``g = ∂L/∂θ + λθ`` (J. Duchi,
E. Hazan and Y. Singer, JMLR 12, 2011).

Bound: per event the vectors of both items' features are read and written with their squares, ``16 d`` bytes a feature,
from the caches where they fit; per user twice as much again for what the items of the history say.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from serendip.kernels.jit import compiled, summed
from serendip.kernels.pairwise import STEP, TRIES, drawn

LOSSES = ("warp", "bpr", "logistic")
"""By their number in `learn`; the negative j is an item that the user does not have.

- warp: ``L(draws) · max(0, 1 − s_i + s_j)`` for the first j drawn that makes it positive.
- bpr: ``−ln σ(s_i − s_j)``.
- logistic: ``−ln σ(s_i) − ln σ(−s_j)``.
"""
WARP, BPR = 0, 1
_FINE = 1 << 24  # to how many parts a share is exact


@compiled
def learn(
    loss: int, order: Any, starts: Any, items: Any, x: Any, a: Any, near: Any, candidates: Any, weights: Any,
    power: float, dropout: float, lr: Any, reg: Any, v: Any, y: Any, w: Any, pending: Any, state: Any,
) -> None:  # fmt: skip
    """One pass over the events of the users in the order given. The tables and the state are changed.

    Args:
        loss: its place in `LOSSES`.
        order: users.
        starts, items: the items of each user, ascending.
        x, a: features of items and of users, ``(starts, columns, values, 1 if rows begin with an identity, else 0)``.
        near: c, ``(starts, items, values)``.
        candidates: the items that may be negatives.
        weights: ``[draws]`` of warp, ``L`` when so many were drawn, less one; others only heed that it is not empty.
        power: p.
        dropout: in what share of its steps an identity is left out, and for a user what they had besides; never where
            nothing else is known.
        lr, reg: γ and λ, float32.
        v, y, w: vectors of items' features ``[f, d + 1]`` and ``[f, d]`` and of users' features ``[s, d]``, each a pair
            of numbers and their squares (q).
        pending: zeros ``[f, d]``; they are left so.
        state: ``[1]`` uint64, the counter behind the random numbers.
    """
    d = pending.shape[1]
    longest = 0
    for u in order:
        longest = max(longest, starts[u + 1] - starts[u])
    said, slopes = np.empty((longest, d), np.float32), np.empty((longest, d), np.float32)
    places, hidden = np.arange(longest), np.zeros(longest, np.bool_)
    total, around, all_slopes = np.empty(d, np.float32), np.empty(d, np.float32), np.empty(d, np.float32)
    user, mine, other = np.empty(d + 1, np.float32), np.empty(d + 1, np.float32), np.empty(d + 1, np.float32)
    marks, touched = np.zeros(len(pending), np.bool_), np.empty(len(pending), np.int32)
    for u in order:
        own = items[starts[u] : starts[u + 1]]
        circle = near[1][near[0][u] : near[0][u + 1]], near[2][near[0][u] : near[0][u + 1]]
        alone = (a[0][u + 1] - a[0][u] > a[3] or len(circle[0]) > 0) and _chance(dropout, state)
        traits = _row(a, u, alone)
        norm = np.float32(0) if alone or len(own) < 2 else np.float32((len(own) - 1) ** -power)
        _listen(own, x, y[0], norm, dropout, state, hidden, said, total)
        _surround(circle, x, y[0], around, other[:d])
        _shuffle(places, len(own), state)
        all_slopes[:] = 0
        for at in places[: len(own)]:
            _gather(traits, w[0], user[:d])
            for c in range(d):
                user[c] += around[c] + norm * (total[c] - said[at, c])
            user[d] = 1
            row = _row(x, own[at], _hides(x, own[at], dropout, state))
            _gather(row, v[0], mine)
            item, without, up, down = _negative(
                loss, candidates, own, weights, _dot(user, mine), user, x, v[0], dropout, state, other
            )
            slopes[at] = 0
            if item >= 0:
                for c in range(d):
                    slopes[at, c] = down * other[c] - up * mine[c]
                all_slopes += slopes[at]
                _step(row, -up, user, v, lr, reg)
                _step(_row(x, item, without), down, user, v, lr, reg)
                _step(traits, np.float32(1), slopes[at], w, lr, reg)
        count = 0
        for at in range(len(circle[0])):
            count = _owe(_row(x, circle[0][at], False), circle[1][at], all_slopes, pending, marks, touched, count)
        for at in range(len(own) if norm > 0 else 0):
            others = all_slopes - slopes[at]
            count = _owe(_row(x, own[at], hidden[at]), norm, others, pending, marks, touched, count)
        _settle(touched[:count], pending, marks, y, lr, reg)


@compiled
def _chance(share: float, state: Any) -> bool:
    """Whether something happens that does in this share of the cases."""
    if share <= 0:
        return False
    state[0] += STEP
    return bool(drawn(state[0], _FINE) < share * _FINE)


@compiled
def _hides(rows: Any, at: int, dropout: float, state: Any) -> bool:
    """Whether a step goes without the row's identity, which is not all that is known."""
    return bool(rows[0][at + 1] - rows[0][at] > 1 and rows[3] == 1) and _chance(dropout, state)


@compiled
def _row(rows: Any, at: int, hidden: bool) -> Any:
    """Features and values of a row, without the identity if that is hidden."""
    first = rows[0][at] + (rows[3] if hidden else 0)
    return rows[1][first : rows[0][at + 1]], rows[2][first : rows[0][at + 1]]


@summed
def _gather(row: Any, table: Any, out: Any) -> None:
    """``out = Σ_f value_f table_f``."""
    out[:] = 0
    for at in range(len(row[0])):
        part, value = table[row[0][at]], row[1][at]
        for c in range(len(out)):
            out[c] += value * part[c]


@summed
def _dot(left: Any, right: Any) -> Any:
    total = np.float32(0)
    for c in range(len(left)):
        total += left[c] * right[c]
    return total


@summed
def _step(row: Any, slope: Any, along: Any, table: Any, lr: Any, reg: Any) -> None:
    """A step of each feature of the row, the gradient of whose sum is ``slope · along``."""
    for at in range(len(row[0])):
        part, squares, factor = table[0][row[0][at]], table[1][row[0][at]], slope * row[1][at]
        for c in range(len(part)):
            gradient = factor * along[c] + reg * part[c]
            square = squares[c] + gradient * gradient
            squares[c] = square
            part[c] -= lr * gradient / np.sqrt(square)


@compiled
def _listen(
    own: Any, x: Any, y: Any, norm: Any, dropout: float, state: Any, hidden: Any, said: Any, total: Any
) -> None:
    """What each item of the user says, and all of them together; nothing if ``norm`` is 0."""
    total[:] = 0
    for at in range(len(own)):
        said[at] = 0
        if norm > 0:
            hidden[at] = _hides(x, own[at], dropout, state)
            _gather(_row(x, own[at], hidden[at]), y, said[at])
            total += said[at]


@compiled
def _surround(circle: Any, x: Any, y: Any, around: Any, part: Any) -> None:
    """What the items near the user say: ``Σ_j c_uj y_j``."""
    around[:] = 0
    for at in range(len(circle[0])):
        _gather(_row(x, circle[0][at], False), y, part)
        for c in range(len(around)):
            around[c] += circle[1][at] * part[c]


@compiled
def _shuffle(places: Any, count: int, state: Any) -> None:
    """``0 … count-1`` in random order (R. Durstenfeld, CACM 7, 1964)."""
    for at in range(count):
        state[0] += STEP
        earlier = drawn(state[0], at + 1)
        places[at] = places[earlier]
        places[earlier] = at


@compiled
def _holds(own: Any, item: Any) -> bool:
    at = np.searchsorted(own, item)
    return bool(at < len(own) and own[at] == item)


@compiled
def _sigmoid(x: Any) -> Any:
    return np.float32(1) / (np.float32(1) + np.exp(-x))


@compiled
def _negative(
    loss: int, candidates: Any, own: Any, weights: Any, score: Any, user: Any, x: Any, v: Any, dropout: float,
    state: Any, other: Any,
) -> Any:  # fmt: skip
    """The negative item (-1: none), whether its identity is hidden, and ``−∂L/∂s_i`` and ``∂L/∂s_j``.

    Its vector is left in ``other``. Of warp, an item that the user has counts as a draw.
    """
    for draws in range(len(weights) if loss == WARP else TRIES):
        state[0] += STEP
        item = np.int64(candidates[drawn(state[0], len(candidates))])
        if _holds(own, item):
            continue
        without = _hides(x, item, dropout, state)
        _gather(_row(x, item, without), v, other)
        found = _dot(user, other)
        if loss == BPR:
            return item, without, _sigmoid(found - score), _sigmoid(found - score)
        if loss != WARP:
            return item, without, _sigmoid(-score), _sigmoid(found)
        if found > score - np.float32(1):
            return item, without, weights[draws], weights[draws]
    return np.int64(-1), False, np.float32(0), np.float32(0)


@compiled
def _owe(row: Any, factor: Any, slope: Any, pending: Any, marks: Any, touched: Any, count: int) -> int:
    """Add ``factor · slope`` to what the row's features will step by; returns how many are touched by now."""
    for at in range(len(row[0])):
        f, part = row[0][at], factor * row[1][at]
        if not marks[f]:
            marks[f] = True
            touched[count] = f
            count += 1
        for c in range(len(slope)):
            pending[f, c] += part * slope[c]
    return count


@compiled
def _settle(touched: Any, pending: Any, marks: Any, y: Any, lr: Any, reg: Any) -> None:
    one = np.ones(1, np.float32)
    for at in range(len(touched)):
        f = touched[at]
        _step((touched[at : at + 1], one), np.float32(1), pending[f], y, lr, reg)
        pending[f] = 0
        marks[f] = False
