"""The known values of a category. A value that is not among them falls into one of the buckets in front.

Codes: buckets ``0 … oov_buckets - 1``, then the values. A code is below `size` whatever the value is.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

from serendip.data.features.hashing import buckets_of
from serendip.data.features.values import Values
from serendip.types import SerendipError

NUMBER = re.compile(r"-?(?:0|[1-9]\d*)(?:\.\d+)?(?:e[-+]?\d+)?")
"""A number as `serendip.data.features.values.texts` writes it, or with noughts behind the point."""
TRUTH = {"false": "0", "true": "1"}


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """Attributes:
    name: salts the buckets' hash.
    oov_buckets: for values that are not known, 1 or more.
    values: ``[v]`` the known ones, String, each once.
    """

    name: str
    oov_buckets: int
    values: pl.Series

    def __post_init__(self) -> None:
        if self.values.dtype != pl.String or self.values.null_count() or self.values.n_unique() != len(self.values):
            raise SerendipError(f"features: the vocabulary {self.name!r} must hold every text once and none empty.")

    @classmethod
    def fit(
        cls, name: str, columns: Sequence[Values], *, oov_buckets: int, min_count: int = 1, max_size: int | None = None
    ) -> Vocabulary:
        """The values of all columns that enough rows have, the most frequent ones; in the order of their text."""
        parts = [pl.DataFrame({"value": column.texts}) for column in columns]
        counts = pl.concat(parts).group_by("value").agg(n=pl.len()).filter(pl.col("n") >= min_count)
        best = counts.sort("n", "value", descending=[True, False])
        kept = best["value"] if max_size is None else best["value"].head(max_size)
        return cls(name, oov_buckets, kept.sort())

    @property
    def size(self) -> int:
        """Every code is below it."""
        return self.oov_buckets + len(self.values)

    def encode(self, texts: Sequence[str]) -> NDArray[np.int64]:
        """``[texts]`` codes. Where all known values are numbers, ``1.0`` and ``true`` are the number 1 as well."""
        known, same = self._codes, self._of_numbers
        codes = np.array([known.get(text, known.get(_plain(text), -1) if same else -1) for text in texts], np.int64)
        unknown = np.flatnonzero(codes < 0)
        if len(unknown):
            strange = [texts[place] for place in unknown.tolist()]
            codes[unknown] = buckets_of(strange, self.name, self.oov_buckets)[:, 0]
        return codes

    @cached_property
    def _codes(self) -> dict[str, int]:
        return {value: code for code, value in enumerate(self.values.to_list(), self.oov_buckets)}

    @cached_property
    def _of_numbers(self) -> bool:
        """Whether the values came from a column of numbers or of true and false, as far as they tell."""
        return all(NUMBER.fullmatch(value) for value in self.values.to_list())


def _plain(text: str) -> str:
    """A number or a truth that was typed, as a column of such would have it."""
    if NUMBER.fullmatch(text) and "." in text and "e" not in text:
        return text.rstrip("0").rstrip(".")
    return TRUTH.get(text.lower(), text)
