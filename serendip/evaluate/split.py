"""The protocols: ways to hold part of a log back so that a figure says what it seems to say.

Every one returns a `Split` whose training part is a `Dataset` built without the test, so that nothing can leak through
vocabularies or counts. Validation inside the training part is the same call again: ``last_out(split.train)``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.data.dataset import Dataset, Events
from serendip.data.events import stable_order
from serendip.data.read import read
from serendip.evaluate.held import HeldOut, Split, assemble, hold_out
from serendip.types import SerendipError

MOST_FOLDS = 7
ROUNDING = 1e-9
"""Taken off a product before it is rounded up: 0.07 · 100 is 7.000000000000001 in floating point, and 7 is meant."""


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
    _share("test", test)
    times = data.events.time
    if data.schema.time_kind != "unix" or times is None:
        raise SerendipError(
            "global_time must have unix times, which order the events of different users. Got time_kind = "
            f"{data.schema.time_kind!r} instead. Try last_out"
            + (", which needs the order within each user only." if data.schema.time_kind == "rank" else " or per_user.")
        )
    moment = _moment(times, test) if cut is None else int(cut)
    return hold_out(
        data,
        times >= moment,
        name="global_time",
        description=f"Learn from the events before unix second {moment}; judge by those from that second on.",
        time=moment,
        repeats=repeats,
    )


def last_out(data: Dataset, n: int = 1, *, repeats: bool = False) -> Split:
    """Hold out each user's last ``n`` events with interest, and whatever came after the first of them.

    Users with ``n`` such events or fewer stay in training and are not asked. Without times, the order of the file
    counts.

    Raises:
        SerendipError: ``n`` below 1, or nobody has more than ``n`` events.
    """
    if n < 1:
        raise SerendipError(f"n must be at least 1. Got {n} instead.")
    events = data.events
    liked = events.weight > 0
    left = _later(liked, events)  # events with interest from this one on, within its user
    total = np.bincount(events.users[liked], minlength=data.n_users)
    enough = total > n
    notes: tuple[str, ...] = ()
    few = int((~enough & (np.diff(events.indptr) > 0)).sum())
    if few:
        notes = (f"{few:,} users with no more than {n} events stay in training and are not asked.",)
    if data.schema.time_kind == "none":
        notes = (*notes, "The log has no times: the order of the file was taken for the order of events.")
    what = "event" if n == 1 else f"{n} events"
    return hold_out(
        data,
        (left <= n) & enough[events.users],
        name="last_out",
        description=f"Hold out the last {what} of every user with more than {n}; learn from all earlier ones.",
        time="first",
        repeats=repeats,
        notes=notes,
    )


def per_user(data: Dataset, test: float = 0.2, seed: int = 0, *, repeats: bool = False) -> Split:
    """Hold out a random share of each user's events: ``ceil(test · n)`` of ``n``, and at least one stays in training.

    Raises:
        SerendipError: ``test`` outside (0, 1), or no user has two events.
    """
    _share("test", test)
    counts = np.diff(data.events.indptr)
    wanted = np.minimum(np.ceil(test * counts - ROUNDING).astype(np.int64), counts - 1)
    shuffled = np.random.default_rng(seed).permutation(len(data.events))
    shuffled = shuffled[stable_order(data.events.users[shuffled])]  # each user's events together, in random order
    place = np.empty(len(shuffled), np.int64)
    place[shuffled] = np.arange(len(shuffled)) - np.repeat(data.events.indptr[:-1], counts)
    return hold_out(
        data,
        place < wanted[data.events.users],
        name="per_user",
        description=f"Hold out a random {test:.0%} (rounded up) of each user's events (seed {seed}); keep the rest.",
        repeats=repeats,
    )


def at_random(data: Dataset, test: float = 0.2, seed: int = 0, *, repeats: bool = False) -> Split:
    """Hold out a random share of all events, whoever they belong to.

    Raises:
        SerendipError: ``test`` outside (0, 1).
    """
    _share("test", test)
    order = np.random.default_rng(seed).permutation(len(data.events))
    held = np.zeros(len(order), np.bool_)
    held[order[: max(1, round(test * len(order)))]] = True
    return hold_out(
        data,
        held,
        name="at_random",
        description=f"Hold out a random {test:.0%} of all events (seed {seed}); learn from the rest.",
        repeats=repeats,
    )


def k_fold(data: Dataset, folds: int = 5, seed: int = 0, *, repeats: bool = False) -> list[Split]:
    """Deal all events at random into ``folds`` equal parts (2 to 7); each split holds out one of them.

    Raises:
        SerendipError: ``folds`` outside 2 … 7, or more folds than events.
    """
    _check_folds(data, folds)
    return [_fold(data, folds, fold, seed, repeats=repeats) for fold in range(folds)]


def _fold(data: Dataset, folds: int = 5, fold: int = 0, seed: int = 0, *, repeats: bool = False) -> Split:
    _check_folds(data, folds)
    if not 0 <= fold < folds:
        raise SerendipError(f"fold must be from 0 to {folds - 1}. Got {fold} instead.")
    part = np.random.default_rng(seed).permutation(len(data.events)) % folds
    return hold_out(
        data,
        part == fold,
        name=f"k_fold {fold + 1}/{folds}",
        description=f"Deal all events at random into {folds} parts (seed {seed}); hold out part {fold + 1}.",
        repeats=repeats,
    )


def cold_items(data: Dataset, test: float = 0.1, seed: int = 0) -> Split:
    """Hold out every event of a random share of the items, which training then knows from the items table at most.

    Raises:
        SerendipError: ``test`` outside (0, 1), or fewer than two items with events.
    """
    _share("test", test)
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
    _share("test", test)
    if given < 0:
        raise SerendipError(f"given must be at least 0. Got {given} instead.")
    events = data.events
    liked = np.bincount(events.users[events.weight > 0], minlength=data.n_users)
    chosen = _sample(liked > given, test, seed, "user")[events.users]
    place = np.arange(len(events)) - events.indptr[events.users]
    notes: tuple[str, ...] = ()
    if given and data.schema.time_kind == "none":
        notes = ("The log has no times: the order of the file was taken for the order of events.",)
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


def given(train: Dataset, test: Any, *, name: str = "given", repeats: bool = False) -> Split:
    """A published split: fixed training and test files.

    Args:
        train: the training part, as its authors give it.
        test: the test part: a `Dataset`, or anything that `Dataset.from_frames` takes, with the columns of
            ``train``; all but the ids may be missing.
        name: what to call it in reports.
        repeats: whether items that the asker already has count as truth.

    Raises:
        SerendipError: nothing in the test part is new to its users.
    """
    held = test if isinstance(test, Dataset) else _read_test(train, test)
    user_code, item_code = train.user_ids.encode(held.user_ids.ids), train.item_ids.encode(held.item_ids.ids)
    train_user, train_item = held.user_ids.encode(train.user_ids.ids), held.item_ids.encode(train.item_ids.ids)
    return assemble(
        train,
        held.events,
        user_code,
        item_code,
        asking=train.histories,
        row=user_code,
        seen=(train_user[train.events.users], train_item[train.events.items]),
        time=None,
        name=name,
        description="Learn from the given training events; judge by the given test events.",
        repeats=repeats,
        notes=(),
    )


_PROTOCOLS: dict[str, Callable[..., Split]] = {
    "global_time": global_time,
    "last_out": last_out,
    "per_user": per_user,
    "at_random": at_random,
    "k_fold": _fold,
    "cold_items": cold_items,
    "cold_users": cold_users,
}

NAMES: tuple[str, ...] = tuple(_PROTOCOLS)
"""The protocols that `make` knows."""


def make(name: str, data: Dataset, **options: Any) -> Split:
    """The protocol of that name, with its options. ``k_fold`` gives one of its splits: option ``fold``, from 0.

    Raises:
        SerendipError: an unknown name or option (with the nearest known one), or what the protocol itself refuses.
    """
    protocol = _PROTOCOLS.get(name)
    if protocol is None:
        raise SerendipError(f"split must be one of {', '.join(NAMES)}. Got {name!r} instead.{_nearest(name, NAMES)}")
    known = [option for option in inspect.signature(protocol).parameters if option != "data"]
    for option in options:
        if option not in known:
            raise SerendipError(
                f"{name} must have no options but {', '.join(known)}. Got {option!r} instead.{_nearest(option, known)}"
            )
    return protocol(data, **options)


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _share(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise SerendipError(f"{name} must be a share between 0 and 1 (both excluded). Got {value} instead.")


def _check_folds(data: Dataset, folds: int) -> None:
    if not 2 <= folds <= MOST_FOLDS:
        raise SerendipError(f"folds must be from 2 to {MOST_FOLDS}. Got {folds} instead.")
    if folds > len(data.events):
        raise SerendipError(f"folds must be at most the number of events ({len(data.events)}). Got {folds} instead.")


def _moment(times: NDArray[np.int64], test: float) -> int:
    """The latest time with at least that share of the events at or after it."""
    last = len(times) - max(1, int(np.ceil(test * len(times) - ROUNDING)))
    return int(np.partition(times, last)[last])


def _later(liked: NDArray[np.bool_], events: Events) -> NDArray[np.int64]:
    """``[m]`` how many events with interest its user has from each event on, itself included."""
    running = np.concatenate([[0], np.cumsum(liked)])
    left: NDArray[np.int64] = running[events.indptr[1:]][events.users] - running[:-1]
    return left


def _sample(eligible: NDArray[np.bool_], share: float, seed: int, noun: str) -> NDArray[np.bool_]:
    """A random share of the eligible codes, at least one and never all."""
    codes = np.flatnonzero(eligible)
    if len(codes) < 2:
        raise SerendipError(f"cold_{noun}s must have at least two {noun}s to choose from. Got {len(codes)} instead.")
    count = min(max(1, round(share * len(codes))), len(codes) - 1)
    chosen = np.zeros(len(eligible), np.bool_)
    chosen[np.random.default_rng(seed).choice(codes, count, replace=False)] = True
    return chosen


def _read_test(train: Dataset, test: Any) -> Dataset:
    """Read the test part by the training schema, as far as its columns go."""
    schema, columns = train.schema, set(read(test).frame.columns)
    optional = {role: getattr(schema, role) for role in ("timestamp", "weight", "rating", "event_type")}
    lacking = {role: None for role, column in optional.items() if column is not None and column not in columns}
    changes: dict[str, Any] = {
        **lacking,
        "labels": {name: kind for name, kind in schema.labels.items() if name in columns},
        "context": tuple(name for name in schema.context if name in columns),
    }
    if "timestamp" in lacking:
        changes["time_kind"] = "none"
    return Dataset.from_frames(test, schema=msgspec.structs.replace(schema, **changes), part=True)


__all__ = [
    "NAMES",
    "HeldOut",
    "Split",
    "at_random",
    "cold_items",
    "cold_users",
    "given",
    "global_time",
    "hold_out",
    "k_fold",
    "last_out",
    "make",
    "per_user",
]
