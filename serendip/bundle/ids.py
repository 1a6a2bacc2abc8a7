"""External ids in whatever they come: one, a list of them, or a list of lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import polars as pl

from serendip.data.vocab import Vocab
from serendip.types import ABSENT, Ids, SerendipError

FEW = 64
"""Up to so many ids are looked up one by one, which then is faster than a join."""


def is_id(value: Any) -> bool:
    """Whether this is one id: a whole number or a text."""
    return isinstance(value, int | str | np.integer) and not isinstance(value, bool)


def listed(what: str, values: Any) -> list[Any]:
    """A list, a series or an array of ids as a list of plain values.

    Raises:
        SerendipError: one id, or something that is no collection, where a list is wanted.
    """
    if is_id(values) or isinstance(values, dict) or not isinstance(values, Iterable):
        raise SerendipError(f"{what} must be a list of ids. Got {values!r} instead.")
    if isinstance(values, np.ndarray | pl.Series):
        return list(values.tolist() if isinstance(values, np.ndarray) else values.to_list())
    return [value.item() if isinstance(value, np.generic) else value for value in values]


def encode(vocab: Vocab, what: str, values: list[Any]) -> Ids:
    """Codes of external ids, `ABSENT` for the unknown.

    Raises:
        SerendipError: values that are no ids.
    """
    for value in values:
        if not is_id(value) or (isinstance(value, str) and not value.isascii() and not _is_unicode(value)):
            raise SerendipError(f"{what} must be ids: whole numbers or text. Got {value!r} instead.")
    if len(values) <= FEW or len({type(value) for value in values}) > 1:
        return np.array([vocab.find(value) for value in values], np.int32)
    return vocab.encode(values)


def known_codes(vocab: Vocab, what: str, values: list[Any]) -> Ids:
    """Codes of external ids, all of which must be known.

    Raises:
        SerendipError: values that are no ids, or that are not known.
    """
    codes = encode(vocab, what, values)
    if (codes == ABSENT).any():
        unknown = [value for value, code in zip(values, codes, strict=True) if code == ABSENT]
        raise SerendipError(f"{what} must be among the {len(vocab)} {what} of the bundle. Got {some(unknown)}.")
    return codes


@dataclass(frozen=True, eq=False)
class Lists:
    """Codes by query; None where a query has no list.

    Attributes:
        parts: one per query, or one in all.
        shared: whether the one is for all queries.
        unknown: the ids that were left out.
    """

    parts: list[Ids | None]
    shared: bool
    unknown: list[Any]

    def take(self, rows: slice) -> list[Ids | None]:
        """The lists of some queries; the shared one stays one."""
        return self.parts if self.shared else self.parts[rows]

    @classmethod
    def read(cls, vocab: Vocab, what: str, values: Any, q: int, *, single: bool, sharing: bool) -> Lists:
        """One list per query, or one for all.

        Args:
            vocab: of the ids.
            what: how errors name them.
            values: lists of ids (None: no list); for a single query, or where ``sharing``, the list itself may be
                given.
            q: how many queries there are.
            single: whether the query was asked for by one id, not by a list.
            sharing: whether one list may be for all.

        Raises:
            SerendipError: another number of lists than of queries, or a list of ids where a list per query is wanted.
        """
        given = list(values) if isinstance(values, Iterator) else values
        shared = sharing and _is_flat(given)
        if shared or (single and _is_flat(given)):
            parts = [given]
        else:
            parts = list(given) if isinstance(given, Iterable) and not isinstance(given, str | dict) else []
            if len(parts) != q or any(is_id(part) for part in parts):
                text = repr(given)
                came = text if len(text) <= 80 else f"{text[:80]}…"
                raise SerendipError(
                    f"{what} must hold one list of item ids (or None) per user, {q} in all. Got {came}."
                )
        plain = [None if part is None else listed(what, part) for part in parts]
        flat = [value for part in plain for value in part or ()]
        codes = encode(vocab, what, flat)
        unknown = [value for value, code in zip(flat, codes, strict=True) if code == ABSENT]
        at = np.cumsum([0, *(len(part or ()) for part in plain)])
        pieces = [codes[start:end] for start, end in pairwise(at)]
        kept = [None if part is None else piece[piece != ABSENT] for part, piece in zip(plain, pieces, strict=True)]
        return cls(kept, shared, unknown)


def padded(lists: Sequence[Ids | None]) -> Ids:
    """``[q, longest]`` codes, `ABSENT` on the left."""
    width = max((len(part) for part in lists if part is not None), default=0)
    out = np.full((len(lists), width), ABSENT, np.int32)
    for row, part in enumerate(lists):
        if part is not None:
            out[row, width - len(part) :] = part
    return out


def column(vocab: Vocab, asked: Sequence[Any], codes: Ids) -> pl.Series:
    """The users' ids in the stored type; as text if one of them does not fit it; null where there is none."""
    known = codes != ABSENT
    stored = iter(vocab.ids[codes[known]].to_list())
    values = [next(stored) if found else given for given, found in zip(asked, known, strict=True)]
    texts = pl.Series("user_id", [None if value is None else str(value) for value in values], pl.String)
    if not vocab.is_integer:
        return texts
    numbers = texts.cast(pl.Int64, strict=False)
    return numbers if numbers.null_count() == texts.null_count() else texts


def some(values: Sequence[Any]) -> str:
    """The first few of them, for a message."""
    return ", ".join(map(repr, values[:5])) + (" …" if len(values) > 5 else "")


def _is_flat(values: Any) -> bool:
    """Whether these are ids, and not lists of ids."""
    if isinstance(values, pl.Series):
        return not isinstance(values.dtype, pl.List)
    if isinstance(values, np.ndarray):
        return values.ndim == 1 and values.dtype != object
    return isinstance(values, Iterable) and not isinstance(values, str | dict) and all(map(is_id, values))


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
