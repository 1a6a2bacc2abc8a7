"""`Sample`: what one user had and what they would be shown, for people to judge with their own eyes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from serendip.data.events import Histories
from serendip.data.vocab import ExternalId, Vocab
from serendip.types import ABSENT, Ids

RECENT = 8


@dataclass(frozen=True, slots=True)
class Line:
    """One item of a list.

    Attributes:
        item: its external id.
        title: what people call it; the id where it has no title.
        detail: a few words about it, or "".
        note: when it was had, or where the recommendation came from; or "".
    """

    item: ExternalId
    title: str
    detail: str
    note: str


@dataclass(frozen=True, slots=True)
class Sample:
    """One user's recent history and list.

    Attributes:
        user: external id, or None for somebody unknown.
        had: how many events the user has.
        recent: the items of the last of them, each once, newest first.
        shown: the list, best first.
    """

    user: ExternalId | None
    had: int
    recent: tuple[Line, ...]
    shown: tuple[Line, ...]


def samples(
    recommended: pl.DataFrame,
    histories: Histories,
    user_ids: Vocab,
    items: pl.DataFrame,
    *,
    details: Sequence[str] = (),
    dated: bool = False,
    recent: int = RECENT,
) -> list[Sample]:
    """Lists beside histories, in the order of the users in ``recommended``.

    Args:
        recommended: ``user_id, item_id, rank`` and perhaps ``source``, as ``Bundle.recommend`` gives it.
        histories: who did what; ``user_ids`` their vocabulary.
        items: ``item_id`` and perhaps ``title`` and further columns, row ``i`` for item code ``i``.
        details: columns of ``items`` that say more about an item (text, or lists of texts).
        dated: whether the times of the histories are unix seconds.
        recent: how many items of the history to show.
    """
    lines = _Lines(items, details)
    codes = Vocab(items["item_id"]).encode(recommended["item_id"])
    notes = recommended["source"].to_list() if "source" in recommended.columns else [""] * len(codes)
    users = recommended["user_id"].to_list()
    out = []
    for user in dict.fromkeys(users):
        rows = [row for row, other in enumerate(users) if other == user]
        shown = tuple(lines.of(int(codes[row]), notes[row]) for row in rows)
        code = ABSENT if user is None else user_ids.find(user)
        begin, end = (0, 0) if code == ABSENT else histories.indptr[code : code + 2].tolist()
        last = _last(histories.items[begin:end], recent)
        had = tuple(lines.of(item, _day(histories, begin + place) if dated else "") for item, place in last.items())
        out.append(Sample(user, end - begin, had, shown))
    return out


def _last(items: Ids, most: int) -> dict[int, int]:
    """The last distinct items, newest first, and the place at which each was last had."""
    newest, place = np.unique(items[::-1], return_index=True)
    chosen = np.argsort(place)[:most]
    return {int(newest[at]): len(items) - 1 - int(place[at]) for at in chosen}


class _Lines:
    def __init__(self, items: pl.DataFrame, details: Sequence[str]) -> None:
        self._ids = items["item_id"]
        self._titles = items["title"] if "title" in items.columns else None
        self._details = [items[name] for name in details if name in items.columns]

    def of(self, code: int, note: str) -> Line:
        item = self._ids[code]
        title = None if self._titles is None else self._titles[code]
        return Line(item, str(item) if title is None else str(title), " · ".join(self._words(code)), note)

    def _words(self, code: int) -> list[str]:
        words: dict[str, None] = {}
        for column in self._details:
            value = column[code]
            for word in value if isinstance(value, pl.Series) else [value]:
                if word is not None:
                    words[str(word)] = None
        return list(words)


def _day(histories: Histories, at: int) -> str:
    if histories.time is None:
        return ""
    return str(np.datetime64(int(histories.time[at]), "s").astype("datetime64[D]"))


__all__ = ["Line", "Sample", "samples"]
