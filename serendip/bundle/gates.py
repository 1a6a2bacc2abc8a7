"""What keeps an item from being shown to somebody at all, whatever its score."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.bundle.ask import Request
from serendip.bundle.why import Gate
from serendip.filter import Filter, parse
from serendip.types import ABSENT, Queries


def gates_of(
    request: Request, item: int, items: pl.DataFrame, filtered: str | Filter | None, shown: NDArray[Any] | None
) -> list[Gate]:
    """All that the item does not get through.

    Args:
        request: of one user.
        item: its code.
        items: row i for code i.
        filtered: what the request asks of items.
        shown: bits of the items that may be shown at all, or None for all.
    """
    out: list[Gate] = []
    if shown is not None and not shown[item >> 3] >> (item & 7) & 1:
        out.append(Gate("deleted", "it was deleted from the live catalogue"))
    seen = replace(request, exclude=None, allow=None, fitting=None).queries().exclude
    if seen is not None and (seen[0] == item).any():
        out.append(Gate("seen", "the user has seen it already"))
    listed = None if request.exclude is None else request.exclude.take(slice(0, 1))[0]
    if listed is not None and (listed == item).any():
        out.append(Gate("excluded", "the request excludes it"))
    allowed = None if request.allow is None else request.allow.take(slice(0, 1))[0]
    if allowed is not None and not (allowed == item).any():
        out.append(Gate("not_allowed", "it is not among those that the request allows"))
    if filtered is not None:
        made = filtered if isinstance(filtered, Filter) else parse(filtered)
        for one in made.unmet(items[item]):
            has = ", ".join(
                f"{name} {'is missing' if value is None else f'is {_plain(value)}'}" for name, value in one.values
            )
            out.append(Gate("filter", f"it does not fit {one.condition} ({has})", one.condition))
    return out


def let_through(queries: Queries, item: int) -> Queries:
    """The query ``[1]`` as if nothing kept the item from being shown."""
    exclude = None if queries.exclude is None else np.where(queries.exclude == item, ABSENT, queries.exclude)
    allow = None if queries.allow is None else queries.allow.copy()
    if allow is not None:
        allow[:, item >> 3] |= np.uint8(1 << (item & 7))
    return replace(queries, exclude=exclude, allow=allow)


def _plain(value: object) -> str:
    return repr(value) if isinstance(value, str | list) else str(value)


__all__ = ["gates_of", "let_through"]
