"""Protocols that hold back a part of what known users did: by time, by order, or at random.

Where a log repeats pairs of user and item (looked at, put into the cart, bought), a repeated item can only be
recommended if repeats count. Unless they do, all random protocols deal out pairs with all their events, and `last_out`
counts new items, so that truth is not lost to items which their users already have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset, Events
from serendip.data.events import stable_order
from serendip.evaluate.held import Split, hold_out
from serendip.evaluate.keys import starts
from serendip.types import SerendipError

MOST_FOLDS = 7
ROUNDING = 1e-9
"""Taken off a product before it is rounded up: 0.07 · 100 is 7.000000000000001 in floating point, and 7 is meant."""
FILE_ORDER = "The log has no times: the order of the file was taken for the order of events."


def global_time(data: Dataset, test: float = 0.2, *, cut: int | None = None, repeats: bool = False) -> Split:
    """Learn from what happened before a moment, ask at that moment, and judge by what happened from it on.

    Args:
        data: a log with unix times.
        test: share of the events to hold out; the moment is chosen so that at least this share is at or after it.
            Events of the same second are never separated.
        cut: the moment itself (unix seconds) instead.
        repeats: whether items that the asker already has count as truth.

    Raises:
        SerendipError: the log has no unix time, or no moment separates its events.
    """
    check_share("test", test)
    times = data.events.time
    if data.schema.time_kind != "unix" or times is None:
        raise SerendipError(
            "global_time must have unix times, which order the events of different users. Got time_kind = "
            f"{data.schema.time_kind!r} instead. Try last_out"
            + (", which needs the order within each user only." if data.schema.time_kind == "rank" else " or per_user.")
        )
    moment = _moment(times, test) if cut is None else int(cut)
    within = min(max(moment, int(times.min(initial=0))), int(times.max(initial=0)))
    shown = str(np.datetime64(within, "s")).replace("T", " ")
    return hold_out(
        data,
        times >= moment,
        name="global_time",
        description=f"Learn from the events before {shown} UTC; judge by those from then on.",
        time=moment,
        repeats=repeats,
    )


def last_out(data: Dataset, n: int = 1, *, repeats: bool = False) -> Split:
    """Hold out the last ``n`` items that were new to each user, and whatever the user did from the first of them on.

    An item is new where the user shows interest in it, by an event of the target if one is named, and has no earlier
    event with it; if repeats count, every such event is new. In a log without repeated pairs both mean the last ``n``
    such events. Users with ``n`` of these items or fewer stay in training and are not asked. Without times, the order
    of the file counts.

    Raises:
        SerendipError: ``n`` below 1, or nobody has more than ``n`` new items.
    """
    if n < 1:
        raise SerendipError(f"n must be at least 1. Got {n} instead.")
    events = data.events
    new = data.wanted if repeats else data.wanted & _first_of_pair(data)
    total = np.bincount(events.users[new], minlength=data.n_users)
    enough = total > n
    noun, plural = "event" if repeats else "new item", "s"[: n > 1]
    notes: tuple[str, ...] = ()
    few = int((~enough & (np.diff(events.indptr) > 0)).sum())
    if few:
        notes = (f"Users not asked, because they have no more than {n} {noun}{plural}: {few:,}.",)
    if data.schema.time_kind == "none":
        notes = (*notes, FILE_ORDER)
    return hold_out(
        data,
        (_so_far(new, events) > (total - n)[events.users]) & enough[events.users],
        name="last_out",
        description=f"Hold out each user's last {noun if n == 1 else f'{n} {noun}s'} and all that came after; "
        "learn from the earlier ones.",
        time="first",
        repeats=repeats,
        notes=notes,
    )


def per_user(data: Dataset, test: float = 0.2, seed: int = 0, *, repeats: bool = False) -> Split:
    """Hold out a random share of each user's items: ``ceil(test · n)`` of ``n``, and at least one stays in training.

    All events with an item go together; if repeats count, events are dealt out one by one.

    Raises:
        SerendipError: ``test`` outside (0, 1), or no user has two items.
    """
    check_share("test", test)
    unit, owner = _units(data, repeats)
    counts = np.bincount(owner, minlength=data.n_users)
    wanted = np.minimum(np.ceil(test * counts - ROUNDING).astype(np.int64), counts - 1)
    shuffled = np.random.default_rng(seed).permutation(len(owner))
    shuffled = shuffled[stable_order(owner[shuffled])]  # each user's units together, in random order
    place = np.empty(len(owner), np.int64)
    place[shuffled] = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
    return hold_out(
        data,
        (place < wanted[owner])[unit],
        name="per_user",
        description=f"Hold out a random {test:.0%} (rounded up) of each user's {_noun(repeats)} (seed {seed}); "
        "learn from the rest.",
        repeats=repeats,
    )


def at_random(data: Dataset, test: float = 0.2, seed: int = 0, *, repeats: bool = False) -> Split:
    """Hold out a random share of all pairs of user and item, or, if repeats count, of all events.

    Raises:
        SerendipError: ``test`` outside (0, 1).
    """
    check_share("test", test)
    unit, owner = _units(data, repeats)
    held = np.random.default_rng(seed).permutation(len(owner)) < max(1, round(test * len(owner)))
    return hold_out(
        data,
        held[unit],
        name="at_random",
        description=f"Hold out a random {test:.0%} of all {_noun(repeats, 'pairs of user and item')} (seed {seed}); "
        "learn from the rest.",
        repeats=repeats,
    )


def k_fold(data: Dataset, folds: int = 5, seed: int = 0, *, repeats: bool = False) -> list[Split]:
    """Deal all pairs of user and item (or, if repeats count, all events) at random into ``folds`` equal parts.

    Each split holds out one of them.

    Raises:
        SerendipError: ``folds`` outside 2 … 7, or more folds than there is to deal.
    """
    check_folds(folds)
    return [one_fold(data, folds, fold, seed, repeats=repeats) for fold in range(folds)]


def one_fold(data: Dataset, folds: int = 5, fold: int = 0, seed: int = 0, *, repeats: bool = False) -> Split:
    """The split of `k_fold` that holds out part ``fold``, from 0.

    Raises:
        SerendipError: as `k_fold`; or ``fold`` outside 0 … folds − 1.
    """
    check_folds(folds)
    if not 0 <= fold < folds:
        raise SerendipError(f"fold must be from 0 to {folds - 1}. Got {fold} instead.")
    unit, owner = _units(data, repeats)
    noun = _noun(repeats, "pairs of user and item")
    if folds > len(owner):
        raise SerendipError(f"folds must be at most the number of {noun} ({len(owner)}). Got {folds} instead.")
    part = np.random.default_rng(seed).permutation(len(owner)) % folds
    return hold_out(
        data,
        (part == fold)[unit],
        name=f"k_fold {fold + 1}/{folds}",
        description=f"Deal all {noun} at random into {folds} parts (seed {seed}); hold out part {fold + 1}.",
        repeats=repeats,
    )


def check_share(name: str, value: float) -> None:
    """That a share is one.

    Raises:
        SerendipError: saying what it must be.
    """
    if not 0 < value < 1:
        raise SerendipError(f"{name} must be a share between 0 and 1 (both excluded). Got {value} instead.")


def check_folds(folds: int) -> None:
    """That a number of folds is one.

    Raises:
        SerendipError: saying what it must be.
    """
    if not 2 <= folds <= MOST_FOLDS:
        raise SerendipError(f"folds must be from 2 to {MOST_FOLDS}. Got {folds} instead.")


def _noun(repeats: bool, otherwise: str = "items") -> str:
    return "events" if repeats else otherwise


def _moment(times: NDArray[np.int64], test: float) -> int:
    """The latest time with at least that share of the events at or after it."""
    last = len(times) - max(1, int(np.ceil(test * len(times) - ROUNDING)))
    return int(np.partition(times, last)[last])


def _so_far(new: NDArray[np.bool_], events: Events) -> NDArray[np.int64]:
    """``[m]`` how many of the marked events its user has up to each event, itself included."""
    running = np.concatenate([[0], np.cumsum(new)])
    count: NDArray[np.int64] = running[1:] - running[events.indptr[:-1]][events.users]
    return count


def _pair_order(data: Dataset) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The positions of the events by pair, then as they stand, and where each pair begins among them."""
    keys = data.events.users.astype(np.int64) * data.n_items + data.events.items
    order = stable_order(keys)
    return order, starts(keys[order])


def _first_of_pair(data: Dataset) -> NDArray[np.bool_]:
    """``[m]`` whether an event is the first of its user with its item."""
    order, begin = _pair_order(data)
    first = np.zeros(len(order), np.bool_)
    first[order[begin]] = True
    return first


def _units(data: Dataset, repeats: bool) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What is dealt out: ``[m]`` the unit of each event, and the user of each unit, ascending."""
    users = data.events.users.astype(np.int64)
    if repeats:
        return np.arange(len(users)), users
    order, begin = _pair_order(data)
    unit = np.empty(len(order), np.int64)
    unit[order] = np.repeat(np.arange(len(begin)), np.diff(begin, append=len(order)))
    return unit, users[order[begin]]
