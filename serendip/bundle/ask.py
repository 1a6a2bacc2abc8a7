"""The edge of a bundle: external ids → `Queries`, and lists → tables with external ids."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle.attributes import Attributes, Said
from serendip.bundle.filters import Filters, said_of
from serendip.bundle.ids import Lists, column, encode, is_id, listed, padded, some
from serendip.data.dataset import Histories
from serendip.data.events import bag_of
from serendip.data.vocab import Vocab
from serendip.filter import Allowed
from serendip.pipeline import scoring
from serendip.types import ABSENT, Bagged, Ids, Queries, Recs, SerendipError, Stage, pack_mask

BLOCK_CELLS = 1 << 22
"""The most events that the histories of one block of queries may take, padding included."""
BLOCK_QUERIES = 4096
NO_CHANCE = "explore: the bundle has no re-ranker that explores"
UNREAD = {
    True: "no model of the bundle reads such; they count as seen, and no more",
    False: "no model of the bundle reads such",
}
"""What is said of events of kinds that no scorer reads, where what was seen is left out and where it is not."""


def kinds_read_by(pipeline: Stage, histories: Histories) -> tuple[str, ...]:
    """The kinds of events, of those that are not the target, that scorers of the pipeline read beside the history."""
    scorers = [part.scorer for part in scoring(pipeline)]
    bags = {name for one in scorers if isinstance(one, Bagged) for name in one.bag_names}
    return tuple(name for name in (histories.kinds.others if histories.kinds else ()) if bag_of(name) in bags)


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
    """What was asked for, in codes; it becomes `Queries` a block at a time.

    Attributes:
        users: ``[q]`` external ids as replies name them.
        codes: ``[q]`` user codes, `ABSENT` where unknown.
        k, exclude_seen: as asked.
        history, exclude, allow: item codes, if any were given.
        notes: what was left out.
        n_items: size of the catalogue.
        histories: of all users.
        attributes: of all users, where a scorer reads features.
        said: what is said of each query's user and moment now, by column, or None.
        moments: ``[q]`` unix seconds at which they ask, or None.
        events: by bag, the items of events of other kinds, in place of those that are stored.
        fitting: the items that a filter allows and that may be shown at all, or None for all.
        draw: ``[q]`` what chance is drawn by, or None: nothing is left to chance.
    """

    users: pl.Series
    codes: Ids
    k: int
    exclude_seen: bool
    history: Lists | None
    exclude: Lists | None
    allow: Lists | None
    notes: tuple[str, ...]
    n_items: int
    histories: Histories
    attributes: Attributes | None = None
    said: Sequence[Said | None] | None = None
    moments: NDArray[np.int64] | None = None
    events: Mapping[str, Lists] = field(default_factory=dict)
    fitting: Allowed | None = None
    draw: NDArray[np.uint64] | None = None

    def blocks(self, size: int | None = None) -> Iterator[slice]:
        """Rows to be answered together: ``size`` of them, or as many as their histories allow; at least one block.

        Raises:
            SerendipError: a size below 1.
        """
        if size is not None and size < 1:
            raise SerendipError(f"block must be 1 or more users, or None. Got {size} instead.")
        known = self.codes[self.codes != ABSENT]
        longest = int((self.histories.indptr[known + 1] - self.histories.indptr[known]).max(initial=1))
        step = size or max(1, min(BLOCK_QUERIES, BLOCK_CELLS // longest))
        return (slice(start, start + step) for start in range(0, max(len(self.codes), 1), step))

    def queries(self, rows: slice = slice(None)) -> Queries:
        """The queries of some rows."""
        queries = self.histories.queries(self.codes[rows], k=self.k, exclude_seen=self.exclude_seen)
        if self.history is not None:
            queries = self._with_history(queries, self.history.take(rows))
        for name, lists in self.events.items():
            queries = self._with_bag(queries, name, lists.take(rows))
        if self.exclude is not None:
            codes = padded(self.exclude.take(rows))
            codes = codes.repeat(len(queries), axis=0) if self.exclude.shared else codes
            queries = replace(queries, exclude=_joined(queries.exclude, codes))
        if self.allow is not None:
            parts = self.allow.take(rows)
            mask = np.zeros((len(parts), self.n_items), bool)
            for row, part in enumerate(parts):
                mask[row, slice(None) if part is None else part] = True
            queries = replace(queries, allow=pack_mask(mask))
        if self.fitting is not None:
            both = self.fitting.bits if queries.allow is None else queries.allow & self.fitting.bits
            queries = replace(queries, allow=both)
        if self.moments is not None:
            queries = replace(queries, time=self.moments[rows])
        if self.draw is not None:
            queries = replace(queries, draw=self.draw[rows])
        if self.attributes is None:
            return queries
        return self.attributes.filled(queries, None if self.said is None else self.said[rows])

    def _with_history(self, queries: Queries, given: list[Ids | None]) -> Queries:
        """Replace histories by the given ones; None keeps what is stored. What is given counts as seen too."""
        rows = np.array([part is not None for part in given], bool)[:, None]
        events = padded(given)
        width = max(queries.history.shape[1], events.shape[1])
        history = np.where(rows, _widened(events, width, ABSENT), _widened(queries.history, width, ABSENT))
        bags = dict(queries.bags)
        now = 0 if self.histories.time is None else self.histories.time.max(initial=0)
        for name, value in {"weight": 1, "time": now}.items():
            if name in bags:
                fresh = np.where(history != ABSENT, value, 0).astype(bags[name].dtype)
                bags[name] = np.where(rows, fresh, _widened(bags[name], width, 0))
        seen = _joined(queries.exclude, events) if self.exclude_seen else queries.exclude
        return replace(queries, history=history, bags=bags, exclude=seen)

    def _with_bag(self, queries: Queries, name: str, given: list[Ids | None]) -> Queries:
        """Replace what is stored of one kind of events; None keeps it. What is given counts as seen too, unless it was
        shown and no more."""
        rows = np.array([part is not None for part in given], bool)[:, None]
        events, stored = padded(given), queries.bags[name]
        width = max(stored.shape[1], events.shape[1])
        bag = np.where(rows, _widened(events, width, ABSENT), _widened(stored, width, ABSENT))
        kinds = self.histories.kinds
        shown = kinds is not None and name in [bag_of(kind) for kind in kinds.impressions]
        seen = _joined(queries.exclude, events) if self.exclude_seen and not shown else queries.exclude
        return replace(queries, bags={**queries.bags, name: bag}, exclude=seen)


@dataclass(frozen=True, eq=False)
class Desk:
    """Takes requests for one bundle.

    Attributes:
        user_ids, item_ids, histories, attributes: as the bundle has them.
        kinds: of events, that a scorer reads beside the history.
        filters: over the items.
        clocked: whether a re-ranker asks when a query is made.
        explores: whether one leaves something to chance.
    """

    user_ids: Vocab
    item_ids: Vocab
    histories: Histories
    filters: Filters
    attributes: Attributes | None = None
    kinds: tuple[str, ...] = ()
    clocked: bool = False
    explores: bool = False

    def everyone(self, k: int, *, exclude_seen: bool, **given: Any) -> Request:
        """A request for all users; ``exclude``, ``allow``, ``filtered`` and ``moments`` as of `request`."""
        codes = np.arange(len(self.user_ids), dtype=np.int32)
        return self._request(self.user_ids.ids, codes, k, exclude_seen=exclude_seen, **given)

    def request(self, users: Any, k: int, *, exclude_seen: bool, **given: Any) -> Request:
        """A request for these external ids; ``history``, ``exclude``, ``allow``, ``filtered`` (there ``filter``),
        ``attributes``, ``events`` and ``moments`` (there ``time``) as of `Bundle.queries`."""
        single = users is None or is_id(users)
        asked = listed("users", [users] if single else users)
        named = np.array([user is not None for user in asked], bool)
        codes = np.full(len(asked), ABSENT, np.int32)
        codes[named] = encode(self.user_ids, "users", [user for user in asked if user is not None])
        notes = _note("users", [asked[row] for row in np.flatnonzero(named & (codes == ABSENT))])
        names = column(self.user_ids, asked, codes)
        return self._request(names, codes, k, exclude_seen=exclude_seen, single=single, notes=notes, **given)

    def _request(
        self,
        users: pl.Series,
        codes: Ids,
        k: int,
        *,
        exclude_seen: bool,
        single: bool = False,
        notes: tuple[str, ...] = (),
        history: Any = None,
        exclude: Any = None,
        allow: Any = None,
        attributes: Any = None,
        moments: Any = None,
        events: Any = None,
        filtered: Any = None,
        explore: Any = False,
    ) -> Request:
        wanted, n = checked_k(k), len(self.item_ids)
        fitting = self.filters.allowed(filtered)
        notes += said_of(fitting, filtered, min(wanted, n))
        given = {"history": history, "exclude": exclude, "allow": allow}
        lists = {
            what: Lists.read(self.item_ids, what, values, len(codes), single=single, sharing=what != "history")
            for what, values in given.items()
            if values is not None
        }
        shown = lists.get("allow")
        if shown is not None and shown.unknown and not any(part is None or len(part) for part in shown.parts):
            raise SerendipError(
                f"allow must name items of the catalogue. Got {some(shown.unknown)}, none of which is known. "
                "Try: ids as in the items that were fitted."
            )
        for what, part in lists.items():
            notes += _note(what, part.unknown)
        said: list[Said | None] | None = None
        if attributes is not None and self.attributes is None:
            notes += ("attributes: no model of the bundle reads any",)
        elif attributes is not None and self.attributes is not None:
            said, odd = self.attributes.read(attributes, len(codes), single=single)
            notes += odd
        bags: dict[str, Lists] = {}
        if events is not None:
            bags, odd = self._bags(events, len(codes), single=single)
            notes += (*odd, *self._unread(bags, exclude_seen=exclude_seen))
        if explore is not False and not self.explores:
            notes += (NO_CHANCE,)
        if wanted > n:
            notes += (f"{wanted} items were asked for; the catalogue has {n}",)
        return Request(
            users=users,
            codes=codes,
            k=wanted,
            exclude_seen=exclude_seen,
            history=lists.get("history"),
            exclude=lists.get("exclude"),
            allow=shown,
            notes=notes,
            n_items=n,
            histories=self.histories,
            attributes=self.attributes,
            said=said,
            moments=self._moments(moments, len(codes)),
            events=bags,
            fitting=fitting,
            draw=seeds_of(explore, len(codes)),
        )

    def _bags(self, given: Any, q: int, *, single: bool) -> tuple[dict[str, Lists], tuple[str, ...]]:
        """Items by kind of event as lists by bag, and notes on kinds that are not kept and items that are not known."""
        parts = [given] if single and isinstance(given, Mapping) else given
        if (
            not isinstance(parts, Sequence)
            or len(parts) != q
            or not all(isinstance(one, Mapping | None) for one in parts)
        ):
            raise SerendipError(
                f"events must hold one mapping of kinds of events to item ids (or None) per user, {q} in all. "
                f"Got {given!r:.80}."
            )
        kinds = self.histories.kinds
        kept = {} if kinds is None else kinds.others
        strange = list(dict.fromkeys(name for one in parts for name in one or {} if name not in kept))
        notes: tuple[str, ...] = ()
        if strange:
            named = some(list(kept)) or "none"
            notes += (
                f"events: {len(strange)} of a kind that is not kept beside the history: {some(strange)} "
                f"(those that are: {named})",
            )
        out = {}
        for name in kept:
            lists = [None if one is None else one.get(name) for one in parts]
            if any(one is not None for one in lists):
                out[bag_of(name)] = Lists.read(
                    self.item_ids, f"events of {name}", lists, q, single=False, sharing=False
                )
                notes += _note(f"events of {name}", out[bag_of(name)].unknown)
        return out, notes

    def _unread(self, bags: Mapping[str, Lists], *, exclude_seen: bool) -> tuple[str, ...]:
        """A note on what was given of kinds that no scorer reads."""
        read = {bag_of(name) for name in self.kinds}
        kinds = () if self.histories.kinds is None else self.histories.kinds.others
        unread = [name for name in kinds if bag_of(name) in bags and bag_of(name) not in read]
        return (f"events of {some(unread)}: {UNREAD[exclude_seen]}",) if unread else ()

    def _moments(self, given: Any, q: int) -> NDArray[np.int64] | None:
        """When each asks: as given, or now where a feature or a re-ranker needs to know."""
        if given is None:
            reads = self.clocked or (self.attributes is not None and self.attributes.features.reads_time)
            return np.full(q, int(time.time()), np.int64) if reads else None
        values = np.asarray(given)
        if values.dtype.kind not in "iuf" or values.shape not in ((), (q,)) or not np.isfinite(values).all():
            raise SerendipError(f"time must be unix seconds, one for all or one per user ({q}). Got {given!r:.80}.")
        return np.broadcast_to(values.astype(np.int64), (q,))


def table(
    recs: Recs,
    users: pl.Series,
    items: pl.DataFrame,
    *,
    of: str = "user_id",
    named: str = "item_id",
    more: Sequence[pl.Series] = (),
) -> pl.DataFrame:
    """Lists as rows: the id they were asked for (``of``), item id, title if there is one, score, rank, source, and
    ``more``."""
    frame = recs.frame(users, items["item_id"])
    frame.columns = [{"user_id": of, "item_id": named}.get(name, name) for name in frame.columns]
    if "title" in items.columns:
        frame.insert_column(2, items["title"][recs.items[recs.items != ABSENT]])
    if "source" not in frame.columns:
        frame.insert_column(frame.width, pl.Series("source", [""] * frame.height, pl.String))
    return frame.with_columns(more) if more else frame


def seeds_of(explore: Any, q: int) -> NDArray[np.uint64] | None:
    """What each of q queries draws chance by; None where nothing is left to chance.

    Args:
        explore: whether to, or a whole number from which all is drawn.
        q: how many queries there are.

    Raises:
        SerendipError: neither.
    """
    if explore is False:
        return None
    if not isinstance(explore, int | np.integer) or explore < 0:
        raise SerendipError(f"explore must be true, false or a whole number of 0 or more. Got {explore!r:.80} instead.")
    rng = np.random.default_rng(None if explore is True else int(explore))
    return rng.integers(0, 1 << 64, q, dtype=np.uint64)


def checked_k(k: Any) -> int:
    """How many items are wanted.

    Raises:
        SerendipError: not a whole number of 1 or more.
    """
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise SerendipError(f"k must be a whole number, 1 or more. Got {k!r} instead.")
    return int(k)


def _widened(part: NDArray[Any], width: int, nothing: int) -> NDArray[Any]:
    out = np.full((len(part), width), nothing, part.dtype)
    out[:, width - part.shape[1] :] = part
    return out


def _joined(left: Ids | None, right: Ids) -> Ids:
    return right if left is None else np.concatenate([left, right], axis=1)


def _note(what: str, unknown: list[Any]) -> tuple[str, ...]:
    return (f"{what}: {len(unknown)} not known: {some(unknown)}",) if unknown else ()
