"""Every way to split a log: the protocols by name, and published splits.

Each returns a `Split` whose training part is a `Dataset` built without the test, so that nothing can leak through
vocabularies or counts. Validation inside the training part is the same call again: ``last_out(split.train)``.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from serendip.data.dataset import Dataset
from serendip.evaluate.cold import cold_items, cold_users
from serendip.evaluate.held import HeldOut, Split, assemble, hold_out
from serendip.evaluate.protocols import at_random, global_time, k_fold, last_out, one_fold, per_user
from serendip.types import SerendipError


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
        replace(held, schema=msgspec.structs.replace(held.schema, target=train.schema.target)).wanted,
        user_code,
        item_code,
        asking=train.histories,
        row=user_code,
        seen=(train_user[train.events.users[train.seen]], train_item[train.events.items[train.seen]]),
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
    "k_fold": one_fold,
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


def _read_test(train: Dataset, test: Any) -> Dataset:
    """Read the test part by the training schema, as far as its columns go."""
    from serendip.data.read import read

    schema, columns = train.schema, set(read(test).frame.columns)
    optional = {role: getattr(schema, role) for role in ("timestamp", "weight", "rating", "event_type")}
    lacking = {role: None for role, column in optional.items() if column is not None and column not in columns}
    changes: dict[str, Any] = {
        **lacking,
        "labels": {name: kind for name, kind in schema.labels.items() if name in columns},
        "context": tuple(name for name in schema.context if name in columns),
        "features": {},  # who asks is told by the training part
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
