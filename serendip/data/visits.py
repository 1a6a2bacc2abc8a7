"""What happens in the invented media shop: choices drawn from true preferences, and what is recorded of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.shop import DAY, DAYS, EPOCH, STEPS, Doubles
from serendip.data.vocab import Vocab

LABELS = ("rating", "watch_time", "liked", "purchased")
"""Columns that say something of views, and of nothing else."""
BLOCK = 128
"""Users whose odds are held at a time; bounds memory and keeps them in the processor's cache."""


@dataclass(frozen=True, slots=True, eq=False)
class Tastes:
    """What is really liked.

    The log-odds of user ``u`` choosing item ``i`` at the time ``s`` (0: first day, 1: last) are
    ``((1 - s) start[u] + s end[u]) · items[i] + appeal(i, s)``, up to a constant of the user.

    Attributes:
        user_ids, item_ids: external ids of the rows below.
        start, end: ``[users, d]`` taste at the beginning and the end of the period.
        items: ``[items, d]`` what each item offers.
        appeal: ``[steps, items]`` what everybody finds in an item, in equal steps of the period; ``-inf`` before its
            release.
    """

    user_ids: Vocab
    item_ids: Vocab
    start: Doubles
    end: Doubles
    items: Doubles
    appeal: Doubles

    def at(self, users: NDArray[np.int64], step: int) -> Doubles:
        """Log-odds ``[users, items]`` of these users (rows) in one step."""
        moved = step / (len(self.appeal) - 1)
        taste = (1 - moved) * self.start[users] + moved * self.end[users]
        return np.asarray(taste @ self.items.T + self.appeal[step])


def record(tastes: Tastes, items: pl.DataFrame, choices: float, rng: np.random.Generator) -> pl.DataFrame:
    """The log, ordered by time: who chose what and when, and what came of it.

    Args:
        tastes: the truth.
        items: the table of items (``released, minutes, price``), row ``i`` for row ``i`` of ``tastes.items``.
        choices: mean number of choices per user, before repeats are dropped.
        rng: where chance comes from.
    """
    user, item, step = _choices(tastes, choices, rng)
    time = _times(step, items["released"].to_numpy()[item], rng)
    order = np.lexsort((time, user))
    first = order[np.unique((user * len(items) + item)[order], return_index=True)[1]]
    user, item, step, time = user[first], item[first], step[first], time[first]

    joy = _joy(tastes, user, item, step, rng)
    m = len(joy)
    watched = 60 * items["minutes"].to_numpy()[item] * _sigmoid(0.9 * joy + rng.normal(0.3, 0.7, m))
    rated = rng.random(m) < 0.12 + 0.12 * (np.abs(joy) > 1)
    rating = np.clip(np.round(3.5 + 0.9 * joy + rng.normal(0, 0.4, m)), 1, 5)
    liked = rng.random(m) < _sigmoid(-1.6 + 1.3 * joy)
    bought = rng.random(m) < _sigmoid(-2.2 + 1.2 * joy - 0.08 * items["price"].to_numpy()[item])
    pause = rng.integers(5, 600, m)
    views = pl.DataFrame(
        {
            "user_id": tastes.user_ids.ids.gather(user),
            "item_id": tastes.item_ids.ids.gather(item),
            "timestamp": time,
            "event_type": pl.repeat("view", m, eager=True),
            "rating": pl.Series(np.where(rated, rating, np.nan)).fill_nan(None),
            "watch_time": np.round(watched).astype(np.int64),
            "liked": liked.astype(np.int8),
            "purchased": bought.astype(np.int8),
        }
    )
    likes = _afterwards(views, "like", liked, pause)
    purchases = _afterwards(views, "purchase", bought, pause + rng.integers(5, 3600, m))
    return pl.concat([views, likes, purchases]).sort("timestamp", "user_id", maintain_order=True)


def _afterwards(views: pl.DataFrame, kind: str, keep: NDArray[np.bool_], delay: NDArray[np.int64]) -> pl.DataFrame:
    """Events of another kind that followed some of the views after ``delay`` seconds."""
    return views.with_columns(
        pl.col("timestamp") + pl.Series(delay),
        pl.lit(kind).alias("event_type"),
        *(pl.lit(None, views.schema[label]).alias(label) for label in LABELS),
    ).filter(pl.Series(keep))


def _choices(
    tastes: Tastes, choices: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Users, items and steps of all choices, drawn from the softmax of the true log-odds."""
    users = len(tastes.start)
    wanted = 3 + rng.poisson((choices - 3) * rng.lognormal(-0.5, 1.0, users))
    joined = np.where(rng.random(users) < 0.65, 0, rng.integers(0, STEPS - 1, users))
    left = np.where(rng.random(users) < 0.8, STEPS, rng.integers(joined + 1, STEPS + 1))
    owner = np.repeat(np.arange(users), wanted)
    step = rng.integers(joined[owner], left[owner])
    chance = rng.random(len(owner))
    item = np.empty(len(owner), np.int64)
    weights = np.exp(tastes.appeal)
    for begin in range(0, users, BLOCK):
        stop = min(begin + BLOCK, users)
        mine = np.arange(*np.searchsorted(owner, (begin, stop)))
        mine = mine[np.argsort(step[mine], kind="stable")]
        bounds = np.searchsorted(step[mine], np.arange(STEPS + 1))
        fit = tastes.start[begin:stop] @ tastes.items.T
        odds = np.exp(fit - fit.max(axis=1, keepdims=True))
        drift = np.exp((tastes.end - tastes.start)[begin:stop] @ tastes.items.T / (STEPS - 1))
        for now in range(STEPS):
            rows = mine[bounds[now] : bounds[now + 1]]
            present, place = np.unique(owner[rows] - begin, return_inverse=True)
            item[rows] = _draw(odds[present] * weights[now], place, chance[rows])
            odds *= drift
    return owner, item, step


def _draw(odds: Doubles, row: NDArray[np.int64], chance: Doubles) -> NDArray[np.int64]:
    """A column for each ``row``, drawn in proportion to that row of ``odds``: the one at ``chance`` of its total."""
    n = odds.shape[1]
    total = np.cumsum(odds)
    end = total[n - 1 :: n]
    begin = np.concatenate([[0.0], end[:-1]])
    place = np.searchsorted(total, begin[row] + chance * (end - begin)[row], side="right")
    return np.asarray(np.clip(place - row * n, 0, n - 1))


def _times(step: NDArray[np.int64], released: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Unix seconds within each step, mostly in the evening, never before the item's release."""
    length = DAYS // STEPS
    hour = np.clip(np.round(rng.normal(19, 4, len(step))), 0, 23).astype(np.int64)
    day = step * length + rng.integers(0, length, len(step))
    time = EPOCH + day * DAY + hour * 3600 + rng.integers(0, 3600, len(step))
    end = EPOCH + (step + 1) * length * DAY
    wait = (rng.random(len(step)) * np.maximum(end - released, 1)).astype(np.int64)
    return np.where(time >= released, time, released + wait)


def _joy(
    tastes: Tastes, user: NDArray[np.int64], item: NDArray[np.int64], step: NDArray[np.int64], rng: np.random.Generator
) -> Doubles:
    """How glad each choice made the user: how well it fits their own taste, and chance; mean 0, deviation about 1."""
    moved = (step / (STEPS - 1))[:, None]
    fit = np.einsum("md,md->m", (1 - moved) * tastes.start[user] + moved * tastes.end[user], tastes.items[item])
    return np.asarray(0.8 * (fit - fit.mean()) / fit.std() + 0.6 * rng.normal(size=len(fit)))


def _sigmoid(x: Doubles) -> Doubles:
    return np.asarray(1 / (1 + np.exp(-x)))
