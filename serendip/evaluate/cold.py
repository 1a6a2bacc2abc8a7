"""Protocols about what training has never seen: new items, and new users."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset
from serendip.evaluate.held import Split, hold_out
from serendip.evaluate.protocols import FILE_ORDER, check_share
from serendip.types import SerendipError


def cold_items(data: Dataset, test: float = 0.1, seed: int = 0) -> Split:
    """Hold out every event of a random share of the items, which training then knows from the items table at most.

    Raises:
        SerendipError: ``test`` outside (0, 1), or fewer than two items with events.
    """
    check_share("test", test)
    chosen = _sample(np.bincount(data.events.items, minlength=data.n_items) > 0, test, seed, "item")
    listed = int((chosen & data.items_listed).sum())
    total = int(chosen.sum())
    notes: tuple[str, ...] = (f"{listed:,} of the {total:,} held-out items are in the items table.",)
    if listed < total:
        notes += ("Items that are not in the items table cannot be recommended by anybody and count as missed.",)
    return hold_out(
        data,
        chosen[data.events.items],
        name="cold_items",
        description=f"Hold out all events of a random {test:.0%} of the items (seed {seed}); learn from the others.",
        notes=notes,
    )


def cold_users(data: Dataset, test: float = 0.1, given: int = 0, seed: int = 0, *, repeats: bool = False) -> Split:
    """Hold out a random share of the users, who then ask with their first ``given`` events as history.

    Only users with more than ``given`` events with interest are chosen. The given events are no part of training.
    Without times, the order of the file counts.

    Raises:
        SerendipError: ``test`` outside (0, 1), ``given`` below 0, or fewer than two users to choose from.
    """
    check_share("test", test)
    if given < 0:
        raise SerendipError(f"given must be at least 0. Got {given} instead.")
    events = data.events
    liked = np.bincount(events.users[events.weight > 0], minlength=data.n_users)
    chosen = _sample(liked > given, test, seed, "user")[events.users]
    place = np.arange(len(events)) - events.indptr[events.users]
    notes: tuple[str, ...] = ()
    if given and data.schema.time_kind == "none":
        notes = (FILE_ORDER,)
    return hold_out(
        data,
        chosen & (place >= given),
        given=chosen & (place < given),
        name="cold_users",
        description=f"Hold out a random {test:.0%} of the users (seed {seed}), who ask with "
        + (f"their first {given} events." if given else "no history at all."),
        time="first",
        repeats=repeats,
        notes=notes,
    )


def _sample(eligible: NDArray[np.bool_], share: float, seed: int, noun: str) -> NDArray[np.bool_]:
    """A random share of the eligible codes, at least one and never all."""
    codes = np.flatnonzero(eligible)
    if len(codes) < 2:
        raise SerendipError(f"cold_{noun}s must have at least two {noun}s to choose from. Got {len(codes)} instead.")
    count = min(max(1, round(share * len(codes))), len(codes) - 1)
    chosen = np.zeros(len(eligible), np.bool_)
    chosen[np.random.default_rng(seed).choice(codes, count, replace=False)] = True
    return chosen
