"""The edge of a bundle: external ids → `Queries`, and lists → tables with external ids."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.dataset import Histories
from serendip.data.vocab import ExternalId, Vocab
from serendip.types import ABSENT, Ids, Queries, Recs, SerendipError, pack_mask

User = ExternalId | None
FEW = 64
"""Up to so many ids are looked up one by one, which then is faster than a join."""


@dataclass(frozen=True, eq=False)
class Answer:
    """A table of recommendations, and what its reader should know.

    Attributes:
        frame: ``user_id, item_id, [title], score, rank, source``; the lists of the users one after another, best first.
        notes: ids that are not known, stages that had nothing, why a list is short.
        known: ``[q]`` whether the bundle has heard of each user.
    """

    frame: pl.DataFrame
    notes: tuple[str, ...]
    known: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Request:
    """Queries with the external ids they were asked for."""

    users: pl.Series
    queries: Queries
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Desk:
    """Takes requests for one bundle."""

    user_ids: Vocab
    item_ids: Vocab
    histories: Histories

    def everyone(self, rows: slice, k: int, *, exclude_seen: bool, exclude: Any, allow: Any) -> Request:
        """A request for the users of these codes."""
        codes = np.arange(len(self.user_ids), dtype=np.int32)[rows]
        queries = self.histories.queries(codes, k=checked_k(k), exclude_seen=exclude_seen)
        queries, notes = self._limited(queries, exclude, allow, single=False)
        return Request(self.user_ids.ids[rows], queries, notes)

    def request(
        self, users: Any, k: int, *, exclude_seen: bool, history: Any = None, exclude: Any = None, allow: Any = None
    ) -> Request:
        """A request for these external ids. See `Bundle.queries` for the arguments."""
        single = _is_id(users) or users is None
        asked: list[User] = listed("users", [users] if single else users)
        codes = self._codes(self.user_ids, "users", [user for user in asked if user is not None])
        user_codes = np.full(len(asked), ABSENT, np.int32)
        user_codes[[user is not None for user in asked]] = codes
        queries = self.histories.queries(user_codes, k=checked_k(k), exclude_seen=exclude_seen)
        strangers = [user for user, code in zip(asked, user_codes, strict=True) if user is not None and code == ABSENT]
        notes = _note("users", strangers)
        if history is not None:
            queries, unknown = self._with_history(
                queries, per_query("history", history, len(asked), single), exclude_seen
            )
            notes += unknown
        queries, more = self._limited(queries, exclude, allow, single)
        return Request(_user_column(self.user_ids, asked, user_codes), queries, notes + more)

    def _with_history(
        self, queries: Queries, given: list[list[ExternalId] | None], exclude_seen: bool
    ) -> tuple[Queries, tuple[str, ...]]:
        """Replace histories by the given ones; None keeps what is stored. What is given counts as seen too."""
        lists, notes = self._item_lists("history", given)
        rows = np.array([part is not None for part in given], bool)
        events = padded(lists)
        width = max(queries.history.shape[1], events.shape[1])
        history = np.where(rows[:, None], _widened(events, width, ABSENT), _widened(queries.history, width, ABSENT))
        bags = {name: _widened(bag, width, 0) for name, bag in queries.bags.items()}
        now = 0 if self.histories.time is None else self.histories.time.max(initial=0)
        for name, value in {"weight": 1, "time": now}.items():
            if name in bags:
                bags[name] = np.where(rows[:, None], np.where(history != ABSENT, value, 0), bags[name]).astype(
                    bags[name].dtype
                )
        seen = _joined(queries.exclude, events) if exclude_seen else queries.exclude
        return replace(queries, history=history, bags=bags, exclude=seen), notes

    def _limited(self, queries: Queries, exclude: Any, allow: Any, single: bool) -> tuple[Queries, tuple[str, ...]]:
        notes: tuple[str, ...] = ()
        q, n = len(queries), len(self.item_ids)
        if exclude is not None:
            everyone = _is_flat(exclude)
            lists, notes = self._item_lists(
                "exclude", [exclude] if everyone else per_query("exclude", exclude, q, single)
            )
            codes = padded(lists)
            queries = replace(queries, exclude=_joined(queries.exclude, codes.repeat(q if everyone else 1, axis=0)))
        if allow is not None:
            given = [list(allow)] if _is_flat(allow) else per_query("allow", allow, q, single)
            lists, unknown = self._item_lists("allow", given)
            if any(given) and not any(len(codes) for codes in lists):
                came = some([value for part in given for value in part or ()])
                raise SerendipError(
                    f"allow must name items of the catalogue. Got {came}, none of which is known. "
                    "Try: ids as in the items that were fitted."
                )
            mask = np.zeros((len(given), n), bool)
            for row, (part, codes) in enumerate(zip(given, lists, strict=True)):
                mask[row, slice(None) if part is None else codes] = True
            queries, notes = replace(queries, allow=pack_mask(mask)), notes + unknown
        if queries.k > n:
            notes += (f"{queries.k} items were asked for; the catalogue has {n}",)
        return queries, notes

    def _item_lists(self, what: str, given: Sequence[Sequence[ExternalId] | None]) -> tuple[list[Ids], tuple[str, ...]]:
        """Codes of lists of external ids; the unknown are left out and noted."""
        lists = [listed(what, part) if part is not None else [] for part in given]
        flat = [value for part in lists for value in part]
        codes = self._codes(self.item_ids, what, flat)
        notes = _note(what, [value for value, code in zip(flat, codes, strict=True) if code == ABSENT])
        ends = np.cumsum([len(part) for part in lists])[:-1]
        return [part[part != ABSENT] for part in np.split(codes, ends)], notes

    def _codes(self, vocab: Vocab, what: str, values: list[Any]) -> Ids:
        for value in values:
            if not _is_id(value) or (isinstance(value, str) and not value.isascii() and not _is_unicode(value)):
                raise SerendipError(f"{what} must be ids: whole numbers or text. Got {value!r} instead.")
        if len(values) <= FEW or len({type(value) for value in values}) > 1:
            return np.array([vocab.find(value) for value in values], np.int32)
        return vocab.encode(values)


def table(
    recs: Recs, users: pl.Series, items: pl.DataFrame, *, of: str = "user_id", named: str = "item_id"
) -> pl.DataFrame:
    """Lists as rows: the id they were asked for (``of``), item id, title if there is one, score, rank, source."""
    frame = recs.frame(users, items["item_id"])
    frame.columns = [{"user_id": of, "item_id": named}.get(name, name) for name in frame.columns]
    if "title" in items.columns:
        frame.insert_column(2, items["title"][recs.items[recs.items != ABSENT]])
    if "source" not in frame.columns:
        frame.insert_column(frame.width, pl.Series("source", [""] * frame.height, pl.String))
    return frame


def checked_k(k: Any) -> int:
    """How many items are wanted.

    Raises:
        SerendipError: not a whole number of 1 or more.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise SerendipError(f"k must be a whole number, 1 or more. Got {k!r} instead.")
    return int(k)


def listed(what: str, values: Any) -> list[Any]:
    """A list, a series or an array of ids as a list of plain values.

    Raises:
        SerendipError: one id, or something that is no collection, where a list is wanted.
    """
    if _is_id(values) or isinstance(values, dict) or not isinstance(values, Iterable):
        raise SerendipError(f"{what} must be a list of ids. Got {values!r} instead.")
    if isinstance(values, np.ndarray | pl.Series):
        return list(values.tolist() if isinstance(values, np.ndarray) else values.to_list())
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def per_query(what: str, values: Any, q: int, single: bool) -> list[Any]:
    """One list (or None) per query; for a single user the list itself may be given.

    Raises:
        SerendipError: another number of lists than of users, or a list of ids where a list per user is wanted.
    """
    if single and _is_flat(values):
        return [values]
    lists = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else []
    if len(lists) != q or any(_is_id(part) for part in lists):
        raise SerendipError(
            f"{what} must hold one list of item ids (or None) per user, {q} in all. Got {_brief(values)}."
        )
    return lists


def padded(lists: Sequence[Ids]) -> Ids:
    """``[q, longest]`` codes, `ABSENT` on the left."""
    width = max((len(part) for part in lists), default=0)
    out = np.full((len(lists), width), ABSENT, np.int32)
    for row, part in enumerate(lists):
        out[row, width - len(part) :] = part
    return out


def _is_id(value: Any) -> bool:
    return isinstance(value, int | str | np.integer) and not isinstance(value, bool)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_flat(values: Any) -> bool:
    """Whether these are ids, and not lists of ids."""
    if isinstance(values, pl.Series | np.ndarray):
        return not (isinstance(values, pl.Series) and values.dtype == pl.List) and getattr(values, "ndim", 1) == 1
    return isinstance(values, Iterable) and not isinstance(values, str | dict) and all(map(_is_id, values))


def _widened(part: NDArray[Any], width: int, nothing: int) -> NDArray[Any]:
    out = np.full((len(part), width), nothing, part.dtype)
    out[:, width - part.shape[1] :] = part
    return out


def _joined(left: Ids | None, right: Ids) -> Ids:
    return right if left is None else np.concatenate([left, right], axis=1)


def _user_column(vocab: Vocab, asked: Sequence[User], codes: Ids) -> pl.Series:
    """The users' ids in the stored type; as text if one of them does not fit it."""
    known = codes != ABSENT
    stored = iter(vocab.ids[codes[known]].to_list())
    values = [next(stored) if found else given for given, found in zip(asked, known, strict=True)]
    column = pl.Series("user_id", [None if value is None else str(value) for value in values], pl.String)
    if not vocab.is_integer:
        return column
    numbers = column.cast(pl.Int64, strict=False)
    return numbers if numbers.null_count() == column.null_count() else column


def _note(what: str, unknown: Sequence[Any]) -> tuple[str, ...]:
    return (f"{what}: {len(unknown)} not known: {some(unknown)}",) if unknown else ()


def some(values: Sequence[Any]) -> str:
    """The first few of them, for a message."""
    return ", ".join(map(repr, values[:5])) + (" …" if len(values) > 5 else "")


def _brief(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:80]}…"
