"""What a network is fed: from queries or arrays of features to the arrays that it was trained on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from serendip.network.onnxfile import Port
from serendip.types import ABSENT, Floats, Ids, Input, Queries, SerendipError

PRESENT = ".present"
"""Ends the name of the input that says which vectors of items are there."""

Mask = NDArray[np.bool_]


class Feed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One input of a network.

    Attributes:
        name: of the input; also of the bag or feature it is taken from.
        of: ``history``: the items of the history, the latest on the right; ``aligned``: an array of ``Queries.bags``
            with something of each of these events; ``bag``: an array of codes in ``Queries.bags`` with events of its
            own; ``feature``: an array of ``Queries.features``, or of features of items; ``pair``: one of
            ``Queries.pairs``; ``passed``: of an item, the logarithm of one more than how often it is in an array of
            ``Queries.bags``, less how often it is in the history.
        width: how many of the latest events, or how many values, each query has; 0: one value, an array ``[q]``.
        size: of codes (int64): every code is below it, others become `ABSENT`; None: numbers (float32), NaN where
            missing.
        vectors: whether the network is given what it is told of the items, ``[q, width, e]``, instead of their codes,
            and beside it ``NAME.present`` ``[q, width]``.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    of: Literal["history", "aligned", "bag", "feature", "pair", "passed"]
    width: Annotated[int, msgspec.Meta(ge=0, le=1 << 20)] = 0
    size: Annotated[int, msgspec.Meta(ge=0, le=1 << 31)] | None = None
    vectors: bool = False

    @classmethod
    def feature(cls, given: Input) -> Feed:
        """Of an array of features, or of pairs."""
        return cls(given.name, "pair" if given.side == "pair" else "feature", given.width, given.size)

    def fault(self) -> str | None:
        """What is not sound about it, or None."""
        if self.of in ("history", "bag"):
            if self.width < 1:
                return f"{self.name} must have a width of 1 or more"
            if self.vectors == (self.size is not None):
                return f"{self.name} must be either codes below a size or vectors"
        elif self.vectors:
            return f"{self.name} must not be vectors: only items have them"
        elif self.of == "aligned" and self.width < 1:
            return f"{self.name} must have the width of the history"
        return None

    def ports(self, dimensions: int) -> Iterator[tuple[str, Port]]:
        """The inputs of the network, where it is told so many numbers of an item."""
        if self.vectors:
            yield self.name, Port(np.dtype(np.float32), (None, self.width, dimensions))
            yield self.name + PRESENT, Port(np.dtype(np.bool_), (None, self.width))
        else:
            dtype = np.dtype(np.float32 if self.size is None else np.int64)
            yield self.name, Port(dtype, (None, self.width) if self.width else (None,))


@dataclass(frozen=True)
class Items:
    """What is known of items when a network is fed.

    Attributes:
        known: ``[n]`` which items count in a history.
        told: ``[n, e]`` what the network is told of them, where it is given vectors.
    """

    known: Mask
    told: Floats


def fault(feeds: Sequence[Feed]) -> str | None:
    """Why these cannot be the inputs of one network, or None."""
    own = [what for feed in feeds if (what := feed.fault())]
    if own:
        return own[0]
    names = [name for feed in feeds for name, _ in feed.ports(0)]
    if len(set(names)) < len(names):
        return "its inputs must have different names"
    widths = [feed.width for feed in feeds if feed.of == "history"]
    if len(widths) > 1:
        return "at most one input may be the history"
    if any(feed.of == "aligned" and [feed.width] != widths for feed in feeds):
        return "what is aligned with the history must be as wide as the history"
    return None


def of_queries(queries: Queries, feeds: Sequence[Feed], items: Items) -> tuple[dict[str, NDArray[Any]], Mask, Mask]:
    """The inputs of a network, ``[q]`` which queries have a known item in their history, and which anything at all.

    Items that are not known are left out of histories and bags. A bag or feature that the queries lack is `ABSENT` or
    NaN throughout.

    Raises:
        SerendipError: an array of another shape than the network was trained on.
    """
    q = len(queries)
    out: dict[str, NDArray[Any]] = {}
    keep: Mask = np.zeros(queries.history.shape, bool)
    anything: Mask = np.zeros(q, bool)
    for feed in feeds:
        if feed.of == "history":
            keep = _kept(feed, queries.history, items)
    for feed in feeds:
        if feed.of == "feature":
            array = plain(feed, queries.features.get(feed.name), q)
            out[feed.name] = array
            said = array != ABSENT if feed.size is not None else ~np.isnan(array)
            anything |= said.any(axis=1) if feed.width else said
        elif feed.of == "aligned":
            out[feed.name] = _aligned(feed, queries, keep)
        else:
            codes = queries.history if feed.of == "history" else _bag(feed, queries)
            latest = _latest(codes, keep if feed.of == "history" else _kept(feed, codes, items), feed.width)
            anything |= latest[:, -1] != ABSENT
            out |= _fed(feed, latest, items)
    return out, np.asarray(keep.any(axis=1)), anything


def plain(feed: Feed, given: NDArray[Any] | None, rows: int) -> NDArray[Any]:
    """An array of features as the network takes it: int64 codes, or float32 with NaN where a number is missing.

    Raises:
        SerendipError: an array of another shape, or of no numbers.
    """
    shape = (rows, feed.width) if feed.width else (rows,)
    if given is None:
        blank = np.nan if feed.size is None else ABSENT
        return np.full(shape, blank, np.float32 if feed.size is None else np.int64)
    array = np.asarray(given)
    kinds = "iufb" if feed.size is None else "iu"
    if array.shape != shape or array.dtype.kind not in kinds:
        what = "numbers" if feed.size is None else "whole numbers"
        raise SerendipError(
            f"the feature {feed.name!r} must be an array of {what} of the shape {list(shape)}. "
            f"Got {array.dtype} of the shape {list(array.shape)} instead."
        )
    if feed.size is None:
        numbers = array.astype(np.float32)
        return np.where(np.isfinite(numbers), numbers, np.float32(np.nan))
    codes = array.astype(np.int64)
    codes[codes.view(np.uint64) >= feed.size] = ABSENT  # what is below 0, too
    return codes


def of_pairs(queries: Queries, feeds: Sequence[Feed], items: Ids | None, n: int) -> dict[str, Floats]:
    """By name, ``[q, c]`` or ``[q, c, w]`` numbers of each query and each of the items, or NaN.

    Args:
        queries: who asks.
        feeds: of what is known of both.
        items: ``[c]`` or ``[q, c]``; None: all ``n``.
        n: how many there are.

    Raises:
        SerendipError: an array of another shape.
    """
    width = n if items is None else items.shape[-1]
    return {
        feed.name: _passed(feed, queries, items, n) if feed.of == "passed" else _given(feed, queries, width)
        for feed in feeds
    }


def _given(feed: Feed, queries: Queries, width: int) -> Floats:
    shape = (len(queries), width, feed.width) if feed.width else (len(queries), width)
    given = queries.pairs.get(feed.name)
    array = np.full(shape, np.nan, np.float32) if given is None else np.asarray(given, np.float32)
    if array.shape != shape:
        raise SerendipError(
            f"pairs[{feed.name!r}] must have numbers for each item asked about, {list(shape)}. "
            f"Got the shape {list(array.shape)} instead."
        )
    return np.where(np.isfinite(array), array, np.float32(np.nan))


def _passed(feed: Feed, queries: Queries, items: Ids | None, n: int) -> Floats:
    shape = (len(queries), n if items is None else items.shape[-1])
    if feed.name not in queries.bags:
        return np.full(shape, np.nan, np.float32)
    pairs, signs = [], []
    for codes, sign in ((_bag(feed, queries), 1), (queries.history, -1)):
        row, place = np.nonzero((codes >= 0) & (codes < n))
        pairs.append(row * n + codes[row, place])
        signs.append(np.full(len(row), sign))
    distinct, where = np.unique(np.concatenate(pairs), return_inverse=True)
    times = np.log1p(np.maximum(np.bincount(where, np.concatenate(signs), len(distinct)), 0)).astype(np.float32)
    out = np.zeros(shape, np.float32)
    if items is None:
        out[distinct // n, distinct % n] = times
    elif len(distinct):
        asked = np.arange(len(queries))[:, None] * n + items
        at = np.minimum(np.searchsorted(distinct, asked), len(distinct) - 1)
        out = np.where((distinct[at] == asked) & (items >= 0) & (items < n), times[at], out)
    return out


def _kept(feed: Feed, codes: NDArray[Any], items: Items) -> Mask:
    """``[q, t]`` which events count: those of known items; of other codes those that the network knows."""
    size = len(items.known) if feed.size is None else feed.size
    inside: Mask = (codes >= 0) & (codes < size)
    if feed.vectors or feed.of == "history":
        inside &= codes < len(items.known)
        if len(items.known):
            inside &= items.known[np.where(inside, codes, 0)]
    return inside


def _bag(feed: Feed, queries: Queries) -> Ids:
    codes = queries.bags.get(feed.name)
    if codes is None:
        return np.full((len(queries), 0), ABSENT, np.int32)
    if codes.ndim != 2 or codes.dtype.kind not in "iu":
        raise SerendipError(
            f"bags[{feed.name!r}] must be [{len(queries)}, t] codes. Got {codes.dtype} of the shape {codes.shape}."
        )
    return codes


def _latest(codes: NDArray[Any], keep: Mask, width: int, like: NDArray[Any] | None = None) -> NDArray[Any]:
    """Of each row the last ``width`` kept places, on the right: their codes, or what ``like`` has there."""
    source = codes if like is None else like
    whole = source.dtype.kind in "iu"
    out = np.full((len(codes), width), ABSENT if whole else np.nan, np.int64 if whole else np.float32)
    place = width - np.cumsum(keep[:, ::-1], axis=1)[:, ::-1]
    row, column = np.nonzero(keep & (place >= 0))
    out[row, place[row, column]] = source[row, column]
    return out


def _aligned(feed: Feed, queries: Queries, keep: Mask) -> NDArray[Any]:
    given = queries.bags.get(feed.name)
    if given is None:
        return plain(feed, None, len(queries))
    if given.shape != queries.history.shape:
        raise SerendipError(
            f"bags[{feed.name!r}] must have a value for each event of the history, {list(queries.history.shape)}. "
            f"Got the shape {list(given.shape)} instead."
        )
    values = given if feed.size is not None else given.astype(np.float32)
    return plain(feed, _latest(queries.history, keep, feed.width, values), len(queries))


def _fed(feed: Feed, codes: NDArray[np.int64], items: Items) -> Mapping[str, NDArray[Any]]:
    if not feed.vectors:
        return {feed.name: codes}
    present = codes != ABSENT
    vectors = np.zeros((*codes.shape, items.told.shape[1]), np.float32)
    vectors[present] = items.told[codes[present]]
    return {feed.name: vectors, feed.name + PRESENT: present}


__all__ = ["PRESENT", "Feed", "Items", "fault", "of_pairs", "of_queries", "plain"]
