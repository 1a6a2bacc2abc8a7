"""Data whose right answer is known: `checkerboard`, `planted_factors`, `markov`, and the media shop `catalogue`.

All are deterministic by their arguments. Ids of the first three are the integers ``0 … n-1``, so that codes equal ids.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.data.schema import Schema
from serendip.data.shop import EPOCH
from serendip.data.world import Oracle, World, catalogue
from serendip.types import Floats, SerendipError

HOUR = 3600


@dataclass(frozen=True, slots=True, eq=False)
class Planted:
    """Data drawn from a low-rank truth.

    Attributes:
        data: choices with a ``rating`` label; codes are the rows of the arrays below.
        scores: ``[users, items]`` the true scores, ``user_factors @ item_factors.T``.
        user_factors, item_factors: ``[users, dims]`` and ``[items, dims]``.
    """

    data: Dataset
    scores: Floats
    user_factors: Floats
    item_factors: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Chains:
    """Sequences drawn from a known Markov chain.

    Attributes:
        data: one sequence per user; codes are the rows of the matrix below.
        transitions: ``[items, items]`` the probability of each next item, rows sum to 1.
    """

    data: Dataset
    transitions: NDArray[np.float64]


def checkerboard(users: int = 50, items: int = 40, *, held: int = 2) -> Dataset:
    """User ``u`` likes the items of the same parity as ``u``, except ``held`` of them that are kept back.

    The right answer for every user is exactly the items kept back: the only unseen ones of the user's parity. They
    differ from user to user, so each has been seen by others. Items carry the category ``even`` or ``odd``.

    Raises:
        SerendipError: fewer than 2 users, or no item of each parity would remain.
    """
    if users < 2 or held < 0 or items < 2 * (held + 1):
        raise SerendipError(
            "checkerboard needs at least 2 users and 2 × (held + 1) items. "
            f"Got {users} users, {items} items and held = {held} instead. Try checkerboard(users=50, items=40, held=2)."
        )
    user, item = np.nonzero((np.arange(users)[:, None] + np.arange(items)) % 2 == 0)
    of_parity = (items - user % 2 + 1) // 2
    kept = (item // 2 - user // 2) % of_parity >= held
    user, item = user[kept], item[kept]
    when = EPOCH + HOUR * ((item * 7 + user * 3) % items + 1)
    events = pl.DataFrame({"user_id": user, "item_id": item, "timestamp": when})
    table = pl.DataFrame(
        {
            "item_id": np.arange(items),
            "title": [f"Square {number}" for number in range(items)],
            "categories": [["odd" if number % 2 else "even"] for number in range(items)],
        }
    )
    schema = Schema(timestamp="timestamp", time_kind="unix", title="title", categories=("categories",))
    return Dataset.from_frames(events, items=table, schema=schema)


def planted_factors(
    users: int = 400,
    items: int = 200,
    dims: int = 8,
    seed: int = 0,
    *,
    events: int = 30,
    sharpness: float = 2.0,
    noise: float = 0.2,
) -> Planted:
    """Each user draws ``events`` distinct items from the softmax of ``sharpness`` times their true scores.

    The factors are normal with variance ``1 / √dims``, so that scores have variance 1. The label ``rating`` is the
    score of the pair plus normal noise of deviation ``noise``.

    Raises:
        SerendipError: more events per user than items, or a size below 1.
    """
    if min(users, dims, events) < 1 or events > items:
        raise SerendipError(
            "planted_factors needs users, dims and events of at least 1 and no more events per user than items. "
            f"Got {users} users, {items} items, {dims} dims and {events} events instead."
        )
    rng = np.random.default_rng(seed)
    user_factors, item_factors = (rng.normal(0, dims**-0.25, (n, dims)) for n in (users, items))
    scores = user_factors @ item_factors.T
    chosen = np.argsort(-(sharpness * scores + rng.gumbel(size=scores.shape)), axis=1)[:, :events]
    user, item = np.repeat(np.arange(users), events), rng.permuted(chosen, axis=1).ravel()
    log = pl.DataFrame(
        {
            "user_id": user,
            "item_id": item,
            "timestamp": EPOCH + HOUR * np.tile(np.arange(events), users),
            "rating": scores[user, item] + rng.normal(0, noise, len(user)),
        }
    )
    schema = Schema(timestamp="timestamp", time_kind="unix", labels={"rating": "rating"})
    data = Dataset.from_frames(log, items=pl.DataFrame({"item_id": np.arange(items)}), schema=schema)
    return Planted(data, *(array.astype(np.float32) for array in (scores, user_factors, item_factors)))


def markov(
    users: int = 500, items: int = 60, length: int = 30, seed: int = 0, *, branches: int = 3, wander: float = 0.1
) -> Chains:
    """Sequences in which each item has ``branches`` usual successors, of geometrically falling probability.

    With probability ``wander`` the next item is any item. Sequences begin anywhere; an item may come again.

    Raises:
        SerendipError: more branches than items, or a size or probability out of range.
    """
    if min(users, length, branches) < 1 or branches > items or not 0 <= wander <= 1:
        raise SerendipError(
            "markov needs users, length and branches of at least 1, no more branches than items, and wander in 0 … 1. "
            f"Got {users} users, {items} items, length {length}, {branches} branches and wander {wander} instead."
        )
    rng = np.random.default_rng(seed)
    usual = np.argsort(rng.random((items, items)), axis=1)[:, :branches]
    falling = 0.5 ** np.arange(branches)
    transitions = np.full((items, items), wander / items)
    np.put_along_axis(transitions, usual, wander / items + (1 - wander) * falling / falling.sum(), axis=1)
    upto = np.cumsum(transitions, axis=1)
    walk = np.empty((users, length), np.int64)
    walk[:, 0] = rng.integers(items, size=users)
    for step in range(1, length):
        walk[:, step] = (upto[walk[:, step - 1]] < rng.random((users, 1))).sum(axis=1).clip(max=items - 1)
    log = pl.DataFrame(
        {
            "user_id": np.repeat(np.arange(users), length),
            "item_id": walk.ravel(),
            "timestamp": EPOCH + HOUR * np.tile(np.arange(length), users),
        }
    )
    schema = Schema(timestamp="timestamp", time_kind="unix")
    data = Dataset.from_frames(log, items=pl.DataFrame({"item_id": np.arange(items)}), schema=schema)
    return Chains(data, transitions)


__all__ = ["Chains", "Oracle", "Planted", "World", "catalogue", "checkerboard", "markov", "planted_factors"]
