"""Finding items by what people type."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.vocab import Vocab
from serendip.types import ABSENT


class Search:
    """Items by the words of their titles (of their ids, where they have none), the most used first."""

    def __init__(
        self, ids: Vocab, titles: pl.Series | None, uses: NDArray[np.int64], shown: NDArray[np.bool_] | None = None
    ) -> None:
        """Over these items; their names are folded at the first search, as items may change more often than that.

        Shapes:
            titles ``[n]`` String or None; uses ``[n]`` how often each item was used; shown ``[n]`` which may be found,
            or None for all.
        """
        self._shown = np.ones(len(ids), bool) if shown is None else shown
        names = ids.ids.cast(pl.String)
        if titles is not None:
            names = pl.select(pl.coalesce(titles, names)).to_series()
        self._ids, self._plain = ids, names
        self._uses = uses

    @cached_property
    def _names(self) -> pl.Series:
        return fold(self._plain)

    def find(self, text: str, limit: int) -> list[int]:
        """Codes of the items that hold every word of the text; first the one with that id, then those that begin so."""
        sought = " ".join(fold(pl.Series([text], dtype=pl.String))[0].split())
        hit = self._shown.copy()
        for word in dict.fromkeys(sought.split()):
            hit &= self._names.str.contains(word, literal=True).to_numpy()
        codes = np.flatnonzero(hit)
        begins = self._names.gather(codes).str.starts_with(sought).to_numpy()
        found: list[int] = codes[np.lexsort((codes, -self._uses[codes], ~begins))][:limit].tolist()
        named = self._ids.find(text.strip())
        return (
            found
            if named == ABSENT or not self._shown[named]
            else [named, *(code for code in found if code != named)][:limit]
        )


def fold(names: pl.Series) -> pl.Series:
    """Lower case, without accents."""
    return names.str.normalize("NFKD").str.replace_all(r"\p{M}", "").str.to_lowercase()
