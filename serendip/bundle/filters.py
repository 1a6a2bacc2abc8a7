"""Filters over the items of a bundle: read once, worked out once, kept for whoever asks the same."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.filter import Allowed, Filter, FilterError, parse

KEPT = 128
"""Filters whose answers are kept."""


@dataclass(frozen=True, eq=False)
class Filters:
    """What filters allow of one table of items.

    Attributes:
        items: row i for code i.
        shown: bits of the items that may be shown at all, or None for all.
    """

    items: pl.DataFrame
    shown: NDArray[np.uint8] | None = None
    _kept: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_kept", lru_cache(KEPT)(self._worked_out))

    def allowed(self, given: str | Filter | None) -> Allowed | None:
        """The items that may be shown; None: all.

        Raises:
            FilterError: no filter, or one that does not fit the items.
        """
        if given is None:
            return None if self.shown is None else Allowed(self.shown[None], int(np.bitwise_count(self.shown).sum()))
        if not isinstance(given, str | Filter):
            raise FilterError(f"filter must be a text. Got {given!r:.80} instead.")
        found: Allowed = self._kept(given.text if isinstance(given, Filter) else given)
        return found

    def _worked_out(self, text: str) -> Allowed:
        found = parse(text).allowed(self.items)
        if self.shown is None:
            return found
        bits = found.bits & self.shown
        return Allowed(bits, int(np.bitwise_count(bits).sum()))


def said_of(allowed: Allowed | None, given: str | Filter | None, k: int) -> tuple[str, ...]:
    """A note on a filter that leaves fewer items than are wanted."""
    if given is None or allowed is None or allowed.count >= k:
        return ()
    text = given.text if isinstance(given, Filter) else given
    left = {0: "no item of the catalogue fits", 1: "1 item of the catalogue fits"}
    return (f"filter: {left.get(allowed.count, f'{allowed.count} items of the catalogue fit')} {text:.200}",)


__all__ = ["Filters", "said_of"]
